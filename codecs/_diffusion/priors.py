"""Unconditional priors of pictures: the shipped ones, and their pipelines, loaded on first use and kept."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.levels import over_levels_of
from semlink.codecs._learned.shipped import SMALL, WEIGHTS, local
from semlink.simulator.errors import SemlinkError

SHIPPED = (WEIGHTS / "prior-small", WEIGHTS / "prior-natural")


def shipped_prior(side: int) -> str:
    """Folder of the prior for pictures whose longer side has that many pixels. SemlinkError where it was left out."""
    folder = SHIPPED[side > SMALL]
    if not folder.is_dir():
        raise SemlinkError(
            f"{folder.name} is not in the wheel, to keep it small; install semlink from a checkout (pip install -e .), "
            "or give prior=FOLDER or a hub id"
        )
    return str(folder)


def prior_files(prior: str | None) -> tuple[Path, ...]:
    """The folder of a prior; nothing for a hub id, the shipped ones for None."""
    return local(prior) if prior else local(*SHIPPED)


@lru_cache(maxsize=2)
def range_null_prior(
    name: str, scheduler: str | None, dtype: str, device: str = "cpu", memory: tuple[str, ...] = ()
) -> Any:
    """The `RangeNullPipeline` of a folder or hub id, with that scheduler (None: DDNM's own step), without progress bar.

    memory: names of `loading.MEMORY`.
    """
    from semlink.codecs._diffusion.range_null import RangeNullPipeline, RangeNullScheduler

    pipeline = loading.load_pipeline(RangeNullPipeline, name, dtype)
    config = pipeline.scheduler
    own = over_levels_of(config, RangeNullScheduler) if scheduler is None else None
    return _ready(pipeline, own or loading.scheduler_of(str(scheduler), config), device, memory)


@lru_cache(maxsize=2)
def posterior_prior(name: str, scheduler: str, dtype: str, device: str = "cpu", memory: tuple[str, ...] = ()) -> Any:
    """The `PosteriorSamplingPipeline` of a folder or hub id with that scheduler, without progress bar."""
    from semlink.codecs._diffusion import range_null  # noqa: F401  # the scheduler of ddnm's priors
    from semlink.codecs._diffusion.posterior_sampling import PosteriorSamplingPipeline

    pipeline = loading.load_pipeline(PosteriorSamplingPipeline, name, dtype)
    return _ready(pipeline, loading.scheduler_of(scheduler, pipeline.scheduler), device, memory)


def _ready(pipeline: Any, scheduler: Any, device: str, memory: tuple[str, ...]) -> Any:
    pipeline.scheduler = scheduler
    pipeline.set_progress_bar_config(disable=True)
    return loading.placed(pipeline, device, memory)
