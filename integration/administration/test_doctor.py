"""The doctor finds what is broken, names the remedy, and is silent on what is sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.administration.asking import CERTIFY, HOST
from integration.server.flavours import built
from integration.server.machine import Machine, machine
from integration.server.programs import system_python
from tests.support.places import PROJECT, open_directory

VAN = "/etc/apache2/sites-available/van.conf"
SITE = f"/var/www/{HOST}"
PYTHON = system_python()
# As after a boot: /run is empty, and systemd-tmpfiles has made what it is to make.
STATUS = "/run/mod_wsgi_van/status"
BOOT = f"install -d -o www-data {STATUS}"  # what tmpfiles.d does
START = f"{BOOT}; apache2ctl -k start 2>/dev/null; sleep 0.2"


def edit(script: str, file: str = VAN) -> str:
    """A change that Apache has read when the doctor comes."""
    return f"sed -i {script!r} {file}; {START}"


def in_home(script: str) -> str:
    """Break a copy of the daemon's environment, $home of python $version."""
    return (
        f"cp -r --no-target-directory HOME /srv/home; home=/srv/home;"
        f"lib=$(echo $home/lib/python3*); {script};"
        f"sed -i 's#python-home=[^ ]*#python-home=/srv/home#' {VAN}; {START}"
    )


def in_site(script: str) -> str:
    return f"cd {SITE}; {script}; {START}"


def shown(path: str, text: str) -> str:
    """Another text for a file of the kernel's."""
    return f"echo {text} > /srv/shown; mount --bind /srv/shown {path}; {START}"


_INSIDE = (
    f'awk \'/^WSGIDaemonProcess/ {{held = 1}} held {{kept = kept $0 "\\n"; held = /\\\\$/; next}}'
    f' {{print}} /^<VirtualHost/ {{printf "%s", kept}}\' {VAN} > /srv/van;'
    f" cat /srv/van > {VAN}; {START}"
)
_FEW_FILES = "echo 'APACHE_ULIMIT_MAX_FILES=\"ulimit -n 512\"' >> /etc/apache2/envvars; " + START
_FULL = (
    "cp -a /var/www /srv/copy; mount -t tmpfs -o size=200k none /var/www; chmod 755 /var/www;"
    " cp -a /srv/copy/. /var/www; dd if=/dev/zero of=/var/www/.full bs=4k 2>/dev/null || true; "
) + START
_SELF_SIGNED = (
    CERTIFY.format(certificate="certificate.pem")
    + "COMMAND setup --domain domain.org --tls /srv/ca/certificate.pem,/srv/ca/key.pem >/dev/null"
    " || true"
)

