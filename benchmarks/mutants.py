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


Span = Callable[[Any], tuple[int, int]]  # a node -> its first byte, and the one after its last
Changes = Iterator[tuple[int, int, bytes]]  # what is replaced, from byte to byte, and by what


def changes(node: ast.AST, source: bytes, span: Span) -> Changes:
    """What a mutation puts in the place of what, at this node."""
    if isinstance(node, ast.expr):
        yield from _of_expression(node, source, span)
    elif isinstance(node, ast.stmt):
        yield from _of_statement(node, source, span)
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        start, end = span(node.test)
        yield start, end, b"not (" + source[start:end] + b")"


def _of_expression(node: ast.expr, source: bytes, span: Span) -> Changes:
    def between(left: ast.expr, right: ast.expr, operator: ast.AST) -> Changes:
        first, last = span(left)[1], span(right)[0]
        sign = re.search(rb"not\s+in|is\s+not|and|or|in|is|[-+*/%<>=!&|@]+", source[first:last])
        if sign and type(operator) in OTHER:
            yield first + sign.start(), first + sign.end(), OTHER[type(operator)].encode()

    start, end = span(node)
    match node:
        case ast.Compare():
            for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from between(left, right, operator)
        case ast.BinOp():
            yield from between(node.left, node.right, node.op)
        case ast.BoolOp():
            yield from between(node.values[0], node.values[1], node.op)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield start, span(node.operand)[0], b""
        case ast.Constant(value=bool(value)):
            yield start, end, repr(not value).encode()
        case ast.Constant(value=int(value) | float(value)):
            yield start, end, repr(value + 1).encode()
        case ast.Constant(value=str(name)) if name in NAMES:
            yield start, end, repr(NAMES[name]).encode()
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in NAMES:
            yield end - len(name), end, NAMES[name].encode()
        case ast.Call():
            # an argument left to its default; with the comma behind it
            for argument in (one for one in node.keywords if one.arg not in HARMLESS_ARGUMENTS):
                first, last = span(argument)
                behind = re.match(rb"\s*,?\s*", source[last:end])
                yield first, last + (behind.end() if behind else 0), b""


def _of_statement(node: ast.stmt, source: bytes, span: Span) -> Changes:
    start, end = span(node)
    match node:
        case ast.Break():
            yield start, end, b"continue"
        case ast.Continue():
            yield start, end, b"break"
        case ast.Return(value=ast.Constant(value=None) | None) | ast.Expr(value=ast.Constant()):
            return
        case ast.Return():
            yield start, end, b"return None"
        case ast.AugAssign():
            yield start, end, b"pass"
            if type(node.op) in OTHER:
                target, value = source[start : span(node.target)[1]], source[span(node.value)[0] : end]
                yield start, end, target + f" {OTHER[type(node.op)]}= ".encode() + value
        case ast.Assign(targets=[ast.Name() | ast.Tuple(), *_]):
            return
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.Assign():
            yield start, end, b"pass"
        case ast.FunctionDef():
            for decorator in node.decorator_list:
                first, last = span(decorator)
                yield first - 1, last, b""


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
