"""The page of a run in a real Chromium: it plays, follows, filters, escapes, and asks for nothing."""

import numpy as np
import pytest
from page_driving import (
    EVIL,
    GONE,
    ODD,
    SAMPLE,
    open_video,
    set_threshold,
    show_sample,
    start_of,
    until,
    wait_for_marker,
)

from report_page import rendering
from report_page.content import PageContent, VideoView

pytestmark = pytest.mark.slow


def test_the_result_is_said_at_the_top(run, opened):
    page = opened(run / "run/report.html")
    assert "average mAP" in page.locator("h1").inner_text()
    titles = page.locator(".card h3").all_inner_texts()
    assert titles == ["mAP by tIoU", "AP by class", "Precision and recall", "Confusion", "What scores mean",
                      "What the errors are", "What is missed", "Loss", "mAP while training"]  # fmt: skip
    shares = [float(text.split()[0]) for text in page.locator("#ap .value").all_inner_texts()]
    assert shares == sorted(shares, reverse=True) and len(shares) > 2


def test_a_sample_video_plays_and_the_marker_runs_along(run, opened):
    page = opened(run / "run/report.html")
    open_video(page, GONE)
    show_sample(page)  # by a click, after which the row's head has the focus
    wait_for_marker(page, 0, off=0.001)
    page.keyboard.press("Space")
    until(page, "document.querySelector('video').currentTime > 0.7")
    page.keyboard.press("Space")
    until(page, "document.querySelector('video').paused")
    time, length, error, width = page.evaluate(
        "(() => { const v = document.querySelector('video');"
        " return [v.currentTime, opened.view.length, v.error, v.videoWidth]; })()"
    )
    assert error is None and width == 320
    wait_for_marker(page, time / length)


def test_a_click_on_a_segment_plays_it_to_its_end(run, opened):
    page = opened(run / "run/report.html")
    show_sample(page)
    start = start_of(page, ".predicted .segment")
    page.locator(".predicted .segment").first.click()
    end = page.evaluate("opened.view.until")
    until(page, f"document.querySelector('video').currentTime > {start + 0.2}")
    assert page.evaluate("document.querySelector('video').currentTime") < start + 6
    page.evaluate(f"document.querySelector('video').currentTime = {end - 0.3}")
    until(page, "document.querySelector('video').paused")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(end, abs=0.5)
    assert page.locator(".predicted .segment[aria-current]").count() == 1


def test_a_click_on_a_lane_seeks(run, opened):
    page = opened(run / "run/report.html")
    show_sample(page)
    box = page.locator(".axis").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 5)
    wait_for_marker(page, 0.75)
    length = page.evaluate("opened.view.length")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(0.75 * length, abs=0.1)
    # and the other way: what the player's own controls do moves the marker
    page.evaluate(f"document.querySelector('video').currentTime = {0.25 * length}")
    until(page, "!document.querySelector('video').seeking")
    wait_for_marker(page, 0.25)


def test_the_keys(run, opened):
    page = opened(run / "run/report.html")
    show_sample(page)
    assert page.locator("#keys").is_visible()
    page.locator("body").press("ArrowRight")
    page.locator("body").press("ArrowRight")
    page.locator("body").press("ArrowLeft")
    assert page.evaluate("opened.view.time") == pytest.approx(1, abs=0.05)
    page.evaluate("opened.view.seek(0)")
    starts = page.evaluate("opened.view.sequence().all.map((segment) => segment[1])")
    for press, expected in (("n", 0), ("n", 1), ("n", 2), ("p", 1)):
        page.locator("body").press(press)
        assert page.evaluate("opened.view.current[1]") == starts[expected]
    page.evaluate("opened.view.seek(opened.view.length)")  # what was in hand is left behind
    page.locator("body").press("p")
    assert page.evaluate("opened.view.current[1]") == starts[-1]
    # keys belong to the control that has the focus
    level = page.locator("#threshold").input_value()
    page.locator("#threshold").press("ArrowRight")
    assert page.locator("#threshold").input_value() > level
    assert page.evaluate("opened.view.current[1]") == starts[-1]
    page.evaluate("document.querySelector('video').pause()")
    page.locator("video").press("Space")  # the player's own way with the key must not undo ours
    until(page, "!document.querySelector('video').paused")


def test_the_slider_hides_segments_at_once(run, opened):
    page = opened(run / "run/report.html")
    show_sample(page)
    set_threshold(page, 0)
    assert page.locator(".predicted .segment").count() == 4
    found = page.locator("#found strong").inner_text()
    set_threshold(page, 0.75)  # of 0.9, 0.8, 0.7, 0.6
    assert page.locator("#level").inner_text() == "0.75"
    assert page.locator(".predicted .segment").count() == 2
    assert page.locator(".annotated .segment.missed").count() == page.locator(".annotated .segment").count() - 2
    assert page.locator("#found strong").inner_text() != found
    set_threshold(page, 1)
    assert page.locator(".predicted .segment").count() == 0
    assert page.locator("#found strong").inner_text().startswith("0 of ")


def test_the_class_filter(run, opened):
    page = opened(run / "run/report.html")
    page.locator("#filter").select_option(label=EVIL)
    assert page.locator(".row:visible").count() == 2
    assert page.locator("#count").inner_text() == "2 of 3 videos"
    page.locator(".barrow[aria-pressed=true]").click()  # the bar of the same class takes it back
    assert page.locator(".row:visible").count() == 3


