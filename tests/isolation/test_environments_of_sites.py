"""What a program finds of its environment and of its own modules, a release finds too."""

from __future__ import annotations

import gc
import os
import py_compile
import sysconfig
import weakref
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from tests.isolation.conftest import HELLO, Load, MakeSource
from tests.isolation.test_contract import get
from tests.support.waiting import wait

PACKAGES = ".venv/lib/site-packages"


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


def compile_old(path: Path) -> None:
    """Its bytecode is used: that of a file which was changed just now would not be."""
    os.utime(path, (0, 10**9))
    py_compile.compile(str(path), doraise=True)


def package(loaded: ImportsInstance) -> Any:
    return loaded.application.__globals__["package"]  # type: ignore[attr-defined]


PACKAGE = """
'''What it is.'''
class Page:
    def title(self):
        '''Said at length, so that it is worth to be kept once.'''
        return [each for each in ('a', 'b', 'c')]
    def failing(self):
        raise LookupError(self.title())
"""
CODES = "import package\ndef answer(): return str(package.Page.failing.__code__.co_filename)"


def test_equal_packages_of_two_environments_share_all_but_their_paths(
    load: Load, make_source: MakeSource
) -> None:
    sources = []
    for host in ("a.example", "b.example"):
        files = {f"{PACKAGES}/package.py": PACKAGE, "wsgi/app.py": CODES}
        source = make_source(files, host)
        compile_old(Path(source.site_packages[0], "package.py"))
        sources.append(source)
    loaded = [load(source) for source in sources]
    for source, one in zip(sources, loaded, strict=True):
        assert get(one) == str(Path(source.site_packages[0], "package.py"))
    first, second = (package(one).Page.failing.__code__ for one in loaded)
    assert first is not second
    assert first.co_linetable is second.co_linetable
    assert first.co_names is second.co_names
    assert "package.py" in str(second) and str(sources[1].site_packages[0]) in str(second)


def test_code_that_is_shared_goes_with_the_releases_that_have_it(
    load: Load, make_source: MakeSource
) -> None:
    source = make_source({f"{PACKAGES}/package.py": PACKAGE, "wsgi/app.py": CODES})
    path = Path(source.site_packages[0], "package.py")
    compile_old(path)
    one = load(source)
    code = weakref.ref(package(one).Page.failing.__code__)
    one.retire()
    wait(lambda: gc.collect() >= 0 and code() is None, "the end of the code")


def test_code_that_has_its_own_path_as_a_constant_keeps_it(
    load: Load, make_source: MakeSource
) -> None:
    for host in ("a.example", "b.example"):
        source = make_source({f"{PACKAGES}/package.py": "", "wsgi/app.py": ""}, host)
        path = Path(source.site_packages[0], "package.py")
        path.write_text(f"def where(): return ('a tuple', {str(path)!r})")
        app = Path(source.directory, "app.py")
        app.write_text("import package\ndef answer(): return package.where()[1]\n" + HELLO)
        compile_old(path)
        assert get(load(source)) == str(path)
