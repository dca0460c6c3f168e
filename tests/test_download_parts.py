"""The downloader's parts: manifest, selection, addresses, file check, back-off and the start-up check."""

import random
import sys
import time
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from download_server import make_video

from annotations import Video
from config import load
from download import fetch
from download.attempt import Refused, check
from download.crew import Pace, backoff
from download.fetch import Fetcher, FetchOptions, check_backend
from download.manifest import Manifest, locked
from download.selection import Wanted, address_of, choose, read_ids
from download.summary import State, layout, report, table
from segments import Segment

yt_dlp = pytest.importorskip("yt_dlp", reason="requirements-download.txt is not installed")


@pytest.fixture(params=["yt-dlp", "youtube-dl"])
def backend(request):
    pytest.importorskip(request.param.replace("-", "_"), reason="this back end is not installed")
    return request.param


def line(video_id="a", status="failed", reason="http_404", **more):
    return {"id": video_id, "subset": "training", "status": status, "reason": reason, **more}


def test_a_reason_is_final_after_enough_equal_failures(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.append(line(reason="too_short"))
    assert not manifest.of("a").gone
    manifest.append(line(reason="network"))
    manifest.append(line(reason="too_short"))
    assert not manifest.of("a").gone and manifest.of("a").failures == 3
    manifest.append(line(reason="too_short"))
    assert manifest.of("a").gone
    manifest.append(line(status="done", reason=None, file="training/a.mp4", bytes=5))
    assert not manifest.of("a").gone and manifest.of("a").failures == 0
    manifest.append(line("b"))
    assert manifest.of("b").gone
    again = Manifest(tmp_path)
    assert again.videos == manifest.videos
    assert abs(again.of("b").time - time.time()) < 60
    assert not Manifest(tmp_path / "elsewhere").of("a").gone


@pytest.mark.parametrize("rest", [b'{"id": "b", "stat', b"x" * 10_000])
def test_an_unfinished_line_is_cut_off(tmp_path, rest):
    Manifest(tmp_path).append(line())
    path = tmp_path / "manifest.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + rest)
    with locked(tmp_path):
        assert path.read_bytes() == whole
        Manifest(tmp_path).append(line("c"))
    assert list(Manifest(tmp_path).videos) == ["a", "c"]
    path.write_bytes(rest)
    with locked(tmp_path):
        assert path.read_bytes() == b""


def test_a_foreign_line_is_an_error_with_its_place(tmp_path):
    (tmp_path / "manifest.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ValueError, match=r"manifest\.jsonl:1: not a line of a manifest"):
        Manifest(tmp_path)


def video(video_id, *labels, subset="training", url="", duration=10.0):
    return Video(video_id, subset, duration, url, tuple(Segment(0.0, 1.0, label) for label in labels))


VIDEOS = [
    video("a", "Ski"), video("b", "Ski"), video("c", "Ski", "Row"), video("d", "Row"), video("e", "Row", "Ski"),
    video("f", "Ski", subset="validation"), video("g", subset="testing"), video("h", subset="testing"),
]  # fmt: skip
BOTH = ("training", "validation")


@pytest.mark.parametrize(
    ("wanted", "gone", "expected"),
    [
        (Wanted(BOTH), "", "abcdef"),
        (Wanted(("testing",)), "", "gh"),
        (Wanted(BOTH, classes=("Row",)), "", "cde"),
        (Wanted(BOTH, per_class=1), "", "adf"),
        (Wanted(BOTH, per_class=1), "a", "bdf"),
        (Wanted(BOTH, per_class=9), "", "abcdef"),
        (Wanted(BOTH, per_subset=3), "", "abdf"),  # Ski, Row, Ski; and the one of validation
        (Wanted(BOTH, per_subset=2), "ad", "bef"),
        (Wanted(BOTH, classes=("Row",), per_class=2), "", "cd"),
        (Wanted(BOTH, per_class=2, per_subset=3), "", "abdf"),
        (Wanted(("testing",), per_class=1), "", "g"),
        (Wanted(("training", "testing"), ids=("h", "a")), "", "ah"),
        (Wanted(BOTH, ids=("a", "zzz")), "", "a"),
        (Wanted(("validation",), ids=("f",), classes=("Row",)), "", ""),
    ],
)
def test_selection(wanted, gone, expected):
    assert "".join(chosen.id for chosen in choose(VIDEOS, wanted, set(gone))) == expected


def test_selection_names_what_it_does_not_know():
    with pytest.raises(ValueError, match="'Skii': no segment has this label; did you mean 'Ski'"):
        choose(VIDEOS, Wanted(BOTH, classes=("Skii",)), ())
    with pytest.raises(ValueError, match="none of the 1 ids"):
        choose(VIDEOS, Wanted(BOTH, ids=("g",)), ())


def test_ids_come_one_a_line(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("\ufeff-a\n\n# why\n  _b \r\n-a\n", encoding="utf-8")
    assert read_ids(path) == ("-a", "_b")
    path.write_text("# nothing\n")
    with pytest.raises(ValueError, match="received an empty file"):
        read_ids(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_ids(tmp_path)


@pytest.mark.parametrize(
    ("url", "template", "expected"),
    [
        ("", None, "https://www.youtube.com/watch?v=-Ab_0123456"),
        ("http://host/x.mp4?a=b#part", None, "http://host/x.mp4?a=b"),
        ("http://host/x.mp4", "https://host:81/{id}/{id}.mp4", "https://host:81/-Ab_0123456/-Ab_0123456.mp4"),
    ],
)
def test_addresses(url, template, expected):
    assert address_of(video("-Ab_0123456", url=url), template) == expected


def test_ids_are_quoted_in_addresses():
    assert address_of(video("a b&c=%d"), "http://host/{id}") == "http://host/a%20b%26c%3D%25d"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/x", "ytsearch:ski", "-exec", "http://", "http:///x", "http://host:x/",
     "javascript:1", "http://host/a b", "http://ho\nst/", "HTTPS//host", "data:video/mp4;base64,AAAA", "http://[::1/x"],
)  # fmt: skip
def test_other_addresses_are_refused(url):
    with pytest.raises(ValueError, match="expected an http or https address"):
        address_of(video("a", url=url), None)
    with pytest.raises(ValueError, match="not one of YouTube's"):
        address_of(video("my_video"), None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(make_video(10.0, seed=0))
    return path


@pytest.mark.parametrize(
    ("expected", "tolerance", "verdict"),
    [
        (10.0, (0.05, 2), None),
        (12.0, (0.05, 2), None),  # 2 s: at the limit
        (12.1, (0.05, 2), "too_short"),
        (8.0, (0.05, 2), None),
        (7.9, (0.05, 2), "too_long"),
        (10.5, (0.05, 0), None),  # 5 % of 10.5 is 0.525
        (10.6, (0.05, 0), "too_short"),
        (0.0, (0.05, 0), None),  # nothing to compare with
    ],
)
def test_duration_is_compared_with_the_annotation(clip, expected, tolerance, verdict):
    if verdict is None:
        assert check(clip, expected, tolerance) == (10.0, ".mp4")
    else:
        with pytest.raises(Refused, match=f"10.00 s of video where the annotation has {expected:.2f} s") as refused:
            check(clip, expected, tolerance)
        assert refused.value.reason == verdict


@pytest.mark.parametrize(
    ("keep", "reason"), [(-1, "too_short"), (-20_000, "too_short"), (262, "not_a_video"), (0, "not_a_video")]
)
def test_a_cut_file_is_refused_whatever_its_header_says(clip, tmp_path, keep, reason):
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:keep])
    with pytest.raises(Refused) as refused:
        check(path, 0.0, (1.0, 100.0))
    assert refused.value.reason == reason


def test_what_is_no_video_is_refused(tmp_path):
    page, sound = tmp_path / "page.mp4", tmp_path / "sound.mp4"
    page.write_text("<html></html>")
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for path, words in [(page, "13 bytes that do not open as a video"), (sound, "no video track")]:
        with pytest.raises(Refused, match=words) as refused:
            check(path, 1.0, (0.05, 2))
        assert refused.value.reason == "not_a_video"


def test_the_suffix_follows_the_content(clip, tmp_path):
    for name, suffix in [("a.exe", ".mp4"), ("a", ".mp4"), ("a.mov", ".mov"), ("a.webm", ".mp4")]:
        path = tmp_path / name
        path.write_bytes(clip.read_bytes())
        assert check(path, 10.0, (0.05, 2)) == (10.0, suffix)


def test_back_off_doubles_up_to_its_limit():
    pace = Pace((0, 0), 3, 5.0, 60.0, 120.0, 5, 10, 30, (0.05, 2))
    chance = random.Random(0)
    assert backoff(0, pace, chance) == 0
    for failures, full in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (99, 60), (10_000, 60)]:
        waits = [backoff(failures, pace, chance) for _ in range(200)]
        assert full / 2 <= min(waits) < full * 0.55 and full * 0.95 < max(waits) <= full


