"""The page to label in, in a real Chromium: by keyboard and mouse, with kills, other tabs, thousands of segments."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from labelling_server import OLD, action, make_folder, process, served
from made_videos import make_video
from page_driving import until

pytestmark = pytest.mark.slow
REAL = Path(__file__).parents[2] / "shared/data/videos"


@pytest.fixture
def opened(browser):
    """Open the page; at the end it must have asked nobody else, and said nothing on the console but `tolerated`."""
    contexts, said = [], []

    def open_page(address, width=1400, tolerated="\0", video="v0"):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: said.append(message.text) if tolerated not in message.text else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(address) else None)
        page.goto(address + f"#{video}")
        until(page, f"video?.id === '{video}'")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in said if not text.startswith("data:")] == []


@pytest.fixture
def server(tmp_path):
    with served(make_folder(tmp_path), tmp_path / "annotations.json") as (address, desk):
        yield address, desk


def leave(page):
    """Close the page while its server is there: what it still asks for would be a fault on its console."""
    page.goto("about:blank")


def saved(page):
    until(page, "!unsaved.length && !sending")


def playing(page):
    until(page, "player?.readyState >= 2")


def segments(page):
    return page.evaluate("video.segments.map(({ start, end, label }) => [start, end, label])")


def name_class(page, name):
    page.keyboard.press("c")
    page.locator("#answer").fill(name)
    page.keyboard.press("Enter")
    until(page, f"state.classes.includes('{name}') && !document.querySelector('dialog[open]')")


def at(page, seconds, band="labelled"):
    """Where a time lies on a band, in the middle of its first row."""
    box = page.locator(f"#{band}").bounding_box()
    pixel = page.evaluate(f"toPixel({seconds})")
    return box["x"] + pixel, box["y"] + 18


def drag(page, start, end, band="labelled"):
    page.mouse.move(*at(page, start, band))
    page.mouse.down()
    page.mouse.move(*at(page, (start + end) / 2, band))
    page.mouse.move(*at(page, end, band))
    page.mouse.up()


def test_thirty_labels_by_keyboard_and_mouse_survive_a_kill(opened, tmp_path):
    """Fifteen, a kill, fifteen more: none is lost, and none is there twice. Two are real videos where there are any."""
    folder = make_folder(tmp_path, videos=4, frames=100)
    for number, path in enumerate(sorted(REAL.glob("*/*.mp4"))[:2]):
        shutil.copyfile(path, folder / f"v{number + 2}.mp4")
    wanted = {}
    for half in range(2):
        with process(folder) as (running, address):
            page = opened(address, tolerated="net::ERR_")  # what it asks for between the kill and its end
            if not half:
                for name in ("jump", "run", "sit"):
                    name_class(page, name)
            for name in ("v0", "v1", "v2", "v3", OLD):
                page.evaluate(f"openVideo('{name}')")
                until(page, f"video.id === '{name}' && video.ready && player?.readyState >= 1")
                for n in range(2):  # by keys, in to out
                    first = 10 * n + 40 * half
                    page.keyboard.press("Escape")
                    page.keyboard.press(str(n + 1))
                    page.keyboard.press("Home")
                    page.evaluate(f"toFrame({first})")
                    page.keyboard.press("i")
                    for _ in range(3):
                        page.keyboard.press("ArrowRight")
                    page.keyboard.press("o")
                # by the mouse
                page.keyboard.press("Escape")
                page.keyboard.press("3")
                drag(page, 2.5 + 0.5 * half, 2.8 + 0.5 * half)
                saved(page)
                assert len(segments(page)) == 3 * (half + 1)
                wanted[name] = segments(page)
            running.kill()
            running.wait()
            leave(page)
    with process(folder) as (_, address):
        page = opened(address)
        for name, labelled in wanted.items():
            page.evaluate(f"openVideo('{name}')")
            until(page, f"video.id === '{name}'")
            assert segments(page) == labelled
        leave(page)
    assert sum(map(len, wanted.values())) == 30
    assert [row[:2] for row in wanted["v0"] if row[2] == "jump"] == [[0, 0.16], [1.6, 1.76]]


def test_a_border_is_dragged_to_a_frame_and_shows_it(server, opened):
    address, desk = server
    desk.labels.edit("v0", 0, {"add": [action(0.4, 1.2)]}, "training", 2.0)
    page = opened(address)
    playing(page)
    page.locator("#snap").uncheck()
    page.mouse.move(*at(page, 1.2))
    page.mouse.down()
    page.mouse.move(*at(page, 1.5))
    page.mouse.move(*at(page, 1.61))
    # the nearest border between frames; shown is the last frame inside, 39
    assert page.evaluate("[drag.start, drag.end, showFrame.shown]") == [0.4, 1.6, 39]
    until(page, "!player.seeking && Math.abs(player.currentTime - 1.58) < 0.001")
    page.mouse.up()
    saved(page)
    assert segments(page) == [[0.4, 1.6, "jump"]]
    assert desk.labels.video("v0")["annotations"] == [action(0.4, 1.6)]
    drag(page, 0.4, 0.199)
    assert segments(page) == [[0.2, 1.6, "jump"]]


def test_frames_of_any_rate_are_stepped_by_their_own_times(tmp_path, opened):
    times = [0, 40, 140, 180, 700, 740, 780, 820]
    make_video(tmp_path / "videos/v0.mp4", frames=len(times), times=times)
    with served(tmp_path / "videos", tmp_path / "annotations.json") as (address, _):
        page = opened(address)
        playing(page)
        seen = []
        for _ in times[1:]:
            page.keyboard.press("ArrowRight")
            seen.append(page.evaluate("playhead.time"))
        assert seen == [time / 1000 for time in times[1:]]
        page.keyboard.press(",")
        assert page.evaluate("playhead.frame") == len(times) - 2
        until(page, "!player.seeking && Math.abs(player.currentTime - 0.8) < 0.001")
        leave(page)


def test_borders_jump_to_cuts_and_to_other_segments(server, opened, monkeypatch):
    address, desk = server
    monkeypatch.setattr(desk.workshop, "shots", lambda video: ([1.73], None))
    # beside the frames' borders, which have every 0.04 s
    desk.labels.edit("v0", 0, {"add": [action(0.4, 1.21)]}, "training", 2.0)
    page = opened(address)
    near = page.evaluate("view.span * 5 / width()")  # seconds of five pixels
    both = f"[snapped(1.21 + {near}, null, FREE), snapped(1.73 - {near}, null, FREE)]"
    assert page.evaluate(both.replace("FREE", "false")) == [1.21, 1.73]
    assert page.evaluate(both.replace("FREE", "true")) == [1.2, 1.72]  # Alt is held
    page.keyboard.press("g")
    assert page.evaluate(both.replace("FREE", "false")) == [1.2, 1.72]
    assert page.evaluate("snapped(1.31, null, false)") == 1.32


def test_corrections_are_undone_one_by_one(server, opened):
    address, desk = server
    page = opened(address)
    playing(page)
    for name in ("jump", "run"):
        name_class(page, name)
    page.keyboard.press("1")
    drag(page, 0.2, 1.0)
    states = [[], segments(page)]

    def press(key, result):
        page.keyboard.press(key)
        assert segments(page) == result
        states.append(result)

    press("2", [[0.2, 1, "run"]])
    page.evaluate("toFrame(15)")
    press("s", [[0.2, 0.6, "run"], [0.6, 1, "run"]])
    press("m", [[0.2, 1, "run"]])
    page.evaluate("toFrame(8)")
    press("[", [[0.32, 1, "run"]])
    page.evaluate("toFrame(29)")
    press("]", [[0.32, 1.2, "run"]])
    press("Delete", [])
    for state in states[-2::-1]:
        page.keyboard.press("z")
        assert segments(page) == state
    for state in states[1:]:
        page.keyboard.press("y")
        assert segments(page) == state
    page.keyboard.press("Control+z")
    saved(page)
    assert desk.labels.video("v0")["annotations"] == [action(0.32, 1.2, "run")]


def test_a_note_a_filter_and_another_name_of_a_class(server, opened):
    address, desk = server
    desk.labels.edit("v0", 0, {"add": [action(0.2, 0.6), action(0.4, 1, "run")]}, "training", 2.0)
    page = opened(address)
    assert page.evaluate("video.rows") == 2  # overlapping ones stand in lanes of their own
    page.keyboard.press("n")
    page.keyboard.press("e")
    page.locator("#answer").fill("left foot")
    page.keyboard.press("Enter")
    until(page, "video.segments.some(({ note }) => note === 'left foot')")
    page.keyboard.press("/")
    page.keyboard.type("foot")
    until(page, "document.querySelectorAll('#actions .line').length === 1")  # drawn with the next frame
    until(page, "document.querySelectorAll('#labelled .segment').length === 1")
    page.locator("#filter").fill("")
    page.keyboard.press("Escape")
    page.locator(".pen").first.click()
    page.locator("#answer").fill("hop")
    page.keyboard.press("Enter")
    until(page, "video.segments[0].label === 'hop'")
    assert desk.labels.video("v0")["annotations"][0] == action(0.2, 0.6, "hop", note="left foot")


def test_suggestions_are_accepted_corrected_and_rejected(tmp_path, opened):
    folder, run = make_folder(tmp_path), tmp_path / "run"
    run.mkdir()
    found = [action(0, 0.4, score=0.9), action(0.6, 0.8, score=0.8), action(1, 1.2, score=0.7),
             action(1.4, 1.6, "run", score=0.6), action(1.71, 1.89, score=0.1)]  # fmt: skip
    (run / "predictions_training.json").write_text(json.dumps({"results": {"v0": found}}))
    with served(folder, tmp_path / "annotations.json", suggest=run) as (address, desk):
        page = opened(address)
        until(page, "document.querySelectorAll('.ghost').length === 4")  # one scores too little to be shown
        page.keyboard.press("k")
        assert page.evaluate("selected.start") == 0.6  # the playhead is in the first
        page.keyboard.press("x")
        page.keyboard.press("Escape")
        page.evaluate("seek(0)")
        page.keyboard.press("a")
        assert segments(page) == [[0, 0.4, "jump"]]
        drag(page, 1.2, 1.36, "suggested")  # a border that is dragged corrects it
        assert segments(page) == [[0, 0.4, "jump"], [1, 1.36, "jump"]]
        page.locator("#threshold").fill("0.05")
        page.keyboard.press("Escape")
        page.locator("#acceptall").click()
        saved(page)
        assert page.evaluate("video.ghosts.length") == 0
        kept = desk.labels.video("v0")
        assert kept["rejected"] == [action(0.6, 0.8)]
        assert [one["segment"] for one in kept["annotations"]] == [[0, 0.4], [1, 1.36], [1.4, 1.6], [1.72, 1.88]]
        leave(page)


def test_two_tabs_notice_each_other(server, opened):
    address, desk = server
    one, other = (opened(address, tolerated="409") for _ in range(2))
    for page in (one, other):
        name_class(page, f"class of {page is one}")
        page.evaluate("look().then(() => { look = async () => {}; })")  # it would notice by itself
    drag(one, 0.2, 0.6)
    saved(one)
    drag(other, 1, 1.4)
    other.locator("#notice", has_text="changed in another tab").wait_for()
    until(other, "video.segments[0].start === 0.2")
    assert segments(other) == segments(one)
    assert len(desk.labels.video("v0")["annotations"]) == 1


def test_a_file_changed_by_another_program_is_asked_about(server, opened, tmp_path):
    address, desk = server
    desk.labels.edit("v0", 0, {"add": [action(0.2, 0.6)]}, "training", 2.0)
    desk.labels.save()
    page = opened(address, tolerated="409")
    file = tmp_path / "annotations.json"
    file.write_text(file.read_text().replace("jump", "theirs"))
    drag(page, 1, 1.4)
    page.get_by_text("keep what is shown here").wait_for()
    until(page, "!sending")  # it may have noticed before its own edit was refused
    page.get_by_text("keep what is shown here").click()
    until(page, "find('notice').textContent.includes('.other1.json')")
    saved(page)
    labels = [one["label"] for one in desk.labels.video("v0")["annotations"]]
    assert labels == ["jump", "jump"]
    assert "theirs" in Path(tmp_path / "annotations.other1.json").read_text()


def test_ten_thousand_segments_are_few_elements(server, opened, tmp_path):
    """Of a video of three hours; what is drawn does not grow with what is there."""
    address, desk = server
    many = [action(n, n + 1.5, f"class {n % 7}") for n in range(10_000)]
    desk.labels.edit("v0", 0, {"add": many}, "training", 10_800.0)
    desk._times["v0"] = ({"rate": 25.0, "count": 270_000}, 10_800.0)
    page = opened(address)
    drawn = "document.querySelectorAll('#labelled .segment, #actions .line').length"
    until(page, f"{drawn} > 0")
    assert page.evaluate(drawn) < 700
    until(page, "document.querySelectorAll('#labelled .crowd').length > 50")
    page.evaluate("show(5000, 60)")
    until(page, "document.querySelectorAll('#labelled .crowd').length === 0")
    assert 60 <= page.evaluate("document.querySelectorAll('#labelled .segment').length") <= 63
    page.evaluate("zoom(1e-6, 5000)")
    assert page.evaluate("view.span") == 1
    page.locator("#actions").evaluate("(list) => { list.scrollTop = 150000; }")
    until(page, "find('actions').textContent.includes('1:23:')")


def test_every_key_of_the_card_does_without_an_error(server, opened):
    address, desk = server
    desk.labels.edit("v0", 0, {"add": [action(0.2, 0.6)]}, "training", 2.0)
    page = opened(address)
    playing(page)
    keys = page.evaluate("GROUPS.flatMap(([, lines]) => lines.flatMap(([keys]) => keys))")
    assert len(keys) == len(set(keys)) > 50
    for key in itertools.chain(keys, reversed(keys)):
        page.keyboard.press({" ": "Space", "Ctrl+z": "Control+z", "Ctrl+y": "Control+y",
                             "Ctrl+Shift+Z": "Control+Shift+Z"}.get(key, key))  # fmt: skip
        if page.evaluate("Boolean(document.querySelector('dialog[open]'))"):
            page.keyboard.press("Escape")
        if page.evaluate("document.activeElement === find('filter')"):
            page.keyboard.press("Escape")
    saved(page)


def test_a_narrow_page_does_not_scroll_sideways(server, opened):
    page = opened(server[0], width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