def test_videos_are_sorted(run, opened):
    page = opened(run / "run/report.html")

    def order():
        return page.evaluate("[...document.querySelectorAll('.row')].map((r) => rows[r.dataset.video].video.id)")

    page.locator("#sort").select_option("longest")
    assert order() == [SAMPLE, GONE, ODD]
    page.locator("#sort").select_option("name")
    assert order() == [GONE, ODD, SAMPLE]
    page.locator("#sort").select_option("worst")
    # the two others have all they should at the chosen score; of the sample's actions only four are predicted
    assert order() == [SAMPLE, GONE, ODD]


def test_a_video_that_cannot_be_played_shows_pictures_and_the_reason(run, opened):
    page = opened(run / "run/report.html")
    open_video(page, ODD)
    page.locator(".reason").wait_for()
    assert page.locator(".reason").inner_text().startswith(f"This browser cannot play {ODD}.avi: ")
    assert page.locator(".strip img").count() == 12 and page.locator(".still img").is_visible()
    assert page.evaluate("[...document.querySelectorAll('.strip img')].every((image) => image.naturalWidth > 0)")
    before = page.locator(".still img").get_attribute("src")
    page.locator(".annotated .segment").click()  # without a player, the picture and the marker still go there
    wait_for_marker(page, 2 / 8)
    assert page.locator(".still img").get_attribute("src") != before


def test_a_video_without_a_file_says_so(run, opened):
    page = opened(run / "run/report.html")
    open_video(page, GONE)
    assert page.locator(".reason").inner_text() == "There was no video file when this page was made."
    assert page.locator("video").count() == 0
    assert page.locator(".annotated .segment").count() == 1


def test_a_video_that_went_away_since_is_told(run, opened, tmp_path):
    page_file = tmp_path / "report.html"
    page_file.write_text((run / "run/report.html").read_text())
    # the browser's own line, which no page can keep it from writing
    page = opened(page_file, tolerated="Failed to load resource: net::ERR_FILE_NOT_FOUND")
    open_video(page, ODD)
    page.locator(".reason").wait_for()
    assert "cannot play" in page.locator(".reason").inner_text()


def test_labels_are_text(run, opened):
    page = opened(run / "run/report.html")
    open_video(page, ODD)
    assert page.locator(".annotated .segment").inner_text() == EVIL
    assert page.locator("#filter option", has_text=EVIL).count() == 1
    assert page.locator("img[src=x]").count() == 0 and page.locator("script").count() == 2


def test_light_dark_and_the_toggle(run, opened):
    def background(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (opened(run / "run/report.html", scheme=scheme) for scheme in ("light", "dark"))
    colours = [background(light), background(dark)]
    assert colours == ["rgb(245, 246, 248)", "rgb(17, 21, 27)"]
    light.locator("#theme").click()
    assert background(light) == colours[1]
    light.locator("#theme").click()
    assert background(light) == colours[0]


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_sticks_out(run, opened, width):
    page = opened(run / "run/report.html", width=width)
    open_video(page, ODD)
    page.locator(".reason").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_500_videos_stay_light(opened, tmp_path):
    random = np.random.default_rng(0)
    labels = [f"action {number}" for number in range(40)]

    def view(number):
        starts = np.sort(random.uniform(0, 110, 100))
        rows = [(str(random.choice(labels)), float(start), float(start + 5)) for start in starts]
        found = sorted(((*row, float(random.random())) for row in rows), key=lambda row: -row[3])
        times, curves = np.linspace(0, 120, 400), {label: random.random(400) for label in labels[:3]}
        return VideoView(f"video {number:03d}", 120.0, None, tuple(rows[:5]), tuple(found), times, curves, ())

    content = PageContent("many", "", tuple(view(number) for number in range(500)), None, None, None)
    page = opened(rendering.write_page(tmp_path / "report.html", content))
    assert page.locator(".row").count() == 500

    def elements():
        return page.evaluate("document.querySelectorAll('*').length")

    assert page.locator("#confusion table").count() == 0  # 40 classes: the most frequent pairs instead
    assert 1 <= page.locator("#confusion .barrow").count() <= 25
    heads = page.locator(".head").count()
    assert 1 <= heads < 60 and elements() < 4000
    page.locator("#sort").select_option("name")
    page.evaluate("document.querySelector('#list').lastElementChild.scrollIntoView()")
    open_video(page, "video 499")
    assert page.locator(".head").count() < 60 and page.locator(".opened").count() == 1 and elements() < 4000
    set_threshold(page, 0)
    assert page.locator(".predicted .segment").count() == 100


def test_a_page_of_own_videos_and_one_of_none(opened, tmp_path):
    view = VideoView("mine", 8.0, None, None, (("jump", 1.0, 2.0, 0.9), ("run", 3.0, 4.0, 0.15)), None, None, ())
    content = PageContent("Actions in mine", "Found by a model.", (view,), None, None, None)
    page = opened(rendering.write_page(tmp_path / "own.html", content))
    assert page.locator("#found strong").inner_text() == "1"
    assert page.locator(".band h4").all_inner_texts() == ["predicted"]
    assert page.locator("#charts").count() == 0
    empty = opened(rendering.write_page(tmp_path / "empty.html", PageContent("none", "", (), None, None, None)))
    assert empty.locator(".row").count() == 0 and empty.locator("#found strong").inner_text() == "0"
