"""Kill -9 during extraction, again and again: the files in the end are those of an undisturbed run."""

import random
import subprocess
import sys
import time

import pytest
from extraction_videos import ROOT, arguments, check_whole, digests, make_videos

VIDEOS, LEFT, KILLS, FRAMES = 12, 6, 20, 1000


def start(folder, features):
    command = [sys.executable, "feature_map_extractor.py", *arguments(folder, features), "training"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output


def wait_for_work(process, folder, before):
    """Return once a temporary file is there that was not there `before`."""
    while process.poll() is None and set(folder.glob(".*.part*")) <= before:
        time.sleep(0.001)


def until_work(process, folder, before):
    """Seconds until `wait_for_work` returns."""
    started = time.monotonic()
    wait_for_work(process, folder, before)
    return time.monotonic() - started


def wait(process, folder, seconds):
    """Return after so many seconds, or with the next whole file: so that work is left, however fast the machine is."""
    whole, end = len(list(folder.glob("[!.]*"))), time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and len(list(folder.glob("[!.]*"))) <= whole:
        time.sleep(0.001)


def check_and_leave_work(folder, undisturbed):
    """What is whole after a kill is what it should be; the last files go, so that LEFT are to be made by the next."""
    for path in sorted(folder.glob("[!.]*")):
        assert path.read_bytes() == (undisturbed / path.name).read_bytes(), path
    for path in sorted(folder.glob("[!.]*"))[VIDEOS - LEFT :]:
        path.unlink()


@pytest.mark.slow
def test_20_kills_change_no_byte(tmp_path):
    make_videos(tmp_path, VIDEOS, FRAMES)
    finish(start(tmp_path, "undisturbed"))
    check_whole(tmp_path / "undisturbed", VIDEOS)

    seed = random.Random(0)
    folder = tmp_path / "killed" / "training"
    # of a start that finds the CNN converted, as those that are killed do
    first = start(tmp_path, "killed")
    start_up = until_work(first, folder, set())
    first.kill()
    first.communicate()
    halves = early = 0
    for kill in range(KILLS):
        before = set(folder.glob(".*.part*"))
        process = start(tmp_path, "killed")
        # half of the kills come soon after a file is begun, the others at any time from the start of Python on
        if kill % 2:
            wait_for_work(process, folder, before)
            wait(process, folder, seed.random() * 0.2)
        else:
            wait(process, folder, seed.random() * (start_up + 0.2))
        early += process.poll() is None
        process.kill()
        process.communicate()
        halves += bool(set(folder.glob(".*.part*")) - before)
        check_and_leave_work(folder, tmp_path / "undisturbed" / "training")
    assert early == KILLS  # none came when all was done
    assert halves >= KILLS / 4
    finish(start(tmp_path, "killed"))
    check_whole(tmp_path / "killed", VIDEOS)
    assert digests(tmp_path / "killed") == digests(tmp_path / "undisturbed")
