"""What every script shares: the options of its command line, its log, and the way it ends."""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

from environment import prerequisites  # noqa: F401

from tqdm import tqdm

import config
import utils

LEVELS = ("debug", "info", "warning", "error")
STANDARD_OUTPUT = 1
LINE_SECONDS = 30.0  # from one line of a progress to the next, where there is no terminal
VERSION = "1.0.0"


class _StandardError(logging.StreamHandler):
    """Writes to the standard error of the moment, which tests and notebooks exchange."""

    @property
    def stream(self) -> object:
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None:
        pass


class _Printable(logging.Formatter):
    """A record is one line that a terminal shows and does not obey: names and reasons in it come from strangers."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return utils.printable(super().formatMessage(record))


def set_up_logging(level: str) -> None:
    """Log `level` and above to the standard error, and keep TensorFlow's start-up messages out of it."""
    number = getattr(logging, level.upper())
    handler = _StandardError()
    handler.setFormatter(_Printable("%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger().setLevel(logging.WARNING)
    utils.LOGGER.setLevel(number)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if number <= logging.DEBUG else "3")


def run_script(run: Callable[[], int | None], level: str = "info") -> int:
    """Call `run` and turn how it ended into an exit status.

    0 or what `run` returned; 2 and one line for an error of the user's (ValueError, OSError) or of the disk that
    TensorFlow tells; 130 for Ctrl-C; 141 where who reads the output has enough, as `head` has. Anything else is a bug
    and keeps its traceback, as everything does at `-v debug`.
    """
    set_up_logging(level)
    try:
        status = run() or 0
        sys.stdout.flush()
        return status
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 141
        if level == "debug":
            raise
        print(f"error: {utils.one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Exception as error:
        told = _told_of_the_disk(error)
        if level == "debug" or not told:
            raise
        print(f"error: {told}", file=sys.stderr)
        return 2


class OnSignals:
    """Within its `with` block the first SIGINT or SIGTERM calls `act` with its number; the second has the handler
    `second`, else that from before the block. In another than the main thread, which alone hears them, nothing changes.
    """

    def __init__(
        self,
        act: Callable[[int], object],
        second: Any = None,
        numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM),
    ) -> None:
        self._act, self._second, self._numbers = act, second, numbers
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._first) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _first(self, number: int, _: FrameType | None) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler if self._second is None else self._second)
        self._act(number)


class Progress(tqdm):
    """A bar on a terminal; elsewhere a line in the log each LINE_SECONDS, also while a single step takes longer."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **({"disable": None} | options))
        self._what, self._unit = options.get("desc") or "done", options.get("unit", "step")
        self._ended = threading.Event()
        if self.disable:
            self.postfix = ""
            threading.Thread(target=self._tell, name="progress", daemon=True).start()

    def __iter__(self) -> Iterator:
        if not self.disable:
            yield from super().__iter__()
            return
        try:
            for item in self.iterable:
                yield item
                self.n += 1
        finally:
            self.close()

    def update(self, n: float | None = 1) -> bool | None:
        if not self.disable:
            return super().update(n)
        self.n += n or 0
        return None

    def close(self) -> None:
        if hasattr(self, "_ended"):  # else it never began
            self._ended.set()
        super().close()

    def line(self) -> str:
        """How far it is, in words."""
        of = f" of {self.total:,.0f}" if self.total else ""
        return f"{self._what}: {self.n:,.0f}{of} {self._unit}s" + (f", {self.postfix}" if self.postfix else "")

    def _tell(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            utils.LOGGER.info("%s", self.line())


def in_words(minutes: float) -> str:
    """A length of time as a person would say it."""
    if minutes >= 100:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute" if minutes >= 0.5 else "less than a minute"


def _nobody_reads() -> bool:
    """Whether the standard output is a pipe without a reader; what is left to say goes nowhere then."""
    output = select.poll()
    output.register(STANDARD_OUTPUT, 0)
    if not any(event & select.POLLERR for _, event in output.poll(0)):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STANDARD_OUTPUT)
    os.close(nowhere)
    return True


def _told_of_the_disk(error: Exception) -> str:
    """File and reason of a TensorFlow error that came from the operating system's refusal to write; else nothing."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return ""
    for line in error.message.splitlines():
        # {{node …}} stands before the file, [Op:…] behind the reason
        line = line.rpartition("}} ")[2].partition(" [Op:")[0]
        if line.endswith(tuple(os.strerror(number) for number in utils.DISK_ERRORS)):
            return utils.one_line(line)
    return ""


def make_parser(description: str) -> argparse.ArgumentParser:
    """A command line with the options that every script has: `-c FILE`, `--set section.key=value`, `-v LEVEL`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=110)
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings that differ from config.yml")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="repeatable")
    parser.add_argument("-v", "--verbosity", choices=LEVELS, default="info", metavar="LEVEL", help="|".join(LEVELS))
    return parser


def from_arguments(arguments: argparse.Namespace) -> config.Config:
    """The settings that a parsed command line asks for."""
    return config.load(arguments.config, arguments.set)
