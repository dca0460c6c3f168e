"""Fuzz the parsers for so many minutes each: `python -m tests.fuzz --minutes 10 [annotations …]`.

Ends with a table of files tried, read and refused; a finding ends it with the least file that shows it, status 1.
"""

import argparse
import collections
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from parsers import TARGETS, check  # noqa: E402 (found by the line above)


def fuzz(name: str, minutes: float, folder: Path) -> collections.Counter:
    """Try files on a parser until the time is up; the statuses that they ended with."""
    target, statuses = TARGETS[name], collections.Counter()
    contents, end = target.contents(), time.monotonic() + 60 * minutes
    while time.monotonic() < end:

        @seed(random.getrandbits(64))
        @settings(max_examples=500, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(contents)
        def some(content):
            statuses[check(target, folder / target.file, content)] += 1

        some()
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parsers", nargs="*", help=f"of {', '.join(TARGETS)}; all when none is given")
    parser.add_argument("--minutes", type=float, default=10, help="of each (default: 10)")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.parsers or TARGETS:
        if name not in TARGETS:
            parser.error(f"expected {', '.join(TARGETS)}, received {name!r}")
        before = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                statuses = fuzz(name, arguments.minutes, Path(folder))
            except Exception:
                traceback.print_exc()
                failed = True
                continue
        seconds = time.process_time() - before
        print(f"{name}: {statuses.total():,} files in {arguments.minutes:g} minutes ({seconds:.0f} s of CPU), "
              f"{statuses[0]:,} read, {statuses[2]:,} refused", flush=True)  # fmt: skip
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
