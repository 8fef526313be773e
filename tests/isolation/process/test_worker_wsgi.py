"""PEP 3333 through a worker, under every Python that there is, validated on both ends."""

from __future__ import annotations

import io
import json
import logging
import os
import resource
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, BinaryIO

import pytest

from mod_wsgi_van.isolation.process.exchange import ApplicationRaised
from mod_wsgi_van.wsgi import Application
from tests.isolation.process.calling import SITE
from tests.support.answer import Answer
from tests.support.client import Call, ask, make_environ
from tests.support.waiting import wait


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """Instead of after each test, looked for when the worker of the module is ended."""


def test_the_worker_is_of_that_python(application: Application, python: str) -> None:
    about = ask(application, "about").json
    assert ".".join(map(str, about["version"])) == python
    assert about["path"][0] == str(SITE / "wsgi")
    assert not any("isolation/process" in path for path in about["path"][1:])
    assert about["blocked"] == []


def test_environ_arrives(application: Application) -> None:
    more = {"HTTP_X_LATIN": "caf\xe9", "HTTP_X_ODD": "a\udc80b", "mod_wsgi.version": (4, 9, 4)}
    more |= {"a.number": 5, "a.float": 1.5, "a.flag": True, "a.none": None}
    seen = ask(application, "echo", QUERY_STRING="a=b", **more).json["environ"]
    for key, value in {"QUERY_STRING": "a=b", **more}.items():
        assert seen[key] == repr(value)
    assert seen["wsgi.version"] == "(1, 0)"
    assert seen["wsgi.url_scheme"] == "'http'"
    assert seen["wsgi.multithread"] == "True" and seen["wsgi.multiprocess"] == "False"
    assert seen["wsgi.input_terminated"] == "True" and seen["wsgi.run_once"] == "False"


def test_wsgiref_validates_the_worker(application: Application) -> None:
    assert ask(application, "validated", "POST", b"the body").content == b"the body"


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 1000000])
def test_a_body_arrives_whole(application: Application, size: int) -> None:
    body = os.urandom(size)
    assert ask(application, "echo", "POST", body).json["body"].encode("latin-1") == body


def test_lines_of_a_body(application: Application) -> None:
    body = b"one\ntwo\nthree\nfour" + b"\n" * 70000
    for sent in (body[:20], body):
        (line, some), rest = eval(ask(application, "lines", "POST", sent).content)
        assert (line, some) == (b"one\n", [b"two\n"])
        assert b"".join(rest) == sent[8:]


