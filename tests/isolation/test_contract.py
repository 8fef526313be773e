"""What every isolation does alike: loading, failing, retiring.

To run it on a further isolation, add how to make one to ``ISOLATIONS``.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van.errors import BadObject, ImportFailed, LoadError
from mod_wsgi_van.isolation.contract import Instance, Isolation, Source
from mod_wsgi_van.isolation.environment import base_python
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.process import ProcessIsolation
from mod_wsgi_van.settings import Settings
from tests.support.client import ask
from tests.support.waiting import wait

ISOLATIONS: dict[str, Callable[[], Isolation]] = {
    "imports": ImportsIsolation,
    "process": lambda: ProcessIsolation(Settings()),
}

MakeSource = Callable[..., Source]
Load = Callable[[Source], Instance]


@pytest.fixture(params=sorted(ISOLATIONS))
def isolation(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    made = ISOLATIONS[request.param]()
    yield made
    made.shutdown(5)


@pytest.fixture
def load(isolation: Isolation) -> Iterator[Load]:
    """Load, and retire at the end."""
    loaded: list[Instance] = []

    def load(source: Source) -> Instance:
        loaded.append(isolation.load(source))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()


def get(loaded: Instance) -> str:
    """The body of the answer to a request."""
    answer = ask(loaded.application)
    assert answer.status == 200
    return answer.body


def test_answers(load: Load, make_source: MakeSource) -> None:
    assert get(load(make_source({"wsgi/app.py": "answer = lambda: 'hello'"}))) == "hello"


def test_modules_of_the_same_name_are_each_vhosts_own(load: Load, make_source: MakeSource) -> None:
    app = "def answer():\n    import helper\n    return helper.NAME\n"
    one = load(make_source({"wsgi/app.py": app, "wsgi/helper.py": "NAME = 'one'"}, "one.test"))
    two = load(make_source({"wsgi/app.py": app, "wsgi/helper.py": "NAME = 'two'"}, "two.test"))
    assert [get(one), get(two), get(one)] == ["one", "two", "one"]


def test_environment_is_the_vhosts_own(load: Load, make_source: MakeSource) -> None:
    packages = ".venv/lib/site-packages"
    files = {
        "wsgi/app.py": "import sys, library, beside\n"
        "def answer():\n"
        "    import made_by_pth\n"
        "    return f'{library.V} {beside.V} {made_by_pth.V} {sys.prefix}'\n",
        f"{packages}/library.py": "V = 1",
        f"{packages}/more.pth": "../more\nimport sys; sys.modules['made_by_pth'] = "
        "type(sys)('made_by_pth'); sys.modules['made_by_pth'].V = 3\n",
        ".venv/lib/more/beside.py": "V = 2",
    }
    source = make_source(files)
    assert get(load(source)).startswith("1 2 3 ")


def test_daemons_packages_are_not_visible(load: Load, make_source: MakeSource) -> None:
    app = (
        "import importlib.util, json\n"
        "def answer():\n"
        "    names = ('watchdog', 'mod_wsgi_van', 'pytest')\n"
        "    return json.dumps([n for n in names if importlib.util.find_spec(n)])\n"
    )
    assert get(load(make_source({"wsgi/app.py": app}))) == "[]"


def test_without_an_environment_there_is_the_standard_library_alone(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    app = (
        "import json, os, sys, importlib.util, this_site\n"
        "def answer():\n"
        "    installed = [path for path in sys.path if path.endswith('-packages')]\n"
        "    found = [name for name in ('pip', 'setuptools') if importlib.util.find_spec(name)]\n"
        "    return json.dumps([installed, found, bool(exit and quit and help and license)])\n"
    )
    nothing = {"venv": str(tmp_path / "none"), "site_packages": (), "python": base_python()}
    source = make_source({"wsgi/app.py": app, "wsgi/this_site.py": ""}, **nothing)
    assert get(load(source)) == "[[], [], true]"


RAISING = {
    "ValueError": "raise ValueError('no luck')",
    "SystemExit": "import sys; sys.exit(3)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "BaseException": "class Odd(BaseException): pass\nraise Odd()",
    "RecursionError": "def deeper(): deeper()\ndeeper()",
    "ModuleNotFoundError": "import surely_not_there",
    "ImportError": "from os import surely_not_there",
    "MemoryError": "raise MemoryError",
    "ExceptionGroup": "raise ExceptionGroup('two', [ValueError(1), OSError(2)])",
    "Bad __str__": "class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad()",
}


@pytest.mark.parametrize("code", RAISING.values(), ids=RAISING)
def test_whatever_the_import_raises(
    isolation: Isolation, make_source: MakeSource, code: str
) -> None:
    source = make_source({"wsgi/app.py": "import helper\n", "wsgi/helper.py": f"\n{code}\n"})
    with pytest.raises(ImportFailed) as caught:
        isolation.load(source)
    helper = f"{source.directory}/helper.py"
    first = caught.value.details.index('File "')
    assert caught.value.details[first:].startswith(f'File "{source.directory}/app.py", line 1')
    assert helper in caught.value.details and helper in caught.value.files
    assert "mod_wsgi_van" not in caught.value.details
    assert "a.test" in str(caught.value) and source.directory in str(caught.value)


def test_syntax_error_names_its_file(isolation: Isolation, make_source: MakeSource) -> None:
    source = make_source({"wsgi/app.py": "import helper\n", "wsgi/helper.py": "def (:\n"})
    with pytest.raises(ImportFailed) as caught:
        isolation.load(source)
    assert f"{source.directory}/helper.py" in caught.value.files
    assert "SyntaxError" in str(caught.value)


def test_chained_errors_name_their_files(isolation: Isolation, make_source: MakeSource) -> None:
    app = "try:\n    import first\nexcept KeyError as exc:\n    import second\n"
    source = make_source(
        {
            "wsgi/app.py": app,
            "wsgi/first.py": "raise KeyError('first')",
            "wsgi/second.py": "raise ValueError('second')",
        }
    )
    with pytest.raises(ImportFailed) as caught:
        isolation.load(source)
    names = {Path(file).name for file in caught.value.files}
    assert names == {"app.py", "first.py", "second.py"}


def test_missing_module_names_the_environment(
    isolation: Isolation, make_source: MakeSource
) -> None:
    source = make_source(
        {"wsgi/app.py": "import not_installed", ".venv/lib/site-packages/other.py": ""}
    )
    with pytest.raises(ImportFailed) as caught:
        isolation.load(source)
    assert set(source.site_packages) <= set(caught.value.files)
    assert "not_installed" in str(caught.value)


def test_no_module_at_all(isolation: Isolation, make_source: MakeSource) -> None:
    source = make_source({})
    with pytest.raises(ImportFailed, match="'app'"):
        isolation.load(source)


@pytest.mark.parametrize(
    ("code", "says"), [("other = print", "missing"), ("app = 5", "callable.*int")]
)
def test_no_application_there(
    isolation: Isolation, make_source: MakeSource, code: str, says: str
) -> None:
    source = make_source({"wsgi/site.txt": ""})
    Path(source.directory, "app.py").write_text(code)
    with pytest.raises(BadObject, match=says) as caught:
        isolation.load(source)
    assert f"{source.directory}/app.py" in str(caught.value)
    assert caught.value.files == (f"{source.directory}/app.py",)


def test_names_of_module_and_object(load: Load, make_source: MakeSource) -> None:
    text = "def main(environ, start_response):\n"
    text += "    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'main']\n"
    source = make_source({"wsgi/web/server.py": text}, module_name="web.server", object_name="main")
    assert get(load(source)) == "main"


MAKES = """
def make(*, name="made"):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]
    return app
