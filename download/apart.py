"""Work in a process of its own, which can be ended.

A server that sends a byte a second, or without end, holds and fills that process alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

MEMORY = 1 << 30  # bytes of data that such a process may have; yt-dlp needs some 200 MB
_TICK = 0.1  # seconds from one look at what is heard to the next

Say = Callable[[Any], None]
# made in the process with its way to say something meanwhile; then called with one question after the other
Answer = Callable[[Any], Any]


class Lost(OSError):
    """The process was ended, or ended by itself, before it answered."""


class Apart:
    """A process that answers questions, one at a time; it ends with this one, however that ends."""

    def __init__(self, make: Callable[..., Answer], *arguments: object, memory: int = MEMORY) -> None:
        """`make(say, *arguments)`, a function of a module, is called in the process and gives what answers there."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["yt_dlp"])  # a process for each worker, and that is slow to import
        self._start = lambda ours: context.Process(target=_serve, args=(ours, memory, make, arguments), daemon=True)
        self._pipe: Connection | None = None
        self._context = context

    def ask(self, question: Any, seconds: float, heard: Callable[[Any], bool | None]) -> Any:
        """The answer to a question.

        heard: called with what is said meanwhile, and with None a few times a second; True gives the answer `seconds`
        from then on. What it raises ends the process.
        Raises: TimeoutError when `seconds` are over; Lost when the process has ended, as it does without memory.
        """
        if self._pipe is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._start(theirs)
            self._process.start()
            theirs.close()
        deadline = time.monotonic() + seconds
        try:
            self._pipe.send(question)
            while time.monotonic() < deadline:
                kind, value = self._pipe.recv() if self._pipe.poll(_TICK) else ("said", None)
                if kind == "answer":
                    return value
                if heard(value):
                    deadline = time.monotonic() + seconds
        except (EOFError, ConnectionError):
            self.end()
            raise Lost("the download's own process ended: too much memory, or killed") from None
        except BaseException:
            self.end()
            raise
        self.end()
        raise TimeoutError(f"timed out after {seconds:g} s")

    def end(self) -> None:
        """End the process and what it has started; the next question starts another."""
        if self._pipe is None:
            return
        self._pipe.close()
        self._pipe = None
        for kill in (lambda: os.killpg(self._process.pid, signal.SIGKILL), self._process.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # not yet a group, or gone
                kill()
        self._process.join()


def _serve(pipe: Connection, memory: int, make: Callable[..., Answer], arguments: tuple) -> None:
    # a group with what this starts, such as yt-dlp's JavaScript runtime; a Ctrl-C of the terminal's goes elsewhere
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    questions: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_answer_all, args=(pipe, questions, make, arguments), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            questions.put(pipe.recv())
    os.killpg(0, signal.SIGKILL)  # nobody is there any more


def _answer_all(pipe: Connection, questions: queue.SimpleQueue, make: Callable[..., Answer], arguments: tuple) -> None:
    try:
        answer = make(lambda said: pipe.send(("said", said)), *arguments)
        while True:
            pipe.send(("answer", answer(questions.get())))
    finally:
        os._exit(1)
