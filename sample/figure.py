"""Draws the figure of the sample videos: where its joints are becomes shaded limbs, clothes, a face and a shadow.

A picture is [H, W, 3] uint8, BGR. The polygons of all T frames are computed at once and filled frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sample.skeleton import joints_of
from sample.timeline import SIDES

SHIFT = 4  # polygons have coordinates in 1/16 pixel, so that slow motion is smooth
UNIT = 1 << SHIFT

Radius = float | np.ndarray  # pixels, one or [...]
SKIN = ((164, 196, 238), (140, 176, 222), (120, 158, 206), (96, 130, 178), (66, 94, 140), (48, 68, 104))
HAIR = ((32, 36, 44), (36, 54, 84), (60, 96, 140), (110, 170, 215), (150, 150, 156), (40, 60, 130))


@dataclass(frozen=True)
class Camera:
    """A weak perspective: the world's origin lies at (`u`, `v`) in the picture, a stature is `scale` pixels.

    A camera that moves has a `u` and a `v` for each frame [T], and projects points [T, 3].
    """

    u: float | np.ndarray
    v: float | np.ndarray
    scale: float
    pitch: float  # radians that the camera looks down

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points [..., 3] -> picture points [..., 2], pixels."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        down = z * np.sin(self.pitch) - y * np.cos(self.pitch)
        return np.stack([self.u + self.scale * x, self.v + self.scale * down], axis=-1)

    def nearness(self, points: np.ndarray) -> np.ndarray:
        """World points [..., 3] -> how near to the viewer [...]; the nearer is drawn later."""
        return points[..., 2] * np.cos(self.pitch) + points[..., 1] * np.sin(self.pitch)


@dataclass(frozen=True)
class Look:
    """Body and clothes of one figure."""

    girth: float
    shoulders: float  # half the width, statures
    head: float  # radius, statures
    skin: tuple
    hair: tuple
    shirt: tuple
    stripe: tuple
    trousers: tuple
    shoes: tuple
    long_sleeves: bool
    shorts: bool
    stripes: int
    hair_style: str  # short, long, bun or cap


def random_look(rng: np.random.Generator) -> Look:
    def cloth(low: int, high: int) -> tuple:
        hsv = np.array([[[rng.integers(180), rng.integers(60, 220), rng.integers(low, high)]]], np.uint8)
        return tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])

    return Look(
        girth=rng.uniform(0.85, 1.3),
        shoulders=rng.uniform(0.1, 0.125),
        head=rng.uniform(0.068, 0.082),
        skin=SKIN[rng.integers(len(SKIN))],
        hair=HAIR[rng.integers(len(HAIR))],
        shirt=cloth(110, 245),
        stripe=cloth(90, 250),
        trousers=cloth(45, 190),
        shoes=cloth(30, 230),
        long_sleeves=bool(rng.random() < 0.5),
        shorts=bool(rng.random() < 0.3),
        stripes=int(rng.choice((0, 0, 1, 3))),
        hair_style=str(rng.choice(("short", "long", "bun", "cap"))),
    )


@dataclass(frozen=True)
class _Limb:
    """A tapered capsule between two joints; radii in statures."""

    group: str
    start: str
    stop: str
    radius: float
    end_radius: float
    colour: tuple


def _limbs(look: Look) -> list[_Limb]:
    fore = look.shirt if look.long_sleeves else look.skin
    shin = look.skin if look.shorts else look.trousers
    limbs = []
    for s in SIDES:
        limbs += [
            _Limb(f"{s}_leg", f"{s}_knee", f"{s}_ankle", 0.036, 0.024, shin),
            _Limb(f"{s}_leg", f"{s}_hip", f"{s}_knee", 0.05, 0.038, look.trousers),
            _Limb(f"{s}_leg", f"{s}_ankle", f"{s}_toe", 0.028, 0.022, look.shoes),
            _Limb(f"{s}_arm", f"{s}_hand", f"{s}_fingers", 0.024, 0.019, look.skin),
            _Limb(f"{s}_arm", f"{s}_elbow", f"{s}_hand", 0.028, 0.021, fore),
            _Limb(f"{s}_arm", f"{s}_shoulder", f"{s}_elbow", 0.037, 0.03, look.shirt),
        ]
    return limbs


def _shade(colour: tuple, factor: float) -> tuple:
    return tuple(float(min(255, c * factor + (6 if factor > 1 else 0))) for c in colour)


def _circle(centre: np.ndarray, radius: Radius, points: int = 12) -> np.ndarray:
    """Centres [..., 2] and radii -> polygons [..., points, 2]."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return centre[..., None, :] + np.asarray(radius)[..., None, None] * ring


