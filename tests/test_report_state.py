"""What of the page of a run is kept, printed and fitted to screens, in a real Chromium."""

import html

import pytest
from page_driving import EVIL, ODD, open_video, set_threshold, show_sample, until

from report_page import rendering
from report_page.content import PageContent, VideoView

pytestmark = pytest.mark.slow


def test_the_line_of_the_score_lies_among_the_segments_scores(run, opened):
    page = opened(run / "run/report.html")
    show_sample(page)
    assert page.locator(".curves:not(.of-segments) .level").count() == 0
    for score, below in ((0, 0), (0.75, 2), (1, 4)):  # of 0.9, 0.8, 0.7, 0.6
        set_threshold(page, score)
        assert page.locator(".bar-of-score").count() == 4 and page.locator(".bar-of-score.below").count() == below
        level = float(page.locator(".of-segments .level").get_attribute("y1"))
        heights = [float(line.get_attribute("y1")) for line in page.locator(".bar-of-score line").all()]
        assert sum(height > level for height in heights) == below


def test_what_is_chosen_stands_in_the_address(run, opened, tmp_path):
    page = opened(run / "run/report.html")
    page.locator("#theme").click()
    set_threshold(page, 0.75)
    page.locator("#threshold").dispatch_event("change")
    page.locator("#filter").select_option(label=EVIL)
    page.locator("#sort").select_option("name")
    open_video(page, ODD)
    address = page.evaluate("location.hash")
    assert "theme=dark" in address and "score=0.75" in address and "sort=name" in address and "video=odd" in address
    page.reload()
    page.locator(".row.open .head", has_text=ODD).wait_for()
    state = page.evaluate("[document.documentElement.dataset.theme, chosen.threshold, DATA.classes[chosen.label]]")
    assert state == ["dark", 0.75, EVIL]
    assert page.locator("#sort").input_value() == "name" and page.locator("#level").inner_text() == "0.75"
    page.locator("nav a").click()
    assert page.evaluate("location.hash") == address
    page.evaluate("location.hash = 'score=none&action=nobody&theme=pink&video=absent'")
    until(page, "chosen.label === -1")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_inside_a_notebook_the_page_does_without_an_address(run, browser, tmp_path):
    source = html.escape((run / "run/report.html").read_text())
    (tmp_path / "notebook.html").write_text(f'<div><iframe srcdoc="{source}"></iframe></div>')
    page, said = browser.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "notebook.html").as_uri())
    inside = page.frames[1]
    inside.locator("#found strong").wait_for()
    inside.locator("#sort").select_option("name")
    inside.locator("#theme").click()
    assert inside.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()
    assert said == []


def test_player_and_lanes_share_a_laptops_screen(run, opened):
    page = opened(run / "run/report.html", width=1400)
    show_sample(page)
    page.evaluate("document.querySelector('.row.open').scrollIntoView({ block: 'start' })")
    top, bottom = page.evaluate(
        "[document.querySelector('video').getBoundingClientRect().top,"
        " document.querySelector('.timeline').getBoundingClientRect().bottom]"
    )
    assert top >= 0 and bottom <= 900


def test_paper_shows_all_rows_and_no_controls(run, opened):
    page = opened(run / "run/report.html", scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".head").count() == 3
    assert not any(page.locator(name).is_visible() for name in ("#bar", "#theme", ".stage"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_black_pictures_are_passed_over(opened, tmp_path):
    black, clear = "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "data:image/png;base64," + "A" * 200
    view = VideoView("v", 8.0, None, None, (), None, None, ((1.0, clear), (4.0, black), (7.0, black)))
    page = opened(rendering.write_page(tmp_path / "page.html", PageContent("p", "", (view,), None, None, None)))
    assert page.locator(".head img").get_attribute("src") == clear
