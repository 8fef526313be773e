"""Driving a server with Apache's ab, which is in C and leaves the cores to the server."""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask of one host, over ``connections`` that are kept."""

    host: str
    path: str
    connections: int
    limit: tuple[str, ...]  # ab's -n, or -t
    upload: Path | None = None


@dataclass(frozen=True, slots=True)
class Run:
    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float


def drive(port: int, loads: Sequence[Load]) -> list[Run]:
    """All loads at once; an answer that is not 200, or of another length, is an error."""
    with tempfile.TemporaryDirectory() as directory:
        tables = [Path(directory) / f"{number}.csv" for number in range(len(loads))]
        with _started(port, loads, tables) as started:
            printed = [process.communicate(timeout=300)[0] for process in started]
        return [_run(text, table) for text, table in zip(printed, tables, strict=True)]


@contextmanager
def _started(
    port: int, loads: Sequence[Load], tables: Sequence[Path]
) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    try:
        for load, table in zip(loads, tables, strict=True):
            command = ["ab", "-q", "-k", "-c", str(load.connections), *load.limit, "-e", str(table)]
            if load.upload:
                command += ["-p", str(load.upload), "-T", "application/octet-stream"]
            command += ["-H", f"Host: {load.host}", f"http://127.0.0.1:{port}{load.path}"]
            pipe = subprocess.PIPE
            started.append(
                subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True)
            )
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()


def _run(text: str, table: Path) -> Run:
    found = re.search(r"Requests per second: +([\d.]+)", text)
    if found is None or re.search(r"Non-2xx|Failed requests: +[1-9]", text):
        raise RuntimeError(text)
    times = {int(row[0]): float(row[1]) for row in list(csv.reader(table.open()))[1:]}
    return Run(float(found[1]), times[50], times[99])
