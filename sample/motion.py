"""A timeline -> the figure's pose in every frame: a dict of channels [T], T frames.

Lengths are in statures, angles in radians. "Standing up" is "Sitting down" run backwards, frame by frame, and "Lowering
the arms" is "Raising the arms" run backwards: no single frame tells them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sample.timeline import FPS, GESTURES, MIRRORED, SIDES, TAXONOMY, Spot, Stretch, Timeline

REST = {
    **dict.fromkeys(("place", "yaw", "pelvis_back", "sway", "tilt", "head_turn", "head_nod"), 0.0),
    "pelvis_drop": 0.012,
    "lean": 0.03,
}
ARM_REST = {"upper_lift": 0.13, "upper_side": 1.2, "fore_lift": 0.28, "fore_side": 0.35}
FOOT_REST = {"foot_forward": 0.0, "foot_out": 0.06, "foot_up": 0.0}
PAIRED = (*MIRRORED, *MIRRORED.values())
ARM_SEATED = {"upper_lift": 0.35, "upper_side": 0.5, "fore_lift": 1.15, "fore_side": 0.1}


def ease(p: np.ndarray) -> np.ndarray:
    """Progress that starts and ends gently; ease(1 - p) = 1 - ease(p)."""
    return p - 0.6 * np.sin(2 * np.pi * p) / (2 * np.pi)


def pose_track(timeline: Timeline) -> dict[str, np.ndarray]:
    """The pose in every frame of `timeline`: channel name -> [T] float64."""
    pose = {name: np.full(timeline.frames, value) for name, value in REST.items()}
    for side in SIDES:
        for name, value in (ARM_REST | FOOT_REST).items():
            pose[f"{side}_{name}"] = np.full(timeline.frames, value)
    spot = timeline.start
    pose["place"][:] = spot.place
    pose["yaw"][:] = spot.facing
    for stretch in timeline.stretches:
        if stretch.kind == "Walking":
            _walk(pose, *_progress(stretch), spot, stretch)
            spot = stretch.spot
            pose["place"][stretch.stop :] = spot.place
            pose["yaw"][stretch.stop :] = spot.facing
    _hold_postures(pose, timeline)
    for stretch in timeline.stretches:
        if stretch.kind in GESTURES:
            _gesture(pose, *_progress(stretch), stretch)
        elif stretch.kind in TAXONOMY and stretch.kind not in PAIRED:
            _act(pose, *_progress(stretch), stretch)
    for stretch in timeline.beside:  # claps over kicks: the arms are theirs. What sits down under claps is held already
        if stretch.kind not in PAIRED:
            _act(pose, *_progress(stretch), stretch)
    return pose


def add_idle_motion(pose: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Let the figure breathe and sway all the time, in actions as in background; changes `pose` in place."""
    t = np.arange(len(pose["yaw"])) / FPS

    def wave(amplitude: float, hertz: float) -> np.ndarray:
        return amplitude * np.sin(2 * np.pi * (hertz * rng.uniform(0.7, 1.3) * t + rng.random()))

    for name, amplitude, hertz in (("lean", 0.015, 0.25), ("sway", 0.007, 0.15), ("yaw", 0.05, 0.1)):
        pose[name] += wave(amplitude, hertz)
    pose["head_turn"] += wave(0.12, 0.2) + wave(0.06, 0.5)
    pose["head_nod"] += wave(0.04, 0.3)
    for side in SIDES:
        pose[f"{side}_upper_lift"] += wave(0.03, 0.25)
        pose[f"{side}_fore_lift"] += wave(0.04, 0.3)


def _progress(stretch: Stretch) -> tuple[slice, np.ndarray]:
    """The frames of `stretch`, and how far it is in the middle of each: run backwards, these are the same numbers."""
    frames = stretch.stop - stretch.start
    return slice(stretch.start, stretch.stop), (np.arange(frames) + 0.5) / frames


def _toward(pose: dict[str, np.ndarray], part: slice, weight: np.ndarray, targets: dict) -> None:
    """Move the channels named in `targets` by `weight` (0: stay, 1: be there) in the frames of `part`."""
    for name, target in targets.items():
        pose[name][part] += weight * (target - pose[name][part])


def _limb(side: str, **channels: Any) -> dict:
    return {f"{side}_{name}": value for name, value in channels.items()}


def _hold_postures(pose: dict[str, np.ndarray], timeline: Timeline) -> None:
    """Sit and raise arms: how far is a channel of its own, moved by the time-order pairs and held between them."""
    everything = slice(None)
    seat = np.full(timeline.frames, float(timeline.seated))
    raised = np.full(timeline.frames, float(timeline.raised))
    for stretch in timeline.actions:
        if stretch.kind in PAIRED:
            part, p = _progress(stretch)
            level = seat if stretch.kind in ("Sitting down", "Standing up") else raised
            up = stretch.kind in MIRRORED
            level[part] = ease(p if up else 1 - p)
            level[stretch.stop :] = float(up)
    _toward(pose, everything, seat, {"pelvis_back": 0.235, "pelvis_drop": 0.235, "lean": 0.0})
    pose["lean"] += 0.55 * 4 * seat * (1 - seat)  # the weight stays above the feet half-way
    for side in SIDES:
        _toward(pose, everything, seat, _limb(side, foot_out=0.075, **ARM_SEATED))
        # the arms go up sideways before the viewer and forwards in profile: they are always seen to move
        side_of_facing = 0.25 + 1.15 * np.cos(pose["yaw"]) ** 2
        high = {"upper_lift": 2.8, "upper_side": side_of_facing, "fore_lift": 3.0, "fore_side": side_of_facing}
        _toward(pose, everything, raised, _limb(side, **high))


