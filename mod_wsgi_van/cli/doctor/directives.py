"""Apache's configuration as Apache itself lists its files, as far as the doctor must read it.

Sections whose module is not loaded, or whose define is not set, are left out. Variables of the
environment (``${APACHE_LOG_DIR}``) stay as they are.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.cli.apache import ENVIRON


@dataclass(frozen=True, slots=True)
class Directive:
    """``sections`` are those around it, outermost first, such as ("VirtualHost *:80",)."""

    name: str  # in lower case
    arguments: tuple[str, ...]
    sections: tuple[str, ...]
    place: str  # file:line

    @property
    def host(self) -> str:
        """The virtual host with its place, "" at server level."""
        return next((each for each in self.sections if each.startswith("virtualhost")), "")


@dataclass(frozen=True, slots=True)
class Server:
    """What Apache says of itself. ``fault`` is what configtest complains about, "" when fine."""

    fault: str
    modules: frozenset[str]  # without _module
    directives: tuple[Directive, ...]
    pid_file: str
    user: str = ""  # as whom its processes run, and those of mod_wsgi by default

    def named(self, name: str, host: str | None = None) -> list[Directive]:
        """The directives of a name, where given those of one virtual host."""
        wanted = name.lower()
        return [
            each
            for each in self.directives
            if each.name == wanted and (host is None or each.host == host)
        ]

    def effective(self, name: str, host: str) -> Directive | None:
        """The last one of a virtual host, or else of the server."""
        found = self.named(name, host) or self.named(name, "")
        return found[-1] if found else None


def ask(command: Sequence[str]) -> Server:
    """Ask Apache, ``command`` being apache2ctl or a program with its options.

    Raises OSError and subprocess.TimeoutExpired.
    """

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=ENVIRON,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )

    test = said("-t")
    if test.returncode:
        complaint = [line for line in test.stderr.splitlines() if "AH00558" not in line]
        return Server(" ".join(complaint[:3]), frozenset(), (), "")
    modules = frozenset(re.findall(r"^ (\w+)_module ", said("-M").stdout, re.MULTILINE))
    run = said("-t", "-D", "DUMP_RUN_CFG").stdout
    defines = frozenset(re.findall(r"^Define: ([^\s=]+)", run, re.MULTILINE))
    files = re.findall(r"^ *\([*\d]+\) (.+)$", said("-t", "-D", "DUMP_INCLUDES").stdout, re.M)
    reading = Reading(modules, defines)
    directives = tuple(each for file in files for each in reading.file(Path(file)))
    pid_file = re.search(r'^PidFile: "(.+)"', run, re.MULTILINE)
    user = re.search(r'^User: name="([^"]+)"', run, re.MULTILINE)
    return Server("", modules, directives, pid_file[1] if pid_file else "", user[1] if user else "")


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads files; what is loaded and defined decides which sections count."""

    modules: frozenset[str]
    defines: frozenset[str]

    def file(self, path: Path) -> Iterator[Directive]:
        """The directives of one file that count, in their order."""
        sections: list[tuple[str, bool]] = []  # and whether what is inside counts
        for number, line in _lines(path):
            if re.fullmatch(r"</\w+>", line):
                del sections[-1:]
            elif begin := re.fullmatch(r"<(\w+)\s*(.*)>", line):
                kind, rest = begin[1].lower(), begin[2].strip()
                label = f"{kind} {rest}" + (f" {path}:{number}" if kind == "virtualhost" else "")
                sections.append((label, self._counts(kind, rest)))
            elif all(counts for _, counts in sections):
                name, *arguments = _split(line)
                around = tuple(label for label, _ in sections if not label.startswith("if"))
                yield Directive(name.lower(), tuple(arguments), around, f"{path}:{number}")

    def _counts(self, kind: str, rest: str) -> bool:
        wanted, name = not rest.startswith("!"), rest.lstrip("!").strip()
        if kind == "ifmodule":
            name = re.sub(r"^mod_(\w+)\.c$|^(\w+)_module$", r"\1\2", name)
            return (name in self.modules) == wanted
        if kind == "ifdefine":
            return (name in self.defines) == wanted
        return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, continued ones put together, with their numbers."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    begun, started = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        started = started if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        whole = (begun + line).strip()
        begun = ""
        if whole and not whole.startswith("#"):
            yield started, whole


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, posix=True) or [line]
    except ValueError:  # an odd quote
        return line.split()
