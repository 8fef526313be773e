"""What is undone in a thread at its next request, when another thread asks for it."""

from __future__ import annotations

import sys
import threading

from mod_wsgi_van.interpreter.leftovers import leave_to, leftovers, undo


def test_each_is_called_in_the_thread_that_it_was_left_to() -> None:
    asked, called = threading.Event(), []

    def serve() -> None:
        while not asked.is_set():
            undo()
        undo()

    owner = threading.Thread(target=serve)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        owner.start()
        for number in range(2000):
            leave_to(owner, str(number), lambda: called.append(threading.current_thread()))
    finally:
        sys.setswitchinterval(interval)
        asked.set()
        owner.join()
    assert len(called) >= 2000
    assert set(called) == {owner}
    assert not leftovers


def test_nothing_stays_of_threads_that_ended() -> None:
    go = threading.Event()
    first, second = (threading.Thread(target=go.wait) for _ in range(2))
    first.start()
    leave_to(first, "any", undo)
    assert set(leftovers) == {~first.ident}
    go.set()
    first.join()
    second.start()
    second.join()
    leave_to(second, "any", undo)
    assert not leftovers