"""


def test_an_object_that_is_a_factory(load: Load, make_source: MakeSource) -> None:
    source = make_source(
        {"wsgi/web.py": MAKES}, module_name="web", object_name="make", factory=True
    )
    made = load(source)
    assert (get(made), made.entry) == ("made", "web:make()")


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("def app(): return 5", BadObject, "'app' in .*app.py returned what is not callable.*int"),
        ("def app(): raise ValueError('no')", ImportFailed, "ValueError: no"),
        ("def app(): import sys; sys.exit(3)", ImportFailed, "3"),
        ("def app(needed): pass", ImportFailed, "TypeError.*needed"),
        ("app = 5", BadObject, "'app' in .*app.py is not callable.*int"),
    ],
)
def test_a_factory_that_makes_nothing(
    isolation: Isolation, make_source: MakeSource, code: str, error: type[LoadError], says: str
) -> None:
    source = make_source({"wsgi/site.txt": ""}, factory=True)
    Path(source.directory, "app.py").write_text(code)
    with pytest.raises(error, match=says) as caught:
        isolation.load(source)
    assert "mod_wsgi_van" not in caught.value.details


def test_a_second_name_counts_where_there_is_no_first(load: Load, make_source: MakeSource) -> None:
    text = MAKES + "application = make(name='second')\n"
    made = load(make_source({"wsgi/web.py": text}, module_name="web", second_name="application"))
    assert (get(made), made.entry) == ("second", "web:application")
    text += "app = make(name='first')\n"
    source = make_source(
        {"wsgi/web.py": text}, "b.test", module_name="web", second_name="application"
    )
    made = load(source)
    assert (get(made), made.entry) == ("first", "web:app")


def test_both_names_are_missing(isolation: Isolation, make_source: MakeSource) -> None:
    source = make_source({"wsgi/web.py": ""}, module_name="web", second_name="application")
    with pytest.raises(BadObject, match=r"'app' or 'application' in .*web\.py is missing"):
        isolation.load(source)


def test_a_release_and_its_children_have_variables_of_their_own(
    load: Load, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = (
        "import os, subprocess\n"
        "SHELL = 'echo $COLOUR $SIZE $COMMON'\n"
        "def answer():\n"
        "    own = ' '.join(os.environ.get(n, '') for n in ('COLOUR', 'SIZE', 'COMMON'))\n"
        "    return f'{own}|{subprocess.check_output(SHELL, shell=True, text=True).strip()}'\n"
    )
    monkeypatch.setenv("COMMON", "daemon")
    monkeypatch.setenv("SIZE", "large")
    env = {"COLOUR": "grün", "SIZE": ""}
    one = load(make_source({"wsgi/app.py": app}, env=env))
    two = load(make_source({"wsgi/app.py": app}, "b.test"))
    assert get(one) == "grün  daemon|grün daemon"
    assert get(two) == " large daemon|large daemon"
    assert "COLOUR" not in os.environ and os.environ["SIZE"] == "large"
    assert "grün" not in repr(make_source({}, env=env))


def test_mended_application_loads(
    isolation: Isolation, load: Load, make_source: MakeSource
) -> None:
    files = {"wsgi/app.py": "import helper\nanswer = lambda: helper.NAME"}
    source = make_source(files | {"wsgi/helper.py": "raise ValueError"})
    with pytest.raises(LoadError):
        isolation.load(source)
    Path(source.directory, "helper.py").write_text("NAME = 'mended'")
    assert get(load(source)) == "mended"


def test_edit_within_the_second_and_of_the_same_size(
    load: Load, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    app = "import helper\nanswer = lambda: str(helper.VERSION)"
    source = make_source({"wsgi/app.py": app, "wsgi/helper.py": "VERSION = 1"})
    helper = Path(source.directory, "helper.py")
    for version in range(1, 6):
        helper.write_text(f"VERSION = {version}")
        loaded = load(source)
        assert get(loaded) == str(version)


@pytest.mark.parametrize("places", [("wsgi", "wsgi"), ("wsgi", "away")])
def test_an_edit_whose_mtime_is_set_back(
    load: Load, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch, places: tuple[str, str]
) -> None:
    """As an archive whose files all have one mtime does; in place, or beside and renamed."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    app = "import helper\nanswer = lambda: str(helper.VERSION)"
    source = make_source({"wsgi/app.py": app, "wsgi/helper.py": "VERSION = 1"})
    helper = Path(source.directory, "helper.py")
    os.utime(helper, (1e9, 1e9))
    cached = Path(importlib.util.cache_from_source(str(helper)))
    wait(lambda: get(load(source)) == "1" and cached.exists(), "bytecode", pause=0.5)
    written = cached.stat().st_mtime_ns
    edited = Path(source.directory).parent.joinpath(places[1], "helper.py")
    edited.parent.mkdir(exist_ok=True)
    edited.write_text("VERSION = 2")
    os.utime(edited, (1e9, 1e9))
    edited.rename(helper)
    assert get(load(source)) == "2"
    wait(
        lambda: get(load(source)) == "2" and cached.stat().st_mtime_ns > written,
        "bytecode",
        pause=0.5,
    )