class Terminated(io.RawIOBase):
    """An input that ends by itself, in pieces, as of a chunked request."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        if not self.pieces:
            return b""
        piece, self.pieces[0] = self.pieces[0][:size], self.pieces[0][size:]
        if not self.pieces[0]:
            del self.pieces[0]
        return piece


def test_a_chunked_body(application: Application) -> None:
    pieces = (b"a" * 10, b"b" * 100000, b"c")
    environ = make_environ("echo", "POST", HTTP_TRANSFER_ENCODING="chunked")
    environ |= {"wsgi.input": Terminated(*pieces), "wsgi.input_terminated": True}
    assert Call(application, environ).finish().json["body"].encode() == b"".join(pieces)


def test_without_a_length_there_is_no_body(application: Application) -> None:
    environ = make_environ("echo", "POST")
    environ["wsgi.input"] = Terminated(b"of the next request")
    assert Call(application, environ).finish().json["body"] == ""
    environ = make_environ("echo", "POST", CONTENT_LENGTH="-5")
    environ["wsgi.input"] = Terminated(b"of the next request")
    assert Call(application, environ).finish().json["body"] == ""


class Zeros(io.RawIOBase):
    """A long body that is nowhere."""

    def __init__(self, length: int) -> None:
        self.left = length

    def read(self, size: int = -1) -> bytes:
        piece = bytes(min(size, self.left))
        self.left -= len(piece)
        return piece


def test_a_large_upload_in_constant_memory(application: Application) -> None:
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    size = 1 << 30
    own = peak()
    _, before = ask(application, "count", "POST", b"small").json
    environ = make_environ("count", "POST", CONTENT_LENGTH=str(size))
    environ["wsgi.input"] = Zeros(size)
    total, after = Call(application, environ).finish().json
    assert total == size
    assert after - before < 10_000 and peak() - own < 10_000  # KB


def test_what_cannot_be_sent_is_left_out_and_said_once(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    code, buffer = test_close_runs_when_the_client_goes_away.__code__, memoryview(b"1")
    strange = {"a.buffer": buffer, "a.code": code, "a.function": print, "a.nested": (1, object())}
    strange |= {"mod_wsgi_van.release": object(), "a.kept": "kept"}
    for _ in range(3):
        seen = ask(application, "echo", **strange).json["environ"]
        assert seen["a.kept"] == "'kept'"
        assert not (strange.keys() - {"a.kept"}) & seen.keys()
    assert caplog.text.count("VAN035") == 1
    assert "a.buffer, a.code, a.function, a.nested\n" in caplog.text


class Number(float):
    pass


class Text(str):
    def __str__(self) -> str:
        return "another"


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Text("text"), "'text'"),
        ((1, Text("text"), HTTPStatus.OK), "(1, 'text', 200)"),
        (HTTPStatus.OK, "200"),
        (True, "True"),
        (None, "None"),
        (b"\xff", r"b'\xff'"),
        (1 << 70, str(1 << 70)),
        (0.1, "0.1"),
        (Number(0.5), "0.5"),
        ("\xff\ud800", r"'ÿ\ud800'"),
    ],
)
def test_values_arrive_as_what_they_are(application: Application, value: Any, arrives: str) -> None:
    assert ask(application, "echo", **{"a.value": value}).json["environ"]["a.value"] == arrives


class Untouched(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    "expect", [{"HTTP_EXPECT": "100-continue"}, {"HTTP_TRANSFER_ENCODING": "chunked"}]
)
def test_a_body_that_is_not_read_is_not_fetched(application: Application, expect: Any) -> None:
    """So that the server sends no 100 Continue for it."""
    environ = make_environ("unread", "POST", **{"CONTENT_LENGTH": "10", **expect})
    environ["wsgi.input"] = Untouched()
    assert Call(application, environ).finish().status == 413


def test_of_a_long_body_that_is_not_read_only_the_beginning_is_fetched(
    application: Application,
) -> None:
    """Before a worker is borrowed: none waits for a client that sends slowly."""
    environ = make_environ("unread", "POST", b"x" * 1_000_000)
    assert Call(application, environ).finish().status == 413
    assert environ["wsgi.input"].tell() == 65536


class Breaking(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("request data read error")


def test_a_client_that_goes_away_while_it_sends(application: Application) -> None:
    environ = make_environ("echo", "POST", CONTENT_LENGTH="100000")
    environ["wsgi.input"] = Breaking()
    with pytest.raises(ApplicationRaised, match="OSError: request data read error"):
        Call(application, environ)
    assert ask(application, "about").status == 200


def test_both_ways_at_once(application: Application) -> None:
    """A response that begins before its request has ended."""
    sent: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sent.append(self.tell())
            return super().read(size)

    body = b"abcdefghij" * 100000
    environ = make_environ("interlock", "POST", CONTENT_LENGTH=str(len(body)))
    environ["wsgi.input"] = Counting(body)
    call = Call(application, environ)
    first = next(call.blocks)
    assert sent[-1] < len(body) / 2
    assert first + call.finish().content == body.upper()


def test_blocks_are_passed_on_as_they_come(application: Application) -> None:
    call = Call(application, make_environ("hangs_later"))
    assert next(call.blocks) == b"first"
    ask(application, "release")
    assert call.finish().content == b""


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("stream", "200 OK", b"block 0\nblock 1\nblock 2\n"),
        ("writer", "200 OK", b"written, returned"),
        ("empty", "204 No Content", b""),
        ("late_start", "201 Created", b"late"),
        ("changed_mind", "500 Oops", b"second"),
    ],
)
def test_responses(application: Application, path: str, status: str, body: bytes) -> None:
    environ = make_environ(path)
    call = Call(application, environ)
    answer = call.finish()
    assert (call.head[0], answer.content) == (status, body)
    assert answer.headers.get("X-Second") == ("yes" if path == "changed_mind" else None)


def test_head(application: Application) -> None:
    assert ask(application, "echo", "HEAD").status == 200


def test_close_runs_at_the_end(application: Application) -> None:
    before = ask(application, "about").json["closed"].count("stream")
    ask(application, "stream")
    assert ask(application, "about").json["closed"].count("stream") == before + 1


def test_close_runs_when_the_client_goes_away(application: Application) -> None:
    before = ask(application, "about").json["closed"].count("endless")
    call = Call(application, make_environ("endless"))
    assert next(call.blocks)
    call.close()

    def closed() -> bool:
        return ask(application, "about").json["closed"].count("endless") == before + 1

    wait(closed, "close() of the application")


def test_latin_1(application: Application) -> None:
    environ = make_environ("latin")
    environ["PATH_INFO"] = "/latin/\xe9"
    call = Call(application, environ)
    answer = call.finish()
    assert call.head[0] == "200 Tr\xe8s bien"
    assert answer.headers["X-Name"] == "caf\xe9" and answer.headers["X-Empty"] == ""
    assert answer.content == b"/latin/\xe9"


def test_a_status_may_be_a_number_alone(application: Application) -> None:
    call = Call(application, make_environ("bad_head", QUERY_STRING='["203", []]'))
    assert call.finish().status == 203


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("OK", []),
        ("200 OK\r\nX: y", []),
        ("200 \u20ac", []),
        ("200 OK", [("Name:", "value")]),
        ("200 OK", [("Name", "value\r\nX: y")]),
        ("200 OK", [("Name", "\u20ac")]),
        ("200 OK", [("Name", 5)]),
        (200, []),
    ],
)
def test_a_bad_head_is_the_applications_error(
    application: Application, status: Any, headers: Any
) -> None:
    query = json.dumps([status, headers])
    with pytest.raises(ApplicationRaised, match=r"(?s)bad_head.*(ValueError|TypeError)"):
        Call(application, make_environ("bad_head", QUERY_STRING=query))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("raises", "ValueError: what the application raised"),
        ("exits", "SystemExit: 3"),
        ("no_start", "did not call start_response"),
        ("bad_data", "the response must be of bytes, not str"),
    ],
)
def test_what_the_application_raises_is_raised_here(
    application: Application, path: str, text: str
) -> None:
    pid = ask(application, "about").json["pid"]
    with pytest.raises(ApplicationRaised, match=text) as raised:
        Call(application, make_environ(path))
    assert "worker.py" not in str(raised.value).split('app.py"')[0]
    assert ask(application, "about").json["pid"] == pid


@pytest.mark.parametrize(
    ("path", "first", "text"),
    [
        ("raises_later", b"first", "raised later"),
        ("raises_in_close", b"all", "close"),
        ("too_late", b"first", "KeyError: 'after the first block'"),
    ],
)
def test_what_it_raises_later_is_raised_later(
    application: Application, path: str, first: bytes, text: str
) -> None:
    call = Call(application, make_environ(path))
    assert next(call.blocks) == first
    with pytest.raises(ApplicationRaised, match=text):
        call.finish()
    assert ask(application, "about").status == 200


class Wrapper:
    """A server's wsgi.file_wrapper."""

    def __init__(self, filelike: BinaryIO, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(8192), b"")


