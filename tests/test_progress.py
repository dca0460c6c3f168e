"""How far a stage is: a bar on a terminal, elsewhere a line in the log from time to time, also within one long step."""

import logging
import threading

import pytest

import command_line
import utils


@pytest.fixture
def lines(monkeypatch):
    """Lines of the log, and a semaphore that is released for each."""
    found, came = [], threading.Semaphore(0)

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())
            came.release()

    handler = Handler()
    monkeypatch.setattr(command_line, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(utils.LOGGER, "level", logging.INFO)
    utils.LOGGER.addHandler(handler)
    yield found, came
    utils.LOGGER.removeHandler(handler)


def test_without_a_terminal_a_long_step_is_told_of(lines):
    found, came = lines
    others = set(threading.enumerate())
    with command_line.Progress(total=3, desc="extraction", unit="video") as progress:
        progress.update()
        progress.set_postfix_str("80 frames", refresh=False)
        found.clear()
        for _ in range(2):  # nothing happens, and it is said all the same
            assert came.acquire(timeout=60)
        while "extraction: 1 of 3 videos, 80 frames" not in found:
            assert came.acquire(timeout=60)
    for each in set(threading.enumerate()) - others:
        if each.name == "progress":
            each.join(60)
            assert not each.is_alive()


def test_without_a_terminal_items_are_counted():
    progress = command_line.Progress(["a", "b"], desc="x", unit="fold")
    assert [(item, progress.line()) for item in progress] == [
        ("a", "x: 0 of 2 folds"),
        ("b", "x: 1 of 2 folds"),
    ]
    assert progress.line() == "x: 2 of 2 folds"


def test_on_a_terminal_there_is_a_bar(capsys):
    others = set(threading.enumerate())
    progress = command_line.Progress(range(3), desc="folds", unit="fold", disable=False)
    assert not [each for each in set(threading.enumerate()) - others if each.name == "progress"]
    assert list(progress) == [0, 1, 2] and "3/3" in capsys.readouterr().err
