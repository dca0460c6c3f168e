"""Results -> Markdown."""

from collections.abc import Iterable


def markdown(head: str, rows: Iterable[str]) -> str:
    """A table; the cells of head and rows are parted by ` | `."""
    rule = "|" + "---|" * (head.count(" | ") + 1)
    return "\n".join([f"| {head} |", rule, *(f"| {row} |" for row in rows)])
