"""A pose -> where the joints are in space: arms by their angles, legs by where the feet stand.

World axes: x right, y up, z towards the viewer; the origin is the floor in the middle of the picture. Lengths are in
statures, angles in radians.
"""

from __future__ import annotations

import numpy as np

from sample.timeline import SIDES

HIP, THIGH, TRUNK, UPPER_ARM, FOREARM, ANKLE = 0.53, 0.245, 0.285, 0.165, 0.145, 0.04  # shin = thigh


def joints_of(pose: dict[str, np.ndarray], shoulders: float, head: float) -> dict[str, np.ndarray]:
    """Pose channels [T] -> world positions [T, 3] of the joints, and three axes [T, 3] of the head.

    shoulders: half their width. head: its radius.
    """

    def vector(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float64)

    yaw, lean = pose["yaw"], pose["lean"]
    zero = np.zeros_like(yaw)
    up = vector(zero, zero + 1, zero)
    ahead = vector(np.sin(yaw), zero, np.cos(yaw))
    leftwards = vector(np.cos(yaw), zero, -np.sin(yaw))  # the figure's own left
    ground = vector(pose["place"], zero, zero)

    def along(channel: np.ndarray | float, direction: np.ndarray) -> np.ndarray:
        return np.asarray(channel)[..., None] * direction

    pelvis = ground + along(HIP - pose["pelvis_drop"], up) - along(pose["pelvis_back"], ahead)
    pelvis += along(pose["sway"], leftwards)
    spine = along(np.cos(lean), up) + along(np.sin(lean), ahead) + along(np.sin(pose["tilt"]), leftwards)
    chest = along(np.cos(lean), ahead) - along(np.sin(lean), up)
    bow = 0.85 * lean + pose["head_nod"]
    crown = along(np.cos(bow), up) + along(np.sin(bow), ahead)
    turn = yaw + pose["head_turn"]
    gaze_flat = vector(np.sin(turn), zero, np.cos(turn))
    joints = {"pelvis": pelvis, "neck": pelvis + (TRUNK + 0.02) * spine}
    joints["head"] = joints["neck"] + (head + 0.022) * crown
    joints["crown"] = crown
    joints["gaze"] = along(np.cos(bow), gaze_flat) - along(np.sin(bow), up)
    joints["ear"] = np.cross(joints["gaze"], crown)
    for side, sign in zip(SIDES, (1, -1), strict=True):
        outwards = sign * leftwards

        def arm_direction(part: str, side: str = side, outwards: np.ndarray = outwards) -> np.ndarray:
            lift, azimuth = pose[f"{side}_{part}_lift"], pose[f"{side}_{part}_side"]
            flat = along(np.cos(azimuth), chest) + along(np.sin(azimuth), outwards)
            return along(np.sin(lift), flat) - along(np.cos(lift), spine)

        shoulder = pelvis + TRUNK * spine + shoulders * outwards
        elbow = shoulder + UPPER_ARM * arm_direction("upper")
        hand = elbow + FOREARM * arm_direction("fore")
        hip = pelvis + 0.05 * outwards
        ankle = ground + along(pose[f"{side}_foot_forward"], ahead) + along(pose[f"{side}_foot_out"], outwards)
        ankle = ankle + along(ANKLE + pose[f"{side}_foot_up"], up)
        knee, ankle = _bend_leg(hip, ankle, ahead + 0.25 * outwards)
        toe = ankle + 0.085 * ahead + 0.02 * outwards - 0.018 * up
        waist = pelvis + 0.03 * spine + 0.058 * outwards
        fingers = hand + 0.03 * arm_direction("fore")
        names = ("shoulder", "elbow", "hand", "fingers", "waist", "hip", "knee", "ankle", "toe")
        places = (shoulder, elbow, hand, fingers, waist, hip, knee, ankle, toe)
        joints |= {f"{side}_{name}": place for name, place in zip(names, places, strict=True)}
    return joints


def _bend_leg(hip: np.ndarray, ankle: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The knee [T, 3] of a leg of two equal bones that bends towards `bend`; the ankle comes as near as it can."""
    leg = ankle - hip
    distance = np.linalg.norm(leg, axis=-1, keepdims=True)
    direction = leg / np.maximum(distance, 1e-6)
    distance = np.minimum(distance, 2 * THIGH * 0.999)
    aside = bend - np.sum(bend * direction, axis=-1, keepdims=True) * direction
    aside /= np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), 1e-6)
    height = np.sqrt(THIGH**2 - (distance / 2) ** 2)
    return hip + direction * distance / 2 + aside * height, hip + direction * distance
