"""Pipelines, networks and schedulers of diffusers, from a folder or from the hub, by short names and in one manner.

Weights are read as safetensors and nothing that came with them is run; what was fetched once stays in the hub's cache.
`import diffusers` takes seconds, so it happens on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from semlink.simulator.errors import SemlinkError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SCHEDULERS = {"ddim": "DDIMScheduler", "dpm": "DPMSolverMultistepScheduler", "lcm": "LCMScheduler"}
PIPELINE_FILES = "model_index.json and, for each module, its config and its weights as safetensors"
MODEL_FILES = "config.json and diffusion_pytorch_model.safetensors"


def dtype_of(name: str) -> torch.dtype:
    """The torch dtype of that name. SemlinkError lists the known ones."""
    if name not in DTYPES:
        raise SemlinkError(f"unknown dtype {name!r}; known: {', '.join(DTYPES)}")
    return DTYPES[name]


def check_scheduler(name: str | None) -> None:
    """SemlinkError unless the name is None or one of SCHEDULERS; imports nothing."""
    if name is not None and name not in SCHEDULERS:
        raise SemlinkError(f"unknown scheduler {name!r}; known: {', '.join(SCHEDULERS)}")


def scheduler_of(name: str, like: Any) -> Any:
    """The scheduler of that short name over the noise levels, and with the prediction type, of another one."""
    import diffusers

    check_scheduler(name)
    return getattr(diffusers, SCHEDULERS[name]).from_config(like.config)


def load_pipeline(kind: Any, name: str | Path, dtype: str = "float32") -> Any:
    """A pipeline of the class `kind` from a folder of `save_pretrained` or by hub id, in evaluation mode.

    A folder or id of another pipeline will do when it has the modules that `kind` takes. SemlinkError says what is
    missing and, where the hub is out of reach, what to download.
    """
    return _load(kind.from_pretrained, name, dtype, PIPELINE_FILES)


def load_model(kind: Any, name: str | Path, dtype: str = "float32", subfolder: str | None = None) -> Any:
    """A model of the class `kind`, e.g. UNet2DModel, from a folder of `save_pretrained` or by hub id; likewise."""
    return _load(kind.from_pretrained, name, dtype, MODEL_FILES, subfolder=subfolder).eval()


def _load(read: Callable[..., Any], name: str | Path, dtype: str, wanted: str, **where: Any) -> Any:
    folder = Path(name).expanduser()
    local = folder.is_dir()
    try:
        with _quiet():
            return read(
                folder if local else str(name),
                dtype=dtype_of(dtype),
                use_safetensors=True,
                low_cpu_mem_usage=False,  # else it warns that accelerate is missing
                **where,
            )
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError, ImportError) as error:
        if local:
            raise SemlinkError(f"{name}: did not load ({_first_line(error)}); it needs {wanted}") from error
        raise SemlinkError(
            f"{name!r} is neither a folder nor on the hub or in its cache ({_first_line(error)}); where the hub is in "
            f"reach, `hf download {name} --local-dir FOLDER` fetches {wanted}; then give FOLDER instead"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for the few files of a model."""
    from diffusers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