# What is broken -> the script that breaks it, and the check that finds it.
BROKEN = {
    "Apache is not installed": (f"{BOOT}; mount --bind /dev/null /usr/sbin/apache2", "apache"),
    "a directive that does not exist": (
        "echo Nonsense > /etc/apache2/conf-enabled/x.conf",
        "configtest",
    ),
    "mod_wsgi is not enabled": (
        f"a2dissite -q van; a2dismod -q wsgi; {START}",
        "module-wsgi site-of-apache",
    ),
    "no threads": (
        f"a2dismod -q http2; a2dismod -q mpm_event; a2enmod -q mpm_prefork; {START}",
        "mpm",
    ),
    "Apache does not run": (BOOT, "runs"),
    "the site is not enabled": (f"a2dissite -q van; {START}", "site-of-apache"),
    "embedded by mistake": (
        edit("/WSGIProcessGroup/d;/WSGIRestrictEmbedded/d"),
        "embedded answers",
    ),
    "another process group": (
        edit("s/WSGIProcessGroup .*/WSGIProcessGroup other/"),
        "process-group",
    ),
    "a daemon process inside of the virtual host": (_INSIDE, "daemon-inside"),
    "text is ASCII": (edit("s/ lang=C.UTF-8 locale=C.UTF-8//"), "locale"),
    "hardly any thread": (edit("s/threads=32/threads=2/"), "threads"),
    "an interpreter for each name": (edit("/WSGIApplicationGroup/d"), "application-group"),
    "one name for all": (edit("s/UseCanonicalName Off/UseCanonicalName On/"), "canonical-name"),
    "no passwords": (edit("/WSGIPassAuthorization/d"), "WSGIPassAuthorization"),
    "no chunked requests": (
        edit("s/WSGIChunkedRequest On/WSGIChunkedRequest Off/"),
        "WSGIChunkedRequest",
    ),
    "code is published": (edit("s#%0/static#%0#"), "document-root"),
    "hidden directories": (
        edit(r"s/ServerAlias .*/ServerAlias */;/{SERVER_NAME}. .!/d;/R=400/d"),
        "hidden-hosts",
    ),
    "rules without an engine": (edit("/RewriteEngine/d"), "rewrite"),
    "the environment is gone": (
        edit("s#python-home=[^ ]*#python-home=/srv/none#"),
        "python-home",
    ),
    "the environment is closed": (in_home("chmod 700 $home"), "python-home"),
    "an environment of another Python": (
        in_home("mv $lib $home/lib/python3.9; ln -sfn /bin/false $home/bin/python"),
        "python-version",
    ),
    "the package is not installed": (
        in_home("rm -r $lib/site-packages/mod_wsgi_van"),
        "package-mod_wsgi_van",
    ),
    "watchdog is not installed": (
        in_home("rm -r $lib/site-packages/watchdog"),
        "package-watchdog",
    ),
    "the package was installed with a closed umask": (
        in_home("chmod -R go= $lib/site-packages/mod_wsgi_van"),
        "package-mod_wsgi_van",
    ),
    "a Python with a known fault": (
        in_home(r"sed -i 's/^\(version[a-z_]*\) = .*/\1 = 3.14.2/' $home/pyvenv.cfg"),
        "known-faults",
    ),
    "the wsgi file does not compile": (
        f"echo 'def' >> /etc/mod_wsgi_van/app.wsgi; {START}",
        "wsgi-file",
    ),
    "the wsgi file is closed": (
        f"chmod 600 /etc/mod_wsgi_van/app.wsgi; {START}",
        "wsgi-file",
    ),
    "Apache may not serve the wsgi file": (
        edit("/<Directory .etc.mod_wsgi_van>/,/<.Directory>/d"),
        "answers",
    ),
    "a setting that does not exist": (
        f"echo 'setle = 1' >> /etc/mod_wsgi_van/van.toml; {START}",
        "settings",
    ),
    "a setting with a wrong value": (
        f"echo 'settle = \"x\"' >> /etc/mod_wsgi_van/van.toml; {START}",
        "settings",
    ),
    "the base path is closed": (f"chmod 700 /var/www; {START}", "base-path"),
    "the base path is gone": (f"mv /var/www /var/www.old; {START}", "base-path"),
    "a blind file system": (
        f"cp -a /var/www /srv/copy; rm -r /var/www/*; bindfs /srv/copy /var/www; {START}",
        "blind",
    ),
    "a full file system": (_FULL, "space"),
    "few inotify watches": (
        shown("/proc/sys/fs/inotify/max_user_watches", "100"),
        "inotify-watches",
    ),
    "few inotify instances": (
        shown("/proc/sys/fs/inotify/max_user_instances", "2"),
        "inotify-instances",
    ),
    "few open files": (_FEW_FILES, "open-files"),
    "a certificate that nobody trusts": (_SELF_SIGNED, "certificate"),
    "a dangling link": (
        f"ln -s .releases/none /var/www/next.domain.org; {START}",
        "path",
    ),
    "a closed site": (in_site("chmod 700 ."), "path"),
    "a closed directory above": (
        f"mkdir -m 700 /srv/shut; mv {SITE} /srv/shut; ln -s /srv/shut/{HOST} {SITE}; {START}",
        "path",
    ),
    "a closed wsgi directory": (in_site("chmod 711 wsgi"), "wsgi-dir"),
    "no wsgi directory": (in_site("rm -r wsgi"), "wsgi-dir"),
    "a key that no site may set": (in_site("echo 'user = 1' > van.toml"), "van-toml"),
    "a file that is no TOML": (in_site("echo 'user' > van.toml"), "van-toml"),
    "secrets that cannot be read": (
        in_site(
            "mkdir shared; echo 'no name' > shared/.env;"
            " chgrp www-data shared/.env; chmod 640 shared/.env"
        ),
        "van-toml",
    ),
    "secrets that everybody can read": (
        in_site("mkdir shared; echo 'KEY=1' > shared/.env; chmod 644 shared/.env"),
        "secrets",
    ),
    "more than a site may have": (in_site("echo 'threads = 99' > van.toml"), "limits"),
    "an entry that is nowhere": (in_site("echo 'entry = \"a.b:c\"' > van.toml"), "application"),
    "two modules that may be meant": (
        in_site("rm wsgi/app.py; touch wsgi/wsgi.py wsgi/passenger_wsgi.py"),
        "van-toml",
    ),
    "no application": (in_site("echo 'x = 1' > wsgi/app.py"), "application"),
    "no module": (in_site("mv wsgi/app.py wsgi/main.py"), "application"),
    "an ASGI application": (
        in_site("echo 'async def app(scope, receive, send): pass' > wsgi/app.py"),
        "application",
    ),
    "a module that does not compile": (in_site("echo 'def' >> wsgi/app.py"), "application"),
    "a closed module": (in_site("chmod 600 wsgi/app.py"), "application"),
    "half an environment": (in_site("mkdir .venv"), "environment"),
    "a closed environment": (
        in_site(f"{PYTHON} -m venv --without-pip .venv; chmod 700 .venv"),
        "environment",
    ),
    "an interpreter that is gone": (
        in_site(f"{PYTHON} -m venv --without-pip .venv; ln -sfn /opt/none .venv/bin/python"),
        "interpreter",
    ),
    "an interpreter that is closed": (
        in_site(
            f"{PYTHON} -m venv --without-pip .venv; mkdir -m 700 /srv/pyenv;"
            f" cp $(readlink -f {PYTHON}) /srv/pyenv/python;"
            " ln -sfn /srv/pyenv/python .venv/bin/python"
        ),
        "interpreter",
    ),
    "no directory for the status": (f"{START}; rm -r {STATUS}", "status"),
    "a closed directory for the status": (f"{START}; chown root {STATUS}", "status"),
    "a site in maintenance": (
        f"mkdir -p /var/www/.sites/{HOST}; touch /var/www/.sites/{HOST}/maintenance; {START}",
        "maintenance",
    ),
    "a repository below static": (in_site("mkdir static/.git"), "published"),
    "secrets below static": (in_site("touch static/.env"), "published"),
    "an import that fails": (in_site("echo 'import none' >> wsgi/app.py"), "load"),
    "an import that ends the process": (
        in_site("echo 'import os; os._exit(3)' >> wsgi/app.py"),
        "load",
    ),
}
WARNINGS = {
    *("mpm", "embedded", "daemon-inside", "locale", "threads", "WSGIPassAuthorization"),
    *("WSGIChunkedRequest", "hidden-hosts", "known-faults", "blind", "space", "inotify-watches"),
    *("inotify-instances", "open-files", "certificate", "published", "limits"),
    *("secrets", "status", "maintenance"),
}


