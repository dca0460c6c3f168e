"""Films a timeline: scenery, figure, camera shake, light and sensor noise become frames [240, 320, 3] uint8, BGR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from sample.figure import Camera, Figure, random_look
from sample.motion import add_idle_motion, pose_track
from sample.scenery import draw_backdrop, draw_chair
from sample.timeline import FPS, HEIGHT, WIDTH, Timeline

MARGIN = 6  # pixels painted beyond each edge, for the camera to shake in
STEPS = 4  # places of the camera a pixel
NOISE_PICTURES = 5


def film(timeline: Timeline, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield every frame of `timeline`; all that is not in it (clothes, place, light, camera) is chosen by `rng`."""
    floor = rng.uniform(212, 226)
    shake = _shake(rng, timeline.frames)
    camera = Camera(MARGIN + WIDTH / 2, MARGIN + floor, timeline.stature, rng.uniform(0.14, 0.26))
    scene = draw_backdrop(rng, (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN), float(camera.v - rng.uniform(24, 44)))
    draw_chair(scene, rng, camera, timeline.chair.place, timeline.chair.facing)
    views = _shifted(scene)
    pose = pose_track(timeline)
    add_idle_motion(pose, rng)
    moving = replace(camera, u=camera.u - shake[:, 0] / STEPS, v=camera.v - shake[:, 1] / STEPS)
    shadow_falls = rng.uniform(0.2, 0.7) * rng.choice((-1, 1)), rng.uniform(0, 0.5)
    figure = Figure(pose, random_look(rng), moving, shadow_falls)
    shadow = rng.uniform(0.25, 0.5)
    light, flicker = _light(rng), _flicker(rng, timeline.frames)
    noise = _noise(rng)
    picks = rng.integers(0, (NOISE_PICTURES, MARGIN, MARGIN), (timeline.frames, 3))
    for frame in range(timeline.frames):
        (x, x_step), (y, y_step) = (divmod(int(offset), STEPS) for offset in shake[frame])
        picture = views[y_step, x_step, y : y + HEIGHT, x : x + WIDTH].copy()
        figure.draw_shadow(picture, frame, shadow)
        figure.draw(picture, frame)
        # the light map holds 128 for what keeps its brightness
        cv2.multiply(picture, light, dst=picture, scale=flicker[frame] / 128)
        which, y, x = picks[frame]
        yield cv2.add(picture, noise[which, y : y + HEIGHT, x : x + WIDTH], dst=picture, dtype=cv2.CV_8U)


def _drift(rng: np.random.Generator, frames: int, amplitude: float, hertz: tuple[float, ...]) -> np.ndarray:
    """A smooth random motion [T] of about `amplitude`: a sum of sines near the given frequencies."""
    t = np.arange(frames) / FPS
    waves = [np.sin(2 * np.pi * (f * rng.uniform(0.7, 1.3) * t + rng.random())) / len(hertz) for f in hertz]
    return amplitude * np.sum(waves, axis=0)


def _shake(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Where the frame's corner lies in the painted picture: [T, 2] (x, y), int, in `STEPS`ths of a pixel."""
    amplitude = rng.choice((0.0, 0.7, 1.5, 3.0)) * rng.uniform(0.7, 1.2)
    drifts = [_drift(rng, frames, amplitude, (0.15, 0.4, 1.1, 2.3)) for _ in range(2)]
    return np.round((np.stack(drifts, axis=-1) + MARGIN) * STEPS).astype(int)


def _shifted(scene: np.ndarray) -> np.ndarray:
    """`scene` moved by every fraction of a pixel, [STEPS, STEPS, H, W, 3]: no frame has to be resampled for itself."""
    height, width = scene.shape[:2]
    steps = np.arange(STEPS) / STEPS

    def moved(x: float, y: float) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(scene, np.array([[1, 0, x], [0, 1, y]]), (width, height), flags=flags)

    return np.array([[moved(x, y) for x in steps] for y in steps])


def _light(rng: np.random.Generator) -> np.ndarray:
    """Light on each pixel [240, 320, 3], 128 for as painted: brightness, colour cast, a gradient, darker corners."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 + rng.uniform(0, 0.3) * (x * np.cos(angle) + y * np.sin(angle))
    corners = 1 - rng.uniform(0, 0.2) * (x**2 + y**2) / 2
    cast = rng.uniform(0.7, 1.15) * rng.uniform(0.9, 1.1, 3)
    return np.clip(128 * (slope * corners)[..., None] * cast, 0, 255).astype(np.uint8)


def _flicker(rng: np.random.Generator, frames: int) -> np.ndarray:
    return 1 + _drift(rng, frames, rng.choice((0.0, 0.03, 0.06)), (0.1, 0.45))


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Pictures of sensor noise, int16, larger than a frame: cut at a random place, a few serve for all frames."""
    shape = (NOISE_PICTURES, HEIGHT + MARGIN, WIDTH + MARGIN)
    grey = rng.normal(0, rng.uniform(0.8, 3.5), (*shape, 1))
    return np.round(grey + rng.normal(0, rng.uniform(0.3, 1.2), (*shape, 3))).astype(np.int16)