def _ramp(p: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Weight of an overlay: 0 at both ends, 1 from `share` of the time after the start to as much before the end."""
    return ease(np.clip(np.minimum(p, 1 - p) / share, 0, 1))


def _walk(pose: dict[str, np.ndarray], part: slice, p: np.ndarray, origin: Spot, stretch: Stretch) -> None:
    travelled, weight = ease(p), _ramp(p, 0.18)
    pose["place"][part] = origin.place + (stretch.spot.place - origin.place) * travelled
    pose["yaw"][part] = origin.facing + (stretch.spot.facing - origin.facing) * travelled
    _toward(pose, part, weight, {"yaw": 1.45 * np.sign(stretch.spot.place - origin.place), "lean": 0.07})
    for side, shift in zip(SIDES, (0.0, np.pi), strict=True):
        phase = 2 * np.pi * stretch.repeats * travelled + shift
        foot = {"foot_forward": -0.13 * np.cos(phase), "foot_up": 0.07 * np.maximum(np.sin(phase), 0)}
        swing = 0.5 * np.cos(phase)
        arm = {"upper_lift": swing, "upper_side": 0.15, "fore_lift": swing + 0.35, "fore_side": 0.1}
        _toward(pose, part, weight, _limb(side, **foot, **arm))
    pose["pelvis_drop"][part] += weight * 0.012 * (1 + np.cos(4 * np.pi * stretch.repeats * travelled))


def _gesture(pose: dict[str, np.ndarray], part: slice, p: np.ndarray, stretch: Stretch) -> None:
    weight, wave = _ramp(p), np.sin(2 * np.pi * p)
    side = stretch.side
    if stretch.kind == "Looking around":
        targets = {"head_turn": 0.9 * wave}
    elif stretch.kind == "Shifting weight":
        targets = {"sway": 0.035 * wave, "tilt": -0.07 * wave, "head_turn": 0.3 * wave}
    elif stretch.kind == "Scratching the head":
        rub = 0.12 * np.sin(2 * np.pi * 8 * p)
        targets = _limb(side, upper_lift=1.6, upper_side=0.8 + rub, fore_lift=2.4 + rub, fore_side=-2.1)
    elif stretch.kind == "Hands on the hips":
        hips = {"upper_lift": 0.75, "upper_side": 1.6, "fore_lift": 0.85, "fore_side": -1.5}
        targets = _limb("left", **hips) | _limb("right", **hips)
    elif stretch.kind == "Checking the watch":
        targets = _limb(side, upper_lift=0.5, upper_side=0.3, fore_lift=1.8, fore_side=-0.8) | {"head_nod": 0.4}
    else:
        raise ValueError(f"gesture: expected one of {GESTURES}, received {stretch.kind!r}")
    _toward(pose, part, weight, targets)


def _act(pose: dict[str, np.ndarray], part: slice, p: np.ndarray, stretch: Stretch) -> None:
    """Lay an action that ends in the pose where it began over the pose; the others are in `_hold_postures`."""
    cycle = 2 * np.pi * stretch.repeats * p
    swing = (1 - np.cos(cycle)) / 2  # 0 at the start, 1 in the middle of each repetition
    if stretch.kind == "Jumping jacks":
        hop = 0.05 * np.abs(np.sin(cycle))
        _toward(pose, part, swing, {"pelvis_drop": 0.035})
        pose["pelvis_drop"][part] -= hop
        for side in SIDES:
            limbs = {"upper_lift": 2.7, "upper_side": 1.5, "fore_lift": 2.95, "fore_side": 1.5, "foot_out": 0.2}
            _toward(pose, part, swing, _limb(side, **limbs))
            pose[f"{side}_foot_up"][part] += hop
    elif stretch.kind == "Touching the toes":
        down = ease(np.clip(1.5 * (1 - np.abs(2 * (stretch.repeats * p % 1) - 1)), 0, 1))
        _toward(pose, part, down, {"lean": 2.0, "pelvis_back": 0.09, "head_nod": 0.3})
        for side in SIDES:
            _toward(pose, part, down, _limb(side, upper_lift=1.9, upper_side=0.1, fore_lift=2.0, fore_side=0.0))
    elif stretch.kind == "Kicking":
        swing = np.sin(np.pi * (stretch.repeats * p % 1)) ** 2
        _toward(pose, part, swing, {"lean": -0.22})
        for side in SIDES:
            first = side == stretch.side
            kicks = swing * ((stretch.repeats * p).astype(int) % 2 == (0 if first else 1))
            _toward(pose, part, kicks, _limb(side, foot_forward=0.44, foot_up=0.42))
            _toward(pose, part, swing, _limb(side, upper_lift=0.9, upper_side=1.3, fore_lift=1.5, fore_side=0.4))
    elif stretch.kind == "Clapping":
        apart = swing * 1.1
        for side in SIDES:
            arm = {"upper_lift": 1.25, "fore_lift": 1.5, "upper_side": apart - 0.25, "fore_side": apart - 0.55}
            _toward(pose, part, _ramp(p, 0.12), _limb(side, **arm))
    else:
        raise ValueError(f"action: expected one with a motion, received {stretch.kind!r}")
