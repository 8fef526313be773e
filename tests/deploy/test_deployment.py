"""A deploy from its first step to its last, what fails on the way, and what is left of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.deploy import revisions
from mod_wsgi_van.deploy.deployment import Deployment, Wanted
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.switching import Subject
from tests.deploy.conftest import Deploy
from tests.support.vhosts import app, write

BROKEN = {
    "syntax": "x = (",
    "import": "import nothing_of_this_name",
    "raises": "1 / 0",
    "exits": "raise SystemExit",
    "no app": "x = 1",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}
ANSWERS_500 = """
def app(environ, start_response):
    start_response("500 Oh", [])
    return [b"broken"]
"""


def state(home: Home) -> tuple[object, ...]:
    """All that the daemon could see, and what the next deploy would find."""
    link = os.readlink(home.link) if home.link.is_symlink() else ""
    below = sorted(str(each) for each in home.releases.rglob("*")) if home.path.exists() else []
    return link, home.live(), home.whole(), below


def test_a_first_and_a_second_deploy(home: Home, deploy: Deploy, source: Path) -> None:
    steps = deploy()
    assert [step.name for step in steps] == [
        *("copy", "shared", "environment", "bytecode", "load", "record", "activate", "prune")
    ]
    first = home.live()
    assert (home.link / "wsgi/app.py").read_text() == app("one")
    assert list((home.link / "wsgi/__pycache__").glob("app.*.pyc"))
    write(source / "wsgi/app.py", app("two"))
    deploy()
    assert (home.link / "wsgi/app.py").read_text() == app("two")
    assert home.whole() == [first, home.live()]
    lines = [line.split() for line in home.revisions.read_text().splitlines()]
    assert [line[2:5] for line in lines] == [
        ["deploy", first, "before=-"],
        ["deploy", home.live(), f"before={first}"],
    ]


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_load_changes_nothing(
    home: Home, deploy: Deploy, source: Path, what: str
) -> None:
    deploy()
    before = state(home)
    write(source / "wsgi/app.py", BROKEN[what])
    with pytest.raises(DeployFailed, match=r"cannot go live\n(.*\n)*.*(VAN00|-9)") as caught:
        deploy()
    assert state(home) == before
    assert "requests get" not in str(caught.value)  # they get the release that is live


def test_what_does_not_answer_its_check_changes_nothing(
    home: Home, deploy: Deploy, source: Path
) -> None:
    write(source / "wsgi/app.py", ANSWERS_500)
    with pytest.raises(DeployFailed, match=r"VAN044.*answered 500 Oh"):
        deploy(check="/health")
    assert state(home) == ("", "", [], [])
    deploy()  # no check is set
    before = state(home)
    write(source / "van.toml", 'check = "/"')
    with pytest.raises(DeployFailed, match="VAN044"):
        deploy()
    write(source / "van.toml", "chekc = 1")
    with pytest.raises(DeployFailed, match="VAN041"):
        deploy()
    assert state(home) == before


def test_a_requirement_that_is_missing_changes_nothing(
    home: Home, deploy: Deploy, source: Path
) -> None:
    deploy()
    before = state(home)
    write(source / "requirements.txt", "./nothing-1.0-py3-none-any.whl")
    with pytest.raises(DeployFailed, match=r"failed with status \d+\n(.*\n)*.*nothing"):
        deploy()
    assert state(home) == before
    assert deploy_again(home, deploy, source)


def deploy_again(home: Home, deploy: Deploy, source: Path) -> bool:
    (source / "requirements.txt").unlink()
    deploy()
    return os.listdir(home.environments) == []


def test_secrets_and_settings_of_the_site_hold_while_it_is_proven(
    home: Home, deploy: Deploy, source: Path
) -> None:
    home.shared.mkdir(parents=True)
    (home.shared / ".env").write_text("SECRET=x7\n")
    (home.shared / "media").mkdir()
    write(source / "van.toml", 'entry = "main:make()"\n[env]\nWHERE = "here"\n')
    write(source / "media/seed", "replaced")
    text = "import os\nassert (os.environ['SECRET'], os.environ['WHERE']) == ('x7', 'here')\n"
    write(source / "wsgi/main.py", text + app("one") + "\ndef make(): return app\n")
    steps = deploy(check="/")
    assert steps[1].note == ".env, media"
    assert (home.link / "media").resolve() == home.shared / "media"
    assert (home.link / "shared").resolve() == home.shared


def test_a_site_that_can_be_only_once_is_not_loaded_twice(deploy: Deploy, source: Path) -> None:
    write(source / "van.toml", 'reload = "restart"')
    write(source / "wsgi/app.py", "1 / 0")
    assert "only once" in deploy()[4].note


def test_a_release_that_is_not_activated_can_be(
    home: Home, subject: Subject, deploy: Deploy
) -> None:
    deploy(activate=False)
    assert (home.live(), home.standing()) == ("", "nothing")
    (id,) = home.whole()
    subject.switch(id, "activate")
    assert (home.live(), home.standing()) == (id, "ours")


def test_a_dry_run_proves_and_changes_nothing(home: Home, deploy: Deploy, source: Path) -> None:
    deploy()
    before = state(home)
    assert deploy(dry=True)[-1].note == "nothing has changed"
    write(source / "wsgi/app.py", "1 / 0")
    with pytest.raises(DeployFailed, match="VAN002"):
        deploy(dry=True)
    assert state(home) == before


def test_old_releases_are_removed_but_for_the_live_one_and_the_one_before(
    home: Home, subject: Subject, deploy: Deploy
) -> None:
    for _ in range(4):
        deploy(keep=3)
    first, second, third = home.whole()
    subject.switch(second, "rollback")
    deploy(keep=1)
    assert home.whole() == [third, home.live()]
    subject.switch(third, "rollback")
    assert home.live() == third
    assert first != second
    deploy(keep=1, activate=False)
    assert third in home.whole()


def test_the_release_before_is_one_that_was_live(
    home: Home, subject: Subject, deploy: Deploy
) -> None:
    deploy()
    first = home.live()
    assert revisions.previous(home) == ""
    deploy(activate=False)
    deploy()
    assert revisions.previous(home) == first
    subject.switch(first, "rollback")
    assert revisions.previous(home) == ""


def test_what_stands_at_its_place_is_adopted(home: Home, subject: Subject, deploy: Deploy) -> None:
    write(home.link / "wsgi/app.py", app("old"))
    with pytest.raises(DeployFailed, match="to adopt the site: deploy it with --no-activate"):
        deploy()
    assert home.whole() == []
    deploy(activate=False)
    home.link.rename(home.base / ".sites/shop.test.before")
    subject.switch(home.whole()[0], "activate")
    assert (home.link / "wsgi/app.py").read_text() == app("one")


def line(home: Home, state: str, failure: object = None) -> Callable[[], dict[str, Any]]:
    """A daemon process that follows ``current``."""
    return lambda: {
        "state": state,
        "release": os.path.realpath(home.current) if state == "loaded" else "/old",
        "failure": failure,
    }


def test_it_waits_until_the_daemon_has_it_live(home: Home, deploy: Deploy, said: list[Any]) -> None:
    answers = iter([{"state": "loading", "release": "", "failure": None}] * 3)
    said[:] = [lambda: next(answers, line(home, "loaded")()), {}]
    note = deploy()[-2].note
    assert note == "1 of 2 daemon processes have it live; the others load it with the first request"
    said[:] = [line(home, "loaded"), "it hangs"]
    assert deploy()[-2].note == "1 of 2 daemon processes have it live; it hangs"


FAILED = {"code": "VAN002", "text": "import failed", "time": 1e11}


def test_what_the_daemon_cannot_load_is_taken_back(
    home: Home, deploy: Deploy, said: list[Any]
) -> None:
    said[:] = [line(home, "failed", FAILED)]
    with pytest.raises(DeployFailed, match="could not load it: VAN002; nothing is live\nimport"):
        deploy()
    assert state(home)[:3] == ("", "", [])
    said.clear()
    deploy()
    before = state(home)
    said[:] = [line(home, "holding", FAILED)]
    with pytest.raises(DeployFailed, match=f"{home.live()} is live again"):
        deploy()
    assert state(home) == before
    assert home.revisions.read_text().splitlines()[-1].split()[2:4] == ["back", home.live()]
    said[:] = [line(home, "holding", {**FAILED, "time": 1.0})]  # of an earlier release


def killed(deployment: Deployment, at: int, calls: Set[str]) -> bool:
    """Deploy in a child that is killed at the call of this number; whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            left = [at]

            def audit(event: str, arguments: tuple[Any, ...]) -> None:
                if event in calls and (event != "open" or arguments[2] & os.O_CREAT):
                    left[0] -= 1
                    if not left[0]:
                        os.killpg(0, signal.SIGKILL)

            sys.addaudithook(audit)
            list(deployment.run(lambda name: None))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.utime"}
