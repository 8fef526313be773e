"""A worker is not trusted: what it may send, and what happens when it sends something else."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from mod_wsgi_van.isolation.process.exchange import ApplicationRaised, ResponseBroken
from mod_wsgi_van.isolation.process.frames import (
    HEADER,
    Connection,
    Garbage,
    Gone,
    Late,
    parse_head,
)
from mod_wsgi_van.wsgi import Application
from tests.support.client import Call, ask, make_environ
from tests.support.waiting import wait

HEAD = b"200 OK\nContent-Type\ntext/plain"
KINDS = b"HDEPXF+!QBAS\0\xff"


def frame(kind: bytes, payload: bytes = b"", length: int | None = None) -> bytes:
    return HEADER.pack(kind, len(payload) if length is None else length) + payload


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\n",
        b"no status",
        b"20 OK",
        b"200",
        b"200 O\x00K",
        b"200 OK\r",
        b"200 OK\r\nX: y",
        b"200 OK\na",
        b"200 OK\na\nb\nc",
        b"200 OK\na b\nc",
        b"200 OK\na:\nc",
        b"200 OK\n\nc",
        b"200 OK\na\nb\r",
        b"200 OK\na\nb\x00",
        b"200 OK\n\xe4\nb",
        b'["200 OK", []]',
        b"\xff\xfe",
        b"\n" * 100000,
    ],
)
def test_heads_that_are_refused(payload: bytes) -> None:
    with pytest.raises(Garbage):
        parse_head(payload)


def test_a_head_is_a_status_and_pairs() -> None:
    assert parse_head(HEAD) == ("200 OK", [("Content-Type", "text/plain")])
    assert parse_head(b"200 \nA\n\nB\n\xe4\tb") == ("200 ", [("A", ""), ("B", "\xe4\tb")])


@pytest.fixture
def ends() -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


@pytest.mark.parametrize(
    ("kind", "length"),
    [(b"H", 300000), (b"X", 300000), (b"P", 5), (b"E", 1), (b"F", 1), (b"Q", 0), (b"\0", 0)],
)
def test_frames_that_are_refused(
    ends: tuple[Connection, socket.socket], kind: bytes, length: int
) -> None:
    connection, worker = ends
    worker.send(HEADER.pack(kind, length))
    with pytest.raises(Garbage):
        connection.receive()


def test_frames_that_come_in_pieces(ends: tuple[Connection, socket.socket]) -> None:
    connection, worker = ends
    data = frame(b"H", HEAD) + frame(b"D", b"x" * 100000) + frame(b"E")

    def send() -> None:
        for at in range(0, len(data), 777):
            worker.send(data[at : at + 777])

    thread = threading.Thread(target=send)
    thread.start()
    kind, length = connection.receive()
    assert (kind, connection.take(length)) == (b"H", HEAD)
    kind, length = connection.receive()
    got = b""
    while len(got) < length:
        got += connection.some(length - len(got))
    assert got == b"x" * 100000
    assert connection.receive() == (b"E", 0)
    thread.join()
    assert connection.quiet


def test_the_end_of_a_worker(ends: tuple[Connection, socket.socket]) -> None:
    connection, worker = ends
    connection.send(b"a request that is not read")
    worker.close()
    with pytest.raises(Gone) as gone:
        connection.receive()
    assert gone.value.unread
    with pytest.raises(Gone) as gone:
        connection.receive()
    assert not gone.value.unread
    with pytest.raises(Gone) as gone:
        connection.send(b"more")
    assert gone.value.unread


def drip(act: Callable[[], object], over: threading.Event) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError):
            while not over.wait(0.03):
                act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("begin", [b"", HEADER.pack(b"H", 1000)], ids=["header", "payload"])
def test_a_frame_that_comes_a_byte_at_a_time(begin: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection, over = Connection(ours, 0.1), threading.Event()
        theirs.sendall(begin or b"H\0")
        thread = drip(lambda: theirs.send(b"\0"), over)
        try:
            with pytest.raises(Late):
                connection.take(connection.receive()[1] if begin else 1000)
        finally:
            over.set()
            thread.join()


def test_a_worker_that_takes_a_byte_at_a_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 0, 100_000))
        connection, over = Connection(ours, 0.1), threading.Event()
        thread = drip(lambda: theirs.recv(20_000), over)
        try:
            with pytest.raises(Late):
                connection.send(b"head", b"x" * 50_000_000)
        finally:
            over.set()
            thread.join()


def test_silence(ends: tuple[Connection, socket.socket]) -> None:
    connection, _ = ends
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 0, 10000))
    with pytest.raises(Late):
        connection.receive()
    with pytest.raises(Late):
        connection.send(b"x" * 10_000_000)


# Whole requests, answered by a real worker process that lies.


@pytest.fixture
def liar(load: Callable[..., Application]) -> Application:
    return load(request_timeout=2, shutdown_timeout=0.1)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        frame(b"H", b"{}"),
        frame(b"H", length=0xFFFFFFFF),
        frame(b"D", b"data without a head"),
        frame(b"E"),
        frame(b"F"),
        frame(b"P", b"\0\0\0\5"),
        frame(b"P", b"\0\0"),
        frame(b"X", length=0x7FFFFFFF),
        frame(b"+"),
        b"\x80\x04\x95" + b"pickle",
        frame(b"H", HEAD + b"\n"),
        frame(b"H", HEAD) + frame(b"D", b"data") + frame(b"E") + b"more",
        frame(b"H", HEAD) + frame(b"H", HEAD),
        frame(b"H", HEAD) + frame(b"D", b"data") + b"garbage",
    ],
)
def test_garbage_in_place_of_a_response(
    liar: Application, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(liar, "speaks", "GET", QUERY_STRING=sent.hex())
    assert answer.status == 502
    assert caplog.text.count("VAN033") == 1
    assert ask(liar, "about").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"D", b"more than is received at once" * 10000) + b"garbage",
        frame(b"D", b"more than is received at once" * 10000) + frame(b"H", HEAD),
        frame(b"D", b"data") + frame(b"D", b"less", 100),
    ],
)
def test_garbage_within_a_response(liar: Application, sent: bytes) -> None:
    call = Call(liar, make_environ("speaks", QUERY_STRING=(frame(b"H", HEAD) + sent).hex()))
    assert call.head[0] == "200 OK"
    with pytest.raises(ResponseBroken):
        call.finish()
    assert ask(liar, "about").status == 200


@pytest.mark.parametrize("wrong", ["descriptor", "close"])
def test_a_file_that_is_none(liar: Application, wrong: str) -> None:
    """/dev/null in place of a regular file, or no descriptor."""
    sent = (frame(b"H", HEAD) + frame(b"F")).hex() + "-" + wrong
    assert ask(liar, "speaks", "POST", QUERY_STRING=sent).status == 502
    assert ask(liar, "about").status == 200


def test_data_without_end_is_never_held(liar: Application) -> None:
    call = Call(liar, make_environ("speaks", QUERY_STRING=frame(b"H", HEAD).hex() + "-flood"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received = 0
    for block in call.blocks:
        received += len(block)
        if received > 300_000_000:
            break
    call.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    wait(lambda: ask(liar, "about").status == 200)


@pytest.mark.parametrize(
    ("sent", "repeated"),
    [
        (frame(b"H", HEAD) + frame(b"D"), 5),
        (frame(b"H", HEAD) + frame(b"D", b"data") + frame(b"D"), 5),
        (frame(b"P", b"\0\0\0\5"), 9),
    ],
)
def test_nothing_said_for_ever(
    liar: Application, sent: bytes, repeated: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Empty data, or pulls of a body that has ended: no request_timeout would ever pass."""
    environ = make_environ("speaks", "POST", b"x" * 70_000, HTTP_EXPECT="100-continue")
    environ["QUERY_STRING"] = f"{sent.hex()}-repeat{repeated}"
    environ["wsgi.input"] = io.BytesIO(b"less")
    try:
        assert Call(liar, environ).finish().status == 502
    except ResponseBroken:
        pass
    assert caplog.text.count("VAN033") == 1
    assert ask(liar, "about").status == 200


