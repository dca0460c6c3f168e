"""A script run on a bad file -> its exit status and its one line; the files must be as they were."""

import hashlib
import os
import stat
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """What every file and link below `folder` holds; pipes are not opened."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif stat.S_ISREG(path.stat().st_mode):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def refused(capsys, main, argv: list, *, names: Path, because: str, status: int = 2) -> None:
    """Run `main(argv)`: one line on the standard error with the file and the reason, and nothing written or changed."""
    before = digests(names.parent)
    capsys.readouterr()
    assert main([str(part) for part in argv]) == status
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    lines = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and str(names) in lines[0] and because in lines[0], printed.err
    assert lines[0].isprintable()
    assert digests(names.parent) == before
