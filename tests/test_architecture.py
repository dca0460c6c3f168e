"""The house: its rooms and the six rules of what may import what; how long files, functions and argument lists may be.

A room is a top-level file or a folder. Each rule is a function from a house to what breaks it, so that broken houses
can show that it would be seen.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from house import House, packages, room

ROOT = Path(__file__).parents[1]
# the folder of a stage and the file that it belongs to; what notebooks share belongs to them
OWNERS = {
    "annotation_formats": "annotations",
    "download": "download_video_script",
    "environment": "command_line",
    "evaluation": "metrics",
    "exporting": "trainer",
    "extraction": "feature_map_extractor",
    "features": "data",
    "labelling": "label",
    "localization": "localize",
    "planning": "plan",
    "prediction": "predictions_json",
    "report_page": "report",
    "sample": "sample_videos",
    "training": "trainer",
    "video_reading": "video_input",
}
GROUND = {"utils", "config", "segments", "video_input", "video_reading"}
NOBODY_IMPORTS = {
    "trainer", "localize", "report", "label", "plan", "feature_map_extractor", "download_video_script",
}  # fmt: skip
# these work where TensorFlow is not installed
LIGHT = {"download_video_script", "video_input", "annotations", "segments", "metrics", "report", "label"}
MATCHES = {"startswith", "endswith", "removeprefix", "removesuffix", "match", "search"}  # of text
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_ARGUMENTS = 350, 60, 7  # self counts as an argument


def folders_that_import_upwards(house):
    """Rule 1: a folder belongs to one top-level file; it never imports its owner or anything above it."""
    without = [f"{folder} belongs to {owner}, which is not there" for folder, owner in OWNERS.items()
               if folder in house.arrows and owner not in house.files]  # fmt: skip
    known = {*house.folders, "tests", "benchmarks"}
    without += [f"{path} belongs to nobody" for path in house.root.glob("[!.]*/*.py") if path.parent.name not in known]
    without += [f"{path} lies too deep" for name in house.folders for path in house.root.glob(f"{name}/*/**/*.py")]
    above = {
        owner: {name for name in house.arrows if owner in house.below(name)} | {owner} for owner in OWNERS.values()
    }
    return without + [
        f"{folder} imports {other}"
        for folder, owner in OWNERS.items()
        for other in house.arrows.get(folder, set()) & (above[owner] - {folder})
    ]


def scripts_that_are_imported(house):
    """Rule 2: what runs a whole stage is nobody's library."""
    return [f"{name} imports {other}" for name, others in house.arrows.items() for other in others & NOBODY_IMPORTS]


def circles(house):
    """Rule 3: the rooms form no circle, and the ground stands on nothing but the ground."""
    try:
        list(TopologicalSorter(house.arrows).static_order())
        found = []
    except CycleError as error:
        found = [" -> ".join(error.args[1])]
    return found + [f"{name} imports {other}" for name in GROUND for other in house.arrows.get(name, set()) - GROUND]


def functions_that_take_all_settings(house):
    """Rule 4: only `run` sees the whole `Config`, and what reads or writes it; below go sections and values."""
    return [
        f"{name}.{node.name} takes {ast.unparse(argument.annotation)}"
        for name, tree in house.trees.items()
        if room(name) not in {"config", "command_line"}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in {"run", "main"}
        for argument in ast.walk(node.args)
        if isinstance(argument, ast.arg) and argument.annotation is not None and names_config(argument.annotation)
    ]


def names_config(annotation):
    """Whether a value of this type is, or holds, a `Config`; one that a function takes is that function's business."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Callable"):
        return False
    if isinstance(annotation, ast.Name | ast.Attribute):
        return ast.unparse(annotation) in {"Config", "config.Config"}
    return any(names_config(part) for part in ast.iter_child_nodes(annotation))


def settings_of(house):
    """Every `section.key` of the house's config.py: the fields of `Config`, and those of their classes."""
    fields = {
        node.name: {part.target.id: part.annotation for part in node.body if isinstance(part, ast.AnnAssign)}
        for node in house.trees["config"].body
        if isinstance(node, ast.ClassDef)
    } if "config" in house.trees else {}  # fmt: skip
    sections = {name: ast.unparse(annotation) for name, annotation in fields.get("Config", {}).items()}
    return {f"{name}.{key}" for name, section in sections.items() for key in fields[section]}


