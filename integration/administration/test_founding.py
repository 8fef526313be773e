"""New sites on a machine with Apache, as root makes them: whose they are, and what is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from integration.administration.asking import ask
from integration.administration.conftest import Setup
from integration.server.machine import Machine
from integration.server.programs import system_python
from tests.support.places import open_directory

HOST = "shop.domain.org"
HOME = f"/var/www/.sites/{HOST}"
SERVED = f"200 {HOST} is served by mod_wsgi_van\n"


def test_a_site_from_its_first_page_to_its_end(bare: Machine, command: Path, setup: Setup) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        done = bare.run(command, *arguments)
        assert done.returncode == status, done.stdout
        return done.stdout

    bare.shell("install -d -o www-data /run/mod_wsgi_van/status")
    setup()
    said = run("new", HOST)
    assert f"served from /var/www/{HOST}, whose files are www-data's" in said
    assert ask(bare, HOST) == SERVED
    assert f"/var/www/{HOST} exists" in run("new", HOST, status=1)
    bare.shell(f"echo SECRET=42 > {HOME}/shared/.env")
    assert run("run", HOST, "--", "sh", "-c", "id -un; echo $SECRET; pwd").split() == [
        "www-data",
        "42",
        bare.shell(f"readlink -f /var/www/{HOST}").strip(),
    ]
    bare.shell(f"echo '<p>soon</p>' > /var/www/{HOST}/maintenance.html")
    assert "1 of 1 daemon processes have noticed" in run("maintenance", "on", HOST)
    soon = "503 <p>soon</p>\n"
    assert ask(bare, HOST) == soon
    bare.shell("apache2ctl -k stop; while pgrep -x apache2 >/dev/null; do sleep 0.05; done")
    bare.shell("apache2ctl -k start")
    assert ask(bare, HOST) == soon
    run("maintenance", "off", HOST)
    assert ask(bare, HOST) == SERVED
    assert "--yes" in run("remove", HOST, status=2)
    assert "none of 1 daemon processes has it" in run("remove", HOST, "--yes")
    assert ask(bare, HOST)[:3] == "404"
    assert bare.shell(f"find /var/www -name '*{HOST}*'") == ""


def test_a_site_of_a_user(bare: Machine, command: Path, setup: Setup) -> None:
    setup()
    bare.shell("echo 'site_user = \"owner\"' >> /etc/mod_wsgi_van/van.toml; useradd ann")
    done = bare.run(command, "new", HOST)
    assert done.returncode == 1 and "nobody owns" in done.stdout
    assert bare.run(command, "new", HOST, "--user", "nonesuch").returncode == 2
    done = bare.run(command, "new", HOST, "--user", "ann")
    assert done.returncode == 0 and "whose files are ann's" in done.stdout, done.stdout
    assert bare.shell(f"find {HOME} -not -user ann") == ""
    assert bare.run(command, "run", HOST, "id", "-un").stdout == "ann\n"


@pytest.mark.parametrize("kind", ["flask", "django"])
def test_frameworks(command: Path, kind: str) -> None:
    """Packages are installed as the daemon's user; the release is asked for its page."""
    with open_directory() as directory:
        file = directory / "van.toml"
        file.write_text(f'base_path = "{directory}"\nload_timeout = 120\n')

        def run(verb: str, *arguments: str) -> str:
            whole: list[str | Path] = [command, verb, "--config", file, *arguments]
            done = subprocess.run(whole, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        python = ".".join(system_python_version())
        said = run("new", HOST, "--from", kind, "--python", python)
        assert "made from requirements.txt" in said and "GET / answered" in said
        code = f"import sys, {kind}; print(sys.prefix)"
        assert "/environments/" in run("run", HOST, "python", "-c", code)
        if kind == "django":
            assert "no issues" in run("run", HOST, "--", "python", "manage.py", "check")
        run("remove", HOST, "--yes")


def system_python_version() -> list[str]:
    code = "import sys; print(*sys.version_info[:2])"
    return subprocess.run(
        [system_python(), "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
