"""Deliberate faults in the modules that decide results: which does no test notice? `python benchmarks/mutation.py`.

Mutants are drawn by a seed, from all modules or the ones named. Each is written into a copy of the project, where a
forked process runs the quick tests of the module (`tests_of`) until one fails. A mutant that they pass survives; one
that they cannot end with is killed. The folder `--output` keeps what was found: the same command goes on there, and
`--again` tries the survivors anew. docs/mutation.md has results, and the mutants that change nothing and do not count.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

# started as a file, Python looks for modules in this folder only
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.mutants import Mutant, mutants_of
from tests.documents import copy_project

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("segments.py", "annotations.py", "prediction", "evaluation", "features", "training")
# imported before the forks, each of which would wait seconds for them; nothing of ours, which is what changes
READY = ("numpy", "pytest", "pydantic", "yaml", "cv2", "jinja2", "matplotlib.pyplot", "tensorflow")
OPTIONS = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]


def tests_of(root: Path) -> dict[str, list[str]]:
    """Of each file of ours the test files that import it, themselves, by their helpers or by others of ours: the
    namesake first, then the ones in the fewest steps and of the fewest imports."""
    files = {str(path.relative_to(root)) for path in [*root.glob("*.py"), *root.glob("*/*.py")]}
    imports: dict[str, set[str]] = {}
    for file in files:
        names = set()
        for node in ast.walk(ast.parse((root / file).read_bytes())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names |= {".".join([*module, alias.name]) for alias in node.names} | set(module)
        imports[file] = {f"{folder}{name.replace('.', '/')}.py" for name in names for folder in ("", "tests/")} & files
    found = defaultdict(list)
    for test in (file for file in files if file.startswith("tests/test_")):
        imports[test] |= {each for helper in imports[test] if "tests/" in helper for each in imports[helper]}
        steps: dict[str, int] = {}
        near = imports[test]
        while near:
            steps |= dict.fromkeys(near, 1 + max(steps.values(), default=0))
            near = {each for file in near for each in imports[file]} - steps.keys()
        for file, count in steps.items():
            found[file].append((Path(file).stem not in test, count, len(imports[test]), test))
    return {file: [test for *_, test in sorted(found[file])] for file in files}


def first_failure(folder: Path, tests: list[str], limit: float) -> str:
    """Which test of these fails first in this copy of the project; "" where none does in `limit` seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        for stream in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        os.chdir(folder)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # their imports take longer than most tests
        sys.path[:] = [str(folder), *(each for each in sys.path if Path(each or ".").resolve() != ROOT)]
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "benchmarks")]:
            del sys.modules[name]
        try:
            os.write(writer, _test(tests, folder).encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready = select.select([reader], [], [], limit)[0]
        return (os.read(reader, 1000).decode() or "a crash").strip() if ready else "the time limit"
    finally:
        os.close(reader)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _test(tests: list[str], folder: Path) -> str:
    import pytest

    failed = []

    class Watch:
        def pytest_runtest_logreport(self, report: Any) -> None:
            failed.extend([report.nodeid] if report.failed else [])

        pytest_collectreport = pytest_runtest_logreport

    code = pytest.main([*OPTIONS, f"--basetemp={folder.parent / 'temporary'}", *tests], plugins=[Watch()])
    # 5: all tests of these files are slow
    return " " if code in (0, 5) else (failed or [f"exit status {int(code)}"])[0]


class Bench:
    """A copy of the project in `folder` to try mutants in, and how long its tests take, kept in `output`."""

    def __init__(self, folder: Path, output: Path):
        self.project = copy_project(folder / "project")
        (folder / "shared").symlink_to((ROOT / "../shared").resolve())
        self._tests, self._times = tests_of(self.project), output / "seconds.json"

    def seconds(self, test: str) -> float:
        """How long a test file takes where nothing is changed; infinity where it fails there, as it cannot tell."""
        known = json.loads(self._times.read_text()) if self._times.exists() else {}
        name = f"{test} {hashlib.sha256((self.project / test).read_bytes()).hexdigest()[:12]}"
        if name not in known:
            started = time.monotonic()
            failure = first_failure(self.project, [test], 900)
            if failure:
                print(f"{test} is left out: {failure} fails without a mutant", flush=True)
            known[name] = float("inf") if failure else round(time.monotonic() - started, 1)
            self._times.write_text(json.dumps(known, indent=1))
        return known[name]

    def killed_by(self, mutant: Mutant, most: float) -> str:
        """The first test that fails with this mutant, "" for none, of as many test files as take `most` seconds."""
        tests: list[str] = []
        total = 0.0
        for test in self._tests[mutant.file]:
            seconds = self.seconds(test)
            if total + seconds <= most or not tests and seconds < float("inf"):
                tests.append(test)
                total += seconds
        path = self.project / mutant.file
        source = path.read_bytes()
        self._write(path, mutant.applied(source))
        try:
            return first_failure(self.project, tests, 60 + 8 * total) if tests else ""
        finally:
            self._write(path, source)

    @staticmethod
    def _write(path: Path, text: bytes) -> None:
        path.write_bytes(text)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # it may be of the same size and second
            compiled.unlink()


def show(drawn: list[Mutant], results: dict[str, dict]) -> str:
    """A table per module and each survivor with its difference; docs/mutation.md lists those that change nothing."""
    equal = set(re.findall(r"`([0-9a-f]{12})`", (ROOT / "docs/mutation.md").read_text()))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    survivors = []
    for mutant in drawn:
        if mutant.key in results:
            by = results[mutant.key]["by"]
            for name in (mutant.file, "all"):
                counts[name][0 if by else 1 if mutant.key in equal else 2] += 1
            if not by and mutant.key not in equal:
                survivors.append(f"{mutant.file}:{mutant.line} `{mutant.key}`\n" + results[mutant.key]["difference"])
    rows = [
        f"| {name} | {killed} | {changing_nothing} | {survived} | {100 * killed / max(killed + survived, 1):.1f} % |"
        for name, (killed, changing_nothing, survived) in sorted(counts.items(), key=lambda each: each[0] != "all")
    ]
    return "\n".join(
        ["| module | killed | equivalent | survived | score |", "|---|---|---|---|---|", *rows, *survivors]
    )


def run(options: argparse.Namespace) -> None:
    """Draw mutants, try what was not tried yet, print what is known of all."""
    paths = [path for name in options.modules for path in sorted([ROOT / name, *(ROOT / name).glob("*.py")])]
    files = [str(path.relative_to(ROOT)) for path in paths if path.is_file()]
    # by hashes: code that comes to it moves no other mutant into or out of the draw
    mutants = sorted(
        (mutant for file in files for mutant in mutants_of(ROOT, file)),
        key=lambda mutant: hashlib.sha256(f"{options.seed} {mutant.key}".encode()).digest(),
    )
    drawn = mutants[: options.number]
    print(f"{len(drawn)} of {len(mutants)} mutants, seed {options.seed}", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    log, ends = options.output / "mutants.jsonl", time.monotonic() + 60 * options.minutes
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else [])
    results = {line["key"]: line for line in lines}
    first, shares = options.share
    left = [m for m in drawn[first - 1 :: shares] if m.key not in results or options.again and not results[m.key]["by"]]
    with tempfile.TemporaryDirectory(prefix="mutation.") as name:
        bench = Bench(Path(name), options.output)
        for module in READY if left else ():
            importlib.import_module(module)
        for mutant in left:
            if time.monotonic() > ends:
                break
            started = time.monotonic()
            by = bench.killed_by(mutant, options.most)
            results[mutant.key] = {
                "key": mutant.key, "file": mutant.file, "line": mutant.line, "by": by,
                "seconds": round(time.monotonic() - started, 1),
                "difference": mutant.shown((ROOT / mutant.file).read_bytes()),
            }  # fmt: skip
            with log.open("a") as file:
                file.write(json.dumps(results[mutant.key]) + "\n")
            print(f"{mutant.file}:{mutant.line} {by or 'SURVIVED'}", flush=True)
    print(show(drawn, results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=MODULES, help="files and folders; default: %(default)s")
    parser.add_argument("--number", type=int, default=100, help="of mutants to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="try the survivors once more")
    parser.add_argument("--minutes", type=float, default=600, help="end after so many; the same command goes on")
    parser.add_argument("--most", type=float, default=60, help="seconds of tests a mutant (default: %(default)s)")
    parser.add_argument("--share", type=lambda text: tuple(map(int, text.split("/"))), default=(1, 1), help="i/n")
    parser.add_argument("--output", type=Path, default=Path("runs/mutation"))
    run(parser.parse_args())


if __name__ == "__main__":
    main()
