"""An annotation file that a person edits: each edit is in a journal beside it at once, and in the file soon after.

The journal, `.<name>.journal`, has a JSON object a line. `{"state": H}`: the file of SHA-256 H holds every edit above
this line; it is written before the file takes its place. Every other line is an edit. A start looks for the last state
that is the file's and does the edits below it again, so that a kill at any moment loses at most the line in work.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import hashlib
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import annotations
import segments
import utils
from annotation_formats.activitynet import FINISHED, IN_WORK
from labelling.changes import checked, holds, without

STATUS, REJECTED, CLASSES = "labelling", "rejected", "classes"  # keys of ours in the file; readers pass over them
NOT_BEGUN = "not begun"  # has no entry in the file
NOTHING = ""  # stands for the hash where there is no file


class ConflictError(Exception):
    """What an edit stands on is not what is there. `what`: "file" (another program wrote it) or "video"."""

    def __init__(self, what: str):
        super().__init__(what)
        self.what = what


class Labels:
    """The annotations at `path`, for this process alone.

    `edit`, `name_class` and `rename_class` are durable when they return; `save` brings the file up to date. All of them
    raise ConflictError when another program has changed the file since; `resolve` says which of the two is kept.
    """

    def __init__(self, path: Path):
        """Read the file, where there is one, and do again what only the journal has.

        Raises ValueError for a file that is no annotations, for a journal of another state of the file, and when
        another process labels here.
        """
        self.path = Path(path).absolute()
        self.journal = self.path.with_name(f".{self.path.name}.journal")
        self._lock = threading.RLock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = utils.open_own(self.journal, "ab+")
        try:
            self._hold()
            self._read()
            self._redo()
        except BaseException:
            self._file.close()
            raise

    def _hold(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{self.path}: another label.py works on this file: use its page, or end it first"
            ) from None

    def _read(self) -> None:
        """Take what the file holds."""
        self._seen, self._hash = self._stat(), self._hash_of_file()
        self.dirty = False
        if self._hash == NOTHING:
            self._value: dict[str, Any] = {"version": self.path.stem, "taxonomy": [], "database": {}}
        else:
            annotations.load(self.path)  # names what is wrong with it
            self._value = _read_ours(self.path)
        self._versions: Counter[str] = Counter()

    def _stat(self) -> tuple[int, ...] | None:
        try:
            told = self.path.stat()
        except FileNotFoundError:
            return None
        return told.st_mtime_ns, told.st_size, told.st_ino

    def _hash_of_file(self) -> str:
        return utils.sha256_of(self.path) if self.path.is_file() else NOTHING

    def _redo(self) -> None:
        """Do the edits of the journal again that the file lacks."""
        self._file.seek(0)
        *whole, cut = self._file.read().split(b"\n")
        if cut:
            self._file.truncate(self._file.tell() - len(cut))
        lines = [json.loads(line) for line in whole]
        states = [number for number, line in enumerate(lines) if line.get("state") == self._hash]
        edits = [line for line in lines[states[-1] if states else 0 :] if "state" not in line]
        if edits and not states:
            raise ValueError(
                f"{self.path}: another program changed it, and {self.journal.name} holds {len(edits)} edits of the "
                "file as it was: restore that file, or delete the journal to do without them"
            )
        for edit in edits:
            self._apply(edit)
        if edits:
            self.dirty = True
            utils.LOGGER.info("%s: %d edits of a stopped session taken from the journal", self.path, len(edits))
        else:
            self._start_journal()

    def _start_journal(self) -> None:
        """Empty the journal: the file holds all."""
        self._file.truncate(0)
        self._append({"state": self._hash})

    def _append(self, line: dict) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Save and let go of the file."""
        with self._lock:
            if self._file.closed:
                return
            with contextlib.suppress(ConflictError):  # the journal keeps the edits
                self.save()
            self._file.close()

    # reading

    def video(self, name: str) -> dict:
        """A video's `annotations` and `rejected` suggestions, its `status` and `version`; lists are copies."""
        with self._lock:
            entry = self._value["database"].get(name) or {}
            return {
                "annotations": copy.deepcopy(entry.get("annotations") or []),
                REJECTED: copy.deepcopy(entry.get(REJECTED) or []),
                "status": self.status(name),
                "version": self._versions[name],
            }

    def status(self, name: str) -> str:
        """ "not begun", "in work" or "finished"; what has an entry without a word of ours came finished."""
        entry = self._value["database"].get(name)
        return NOT_BEGUN if entry is None else entry.get(STATUS, FINISHED)

    def entries(self) -> dict[str, dict]:
        """Video -> its entry as the file has it; not to be changed."""
        with self._lock:
            return dict(self._value["database"])

    def changed_elsewhere(self) -> bool:
        """Whether another program has changed the file since it was read or written here."""
        with self._lock:
            try:
                self._require_own_file()
            except ConflictError:
                return True
            return False

    def classes(self) -> list[str]:
        """The names of the classes: those kept in their order, then what annotations hold besides, sorted."""
        with self._lock:
            kept = self._value.get(CLASSES) or []
            entries = self._value["database"].values()
            used = {action["label"] for entry in entries for action in entry.get("annotations") or []}
            return [*kept, *sorted(used - set(kept))]

    def counts(self) -> Counter[str]:
        """Segments of each class, all videos together."""
        with self._lock:
            entries = self._value["database"].values()
            return Counter(action["label"] for entry in entries for action in entry.get("annotations") or [])

    # editing

    def edit(self, name: str, version: int, change: dict, subset: str, duration: float) -> int:
        """Change a video and return its new version.

        Args:
          name: the video.
          version: of the state that the change was made on. Raises ConflictError("video") when there is a newer one.
          change: `remove` and `add`, lists of annotations as the file has them; `reject` and `unreject`, likewise of
            suggestions; `status`. All of them may be left out.
          subset, duration: of the video's entry, should it have none; duration in seconds.

        Raises ValueError for an annotation that is none.
        """
        with self._lock:
            self._require_own_file()
            if version != self._versions[name]:
                raise ConflictError("video")
            line = {"video": name, **checked(change)}
            if name not in self._value["database"]:
                line |= {"subset": subset, "duration": duration}
            before = self.video(name)
            for remove, key in (("remove", "annotations"), ("unreject", REJECTED)):
                if not holds(before[key], line.get(remove, [])):
                    raise ConflictError("video")
            self._do(line)
            return self._versions[name]

    def name_class(self, name: str) -> None:
        """Add a class to which no segment belongs yet. Raises ValueError for a name that is none, or there."""
        with self._lock:
            self._require_own_file()
            self._require_new(name)
            self._do({"class": name})

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name, in all videos. Raises ValueError when there is no such, or `new` is taken."""
        with self._lock:
            self._require_own_file()
            if old not in self.classes():
                raise ValueError(f"class {old!r}: there is none")
            self._require_new(new)
            self._do({"rename": [old, new]})

    def _require_new(self, name: object) -> None:
        if not isinstance(name, str):
            raise ValueError(f"class: expected a name, received {name!r:.80}")
        segments.check_name(name)
        if name in self.classes():
            raise ValueError(f"class {name!r}: there is one of this name")

    def _do(self, line: dict) -> None:
        self._append(line)
        self._apply(line)
        self.dirty = True

    def _apply(self, line: dict) -> None:
        database = self._value["database"]
        if "class" in line:
            self._value[CLASSES] = [*self.classes(), line["class"]]
        elif "rename" in line:
            old, new = line["rename"]
            self._value[CLASSES] = [new if name == old else name for name in self.classes()]
            for name, entry in database.items():
                for action in [*(entry.get("annotations") or []), *(entry.get(REJECTED) or [])]:
                    if action["label"] == old:
                        action["label"] = new
                        self._versions[name] += 1
        else:
            name = line["video"]
            if name not in database:
                database[name] = {"subset": line["subset"], "duration": line["duration"], "annotations": []}
                database[name][STATUS] = IN_WORK
            entry = database[name]
            changed = without(entry.get("annotations") or [], line.get("remove", [])) + line.get("add", [])
            entry["annotations"] = sorted(changed, key=lambda action: [float(end) for end in action["segment"]])
            rejected = without(entry.get(REJECTED) or [], line.get("unreject", [])) + line.get("reject", [])
            if rejected or REJECTED in entry:
                entry[REJECTED] = rejected
            if "status" in line:
                entry[STATUS] = line["status"]
            self._versions[name] += 1

    # writing

    def _require_own_file(self) -> None:
        stat = self._stat()
        if stat != self._seen:
            if self._hash_of_file() != self._hash:
                raise ConflictError("file")
            self._seen = stat

    def save(self) -> None:
        """Write the file, if there is anything that it lacks."""
        with self._lock:
            if not self.dirty:
                return
            self._require_own_file()
            self._write()

    def _write(self) -> None:
        text = json.dumps(self._value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        state = hashlib.sha256(text.encode()).hexdigest()
        self._append({"state": state})
        utils.write_text(self.path, text)
        self._seen, self._hash, self.dirty = self._stat(), state, False
        self._start_journal()

    def resolve(self, keep: str) -> Path | None:
        """After ConflictError("file"): keep "mine" or the "file"; the other goes into a new file beside, returned."""
        if keep not in ("mine", "file"):
            raise ValueError(f"keep: expected mine or file, received {keep!r}")
        with self._lock:
            aside = next(
                path for n in range(1, 10**6) if not (path := self.path.with_suffix(f".other{n}.json")).exists()
            )
            if keep == "mine":
                if self.path.is_file():
                    os.link(self.path, aside)
                self._write()
            else:
                utils.write_json(aside, self._value)
                self._read()
                self._start_journal()
            return aside if aside.exists() else None


def _read_ours(path: Path) -> dict:
    """The JSON value of annotations in the one format that is edited; others are read, but not written back."""
    if path.suffix.lower() == ".json":
        value: Any = utils.read_json(path)
        entries = value["database"].values()
        if all({"segment", "label"} <= action.keys() for entry in entries for action in entry.get("annotations") or []):
            return value
    raise ValueError(
        f"{path}: label.py edits ActivityNet's JSON layout only: make it with python annotations.py {path} --output "
        "NEW.json, and label that"
    )
