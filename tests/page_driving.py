"""A user's hands and eyes on the page of a run, in Playwright."""

import pytest


def until(page, condition):
    """Wait for a condition in JavaScript. Playwright's own way evaluates text in the page, which its policy forbids."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"20 seconds passed without: {condition}")


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


def start_of(page, selector):
    """Start of the first segment that a selector finds, in seconds, from where it is drawn."""
    return page.evaluate("(s) => parseFloat(document.querySelector(s).style.left) / 100 * opened.view.length", selector)


def set_threshold(page, value):
    page.locator("#threshold").fill(str(value))
