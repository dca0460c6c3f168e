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
OVERLAPPING = 0.5, 0.9  # shares: of chances to kick that are taken in any case, and of kicks with which it claps
TOGETHER = 3.0, 6.0  # seconds that each of both lasts
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

    `beside`: actions at the same time as these, whose arms they take.
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

    def __init__(self, rng: np.random.Generator, overlapping: bool):
        self.rng, self.overlapping = rng, overlapping
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
            if self.overlapping and self.rng.random() < OVERLAPPING[0]:
                return "Kicking"
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

    def kick_and_clap(self) -> None:
        """Kick, and clap for as long, from a little before or after the first kick: most of the time is both."""
        rng = self.rng
        seconds, shift = rng.uniform(*TOGETHER), rng.uniform(0.2, 0.8)
        claps_first = rng.random() < 0.5
        if claps_first:
            self.add("Still", shift)
        kick = self.now
        self.add("Kicking", seconds, repeats=self.repeats("Kicking", seconds), side=str(rng.choice(SIDES)))
        frames, moved = self.now - kick, round(shift * FPS)
        if not claps_first:
            self.add("Still", shift)
        start = kick - moved if claps_first else kick + moved
        self.beside.append(Stretch("Clapping", start, start + frames, repeats=self.repeats("Clapping", seconds)))


def plan_timeline(rng: np.random.Generator, counts: dict[str, int], overlapping: bool = False) -> Timeline:
    """Plan one video of 4 to 10 actions in 20 to 40 s, or a few more where the figure claps while it kicks.

    counts: label -> instances in the subset so far; the rarer a label, the likelier it is chosen. What is planned
    here is added to it.
    overlapping: whether it often claps while it kicks.
    """
    while True:
        tally = dict(counts)
        timeline = _plan(rng, tally, overlapping)
        if 20 * FPS <= timeline.frames <= 40 * FPS:
            counts.update(tally)
            return timeline


def _plan(rng: np.random.Generator, counts: dict[str, int], overlapping: bool) -> Timeline:
    planner = _Planner(rng, overlapping)
    enough = round(rng.uniform(22, 32) * FPS)
    moments = 0
    while moments < 4 or (planner.now < enough and moments < 10):
        label = planner.choose(counts)
        planner.background(label)
        if overlapping and label == "Kicking" and rng.random() < OVERLAPPING[1]:
            planner.kick_and_clap()
            counts["Clapping"] = counts.get("Clapping", 0) + 1
        else:
            planner.act(label)
        counts[label] = counts.get(label, 0) + 1
        moments += 1
    planner.background(None)
    start, seated, raised = planner.begin
    stretches, beside = tuple(planner.stretches), tuple(planner.beside)
    return Timeline(planner.stature, planner.chair, start, seated, raised, stretches, beside)
