"""The memory that this process may use: the machine's, or the part of it that its container (a control group) has."""

from __future__ import annotations

import os
from pathlib import Path


def memory_bytes(root: Path = Path("/")) -> int:
    """The machine's memory, or the smallest limit of the process' control groups; sys and proc lie in `root`."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits(root)])


def _limits(root: Path) -> list[int]:
    """What the control groups of either version allow: the process' own, and those above it, which hold as well."""
    two, one = root / "sys/fs/cgroup", root / "sys/fs/cgroup/memory"
    # in a container the own group is often all that is seen, and then it is at the top whatever its path is
    files = [two / "memory.max", one / "memory.limit_in_bytes"]
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = []
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers:
            folder, name = two, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = one, "memory.limit_in_bytes"
        else:
            continue
        for part in Path(path).parts[1:]:
            folder = folder / part
            files.append(folder / name)
    return [limit for limit in map(_limit, files) if limit is not None]


def _limit(file: Path) -> int | None:
    """The bytes that a file of a control group holds; None where it has none, or there is no such file."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
