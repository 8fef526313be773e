"""Environments: what they are made from, and when one is used again."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from mod_wsgi_van.deploy.environment import Environments, needs
from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.layout import Home

PROJECT = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.8"\n'


@pytest.fixture(params=["uv", "pip"])
def environments(request: pytest.FixtureRequest, home: Home) -> Environments:
    home.releases.mkdir(parents=True)
    return Environments(home, ".venv", find_uv_bin() if request.param == "uv" else "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All packages that there are: part 1.0 and 2.0."""
    for version in ("1.0", "2.0"):
        with zipfile.ZipFile(tmp_path / f"part-{version}-py3-none-any.whl", "w") as wheel:
            about = f"part-{version}.dist-info"
            wheel.writestr("part.py", f"version = {version!r}")
            wheel.writestr(f"{about}/METADATA", f"Name: part\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    return tmp_path


def release(environments: Environments, id: str, **files: str) -> Path:
    path = environments.home.release(id)
    path.mkdir()
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    return path


def part(path: Path) -> str:
    command = [path / ".venv/bin/python", "-c", "import part; print(part.version)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_what_needs_the_same_has_the_same(environments: Environments, index: Path) -> None:
    one = release(environments, "1", requirements_txt="part==1.0")
    two = release(environments, "2", requirements_txt="part==1.0")
    three = release(environments, "3", requirements_txt="part==2.0")
    assert environments.give("1").startswith("made from requirements.txt")
    assert environments.give("2").startswith("reused from requirements.txt")
    assert environments.give("3").startswith("made")
    assert [part(each) for each in (one, two, three)] == ["1.0", "1.0", "2.0"]
    assert os.path.realpath(one / ".venv") == os.path.realpath(two / ".venv")
    environments.prune(["2"])
    assert part(two) == "1.0"
    assert len(os.listdir(environments.home.environments)) == 1


@pytest.mark.parametrize("environments", ["uv"], indirect=True)
def test_one_that_was_not_finished_is_made_anew(environments: Environments, index: Path) -> None:
    path = release(environments, "1", requirements_txt="part==3.0")
    with pytest.raises(DeployFailed, match="part"):
        environments.give("1")
    (left,) = environments.home.environments.iterdir()
    (path / "requirements.txt").write_text("part==1.0")
    environments.give("1")
    environments.prune(["1"])
    assert not left.exists()
    made = Path(os.path.realpath(path / ".venv"))
    (made / ".whole").unlink()
    (made / "pyvenv.cfg").write_text("nonsense")
    assert environments.give("1").startswith("made")
    assert part(path) == "1.0"


def test_a_project_that_is_no_package(environments: Environments, index: Path) -> None:
    text = PROJECT + 'dependencies = ["part<2"]\n'
    path = release(environments, "1", pyproject_toml=text)
    assert environments.give("1").startswith("made from pyproject.toml")
    assert part(path) == "1.0"
    release(environments, "2", pyproject_toml="[tool.ruff]\n")
    assert environments.give("2").startswith("none")


def test_lock_files_need_uv(environments: Environments, index: Path) -> None:
    path = release(environments, "1", pyproject_toml=PROJECT + 'dependencies = ["part<2"]\n')
    for command in ("lock", "export --format pylock.toml -o pylock.toml"):
        subprocess.run(
            [find_uv_bin(), "-q", *command.split()], cwd=path, check=True, capture_output=True
        )
    for file in ("uv.lock", "pylock.toml"):
        if not environments.uv:
            with pytest.raises(DeployFailed, match=f"{file} needs uv"):
                environments.give("1")
        else:
            assert environments.give("1").startswith(f"made from {file}")
            assert part(path) == "1.0"
            assert environments.give("1").startswith(f"reused from {file}")
        (path / file).unlink()


def test_what_decides_is_all_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text("-r more/base.txt\n--constraint=limits.txt\nx\n")
    (tmp_path / "more/base.txt").write_text("-c ../limits.txt\n-r /etc/passwd\n-r missing\n")
    (tmp_path / "limits.txt").write_text("x<2\n")
    found = needs(tmp_path)
    assert found
    assert found.text.count(b"x<2") == 1
    assert b"root" not in found.text


@pytest.mark.parametrize(
    ("line", "own"),
    [
        *((line, True) for line in ("-e .", ".", "./part", "../part", ".[web]", "/srv/x.whl")),
        *((line, True) for line in ("--editable=.", "part @ file:///srv/x")),
        *((line, False) for line in ("part", "part[web]>=1.0", "# ./x", "git+https://h/x.git")),
    ],
)
def test_a_part_of_the_release_itself_is_installed_each_time(
    tmp_path: Path, line: str, own: bool
) -> None:
    (tmp_path / "requirements.txt").write_text(f"one\n{line}\n")
    found = needs(tmp_path)
    assert found
    assert found.own is own


def test_a_python_that_is_asked_for_and_not_there(environments: Environments, index: Path) -> None:
    path = release(environments, "1", requirements_txt="part")
    (path / ".python-version").write_text("3.4\n")
    with pytest.raises(DeployFailed, match=r"3\.4"):
        environments.give("1")
