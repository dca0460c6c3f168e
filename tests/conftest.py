"""Fixtures that are made once a run, and which tests stay together where several processes run them (pytest-xdist).

In continuous integration a missing part is a failure: a skipped test fails there, but for two kinds of reasons.
`shared`: it needs ../shared, real data that is not in the repository. `optional`: it needs a tool that the requirements
leave out, such as SkyPilot, which lives in an environment of its own.
"""

import fcntl
import logging
import os
import re
import shutil
import signal

import page_driving
import pytest
from documents import copy_project, run_scenario

import sample_videos

# what takes the longest comes first: the process that began it late would be waited for
FIRST = (
    "test_the_demo_reaches_its_figures", "test_learn.py", "test_own_videos", "faults/test_faults.py",
    "test_localize.py", "test_trainer.py", "test_download.py", "test_extraction_kills.py", "test_training_stops.py",
    "test_containers.py", "test_configs.py", "test_long_run.py",
)  # fmt: skip
# each test for itself, as it shares nothing or only what is made once a run; others stay with those of their file
ALONE = ("test_configs.py", "test_documentation.py", "test_download.py", "test_long_run.py", "test_cloud.py")


def together(nodeid):
    """The name of the tests that one process runs with this one, in their order."""
    file = nodeid.split("::")[0].removeprefix("tests/")
    if file in ALONE:
        return nodeid
    return "::".join([file, *re.findall(r"\[(\w+)", nodeid)]) if file == "faults/test_faults.py" else file


def pytest_configure():
    # a shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start and stop by it
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    # marks of groups (--dist loadgroup) change nothing with pytest 9.2 (pytest-xdist 3.8, issue 1386)
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return together(nodeid)

    return Together(config, log)


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: min((n for n, name in enumerate(FIRST) if name in item.nodeid), default=len(FIRST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    allowed = any(word in str(report.longrepr) for word in ("shared", "optional"))
    if report.skipped and os.environ.get("CI") == "true" and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once(name, make)` -> the folder that `make(folder)` filled, once a run, by whichever process comes first."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def made(name, make):
        folder, whole = root / name, root / f".{name}.made"
        with (root / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def draw(once):
    """`draw(folder, training=2, …)` puts so many videos of the sample set and their annotations there."""
    set_of_all = once("sample", lambda folder: sample_videos.draw_sample_set(
        folder, videos={"training": 6, "validation": 3, "testing": 2}))  # fmt: skip

    def part(folder, **videos):
        for subset, count in videos.items():
            (folder / "videos" / subset).mkdir(parents=True)
            for number in range(count):
                name = f"videos/{subset}/sample_{subset}_{number:02d}.mp4"
                shutil.copyfile(set_of_all / name, folder / name)
        # all are there and whole: what is left to write are the annotations
        return sample_videos.draw_sample_set(folder, videos=videos)

    return part


@pytest.fixture(scope="session")
def demo(once):
    """`project`, a copy in which all that README and docs say of the demo was run, and what that `printed`.

    No test changes it: the sample set with its features, and the model that is trained on them.
    """

    def make(folder):
        copy_project(folder / "project")
        (folder / "printed").write_text(run_scenario("demo", folder / "project"))

    return once("demo", make)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    if not page_driving.CHROMIUM.is_file():
        pytest.skip(f"no {page_driving.CHROMIUM} (Debian: apt install chromium)")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=str(page_driving.CHROMIUM), args=page_driving.FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def run(draw, tmp_path_factory):
    """The folder of a run with its page, see `page_driving.make_run`."""
    folder = tmp_path_factory.mktemp("run")
    page_driving.make_run(folder, draw)
    return folder


@pytest.fixture
def opened(browser):
    """Open a page; at the end it must have asked the network for nothing, and said nothing on the console."""
    contexts, said = [], []

    def open_page(path, width=1280, scheme="light", tolerated=None):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: said.append(message.text) if message.text != tolerated else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri())
        page.wait_for_selector("#found strong")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def told(caplog):
    """What was warned of so far, as one text."""
    caplog.set_level(logging.WARNING)
    return lambda: " | ".join(record.getMessage() for record in caplog.records)
