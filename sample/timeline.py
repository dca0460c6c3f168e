"""What happens in a sample video, and when: a seeded timeline of actions with background between them, in frames.

Lengths are in statures (the figure is 1 tall), angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FPS, WIDTH, HEIGHT = 25, 320, 240
# the path of nodes from the root to a class, as deep as ActivityNet's own taxonomy
TAXONOMY = {
    "Sitting down": ("Whole-body movements", "Changes of posture", "Sitting and rising"),
    "Standing up": ("Whole-body movements", "Changes of posture", "Sitting and rising"),
    "Jumping jacks": ("Whole-body movements", "Exercise", "Aerobics"),
    "Touching the toes": ("Whole-body movements", "Exercise", "Stretching"),
    "Kicking": ("Whole-body movements", "Exercise", "Martial arts"),
    "Raising the arms": ("Arm movements", "Changes of arm position", "Raising and lowering"),
    "Lowering the arms": ("Arm movements", "Changes of arm position", "Raising and lowering"),
    "Clapping": ("Arm movements", "Gestures", "Applause"),
}
# seconds that a class may last and seconds a repetition takes; no repetitions for the time-order pairs
LASTS = {
    "Sitting down": (1.6, 3.2, None),
    "Standing up": (1.6, 3.2, None),
    "Raising the arms": (1.6, 3.2, None),
    "Lowering the arms": (1.6, 3.2, None),
    "Jumping jacks": (2.0, 4.0, 1.1),
    "Touching the toes": (2.0, 4.0, 2.0),
    "Kicking": (1.8, 4.0, 1.1),
    "Clapping": (1.8, 4.0, 0.65),
}
MIRRORED = {"Sitting down": "Standing up", "Raising the arms": "Lowering the arms"}
ARM_GESTURES = ("Scratching the head", "Hands on the hips", "Checking the watch")
GESTURES = ("Looking around", "Shifting weight", *ARM_GESTURES)
SIDES = ("left", "right")
# where actions overlap: the long ones that legs and arms do, with short ones of the others beside
LONG_KINDS = ("Kicking", "Clapping", "Raising the arms", "Lowering the arms")
LONG, SHORT, APART = (6.0, 9.0), (1.6, 2.4), (0.8, 1.6)  # seconds that each lasts, and between two short ones
EARLY, LATE = 0.8, 1.6  # seconds before and after the begin of the long one that the first short one begins at most
EXCURSION = 0.55  # statures from the middle of a spot to the picture's edge that an action needs


@dataclass(frozen=True)
class Spot:
    """Where the figure stands (statures right of the picture's middle) and faces (0: the viewer, 1.57: right)."""

    place: float
    facing: float


@dataclass(frozen=True)
class Stretch:
    """One thing that the figure does in the frames [start, stop)."""

    kind: str
    start: int
    stop: int
    side: str = "right"  # the arm or leg that moves, or moves first
    repeats: int = 1
    spot: Spot | None = None  # where a walk ends


@dataclass(frozen=True)
class Timeline:
    """All that happens in one video: how the figure begins, and stretches that follow each other without a gap.

    `beside`: actions at the same time as these: of the arms beside those of the legs, or the other way round.
    """

    stature: float  # pixels
    chair: Spot
    start: Spot
    seated: bool
    raised: bool  # the arms
    stretches: tuple[Stretch, ...]
    beside: tuple[Stretch, ...] = ()

    @property
    def frames(self) -> int:
        return self.stretches[-1].stop

    @property
    def actions(self) -> list[Stretch]:
        actions = [stretch for stretch in (*self.stretches, *self.beside) if stretch.kind in TAXONOMY]
        return sorted(actions, key=lambda action: action.start)


class _Planner:
    """The state of the figure while its timeline grows."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.stature = rng.uniform(130, 168)
        self.half_width = WIDTH / 2 / self.stature
        self.chair = self.some_spot()
        self.seated = rng.random() < 0.25
        self.raised = rng.random() < 0.2
        self.spot = self.chair if self.seated or rng.random() < 0.5 else self.some_spot()
        if not self.seated and not self.raised and rng.random() < 0.18:
            self.spot = self.outside()
        self.begin = (self.spot, self.seated, self.raised)
        self.stretches: list[Stretch] = []
        self.beside: list[Stretch] = []

    @property
    def now(self) -> int:
        return self.stretches[-1].stop if self.stretches else 0

    def some_spot(self) -> Spot:
        reach = max(self.half_width - EXCURSION, 0.1)
        return Spot(self.rng.uniform(-reach, reach), self.rng.uniform(-0.8, 0.8))

    def outside(self) -> Spot:
        return Spot(float(self.rng.choice((-1, 1))) * (self.half_width + 0.5), 0.0)

    def add(self, kind: str, seconds: float, **details: Any) -> None:
        self.stretches.append(Stretch(kind, self.now, self.now + round(seconds * FPS), **details))

    def walk(self, spot: Spot) -> None:
        distance = abs(spot.place - self.spot.place)
        seconds = distance / self.rng.uniform(0.65, 1.0) + 1.0
        self.add("Walking", seconds, spot=spot, repeats=max(1, round(distance / 0.5)))
        self.spot = spot

    def background(self, next_label: str | None) -> None:
        """Mostly 1 to 4 s of something that is no action, and that ends where `next_label` can begin."""
        rng = self.rng
        if abs(self.spot.place) > self.half_width:
            self.add("Away", rng.uniform(0.4, 1.2))
            self.walk(self.chair if next_label == "Sitting down" else self.some_spot())
        elif next_label == "Sitting down" and self.spot != self.chair:
            self.walk(self.chair)
        elif not self.seated and not self.raised and rng.random() < 0.18:
            if rng.random() < 0.2:
                self.walk(self.outside())
                self.add("Away", rng.uniform(0.4, 1.2))
            self.walk(self.chair if next_label == "Sitting down" or rng.random() < 0.5 else self.some_spot())
        else:
            seconds = rng.uniform(0.8, 2.6)
            if seconds < 1.6 or rng.random() < 0.25:
                self.add("Still", seconds)
            else:
                busy = ARM_GESTURES if self.raised else ["Hands on the hips"] if self.seated else []
                free = [gesture for gesture in GESTURES if gesture not in busy]
                self.add(str(rng.choice(free)), seconds, side=str(rng.choice(SIDES)))
            return
        if rng.random() < 0.6:
            self.add("Still", rng.uniform(0.3, 0.9))

    def choose(self, counts: dict[str, int]) -> str:
        """An action that can follow, the rarer ones first: every class must be well represented."""
        if self.raised:
            labels = ["Lowering the arms", "Standing up" if self.seated else "Sitting down"]
        elif self.seated:
            labels = ["Standing up", "Raising the arms", "Clapping"]
        else:
            labels = [label for label in TAXONOMY if label not in ("Standing up", "Lowering the arms")]
        if self.raised and self.spot != self.chair:
            labels.remove("Sitting down")  # nobody walks to the chair with the arms up
        # to sit down is also the way to standing up, and so for the arms
        there = [(counts.get(label, 0) + counts.get(MIRRORED.get(label, label), 0)) / 2 for label in labels]
        weights = 1.0 / (1.0 + np.array(there)) ** 4
        return str(self.rng.choice(labels, p=weights / weights.sum()))

    def act(self, label: str) -> None:
        shortest, longest, _ = LASTS[label]
        seconds = self.rng.uniform(shortest, longest)
        self.add(label, seconds, repeats=self.repeats(label, seconds), side=str(self.rng.choice(SIDES)))
        self.seated = {"Sitting down": True, "Standing up": False}.get(label, self.seated)
        self.raised = {"Raising the arms": True, "Lowering the arms": False}.get(label, self.raised)

    def repeats(self, label: str, seconds: float) -> int:
        period = LASTS[label][2]
        return 1 if period is None else max(1, round(seconds / (period * self.rng.uniform(0.85, 1.2))))

    def together(self, label: str) -> list[str]:
        """A long action, and short ones beside it: claps over kicks; sitting down and up while the arms do something.

        The first may begin before the long one and the last end after it. Returns what happens, for the counts.
        """
        rng, seconds = self.rng, self.rng.uniform(*LONG)
        if label != "Kicking" and not self.seated and self.spot != self.chair:
            self.walk(self.chair)
        at = rng.uniform(-EARLY, LATE)  # seconds after the begin of the long one
        if at < 0:
            self.add("Still", -at)
        begin, kinds = self.now, [label]
        side = str(rng.choice(SIDES))
        self.add(label, seconds, repeats=self.repeats(label, seconds), side=side)
        while at + SHORT[0] / 2 < seconds:
            kind = "Clapping" if label == "Kicking" else "Standing up" if self.seated else "Sitting down"
            lasts, start = rng.uniform(*SHORT), begin + round(at * FPS)
            self.beside.append(Stretch(kind, start, start + round(lasts * FPS), repeats=self.repeats(kind, lasts)))
            self.seated = {"Sitting down": True, "Standing up": False}.get(kind, self.seated)
            kinds.append(kind)
            at += lasts + rng.uniform(*APART)
        self.raised = {"Raising the arms": True, "Lowering the arms": False}.get(label, self.raised)
        if (after := self.beside[-1].stop - self.now) > 0:
            self.add("Still", after / FPS)
        return kinds


def plan_timeline(rng: np.random.Generator, counts: dict[str, int], overlapping: bool = False) -> Timeline:
    """Plan one video of 4 to 10 actions in 20 to 40 s, or of more in up to 60 s where actions overlap.

    counts: label -> instances in the subset so far; the rarer a label, the likelier it is chosen. What is planned
    here is added to it.
    overlapping: whether legs and arms act on their own, as where a data set gives several labels at once: what kicks,
    claps, or raises or lowers the arms takes long then, with short actions of another class inside and over its ends.
    """
    while True:
        tally = dict(counts)
        timeline = _plan(rng, tally, overlapping)
        if 20 * FPS <= timeline.frames <= (60 if overlapping else 40) * FPS:
            counts.update(tally)
            return timeline


def _plan(rng: np.random.Generator, counts: dict[str, int], overlapping: bool) -> Timeline:
    planner = _Planner(rng)
    enough = round(rng.uniform(22, 32) * FPS)
    moments = 0
    while moments < 4 or (planner.now < enough and moments < 10):
        label = planner.choose(counts)
        planner.background(label)
        # nobody walks to the chair with the arms up
        if overlapping and label in LONG_KINDS and (planner.spot == planner.chair or not planner.raised):
            kinds = planner.together(label)
        else:
            planner.act(label)
            kinds = [label]
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
        moments += 1
    planner.background(None)
    start, seated, raised = planner.begin
    stretches, beside = tuple(planner.stretches), tuple(planner.beside)
    return Timeline(planner.stature, planner.chair, start, seated, raised, stretches, beside)