def test_table_and_report_say_the_same():
    state = {
        "a": State("done"), "b": State("gone", "http_404"), "c": State("gone", "http_404"), "d": State("not_tried"),
        "e": State("failed", "network"), "f": State("done"), "g": State("done"), "h": State("gone", "private"),
    }  # fmt: skip
    rows = [row.split() for row in table(VIDEOS, state).splitlines() if row[0] != "-"]
    assert rows == [
        ["training", "validation", "testing", "total"],
        ["done", "1", "1", "1", "3"],
        ["gone:", "http", "404", "2", "0", "0", "2"],
        ["gone:", "private", "0", "0", "1", "1"],
        ["failed:", "network", "1", "0", "0", "1"],
        ["not", "tried", "1", "0", "0", "1"],
        ["all", "5", "1", "2", "8"],
        ["hours", "done", "0.0", "0.0", "0.0", "0.0"],
    ]
    data = report(VIDEOS, state, {"stopped": None})
    assert data["subsets"]["training"] == {
        "videos": 5, "done": 1, "gone": {"http_404": 2}, "failed": {"network": 1}, "not_tried": 1,
    }  # fmt: skip
    assert data["ids"] == {"gone": {"http_404": ["b", "c"], "private": ["h"]}, "failed": {"network": ["e"]}}
    assert data["stopped"] is None


