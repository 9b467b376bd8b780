"""Samples of a decoded picture to upright RGB: arrays `[H, W, C]` of floats in [0, 1], C from 1 (grey) to 4 (RGBA)."""

from __future__ import annotations

import numpy as np


def rgb(samples: np.ndarray) -> np.ndarray:
    """`[H, W, 3]`: grey copied to three channels, the alpha of 2 or 4 channels laid over white."""
    channels = samples.shape[2]
    colour = samples[..., :3] if channels >= 3 else samples[..., :1].repeat(3, axis=2)
    if channels in (2, 4):
        alpha = samples[..., -1:]
        colour = colour * alpha + (1 - alpha)
    return colour


def premultiplied_rgb(samples: np.ndarray) -> np.ndarray:
    """`[H, W, 3]` likewise, of 2 or 4 channels whose colours are multiplied by their alpha already."""
    return (rgb(samples[..., :-1]) + (1 - samples[..., -1:])).clip(0, 1)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`[H, W, C]` turned as its EXIF orientation, 1 to 8, asks; other values are taken for 1."""
    if orientation in (5, 6, 7, 8):
        pixels, orientation = pixels.swapaxes(0, 1), orientation - 4
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4) else pixels
