"""A user's hands and eyes on the page of a run, in Playwright."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_videos import make_mpeg4

import report

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
SAMPLE, ODD, GONE = "sample_testing_00", "odd", "gone"


def until(page, condition):
    """Wait for a condition in JavaScript. Playwright's own way evaluates text in the page, which its policy forbids."""
    until_true(page, lambda: page.evaluate(condition), condition)


def until_true(page, holds, condition=""):
    """Wait for what a function says, for far longer than it takes on a slow machine."""
    for _ in range(2400):
        if holds():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"two minutes passed without: {condition}")


def open_video(page, name):
    """Open a video's row, whose content is made when it comes near the screen."""
    page.evaluate("(name) => rows.find(({ video }) => video.id === name).element.scrollIntoView()", name)
    head = page.locator(".head", has_text=name)
    head.wait_for()
    if head.get_attribute("aria-expanded") == "false":
        head.click()
    page.locator(".row.open .head", has_text=name).wait_for()


def marker(page):
    """Where the playhead stands, as a share of the lanes."""
    return page.evaluate(
        "() => { const [m, t] = ['.marker', '.track'].map((c) => document.querySelector(c).getBoundingClientRect());"
        " return (m.left + m.width / 2 - t.left) / t.width; }"
    )


def wait_for_marker(page, share, off=0.01):
    """The player tells of where it is a little later."""
    until_true(page, lambda: abs(marker(page) - share) <= off, f"the marker at {share}")


def start_of(page, selector):
    """Start of the first segment that a selector finds, in seconds, from where it is drawn."""
    return page.evaluate("(s) => parseFloat(document.querySelector(s).style.left) / 100 * opened.view.length", selector)


def set_threshold(page, value):
    page.locator("#threshold").fill(str(value))


def show_sample(page):
    open_video(page, SAMPLE)
    until(page, "document.querySelector('video')?.readyState >= 2")


def make_run(folder, draw):
    """Fill the folder of a run with its page: a drawn video, one that no browser plays, one without a file."""
    annotated = draw(folder, testing=1)
    value = json.loads(annotated.read_text())
    actions = value["database"][SAMPLE]["annotations"]
    make_mpeg4(folder / f"videos/testing/{ODD}.avi")
    for name in (ODD, GONE):
        database = {"subset": "testing", "duration": 8.0, "annotations": [{"segment": [2, 4], "label": EVIL}]}
        value["database"][name] = database
    annotated.write_text(json.dumps(value))
    found = [{**action, "score": 0.9 - 0.1 * number} for number, action in enumerate(actions[:4])]
    others = [{"label": EVIL, "segment": [2.1, 4.1], "score": 0.8}, {"label": EVIL, "segment": [5, 6], "score": 0.2}]
    (folder / "run").mkdir()
    results = {SAMPLE: found, ODD: others, GONE: others}
    (folder / "run/predictions_testing.json").write_text(json.dumps({"results": results}))
    scores = {"classes": ["background", EVIL, *sorted({action["label"] for action in actions})]}
    for name, seconds in ((SAMPLE, value["database"][SAMPLE]["duration"]), (ODD, 8.0)):
        boundaries = np.linspace(0, seconds, 51)
        shares = np.full((50, len(scores["classes"])), 0.5, np.float16)
        scores |= {f"probabilities/{name}": shares, f"boundaries/{name}": boundaries}
    np.savez(folder / "run/scores_testing.npz", **scores)
    for step in (10, 20):
        with (folder / "run/metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "loss": 1 / step, "loss_eval": 0.1, "average_mAP": 0.4}) + "\n")
    paths = ("json_data_path=annotations.json", "videos_folder=videos", "model_dir=run", f"data_dir={folder}")
    assert report.main([*(part for p in paths for part in ("--set", f"paths.{p}")), "--subset", "testing"]) == 0