def _capsule(a: np.ndarray, b: np.ndarray, start_radius: Radius, end_radius: Radius) -> np.ndarray:
    """End points [..., 2] and radii -> polygons [..., 14, 2] around a tapered limb."""
    axis = b - a
    angle = np.arctan2(axis[..., 1], axis[..., 0])[..., None]
    half = np.linspace(-np.pi / 2, np.pi / 2, 7)

    def cap(centre: np.ndarray, radius: Radius, turn: float) -> np.ndarray:
        around = angle + half + turn
        ring = np.stack([np.cos(around), np.sin(around)], axis=-1)
        return centre[..., None, :] + np.asarray(radius)[..., None, None] * ring

    return np.concatenate([cap(b, end_radius, 0.0), cap(a, start_radius, np.pi)], axis=-2)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * UNIT).astype(np.int32)


def _fill(picture: np.ndarray, polygon: np.ndarray, colour: tuple) -> None:
    cv2.fillConvexPoly(picture, polygon, colour, cv2.LINE_AA, SHIFT)


class Figure:
    """The figure in every frame of one video, ready to be drawn into pictures."""

    def __init__(self, pose: dict[str, np.ndarray], look: Look, camera: Camera, light: tuple[float, float]):
        """light: how far the shadow of a point falls (right, towards the viewer) per height of the point."""
        self.look, self.camera, self.light = look, camera, light
        self.joints = joints_of(pose, look.shoulders, look.head)
        self.flat = {name: camera.project(place) for name, place in self.joints.items()}
        self.limbs = _limbs(look)
        self.order = self._drawing_order()
        self._shape_limbs()
        self._shape_torso()
        self._shape_head()
        self._shape_shadow()

    def _drawing_order(self) -> np.ndarray:
        """[T, 6] indices of `groups`, the farthest first."""
        near = {name: self.camera.nearness(place) for name, place in self.joints.items()}
        self.groups = ["torso", "head"]
        # standing, the trousers hang from under the shirt and the arms hang before it
        depths = [(near["pelvis"] + near["neck"]) / 2, near["head"] + 0.01]
        for side in SIDES:
            self.groups += [f"{side}_leg", f"{side}_arm"]
            depths.append((near[f"{side}_knee"] + near[f"{side}_hip"]) / 2 + 0.02)
            depths.append((near[f"{side}_elbow"] + near[f"{side}_hand"]) / 2 + 0.04)
        return np.argsort(np.stack(depths, axis=-1), axis=-1, kind="stable")

    def _shape_limbs(self) -> None:
        scale = self.camera.scale
        a = np.stack([self.flat[limb.start] for limb in self.limbs], axis=1)  # [T, N, 2]
        b = np.stack([self.flat[limb.stop] for limb in self.limbs], axis=1)
        ra = np.array([limb.radius for limb in self.limbs]) * scale * self.look.girth
        rb = np.array([limb.end_radius for limb in self.limbs]) * scale * self.look.girth
        glow = self._glow(ra)
        self.shades = [[_shade(limb.colour, factor) for factor in (0.5, 0.88, 1.08)] for limb in self.limbs]
        self.members = {group: [n for n, limb in enumerate(self.limbs) if limb.group == group] for group in self.groups}
        self.outlines = _fixed(_capsule(a, b, ra + 0.8, rb + 0.8))
        self.bodies = _fixed(_capsule(a, b, ra, rb))
        self.lights = _fixed(_capsule(a + glow, b + glow, ra * 0.5, rb * 0.5))

    def _glow(self, radius: Radius) -> np.ndarray:
        """How far the lit part of something of `radius` pixels lies from its middle."""
        side = -np.sign(self.light[0]) or 1.0
        return np.asarray(radius)[..., None] * np.array([0.35 * side, -0.2])

    def _shape_torso(self) -> None:
        flat, scale, girth = self.flat, self.camera.scale, self.look.girth
        shirt = [flat["left_shoulder"], flat["right_shoulder"], flat["left_waist"], flat["right_waist"]]
        radii = np.array([0.04, 0.04, 0.042, 0.042]) * scale * girth
        corners = np.stack(shirt, axis=1)
        self.shirt = corners, radii
        bands = []
        for level in (0.3, 0.5, 0.7)[: self.look.stripes]:
            left = shirt[0] + level * (shirt[2] - shirt[0])
            right = shirt[1] + level * (shirt[3] - shirt[1])
            bands.append(_capsule(left, right, 0.014 * scale, 0.014 * scale))
        self.bands = [_fixed(band) for band in bands]
        hips = (flat["left_hip"], flat["right_hip"])
        self.belt = _fixed(_capsule(*hips, 0.05 * scale * girth, 0.05 * scale * girth))
        self.neck = _fixed(_capsule(flat["neck"], flat["head"], 0.03 * scale, 0.03 * scale))
        self.throat = _fixed(_capsule(flat["neck"], flat["head"], 0.034 * scale, 0.034 * scale))
        self.collar = _fixed(_circle(flat["neck"], np.float64(0.034 * scale)))

    def _shape_head(self) -> None:
        radius, scale = self.look.head, self.camera.scale
        head, gaze, crown, ear = (self.joints[name] for name in ("head", "gaze", "crown", "ear"))

        def place(forwards: float, upwards: float, sidewards: float = 0.0) -> np.ndarray:
            return self.camera.project(head + radius * (forwards * gaze + upwards * crown + sidewards * ear))

        px = radius * scale
        at = np.float64(px)
        self.skull = _fixed(_circle(place(-0.12, 0.08), at * 1.02, 20))
        self.face = _fixed(_capsule(place(0.16, -0.02), place(0.2, -0.42), at * 0.84, at * 0.6))
        self.cheek = _fixed(_circle(place(0.2, -0.1) + self._glow(px * 0.6), at * 0.42))
        self.nose = _fixed(_circle(place(0.98, -0.2), at * 0.13, 8))
        self.mouth = _fixed(_capsule(place(0.82, -0.6, -0.2), place(0.82, -0.6, 0.2), at * 0.05, at * 0.05))
        self.eyes = [_fixed(_circle(place(0.85, 0.02, side), at * 0.12, 8)) for side in (-0.38, 0.38)]
        # features on the far side of the head are not seen
        self.nearness = self.camera.nearness(gaze)
        self.eye_nearness = [self.camera.nearness(0.85 * gaze + side * ear) for side in (-0.38, 0.38)]
        self.fringe = _fixed(_capsule(place(0.45, 0.66, -0.45), place(0.45, 0.66, 0.45), at * 0.36, at * 0.36))
        self.bun = _fixed(_circle(place(-0.75, 0.85), at * 0.42))
        self.mane = _fixed(_capsule(place(-0.35, 0.0), place(-0.45, -1.45), at * 0.9, at * 0.62))
        self.peak = _fixed(_capsule(place(0.5, 0.5), place(1.45, 0.42), at * 0.42, at * 0.2))

    def _shape_shadow(self) -> None:
        right, nearer = self.light

        def cast(points: np.ndarray) -> np.ndarray:
            fallen = points.copy()
            fallen[..., 0] += right * points[..., 1]
            fallen[..., 2] += nearer * points[..., 1]
            fallen[..., 1] = 0
            return self.camera.project(fallen)

        bones = [(limb.start, limb.stop, limb.radius) for limb in self.limbs]
        bones += [("pelvis", "neck", 0.09), ("neck", "head", 0.06)]
        a, b = (np.stack([cast(self.joints[bone[end]]) for bone in bones], axis=1) for end in (0, 1))
        radii = np.array([bone[2] for bone in bones]) * self.camera.scale
        outline = _capsule(a, b, radii, radii)
        # a shadow lies flat: seen from the side it is thinner than the limb that casts it
        middle = outline.mean(axis=-2, keepdims=True)
        outline[..., 1] = middle[..., 1] + (outline - middle)[..., 1] * 0.6
        self.shadow = _fixed(outline)

    def draw_shadow(self, picture: np.ndarray, frame: int, strength: float) -> None:
        """Darken the floor of `picture` where the figure keeps the light away."""
        polygons = self.shadow[frame]
        top = max(0, int(polygons[..., 1].min() / UNIT) - 6)
        floor = picture[top : int(polygons[..., 1].max() / UNIT) + 7]
        if floor.size == 0:
            return
        light = np.full(floor.shape[:2], 255, np.uint8)
        for polygon in polygons - np.array([0, top * UNIT], np.int32):
            cv2.fillConvexPoly(light, polygon, int(255 * (1 - strength)), cv2.LINE_8, SHIFT)
        light = cv2.blur(light, (7, 5))
        cv2.multiply(floor, cv2.merge([light, light, light]), dst=floor, scale=1 / 255)

    def draw(self, picture: np.ndarray, frame: int) -> None:
        """Draw the figure of `frame` into `picture`."""
        for index in self.order[frame]:
            group = self.groups[index]
            if group == "torso":
                self._draw_torso(picture, frame)
            elif group == "head":
                self._draw_head(picture, frame)
            else:
                self._draw_limbs(picture, frame, group)

    def _draw_limbs(self, picture: np.ndarray, frame: int, group: str) -> None:
        members = self.members[group]
        for n in members:
            _fill(picture, self.outlines[frame, n], self.shades[n][0])
        for n in members:
            _fill(picture, self.bodies[frame, n], self.shades[n][1])
            _fill(picture, self.lights[frame, n], self.shades[n][2])

    def _draw_torso(self, picture: np.ndarray, frame: int) -> None:
        look, (corners, radii) = self.look, self.shirt
        corners = corners[frame]
        _fill(picture, self.belt[frame], _shade(look.trousers, 0.8))
        _fill(picture, self.neck[frame], _shade(look.skin, 0.8))
        outer = _circle(corners, radii + 0.8).reshape(-1, 2)
        inner = _circle(corners, radii).reshape(-1, 2)
        lit = _circle(corners.mean(0) + (corners - corners.mean(0)) * 0.7 + self._glow(radii[0]), radii * 0.45)
        for points, factor in ((outer, 0.5), (inner, 0.9), (lit.reshape(-1, 2), 1.08)):
            _fill(picture, cv2.convexHull(_fixed(points)), _shade(look.shirt, factor))
        for band in self.bands:
            _fill(picture, band[frame], _shade(look.stripe, 0.95))
        _fill(picture, self.collar[frame], _shade(look.skin, 0.85))

    def _draw_head(self, picture: np.ndarray, frame: int) -> None:
        look = self.look
        hair, dark = _shade(look.hair, 1.0), _shade(look.skin, 0.55)
        if look.hair_style == "long":
            _fill(picture, self.mane[frame], _shade(look.hair, 0.85))
            if self.nearness[frame] > 0.2:
                _fill(picture, self.throat[frame], _shade(look.skin, 0.8))
        if look.hair_style == "bun":
            _fill(picture, self.bun[frame], _shade(look.hair, 0.85))
        _fill(picture, self.skull[frame], hair)
        if self.nearness[frame] > -0.5:
            _fill(picture, self.face[frame], _shade(look.skin, 0.95))
            _fill(picture, self.cheek[frame], _shade(look.skin, 1.06))
            _fill(picture, self.nose[frame], _shade(look.skin, 0.85))
            if self.nearness[frame] > 0.2:
                _fill(picture, self.mouth[frame], (70, 60, 150))
            for eye, nearness in zip(self.eyes, self.eye_nearness, strict=True):
                if nearness[frame] > 0.1:
                    _fill(picture, eye[frame], dark)
        _fill(picture, self.fringe[frame], _shade(look.stripe, 1.0) if look.hair_style == "cap" else hair)
        if look.hair_style == "cap":
            _fill(picture, self.peak[frame], _shade(look.stripe, 0.75))