@pytest.fixture(scope="module")
def sound(command: Path) -> Iterator[Path]:
    """A machine after setup, Apache ended."""
    with open_directory() as directory, machine() as running:
        assert not running.run(command, "setup", "--domain", "domain.org").returncode
        running.shell("apache2ctl stop; while [ -e /run/apache2/apache2.pid ]; do sleep 0.05; done")
        running.save(directory)
        yield directory


def findings(running: Machine, command: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    done = running.run(command, "doctor", "--json", "--load", *options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_sound_machine_gets_no_word(sound: Path, command: Path) -> None:
    with machine(sound) as running:
        running.shell(START)
        status, found = findings(running, command)
        assert [each for each in found if each["state"] != "ok"] == []
        assert status == 0
        assert len(found) > 30
        said = running.run(command, "doctor")
        assert said.stdout.endswith(f"All {len(found) - 1} checks are well.\n"), said.stdout
        assert "\x1b" not in said.stdout
        assert said.returncode == 0


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found(what: str, sound: Path, command: Path) -> None:
    script, names = BROKEN[what]
    home = str(command.parent.parent)
    with machine(sound) as running:
        running.shell(script.replace("HOME", home).replace("COMMAND", str(command)))
        status, found = findings(running, command)
        told = [each for each in found if each["state"] != "ok"]
        assert [each["name"] for each in told] == names.split(), told
        assert all(each["says"] and each["remedy"] for each in told)
        only_warnings = set(names.split()) <= WARNINGS
        assert {each["name"] for each in told if each["state"] == "warning"} <= WARNINGS
        assert status == (2 if only_warnings else 1)


def test_a_mod_wsgi_with_a_known_fault_is_found(sound: Path, command: Path) -> None:
    with machine(sound) as running:
        running.load_mod_wsgi(built("6.0.4", PYTHON))
        running.shell(START)
        assert findings(running, command)[0] == 0
        running.shell(f"apache2ctl stop; sleep 0.5; echo WSGIScriptReloading Off >> {VAN}; {START}")
        status, found = findings(running, command)
        told = [each for each in found if each["state"] != "ok"]
        assert (status, [each["name"] for each in told]) == (2, ["known-faults"]), told
        assert "mod_wsgi 6.0.0 to 6.0.4" in told[0]["says"]


def test_one_site_can_be_asked_for(sound: Path, command: Path) -> None:
    with machine(sound) as running:
        running.shell(f"{START}; mkdir -p /var/www/broken.domain.org/wsgi")
        assert findings(running, command, HOST)[0] == 0
        status, found = findings(running, command, "broken.domain.org")
        told = [each for each in found if each["state"] != "ok"]
        assert (status, [each["site"] for each in told]) == (1, ["broken.domain.org"])
        shown = running.run(command, "doctor", "broken.domain.org").stdout
        assert "broken.domain.org/wsgi/app.py defines app or application ... problem\n    " in shown


def test_what_the_manual_shows_is_what_the_doctor_says(sound: Path, command: Path) -> None:
    page = (PROJECT / "mod_wsgi_van/manual/operations.md").read_text()
    shown = page[page.index("<!-- output:doctor -->") :].split("\n\n")[0].splitlines()[1:]
    host = "shop.domain.org"
    with machine(sound) as running:
        running.shell(f"{START}; cp -r {SITE} /var/www/{host}; chmod 700 /var/www/{host}/wsgi")
        said = running.run(command, "doctor", host).stdout
        assert "\n".join(line.removeprefix("    ") for line in shown) in said


# Set-ups that are sound in a way of their own.
SOUND = {
    "the process group in the alias": edit(
        "/WSGIProcessGroup/d;/WSGIApplicationGroup/d;s#WSGIScriptAlias / .*#&"
        " process-group=mod_wsgi_van application-group=%{GLOBAL}#"
    ),
    "Apache's own user": edit("s/ user=www-data group=www-data//"),
    "a user by number": edit("s/user=www-data/user=#33/"),
    "settings in the wsgi file": (
        "printf 'from mod_wsgi_van import Router\\nBASE = 1\\n"
        'application = Router("/var/www", settle=1).application\' > /etc/mod_wsgi_van/app.wsgi;'
        f" rm /etc/mod_wsgi_van/van.toml; {START}"
    ),
    "settings in another file": (
        "mv /etc/mod_wsgi_van/van.toml /etc/mod_wsgi_van/other.toml;"
        " sed -i 's#from_config()#from_config(\"/etc/mod_wsgi_van/other.toml\")#'"
        f" /etc/mod_wsgi_van/app.wsgi; {START}"
    ),
    "an address of its own": edit("s/VirtualHost \\*:80/VirtualHost 127.0.0.1:80/"),
}


@pytest.mark.parametrize("what", SOUND)
def test_what_is_sound_in_its_own_way_gets_no_word(what: str, sound: Path, command: Path) -> None:
    with machine(sound) as running:
        running.shell(SOUND[what])
        status, found = findings(running, command)
        assert [each for each in found if each["state"] != "ok"] == []
        assert status == 0


HOSTILE = {
    "deep code": "printf 'a' > app.py; python3 -c 'print(\".b\" * 20000)' >> app.py",
    "deep signs": 'python3 -c \'print("-" * 20000 + "1")\' > app.py',
    "a pipe": "rm app.py; mkfifo app.py",
    "a device": "ln -sf /dev/zero app.py",
    "a huge number": "printf 'threads = 0x' > ../van.toml;"
    " python3 -c 'print(\"f\" * 5000)' >> ../van.toml",
    "a flood at load": "echo 'import os\\nwhile True: os.write(2, b\"x\" * 65536)' > app.py;"
    " sed -i 's/\\\\n/\\n/' app.py",
    "escapes": "ln -s \"$(printf '/srv/\\033]0;title\\007\\nChecking whether all is well ... ok')\""
    " ../../next.domain.org",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_site_is_a_finding_and_the_others_are_looked_at(
    what: str, sound: Path, command: Path
) -> None:
    with machine(sound) as running:
        running.shell(
            f"cp -r {SITE} /var/www/a.domain.org; cd /var/www/a.domain.org/wsgi; {HOSTILE[what]};"
            f" sed -i '$aload_timeout = 1' /etc/mod_wsgi_van/van.toml; {START}"
        )
        status, found = findings(running, command)
        told = [each for each in found if each["state"] != "ok"]
        assert {each["site"] for each in told} <= {"a.domain.org", "next.domain.org"}
        assert told and status in (1, 2)
        assert [each for each in found if each["site"] == HOST]
        shown = running.run(command, "doctor").stdout
        assert "\x1b" not in shown and "\nChecking whether all is well" not in shown


def test_a_site_gets_nothing_of_roots_when_it_is_loaded(sound: Path, command: Path) -> None:
    spy = (
        "import os; open('/srv/seen/x', 'w').write("
        "str([os.geteuid(), os.getsid(0) == os.getpid(), 'SECRET' in os.environ]))"
    )
    with machine(sound) as running:
        running.shell(f'mkdir -m 1777 /srv/seen; echo "{spy}" >> {SITE}/wsgi/app.py')
        running.shell(START)
        running.run(command, "doctor", "--load", HOST, SECRET="x")
        assert running.shell("cat /srv/seen/x") == "[33, True, False]"


def test_a_wsgi_file_that_computes_its_settings_is_said_so(sound: Path, command: Path) -> None:
    with machine(sound) as running:
        text = 'from mod_wsgi_van import Router\\nBASE = "/var/www"\\n'
        text += "application = Router(BASE).application"
        running.shell(f"printf '{text}' > /etc/mod_wsgi_van/app.wsgi; {START}")
        status, found = findings(running, command)
        told = [each for each in found if each["state"] != "ok"]
        assert (status, [each["name"] for each in told]) == (2, ["settings"])
        assert "line 3" in told[0]["says"]


def test_a_name_that_no_site_can_have_is_wrong_usage(sound: Path, command: Path) -> None:
    with machine(sound) as running:
        done = running.run(command, "doctor", "http://x.org/")
        assert (done.returncode, done.stdout.count("\n")) == (2, 1)
