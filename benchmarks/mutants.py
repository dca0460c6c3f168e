"""The mutants of a Python file: comparisons, arithmetic, numbers, conditions, statements, arguments, each alone."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

OTHER = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in",
    ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is", ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*",
    ast.FloorDiv: "/", ast.Mod: "//", ast.Pow: "*", ast.BitAnd: "|", ast.BitOr: "&", ast.MatMult: "*",
    ast.And: "or", ast.Or: "and",
}  # fmt: skip
NAMES = {"min": "max", "minimum": "maximum", "any": "all", "argmin": "argmax", "left": "right", "floor": "ceil"}
NAMES |= {other: name for name, other in NAMES.items()}
HARMLESS = ("LOGGER.", "print(")  # words for a person, which tests need not hold
# arguments that are such words, or turn a bug of ours into an error
HARMLESS_ARGUMENTS = ("help", "metavar", "description", "desc", "unit", "strict", "frozen", "slots")


class Mutant(NamedTuple):
    file: str
    line: int
    start: int  # in bytes of the file
    end: int
    new: bytes
    key: str  # the same as long as its line is

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def shown(self, source: bytes) -> str:
        """The changed lines as a difference."""
        first, last = source.rfind(b"\n", 0, self.start) + 1, source.find(b"\n", self.end)
        new = source[first : self.start] + self.new + source[self.end : last]
        return "".join(
            f"    {sign} {line.strip().decode()}\n"
            for sign, text in (("-", source[first:last]), ("+", new)) for line in text.splitlines()
        )  # fmt: skip


def changes(node: ast.AST, source: bytes, span: Callable[[Any], tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
    """What a mutation puts in the place of what, at this node: (start, end, text)."""

    def between(left: ast.AST, right: ast.AST, operator: ast.AST) -> Iterator[tuple[int, int, bytes]]:
        start, end = span(left)[1], span(right)[0]
        gap = source[start:end]
        sign = re.search(rb"not\s+in|is\s+not|and|or|in|is|[-+*/%<>=!&|@]+", gap)
        if sign and type(operator) in OTHER:
            yield start + sign.start(), start + sign.end(), OTHER[type(operator)].encode()

    start, end = span(node) if hasattr(node, "lineno") else (0, 0)
    text = source[start:end]
    if isinstance(node, ast.Compare):
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            yield from between(left, right, operator)
    elif isinstance(node, ast.BinOp):
        yield from between(node.left, node.right, node.op)
    elif isinstance(node, ast.BoolOp):
        yield from between(node.values[0], node.values[1], node.op)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield start, span(node.operand)[0], b""
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield start, end, repr(value).encode()
    elif isinstance(node, ast.Name | ast.Attribute) and (name := text.rpartition(b".")[2].decode()) in NAMES:
        yield end - len(name), end, NAMES[name].encode()
    elif isinstance(node, ast.Constant) and node.value in NAMES:
        yield start, end, repr(NAMES[node.value]).encode()
    elif isinstance(node, ast.Break | ast.Continue):
        yield start, end, b"continue" if isinstance(node, ast.Break) else b"break"
    elif isinstance(node, ast.Return) and node.value and getattr(node.value, "value", True) is not None:
        yield start, end, b"return None"
    elif isinstance(node, ast.AugAssign):
        yield start, end, b"pass"
        if type(node.op) in OTHER:
            yield (
                start,
                end,
                source[start : span(node.target)[1]]
                + f" {OTHER[type(node.op)]}= ".encode()
                + source[span(node.value)[0] : end],
            )
    elif (
        isinstance(node, ast.Expr | ast.Raise | ast.Delete)
        and not isinstance(getattr(node, "value", 0), ast.Constant)
        or isinstance(node, ast.Assign)
        and not isinstance(node.targets[0], ast.Name | ast.Tuple)
    ):
        yield start, end, b"pass"
    elif isinstance(node, ast.FunctionDef):
        for decorator in node.decorator_list:
            yield span(decorator)[0] - 1, span(decorator)[1], b""
    elif isinstance(node, ast.Call):
        for argument in [
            one for one in node.keywords if one.arg not in HARMLESS_ARGUMENTS
        ]:  # left to its default; with the comma behind it
            behind = re.match(rb"\s*,?\s*", source[span(argument)[1] : end])
            yield span(argument)[0], span(argument)[1] + behind.end(), b""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        a, b = span(node.test)
        yield a, b, b"not (" + source[a:b] + b")"


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """All mutants of a file that are Python, and none of annotations, docstrings, formatted text and messages."""
    source = (root / file).read_bytes()
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))

    def span(node: Any) -> tuple[int, int]:
        return (offsets[node.lineno - 1] + node.col_offset, offsets[node.end_lineno - 1] + node.end_col_offset)

    def nodes(node: ast.AST) -> Iterator[ast.AST]:
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                told = isinstance(child, ast.Expr) and ast.unparse(child).removeprefix("utils.").startswith(HARMLESS)
                typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
                harmless = isinstance(child, ast.keyword) and child.arg in HARMLESS_ARGUMENTS
                if not isinstance(child, ast.AST) or name in ("annotation", "returns") or told or typing or harmless:
                    continue
                if not isinstance(child, ast.JoinedStr):  # whose places Python 3.11 does not know
                    yield child
                    yield from nodes(child)

    found, seen = [], Counter()
    for node in nodes(ast.parse(source)):
        for start, end, new in changes(node, source, span):
            number = source.count(b"\n", 0, start)
            what = (file, lines[number].strip(), source[start:end], new)
            seen[what] += 1
            key = hashlib.sha256(repr((*what, seen[what])).encode()).hexdigest()[:12]
            mutant = Mutant(file, number + 1, start, end, new, key)
            try:
                ast.parse(mutant.applied(source))
            except SyntaxError:
                continue
            found.append(mutant)
    return found
