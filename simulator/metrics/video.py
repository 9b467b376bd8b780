"""Quality of clips beyond that of their frames: does what moves move, does what stands stand, and after a cut?

Frames are float32 `[n, 3, H, W]` in [0, 1], of the original x and of what was shown y; functions of time take two or
more frames in order. What is relative to the source is 1 for what moves as the source does: an almost still clip has
little warping error and cannot pass by its motion energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics.lpips import lpips_alex

AFTER = 10  # frames after a cut that count
STILL = 0.5 / 255  # a frame that differs by less everywhere is the one before
RADIUS = 5  # px, of the window of the optical flow
OCCLUDED = (0.01, 0.5)  # |forward + backward|^2 > 0.01 (|forward|^2 + |backward|^2) + 0.5, px^2 (Lai et al., ECCV 2018)


def worst(values: Sequence[float] | np.ndarray, better: str = "higher", share: float = 0.05) -> float:
    """The level that 5 % of the frames do not reach: the 5th percentile, or the 95th where lower is better.

    NaN without a finite value.
    """
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    if not found.size:
        return float("nan")
    return float(np.quantile(found, share if better == "higher" else 1 - share))


def tlp(x: Tensor, y: Tensor) -> Tensor:
    """100 |LPIPS(x[t-1], x[t]) - LPIPS(y[t-1], y[t])| of each pair, `[n - 1]` (TecoGAN; AlexNet)."""
    _check(x, y)
    return 100 * (lpips_alex(x[:-1], x[1:]) - lpips_alex(y[:-1], y[1:])).abs().double()


def motion(x: Tensor, y: Tensor) -> Tensor:
    """Sums over each pair of frames `[n - 1, 3]`: |dx|^2, |dy|^2 and dx dy, where d is the change from frame to frame.

    They add up over a clip: `energy_ratio` and `correlation` take sums.
    """
    _check(x, y)
    dx, dy = (z[1:].double() - z[:-1].double() for z in (x, y))
    return torch.stack([(a * b).sum((1, 2, 3)) for a, b in ((dx, dx), (dy, dy), (dx, dy))], 1)


def energy_ratio(sums: np.ndarray) -> float:
    """How much of the source's motion is shown: |dy|^2 / |dx|^2 of sums `[pairs, 3]`; NaN where nothing moves."""
    xx, yy, _ = np.asarray(sums, float).sum(0)
    return float(yy / xx) if xx > 0 else float("nan")


def correlation(sums: np.ndarray) -> float:
    """How much what is shown moves as the source does: dx dy / (|dx| |dy|); 0 where nothing is shown to move.

    NaN where nothing moves.
    """
    xx, yy, xy = np.asarray(sums, float).sum(0)
    if xx <= 0:
        return float("nan")
    return float(xy / np.sqrt(xx * yy)) if yy > 0 else 0.0


def change_error(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of the change from frame to frame, of each pair `[n - 1]`."""
    _check(x, y)
    return ((y[1:] - y[:-1]) - (x[1:] - x[:-1])).double().square().mean((1, 2, 3))


def seam_ratio(errors: np.ndarray, group: int, cuts: Sequence[int] = ()) -> float:
    """Mean change error where groups meet, over that inside of them; errors `[n - 1]` of `change_error`.

    Cuts are left out. NaN where there is no seam, no inside, or no error inside.
    """
    place = np.arange(1, len(errors) + 1)
    kept = ~np.isin(place, cuts)
    seam = kept & (place % group == 0)
    inside = kept & (place % group != 0)
    if not seam.any() or not inside.any() or not errors[inside].mean():
        return float("nan")
    return float(errors[seam].mean() / errors[inside].mean())


def after_cuts(values: np.ndarray, cuts: Sequence[int]) -> float:
    """Mean over the frames of a cut and the nine behind it, of all cuts; NaN without one."""
    values = np.asarray(values, float)
    chosen = sorted({t for cut in cuts for t in range(cut, min(cut + AFTER, len(values)))})
    return float(values[chosen].mean()) if chosen else float("nan")


def frozen(y: Tensor) -> Tensor:
    """Whether each frame but the first is the one before it, bool `[n - 1]`."""
    return ((y[1:] - y[:-1]).abs() < STILL).flatten(1).all(1)


def flow(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Backward flow in px `[2, H, W]` (rows, columns) from the frame `now` `[3, H, W]` to the one before, and where it
    holds, bool `[H, W]`: it is not occluded, and points inside.

    Iterative Lucas-Kanade on luminance (scikit-image).
    """
    there, back = _lucas_kanade(now, before), _lucas_kanade(before, now)
    met = _sampled(torch.from_numpy(back)[None], torch.from_numpy(there))[0].numpy()
    gap, size = np.square(there + met).sum(0), np.square(there).sum(0) + np.square(met).sum(0)
    height, width = there.shape[1:]
    rows, columns = np.mgrid[:height, :width] + there
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    return torch.from_numpy(there), torch.from_numpy(inside & (gap <= OCCLUDED[0] * size + OCCLUDED[1]))


def warping_error(before: Tensor, now: Tensor, field: Tensor, holds: Tensor) -> float:
    """Mean squared difference of `now` and what the flow makes of the frame before, where it holds; 0 where nowhere."""
    if not bool(holds.any()):
        return 0.0
    error = (now - _sampled(before[None], field)[0]).double().square().mean(0)
    return float(error[holds].mean())


def _lucas_kanade(reference: Tensor, moving: Tensor) -> np.ndarray:
    from skimage.registration import optical_flow_ilk

    one, other = (z.float().mean(0).numpy() for z in (reference, moving))
    return np.stack(optical_flow_ilk(one, other, radius=RADIUS, num_warp=5)).astype(np.float32)


def _sampled(pictures: Tensor, field: Tensor) -> Tensor:
    """Pictures `[1, C, H, W]` at the places to which a flow `[2, H, W]` points, bilinear."""
    height, width = pictures.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y = 2 * (rows + field[0]) / max(1, height - 1) - 1
    x = 2 * (columns + field[1]) / max(1, width - 1) - 1
    grid = torch.stack([x, y], -1)[None].to(pictures.dtype)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _check(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.ndim != 4 or len(x) < 2:
        raise SemlinkError(f"clips are {list(x.shape)} and {list(y.shape)}; give two or more frames of one shape")
