"""The figures of an evaluation -> one sentence in plain words, for a reader who does not know what mAP is.

Three questions, each with the levels below: how many of the annotated actions are found, how many of the shown
segments are right (both at tIoU 0.5 and the score that makes F1 highest), and how close their borders are
(mAP at tIoU 0.75 over mAP at 0.5: what is left when the overlap must be a good one).
"""

from __future__ import annotations

# from which share on a phrase holds, best first
FOUND = ((0.9, "nearly all actions are found"), (0.7, "most actions are found"), (0.45, "about half of the actions "
         "are found"), (0.15, "few actions are found"), (0.0, "hardly any action is found"))  # fmt: skip
RIGHT = ((0.8, "few of the shown segments are wrong"), (0.5, "some of the shown segments are wrong"),
         (0.0, "most of the shown segments are wrong"))  # fmt: skip
BORDERS = ((0.8, "the borders are close"), (0.5, "the borders are rough"), (0.0, "the borders are often off"))


def verdict(average_map: float, found: float, right: float, borders: float) -> str:
    """The sentence; all arguments are shares, 0 to 1.

    average_map: the average mAP. found: recall. right: precision. borders: mAP at 0.75 over mAP at 0.5.
    """
    words = _phrase(FOUND, found)
    if found < FOUND[-2][0]:
        return f"{100 * average_map:.0f} % average mAP: {words}."
    return f"{100 * average_map:.0f} % average mAP: {words}, {_phrase(RIGHT, right)}, and {_phrase(BORDERS, borders)}."


def _phrase(levels: tuple[tuple[float, str], ...], share: float) -> str:
    return next(phrase for least, phrase in levels if share >= least)
