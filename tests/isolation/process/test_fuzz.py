"""Hostile workers against the router's side of the protocol, made by chance.

VAN_FUZZ_SECONDS says for how long; VAN_FUZZ_SEED begins with the seed that a failure has named.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from mod_wsgi_van.isolation.process import bounds
from mod_wsgi_van.isolation.process.exchange import (
    ApplicationRaised,
    ProcessInstance,
    ResponseBroken,
)
from mod_wsgi_van.isolation.process.frames import Connection
from mod_wsgi_van.isolation.process.worker import HEADER
from mod_wsgi_van.settings import Settings
from tests.support.client import Call, make_environ
from tests.support.descriptors import descriptors

SECONDS = float(os.environ.get("VAN_FUZZ_SECONDS") or (60 if os.environ.get("CI") else 5))
SEED = int(os.environ.get("VAN_FUZZ_SEED") or time.time_ns() % 1_000_000_000)
TIMEOUT = 0.05  # of a connection
PATIENCE = 10.0  # for one request, on a busy machine
HEAD = b"200 OK\nContent-Type\ntext/plain"
Step = Callable[[socket.socket], object]


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def garbled(chance: random.Random, data: bytes) -> bytes:
    """The same with some bytes changed, left out or repeated."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        kind = chance.randrange(3)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1 and len(changed) > 1:
            del changed[at : at + chance.randint(1, 20)]
        else:
            changed[at:at] = changed[max(0, at - 9) : at]
        if not changed:
            break
    return bytes(changed) or b"\0"


def frames_of(chance: random.Random) -> list[bytes]:
    """A response as it should be, more or less."""
    blocks = [
        frame(b"D", bytes(chance.choice([1, 10, 5000, 70_000, 200_000])))
        for _ in range(chance.randint(0, 3))
    ]
    pulls = [frame(b"P", struct.pack("!I", chance.choice([0, 1, 1000, 2**32 - 1])))]
    made = [
        *(pulls * chance.randint(0, 3)),
        frame(b"H", HEAD),
        *blocks,
        *([frame(b"F")] * (chance.random() < 0.2)),
        frame(b"E") if chance.random() < 0.8 else frame(b"X", b"Traceback"),
    ]
    if chance.random() < 0.3:
        chance.shuffle(made)
    return made


def steps_of(chance: random.Random, files: list[int]) -> Iterator[Step]:
    for data in frames_of(chance):
        kind = chance.random()
        if kind < 0.1:
            data = garbled(chance, data)
        elif kind < 0.13:
            data = data[: chance.randrange(len(data))]
        elif kind < 0.16:
            data = chance.randbytes(chance.choice([1, 5, 100, 100_000]))
        elif kind < 0.19:
            data = HEADER.pack(chance.choice([b"H", b"D", b"X", b"P"]), 2**32 - 1)
        elif kind < 0.22:
            data = frame(b"D") * chance.randint(1, 1000)
        if chance.random() < 0.1:
            yield lambda end, data=data: [end.send(data[i : i + 1]) for i in range(len(data[:99]))]
        else:
            yield lambda end, data=data: end.sendall(data)
        if chance.random() < 0.15 or data[:1] == b"F":
            fds = chance.sample(files, chance.randint(1, len(files)))
            yield lambda end, fds=fds: socket.send_fds(end, [b"."], fds)
        if chance.random() < 0.1:
            yield lambda end: end.recv(chance.choice([1, 100_000]))
        if chance.random() < 0.1:
            pause = chance.choice([0.001, TIMEOUT / 2, TIMEOUT * 2])
            yield lambda end, pause=pause: time.sleep(pause)
        if chance.random() < 0.03:
            yield lambda end: end.close()


class Hostile:
    """In place of a pool: each worker that it lends does what chance says."""

    host = entry = "a.test"

    def __init__(self, chance: random.Random, files: list[int]) -> None:
        self.chance = chance
        self.files = files
        self.lent = self.back = 0
        self.threads: list[threading.Thread] = []

    def borrow(self) -> tuple[object, Connection]:
        ours, theirs = socket.socketpair()
        value = struct.pack("ll", 0, int(TIMEOUT * 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, value)
        theirs.settimeout(0.2)
        steps = list(steps_of(self.chance, self.files))
        rest = self.chance.choice([0, 0, TIMEOUT * 3])
        thread = threading.Thread(target=self.serve, args=(theirs, steps, rest))
        thread.start()
        self.threads.append(thread)
        self.lent += 1
        return object(), Connection(ours, TIMEOUT)

    def serve(self, end: socket.socket, steps: list[Step], rest: float) -> None:
        with contextlib.suppress(OSError), end:
            for step in steps:
                step(end)
            time.sleep(rest)

    def give_back(self, worker: object, connection: Connection | None = None) -> None:
        self.back += 1
        if connection is not None:
            connection.socket.close()

    def abandon(self, worker: object, connection: Connection) -> None:
        connection.hang_up()
        connection.socket.close()
        self.back += 1

    def lost(self, worker: object) -> None:
        """It is told of what garbled() and late() are told of too."""

    late = lost

    def raised(self, worker: object, traceback: str) -> None:
        bounds.told(Settings(memory_limit=1, task_limit=1, file_limit=1), traceback)

    def garbled(self, worker: object, what: str) -> None:
        """It is not to be trusted any more."""


def make_request(chance: random.Random) -> dict[str, Any]:
    method = chance.choice(["GET", "POST"])
    body = bytes(chance.choice([0, 10, 70_000, 500_000])) if method == "POST" else None
    environ = make_environ("/", method, body)
    if chance.random() < 0.3:
        environ["wsgi.file_wrapper"] = FileWrapper
    return environ


def one_request(seed: int, files: list[int]) -> None:
    chance = random.Random(seed)
    pool = Hostile(chance, files)
    began = time.monotonic()
    call = None
    try:
        call = Call(ProcessInstance(pool).application, make_request(chance))  # type: ignore[arg-type]
        for number, data in enumerate(call.blocks):
            assert isinstance(data, bytes)
            if number > 500 or chance.random() < 0.02:  # the client goes away
                break
    except (ApplicationRaised, ResponseBroken):
        pass
    finally:
        if call is not None:
            call.close()
            assert call.head[0][:3] in ("200", "502", "504") or call.head[0][:1] in "123456789"
        del call
    assert time.monotonic() - began < PATIENCE
    for thread in pool.threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert pool.back == pool.lent, f"{pool.lent} workers were lent and {pool.back} given back"


def test_nothing_that_a_worker_sends_harms_the_router(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with tempfile.TemporaryFile() as file, io.open(os.devnull, "rb") as device:  # noqa: UP020
        file.write(bytes(100_000))
        file.flush()
        files = [file.fileno(), device.fileno(), file.fileno()]
        before, end, seed = descriptors(), time.monotonic() + SECONDS, SEED
        while time.monotonic() < end:
            try:
                one_request(seed, files)
                assert descriptors() == before
            except BaseException as error:
                error.add_note(f"VAN_FUZZ_SEED={seed} does it again")
                raise
            seed += 1
    assert seed - SEED > SECONDS  # some each second
    print(f"{seed - SEED} requests from seed {SEED} on")
