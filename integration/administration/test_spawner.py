"""Sites that run as their owners, on a machine with Apache, users and homes that are closed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.administration.asking import ask
from integration.administration.conftest import Setup
from integration.administration.test_setup import tree
from integration.server.machine import Machine
from tests.support.waiting import wait

# What setup wants of systemd, with the privileges that its unit leaves.
_SYSTEMCTL = """
cat > /usr/local/bin/systemctl <<'END'
#!/bin/sh -e
unit=/etc/systemd/system/$3.service
case $1 in
enable)
    ln -sf $unit /etc/systemd/system/multi-user.target.wants/$3.service
    mkdir -p /run/mod_wsgi_van
    kept=$(sed -n 's/^CapabilityBoundingSet=//p' $unit | tr A-Z a-z | sed 's/cap_/,+/g; s/ //g')
    setpriv --no-new-privs --bounding-set=-all$kept \
        $(sed -n 's/^ExecStart=//p' $unit) </dev/null >/dev/null 2>>/run/spawner.log &
    echo $! > /run/spawner.pid
    for _ in $(seq 200); do grep -qs 'is open to' /run/spawner.log && exit; sleep 0.05; done
    cat /run/spawner.log
    exit 1
    ;;
disable)
    kill $(cat /run/spawner.pid)
    rm /etc/systemd/system/multi-user.target.wants/$3.service
    ;;
esac
END
chmod 755 /usr/local/bin/systemctl
"""
_APP = """
import json, os, pwd
def app(environ, start_response):
    def look(path):
        try:
            return open(path).read().strip()
        except OSError as error:
            return type(error).__name__
    start_response("200 OK", [("Content-Type", "application/json")])
    homes = {name: look(f"/srv/homes/{name}/secret") for name in ("alice", "bob")}
    user = pwd.getpwuid(os.getuid()).pw_name
    neighbour = look("/var/www/bob.domain.org/wsgi/app.py")[:15]
    return [json.dumps([user, homes, neighbour, os.getpid(), RELEASE]).encode()]
"""
_USERS = f"""
mkdir -p /srv/homes
for user in alice bob; do
    useradd --home-dir /srv/homes/$user --shell /usr/sbin/nologin $user
    mkdir -m 700 /srv/homes/$user
    echo "of $user" > /srv/homes/$user/secret
    chown -R $user: /srv/homes/$user
    site=/var/www/$user.domain.org
    mkdir -p $site/wsgi
    cat > $site/wsgi/app.py <<'END'
RELEASE = 1
{_APP}
END
    chown -R $user:www-data $site
    chmod 2750 $site $site/wsgi
    chmod 640 $site/wsgi/app.py
