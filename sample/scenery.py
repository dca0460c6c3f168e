"""Draws what stands still in a sample video: a room, a street or a garden with texture, and a chair to sit on.

Pictures are [H, W, 3] uint8, BGR. A backdrop is painted at twice its size and then reduced, which smooths all edges.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sample.figure import Camera
from sample.skeleton import HIP, THIGH

KINDS = ("room", "street", "garden")
SEAT = HIP - THIGH - 0.05  # height of the seat, statures: the thighs of a seated figure lie on it


def draw_backdrop(rng: np.random.Generator, size: tuple[int, int], floor: float) -> np.ndarray:
    """Paint a place of a random kind: [H, W, 3].

    size: width and height, pixels. floor: the row, pixels from the top, where the wall or the far ground meets the
    floor that the figure stands on.
    """
    width, height = 2 * size[0], 2 * size[1]
    picture = np.zeros((height, width, 3), np.uint8)
    kind = str(rng.choice(KINDS))
    base = round(2 * floor)
    if kind == "room":
        _room(picture, rng, base)
    elif kind == "street":
        _street(picture, rng, base)
    else:
        _garden(picture, rng, base)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _colour(rng: np.random.Generator, hue: tuple, saturation: tuple, value: tuple) -> np.ndarray:
    """A random colour [3], float, from ranges in OpenCV's HSV (hue 0 to 180, the others 0 to 255)."""
    hsv = np.array([[[rng.integers(*hue) % 180, rng.integers(*saturation), rng.integers(*value)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


def _cut(picture: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The view of `picture` in a rectangle, which may reach over the edges."""
    return picture[max(0, int(top)) : max(0, int(bottom)), max(0, int(left)) : max(0, int(right))]


def _grain(area: np.ndarray, rng: np.random.Generator, strength: float, cell: tuple[int, int] = (3, 3)) -> None:
    """Give `area` the texture of a material: soft blotches and grains of `cell` (width, height) pixels."""
    height, width = area.shape[:2]
    if not height or not width:
        return
    blotches = cv2.resize(rng.normal(0, 1, (5, 7)), (width, height), interpolation=cv2.INTER_CUBIC)
    shape = (height // cell[1] + 1, width // cell[0] + 1)
    grains = cv2.resize(rng.normal(0, 1, shape), (width, height), interpolation=cv2.INTER_LINEAR)
    area[:] = np.clip(area * (1 + strength * (0.7 * blotches + grains))[..., None], 0, 255).astype(np.uint8)


def _gradient(area: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> None:
    share = np.linspace(0, 1, area.shape[0])[:, None, None]
    area[:] = (top * (1 - share) + bottom * share).astype(np.uint8)


def _box(picture: np.ndarray, left: float, top: float, right: float, bottom: float, colour: Any) -> None:
    _cut(picture, left, top, right, bottom)[:] = np.clip(colour, 0, 255).astype(np.uint8)


def _sky(picture: np.ndarray, rng: np.random.Generator, base: int) -> None:
    blue = _colour(rng, (98, 112), (50, 150), (190, 250))
    _gradient(picture[:base], blue, blue * 0.4 + 150)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.uniform(0, picture.shape[1]), rng.uniform(0, base * 0.4)
        for _ in range(7):
            centre = (int(x + rng.normal(0, 34)), int(y + rng.normal(0, 7)))
            axes = (int(rng.uniform(15, 40)), int(rng.uniform(7, 15)))
            cv2.ellipse(picture, centre, axes, 0, 0, 360, (246, 244, 240), -1)
    picture[:base] = cv2.GaussianBlur(picture[:base], (0, 0), 5)


def _planks(picture: np.ndarray, rng: np.random.Generator, base: int, colour: np.ndarray, step: float) -> None:
    """A floor of boards or slabs that run towards the viewer, with a joint here and there."""
    height, width = picture.shape[:2]
    bottom, vanish = height + 4, base - 1.4 * (height - base)

    def at(x: float, y: float) -> tuple[int, int]:
        return int(width / 2 + (x - width / 2) * (y - vanish) / (bottom - vanish)), int(y)

    for x in np.arange(-0.9 * width, 1.9 * width, step):
        shade = colour * rng.uniform(0.86, 1.12)
        corners = np.array([at(x, base), at(x + step, base), at(x + step, bottom), at(x, bottom)], np.int32)
        cv2.fillConvexPoly(picture, corners, np.clip(shade, 0, 255).tolist())
        cv2.line(picture, at(x, base), at(x, bottom), (colour * 0.6).tolist(), 2, cv2.LINE_AA)
        for y in rng.uniform(base, height, 2):
            cv2.line(picture, at(x, y), at(x + step, y), (colour * 0.65).tolist(), 2, cv2.LINE_AA)
    _grain(picture[base:], rng, 0.05, (9, 2))


def _room(picture: np.ndarray, rng: np.random.Generator, base: int) -> None:
    width = picture.shape[1]
    wall = _colour(rng, (0, 180), (15, 90), (140, 235))
    _gradient(picture[:base], wall * 0.92, wall)
    paper = rng.integers(4)
    step = int(rng.integers(24, 60))
    if paper == 1:
        for x in range(0, width, 2 * step):
            _box(picture, x, 0, x + step, base, wall * 0.9)
    elif paper == 2:
        for x in range(0, width, step):
            for y in range((x // step % 2) * step // 2, base, step):
                cv2.circle(picture, (x, y), 5, (wall * 0.78).tolist(), -1, cv2.LINE_AA)
    elif paper == 3:
        for row, y in enumerate(range(0, base, 20)):
            for x in range(-(row % 2) * 24, width, 48):
                _box(picture, x + 2, y + 2, x + 48, y + 20, wall * rng.uniform(0.78, 0.92))
    _grain(picture[:base], rng, 0.03)
    _planks(picture, rng, base, _colour(rng, (8, 20), (60, 150), (90, 200)), rng.uniform(40, 110))
    _box(picture, 0, base - 18, width, base, wall * 0.5 + 110)
    _box(picture, 0, base - 2, width, base + 2, wall * 0.4)
    for left in np.arange(rng.uniform(-60, 40), width, 170):
        furniture = (_window, _painting, _shelf, _plant)[rng.integers(4)]
        furniture(picture, rng, left + rng.uniform(0, 30), base)
    if rng.random() < 0.6:
        centre = (int(rng.uniform(0.3, 0.7) * width), base + int(rng.uniform(60, 90)))
        rug = _colour(rng, (0, 180), (70, 170), (90, 200))
        for size, shade in ((1.0, 0.7), (0.93, 1.0), (0.7, 0.8), (0.64, 1.15)):
            axes, tone = (int(210 * size), int(44 * size)), np.clip(rug * shade, 0, 255).tolist()
            cv2.ellipse(picture, centre, axes, 0, 0, 360, tone, -1, cv2.LINE_AA)


def _window(picture: np.ndarray, rng: np.random.Generator, left: float, base: int) -> None:
    top, bottom, right = 0.14 * base, 0.62 * base, left + 120
    view = _cut(picture, left, top, right, bottom)
    if view.size:
        _gradient(view, _colour(rng, (98, 112), (60, 140), (200, 250)), np.array([235, 225, 205.0]))
    hills = _cut(picture, left, bottom - 40, right, bottom)
    hills[:] = _colour(rng, (35, 60), (60, 140), (90, 160)).astype(np.uint8)
    for x in (left, left + 58, right):
        _box(picture, x - 4, top - 4, x + 4, bottom + 4, (225, 230, 232))
    for y in (top, (top + bottom) / 2, bottom):
        _box(picture, left - 4, y - 4, right + 4, y + 4, (225, 230, 232))
    cloth = _colour(rng, (0, 180), (60, 170), (110, 220))
    for x in (left - 26, right - 10):
        for fold in range(6):
            _box(picture, x + 6 * fold, top - 14, x + 6 * fold + 6, bottom + 30, cloth * (1.0 if fold % 2 else 0.82))


def _painting(picture: np.ndarray, rng: np.random.Generator, left: float, base: int) -> None:
    top = rng.uniform(0.12, 0.28) * base
    width, height = rng.uniform(60, 110), rng.uniform(60, 90)
    _box(picture, left + 4, top + 5, left + width + 5, top + height + 6, (50, 50, 50))
    _box(picture, left, top, left + width, top + height, _colour(rng, (8, 24), (60, 160), (60, 160)))
    inner = _cut(picture, left + 7, top + 7, left + width - 7, top + height - 7)
    if inner.size:
        _gradient(inner, _colour(rng, (0, 180), (40, 160), (140, 240)), _colour(rng, (0, 180), (60, 180), (80, 200)))
        _grain(inner, rng, 0.08, (8, 8))


def _shelf(picture: np.ndarray, rng: np.random.Generator, left: float, base: int) -> None:
    wood = _colour(rng, (8, 20), (80, 150), (70, 150))
    top, right = 0.24 * base, left + 130
    _box(picture, left, top, right, base, wood * 0.6)
    rows = np.linspace(top, base - 6, 5)
    for upper, lower in zip(rows[:-1], rows[1:], strict=True):
        x = left + 8
        while x < right - 16:
            thick = rng.uniform(7, 15)
            if rng.random() < 0.88:
                book = _colour(rng, (0, 180), (60, 200), (70, 220))
                tall = (lower - upper - 10) * rng.uniform(0.65, 0.95)
                _box(picture, x, lower - tall, x + thick - 1.5, lower, book)
                _box(picture, x, lower - tall * 0.8, x + thick - 1.5, lower - tall * 0.74, book * 0.5 + 110)
            x += thick
        _box(picture, left, lower, right, lower + 6, wood)
    for x in (left, right - 6):
        _box(picture, x, top, x + 6, base, wood * 1.1)
    _box(picture, left - 3, top - 6, right + 3, top, wood * 1.2)


def _plant(picture: np.ndarray, rng: np.random.Generator, left: float, base: int) -> None:
    x, foot = left + 50, base + 14
    leaf = _colour(rng, (36, 70), (90, 190), (70, 170))
    for _ in range(46):
        angle = rng.uniform(-2.7, -0.45)
        reach = rng.uniform(40, 120)
        tip = (int(x + reach * np.cos(angle) * 0.7), int(foot - 50 + reach * np.sin(angle)))
        tone = np.clip(leaf * rng.uniform(0.6, 1.25), 0, 255).tolist()
        cv2.ellipse(picture, tip, (14, 5), np.degrees(angle) + rng.uniform(-30, 30), 0, 360, tone, -1, cv2.LINE_AA)
        cv2.line(picture, (int(x), int(foot - 50)), tip, (leaf * 0.5).tolist(), 1, cv2.LINE_AA)
    pot = _colour(rng, (4, 18), (90, 180), (110, 210))
    corners = np.array([(x - 27, foot - 52), (x + 27, foot - 52), (x + 19, foot), (x - 19, foot)], np.int32)
    cv2.fillConvexPoly(picture, corners, pot.tolist(), cv2.LINE_AA)
    _box(picture, x - 30, foot - 58, x + 30, foot - 46, pot * 1.1)


def _street(picture: np.ndarray, rng: np.random.Generator, base: int) -> None:
    height, width = picture.shape[:2]
    _sky(picture, rng, base)
    left = rng.uniform(-120, 0)
    while left < width:
        across = rng.uniform(130, 260)
        _house(picture, rng, (left, left + across), base)
        left += across + (rng.uniform(0, 60) if rng.random() < 0.3 else 0)
    _planks(picture, rng, base, _colour(rng, (10, 120), (5, 30), (120, 190)), rng.uniform(70, 130))
    kerb = int(height - rng.uniform(14, 34))
    _box(picture, 0, kerb, width, height, (78, 76, 76))
    _box(picture, 0, kerb - 8, width, kerb, (176, 180, 182))
    _grain(picture[kerb:], rng, 0.07, (2, 2))
    if rng.random() < 0.6:
        x = rng.uniform(0.05, 0.95) * width
        _box(picture, x - 4, 30, x + 4, base + 10, (52, 54, 50))
        _box(picture, x - 9, base - 30, x + 9, base + 12, (46, 48, 44))
        cv2.ellipse(picture, (int(x), 30), (16, 20), 0, 0, 360, (190, 225, 240), -1, cv2.LINE_AA)
    if rng.random() < 0.6:
        _tree(picture, rng, rng.uniform(0, width), base + 8)


def _house(picture: np.ndarray, rng: np.random.Generator, sides: tuple[float, float], base: int) -> None:
    left, right = sides
    top = rng.uniform(-0.1, 0.4) * base
    front = _colour(rng, (0, 30), (20, 150), (110, 220))
    _box(picture, left, top, right, base, front)
    if rng.random() < 0.5:
        for y in np.arange(max(0, top), base, 9):
            _box(picture, left, y, right, y + 2, front * 0.86)
    _grain(_cut(picture, left, top, right, base), rng, 0.05)
    _box(picture, left - 4, top - 10, right + 4, top + 4, front * 0.55)
    glass, frame = _colour(rng, (95, 120), (30, 110), (60, 150)), _colour(rng, (0, 180), (0, 50), (190, 250))
    across, storey = rng.uniform(26, 38), rng.uniform(78, 96)
    for y in np.arange(top + 22, base - 70, storey):
        for x in np.arange(left + 20, right - across - 6, across + 26):
            _box(picture, x - 4, y - 4, x + across + 4, y + 50, frame)
            pane = _cut(picture, x, y, x + across, y + 44)
            if pane.size:
                _gradient(pane, np.clip(glass * rng.uniform(0.8, 1.5), 0, 255), glass * 0.7)
            _box(picture, x + across / 2 - 2, y, x + across / 2 + 2, y + 44, frame * 0.9)
    door = rng.uniform(left + 16, max(left + 17, right - 66))
    _box(picture, door - 5, base - 98, door + 49, base, frame * 0.9)
    _box(picture, door, base - 92, door + 44, base, _colour(rng, (0, 180), (70, 200), (50, 150)))


def _tree(picture: np.ndarray, rng: np.random.Generator, x: float, foot: float) -> None:
    trunk = np.array([40, 58, 78]) * rng.uniform(0.8, 1.3)
    crown = foot - rng.uniform(190, 300)
    thick = int(rng.uniform(14, 24))
    cv2.line(picture, (int(x), int(foot)), (int(x + 8), int(crown)), trunk.tolist(), thick, cv2.LINE_AA)
    leaf = _colour(rng, (32, 62), (80, 180), (80, 170))
    for n in range(240):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        centre = (int(x + 88 * reach * np.cos(angle)), int(crown + 66 * reach * np.sin(angle)))
        tone = np.clip(leaf * (0.6 + 0.7 * n / 240 + rng.uniform(-0.1, 0.1)), 0, 255).tolist()
        cv2.circle(picture, centre, int(rng.uniform(6, 15)), tone, -1, cv2.LINE_AA)


def _garden(picture: np.ndarray, rng: np.random.Generator, base: int) -> None:
    height, width = picture.shape[:2]
    _sky(picture, rng, base)
    columns = np.arange(width)
    for depth in (0.5, 0.68):
        hill = _colour(rng, (36, 75), (40, 120), (110, 180))
        waves = 22 * np.sin(columns / rng.uniform(60, 140) + rng.uniform(0, 6)) + 14 * np.sin(columns / 37)
        ridge = base * depth + waves
        outline = np.concatenate([np.stack([columns, ridge], 1), [[width, base], [0, base]]]).astype(np.int32)
        cv2.fillPoly(picture, [outline], hill.tolist(), cv2.LINE_AA)
    for x in rng.uniform(0, width, rng.integers(1, 4)):
        _tree(picture, rng, x, base)
    if rng.random() < 0.5:
        paint = _colour(rng, (8, 30), (0, 110), (130, 240))
        for y in (base - 66, base - 30):
            _box(picture, 0, y, width, y + 9, paint * 0.8)
        for x in range(0, width, 26):
            outline = [(x, base), (x, base - 78), (x + 8, base - 90), (x + 16, base - 78), (x + 16, base)]
            tone = (paint * rng.uniform(0.88, 1.0)).tolist()
            cv2.fillConvexPoly(picture, np.array(outline, np.int32), tone, cv2.LINE_AA)
    else:
        leaf = _colour(rng, (36, 66), (90, 190), (60, 130))
        for n in range(900):
            centre = (int(rng.uniform(0, width)), int(base - rng.uniform(0, 84)))
            tone = np.clip(leaf * rng.uniform(0.6, 1.3), 0, 255).tolist()
            cv2.ellipse(picture, centre, (9, 6), n * 37, 0, 360, tone, -1, cv2.LINE_AA)
    grass = _colour(rng, (34, 54), (90, 180), (110, 190))
    _gradient(picture[base:], grass * 0.85, grass * 1.05)
    _grain(picture[base:], rng, 0.07, (2, 6))
    for x, y in zip(rng.uniform(0, width, 1500), rng.uniform(base, height, 1500), strict=True):
        tone = np.clip(grass * rng.uniform(0.65, 1.3), 0, 255).tolist()
        tip = (int(x + rng.normal(0, 3)), int(y - rng.uniform(4, 11)))
        cv2.line(picture, (int(x), int(y)), tip, tone, 1, cv2.LINE_AA)
    for _ in range(rng.integers(0, 40)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(base, height)))
        cv2.circle(picture, centre, 4, _colour(rng, (0, 180), (90, 220), (190, 255)).tolist(), -1, cv2.LINE_AA)


def draw_chair(picture: np.ndarray, rng: np.random.Generator, camera: Camera, place: float, facing: float) -> None:
    """Draw a chair whose user, in front of it, stands at `place` (statures) and faces `facing` (radians)."""
    colour = _colour(rng, (0, 180), (60, 190), (70, 200))
    wood = _colour(rng, (8, 20), (60, 150), (60, 170))
    half, deep = rng.uniform(0.13, 0.17), 0.13
    behind = -0.235  # where the pelvis of a seated figure is
    shadow = camera.project(np.array([[place + behind * np.sin(facing), 0, behind * np.cos(facing)]]))[0]
    axes = (int(camera.scale * 0.24), int(camera.scale * 0.07))
    dark = picture.copy()
    cv2.ellipse(dark, (int(shadow[0]), int(shadow[1])), axes, 0, 0, 360, (20, 20, 20), -1, cv2.LINE_AA)
    picture[:] = cv2.addWeighted(picture, 0.65, cv2.GaussianBlur(dark, (0, 0), 3), 0.35, 0)
    legs = [(x, SEAT / 2, z, 0.016, SEAT / 2, 0.016) for x in (-half, half) for z in (-deep, deep)]
    blocks = [(*leg, wood) for leg in legs] + [(0, SEAT - 0.015, 0, half + 0.02, 0.022, deep + 0.03, colour)]
    if rng.random() < 0.7:
        top = rng.uniform(0.5, 0.62)
        blocks += [(x, top / 2, -deep - 0.02, 0.016, top / 2, 0.016, wood) for x in (-half, half)]
        blocks.append((0, top - 0.09, -deep - 0.02, half, rng.uniform(0.05, 0.1), 0.016, colour))
    turn = np.array([[np.cos(facing), 0, np.sin(facing)], [0, 1, 0], [-np.sin(facing), 0, np.cos(facing)]])
    solids = []
    for x, y, z, *sizes, paint in blocks:
        centre = turn @ np.array([x, y, z + behind]) + np.array([place, 0, 0])
        solids.append((float(camera.nearness(centre)), centre, sizes, paint))
    for _, centre, sizes, paint in sorted(solids, key=lambda solid: solid[0]):
        _solid(picture, camera, centre, turn * np.array(sizes), paint)


def _solid(picture: np.ndarray, camera: Camera, centre: np.ndarray, axes: np.ndarray, colour: np.ndarray) -> None:
    """Draw a box: `axes` [3, 3] has its half edges as columns. The top is light, the sides are darker."""
    for axis in range(3):
        a, b = axes[:, (axis + 1) % 3], axes[:, (axis + 2) % 3]
        for sign in (-1, 1):
            normal = sign * axes[:, axis]
            if camera.nearness(normal) <= 0:
                continue
            corners = [centre + normal + s * a + t * b for s, t in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
            flat = np.round(camera.project(np.array(corners)) * 16).astype(np.int32)
            shade = (0.72, 1.12, 0.88)[axis]
            cv2.fillConvexPoly(picture, flat, np.clip(colour * shade, 0, 255).tolist(), cv2.LINE_AA, 4)
            cv2.polylines(picture, [flat], True, (colour * 0.45).tolist(), 1, cv2.LINE_AA, 4)
