import os
import signal

import pytest

from mod_wsgi_van.cli.interruption import Interruption
from tests.cli.conftest import ENDING


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_raises_and_further_ones_do_not(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in ENDING]
    with Interruption():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        for each in ENDING:
            os.kill(os.getpid(), each)
    assert [signal.getsignal(each) for each in ENDING] == before


def test_a_signal_while_held_raises_afterwards() -> None:
    reached = False
    with Interruption() as interruption, pytest.raises(KeyboardInterrupt), interruption.held():
        os.kill(os.getpid(), signal.SIGTERM)
        reached = True
    assert reached


def test_holding_without_a_signal_raises_nothing() -> None:
    with Interruption() as interruption:
        with interruption.held():
            pass
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with interruption.held():
            pass


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_ignored_sigint_is_not() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption(), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