@pytest.mark.parametrize("seed", range(10))
def test_random_frames(load: Callable[..., Application], seed: int) -> None:
    """Whatever comes: an answer, or the error that says that there is no more of it."""
    application = load(request_timeout=0.2, shutdown_timeout=0.1)
    chance = random.Random(seed)
    outcomes = set()
    for _ in range(12):
        sent = frame(b"H", HEAD) if chance.random() < 0.5 else b""
        for _ in range(chance.randrange(6)):
            payload = chance.randbytes(chance.choice((0, 1, 4, 40, 4000)))
            length = len(payload) if chance.random() < 0.7 else chance.getrandbits(32)
            sent += frame(bytes([chance.choice(KINDS)]), payload, length)
        if chance.random() < 0.2:
            sent = chance.randbytes(100)
        environ = make_environ("speaks", "POST", b"x" * chance.choice((0, 10, 100000)))
        environ["QUERY_STRING"] = sent.hex() + chance.choice(("", "-close", "-descriptor"))
        try:
            outcomes.add(Call(application, environ).finish().status)
        except (ResponseBroken, ApplicationRaised) as error:
            outcomes.add(type(error).__name__)
    assert outcomes <= {200, 502, 503, 504, "ResponseBroken", "ApplicationRaised"}
    wait(lambda: ask(application, "about").status == 200, "a fresh worker", seconds=90)
