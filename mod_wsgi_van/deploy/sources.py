"""Where a release comes from: a directory, an archive, or a git repository."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mod_wsgi_van.deploy.failure import DeployFailed
from mod_wsgi_van.deploy.tree import Tree
from mod_wsgi_van.settings import IGNORED

_LEFT = frozenset(name for name in IGNORED if not set("*?[") & set(name)) - {"4913", ".DS_Store"}
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:")
_HEADER = 1 << 20  # bytes of a tar header with a long name in it, which tarfile reads at once
_LINK = 4096  # bytes of a symlink in a zip
_LONG = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SECONDS = 600.0  # for git


@dataclass(frozen=True, slots=True)
class Copied:
    """``revision``: the commit; ``note``: what people should know."""

    kind: str
    revision: str = ""
    note: str = ""


def copy(source: str, ref: str, tree: Tree, wsgi: str) -> Copied:
    """Write what ``source`` has into a tree; ``wsgi``: the name of the directory that it must have.

    Raises DeployFailed.
    """
    path = Path(source)
    bare = (path / "HEAD").is_file() and (path / "objects").is_dir()
    if _URL.match(source) or bare or (path / ".git").exists():
        copied = _git(source if _URL.match(source) else str(path.resolve()), ref, tree)
    elif ref:
        raise DeployFailed(f"{source} is no git repository, and only such a one has a --ref")
    elif path.is_dir():
        _directory(path, tree)
        copied = Copied("directory")
    else:
        copied = Copied(_archive(path, tree))
    tree.finish()
    _lift(tree.root, wsgi)
    if not (tree.root / wsgi).is_dir():
        raise DeployFailed(f"{source} has no directory {wsgi}, where the application belongs")
    return copied


def _directory(top: Path, tree: Tree) -> None:
    """By descriptors: whoever may write there must not lead root to files of others."""
    for where, directories, files, fd in os.fwalk(top):
        below = os.path.relpath(where, top)
        directories[:] = [name for name in directories if name not in _LEFT]
        for name in sorted(directories + files):
            _entry(tree, fd, name, os.path.normpath(os.path.join(below, name)))


def _entry(tree: Tree, fd: int, name: str, to: str) -> None:
    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        tree.link(to, os.readlink(name, dir_fd=fd))
    elif stat.S_ISDIR(found.st_mode):
        tree.directory(to)
    elif stat.S_ISREG(found.st_mode):
        with os.fdopen(os.open(name, _READ, dir_fd=fd), "rb") as stream:
            tree.file(to, stream, bool(found.st_mode & 0o100), found.st_mtime)
    else:
        tree.refuse(to, "a FIFO, a socket or a device")


def _archive(path: Path, tree: Tree) -> str:
    try:
        if zipfile.is_zipfile(path):
            _zip(path, tree)
            return "zip"
        with path.open("rb") as stream:
            _tar(stream, tree)
        return "tar"
    except FileNotFoundError:
        raise DeployFailed(f"there is no {path}: a directory, an archive or a git URL") from None
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise DeployFailed(f"{path} is no sound tar or zip: {error}") from error
    except (RuntimeError, ValueError) as error:
        if isinstance(error, DeployFailed):
            raise
        raise DeployFailed(f"{path} cannot be unpacked: {error}") from error


class _Entry(tarfile.TarInfo):
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        # What tarfile's comments offer to be overridden; newer ones do not call frombuf().
        if self.type in _LONG and self.size > _HEADER:
            raise tarfile.ReadError("a name is too long")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


def _tar(stream: IO[bytes], tree: Tree) -> None:
    with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_Entry) as archive:
        for each in archive:
            if each.isdir():
                tree.directory(each.name)
            elif each.issym():
                tree.link(each.name, each.linkname)
            elif each.isreg() and (data := archive.extractfile(each)):
                tree.file(each.name, data, bool(each.mode & 0o100), each.mtime)
            else:
                tree.refuse(each.name, "a hard link or a device")


def _zip(path: Path, tree: Tree) -> None:
    with zipfile.ZipFile(path) as archive:
        for each in archive.infolist():
            mode = each.external_attr >> 16
            if each.is_dir():
                tree.directory(each.filename)
            elif stat.S_ISLNK(mode):
                with archive.open(each) as data:
                    tree.link(each.filename, os.fsdecode(data.read(_LINK)))
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                tree.refuse(each.filename, "a device")
            else:
                with archive.open(each) as data:
                    changed = time.mktime((*each.date_time, 0, 0, -1))
                    tree.file(each.filename, data, bool(mode & 0o100), changed)


def _git(source: str, ref: str, tree: Tree) -> Copied:
    """What is committed: by a repository of our own, whose configuration nobody else wrote."""
    with tempfile.TemporaryDirectory(prefix="van-") as directory:

        def git(*arguments: str) -> str:
            return _run(("git", "--git-dir", directory, "-c", "core.hooksPath=/", *arguments))

        git("init", "--quiet", "--bare")
        git("fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", source, ref or "HEAD")
        revision = git("rev-parse", "FETCH_HEAD^{commit}").strip()
        listed = git("ls-tree", "-r", "-z", "FETCH_HEAD").split("\0")
        modules = [line.partition("\t")[2] for line in listed if line.startswith("160000 ")]
        with tempfile.TemporaryFile() as file:
            _run(("git", "--git-dir", directory, "archive", "--format=tar", "FETCH_HEAD"), file)
            file.seek(0)
            _tar(file, tree)
    note = f"submodules are not fetched: {', '.join(modules)}" if modules else ""
    return Copied("git", revision, note)


def _run(command: tuple[str, ...], out: int | IO[bytes] = subprocess.PIPE) -> str:
    environ = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            env=environ,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise DeployFailed("there is no git (apt install git)") from None
    except subprocess.TimeoutExpired:
        raise DeployFailed(f"git has not ended within {_SECONDS:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DeployFailed(f"git: {' / '.join(said[-3:]) or done.returncode}")
    return (done.stdout or b"").decode(errors="surrogateescape")


def _lift(root: Path, wsgi: str) -> None:
    """Leave out the one directory that all of an archive is in, as in project-1.0.tar.gz."""
    names = os.listdir(root)
    if len(names) != 1 or names[0] == wsgi.split("/")[0]:
        return
    only = root / names[0]
    if only.is_symlink() or not (only / wsgi).is_dir():
        return
    aside = only.rename(root / f".{os.getpid()}.aside")
    for name in os.listdir(aside):
        (aside / name).rename(root / name)
    aside.rmdir()
