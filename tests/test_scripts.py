"""Every script explains itself without TensorFlow, and nothing runs at import."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import command_line

ROOT = Path(__file__).parents[1]
SCRIPTS = [path.name for path in sorted(ROOT.glob("*.py")) if '__name__ == "__main__"' in path.read_text()]
LIGHT = [
    "config", "annotations", "segments", "prediction.decoding", "metrics", "evaluation.errors",
    "evaluation.segmentation", "report", "utils", "download_video_script", "video_input", "localize",
    "notebooks.pictures", "notebooks.results",
    "run_folder", "command_line",
]  # fmt: skip


def loaded_modules(code: str) -> str:
    code = f"import sys\n{code}\nprint('\\nMODULES', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_scripts_of_the_original_are_there():
    original = ["download_video_script", "feature_map_extractor", "trainer", "metrics", "predictions_json"]
    ours = ["annotations", "data", "plots", "sample_videos", "localize", "plan", "report"]
    assert set(SCRIPTS) >= {f"{name}.py" for name in original + ours}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_does_not_import_tensorflow(script):
    printed = loaded_modules(
        "import runpy\nfor option in '--help', '--version':\n"
        f"    sys.argv = [{script!r}, option]\n"
        f"    try:\n        runpy.run_path({script!r}, run_name='__main__')\n"
        "    except SystemExit as end:\n        assert end.code == 0"
    )
    text, modules = printed.split("\nMODULES ")
    assert "usage:" in text and "--help" in text and text.endswith(f"\n{script} {command_line.VERSION}\n")
    assert not {"tensorflow", "keras"} & set(modules.split())


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(module):
    printed = loaded_modules(f"import {module}")
    text, modules = printed.split("\nMODULES ")
    assert text == "" and not {"tensorflow", "keras"} & set(modules.split())


@pytest.mark.parametrize("script", ["trainer.py", "feature_map_extractor.py", "predictions_json.py"])
def test_a_wrong_setting_is_one_line_and_status_2(script):
    command = [sys.executable, script, "--set", "train.max_stepz=5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --set train.max_stepz=5: train.max_stepz: unknown key")


def test_the_version_is_that_of_the_citation_and_of_the_changes():
    assert f"\nversion: {command_line.VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {command_line.VERSION} " in (ROOT / "CHANGELOG.md").read_text()


def test_make_help_tells_each_word_under_a_purpose():
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    words = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    groups = [group.splitlines() for group in printed.strip().split("\n\n")]
    assert len(groups) >= 4 and not any(group[0].startswith(" ") for group in groups)
    assert {line.split()[0] for group in groups for line in group[1:]} == words


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_packages_a_script_says_what_to_run(script):
    command = [sys.executable, "-S", script, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode and re.fullmatch(
        rf"error: \S+ has no package \w+; run (`make setup` once, then )?`\.venv/bin/python {script} --help`\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("code", "made", "told"),
    [
        ("import nothing_of_that_name", False, "error: {python} has no package nothing_of_that_name; run "
         "`make -C '{folder}' setup` once, then `'{folder}/.venv/bin/python' '{folder}/a.py' 'a b'`\n"),
        ("import nothing_of_that_name", True, "error: {python} has no package nothing_of_that_name; run "
         "`'{folder}/.venv/bin/python' '{folder}/a.py' 'a b'`\n"),
        ("sys.prefix = '{folder}/.venv'\nimport nothing_of_that_name", True, "error: {python} has no package "
         "nothing_of_that_name; run `make -C '{folder}' setup` once, then "
         "`'{folder}/.venv/bin/python' '{folder}/a.py' 'a b'`\n"),
    ],
)  # fmt: skip
def test_the_word_to_run_fits_what_is_there(tmp_path, code, made, told):
    folder = tmp_path / "a house"
    (folder / ".venv/bin").mkdir(parents=True)
    shutil.copytree(ROOT / "environment", folder / "environment")
    (folder / "a.py").write_text(f"import sys\nfrom environment import prerequisites\n{code.format(folder=folder)}\n")
    if made:
        (folder / ".venv/bin/python").touch()
    done = _ran(folder, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == told.format(python=sys.executable, folder=folder)


def test_an_old_python_is_told_before_anything_fails(tmp_path):
    shutil.copytree(ROOT / "environment", tmp_path / "environment")
    (tmp_path / "a.py").write_text(
        "import sys\nsys.version_info = (3, 10, 4)\nfrom environment import prerequisites\nimport nothing\n"
    )
    done = _ran(tmp_path, tmp_path)
    assert done.returncode and done.stderr == (
        f"error: Python 3.11 or newer is needed, {sys.executable} is 3.10; run `make setup` once, then "
        f"`.venv/bin/python {tmp_path}/a.py 'a b'`\n"
    )


def _ran(folder, place):
    command = [sys.executable, str(folder / "a.py"), "a b"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
