"""Clips made of photographs: a camera that pans, zooms and turns over a still picture, with what may cross it.

Photographs are uint8 `[H, W, 3]`, frames alike at the size that is asked for. A view is wholly inside the photograph
where there is room for it; beyond its edges the photograph is mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

MARGIN = 0.5  # of the photograph's sides, mirrored beyond its edges


@dataclass(frozen=True)
class View:
    """What a camera sees. x, y: centre, as shares of the sides. scale: of the largest centred crop. turn: degrees."""

    x: float = 0.5
    y: float = 0.5
    scale: float = 0.7
    turn: float = 0.0

    def moved(self, x: float = 0.0, y: float = 0.0, zoom: float = 1.0, turn: float = 0.0) -> View:
        """Shifted by shares of the view's own sides, seen from nearer (zoom > 1), turned by degrees."""
        shifted = replace(self, x=self.x + x * self.scale, y=self.y + y * self.scale)
        return replace(shifted, scale=self.scale / zoom, turn=self.turn + turn)


class Photograph:
    """A still picture that cameras look at."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.height, self.width = pixels.shape[:2]
        self._pad = (int(MARGIN * self.height), int(MARGIN * self.width))
        padded = np.pad(pixels, ((self._pad[0],) * 2, (self._pad[1],) * 2, (0, 0)), mode="reflect")
        self._image = Image.fromarray(padded)

    def seen(self, view: View, height: int, width: int) -> np.ndarray:
        """The view, uint8 `[height, width, 3]`."""
        step = view.scale * min(self.height / height, self.width / width)
        cos, sin = step * np.cos(np.deg2rad(view.turn)), step * np.sin(np.deg2rad(view.turn))
        x = view.x * self.width + self._pad[1] - cos * width / 2 + sin * height / 2
        y = view.y * self.height + self._pad[0] - sin * width / 2 - cos * height / 2
        image = self._image.reduce(int(step)) if step >= 2 else self._image
        ratio = 1 / int(step) if step >= 2 else 1.0
        affine = tuple(ratio * v for v in (cos, -sin, x, sin, cos, y))
        return np.array(image.transform((width, height), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC))


def wandering(rng: np.random.Generator, start: View, speed: float, frames: int) -> Iterator[View]:
    """A view that moves on with slowly changing speed; speed: share of the view's side a frame, about."""
    view, velocity = start, rng.normal(size=4) * speed
    for _ in range(frames):
        yield view
        velocity = 0.95 * velocity + 0.1 * speed * rng.normal(size=4)
        view = view.moved(velocity[0], velocity[1], float(np.exp(0.3 * velocity[2])), 20 * velocity[3])
        view = replace(view, scale=float(np.clip(view.scale, 0.2, 1)))


def random_clip(rng: np.random.Generator, photographs: tuple[np.ndarray, ...], side: int, frames: int) -> np.ndarray:
    """A moving crop of a photograph, often with a second one that crosses it, at times with a cut to another.

    uint8 `[frames, side, side, 3]`; speeds from still to a fifth of the side a frame, most of them slow.
    """
    chosen = [Photograph(photographs[i]) for i in rng.integers(len(photographs), size=3)]
    speeds = np.exp(rng.uniform(np.log(0.002), np.log(0.1), 2)) * rng.binomial(1, 0.9, 2)
    views = [[*wandering(rng, View(scale=float(rng.uniform(0.4, 0.9))), float(s), frames)] for s in speeds]
    cut = int(rng.integers(1, frames)) if rng.random() < 0.15 and frames > 1 else frames
    back = [chosen[0 if t < cut else 1].seen(view, side, side) for t, view in enumerate(views[0])]
    if rng.random() < 0.5:
        return np.stack(back)
    place, drift = rng.uniform(-0.2, 0.8, 2), rng.normal(size=2) * 0.02
    shape, size = _disc(rng, side), int(side * rng.uniform(0.2, 0.5))
    front = [chosen[2].seen(view, size, size) for view in views[1]]
    return np.stack([_over(b, f, shape, place + drift * t) for t, (b, f) in enumerate(zip(back, front, strict=True))])


def over(back: np.ndarray, front: np.ndarray, left: int, top: int, mask: np.ndarray | None = None) -> np.ndarray:
    """`front` pasted over a copy of `back` where it is inside; mask: share of it, 0 to 255 `[H, W]`, or all of it."""
    image = Image.fromarray(back)
    image.paste(Image.fromarray(front), (left, top), None if mask is None else Image.fromarray(mask))
    return np.array(image)


def _over(back: np.ndarray, front: np.ndarray, mask: np.ndarray, place: np.ndarray) -> np.ndarray:
    small = np.array(Image.fromarray(mask).resize(front.shape[1::-1]))
    left, top = (place * back.shape[0]).astype(int)
    return over(back, front, int(left), int(top), small)


def _disc(rng: np.random.Generator, side: int) -> np.ndarray:
    """A soft blob, uint8 `[side, side]`."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle, lobes = np.arctan2(y, x), rng.integers(2, 5)
    radius = 0.75 + 0.2 * np.sin(lobes * angle + rng.uniform(0, 2 * np.pi))
    return (255 * np.clip((radius - np.hypot(x, y)) * side / 4, 0, 1)).astype(np.uint8)
