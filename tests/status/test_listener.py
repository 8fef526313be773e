"""The socket itself: who may ask, who cannot hold it, and what is left of it."""

from __future__ import annotations

import grp
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mod_wsgi_van import Router
from mod_wsgi_van.status import listener
from mod_wsgi_van.status.listener import Line, Listener
from tests.status.asked import ask
from tests.support.children import in_child
from tests.support.client import get
from tests.support.log import logged
from tests.support.vhosts import site
from tests.support.waiting import wait

MakeRouter = Callable[..., Router]
QUESTION = b'{"ask": "status"}\n'


def many(question: Line) -> Iterator[Line]:
    for number in range(question.get("lines", 2)):
        yield {"number": number, "text": "x" * 500}


@pytest.fixture
def opened(directory: Path) -> Iterator[Listener]:
    each = Listener(str(directory), "", many, lambda: None)
    each.start()
    yield each
    each.stop(5)


def connect(path: Path | str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(path))
    return connection


def test_it_is_named_by_the_pid_and_open_to_its_group(opened: Listener, directory: Path) -> None:
    (path,) = directory.iterdir()
    assert path == directory / str(os.getpid())
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    opened.stop(5)
    opened.stop(5)
    assert list(directory.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give it to any group")
def test_it_is_given_to_a_group(directory: Path) -> None:
    group = grp.getgrall()[-1]
    each = Listener(str(directory), group.gr_name, many, lambda: None)
    each.start()
    assert Path(each.path).stat().st_gid == group.gr_gid
    each.stop(5)


def test_a_group_that_is_not_there(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    each = Listener(str(directory), "no-such-group", many, lambda: None)
    each.start()
    assert logged(caplog, "VAN046") == 1
    assert len(ask(Path(each.path), {})) == 2
    each.stop(5)


def test_several_clients_at_once_get_all_lines(opened: Listener) -> None:
    connections = [connect(opened.path) for _ in range(8)]
    for each in connections:
        each.sendall(b'{"lines": 3000}\n')
    for each in connections:
        with each, each.makefile("rb") as answer:
            assert [json.loads(line)["number"] for line in answer] == list(range(3000))


def test_who_sends_nothing_or_does_not_read_holds_nobody(
    opened: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_PATIENCE", 0.5)
    silent, slow = connect(opened.path), connect(opened.path)
    slow.sendall(b'{"lines": 5000}\n')
    begun = time.monotonic()
    assert len(ask(Path(opened.path), {"lines": 100})) == 100
    assert time.monotonic() - begun < 5
    with silent, slow:
        assert silent.recv(1) == b""  # dropped

        def is_cut_off() -> bool:
            return len(opened._clients) == 0

        wait(is_cut_off, "the one that does not read is dropped")


def test_a_question_has_a_bound_and_a_shape(opened: Listener) -> None:
    with connect(opened.path) as connection:
        connection.sendall(b"x" * 4096 + b"y")
        with connection.makefile("rb") as answer:
            try:
                assert answer.read() == b""
            except ConnectionResetError:  # with a part of it unread
                pass
    with connect(opened.path) as connection:
        connection.sendall(b"[" * 4000 + b"\n")
        with connection.makefile("rb") as answer:
            assert "error" in json.loads(answer.read())


def test_more_clients_than_it_takes(opened: Listener) -> None:
    connections = [connect(opened.path) for _ in range(listener._MOST)]
    wait(lambda: len(opened._clients) == listener._MOST, "all are taken in")
    assert len(ask(Path(opened.path), {})) == 2
    assert connections[0].recv(1) == b""
    for each in connections:
        each.close()


def test_an_answer_that_fails_ends_that_client_alone(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(question: Line) -> Iterator[Line]:
        yield {"a": 1 / question.get("by", 1)}

    each = Listener(str(directory), "", answer, lambda: None)
    each.start()
    assert ask(Path(each.path), {"by": 0}) == []
    assert logged(caplog, "VAN009") == 1
    assert ask(Path(each.path), {}) == [{"a": 1.0}]
    each.stop(5)


def test_sockets_of_the_dead_are_removed_and_others_stay(directory: Path) -> None:
    dead, alive, other = directory / "7", directory / "8-2", directory / "notes"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(dead))
    other.touch()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(alive))
        living.listen()
        each = Listener(str(directory), "", many, lambda: None)
        each.start()
        assert set(directory.iterdir()) == {alive, other, Path(each.path)}
        each.stop(5)


def test_two_routers_of_one_process_have_a_socket_each(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    site(tmp_path, "one.test")
    for _ in range(2):
        get(make_router(status_directory=str(directory)).application, "one.test")
    pid = str(os.getpid())
    assert {path.name for path in directory.iterdir()} == {pid, f"{pid}-2"}


def test_without_the_directory_nothing_is_opened_and_that_is_said_once(
    make_router: MakeRouter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site(tmp_path, "one.test")
    router = make_router(status_directory=str(tmp_path / "missing"))
    for _ in range(3):
        get(router.application, "one.test")
    assert logged(caplog, "nobody can ask for the status") == 1
    assert not (tmp_path / "missing").exists()


def test_a_directory_that_cannot_be_used(
    make_router: MakeRouter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site(tmp_path, "one.test")
    (tmp_path / "file").touch()
    router = make_router(status_directory=str(tmp_path / "file"))
    assert get(router.application, "one.test").status == 200
    assert logged(caplog, "VAN046") == 1


def test_a_forked_child_leaves_the_parents_socket_and_has_its_own(
    make_router: MakeRouter, directory: Path, tmp_path: Path
) -> None:
    site(tmp_path, "one.test")
    router = make_router(status_directory=str(directory))
    get(router.application, "one.test")
    parent = str(os.getpid())

    def child() -> None:
        assert [path.name for path in directory.iterdir()] == [parent]
        get(router.application, "one.test")
        process, line = ask(directory / str(os.getpid()), {"ask": "status"})
        assert (process["process"]["pid"], line["state"]) == (os.getpid(), "loaded")
        router.shutdown()
        assert [path.name for path in directory.iterdir()] == [parent]

    in_child(child)
    assert ask(directory / parent, {"ask": "status"})[0]["process"]["pid"] == os.getpid()


def test_a_shutdown_removes_it(make_router: MakeRouter, directory: Path, tmp_path: Path) -> None:
    site(tmp_path, "one.test")
    router = make_router(status_directory=str(directory))
    get(router.application, "one.test")
    router.shutdown()
    assert list(directory.iterdir()) == []