done
"""


@pytest.fixture
def hosting(bare: Machine, setup: Setup) -> Machine:
    bare.shell(_SYSTEMCTL)
    said = setup("--site-user", "owner")
    assert "checks are well" in said, said
    bare.shell(_USERS)
    return bare


def answer(machine: Machine, user: str) -> list[object]:
    status, _, body = ask(machine, f"{user}.domain.org").partition(" ")
    if status != "200":
        raise AssertionError(machine.shell("cat /var/log/apache2/error.log /run/spawner.log"))
    said: list[object] = json.loads(body)
    return said


def test_each_site_runs_as_its_owner(hosting: Machine) -> None:
    """It reads what is its owner's in a closed home, and nothing of its neighbour's."""
    closed = "PermissionError"
    user, homes, neighbour, first, _ = answer(hosting, "alice")
    assert (user, homes, neighbour) == ("alice", {"alice": "of alice", "bob": closed}, closed)
    user, homes, _, other, _ = answer(hosting, "bob")
    assert (user, homes) == ("bob", {"alice": closed, "bob": "of bob"})
    hosting.shell("sed -i 's/RELEASE = 1/RELEASE = 2/' /var/www/alice.domain.org/wsgi/app.py")
    wait(lambda: answer(hosting, "alice")[4] == 2, "the new release")
    # The end of the spawner ends no worker, that of Apache ends all.
    hosting.shell("kill $(cat /run/spawner.pid)")
    assert answer(hosting, "bob")[3] == other
    hosting.shell("apache2ctl -k stop; while pgrep -u alice,bob >/dev/null; do sleep 0.05; done")
    assert first != other


def test_what_root_deploys_is_the_owners_and_is_proven_as_the_owner(
    hosting: Machine, command: Path
) -> None:
    hosting.shell("cp -r /var/www/alice.domain.org /srv/closed; chmod 700 /srv/closed")
    deploy = [str(command), "deploy", "shop.domain.org", "/srv/closed", "--check", "/"]
    done = hosting.run(*deploy)
    assert done.returncode == 1
    assert "nobody owns shop.domain.org yet" in done.stdout
    home = "/var/www/.sites/shop.domain.org"
    hosting.shell(f"mkdir -p /var/www/.sites && install -d -o alice {home}")
    hosting.shell(
        "echo 'assert os.getuid() == 0 or open(\"/srv/homes/alice/secret\")' >>"
        " /srv/closed/wsgi/app.py; echo '# none' > /srv/closed/requirements.txt"
    )
    done = hosting.run(*deploy)
    assert done.returncode == 0, done.stdout
    assert json.loads(ask(hosting, "shop.domain.org").partition(" ")[2])[0] == "alice"
    assert hosting.shell(f"find {home} -not -user alice") == ""
    done = hosting.run(*deploy[:-2])
    assert done.returncode == 0, done.stdout
    hosting.shell(
        f"runuser -u alice -- sh -c 'cd /; exec \"$@\"' sh {command} rollback shop.domain.org"
    )


def test_what_is_refused_says_so_in_the_log_and_by_the_doctor(
    hosting: Machine, command: Path
) -> None:
    hosting.shell("chown -R root:www-data /var/www/alice.domain.org")
    assert ask(hosting, "alice.domain.org")[:3] == "500"
    log = hosting.shell("cat /var/log/apache2/error.log")
    assert "alice.domain.org: VAN050: the spawner starts no worker: /var/www/alice" in log
    assert "belongs to user 0" in log
    assert answer(hosting, "bob")[0] == "bob"
    assert problems(hosting, command) == [("owner", "alice.domain.org")]
    hosting.shell("chown -R alice:www-data /var/www/alice.domain.org")
    assert problems(hosting, command) == []
    assert answer(hosting, "alice")[0] == "alice"
    hosting.shell("kill $(cat /run/spawner.pid); rm /run/mod_wsgi_van/spawner")
    assert problems(hosting, command) == [("spawner", "")]
    # A spawner that starts has what was refused without it tried again.
    hosting.shell("touch /var/www/alice.domain.org/wsgi/app.py; apache2ctl -k stop")
    hosting.shell("while pgrep -x apache2 >/dev/null; do sleep 0.05; done")
    hosting.shell("apache2ctl -k start")
    wait(lambda: ask(hosting, "alice.domain.org")[:3] == "500", "the refusal")
    hosting.shell("> /run/spawner.log; systemctl enable --now mod-wsgi-van-spawner")
    wait(lambda: ask(hosting, "alice.domain.org")[:3] == "200", "the site")


def problems(machine: Machine, command: Path) -> list[tuple[str, str]]:
    lines = machine.run(command, "doctor", "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    return [(each["name"], each["site"]) for each in found if each["state"] != "ok"]


def test_it_can_be_taken_back(bare: Machine, setup: Setup) -> None:
    bare.shell(_SYSTEMCTL)
    units = "find /etc/systemd -name '*spawner*'"
    before = tree(bare), bare.shell(units)
    setup("--site-user", "owner")
    assert bare.shell(units) != before[1]
    setup("--undo")
    assert (tree(bare), bare.shell(units)) == before
    assert "certbot shows" in setup("--site-user", "owner", "--tls", "certbot", status=2)
