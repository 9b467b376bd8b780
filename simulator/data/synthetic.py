"""Clips whose motion is known, made of two photographs: what a codec meets alone in each, and when scenes change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from semlink.simulator.data import pictures
from semlink.simulator.data.moving import Photograph, View, over

FRAMES = 48
FPS = 25.0
FLASH, CUT, DISSOLVE, ABA = 24, 24, (16, 32), (20, 26)  # frames
FADE, WHIP = 24, (16, 24)  # frames
WHIPPED, BLUR = 0.12, 6  # shares of the view a frame, and views within one
RIPPLE = 0.03  # of the width, that water bends it by
NOISE = 8.0  # levels, standard deviation

Frames = Callable[[tuple[Photograph, Photograph], int, int], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Scene:
    """frames: makes them from two photographs at a height and width. cuts: first frames of new shots."""

    frames: Frames
    cuts: tuple[int, ...] = ()


def _camera(x: float = 0.0, zoom: float = 1.0, turn: float = 0.0, start: View | None = None) -> Frames:
    """One camera that moves evenly."""

    def frames(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
        view = start or View(x=0.3 if x else 0.5, scale=0.5 if zoom > 1 else 0.7)
        for _ in range(FRAMES):
            yield scenes[0].seen(view, height, width)
            view = view.moved(x=x, zoom=zoom, turn=turn)

    return frames


def _both(scenes: tuple[Photograph, Photograph], height: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two slow pans."""
    slow = _camera(x=0.004)
    return [*zip(slow(scenes, height, width), slow(scenes[::-1], height, width), strict=True)]


def _mixed(share: Callable[[int], float]) -> Frames:
    """Two slow pans, of which the second has a share."""

    def frames(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
        for t, (a, b) in enumerate(_both(scenes, height, width)):
            yield ((1 - share(t)) * a + share(t) * b + 0.5).astype(np.uint8)

    return frames


def _occluder(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """Half a picture of the other scene crosses in 24 frames."""
    for t, (a, b) in enumerate(_both(scenes, height, width)):
        left = round(width * (1.0 - 1.5 * (t - 12) / 24)) if 12 <= t < 36 else -width
        yield over(a, b[:, : width // 2], left, 0)


def _flash(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """One frame brighter by half the range."""
    for t, frame in enumerate(_camera(x=0.004)(scenes, height, width)):
        yield np.clip(frame.astype(int) + 128 * (t == FLASH), 0, 255).astype(np.uint8)


def _noise(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """A still scene seen by a noisy sensor."""
    rng = np.random.default_rng(0)
    for frame in _camera()(scenes, height, width):
        yield np.clip(frame + NOISE * rng.normal(size=frame.shape), 0, 255).astype(np.uint8)


def _scroll(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """A still page that jumps by a third of its height every twelve frames."""
    for t in range(FRAMES):
        yield scenes[0].seen(View(y=0.3).moved(y=t // 12 / 3), height, width)


def _fade_in(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """A slow pan that comes out of black."""
    for t, frame in enumerate(_camera(x=0.004)(scenes, height, width)):
        yield (frame * min(1.0, t / FADE) + 0.5).astype(np.uint8)


def _whip_pan(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """A still scene, a turn so fast that it blurs, another still view."""
    view = View(x=0.2, scale=0.35)
    for t in range(FRAMES):
        step = WHIPPED / BLUR if WHIP[0] <= t < WHIP[1] else 0.0
        views = [view := view.moved(x=step) for _ in range(BLUR)]
        yield np.mean([scenes[0].seen(v, height, width) for v in (views if step else views[:1])], 0).astype(np.uint8)


def _ripple(scenes: tuple[Photograph, Photograph], height: int, width: int) -> Iterator[np.ndarray]:
    """A scene in water: bent anew in every frame, smoothly in space and not in time."""
    rng, still = np.random.default_rng(0), scenes[0].seen(View(), height, width)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(FRAMES):
        bent = [RIPPLE * width * _smooth(rng.normal(size=(12, 12)), height, width) for _ in range(2)]
        down, across = (np.clip(np.rint(at + by), 0, n - 1).astype(int) for at, by, n in
                        ((rows, bent[0], height), (columns, bent[1], width)))  # fmt: skip
        yield still[down, across]


def _smooth(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """A small grid of numbers at another size."""
    image = Image.fromarray(grid.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


SCENES: Mapping[str, Scene] = {
    "still": Scene(_camera()),
    "pan": Scene(_camera(x=0.01)),
    "fast_pan": Scene(_camera(x=0.08, start=View(x=0.2, scale=0.3))),
    "zoom": Scene(_camera(zoom=1.03)),
    "rotation": Scene(_camera(turn=3.0)),
    "occluder": Scene(_occluder),
    "flash": Scene(_flash),
    "dissolve": Scene(_mixed(lambda t: float(np.clip((t - DISSOLVE[0]) / (DISSOLVE[1] - DISSOLVE[0]), 0, 1)))),
    "cut": Scene(_mixed(lambda t: float(t >= CUT)), (CUT,)),
    "aba": Scene(_mixed(lambda t: float(ABA[0] <= t < ABA[1])), ABA),
    "scroll": Scene(_scroll),
    "noise": Scene(_noise),
    "fade_in": Scene(_fade_in),
    "whip_pan": Scene(_whip_pan),
    "ripple": Scene(_ripple),
}


@cache
def photographs(paths: tuple[str, ...]) -> tuple[Photograph, ...]:
    """Photographs of files."""
    from pathlib import Path

    found = (pictures.read(Path(path)) for path in paths)
    return tuple(Photograph((p.transpose(1, 2, 0) * 255).round().astype(np.uint8)) for p in found)
