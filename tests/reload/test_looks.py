"""Looks: one at a time for each site, none forgotten, none that is the last for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mod_wsgi_van.files.target import Target
from mod_wsgi_van.files.version import Version
from tests.support.links import swap
from tests.support.waiting import DEADLINE, wait
from tests.watch.probe import Probe, Targets, release


class Meddled(Targets):
    """Asking for a target, or measuring one, may fail or take its time."""

    failing: BaseException | None = None
    gate: threading.Event | None = None
    inside = 0
    most_inside = 0

    def target(self, path: Path, files: tuple[str, ...] = ()) -> Target:
        if self.failing is not None and path.name == "host":
            raise self.failing
        return super().target(path, files)

    def get_version(self, path: Path) -> Version:
        gate = self.gate
        if gate is not None and path.name == "host":
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
            gate.wait(DEADLINE)
            self.inside -= 1
        return super().get_version(path)


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Probe]:
    probe = Probe(tmp_path / "sentinel", targets=Meddled())
    probe.start()
    yield probe
    probe.stop()


def meddled(probe: Probe) -> Meddled:
    assert isinstance(probe.targets, Meddled)
    return probe.targets


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), SystemExit(3)])
def test_one_that_fails_in_a_way_nobody_foresaw(
    probe: Probe, tmp_path: Path, error: BaseException
) -> None:
    wsgi = release(tmp_path / "host")
    probe.add("host", wsgi)
    meddled(probe).failing = error
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 1\n"))
    meddled(probe).failing = None
    probe.expect("host", lambda: (wsgi / "app.py").write_text("x = 22\n"))


def test_hints_while_a_look_hangs_cost_one_more_look(probe: Probe, tmp_path: Path) -> None:
    """Other sites are looked at meanwhile, by another thread."""
    for number in range(3):
        release(tmp_path / f"build{number}")
    (tmp_path / "host").symlink_to("build0")
    probe.add("host", tmp_path / "host/wsgi")
    probe.add("other", tmp_path / "build2/wsgi")
    gate = meddled(probe).gate = threading.Event()
    looks = probe.looks_at["host"]
    try:
        swap(tmp_path / "host", "build1")
        wait(lambda: meddled(probe).inside == 1)
        for number in range(20):
            hints = probe.hints["host"]
            swap(tmp_path / "host", f"build{number % 2}")
            probe.wait_for_hint("host", hints)
        before = probe.changes["other"]
        (tmp_path / "build2/wsgi/app.py").write_text("x = 1\n")
        probe.wait_for_change("other", before)
    finally:
        gate.set()
    wait(lambda: probe.looks_at["host"] == looks + 2)
    probe.settle()
    assert meddled(probe).most_inside == 1
