"""The downloader as a whole, against a web server on 127.0.0.1 that misbehaves. Its parts: test_download_parts.py."""

import json
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from download_server import FAULTS, SECONDS, FaultyServer, Place, mixed_faults

import download_video_script
from download.manifest import locked

pytest.importorskip("yt_dlp", reason="requirements-download.txt is not installed")

SCRIPT = Path(download_video_script.__file__)


def run(command: list[str]) -> int:
    return download_video_script.main(command)


def start(command: list[str]) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, str(SCRIPT), *command], stdout=pipe, stderr=pipe, text=True)


def skip_without(backend: str) -> None:
    pytest.importorskip(backend.replace("-", "_"), reason="this back end is not installed")


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    """No proxy between these tests and their server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("backend", ["yt-dlp", "youtube-dl"])
def test_every_fault_ends_with_its_reason(tmp_path, capsys, backend):
    skip_without(backend)
    faults = {f"{'-_a'[number % 3]}{number:02d}": fault for number, fault in enumerate(FAULTS)}
    place = Place(tmp_path, faults)
    patient = {"backend": backend, "timeout_seconds": 2}  # on a busy machine others than the stalled one take long, too
    with FaultyServer(place.bodies, faults) as server:
        assert run(place.command(server, **patient, workers=4, attempts=2)) == 0
        place.check_all()
        asked = len(server.requests)
        out = capsys.readouterr().out
        # what is whole or gone is left alone by the next run, what may pass is asked for again
        others = place.write("ids.txt", "".join(f"{name}\n" for name, fault in faults.items() if fault != "stalled"))
        assert run([*place.command(server, **patient, attempts=1), "--ids", str(others)]) == 0
        again = set(server.requests[asked:])
    passing = {"http_403", "http_429", "http_5xx"}
    assert again == {video_id for video_id, fault in faults.items() if FAULTS[fault] in passing}
    place.check_all()

    gone = [video_id for video_id, fault in faults.items() if FAULTS[fault] not in passing | {"network", None}]
    assert (place.videos / "missing.txt").read_text().split() == gone
    report = place.report()
    assert sum(part["done"] for part in report["subsets"].values()) == len(place.good()) == 4
    assert report["ids"]["gone"]["http_404"] == [video_id for video_id, fault in faults.items() if fault == "404"]
    assert len(report["ids"]["gone"]["too_short"]) == 2
    assert "gone: http 404" in out and "failed: network" in out
    kept = {line["id"]: line for line in place.manifest() if line["status"] == "done"}
    assert {video_id: line["bytes"] for video_id, line in kept.items()} == {
        video_id: len(body) for video_id, body in place.good().items()
    }
    assert {line["duration"] for line in kept.values()} == {SECONDS}


@pytest.mark.parametrize("backend", ["yt-dlp", "youtube-dl"])
@pytest.mark.parametrize(
    ("videos", "kills"), [(12, 3), pytest.param(60, 20, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_kills_cost_only_what_was_in_flight(tmp_path, videos, kills, backend):
    skip_without(backend)
    faults = mixed_faults([f"{'-_a'[number % 3]}{number:03d}" for number in range(videos)], seed=2, good_share=0.5)
    place = Place(tmp_path, faults)
    moments = random.Random(3)
    whole_by_then = []  # (how many requests the server had seen, ids of the whole videos) at each kill
    with FaultyServer(place.bodies, faults, pause=0.02) as server:
        command = place.command(server, backend=backend)
        for _ in range(kills):
            process = start(command)
            enough = len(server.requests) + moments.randint(1, 8)
            while len(server.requests) < enough and process.poll() is None:
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.15))
            process.kill()
            process.communicate()
            whole = place.files()
            assert whole == {video_id: place.bodies[video_id] for video_id in whole}, "a half file has a final name"
            asked = len(server.requests)
            whole_by_then.append((asked, set(whole)))
        # on a busy machine others than the stalled ones take long, too
        for _ in range(3):
            assert run(place.command(server, backend=backend, timeout_seconds=1)) == 0
        for asked, whole in whole_by_then:
            assert not whole & set(server.requests[asked:]), "a whole video was fetched again"
    place.check_all()


def test_a_row_of_blocks_stops_the_run_with_advice(tmp_path, capsys):
    place = Place(tmp_path, {f"v{number}": "429" for number in range(9)})
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server, workers=1, stop_after_blocks=3)) == 1
        assert len(set(server.requests)) == 3
    assert "3 videos in a row failed (http_429)" in place.report()["stopped"]
    assert "download.cookies_file" in capsys.readouterr().out
    assert sum(part["not_tried"] for part in place.report()["subsets"].values()) == 6


def test_too_many_gone_in_a_row_are_not_believed(tmp_path, capsys):
    place = Place(tmp_path, {f"v{number}": "404" for number in range(9)})
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server, workers=1, stop_after_failures=2)) == 1
        assert len(server.requests) == 6
        assert "download.url_template" in capsys.readouterr().out
        assert run([*place.command(server, workers=1, stop_after_failures=2), "--retry-permanent"]) == 0
        assert len(server.requests) == 15
    place.check_all()


def test_a_long_retry_after_stops_the_run(tmp_path):
    place = Place(tmp_path, {"a": "429", "b": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        server.retry_after = "3600"
        assert run(place.command(server, workers=1)) == 1
        assert set(server.requests) == {"a"}
    assert "asks to wait until" in place.report()["stopped"]


def test_a_dead_line_stops_the_run(tmp_path, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    place = Place(tmp_path, {f"v{number}": "none" for number in range(9)})
    template = f"http://127.0.0.1:{port}/{{id}}.mp4"
    assert run(place.command(None, url_template=template, workers=1, stop_after_failures=4)) == 1
    assert set(place.reasons().values()) == {"network"} and len(place.reasons()) == 4
    assert "the line or the server seems to be down" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_a_summary(tmp_path, number, status):
    place = Place(tmp_path, {f"v{number}": "none" for number in range(6)})
    with FaultyServer(place.bodies, place.faults, pause=0.1) as server:
        process = start(place.command(server, workers=1, timeout_seconds=20))
        while len(set(server.requests)) < 2:  # the first video is there, the second in flight
            time.sleep(0.01)
            assert process.poll() is None, process.stderr.read()
        process.send_signal(number)
        out, error = process.communicate(timeout=300)
        assert process.returncode == status, error
        assert "not tried" in out and "stopped: " in out and "Traceback" not in error
        server.pause = 0
        assert not (place.videos / ".partial").exists()
        assert len(place.manifest()) == len(place.files()) < 6
        assert run(place.command(server)) == 0
    place.check_all()


def test_only_one_process_works_in_a_folder(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none"})
    with locked(place.videos), FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server)) == 2
        assert server.requests == []
    assert "another download works in this folder" in capsys.readouterr().err


def test_failed_fraction_decides_the_exit_status(tmp_path):
    place = Place(tmp_path, {"a": "none", "b": "404", "c": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server, max_failed_fraction=0.34)) == 0
        assert run(place.command(server, max_failed_fraction=0.33)) == 1
        assert place.report()["failed_fraction"] == 0.3333


def test_permanent_failures_are_retried_only_on_request(tmp_path):
    place = Place(tmp_path, {"a": "404", "b": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        run(place.command(server))
        place.faults["a"] = "none"
        run(place.command(server))
        assert set(place.files()) == {"b"}
        assert run([*place.command(server), "--retry-permanent"]) == 0
    place.check_all()
    assert (place.videos / "missing.txt").read_text() == ""


def test_back_off_lasts_into_the_next_run(tmp_path):
    place = Place(tmp_path, {"a": "500", "b": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        patient = {"backoff_seconds": 600, "backoff_max_seconds": 600, "patience_seconds": 5}
        assert run(place.command(server, **patient)) == 0
        assert run(place.command(server, **patient)) == 0
        assert server.count["a"] == 1
        assert run(place.command(server, attempts=2)) == 0
        assert server.count["a"] == 3
    assert place.reasons() == {"a": "http_5xx", "b": None}


def test_a_trickle_does_not_hold_a_worker(tmp_path):
    place = Place(tmp_path, {"a": "none"})
    with FaultyServer(place.bodies, place.faults, pause=0.25) as server:
        run(place.command(server, timeout_seconds=5, video_timeout_seconds=0.1, attempts=1))
    assert place.reasons() == {"a": "network"}
    assert "video_timeout_seconds" in place.manifest()[0]["message"]


def test_pauses_between_videos_may_outlast_the_patience(tmp_path):
    place = Place(tmp_path, {"a": "none", "b": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server, workers=1, sleep_seconds=[0.6, 0.6], patience_seconds=0.1)) == 0
    place.check_all()


# youtube-dl leaves its file open when it is interrupted
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("backend", ["yt-dlp", "youtube-dl"])
def test_caps_on_bytes_and_on_the_disk(tmp_path, backend):
    skip_without(backend)
    place = Place(tmp_path, {f"v{number}": "none" for number in range(6)})
    size = len(place.bodies["v0"])
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server, backend=backend, workers=1, min_free_gb=1e9)) == 1
        assert server.requests == [] and "min_free_gb" in place.report()["stopped"]
        assert run(place.command(server, backend=backend, workers=1, max_total_gb=2.5 * size / 1e9)) == 0
        assert "max_total_gb" in place.report()["stopped"]
        assert len(place.files()) == 2
        assert run(place.command(server, backend=backend, workers=1)) == 0
    place.check_all()


def test_files_that_lie_there_are_checked_before_they_count(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none", "b": "none", "c": "none"})
    (place.videos / "training").mkdir(parents=True)
    (place.videos / "validation").mkdir()
    (place.videos / "training" / "a.mp4").write_bytes(place.bodies["a"])
    (place.videos / "validation" / "b.mp4").write_bytes(place.bodies["b"][:-5000])
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server)) == 0
        assert set(server.requests) == {"c"}
    assert {line["id"]: line["status"] for line in place.manifest()} == {"a": "found", "b": "failed", "c": "done"}
    assert place.reasons()["b"] == "bad_file"
    assert "remove" in capsys.readouterr().err
    run(place.command(None))
    (place.videos / "validation" / "b.mp4").unlink()
    with FaultyServer(place.bodies, place.faults) as server:
        assert run(place.command(server)) == 0
    place.check_all()


def test_a_deleted_or_changed_video_is_noticed(tmp_path):
    place = Place(tmp_path, {"a": "none", "b": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        run(place.command(server))
        (place.videos / "training" / "a.mp4").unlink()
        assert run(place.command(server)) == 0
        place.check_all()
        (place.videos / "validation" / "b.mp4").write_bytes(b"cut")
        run(place.command(server))
    assert place.reasons()["b"] == "bad_file"


def test_addresses_of_an_annotation_file_cannot_do_harm(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none", "b": "none", "c": "none", "d": "none"})
    secret = place.write("secret.mp4", "")
    secret.write_bytes(place.bodies["a"])
    with FaultyServer(place.bodies, place.faults) as server:
        annotations = json.loads((tmp_path / "annotations.json").read_text())
        addresses = [
            secret.as_uri(),
            "ytsearch:skiing",
            "ftp://127.0.0.1/a.mp4",
            # what follows # would be options of the extractor's own
            server.template.format(id="d") + '#__youtubedl_smuggle={"force_videoid": "../../x", "exec": "touch x"}',
        ]
        for video_id, address in zip("abcd", addresses, strict=True):
            annotations["database"][video_id]["url"] = address
        place.write("annotations.json", json.dumps(annotations))
        assert run(place.command(server, url_template=None)) == 0
        assert set(server.requests) == {"d"}
    assert place.files() == {"d": place.bodies["d"]}
    assert place.report()["ids"]["failed"]["bad_address"] == ["a", "b", "c"]
    assert "expected an http or https address" in capsys.readouterr().err


def test_ids_cannot_leave_the_folder(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none"})
    text = (tmp_path / "annotations.json").read_text()
    place.write("annotations.json", text.replace('"a"', '"../a"'))
    with FaultyServer(place.bodies | {"../a": place.bodies["a"]}, place.faults) as server:
        assert run(place.command(server)) == 2
        assert server.requests == []
    assert "../a" in capsys.readouterr().err


def test_missing_annotations_are_downloaded_once_and_checked(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none"})
    text = (tmp_path / "annotations.json").read_bytes()
    (tmp_path / "annotations.json").unlink()
    with FaultyServer(place.bodies | {"annotations.json": b"<html>moved</html>"}, place.faults) as server:
        address = server.template.replace("{id}.mp4", "{name}")
        assert run(place.command(server, annotations_url=address)) == 2
        assert "activity-net.org" in capsys.readouterr().err
        assert not (tmp_path / "annotations.json").exists()
        server.bodies["annotations.json"] = text
        assert run(place.command(server, annotations_url=address)) == 0
        assert run(place.command(server, annotations_url=None)) == 0
        assert server.count["annotations.json"] == 2
    assert (tmp_path / "annotations.json").read_bytes() == text
    place.check_all()


def test_dry_run_counts_and_touches_nothing(tmp_path, capsys):
    place = Place(tmp_path, {"a": "none", "b": "404", "c": "none", "d": "none"})
    with FaultyServer(place.bodies, place.faults) as server:
        command = place.command(server)
        assert run([*command[:2], "validation"]) == 0
        capsys.readouterr()
        asked = len(server.requests)
        assert run([*command, "--dry-run"]) == 0
        assert len(server.requests) == asked
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line[0] != "-"}
    assert rows["training"] == ["2", "0.0", "0", "0", "2", "0.0"]  # videos, hours, done, gone, to get, hours to get
    assert rows["validation"] == ["1", "0.0", "0", "1", "0", "0.0"]
    assert rows["total"] == ["4", "0.0", "0", "1", "3", "0.0"]


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = (
        "import sys, download_video_script as script\n"
        "try: script.main(['--help'])\n"
        "except SystemExit: print(sorted({'tensorflow', 'keras', 'yt_dlp', 'av', 'cv2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPT.parent, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
