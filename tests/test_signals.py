"""The first signal is acted on, the second ends as before; then everything is as it was."""

import os
import signal
import threading

import pytest

from command_line import OnSignals

BOTH = (signal.SIGINT, signal.SIGTERM)


def send(number):
    os.kill(os.getpid(), number)
    signal.getsignal(number)  # where Python calls the handler of the signal that has come


@pytest.mark.parametrize("number", BOTH)
def test_the_first_is_acted_on_and_the_second_does_what_it_did_before(number):
    before, heard = [signal.getsignal(each) for each in BOTH], []
    with OnSignals(heard.append):
        assert not {signal.getsignal(each) for each in BOTH} & set(before)
        send(number)
        assert heard == [number]
        assert [signal.getsignal(each) for each in BOTH] == before
    assert [signal.getsignal(each) for each in BOTH] == before


def test_the_second_may_have_a_handler_of_its_own():
    heard = []
    with OnSignals(heard.append, second=lambda number, _: heard.append(-number)):
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        send(signal.SIGINT)
    assert heard == [signal.SIGTERM, -signal.SIGTERM, -signal.SIGINT]


def test_signals_that_are_not_named_stay():
    before = signal.getsignal(signal.SIGTERM)
    with OnSignals(print, numbers=(signal.SIGINT,)):
        assert signal.getsignal(signal.SIGTERM) is before and signal.getsignal(signal.SIGINT) is not before


def test_in_another_thread_nothing_changes():
    before, found = signal.getsignal(signal.SIGINT), []

    def look():
        with OnSignals(print):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
