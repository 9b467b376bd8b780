"""Time and memory of one large picture: encode, link, decode and metrics, in a process of its own.

The sample photographs, mirrored side by side until the picture is full, over a channel at 10 dB. CPU seconds count all
threads, start-up and compilation included, so that a machine with other work to do gives the same number.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from semlink.simulator.data import load
from semlink.simulator.plugins import make_codec, make_link, measure_metrics
from semlink.simulator.sweep.trial import told
from semlink.simulator.words import parse

SNR_DB = 10.0
METRICS = ("psnr", "ssim", "lpips_alex")


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each stage, seconds on the clock, and the most memory that the process had, in GB."""

    stages: dict[str, float]
    clock_s: float
    peak_gb: float

    @property
    def cpu_s(self) -> float:
        """CPU seconds in all."""
        return sum(self.stages.values())


def measure(codec: str, size: tuple[int, int], rho: float, channel: str) -> Cost:
    """The cost of one picture in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(cost_here, codec, size, rho, channel).result()


def cost_here(codec: str, size: tuple[int, int], rho: float, channel: str) -> Cost:
    """The cost in this process, which should have done nothing before."""
    began, marks = time.perf_counter(), {"start": 0.0}

    def mark(stage: str) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        marks[stage] = used.ru_utime + used.ru_stime

    _sent_and_measured(codec, size, rho, channel, mark)
    cpu = list(marks.values())
    stages = dict(zip(list(marks)[1:], np.diff(cpu).tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return Cost(stages, time.perf_counter() - began, peak)


def _sent_and_measured(
    codec: str, size: tuple[int, int], rho: float, channel: str, mark: Callable[[str], None]
) -> None:
    import torch

    image = torch.from_numpy(mirrored(*size))[None]
    link, made = make_link(parse(channel)), make_codec(parse(codec), rho)
    mark("load")
    with torch.no_grad():
        tx = told(made, link, size, SNR_DB, 0)
        mark("statistics")
        sent = made.encode(image, tx)
        mark("encode")
        reception = link.run(sent, SNR_DB).reception
        mark("link")
        received = made.decode(reception)
        mark("decode")
        for metric in METRICS:
            measure_metrics((metric,), image, received)
            mark(metric)


def mirrored(height: int, width: int) -> np.ndarray:
    """A picture float32 `[3, H, W]` of the sample photographs, mirrored side by side."""
    row = np.concatenate([load("samples").batch([i]).numpy()[0] for i in range(4)], 2)
    tile = np.concatenate([row, row[:, ::-1]], 1)
    tile = np.concatenate([tile, tile[:, :, ::-1]], 2)
    copies = [-(-side // own) for side, own in zip((height, width), tile.shape[1:], strict=True)]
    return np.ascontiguousarray(np.tile(tile, (1, *copies))[:, :height, :width])
