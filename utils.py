"""What every stage shares: atomic files, JSON and JSONL, logging, seeds, and the way a script ends.

A file that is written under its final name is whole: everything goes to a temporary name beside it first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import logging
import os
import random
import re
import shutil
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import yaml

LOGGER = logging.getLogger("actions")
TEMPORARY_SUFFIX = ".part"
# what the operating system says when it does not let a file be written
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
# names that Windows keeps for devices, whatever ending follows
WINDOWS_DEVICES = "con|prn|aux|nul|(com|lpt)[0-9]"


@contextlib.contextmanager
def atomic_path(path: Path, sweep: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise.

    The temporary name, `.<stem>.<random>.part<suffix>`, keeps the suffix: encoders choose their container by it. What
    killed processes left of the same file goes first; without `sweep`, for folders of many files, it stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if sweep:
        remove_temporary_files(path.parent, f"{glob.escape(path.stem[:100])}.????????", glob.escape(path.suffix))
    handle, temporary = _locked_temporary(path)
    try:
        with _naming(path):
            yield temporary
        # mkstemp makes files private; a result is as readable as any other file of the user's
        os.chmod(temporary, 0o666 & ~_umask())
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file, which that of a full one does not by itself."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; put it in the place of `path` when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX, dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if os.path.lexists(path):
            # a folder cannot be replaced in one step: the old one goes where the new one was
            retired = temporary.with_name(temporary.name + ".old")
            os.rename(path, retired)
            os.rename(temporary, path)
            delete(retired)
        else:
            os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def delete(path: Path) -> None:
    """Delete a file, a folder with all that is in it, or a link and not what it leads to; nothing there is well too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _locked_temporary(path: Path) -> tuple[int, Path]:
    """The handle and name of a new temporary file for `path`.

    Its lock, gone with this process, tells a file in work from one that a killed process left.
    """
    while True:
        prefix, suffix = f".{path.stem[:100]}.", TEMPORARY_SUFFIX + path.suffix
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another process took it for a leftover before it was locked


def remove_temporary_files(folder: Path, name: str = "*", suffix: str = "*") -> int:
    """Delete what killed processes left in `folder` under temporary names, not files in work elsewhere; count it.

    Folders have no lock: a stage whose folder can hold them works there alone.
    """
    removed = 0
    for path in Path(folder).glob(f".{name}{TEMPORARY_SUFFIX}{suffix}"):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            continue  # no process of ours leaves links, pipes or devices
        if path.is_dir():
            shutil.rmtree(path)
            removed += 1
            continue
        with contextlib.suppress(FileNotFoundError, BlockingIOError), open_own(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed += 1
    return removed


@contextlib.contextmanager
def held(folder: Path, work: str) -> Iterator[None]:
    """Keep `folder` for this process alone, until the block or the process ends.

    Raises ValueError when another process has it; `work` says what both do there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_own(folder / ".lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{folder}: another {work} works in this folder; wait for it, or use another folder"
            ) from None
        yield


def open_own(path: Path, mode: str) -> IO:
    """Open a file of ours, binary, in a folder where others may have put something in its place.

    Raises ValueError for a link, which could lead to a file of somebody else's, and for a pipe or device, which could
    be waited for without end.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

    try:
        file = open(path, mode, opener=opener)  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise ValueError(f"{path}: expected a file of ours, received a link or pipe: remove it") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"{path}: expected a file of ours, received a pipe or device: remove it")
    return file


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, atomically. Raises ValueError for NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def require_file(path: Path, what: str) -> Path:
    """Return `path` unless something else than a file is there (ValueError): a pipe or device could have no end."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected {what}, received a {'folder' if path.is_dir() else 'pipe or device'}")
    return path


def read_json(path: Path) -> object:
    """Read a JSON file. Raises ValueError that names the file and the line when it is not JSON."""
    path = require_file(path, "a JSON file")
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except ValueError as error:  # of JSON's, of UTF-8's, a key given twice, a number of 5,000 digits
        raise ValueError(f"{path}: not a JSON file: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: not a usable JSON file: nested too deeply") from None


def parse_json(text: str) -> object:
    """What JSON text says. Raises ValueError for what is none, and for a key given twice in one object."""
    return json.loads(text, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict:
    value = {}
    for name, member in pairs:
        if name in value:
            raise ValueError(f"the key {name!r:.80} is given twice in one object")
        value[name] = member
    return value


def append_jsonl(path: Path, record: dict) -> None:
    """Append one JSON line in a single write, so that a kill leaves at most one unfinished line."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path), open_own(path, "ab") as file:
        file.write(json.dumps(record, allow_nan=False).encode() + b"\n")


def read_jsonl(path: Path) -> list[dict]:
    """Read the whole lines of a JSONL file; an unfinished last line, left by a kill, is passed over.

    Raises ValueError that names the file and the line that is no JSON object.
    """
    path = require_file(path, "a file of JSON lines")
    if not path.exists():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # of JSON's, of UTF-8's, a number of 5,000 digits, nested deeply
            raise ValueError(f"{path}:{number}: not a JSON line: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{path}:{number}: expected a JSON object, received {record!r:.80}")
        records.append(record)
    if last:
        LOGGER.debug("%s: the last line is unfinished and passed over", path)
    return records


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def composed(text: str) -> str:
    """`text` with each letter and its accents as one character, so that equal names compare equal (Unicode's NFC).

    macOS writes names of files the other way.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def require_safe_name(name: str, what: str) -> str:
    """Return `name`, composed, if it can be a file name inside a folder of ours; raise ValueError otherwise.

    Ids come from files that strangers wrote: `../x`, `/x`, `a\\b` and control characters must not leave the folder.
    """
    try:
        usable = 0 < len(name.encode()) <= 200 and name[0] != "." and name[-1] not in ". "
    except (AttributeError, UnicodeEncodeError):  # no text, or half of a surrogate pair
        usable = False
    if (
        not usable
        or any(c in '/\\:*?"<>|' or ord(c) < 32 or ord(c) == 127 for c in name)
        or re.fullmatch(WINDOWS_DEVICES, name.partition(".")[0].strip().lower())
    ):
        raise ValueError(f"{what}: expected an id that can be a file name, received {name!r:.120}")
    return composed(name)


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and TensorFlow; with `deterministic`, operations of equal input give equal bits."""
    import keras
    import tensorflow as tf

    random.seed(seed)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def start_tensorflow() -> None:
    """Import TensorFlow and look for devices, without the messages of its native libraries unless `-v debug` asks.

    They are written before any log level applies to them, so the standard error is closed to them for that moment.
    """
    if LOGGER.isEnabledFor(logging.DEBUG):
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
        # such as its counting of graphs: each fold of a tuning has one of its own
        tf.get_logger().setLevel(logging.ERROR)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def one_line(message: object) -> str:
    """A message as one printable line: what strangers wrote into files may hold line breaks and a terminal's codes."""
    return printable(" ".join(str(message).split()))


def printable(text: str) -> str:
    """Text in which what a terminal obeys, or what turns the direction of writing, is written out, as `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class YamlLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a key given twice (one would be lost) and anchors (they can explode)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            where = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "anchors are not used here", where)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                message = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
