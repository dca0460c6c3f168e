"""The house: which file may import which, without circles, and how long files, functions and argument lists may be."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("download", "extraction", "learning", "localization", "report_page", "sample")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in (*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).glob("[!_]*.py")))
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_ARGUMENTS = 350, 60, 7  # self counts as an argument

# what each file, or any file of a room, may import of ours, besides files of its own room; the fewest come first
ARROWS = {
    "config_layers": "",
    "config": "config_layers",
    "utils": "",
    "segments": "",
    "video_input": "",
    "efficientnet_lite": "",
    "sample": "",
    "candidates": "segments",
    "decoding": "candidates segments",
    "detection_metrics": "segments",
    "feature_records": "utils",
    "preparation": "feature_records",
    "evaluation_options": "config utils",
    "training_log": "config utils",
    "sample_videos": "config sample utils",
    "annotations": "annotations_csv config utils",
    "annotations_csv": "annotations config utils video_input",
    "feature_import": "annotations config feature_records utils",
    "model": "efficientnet_lite learning utils",
    "metrics": "annotations config detection_metrics evaluation_options utils",
    "segmentation_metrics": "annotations config evaluation_options metrics segments",
    "error_analysis": "annotations config detection_metrics evaluation_options metrics segments",
    "download": "annotations config utils",
    "download_video_script": "annotations config download utils",
    "extraction": "config efficientnet_lite feature_records model utils video_input",
    "feature_map_extractor": "config extraction feature_records utils",
    "data": "annotations feature_import feature_records learning preparation segments utils",
    "predictions_json": "annotations config data decoding feature_records learning preparation tuning utils",
    "training": "config data learning model",
    "learning": "annotations config data feature_records metrics model predictions_json preparation segments training "
    "utils",
    "trainer": "config data learning predictions_json training training_log utils",
    "tuning": "config data feature_records metrics predictions_json preparation segmentation_metrics trainer training "
    "utils",
    "report_page": "annotations segments video_input",
    "report": "annotations config error_analysis metrics report_page utils",
    "localization": "annotations config data decoding extraction feature_records predictions_json preparation segments "
    "utils video_input",
    "localize": "config localization predictions_json report utils",
    "plots": "annotations config utils video_input",
    "notebook_plots": "annotations config utils",
    "result_plots": "error_analysis notebook_plots",
}
# a script's command that another file does, which needs that script as a library; imported where it is called
DOORS = {("annotations", "annotations_csv"), ("predictions_json", "tuning")}


def room(name):
    return name.split(".")[0]


def imports(nodes):
    """The files of ours that are imported in some syntax trees."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & set(FILES)


def nodes_that_run(tree):
    """All but what only a type checker reads."""
    hidden = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if id(node) not in hidden]


IMPORTS = {name: imports(nodes_that_run(tree)) for name, tree in TREES.items()}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_imports_what_its_place_in_the_house_allows(name):
    used = {room(other) for other in IMPORTS[name]} - {room(name)}
    assert used <= set(ARROWS[room(name)].split()), f"{name} imports {sorted(used - set(ARROWS[room(name)].split()))}"


def test_every_allowed_arrow_is_used():
    used = {(room(name), room(other)) for name, others in IMPORTS.items() for other in others}
    allowed = {(name, other) for name, others in ARROWS.items() for other in others.split()}
    assert not allowed - used
    assert set(ARROWS) == {room(name) for name in FILES}


def test_there_is_no_circle():
    graph = {name: {other for other in others if (name, other) not in DOORS} for name, others in IMPORTS.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == set(FILES)


@pytest.mark.parametrize(("script", "helper"), sorted(DOORS))
def test_doors_open_inside_of_functions_only(script, helper):
    assert helper in IMPORTS[script] and helper not in imports(TREES[script].body)


def test_no_file_reaches_for_the_private_parts_of_another():
    reached = [
        f"{name}: {ast.unparse(node)}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if isinstance(node.value, ast.Name) and node.value.id in {other.split(".")[-1] for other in FILES}
    ]
    reached += [
        f"{name}: {alias.name}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and room(node.module or "") in ARROWS
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not reached


def python_files():
    return [*FILES.values(), *ROOT.glob("tests/*.py"), *ROOT.glob("benchmarks/*.py")]


def test_files_stay_short_and_say_what_they_are():
    assert not [path.name for path in python_files() if len(path.read_text().splitlines()) > MOST_LINES]
    trees = {path.name: ast.parse(path.read_text()) for path in python_files()}
    assert not [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


def functions():
    for name, tree in TREES.items():
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


@pytest.mark.parametrize("name", sorted(FILES))
def test_only_networks_import_tensorflow_at_the_top(name):
    top = [node for node in TREES[name].body if isinstance(node, ast.Import | ast.ImportFrom)]
    packages = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    packages |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    assert room(name) in {"efficientnet_lite", "learning", "model"} or not packages & {"tensorflow", "keras"}
