"""Stages left alone, one after the other in one process, which imports TensorFlow once.

As a program it runs scripts: a line of JSON on its standard input (a script, its arguments) -> a line with the exit
status on the file descriptor that is its only argument. Each runs as by `python script.py`, but that what the ones
before it imported is there.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 300  # after which a run hangs


class Again:
    """The process; a context manager. temporary: its folder of temporary files; what it says is kept beside it."""

    def __init__(self, temporary: Path) -> None:
        self.said, self.temporary = temporary.with_name("said_again"), temporary

    def __enter__(self) -> Again:
        answers, given = os.pipe()
        with self.said.open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(given)], cwd=ROOT, stdin=subprocess.PIPE, stdout=said, stderr=said,
                pass_fds=[given], text=True, env=os.environ | {"TMPDIR": str(self.temporary), "no_proxy": "127.0.0.1"},
            )  # fmt: skip
        os.close(given)
        self.answers = os.fdopen(answers)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.answers.close()

    def run(self, command: list[str]) -> tuple[int, str]:
        """The exit status of a script, and what it said. Raises TimeoutError when it hangs."""
        before = self.said.stat().st_size
        print(json.dumps(command), file=self.process.stdin, flush=True)
        ready, _, _ = select.select([self.answers], [], [], SECONDS)
        said = self.said.read_bytes()[before:].decode(errors="replace")
        if not ready:
            raise TimeoutError(f"{command[0]}: still there after {SECONDS} s: {said}")
        return int(self.answers.readline() or self.process.wait()), said


def main() -> None:
    answers = os.fdopen(int(sys.argv[1]), "w")
    sys.path[0] = os.getcwd()
    for line in sys.stdin:
        sys.argv = json.loads(line)
        status = 0
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        print(status, file=answers, flush=True)


if __name__ == "__main__":
    main()