def bindings_said_elsewhere(house):
    """Rule 5: what binds a model or a run is said on the field in config.py: no lists of names that are matched.

    Which setting binds what, and that runs are compared so, tests/test_config.py holds.
    """
    settings = settings_of(house)
    keys, prefixes = {name.partition(".")[2] for name in settings}, {f"{name.partition('.')[0]}." for name in settings}
    found = []
    for name, tree in house.trees.items():
        listed = keys | settings if name == "config" else settings
        for node in ast.walk(tree):
            if isinstance(node, ast.Name | ast.Attribute | ast.alias):
                word = getattr(node, "attr", getattr(node, "id", getattr(node, "name", "")))
                if name != "config" and word in {"Binds", "BindsModel", "BindsRun"}:
                    found.append(f"{name} says what a setting binds")
            elif isinstance(node, ast.Tuple | ast.List | ast.Set):
                if len(words(node.elts) & listed) > 1:
                    found.append(f"{name} lists settings: {ast.unparse(node)}")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in MATCHES and words(ast.walk(node)) & (settings | prefixes):
                    found.append(f"{name} matches names of settings as text: {ast.unparse(node)}")
            elif isinstance(node, ast.Compare):
                sides = (node.left, *node.comparators)
                calls = [ast.unparse(side.func) for side in sides if isinstance(side, ast.Call)]
                if sum(call == "getattr" or call.endswith("model_dump") for call in calls) > 1:
                    found.append(f"{name} compares settings by itself: {ast.unparse(node)}")
    return found


def words(nodes):
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def light_rooms_that_import_tensorflow(house):
    """Rule 6: what needs no network is imported without TensorFlow."""
    found = []
    for start in LIGHT & set(house.files):
        seen, left = {start}, [start]
        while left:
            name = left.pop()
            here = house.at_the_top[name]
            if here & {"tensorflow", "keras"}:
                found.append(f"{start} imports {name}, which imports TensorFlow")
            left += (here & set(house.files)) - seen
            seen |= here & set(house.files)
    return found


RULES = [
    folders_that_import_upwards,
    scripts_that_are_imported,
    circles,
    functions_that_take_all_settings,
    bindings_said_elsewhere,
    light_rooms_that_import_tensorflow,
]
FOLDERS = (*OWNERS, "notebooks")
OURS = House(ROOT, FOLDERS)
SETTINGS = "class Train:\n    steps: int\n    seed: int\n\nclass Config:\n    train: Train\n"


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule):
    assert not rule(OURS)


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (folders_that_import_upwards, {"prediction/a.py": "import predictions_json\n", "predictions_json.py": ""}),
        (
            folders_that_import_upwards,
            {"features/a.py": "def f():\n    import model\n", "model.py": "import data\n", "data.py": ""},
        ),
        (folders_that_import_upwards, {"training/state.py": ""}),
        (folders_that_import_upwards, {"helpers/a.py": ""}),
        (folders_that_import_upwards, {"training/steps/a.py": "", "trainer.py": ""}),
        (scripts_that_are_imported, {"plots.py": "from trainer import run\n", "trainer.py": ""}),
        (scripts_that_are_imported, {"localize.py": "def f():\n    import report\n", "report.py": ""}),
        (circles, {"model.py": "from sample import a\n", "sample/a.py": "import data\n", "data.py": "import model\n"}),
        (circles, {"evaluation/a.py": "import data\n", "data.py": "from evaluation import b\n", "evaluation/b.py": ""}),
        (circles, {"segments.py": "import plots\n", "plots.py": ""}),
        (functions_that_take_all_settings, {"plots.py": "def draw(settings: config.Config): ...\n"}),
        (functions_that_take_all_settings, {"plots.py": "def f():\n    def g(*, s: 'Config | None'): ...\n"}),
        (functions_that_take_all_settings, {"training/a.py": "class A:\n    def b(self, c: dict[str, Config]): ...\n"}),
        (bindings_said_elsewhere, {"training/a.py": "from config import BindsRun\n\nclass A:\n    b: BindsRun[int]\n"}),
        (bindings_said_elsewhere, {"config.py": SETTINGS + "MODEL = ('steps', 'seed')\n"}),
        (bindings_said_elsewhere, {"config.py": SETTINGS, "trainer.py": "FREE = {'train.steps', 'train.seed'}\n"}),
        (bindings_said_elsewhere, {"config.py": SETTINGS, "data.py": "def f(a): return a.startswith(('train.',))\n"}),
        (bindings_said_elsewhere, {"plots.py": "def f(a, b, k): return getattr(a, k) == getattr(b, k)\n"}),
        (light_rooms_that_import_tensorflow, {"metrics.py": "from sample import a\n", "sample/a.py": "import keras\n"}),
        (light_rooms_that_import_tensorflow, {"report.py": "from tensorflow import nest\n"}),
    ],
)
def test_a_broken_house_is_seen(rule, broken, tmp_path):
    for name, text in broken.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert rule(House(tmp_path, FOLDERS))