@pytest.mark.parametrize("kind", ["file", "memory", "gzip"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_files(application: Application, kind: str, wrapped: bool) -> None:
    environ = make_environ("served_file", QUERY_STRING=kind)
    if wrapped:
        environ["wsgi.file_wrapper"] = Wrapper
    call = Call(application, environ)
    assert isinstance(call.response, Wrapper) == (wrapped and kind == "file")
    if isinstance(call.response, Wrapper):
        assert os.lseek(call.response.filelike.fileno(), 0, os.SEEK_CUR) == 5
        assert not os.get_inheritable(call.response.filelike.fileno())
    assert call.finish().content == b"the content" * 100


def test_a_file_is_closed_with_the_response(application: Application) -> None:
    call = Call(application, make_environ("served_file", QUERY_STRING="file"))
    next(call.blocks)
    call.close()
    assert ask(application, "about").status == 200


def test_many_at_once(application: Application) -> None:
    """More requests than threads of the worker: each gets its own answer."""
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> Answer:
        return ask(application, "echo", "POST", b"%d" % number, QUERY_STRING=str(number))

    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(one, range(200)))
    assert [answer.json["body"] for answer in answers] == [str(n) for n in range(200)]
    assert [a.json["environ"]["QUERY_STRING"] for a in answers] == [
        repr(str(n)) for n in range(200)
    ]
