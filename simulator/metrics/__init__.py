"""Pure quality metrics: [batch, 3, H, W] pictures in [0, 1] in, one number per image out.

`measure` computes them by name; a metric's module loads at its first use. Third parties add theirs with an entry point
of group `semlink.metrics` that names a `Metric`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from semlink.channels.base.installed import installed
from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable

if TYPE_CHECKING:  # importing the metrics' names must not import torch
    from torch import Tensor

Better = Literal["higher", "lower"]
GROUP = "semlink.metrics"
_UPSAMPLED = "_up64"
_SHARE = (0.0, 1.0)  # least and most


class Metric(Variable):
    """One metric. home: `module:function`, (original, received) -> `[batch]`; label: for axes, without unit.

    least, most: what no value is beyond.
    """

    def __init__(
        self, home: str, units: str, better: Better, label: str, least: float = -math.inf, most: float = math.inf
    ) -> None:
        super().__init__(units, label, better, home, least, most)


METRICS: Mapping[str, Metric] = {
    "psnr": Metric(f"{__name__}.psnr:psnr", "dB", "higher", "PSNR", 0.0),
    "mse": Metric(f"{__name__}.psnr:mse", "1", "lower", "MSE", *_SHARE),
    "ssim": Metric(f"{__name__}.ssim:ssim", "1", "higher", "SSIM", *_SHARE),
    "ms_ssim": Metric(f"{__name__}.ssim:ms_ssim", "1", "higher", "MS-SSIM", *_SHARE),
    "lpips_alex": Metric(f"{__name__}.lpips:lpips_alex", "1", "lower", "LPIPS (AlexNet)", *_SHARE),
    "lpips_vgg": Metric(f"{__name__}.lpips:lpips_vgg", "1", "lower", "LPIPS (VGG-16)", *_SHARE),
}

# In rows, but not from a pair of pictures alone: of masks, or of class maps.
_DERIVED: Mapping[str, Metric] = {
    "psnr_of_mean_mse": Metric(f"{__name__}.psnr:psnr_of_mean_mse", "dB", "higher", "PSNR of the mean MSE", 0.0),
    "theta_psnr": Metric(f"{__name__}.psnr:theta_psnr", "dB", "higher", "theta-PSNR", 0.0),
    "psnr_roi": Metric(f"{__name__}.psnr:psnr_roi", "dB", "higher", "PSNR in the region of interest", 0.0),
    "psnr_roni": Metric(f"{__name__}.psnr:psnr_roni", "dB", "higher", "PSNR outside the region of interest", 0.0),
    "miou_truth": Metric(f"{__name__}.segmentation:miou", "1", "higher", "mIoU against the ground truth", *_SHARE),
    "miou_sent": Metric(f"{__name__}.segmentation:miou", "1", "higher", "mIoU against the transmitted map", *_SHARE),
}


def names() -> tuple[str, ...]:
    """Names that `measure` takes, built-in and from entry points; imports none of them."""
    return (*METRICS, *sorted(point.name for point in installed(GROUP) if point.name not in METRICS))


def get(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (original, received) -> `[batch]` of that name; SemlinkError that lists the known ones otherwise."""
    return _metric(name).load()


def row_names(wanted: Iterable[str], height: int, width: int) -> tuple[str, ...]:
    """Each metric's name in rows for pictures of that size: `lpips_alex` is `lpips_alex_up64` below 64 px."""
    return tuple(_row_name(name, height, width) for name in wanted)


def measure(wanted: Sequence[str], original: Tensor, received: Tensor) -> dict[str, Tensor]:
    """Metrics of `received` against `original`, float64 `[batch]` each, under their names in rows (`row_names`).

    Pictures are `[batch, 3, H, W]` floats in [0, 1]. SemlinkError for an unknown name, shapes that differ, numbers that
    are not finite or outside [0, 1], or LPIPS weights that are not installed.
    """
    functions = {name: get(name) for name in wanted}
    values = {name: function(original, received) for name, function in functions.items()}
    height, width = original.shape[-2:]
    return {_row_name(name, height, width): value.detach().double() for name, value in values.items()}


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or row name. SemlinkError that lists the known ones for an unknown one."""
    metric = _DERIVED.get(name) or _metric(name.removesuffix(_UPSAMPLED))
    label = f"{metric.label}, upsampled to 64 px" if name.endswith(_UPSAMPLED) else metric.label
    return Variable(metric.units, label, metric.better, least=metric.least, most=metric.most)


def _row_name(name: str, height: int, width: int) -> str:
    if name not in METRICS or not name.startswith("lpips_"):
        return name
    from semlink.simulator.metrics.lpips import lpips_name

    return lpips_name(name.removeprefix("lpips_"), height, width)


def _metric(name: str) -> Metric:
    if name in METRICS:
        return METRICS[name]
    found = {point.name: point for point in installed(GROUP)}
    if name not in found:
        raise SemlinkError(unknown("metric", name, names()))
    metric = found[name].load()
    if not isinstance(metric, Metric):
        raise SemlinkError(
            f"metric {name!r}: the entry point {found[name].value} is not a semlink.simulator.metrics.Metric"
        )
    return metric
