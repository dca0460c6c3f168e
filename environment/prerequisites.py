"""A script that misses its Python or a package says what to run; every script imports this before any package."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import TracebackType

FOLDER = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ModuleNotFoundError):
        print(f"error: {sys.executable} has no package {error.name}; run {_commands()}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _commands() -> str:
    """What makes the environment, where that is to be done, and starts the script in it."""
    python = FOLDER / ".venv/bin/python"
    usable = python.exists() and Path(sys.prefix).resolve() != FOLDER / ".venv"
    inside = Path.cwd() == FOLDER
    again = shlex.join([".venv/bin/python" if inside else str(python), *sys.argv])
    setup = "make setup" if inside else f"make -C {shlex.quote(str(FOLDER))} setup"
    return f"`{again}`" if usable else f"`{setup}` once, then `{again}`"


# where one of the scripts is what runs, and no notebook or test that imports it
if Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve().parent == FOLDER:
    if sys.version_info < OLDEST:
        needed, received = (".".join(map(str, version[:2])) for version in (OLDEST, sys.version_info))
        sys.exit(f"error: Python {needed} or newer is needed, {sys.executable} is {received}; run {_commands()}")
    sys.excepthook = _explain
