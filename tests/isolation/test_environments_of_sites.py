"""What a program finds of its environment and of its own modules, a release finds too."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from tests.isolation.test_contract import get

MakeSource = Callable[..., Source]
Load = Callable[[Source], ImportsInstance]
PACKAGES = ".venv/lib/site-packages"


@pytest.fixture
def load() -> Iterator[Load]:
    isolation = ImportsIsolation()
    loaded: list[ImportsInstance] = []

    def load(source: Source) -> ImportsInstance:
        loaded.append(isolation.load(source))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()
    isolation.shutdown(5)


def test_pth_line_that_inserts_at_0_lands_behind_the_application(
    load: Load, make_source: MakeSource
) -> None:
    files = {
        f"{PACKAGES}/first.pth": "import sys; sys.path.insert(0, '/first')\n",
        "wsgi/app.py": "import sys\n"
        "def answer(): return str([sys.path.index(__file__.rpartition('/')[0]),"
        " sys.path.index('/first')])",
    }
    assert get(load(make_source(files))) == "[0, 1]"


@pytest.mark.parametrize("name", ["sitecustomize", "usercustomize"])
def test_customizations_of_an_environment_run(
    name: str, load: Load, make_source: MakeSource
) -> None:
    files = {
        f"{PACKAGES}/{name}.py": "import builtins\nbuiltins.customized = True",
        "wsgi/app.py": "import builtins\ndef answer(): return str(hasattr(builtins, 'customized'))",
    }
    # Debian's library has a sitecustomize, which comes before that of an environment.
    first = Path(sysconfig.get_path("stdlib"), f"{name}.py").exists()
    assert get(load(make_source(files))) == str(not first)


def test_names_of_the_library_that_this_python_lacks_are_looked_for_in_the_environment(
    load: Load, make_source: MakeSource
) -> None:
    files = {
        f"{PACKAGES}/winreg.py": "NAME = 'winreg of the environment'",
        "wsgi/app.py": "import winreg\ndef answer(): return winreg.NAME",
    }
    assert get(load(make_source(files))) == "winreg of the environment"


def test_warning_at_import_names_the_importer(load: Load, make_source: MakeSource) -> None:
    files = {
        "wsgi/old.py": "import warnings\nwarnings.warn('old is old', DeprecationWarning, 2)",
        "wsgi/app.py": "import warnings\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    import old\n"
        "def answer(): return f\"{seen[0].filename.rpartition('/')[2]}:{seen[0].lineno}\"",
    }
    assert get(load(make_source(files))) == "app.py:4"


def test_table_of_modules_is_complete(load: Load, make_source: MakeSource) -> None:
    code = (
        "import email.mime.text, importlib.util, os.path, sys\n"
        "names = 'email email.mime email.mime.text importlib importlib.util os os.path sys'\n"
        "names += ' builtins __main__ app'\n"
        "def answer(): return str([n for n in names.split() if n not in sys.modules"
        " or type(sys.modules[n]).__name__ != 'module'])"
    )
    assert get(load(make_source({"wsgi/app.py": code}))) == "[]"
