"""A site that is to be deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mod_wsgi_van.deploy.layout import Home


@pytest.fixture
def home(open_path: Path) -> Home:
    return Home(open_path, "shop.test")
