"""The Dockerfile without Docker: it is linted, what it copies suffices, its commands work in a clean environment."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_features import SETTINGS, make_data_set
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def instructions():
    """(instruction, its text with continuation lines joined), without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def of(kind):
    return [text for instruction, text in instructions() if instruction == kind]


def context():
    """The files that reach the image: of those that match several lines of .dockerignore, the last one decides."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")

    def ignored(name):
        decided = False
        for rule in rules:
            pattern = rule.removeprefix("!")
            # a * does not cross a folder's border; a matched folder takes what is in it along
            if any(
                len(part.split("/")) == len(pattern.split("/")) and fnmatch.fnmatchcase(part, pattern)
                for part in (name, *map(str, Path(name).parents[:-1]))
            ):
                decided = not rule.startswith("!")
        return decided

    return [name for name in listed if name and not ignored(name) and (ROOT / name).is_file()]


def test_the_linter_finds_nothing():
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if hadolint is None:
        pytest.skip("optional: no hadolint here (requirements-dev.txt has it for Linux on x86-64)")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_does_not_run_as_root_and_needs_no_home():
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    kinds = [kind for kind, _ in instructions()]
    assert kinds.index("USER") > max(number for number, kind in enumerate(kinds) if kind in ("RUN", "COPY"))
    assert "HOME=/tmp" in of("ENV")[0]


def test_the_context_is_small_and_holds_what_the_stages_need():
    files = context()
    assert sum((ROOT / name).stat().st_size for name in files) < 1_500_000
    needed = {"config.yml", "configs/activitynet.yml", "report_page/page.html.j2", "requirements.lock"}
    needed |= {str(path.relative_to(ROOT)) for path in ROOT.glob("[a-z]*/*.j2")}
    assert needed | {path.name for path in ROOT.glob("*.py")} <= set(files)
    assert not [name for name in files if name.startswith((".", "tests/", "docs/", "data/", "runs/", "benchmarks/"))]


def test_what_is_copied_before_the_installation_is_in_the_context():
    first = of("COPY")[0].split()
    assert set(first[:-1]) <= set(context()) and first[-1] == "./"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A clean environment in which the RUN lines were run, and a folder with what is copied: (python, folder)."""
    folder = tmp_path_factory.mktemp("image")
    subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)
    for name in context():
        (folder / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "app" / name)
    path = os.pathsep.join([str(folder / "python/bin"), "/usr/local/bin", "/usr/bin", "/bin"])
    environment = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))}
    environment["PIP_COMPILE"] = "0"  # of thousands of modules few are imported here
    for command in of("RUN"):
        # the machine's own folders are not the image's
        command = re.sub(r" /(data|tmp)\b", rf" {folder}/\1", command)
        (folder / "tmp").mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-ec", command], cwd=folder / "app", env={**environment, "PATH": path, "DEVICE": "cpu"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return folder / "python/bin/python", folder


@pytest.mark.slow
def test_run_lines_make_an_environment_that_is_whole(image):
    python, folder = image
    done = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert (folder / "data").stat().st_mode & 0o7777 == 0o1777
    # the lock has lines for several versions of Python
    lines = re.findall(r"^([a-z0-9].*) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    wanted = [line for line in map(Requirement, lines) if line.marker is None or line.marker.evaluate()]
    pins = {line.name: next(iter(line.specifier)).version for line in wanted}
    asked = "from importlib.metadata import version; print(version('tensorflow'), version('numpy'))"
    versions = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert versions == [pins["tensorflow"], pins["numpy"]]


@pytest.mark.slow
def test_the_stages_run_on_what_is_copied_alone(image, tmp_path):
    """As `docker run … python trainer.py --set paths.data_dir=/data`, with the image's settings of the environment."""
    python, folder = image
    make_data_set(tmp_path)
    settings = [f"paths.data_dir={tmp_path}", *SETTINGS, "train.max_steps=4", "train.save_checkpoints_steps=4"]
    options = [part for text in settings for part in ("--set", text)]
    environment = dict(re.findall(r"(\w+)=(\S+)", of("ENV")[0].replace("/data", str(tmp_path))))
    environment["PATH"] = os.environ["PATH"]
    for script in ("trainer.py", "predictions_json.py", "metrics.py"):
        command = [python, script, *options]
        done = subprocess.run(command, cwd=folder / "app", env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    for script in sorted((folder / "app").glob("*.py")):
        if '__name__ == "__main__"' in script.read_text():
            command = [python, script, "--help"]
            subprocess.run(command, cwd=folder / "app", env=environment, check=True, capture_output=True)
    assert (tmp_path / "run/metrics_validation.json").is_file()
