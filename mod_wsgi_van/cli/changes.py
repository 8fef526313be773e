"""Changes to a system that can be shown, made, and taken back.

A journal says what was made, so that nothing else is ever touched: a file that somebody else wrote,
or changed since, is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mod_wsgi_van.cli.problem import Problem


@dataclass(frozen=True, slots=True)
class NewDirectory:
    """A directory, made with those above it that are missing.

    With ``user`` and ``group`` it is theirs; those above it are not.
    """

    path: str
    user: str = ""
    group: str = ""

    def __str__(self) -> str:
        return f"make the directory {self.path}"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file with its whole text."""

    path: str
    text: str
    mode: int = 0o644

    def __str__(self) -> str:
        return f"write {self.path}"


@dataclass(frozen=True, slots=True)
class NewLink:
    """A symlink."""

    path: str
    target: str

    def __str__(self) -> str:
        return f"link {self.path} to {self.target}"


@dataclass(frozen=True, slots=True)
class Enabling:
    """A command of Debian's that makes ``witness``, and the one that takes it back."""

    command: Sequence[str]
    undo: Sequence[str]
    witness: str  # its path exists when there is nothing to do

    def __str__(self) -> str:
        return shlex.join(self.command)


Change = NewDirectory | NewFile | NewLink | Enabling