def test_a_house_in_order_is_left_alone(tmp_path):
    (tmp_path / "features").mkdir()
    only_typed = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import data\n"
    (tmp_path / "features/records.py").write_text(f"import utils\n{only_typed}")
    (tmp_path / "utils.py").write_text("def f():\n    import tensorflow\n")
    (tmp_path / "config.py").write_text(SETTINGS)
    (tmp_path / "data.py").write_text("from features import records\n\nRECIPE = {'train.steps': 1, 'train.seed': 2}\n")
    below_run = "def g(run: Callable[[config.Config], int], paths: config.PathSettings): ...\n"
    (tmp_path / "metrics.py").write_text(f"import data\n\ndef run(settings: config.Config): ...\n\n{below_run}")
    assert not [found for rule in RULES for found in rule(House(tmp_path, FOLDERS))]


def test_the_settings_of_this_house_are_found():
    assert {"train.max_steps", "data.cache", "paths.model_dir"} < settings_of(OURS)


def test_few_files_stand_at_the_top_and_each_folder_is_used():
    assert len(list(ROOT.glob("*.py"))) <= 20
    assert {room(name) for name in OURS.files} >= set(OWNERS) | set(OWNERS.values())
    assert not [folder for folder, owner in OWNERS.items() if folder not in OURS.below(owner)]


def test_no_file_reaches_for_the_private_parts_of_another():
    names = {other.split(".")[-1] for other in OURS.files}
    reached = [
        f"{name}: {ast.unparse(node)}"
        for name, tree in OURS.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if isinstance(node.value, ast.Name) and node.value.id in names
    ]
    reached += [
        f"{name}: {alias.name}"
        for name, tree in OURS.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and room(node.module or "") in OURS.arrows
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not reached


def python_files():
    return [*OURS.files.values(), *ROOT.glob("tests/*.py"), *ROOT.glob("benchmarks/*.py")]


def test_files_stay_short_and_say_what_they_are():
    assert not [path.name for path in python_files() if len(path.read_text().splitlines()) > MOST_LINES]
    trees = {path.name: ast.parse(path.read_text()) for path in python_files()}
    assert not [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


def functions():
    for name, tree in OURS.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{name}.{node.name}", node


def test_functions_stay_short():
    def lines(node):
        """Without the docstring."""
        body = node.body[1:] if ast.get_docstring(node) else node.body
        return body[-1].end_lineno - body[0].lineno + 1 if body else 0

    assert not [(name, lines(node)) for name, node in functions() if lines(node) > MOST_LINES_OF_A_FUNCTION]


def test_argument_lists_stay_short():
    def count(arguments):
        return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)

    assert not [(name, count(node.args)) for name, node in functions() if count(node.args) > MOST_ARGUMENTS]


@pytest.mark.parametrize("name", sorted(OURS.files))
def test_only_networks_import_tensorflow_at_the_top(name):
    networks = {"exporting", "extraction", "features", "model", "training"}
    assert room(name) in networks or not packages(OURS.trees[name].body) & {"tensorflow", "keras"}