CHANGES |= {"subprocess.Popen", "os.truncate", "os.chmod", "os.scandir"}


def test_killed_at_any_moment_one_whole_release_is_live_and_the_next_deploy_works(
    home: Home, subject: Subject, deploy: Deploy, source: Path
) -> None:
    write(source / "requirements.txt", "# nothing")
    home.shared.mkdir(parents=True)
    (home.shared / "media").mkdir()
    deploy()
    at, alive = 0, True
    while alive:
        at += 1
        write(source / "wsgi/app.py", app(str(at)))
        before = (home.link / "wsgi/app.py").read_text()
        alive = killed(Deployment(subject, Wanted(str(source), keep=1)), at, CHANGES)
        now = (home.link / "wsgi/app.py").read_text()
        assert now in (before, app(str(at)))
        assert home.live() in home.whole()
        assert json.loads(home.record(home.live()).read_text())["source"] == str(source)
        if at % 8 == 0:
            deploy(keep=1)
            assert len(home.whole()) == 2
            assert sorted(os.listdir(home.path)) == [
                *(".lock", "current", "environments", "releases", "revisions.log", "shared")
            ]
            assert len(os.listdir(home.releases)) == 4
            assert len(os.listdir(home.environments)) == 1
    assert at > 40


def test_a_first_deploy_that_is_killed_shows_nothing_or_all(
    home: Home, subject: Subject, deploy: Deploy, source: Path
) -> None:
    at, alive = 0, True
    while alive:
        at += 1
        alive = killed(Deployment(subject, Wanted(str(source))), at, {"os.rename", "os.symlink"})
        if home.standing() == "ours":
            assert (home.link / "wsgi/app.py").read_text() == app("one")
    assert at > 4
    deploy()
    assert home.live() == home.whole()[-1]
