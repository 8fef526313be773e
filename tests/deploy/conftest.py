"""A site that is to be deployed, by whoever runs the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.deploy.deployment import Deployment, Step, Wanted
from mod_wsgi_van.deploy.layout import Home
from mod_wsgi_van.deploy.reports import Said
from mod_wsgi_van.deploy.switching import Subject
from mod_wsgi_van.deploy.user import Users
from mod_wsgi_van.settings import Settings
from tests.support.vhosts import app, write

Deploy = Callable[..., list[Step]]


@pytest.fixture
def home(open_path: Path) -> Home:
    return Home(open_path, "shop.test")


@pytest.fixture
def said() -> list[Any]:
    """What the daemon processes say when they are asked; see reports.Said."""
    return []


@pytest.fixture
def subject(home: Home, said: list[Any]) -> Subject:
    def ask() -> Said:
        return [each() if callable(each) else each for each in said]

    settings = Settings(str(home.base), load_timeout=20, grace_period=0)
    return Subject(home, settings, Users(), ask)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What is deployed: an application that answers "one"."""
    write(tmp_path / "source/wsgi/app.py", app("one"))
    return tmp_path / "source"


@pytest.fixture
def deploy(subject: Subject, source: Path) -> Deploy:
    """Deploy ``source``; returns the steps."""

    def run(**options: Any) -> list[Step]:
        wanted = Wanted(str(source), **options)
        return list(Deployment(subject, wanted).run(lambda name: None))

    return run
