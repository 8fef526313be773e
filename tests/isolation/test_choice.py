"""Which isolation a vhost's environment asks for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mod_wsgi_van.errors import IncompleteEnvironment, Unreadable, WrongPython
from mod_wsgi_van.isolation.choice import choose
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.installed import ENTRIES
from mod_wsgi_van.isolation.tested import FITS, FITS_PURE, package, trials
from tests.support.children import in_child, without_privileges
from tests.support.venvs import make_venv

RUNNING = sys.version_info[:2]
MINOR = "{}.{}".format(*RUNNING)
OTHER = (3, 8)


class Vhost:
    """A vhost directory whose environment is written by hand, file by file."""

    def __init__(self, path: Path, python: tuple[int, int] = RUNNING) -> None:
        self.path = path
        self.venv = path / ".venv"
        self.site_packages = self.venv / "lib" / "python{}.{}".format(*python) / "site-packages"
        self.wsgi = path / "wsgi"
        self.wsgi.mkdir(parents=True)

    def make_environment(self, config: str = "home = /usr\n") -> None:
        self.site_packages.mkdir(parents=True)
        (make_venv(self.venv) / "pyvenv.cfg").write_text(config)

    def install(self, name: str, *files: str, purelib: bool = True) -> None:
        info = self.site_packages / f"{name}.dist-info"
        info.mkdir()
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {purelib}\n".lower())
        (info / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))
        for file in files:
            self.add(self.site_packages / file)

    def add(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def source(self) -> Source:
        return Source(
            host="a.test",
            directory=str(self.wsgi),
            venv=str(self.venv),
            site_packages=(str(self.site_packages),),
            module_name="app",
            object_name="app",
            python=str(self.venv / "bin" / "python"),
        )


@pytest.fixture
def vhost(tmp_path: Path) -> Vhost:
    return Vhost(tmp_path / "a.test")


def test_without_an_environment_the_standard_library_serves(vhost: Vhost) -> None:
    choice = choose(vhost.source(), "auto")
    assert (choice.isolation, choice.unfit) == ("imports", ())
    assert choose(vhost.source(), "imports").isolation == "imports"


def test_a_pure_environment_of_this_python_stays_here(vhost: Vhost) -> None:
    vhost.make_environment("version = {}.{}.1\n".format(*RUNNING))
    vhost.install("Flask-3.1.0", "flask/__init__.py", "../../../bin/flask")
    choice = choose(vhost.source(), "auto")
    assert (choice.isolation, choice.unfit) == ("imports", ())


@pytest.mark.parametrize(
    "config",
    ["version = 3.8.18\n", "home = /usr\nversion_info = 3.8.18.final.0\n", "home = /usr\n"],
)
def test_another_python_gets_a_worker(tmp_path: Path, config: str) -> None:
    vhost = Vhost(tmp_path / "a.test", OTHER)
    vhost.make_environment(config)
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process" and "3.8" in choice.reason


def test_the_configuration_decides_before_a_left_over_lib_directory(vhost: Vhost) -> None:
    vhost.make_environment("version = {}.{}.0\n".format(*RUNNING))
    (vhost.venv / "lib" / "python3.8").mkdir()
    assert choose(vhost.source(), "auto").isolation == "imports"


def test_imports_for_another_python_is_refused_with_the_remedy(tmp_path: Path) -> None:
    vhost = Vhost(tmp_path / "a.test", OTHER)
    vhost.make_environment()
    with pytest.raises(WrongPython) as refused:
        choose(vhost.source(), "imports")
    text = str(refused.value)
    assert "3.8" in text and "{}.{}".format(*RUNNING) in text
    assert "a.test" in text and "process" in text and str(vhost.venv) in text


def test_settings_force(vhost: Vhost) -> None:
    vhost.make_environment()
    vhost.install("numpy-2.4.0", "numpy/core.cpython-311-x86_64-linux-gnu.so", purelib=False)
    assert choose(vhost.source(), "process").isolation == "process"
    forced = choose(vhost.source(), "imports")
    assert forced.isolation == "imports" and forced.unfit[0].startswith("numpy 2.4.0 ")


@pytest.mark.parametrize(
    ("files", "purelib"), [(("cffi/_b.abi3.so",), True), (("ninja/data/bin/ninja",), False)]
)
def test_a_compiled_distribution_gets_a_worker(
    vhost: Vhost, files: tuple[str, ...], purelib: bool
) -> None:
    vhost.make_environment()
    vhost.install("some_thing-1.2", *files, purelib=purelib)
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process"
    assert choice.reason == "some_thing 1.2 is compiled and was not tested here"


def test_a_compiled_distribution_that_was_tested_stays_here(vhost: Vhost) -> None:
    fit = [each for each in trials() if each.result == FITS and each.minor == MINOR]
    if not fit:
        pytest.skip(f"nothing was tested with Python {MINOR} yet")
    fits = fit[0]
    vhost.make_environment()
    vhost.install(f"{fits.name.replace('-', '_')}-{fits.version}", "it.so", purelib=False)
    assert choose(vhost.source(), "auto").isolation == "imports"
    vhost.install(f"{fits.name.replace('-', '_')}-9999.1", "it.so", purelib=False)
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process" and " 9999.1 was not tested here (" in choice.reason


def test_a_compiled_part_that_is_not_for_this_process(vhost: Vhost) -> None:
    pure = [each for each in trials() if each.result == FITS_PURE and each.minor == MINOR]
    if not pure:
        pytest.skip(f"nothing was tested with Python {MINOR} yet")
    vhost.make_environment()
    vhost.install(f"{package(pure[0].name)}-{pure[0].version}", "it.so", purelib=False)
    choice = choose(vhost.source(), "auto")
    assert (choice.isolation, choice.pure) == ("imports", (package(pure[0].name),))
    assert choose(vhost.source(), "imports").pure == choice.pure


def test_pure_python_that_changes_the_process_gets_a_worker(vhost: Vhost) -> None:
    vhost.make_environment()
    vhost.install("eventlet-0.40.3", "eventlet/__init__.py")
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process" and choice.reason.startswith("eventlet 0.40.3 ")


def test_a_line_of_the_log_names_a_few_libraries_and_counts_the_rest(vhost: Vhost) -> None:
    vhost.make_environment()
    for number in range(7):
        vhost.install(f"thing{number}-1.0", "it.so")
    choice = choose(vhost.source(), "auto")
    assert len(choice.unfit) == 7
    assert choice.reason.count("thing") == 5 and choice.reason.endswith("; and 2 more")


def test_extension_modules_without_a_record_count(vhost: Vhost) -> None:
    vhost.make_environment()
    vhost.install("Flask-3.1.0", "flask/__init__.py")
    vhost.add(vhost.site_packages / "copied" / "deep" / "fast.so")
    vhost.add(vhost.site_packages / "single.cpython-311-x86_64-linux-gnu.so")
    assert choose(vhost.source(), "auto").unfit == (
        "copied/deep/fast.so is compiled and of no distribution",
        "single.cpython-311-x86_64-linux-gnu.so is compiled and of no distribution",
    )


def test_a_checkout_on_a_pth_line_counts_without_its_own_environment(vhost: Vhost) -> None:
    vhost.make_environment()
    checkout = vhost.path / "checkout"
    vhost.add(checkout / ".venv" / "lib" / "other.so")
    pth = vhost.site_packages / "__editable__.thing.pth"
    pth.write_text(f"# a comment\nimport thing_hook\n{checkout}\n")
    assert choose(vhost.source(), "auto").isolation == "imports"
    vhost.add(checkout / "thing" / "fast.so")
    (said,) = choose(vhost.source(), "auto").unfit
    assert said.startswith("checkout/thing/fast.so ")


def test_extension_modules_in_the_wsgi_directory_count(vhost: Vhost) -> None:
    vhost.add(vhost.wsgi / "package" / "fast.so")
    vhost.add(vhost.wsgi / "node_modules" / "ignored.so")
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process"
    assert choice.reason == "wsgi/package/fast.so is compiled and of no distribution"


def test_the_systems_packages_are_out_of_reach_here(vhost: Vhost) -> None:
    vhost.make_environment(
        "include-system-site-packages = true\nversion = {}.{}\n".format(*RUNNING)
    )
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process" and "system" in choice.reason


def test_the_same_files_give_the_same_answer(vhost: Vhost) -> None:
    vhost.make_environment()
    for name in ("zlib_ng-1", "some_thing-5", "other-2"):
        vhost.install(name, f"{name[:4]}/x.so")
    choices = {choose(vhost.source(), "auto") for _ in range(5)}
    assert len(choices) == 1
    assert [said.split()[0] for said in choices.pop().unfit] == ["other", "some_thing", "zlib_ng"]


def test_an_environment_that_is_not_complete_is_refused(vhost: Vhost) -> None:
    vhost.make_environment("version = {}.{}\n".format(*RUNNING))
    files = [vhost.venv / "pyvenv.cfg", vhost.venv / "bin" / "python"]
    for file, setting in zip(files, ("auto", "process"), strict=True):
        file.rename(vhost.path / "away")
        with pytest.raises(IncompleteEnvironment, match="VAN027") as refused:
            choose(vhost.source(), setting)
        assert str(vhost.venv) in str(refused.value) and file.name in str(refused.value)
        assert refused.value.files == tuple(map(str, files))
        (vhost.path / "away").rename(file)
    assert choose(vhost.source(), "auto").isolation == "imports"


def test_a_link_to_an_environment_that_is_not_there_yet(vhost: Vhost) -> None:
    vhost.venv.symlink_to("../venvs/1")
    with pytest.raises(IncompleteEnvironment):
        choose(vhost.source(), "auto")


def test_a_file_in_the_place_of_an_environment_is_none(vhost: Vhost) -> None:
    vhost.venv.write_text("name of an environment elsewhere")
    assert choose(vhost.source(), "auto").reason == "it has no environment"


def test_an_environment_of_conda_has_no_pyvenv_cfg(vhost: Vhost) -> None:
    vhost.make_environment()
    (vhost.venv / "pyvenv.cfg").unlink()
    (vhost.venv / "conda-meta").mkdir()
    assert choose(vhost.source(), "auto").isolation == "imports"


@pytest.mark.parametrize("closed", [".venv", ".venv/bin", ".venv/lib/{}/site-packages"])
def test_an_environment_that_may_not_be_read_is_not_missing(open_path: Path, closed: str) -> None:
    vhost = Vhost(open_path / "a.test")
    vhost.make_environment()
    directory = vhost.path / closed.format(vhost.site_packages.parent.name)
    directory.chmod(0)

    def test() -> None:
        without_privileges()
        with pytest.raises(Unreadable, match=f"VAN015.*{directory} may not be .*nobody"):
            choose(vhost.source(), "auto")

    in_child(test)
    directory.chmod(0o755)


def test_a_directory_that_is_too_large_to_look_through_gets_a_worker(vhost: Vhost) -> None:
    uploads = vhost.wsgi / "uploads"
    uploads.mkdir()
    for number in range(ENTRIES):
        os.mknod(uploads / str(number))
    choice = choose(vhost.source(), "auto")
    assert choice.isolation == "process" and f"{ENTRIES:,}" in choice.reason
    assert choose(vhost.source(), "imports").isolation == "imports"
