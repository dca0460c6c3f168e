"""The tool that breaks the code on purpose (`make mutate`): which mutants a file has, and which tests try them."""

import ast

from benchmarks.mutants import mutants_of
from benchmarks.mutation import tests_of as find_tests

SOURCE = '''"""Numbers 1 < 2 of a docstring stay."""
from x import TYPE_CHECKING, LOGGER, cache

if TYPE_CHECKING:
    import numpy


@cache
def f(a: int = 1, b: "int | None" = None) -> "list[int] | None":
    LOGGER.info("%d", 2)
    if not a <= len("é") and b is None:
        raise ValueError(f"{a + 1}")
    for each in zip(a, b, strict=True):
        a += 2 * min(each, key=b)
        break
    return a
'''


def changed(root):
    (root / "f.py").write_text(SOURCE)
    mutants = mutants_of(root, "f.py")
    assert len({mutant.key for mutant in mutants}) == len(mutants)
    source = SOURCE.encode()
    for mutant in mutants:
        ast.parse(mutant.applied(source))
    return [(mutant.line, mutant.shown(source).splitlines()[-1].removeprefix("    + ")) for mutant in mutants]


def test_each_mutant_changes_one_thing_and_nothing_that_is_only_told(tmp_path):
    assert sorted(changed(tmp_path)) == sorted([
        (8, "    - @cache"),
        (9, 'def f(a: int = 2, b: "int | None" = None) -> "list[int] | None":'),
        (11, 'if not (not a <= len("é") and b is None):'),
        (11, 'if not a <= len("é") or b is None:'),
        (11, 'if a <= len("é") and b is None:'),
        (11, 'if not a < len("é") and b is None:'),
        (11, 'if not a <= len("é") and b is not None:'),
        (12, "pass"),
        (14, "pass"),
        (14, "a -= 2 * min(each, key=b)"),
        (14, "a += 2 / min(each, key=b)"),
        (14, "a += 3 * min(each, key=b)"),
        (14, "a += 2 * max(each, key=b)"),
        (14, "a += 2 * min(each, )"),
        (15, "continue"),
        (16, "return None"),
    ])  # fmt: skip


def test_the_key_of_a_mutant_stays_when_other_lines_change(tmp_path):
    (tmp_path / "f.py").write_text("a = 1\n")
    (mutant,) = mutants_of(tmp_path, "f.py")
    (tmp_path / "f.py").write_text("import os\n\nb = 'other'\na = 1\n")
    (moved,) = mutants_of(tmp_path, "f.py")
    assert (moved.key, moved.line) == (mutant.key, 4)


def test_tests_of_a_module_are_those_that_come_to_it_the_nearest_first(tmp_path):
    files = {
        "room/door.py": "",
        "owner.py": "from room import door",
        "other.py": "",
        "tests/made.py": "from room import door",
        "tests/test_a.py": "import other\nimport made",
        "tests/test_door.py": "import other\nimport room.door\nimport owner",
        "tests/test_owner.py": "import owner",
        "tests/test_other.py": "import other",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = find_tests(tmp_path)
    assert found["room/door.py"] == ["tests/test_door.py", "tests/test_a.py", "tests/test_owner.py"]
    assert found["owner.py"] == ["tests/test_owner.py", "tests/test_door.py"]
    assert found["other.py"] == [f"tests/test_{name}.py" for name in ("other", "a", "door")]
