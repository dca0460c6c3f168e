"""A short list of switches, tried on folds by successive halving: which of them leave the value of recipe and rules.

All are tried with a third of the steps. Where folds do not gain from the other steps, that is all; else the better half
is tried with all steps. At last the decoding is searched on the folds' scores of what was chosen. What is taken has
gained more than the spread of that (jackknife over videos). Every trial is a line of trials.jsonl: a search that was
stopped goes on behind the last one. Symbols: G groups of videos, of which each is left out once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import utils
from training.jackknife import Score, gain

Changes = dict[str, object]  # settings `section.key` -> value
# each switch's values; the one that recipe and rules have chosen is what all others are compared with
SWITCHES: tuple[tuple[Changes, ...], ...] = (
    (
        {"data.temporal_difference": "none", "data.components": None},
        {"data.temporal_difference": "absolute", "data.components": None},
        {"data.temporal_difference": "signed", "data.components": None},
        {"data.temporal_difference": "absolute", "data.components": [0, 8]},
    ),
    tuple({"data.max_frames": frames, "data.window_stride": frames // 3, "predict.window_stride": frames // 3}
          for frames in (15, 30, 60)),
    ({"model.num_layers": 1}, {"model.num_layers": 2}),
)  # fmt: skip
FEW, ALL = 1 / 3, 1.0  # shares of the steps
CHEAP_PART = 0.6  # of the time or trials, after which trials with few of the steps end
MOST_TRIALS = 40

Evaluate = Callable[[Changes, float], Score]  # changes, share of the steps -> what the folds say
Decode = Callable[[Changes, float], tuple[Changes, Score]]  # the same -> the best decoding, and what they say of it


class Trials:
    """Scores by changes and share of the steps, from trials.jsonl or by a trial, while there is time for one.

    The log belongs to `about`, which says what data and settings it is of: the log of other ones is begun anew.
    """

    def __init__(self, path: Path, about: dict, evaluate: Evaluate, decode: Decode, minutes: float,
                 most: int | None):  # fmt: skip
        """`most` trials, where it is given, in any time: then the search is the same on every machine."""
        self._path, self._evaluate, self._decode = path, evaluate, decode
        self._seconds, self._most = 60 * minutes, most
        records: list[dict[str, Any]] = utils.read_jsonl(path)
        # as JSON gives it back
        if not records or records[0] != json.loads(json.dumps(about)):
            path.unlink(missing_ok=True)
            utils.append_jsonl(path, about)
            records = [about]
        elif len(path.read_bytes()) and not path.read_bytes().endswith(b"\n"):
            # a kill left half a line, which the next would be joined to
            utils.write_text(path, "".join(json.dumps(record) + "\n" for record in records))
        self.records = records[1:]

    @property
    def spent(self) -> float:
        """Seconds of all trials so far, those before a stop included."""
        return sum(record["seconds"] for record in self.records)

    def left(self, share: float, until: float = 1.0) -> bool:
        """Whether a trial with a share of the steps ends before a part of the time, or trials, is spent."""
        if self._most is not None:
            return len(self.records) < until * self._most
        shares = sum(record["share"] for record in self.records)
        usual = share * self.spent / shares if shares else 0.0
        return len(self.records) < MOST_TRIALS and self.spent + usual <= until * self._seconds

    def score(self, changes: Changes, share: float, until: float = 1.0) -> Score | None:
        """What the folds say; None where it was not tried and there is no time left."""
        tried = self._tried(changes, share, until, lambda: (None, self._evaluate(changes, share)))
        return tried[1] if tried else None

    def decoding(self, changes: Changes, share: float) -> tuple[Changes, Score] | None:
        """The best decoding of these folds, as changes of section predict, and what they say of it; None as above."""
        tried = self._tried(changes, share, 1.0, lambda: self._decode(changes, share), decoding=True)
        return (tried[0] or {}, tried[1]) if tried else None

    def _tried(
        self, changes: Changes, share: float, until: float, trial: Callable[[], tuple[Changes | None, Score]],
        decoding: bool = False,
    ) -> tuple[Changes | None, Score] | None:  # fmt: skip
        wanted = json.loads(json.dumps({"changes": changes, "share": share}))
        known = [r for r in self.records if {key: r[key] for key in wanted} == wanted and ("decoding" in r) == decoding]
        if known:
            return known[0].get("decoding"), _recorded(known[0])
        if not self.left(share, until):
            return None
        started = time.monotonic()
        found, score = trial()
        record: dict[str, Any] = wanted | ({"decoding": found} if decoding else {})
        record |= {"average_mAP": round(score.average_map, 6), "shown_score": score.shown_score,
                   "left_out": [round(value, 6) for value in score.left_out],
                   "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
        utils.append_jsonl(self._path, record)
        self.records.append(record)
        best = max(r["average_mAP"] for r in self.records if r["share"] == share)
        rest = f"{self._most - len(self.records)} trials" if self._most is not None else \
               f"{max(self._seconds - self.spent, 0) / 60:.0f} minutes"  # fmt: skip
        utils.LOGGER.info("trial %d: average mAP %.1f with %s (best so far %.1f); %s left", len(self.records),
                          100 * score.average_map, said(changes | (found or {})), 100 * best, rest)  # fmt: skip
        return found, _recorded(record)


def _recorded(record: dict[str, Any]) -> Score:
    return Score(record["average_mAP"], tuple(record["left_out"]), record["shown_score"])


def said(changes: Changes) -> str:
    """Changes in words."""
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in changes.items()) or "recipe and rules"


@dataclass(frozen=True)
class Compared:
    """Changes, their score, and what they gain over recipe and rules, with the spread of that."""

    changes: Changes
    score: Score
    gain: float
    spread: float

    @property
    def better(self) -> bool:
        return self.gain > self.spread


def search(trials: Trials, chosen: Changes) -> tuple[Changes, list[dict], float | None]:
    """The changes to what recipe and rules have `chosen` that folds found better, and what they said of the last ones.

    Of what is said: `changes`, `gain` and `spread` in average mAP, and whether it was `taken`. At last the score from
    which on segments are to be shown; None where there was no time.
    """
    field = [change for values in SWITCHES for change in values if any(chosen[key] != change[key] for key in change)]
    whole, base = trials.score({}, ALL), trials.score({}, FEW)
    if not whole or not base:
        return {}, [], whole.shown_score if whole else None
    # few steps are a choice of their own
    steps = Compared({"train.max_steps": max(round(FEW * chosen["train.max_steps"]), 1)}, base, *gain(base, whole))
    compared = _compared(trials, field, FEW, base, CHEAP_PART)
    if not steps.better:
        best_half = [one.changes for one in compared[: (len(compared) + 1) // 2] if one.gain > 0]
        base = whole
        compared = _compared(trials, best_half, ALL, base, 1.0)
    better = [one for one in compared if one.better]
    if len(better) > 1:
        # where two change one setting, the one that gains more has it
        together = {key: value for one in reversed(better) for key, value in one.changes.items()}
        joined = _compared(trials, [together], FEW if steps.better else ALL, base, 1.0)
        compared, better = compared + joined, better + joined
    best = max(better, key=lambda one: one.gain, default=None)
    shown = best.score if best else base
    decoded = trials.decoding(best.changes if best else {}, FEW if steps.better else ALL)
    decoding = Compared(*decoded, *gain(decoded[1], shown)) if decoded and decoded[0] else None
    if decoding and decoding.better:
        shown = decoding.score
    taken = [one for one in (steps, best, decoding) if one and one.better]
    said_of = [
        {"changes": one.changes, "gain": round(one.gain, 4), "spread": round(one.spread, 4), "taken": one in taken}
        for one in (steps, *compared, *([decoding] if decoding else []))
    ]
    return {key: value for one in taken for key, value in one.changes.items()}, said_of, shown.shown_score


def _compared(trials: Trials, field: list[Changes], share: float, base: Score, until: float) -> list[Compared]:
    """Those of the changes that there is time for, best first."""
    scores = [(change, trials.score(change, share, until)) for change in field]
    return sorted((Compared(change, one, *gain(one, base)) for change, one in scores if one), key=lambda one: -one.gain)


def table(said_of: list[dict]) -> str:
    """What folds said of the last trials, for the terminal."""
    if not said_of:
        return "no search on folds\n"
    lines = [f"{100 * record['gain']:+6.1f} ± {100 * record['spread']:4.1f}  {said(record['changes'])}"
             + ("  <- taken" if record["taken"] else "") for record in said_of]  # fmt: skip
    return "\n".join(["gain in average mAP on folds of the training subset:", *lines]) + "\n"