@dataclass
class Journal:
    """What was made, in order; kept in a file that root owns."""

    file: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    _before: dict[str, str] = field(default_factory=dict)  # the texts of files that were replaced

    @classmethod
    def read(cls, file: Path) -> Journal:
        """Raises Problem when the file cannot be read."""
        try:
            return cls(file, json.loads(file.read_text()))
        except FileNotFoundError:
            return cls(file)
        except (OSError, ValueError) as error:
            raise Problem(f"the journal {file} cannot be read: {error}") from error

    def write(self) -> None:
        if not self.entries:
            self.file.unlink(missing_ok=True)
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_name(f".{self.file.name}.new")
        new.write_text(json.dumps(self.entries, indent=1) + "\n")
        new.replace(self.file)

    def made(self, path: str) -> dict[str, Any] | None:
        """The last entry of a path."""
        return next((each for each in reversed(self.entries) if each.get("path") == path), None)

    def wants(self, change: Change) -> bool:
        """Whether there is something to do; raises Problem where somebody else's file stands."""
        if isinstance(change, Enabling):
            return not os.path.lexists(change.witness)
        if isinstance(change, NewDirectory):
            return not os.path.isdir(change.path)
        if isinstance(change, NewLink):
            return self._wants_link(change)
        return self._wants_file(change)

    def _wants_link(self, change: NewLink) -> bool:
        if not os.path.lexists(change.path):
            return True
        if os.path.islink(change.path) and os.readlink(change.path) == change.target:
            return False
        raise Problem(
            f"{change.path} exists and leads elsewhere: move it away, then run this again"
        )

    def _wants_file(self, change: NewFile) -> bool:
        if not os.path.lexists(change.path):
            return True
        there = _digest(change.path)
        if there == _sha(change.text):
            return False
        made = self.made(change.path)
        if made is None or there is None:
            raise Problem(
                f"{change.path} exists and is not ours: move it away, then run this again"
            )
        if made["sha256"] != there:
            raise Problem(
                f"{change.path} was changed since it was written: move it away, or keep it and make"
                " the change by hand (--dry-run shows the text)"
            )
        return True

    def make(self, change: Change) -> None:
        """Make it and write it down. Raises Problem, OSError."""
        if isinstance(change, NewDirectory):
            for path in _missing(Path(change.path)):
                path.mkdir()
                self._note({"kind": "directory", "path": str(path)})
            if change.user:
                shutil.chown(change.path, change.user, change.group)
            return
        if isinstance(change, NewFile):
            self._make_file(change)
        elif isinstance(change, NewLink):
            os.symlink(change.target, change.path)
            self._note({"kind": "link", **asdict(change)})
        else:
            self._enable(change)

    def _enable(self, change: Enabling) -> None:
        """Write down what the command has enabled besides: a module may need others."""
        directory = Path(change.witness).parent
        before = {each.stem for each in directory.iterdir()}
        run(change.command)
        wanted = change.undo[-1]
        for name in sorted({each.stem for each in directory.iterdir()} - before - {wanted}):
            self._note({"kind": "command", "undo": [*change.undo[:-1], name]})
        self._note({"kind": "command", "undo": list(change.undo)})

    def _make_file(self, change: NewFile) -> None:
        made = self.made(change.path)
        if made is None or not os.path.lexists(change.path):
            _write(change)
            self._note({"kind": "file", "path": change.path, "sha256": _sha(change.text)})
            return
        self._before.setdefault(change.path, Path(change.path).read_text())
        _write(change)
        made["sha256"] = _sha(change.text)
        self.write()

    def _note(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        self.write()

    def take_back(self, keeps: Callable[[Sequence[str]], str], down_to: int = 0) -> Iterator[str]:
        """Take back all entries but the first ``down_to``, last first; says what became of each.

        ``keeps`` is asked before each command why it must not be run, "" if it may. What somebody
        has changed or uses is theirs from then on. What fails is kept in the journal, and the rest
        goes on.
        """
        for entry in reversed(self.entries[down_to:]):
            try:
                said = self._taken_back(entry, keeps)
                self.entries.remove(entry)
            except (Problem, OSError) as error:
                said = f"not taken back: {error}"
            self.write()
            yield said

    def _taken_back(self, entry: dict[str, Any], keeps: Callable[[Sequence[str]], str]) -> str:
        if entry["kind"] == "command":
            if reason := keeps(entry["undo"]):
                return f"not done, {reason}: {shlex.join(entry['undo'])}"
            run(entry["undo"])
            return shlex.join(entry["undo"])
        path = Path(entry["path"])
        if entry["kind"] == "directory":
            if path == self.file.parent:
                self.file.unlink(missing_ok=True)  # it is the last thing there
            return _remove_directory(path)
        if not os.path.lexists(path):
            return f"{path} was gone already"
        if entry["kind"] == "link":
            ours = path.is_symlink() and os.readlink(path) == entry["target"]
        else:
            ours = _digest(str(path)) == entry["sha256"]
        if not ours:
            return f"{path} stays: it was changed since"
        path.unlink()
        return f"removed {path}"

    def restore(self) -> Iterator[str]:
        """Give the files that were replaced by this process their former texts."""
        for path, text in self._before.items():
            made = self.made(path)
            if made and _digest(path) == made["sha256"]:
                self._make_file(NewFile(path, text))
                yield f"{path} is what it was"


def _remove_directory(path: Path) -> str:
    try:
        path.rmdir()
    except FileNotFoundError:
        return f"{path} was gone already"
    except OSError as error:
        return f"{path} stays: {error.strerror}"
    return f"removed {path}"


def run(command: Sequence[str], timeout: float = 120.0) -> str:
    """What a command printed; raises Problem with its last line when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"{shlex.join(command)}: {error}") from error
    if done.returncode:
        said = " / ".join(done.stdout.strip().splitlines()[-3:]) or f"status {done.returncode}"
        raise Problem(f"{shlex.join(command)}: {said}")
    return done.stdout


def _write(change: NewFile) -> None:
    path = Path(change.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    # The directory may be another user's: nothing that stands there is followed or written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(new, flags, 0o600), "w") as file:
        file.write(change.text)
        os.fchmod(file.fileno(), change.mode)
    new.replace(path)


def _missing(path: Path) -> list[Path]:
    return [each for each in reversed([path, *path.parents]) if not each.exists()]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(path: str) -> str | None:
    """Of the regular file that is there, None without one."""
    if os.path.islink(path) or not os.path.isfile(path):
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
