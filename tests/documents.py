"""The shell blocks of README and docs, and copies of the project to run them in, as a newcomer would.

A comment above each block says in which scenario it runs (`<!-- run in: demo -->`) or why it does not
(`<!-- not run: it needs a camera -->`). The blocks of a scenario run one after the other in one folder.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = r"(?:<!-- (run in|not run): (.+?) -->\n)?"
BLOCK = re.compile(rf"^{MARK}```(sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


# training steps in the documentation are for people who want to see something learnt
SHORTER = {"train.max_steps=300": "train.max_steps=40", "make learn": "make learn MINUTES=0"}


class Block(NamedTuple):
    file: str
    kind: str  # run in | not run, or nothing
    about: str  # the scenario, or the reason
    language: str
    commands: str


def blocks() -> list[Block]:
    return [Block(path.name, *match) for path in FILES for match in BLOCK.findall(path.read_text())]


def scenarios() -> dict[str, list[Block]]:
    found = defaultdict(list)
    for block in blocks():
        if block.kind == "run in":
            found[block.about].append(block)
    return dict(found)


def copy_project(folder: Path) -> Path:
    """What git tracks or would track, as it is now; its .venv is the environment that runs the tests."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def outside_of_make() -> dict[str, str]:
    """The environment without what `make test` hands down, which would make another make talk."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def run_block(block: Block, folder: Path, commands: str | None = None) -> str:
    """Run a block in a copy of the project, where `make setup` has nothing left to do; what it printed."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    make = tools / "make"
    make.write_text(f'#!/bin/sh\nexec {shutil.which("make")} -o .venv/.ready "$@"\n')
    make.chmod(0o755)
    environment = outside_of_make()
    environment["PATH"] = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    script = commands or block.commands
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.file}:\n{script}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout + done.stderr


def run_scenario(name: str, folder: Path) -> str:
    """Run the blocks of a scenario in a copy of the project, with fewer training steps; what they printed."""
    printed = ""
    for block in scenarios()[name]:
        commands = functools.reduce(lambda text, pair: text.replace(*pair), SHORTER.items(), block.commands)
        printed += run_block(block, folder, commands)
    return printed
