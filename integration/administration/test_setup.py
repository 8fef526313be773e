"""From a bare Apache to a served site with one command, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.administration.asking import CERTIFY, HOST, SERVED, ask
from integration.administration.conftest import Setup
from integration.server import flavours
from integration.server.machine import Machine
from integration.server.programs import system_python
from tests.support.places import PROJECT

_CERTBOT = """
cat > /usr/local/bin/certbot <<'END'
#!/bin/sh -e
echo "$@" > /srv/asked
test -d /var/www/hello.domain.org/static
mkdir -p /etc/letsencrypt/live/domain.org
cp /srv/ca/certificate.pem /etc/letsencrypt/live/domain.org/fullchain.pem
cp /srv/ca/key.pem /etc/letsencrypt/live/domain.org/privkey.pem
END
chmod 755 /usr/local/bin/certbot
"""


def tree(machine: Machine) -> str:
    """Names, modes and texts of all that an administrator sees."""
    return machine.shell(
        "cd /; find etc/apache2 etc/mod_wsgi_van var/www usr/local/bin -printf '%M %p %l\\n'"
        " 2>/dev/null | sort; find etc/apache2 var/www -type f | sort | xargs md5sum"
    )


def test_one_command_serves_a_site_and_another_takes_all_back(
    bare: Machine, setup: Setup, command: Path
) -> None:
    before = tree(bare)
    said = setup()
    assert "checks are well" in said, said
    assert ask(bare) == f"200 {SERVED}"
    assert "(there already) write /etc/mod_wsgi_van/van.toml" in setup()
    status = bare.run(command, "status", "--json").stdout.splitlines()
    assert [json.loads(line).get("state") for line in status] == [None, "loaded"], status
    assert ask(bare) == f"200 {SERVED}"
    assert "removed /etc/mod_wsgi_van" in setup("--undo")
    assert tree(bare) == before
    assert "setup has made nothing" in setup("--undo", status=1)


def test_the_next_site_needs_no_command(bare: Machine, setup: Setup) -> None:
    setup()
    bare.shell(f"cp -r /var/www/{HOST} /var/www/next.domain.org")
    assert ask(bare, "next.domain.org") == "200 next.domain.org is served by mod_wsgi_van\n"
    bare.shell("mkdir -p /var/www/.sites/static; echo hidden > /var/www/.sites/static/x")
    for host in (".sites.domain.org", ".domain.org", "a..domain.org"):
        assert ask(bare, host, path="/x")[:3] == "400"
    assert ask(bare, "none.domain.org")[:3] == "404"


def test_a_dry_run_shows_every_text_and_changes_nothing(bare: Machine, setup: Setup) -> None:
    before = tree(bare)
    said = setup("--dry-run")
    assert tree(bare) == before
    for line in (
        "    WSGIRestrictEmbedded On\n",
        "a2ensite -q van\n",
        '    base_path = "/var/www"\n',
    ):
        assert line in said


def test_what_others_wrote_is_never_touched(bare: Machine, setup: Setup) -> None:
    bare.shell("echo '# mine' > /etc/apache2/sites-available/van.conf")
    before = tree(bare)
    said = setup(status=1)
    assert "mod-wsgi-van: /etc/apache2/sites-available/van.conf exists and is not ours" in said
    assert tree(bare) == before


def test_what_was_changed_since_is_kept(bare: Machine, setup: Setup) -> None:
    setup()
    bare.shell("echo 'settle = 1' >> /etc/mod_wsgi_van/van.toml")
    setup_again = setup("--base", "/srv/sites", status=1)
    assert "/etc/mod_wsgi_van/van.toml was changed since" in setup_again
    assert ask(bare) == f"200 {SERVED}"
    said = setup("--undo")
    assert "/etc/mod_wsgi_van/van.toml stays: it was changed since" in said
    assert "settle" in bare.shell("cat /etc/mod_wsgi_van/van.toml")


def test_a_step_that_fails_takes_all_back(bare: Machine, setup: Setup) -> None:
    bare.shell("echo Nonsense > /etc/apache2/conf-enabled/of-others.conf")
    before = tree(bare)
    said = setup(status=1)
    assert "Nonsense" in said.splitlines()[-1]
    assert "what was done is taken back" in said
    assert tree(bare) == before


def test_a_later_run_that_fails_leaves_what_was_served(bare: Machine, setup: Setup) -> None:
    setup()
    before = tree(bare)
    no = setup("--tls", "/srv/ca/certificate.pem,/srv/ca/key.pem", status=1)
    assert "are no certificate with its key" in no
    bare.shell(CERTIFY.format(certificate="certificate.pem"))
    listener = "import socket, time; s = socket.create_server(('', 443)); time.sleep(600)"
    bare.shell(f'{system_python()} -c "{listener}" >/dev/null 2>&1 & sleep 1')
    said = setup("--tls", "/srv/ca/certificate.pem,/srv/ca/key.pem", status=1)
    assert "Apache has ended" in said and ":443" in said
    assert "sites-available/van.conf is what it was" in said
    assert tree(bare) == before
    assert ask(bare) == f"200 {SERVED}"


def test_a_module_that_others_use_stays(bare: Machine, setup: Setup) -> None:
    setup()
    bare.shell("echo 'RewriteEngine On' > /etc/apache2/conf-enabled/of-others.conf")
    assert "not done, /etc/apache2/conf-enabled/of-others.conf uses it" in setup("--undo")
    assert "rewrite_module" in bare.shell("apache2ctl -M")


@pytest.fixture(params=flavours.NAMES)
def bare_with(request: pytest.FixtureRequest, bare: Machine) -> Machine:
    """A bare machine with each mod_wsgi."""
    if request.param != flavours.DEBIAN:
        bare.load_mod_wsgi(flavours.built(request.param, system_python()))
    return bare


def test_https_with_a_certificate_of_ones_own(bare_with: Machine, setup: Setup) -> None:
    bare_with.shell(CERTIFY.format(certificate="certificate.pem"))
    setup("--tls", "/srv/ca/certificate.pem,/srv/ca/key.pem")
    assert ask(bare_with, ca="/srv/ca/ca.pem") == f"200 {SERVED}"
    assert ask(bare_with, path="/a%20b?c") == f"301 https://{HOST}/a%20b?c"
    assert ask(bare_with, ".domain.org")[:3] == "400"
    assert ask(bare_with, HOST, "/srv/ca/ca.pem", "/", "h2", "http/1.1") == "HTTP/2\n"
    setup("--undo")


def test_https_by_certbot(bare_with: Machine, setup: Setup) -> None:
    assert "there is no certbot (apt install certbot)" in setup("--tls", "certbot", status=1)
    bare_with.shell(CERTIFY.format(certificate="certificate.pem") + _CERTBOT)
    setup("--tls", "certbot")
    assert ask(bare_with, ca="/srv/ca/ca.pem") == f"200 {SERVED}"
    asked = bare_with.shell("cat /srv/asked; rm /srv/asked")
    assert f"--webroot-path /var/www/{HOST}/static -d {HOST}" in asked
    bare_with.shell(f"mkdir -p /var/www/{HOST}/static/.well-known/acme-challenge")
    bare_with.shell(f"printf token > /var/www/{HOST}/static/.well-known/acme-challenge/x")
    assert ask(bare_with, path="/.well-known/acme-challenge/x") == "200 token"
    setup("--tls", "certbot")
    assert bare_with.run("test", "-e", "/srv/asked").returncode


def test_https_by_apache_itself(bare_with: Machine, setup: Setup) -> None:
    said = setup("--tls", "mod_md", status=1)
    assert "needs a program /etc/mod_wsgi_van/dns01" in said
    bare_with.shell("mkdir /etc/mod_wsgi_van; printf '#!/bin/sh\\n' > /etc/mod_wsgi_van/dns01")
    bare_with.shell("chmod 755 /etc/mod_wsgi_van/dns01")
    setup("--tls", "mod_md", "--email", "ann@domain.org")
    # Nobody gives a certificate here: Apache serves with one of its own until it gets one.
    assert ask(bare_with, ca="any")[:3] in ("200", "503")
    assert "MDContactEmail ann@domain.org" in bare_with.shell(
        "cat /etc/apache2/sites-enabled/van.conf"
    )
    setup("--undo")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--domain", "Domain.org"), "is not a domain in lower case"),
        (("--domain", "a\nInclude /etc/passwd"), "is not a domain in lower case"),
        (("--base", "/srv/$x"), "is not an absolute path"),
        (("--base", "sites"), "is not an absolute path"),
        (("--tls", "always"), "allowed are none, files, certbot, mod_md"),
        (("--tls", "files"), "names two files"),
        (("--email", "x"), "is not a mail address"),
    ],
)
def test_wrong_options_are_wrong_usage(
    bare: Machine, setup: Setup, options: tuple[str, ...], words: str
) -> None:
    said = setup(*options, status=2)
    assert words in said
    assert said.count("\n") == 1


def test_what_the_manual_shows_is_what_setup_says(
    bare: Machine, setup: Setup, command: Path
) -> None:
    page = (PROJECT / "mod_wsgi_van/manual/apache.md").read_text()
    shown = page[page.index("<!-- output:setup -->") :].split("\n\n`setup`")[0].splitlines()[1:]
    said = setup().replace(str(command.parent.parent), "/opt/mod_wsgi_van")
    said = said.replace("apache2ctl -k start", "systemctl reload-or-restart apache2")
    assert [line.strip() for line in shown] == said.rstrip("\n").splitlines()


def test_a_closed_umask_of_roots_closes_nothing(bare: Machine, command: Path) -> None:
    done = bare.run("sh", "-c", f"umask 077; {command} setup --domain domain.org")
    assert done.returncode == 0, done.stdout
    assert ask(bare) == f"200 {SERVED}"


def test_a_link_in_anothers_directory_leads_nowhere(bare: Machine, setup: Setup) -> None:
    bare.shell(
        f"mkdir -p /var/www/{HOST}/wsgi; echo secret > /srv/victim; chmod 600 /srv/victim;"
        f" ln -s /srv/victim /var/www/{HOST}/wsgi/.app.py.new"
    )
    setup()
    assert bare.shell("cat /srv/victim; stat -c %a /srv/victim") == "secret\n600\n"


def test_undo_needs_no_domain_and_starts_nothing(
    bare: Machine, setup: Setup, command: Path
) -> None:
    setup()
    bare.shell("apache2ctl stop; while [ -e /run/apache2/apache2.pid ]; do sleep 0.05; done")
    assert bare.run(command, "setup", "--undo").returncode == 0
    assert not bare.run("sh", "-c", "! pgrep -x apache2").returncode
    done = bare.run(command, "setup")
    assert (done.returncode, done.stdout.count("\n")) == (2, 1)
