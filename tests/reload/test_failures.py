"""Applications that do not load: what clients get, what the log says, when it is tried again."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from mod_wsgi_van import Router
from tests.support.client import get, wait_for
from tests.support.log import errors
from tests.support.venvs import make_venv
from tests.support.vhosts import app, deploy, hangs, release, site, write
from tests.support.waiting import wait

BROKEN = {
    "raises": ("raise ValueError('not today')", "ValueError: not today"),
    "syntax": ("def app(:\n", "SyntaxError"),
    "exits": ("import sys; sys.exit('enough')", "SystemExit"),
    "interrupted": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "no module": ("import there_is_no_such_module", "there_is_no_such_module"),
    "no object": ("application = None", "VAN003"),
    "not callable": ("app = 42", "VAN003"),
    "a bad base": ("class E(BaseException): pass\nraise E('odd')", "odd"),
}


@pytest.mark.parametrize(("source", "text"), BROKEN.values(), ids=BROKEN)
def test_a_broken_application(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture, source: str, text: str
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", source)
    site(tmp_path, "b.test", "fine")
    router = make_router()
    for _ in range(5):
        answer = get(router.application, "a.test")
        assert answer.status == 500
        assert "Traceback" not in answer.body
    assert get(router.application, "b.test").body == "fine"
    (message,) = wait(lambda: errors(caplog), "the error in the log")
    assert text in message
    assert message.startswith("a.test: VAN00")
    assert str(tmp_path / "a.test" / "wsgi") in message
    site(tmp_path, "a.test", "mended")
    wait_for(router.application, "a.test", "mended")
    assert len(errors(caplog)) == 1


def test_a_broken_deploy_leaves_the_old_release_serving(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, app("1")))
    router = make_router()
    wait_for(router.application, "a.test", "1")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, "import sys; sys.exit(3)"))
    wait(lambda: errors(caplog), "the error in the log")
    for _ in range(20):
        assert get(router.application, "a.test").body == "1"
    (message,) = errors(caplog)
    assert "Traceback" in message
    assert str(tmp_path / ".builds/a.test/1/wsgi") in message
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, app("3")))
    wait_for(router.application, "a.test", "3")


def test_a_rollback_to_the_running_release_loads_nothing(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = release(tmp_path, "a.test", 1, app("1"))
    deploy(tmp_path, "a.test", one)
    router = make_router()
    wait_for(router.application, "a.test", "1")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, "1 / 0"))
    wait(lambda: errors(caplog), "the error in the log")
    deploy(tmp_path, "a.test", one)
    wait(lambda: "back to" in caplog.text, "the line in the log")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 3, app("3")))
    wait_for(router.application, "a.test", "3")
    wait(lambda: "reloaded" in caplog.text, "the line in the log")
    assert caplog.text.count("loaded /") == 1


def test_a_file_outside_the_vhost_that_the_traceback_names(
    tmp_path: Path, make_router: Any
) -> None:
    library = tmp_path / "library"
    write(library / "shared.py", "raise ValueError('not yet')\n")
    source = f"import sys; sys.path.append({str(library)!r})\nimport shared\n"
    write(tmp_path / "base" / "a.test" / "wsgi" / "app.py", source + app("works"))
    router = make_router(base_path=str(tmp_path / "base"))
    assert get(router.application, "a.test").status == 500
    (library / "shared.py").write_text("VALUE = 1\n")
    wait_for(router.application, "a.test", "works")


def test_a_package_that_is_installed_after_all(tmp_path: Path, make_router: Any) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", "import late_package\n" + app("works"))
    packages = make_venv(tmp_path / "a.test" / ".venv") / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    router = make_router()
    assert get(router.application, "a.test").status == 500
    write(packages / "late_package" / "__init__.py", "")
    wait_for(router.application, "a.test", "works")


def test_an_import_that_does_not_end(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.test" / "wsgi" / "app.py", hangs(tmp_path / "go") + app("at last"))
    site(tmp_path, "b.test", "fine")
    router = make_router(load_timeout=1)
    for _ in range(3):
        answer = get(router.application, "a.test")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert get(router.application, "b.test").body == "fine"
    wait(lambda: errors(caplog), "the error in the log")
    (message,) = errors(caplog)
    assert "VAN004" in message
    (tmp_path / "go").touch()
    wait_for(router.application, "a.test", "at last")


def test_a_change_supersedes_an_import_that_does_not_end(tmp_path: Path, make_router: Any) -> None:
    hung = hangs(tmp_path / "go") + app("hung")
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 1, hung))
    router = make_router(load_timeout=0.2)
    assert get(router.application, "a.test").status == 503
    deploy(tmp_path, "a.test", release(tmp_path, "a.test", 2, app("2")))
    wait_for(router.application, "a.test", "2")
    (tmp_path / "go").touch()  # what the hung import brings now must not replace the newer one
    for _ in range(50):
        assert get(router.application, "a.test").body == "2"
        time.sleep(0.01)


def test_a_reload_that_does_not_end_delays_no_other(tmp_path: Path, make_router: Any) -> None:
    for host in ("a.test", "b.test"):
        deploy(tmp_path, host, release(tmp_path, host, 1, app("1")))
    router = make_router(load_timeout=0.3)
    for host in ("a.test", "b.test"):
        wait_for(router.application, host, "1")
    for number in range(2, 8):
        late = hangs(tmp_path / "go") + app("late")
        deploy(tmp_path, "a.test", release(tmp_path, "a.test", number, late))
        deploy(tmp_path, "b.test", release(tmp_path, "b.test", number, app(str(number))))
        wait_for(router.application, "b.test", str(number))
        assert get(router.application, "a.test").body == "1"
    (tmp_path / "go").touch()
    wait_for(router.application, "a.test", "late")


def test_a_hook_that_raises(
    tmp_path: Path, make_router: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Ours(Router):
        broken = False

        def get_version(self, path: Path) -> object:
            if self.broken:
                raise RuntimeError("no version today")
            return super().get_version(path)

    site(tmp_path, "a.test", "1")
    router = make_router(Ours)
    assert get(router.application, "a.test").body == "1"
    router.broken = True
    site(tmp_path, "a.test", "2")
    wait(lambda: errors(caplog), "the error in the log")
    time.sleep(0.5)  # some polls more
    (message,) = errors(caplog)
    assert "VAN008" in message
    assert "no version today" in message
    assert get(router.application, "a.test").body == "1"
    router.broken = False
    wait_for(router.application, "a.test", "2")
