"""Whose files they are, and what is done as that user."""

from __future__ import annotations

import os
import pwd

import pytest

from mod_wsgi_van.deploy import upkeep
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.user import Users, as_user, users
from mod_wsgi_van.settings import Settings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def test_an_answer_and_a_failure_come_from_a_process_of_its_own() -> None:
    assert as_user("", os.getpid) != os.getpid()

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(DeployFailed, match="no such thing"):
        as_user("", lambda: fail(DeployFailed("no such thing")))
    with pytest.raises(RuntimeError, match="ValueError: what"):
        as_user("", lambda: fail(ValueError("what")))


def test_a_child_that_ends_without_an_answer_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended without an answer"):
        as_user("", lambda: os._exit(1))


@needs_root
def test_root_becomes_the_owner(home: Home) -> None:
    nobody = pwd.getpwnam("nobody")
    assert as_user("nobody", os.getuid) == nobody.pw_uid
    assert users(home, Settings()) == Users("www-data", "www-data")
    with pytest.raises(DeployFailed, match="say who"):
        users(home, Settings(site_user="owner"))
    home.path.mkdir(parents=True)
    os.chown(home.path, nobody.pw_uid, nobody.pw_gid)
    assert users(home, Settings()) == Users("nobody", "www-data")
    assert users(home, Settings(site_user="owner")) == Users("nobody", "nobody")


@needs_root
def test_who_may_not_make_a_home_is_told_who_may(home: Home) -> None:
    with pytest.raises(DeployFailed, match=r"run it as root, or have root .* install -d -o OWNER"):
        as_user("nobody", lambda: upkeep.prepare(home, -1, -1))