def test_old_release_goes_on_beside_the_new_one(load: Load, make_source: MakeSource) -> None:
    app = "import helper\nanswer = lambda: helper.NAME"
    old = load(make_source({"wsgi/app.py": app, "wsgi/helper.py": "NAME = 'old'"}))
    new = load(make_source({"wsgi/app.py": app, "wsgi/helper.py": "NAME = 'new'"}))
    assert (get(old), get(new)) == ("old", "new")
    old.retire()
    assert get(new) == "new"


def test_exit_handlers_run_when_retired(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    app = (
        "import atexit, sys\n"
        "def say(word):\n"
        f"    with open({str(seen)!r}, 'a') as f: f.write(word + ' ')\n"
        "atexit.register(say, 'first')\n"
        "atexit.register(sys.exit, 3)\n"
        "atexit.register(say, 'second')\n"
        "atexit.register(lambda: 1 / 0)\n"
        "atexit.register(say, word='third')\n"
        "atexit.register(print)\n"
        "atexit.unregister(print)\n"
        "answer = lambda: 'hello'\n"
    )
    loaded = load(make_source({"wsgi/app.py": app}))
    assert get(loaded) == "hello" and not seen.exists()
    loaded.retire()
    wait(lambda: seen.exists() and seen.read_text() == "third second first ")


def test_nothing_is_loaded_after_the_shutdown(
    isolation: Isolation, make_source: MakeSource
) -> None:
    source = make_source({"wsgi/app.py": "answer = lambda: 'hello'"})
    isolation.load(source).retire()
    isolation.closing()
    isolation.load(source).retire()
    isolation.shutdown(5)
    with pytest.raises(LoadError):
        isolation.load(source)


def test_retire_twice(load: Load, make_source: MakeSource) -> None:
    loaded = load(make_source({"wsgi/app.py": "answer = lambda: 'hello'"}))
    loaded.retire()
    loaded.retire()


def test_import_that_hangs_holds_up_nobody(
    load: Load, make_source: MakeSource, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    hanging = (
        "import os, time, json\n"
        f"open({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.005)\n"
        "answer = lambda: 'late'\n"
    )
    slow = make_source(
        {"wsgi/app.py": "import helper\nfrom helper import *", "wsgi/helper.py": hanging},
        "slow.test",
    )
    quick = make_source(
        {
            "wsgi/app.py": "import helper\nfrom helper import *",
            "wsgi/helper.py": "import json\nanswer = lambda: 'quick'",
        },
        "quick.test",
    )
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(load, slow)
        try:
            wait(begun.exists)
            assert get(load(quick)) == "quick"
            assert not late.done()
        finally:
            go_on.touch()
        assert get(late.result(timeout=30)) == "late"


def test_many_loads_at_once(load: Load, make_source: MakeSource) -> None:
    app = "import helper, decimal, email.message, xml.dom.minidom\nanswer = lambda: helper.NAME"
    sources = [
        make_source({"wsgi/app.py": app, "wsgi/helper.py": f"NAME = '{n}'"}, f"v{n}.test")
        for n in range(8)
    ]
    barrier = threading.Barrier(len(sources))

    def together(source: Source) -> str:
        barrier.wait(30)
        return get(load(source))

    with ThreadPoolExecutor(len(sources)) as pool:
        assert list(pool.map(together, sources)) == [str(n) for n in range(8)]


def test_finder_that_goes_during_an_import_hides_no_module(
    load: Load, make_source: MakeSource
) -> None:
    app = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        sys.meta_path.remove(self)\n"
        "before = list(sys.meta_path)\n"
        "sys.meta_path.insert(len(before) - 1, Finder())\n"
        "import helper\n"
        "answer = lambda: f'{helper.NAME} {sys.meta_path == before}'\n"
    )
    files = {"wsgi/app.py": app, "wsgi/helper.py": "NAME = 'found'"}
    assert get(load(make_source(files))) == "found True"


def test_environ_of_a_vhost_is_its_own(load: Load, make_source: MakeSource) -> None:
    app = "import os\nos.environ.setdefault('OF_VHOST', '{0}')\n"
    app += "answer = lambda: os.environ['OF_VHOST']"
    one = load(make_source({"wsgi/app.py": app.format("one")}, "one.test"))
    two = load(make_source({"wsgi/app.py": app.format("two")}, "two.test"))
    assert (get(one), get(two)) == ("one", "two")
    assert "OF_VHOST" not in os.environ
