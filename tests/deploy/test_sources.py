"""What can be deployed, and what an archive may not do."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.sources import Copied, copy
from mod_wsgi_van.deploy.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "release").mkdir()
    return Tree(tmp_path / "release", bytes=100_000, entries=100)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop-1.0"
    for name in (
        "wsgi/app.py",
        "wsgi/pages/one.html",
        "wsgi/__pycache__/app.pyc",
        ".venv/pyvenv.cfg",
    ):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    (path / "manage.py").write_text("manage")
    (path / "manage.py").chmod(0o777)
    (path / "wsgi/link").symlink_to("../manage.py")
    return path


def names(tree: Tree) -> list[str]:
    return sorted(
        str(each.relative_to(tree.root)) for each in tree.root.rglob("*") if not each.is_dir()
    )


WHOLE = ["manage.py", "wsgi/app.py", "wsgi/link", "wsgi/pages/one.html"]


def check(tree: Tree) -> None:
    assert names(tree) == WHOLE
    assert (tree.root / "wsgi/link").read_text() == "manage"
    assert (tree.root / "manage.py").stat().st_mode & 0o777 == 0o755


def test_a_directory_without_its_environment_and_bytecode(tree: Tree, source: Path) -> None:
    assert copy(str(source), "", tree, "wsgi") == Copied("directory")
    check(tree)
    changed = (source / "manage.py").stat().st_mtime
    assert (tree.root / "manage.py").stat().st_mtime == changed


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", ""])
def test_a_tar_with_all_in_one_directory(
    tree: Tree, source: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "shop.tar"
    with tarfile.open(path, f"w:{kind}") as archive:
        for name in ["wsgi", *WHOLE]:
            archive.add(source / name, f"./shop-1.0/{name}", recursive=False)
    assert copy(str(path), "", tree, "wsgi") == Copied("tar")
    check(tree)


def test_a_zip(tree: Tree, source: Path, tmp_path: Path) -> None:
    path = tmp_path / "shop.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in WHOLE:
            info = zipfile.ZipInfo.from_file(source / name, name)
            data = (source / name).read_bytes()
            if (source / name).is_symlink():
                info.external_attr = (0o120777) << 16
                data = os.readlink(source / name).encode()
            archive.writestr(info, data)
    assert copy(str(path), "", tree, "wsgi") == Copied("zip")
    check(tree)


@pytest.fixture
def git(source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    for name, value in (("NAME", "Ann"), ("EMAIL", "ann@shop.test")):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)

    def run(*arguments: str) -> str:
        command = ["git", "-C", str(source), "-c", "protocol.file.allow=always", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "-b", "main")
    (source / ".gitignore").write_text("__pycache__\n.venv\n.gitignore\n")
    run("add", ".")
    run("commit", "-qm", "one")
    run("tag", "v1")
    return run


@pytest.mark.parametrize("ref", ["", "main", "v1", "SHA"])
def test_what_is_committed_of_a_git_repository(
    tree: Tree, source: Path, git: Callable[..., str], ref: str
) -> None:
    first = git("rev-parse", "HEAD")
    (source / "wsgi/later.py").write_text("not committed")
    if ref == "SHA":
        git("add", ".")
        git("commit", "-qm", "two")
        ref = first
    assert copy(str(source), ref, tree, "wsgi") == Copied("git", first)
    check(tree)


def test_submodules_are_said(tree: Tree, source: Path, git: Callable[..., str]) -> None:
    git("submodule", "--quiet", "add", str(source), "part")
    git("commit", "-qm", "two")
    found = copy(f"file://{source}", "", tree, "wsgi")
    assert found.note == "submodules are not fetched: part"


def test_what_git_says_is_said(tree: Tree, source: Path, git: Callable[..., str]) -> None:
    with pytest.raises(DeployFailed, match=r"git: .*nothing"):
        copy(str(source), "nothing", tree, "wsgi")
    with pytest.raises(DeployFailed, match="git: "):
        copy(str(source), "--upload-pack=touch /tmp/x", tree, "wsgi")


def made(kind: bytes, name: str, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
TRAPS: dict[str, list[tarfile.TarInfo]] = {
    "above": [made(FILE, "../x")],
    "above further on": [made(FILE, "wsgi/../../x")],
    "absolute": [made(FILE, "/tmp/van-trap")],
    "a link above": [made(LINK, "x", "../../y")],
    "an absolute link": [made(LINK, "x", "/etc/passwd")],
    "through a link": [made(LINK, "x", "wsgi"), made(FILE, "x/y")],
    "a link by another": [made(LINK, "a/b", ".."), made(LINK, "a/c", "b/../..")],
    "a hard link": [made(HARD, "x", "/etc/passwd")],
    "a device": [made(tarfile.CHRTYPE, "x")],
    "a FIFO": [made(tarfile.FIFOTYPE, "x")],
    "a directory and a file": [made(tarfile.DIRTYPE, "x/y"), made(FILE, "x")],
    "too many": [made(FILE, f"x{number}") for number in range(101)],
}


@pytest.mark.parametrize("trap", TRAPS)
def test_an_archive_with_a_trap_is_refused(tree: Tree, tmp_path: Path, trap: str) -> None:
    path = tmp_path / "trap.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(made(tarfile.DIRTYPE, "wsgi"))
        for each in TRAPS[trap]:
            archive.addfile(each)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DeployFailed):
        copy(str(path), "", tree, "wsgi")
    assert sorted(tmp_path.iterdir()) == before
    assert not Path("/tmp/van-trap").exists()


def test_what_grows_while_it_is_unpacked_is_refused(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("wsgi/zeros", bytes(10_000_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(DeployFailed, match="too many bytes"):
        copy(str(path), "", tree, "wsgi")


def test_a_name_without_end_is_refused(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "name.tar"
    long = made(tarfile.GNUTYPE_LONGNAME, "x")
    long.size = 1 << 33
    path.write_bytes(long.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DeployFailed, match="too long"):
        copy(str(path), "", tree, "wsgi")


@pytest.mark.parametrize("data", [b"", b"PK\3\4 no zip", os.urandom(2000)])
def test_what_is_no_archive_is_said(tree: Tree, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DeployFailed):
        copy(str(path), "", tree, "wsgi")


def test_a_source_without_an_application_is_refused(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeployFailed, match="no directory wsgi"):
        copy(str(tmp_path / "empty"), "", tree, "wsgi")
    with pytest.raises(DeployFailed, match="there is no"):
        copy(str(tmp_path / "missing"), "", tree, "wsgi")
    with pytest.raises(DeployFailed, match="no git repository"):
        copy(str(tmp_path / "empty"), "main", tree, "wsgi")


def test_a_fifo_in_a_directory_is_refused(tree: Tree, source: Path) -> None:
    os.mkfifo(source / "wsgi/pipe")
    with pytest.raises(DeployFailed, match="FIFO"):
        copy(str(source), "", tree, "wsgi")


def test_the_last_file_of_a_name_counts(tree: Tree) -> None:
    tree.file("a", io.BytesIO(b"one"), False, 1.0)
    tree.link("b", "a")
    tree.file("b", io.BytesIO(b"two"), False, 1.0)
    assert (tree.root / "a").read_text() == "one"
    assert (tree.root / "b").read_text() == "two"
