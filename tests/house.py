"""Python files and what they import of each other: file by file, and room by room (a top-level file, or a folder)."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class House:
    """The product's files under `root` and in its `folders`, by their dotted names."""

    root: Path
    folders: tuple[str, ...]

    @cached_property
    def files(self):
        paths = [
            *self.root.glob("*.py"),
            *(path for name in self.folders for path in self.root.glob(f"{name}/[!_]*.py")),
        ]
        return {".".join(path.relative_to(self.root).with_suffix("").parts): path for path in sorted(paths)}

    @cached_property
    def trees(self):
        return {name: ast.parse(path.read_text()) for name, path in self.files.items()}

    @cached_property
    def imports(self):
        """File -> the files of ours that it imports, wherever it does."""
        return {name: self.imported(nodes_that_run(tree)) for name, tree in self.trees.items()}

    @cached_property
    def at_the_top(self):
        """File -> the files of ours, and the packages, that are imported as soon as it is."""
        return {name: self.imported(tree.body) | packages(tree.body) for name, tree in self.trees.items()}

    def imported(self, nodes):
        found = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        return found & set(self.files)

    @cached_property
    def arrows(self):
        """Room -> the other rooms that it imports."""
        arrows = {room(name): set() for name in self.files}
        for name, others in self.imports.items():
            arrows[room(name)] |= {room(other) for other in others} - {room(name)}
        return arrows

    def below(self, start):
        """All rooms that a room imports, directly or through others."""
        seen, left = set(), [start]
        while left:
            for other in self.arrows.get(left.pop(), set()) - seen:
                seen.add(other)
                left.append(other)
        return seen


def room(name):
    return name.split(".")[0]


def nodes_that_run(tree):
    """All but what only a type checker reads."""
    hidden = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if id(node) not in hidden]


def packages(nodes):
    names = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
