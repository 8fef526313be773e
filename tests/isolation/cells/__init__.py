"""The isolation matrix: what a vhost's code does, and what it answers in a process of its own."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.isolation.contract import Source
from tests.isolation import libraries
from tests.support.environments import environment, site_packages
from tests.support.places import PROJECT
from tests.support.pythons import Version, interpreter
from tests.support.sources import described

HERE = Path(__file__).resolve().parent
# What no private import system passes, and a process of its own does.
BEYOND = ("lxml_trees",)
CELLS = tuple(sorted(p.stem for p in (HERE / "site" / "cells").glob("[a-z]*.py")))
PASSING = tuple(cell for cell in CELLS if cell not in BEYOND)
TURNS = 4


@dataclass(frozen=True)
class Result:
    failures: dict[str, list[str]]
    answered: int


def make_vhost(path: Path, name: str, version: Version) -> Source:
    """A vhost with all cells; ``name`` is what its code says it is, and chooses its libraries."""
    python = interpreter(version)
    assert python is not None
    venv = environment(python, libraries.requirements(name, version))
    wsgi, extra = path / "wsgi", path / "extra"
    shutil.copytree(HERE / "site", wsgi, ignore=shutil.ignore_patterns("__pycache__"))
    (wsgi / "me.py").write_text(f"NAME = {name!r}\n")
    (wsgi / "package" / "data.txt").write_text(f"data of {name}\n")
    numbered = wsgi / "numbered"
    numbered.mkdir()
    (numbered / "__init__.py").touch()
    for number in range(20):
        (numbered / f"module_{number}.py").write_text(f"NAME = '{name} {number}'\n")
    for directory, side in ((wsgi, "left"), (path / "portion", "right")):
        (directory / "spread").mkdir(parents=True)
        (directory / "spread" / f"{side}.py").write_text(f"NAME = '{side} of {name}'\n")
    info = extra / "cells_dist.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: cells-dist\nVersion: 1.{len(name)}.{ord(name[0])}\n"
    )
    (info / "entry_points.txt").write_text("[cells.things]\nthing = things:Thing\n")
    (extra / "portion.pth").write_text(f"{path / 'portion'}\n")
    return Source(
        host=f"{name}.test",
        directory=str(wsgi.resolve()),
        venv=str(venv.resolve()),
        site_packages=(str(site_packages(venv).resolve()), str(extra.resolve())),
        module_name="app",
        object_name="app",
        python=str(venv / "bin" / "python"),
    )


def answers_alone(source: Source, cells: tuple[str, ...], turns: int) -> dict[str, list[str]]:
    """What the cells answer in a process of the vhost's own Python."""
    extra = source.site_packages[-1]
    command = [source.python, "-W", "ignore", HERE / "plain.py", source.directory, extra]
    return _json([*map(str, command), str(turns), *cells], "", _environ())


def drive(version: Version, sources: list[Source], **job: Any) -> Result:
    """Run driver.py with this interpreter."""
    return Result(**run(version, "driver.py", sources, **job))


def run(version: Version, script: str, sources: list[Source], **job: Any) -> Any:
    """Run a script beside this file with an interpreter that sees nothing but the daemon."""
    python = interpreter(version)
    assert python is not None
    daemon = environment(python, ["watchdog>=7.1"])
    path = os.pathsep.join([str(PROJECT), str(site_packages(daemon))])
    job["sources"] = [described(source) for source in sources]
    command = [python, "-W", "ignore", "-X", "faulthandler", str(HERE / script)]
    return _json(command, json.dumps(job), _environ(PYTHONPATH=path))


@functools.cache
def matrix(version: Version) -> Result:
    """All cells that pass, two vhosts, eight threads."""
    with tempfile.TemporaryDirectory(prefix="van-cells-") as directory:
        sources = [make_vhost(Path(directory, name), name, version) for name in ("one", "two")]
        expected = [answers_alone(source, PASSING, TURNS) for source in sources]
        for cell in PASSING:
            assert expected[0][cell] != expected[1][cell], f"{cell} cannot tell the vhosts apart"
        return drive(version, sources, cells=PASSING, turns=TURNS, expected=expected)


def _environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return {**kept, **more}


def _json(command: list[str], stdin: str, environ: dict[str, str]) -> Any:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=300, env=environ
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-8000:]}"
    return json.loads(done.stdout.splitlines()[-1])
