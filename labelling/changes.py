"""What an edit of a video is: annotations that go and that come, compared by what they say."""

from __future__ import annotations

import json
from collections import Counter

import segments
from annotation_formats.activitynet import FINISHED, STATES


def checked(change: object) -> dict:
    """Return a change if its parts have the shape that the file needs; see `Labels.edit`. Raises ValueError if not."""
    if not isinstance(change, dict):
        raise ValueError(f"change: expected an object, received {change!r:.80}")
    unknown = change.keys() - {"remove", "add", "reject", "unreject", "status"}
    if unknown:
        raise ValueError(f"expected remove, add, reject, unreject and status, received {', '.join(sorted(unknown))}")
    if change.get("status", FINISHED) not in STATES:
        raise ValueError(f"status: expected one of {', '.join(STATES)}, received {change['status']!r:.80}")
    for key in change.keys() - {"status"}:
        if not isinstance(change[key], list):
            raise ValueError(f"{key}: expected a list, received {change[key]!r:.80}")
    for action in [*change.get("add", []), *change.get("reject", [])]:
        try:
            start, end = action["segment"]
            segment = segments.read_segment(start, end, action["label"])
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"expected an annotation with segment and label, received {action!r:.80}") from None
        if segment.start == segment.end:
            raise ValueError(f"expected a segment that has a length, received {start} to {end}")
    return change


def without(actions: list[dict], removed: list[dict]) -> list[dict]:
    """`actions` without each of `removed`, once."""
    left = Counter(map(_key, removed))
    kept = []
    for action in actions:
        key = _key(action) if left else ""
        if left.get(key):
            left[key] -= 1
        else:
            kept.append(action)
    return kept


def holds(actions: list[dict], removed: list[dict]) -> bool:
    """Whether each of `removed` is among `actions`."""
    return not removed or len(without(actions, removed)) == len(actions) - len(removed)


def _key(action: object) -> str:
    """Equal for equal annotations; JavaScript writes 1 for 1.0."""
    return json.dumps(_plain(action), sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