def test_columns_line_up():
    assert layout(["", "n"], [["a", "1"], ["bcd", "10"]]) == "      n\n-------\na     1\nbcd  10"


YOUTUBE = ["https://www.youtube.com/watch?v=5wOmHw6Boj8"]
PLAIN = ["http://127.0.0.1/a.mp4", "http://notyoutube.com/watch?v=a"]


def test_youtube_dl_says_at_once_what_it_cannot(caplog):
    pytest.importorskip("youtube_dl", reason="this back end is not installed")
    check_backend("youtube-dl", PLAIN)
    assert "not YouTube" in caplog.text
    with pytest.raises(ValueError, match="youtube-dl cannot read YouTube.*download.backend=yt-dlp"):
        check_backend("youtube-dl", YOUTUBE)


def test_the_start_up_check_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(fetch.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match="JavaScript runtime deno .* pip install"):
        check_backend("yt-dlp", YOUTUBE)
    check_backend("yt-dlp", PLAIN)  # a plain address needs none
    (tmp_path / "deno").write_text("#!/bin/sh\necho deno 2.2.9 \n")
    (tmp_path / "deno").chmod(0o755)
    with pytest.raises(ValueError, match="deno 2.3 or newer, received 'deno 2.2.9'"):
        check_backend("yt-dlp", YOUTUBE)
    (tmp_path / "deno").write_text("#!/bin/sh\necho 'deno 2.3.1 (stable, release)' \n")
    monkeypatch.setitem(sys.modules, "yt_dlp_ejs", ModuleType("yt_dlp_ejs"))
    check_backend("yt-dlp", YOUTUBE)
    monkeypatch.setitem(sys.modules, "yt_dlp_ejs", None)
    with pytest.raises(ValueError, match="lacks its JavaScript part.* pip install"):
        check_backend("yt-dlp", YOUTUBE)
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ValueError, match="yt-dlp is not installed.* pip install"):
        check_backend("yt-dlp", PLAIN)
    monkeypatch.setitem(sys.modules, "youtube_dl", None)
    with pytest.raises(ValueError, match="youtube-dl is not installed .*: pip install youtube-dl$"):
        check_backend("youtube-dl", PLAIN)


def test_an_old_yt_dlp_is_told(monkeypatch, caplog):
    monkeypatch.setattr(fetch, "_check_deno", lambda: None)
    monkeypatch.setitem(sys.modules, "yt_dlp_ejs", ModuleType("yt_dlp_ejs"))
    monkeypatch.setattr(yt_dlp.version, "__version__", "2025.01.15")
    check_backend("yt-dlp", YOUTUBE)
    assert "days old" in caplog.text
    caplog.clear()
    monkeypatch.setattr(yt_dlp.version, "__version__", time.strftime("%Y.%m.%d"))
    check_backend("yt-dlp", YOUTUBE)
    assert "days old" not in caplog.text


def test_cookies_are_read_and_never_written(tmp_path, backend):
    path = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n.example.com\tTRUE\t/\tFALSE\t4102444800\tname\tvalue\n"
    path.write_text(text)
    options = FetchOptions(backend, "best", 1.0, 1.0, None, path)
    Fetcher(options, tmp_path / "work", lambda count: None).close()
    assert path.read_text() == text
    path.write_text("no cookies here\n")
    with pytest.raises(ValueError, match="expected cookies in Netscape's format"):
        Fetcher(options, tmp_path / "work", lambda count: None)
    path.unlink()
    with pytest.raises(ValueError, match="cookies_file.*cannot be read"):
        Fetcher(options, tmp_path / "work", lambda count: None)


def test_no_postprocessor_and_no_exec_is_set_up(tmp_path, backend):
    fetcher = Fetcher(FetchOptions(backend, "best", 1.0, 1.0, 500.0, None), Path("/100%(id)s"), lambda count: None)
    session = fetcher._session
    processors = session._pps.values() if backend == "yt-dlp" else [session._pps]
    assert not any(processors)
    assert not {"exec_cmd", "postprocessors", "external_downloader"} & {
        key for key, value in session.params.items() if value
    }
    assert session.params["ratelimit"] == 500.0
    name = session.prepare_filename({"id": "../../x", "title": "../y", "ext": "mp4"})
    assert name == "/100%(id)s/video.mp4"
    fetcher.close()


def test_settings_that_do_not_fit_are_refused():
    for setting, words in [
        ("url_template=http://host/x.mp4", "needs {id}"),
        ("sleep_seconds=[5, 1]", "shortest, longest"),
        ("workers=5", "workers"),
        ("workers=0", "workers"),
        ("max_total_gb=0", "max_total_gb"),
    ]:
        with pytest.raises(ValueError, match=words):
            load(None, [f"download.{setting}"])
