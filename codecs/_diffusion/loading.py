"""Pipelines, networks and schedulers of diffusers, from a folder or from the hub, by short names and in one manner.

Weights are read as safetensors, those of half precision (`*.fp16.safetensors`) where there are no others, and nothing
that came with them is run; what was fetched once stays in the hub's cache.
`import diffusers` takes seconds, so it happens on first use.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from semlink.codecs._diffusion.levels import over_levels_of
from semlink.codecs._learned.foreign import DAMAGED, NO_CODE, first_line
from semlink.codecs._learned.hub import in_reach
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SCHEDULERS = {"ddim": "DDIMScheduler", "dpm": "DPMSolverMultistepScheduler", "lcm": "LCMScheduler"}
STARTABLE = (*SCHEDULERS.values(), "DDPMScheduler")  # those that can begin anywhere in their schedule
MEMORY = {
    "attention_slicing": "enable_attention_slicing",
    "xformers": "enable_xformers_memory_efficient_attention",
    "cpu_offload": "enable_model_cpu_offload",
    "sequential_offload": "enable_sequential_cpu_offload",
}
VAE_MEMORY = {"vae_slicing": "enable_slicing", "vae_tiling": "enable_tiling"}
HALF = {"variant": "fp16"}  # told to diffusers and transformers, names of files hold it
OFFLOADS = ("cpu_offload", "sequential_offload")
PIPELINE_FILES = "model_index.json and, for each module, its config and its weights as safetensors"
PROCESSOR_FILES = "the model's preprocessor and tokenizer files beside it"
MODEL_FILES = "config.json and the weights beside it as safetensors"


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
    return over_levels_of(like, getattr(diffusers, SCHEDULERS[name]))


def startable(scheduler: Any) -> Any:
    """The scheduler itself when it can start within its schedule, else DDIM over the same noise levels."""
    return scheduler if type(scheduler).__name__ in STARTABLE else scheduler_of("ddim", scheduler)


def load_pipeline(kind: Any, name: str | Path, dtype: str = "float32", modules: Mapping[str, Any] | None = None) -> Any:
    """A pipeline of the class `kind` from a folder of `save_pretrained` or by hub id, in evaluation mode.

    A folder or id of another pipeline will do when it has the modules that `kind` takes; `modules` stand in for its
    own. SemlinkError says what is missing and, where the hub is out of reach, what to download.
    """
    return _load(kind.from_pretrained, name, dtype, PIPELINE_FILES, **NO_CODE, **(modules or {}))


def load_model(kind: Any, name: str | Path, dtype: str = "float32", subfolder: str | None = None) -> Any:
    """A model of the class `kind`, e.g. UNet2DModel, from a folder of `save_pretrained` or by hub id; likewise."""
    told = NO_CODE if kind.__module__.startswith("transformers.") else {}  # diffusers' models run none, unasked
    return _load(kind.from_pretrained, name, dtype, MODEL_FILES, **told, **_inside(subfolder)).eval()


def load_one_of(
    kinds: Mapping[str, Any], name: str | Path, dtype: str = "float32", subfolder: str | None = None
) -> Any:
    """A model of the class that its config names, one of `kinds`; likewise."""

    def read(where: str | Path, **settings: Any) -> Any:
        here = {"local_files_only": True} if settings.get("local_files_only") else {}
        config = next(iter(kinds.values())).load_config(where, **here, **_inside(subfolder))
        found = config.get("_class_name")
        if str(found) not in kinds:  # it may be a list, of a module and a class
            raise SemlinkError(f"{name} is of the class {found}; it must be {' or '.join(kinds)}")
        return kinds[found].from_pretrained(where, **settings)

    return _load(read, name, dtype, PIPELINE_FILES if subfolder else MODEL_FILES, **_inside(subfolder)).eval()


def load_processor(kind: Any, name: str | Path) -> Any:
    """A processor of transformers' class `kind`, what goes before and behind a model; likewise."""

    def read(where: str | Path, local_files_only: bool = False, **_: Any) -> Any:
        return kind.from_pretrained(where, local_files_only=local_files_only, **NO_CODE)

    return _load(read, name, "float32", PROCESSOR_FILES)


def memory_options(text: str | None, known: Mapping[str, str] = MEMORY) -> tuple[str, ...]:
    """The options of a text such as "attention_slicing/cpu_offload". SemlinkError lists the known ones."""
    options = () if text in (None, "none") else tuple(str(text).split("/"))
    unknown = [option for option in options if option not in known]
    if unknown:
        raise SemlinkError(f"unknown memory option {unknown[0]!r}; known: none, {', '.join(known)}")
    return options


def check_settings(
    scheduler: str | None, dtype: str, device: str | None, memory: str | None, known: Mapping[str, str] = MEMORY
) -> tuple[str, ...]:
    """The memory options; SemlinkError for a setting that is wrong whatever the model. Imports nothing."""
    check_scheduler(scheduler)
    dtype_of(dtype)
    try:
        torch.device(device or "cpu")
    except RuntimeError as error:
        raise SemlinkError(f"unknown device {device!r}; give cpu, cuda or cuda:N") from error
    return memory_options(memory, known)


def placed(pipeline: Any, device: torch.device | str, memory: tuple[str, ...] = ()) -> Any:
    """A pipeline, or a model, with those memory options, on that device; offloaded ones go there piece by piece."""
    if not set(OFFLOADS) & set(memory):
        try:
            pipeline.to(device)
        except (RuntimeError, AssertionError) as error:
            raise SemlinkError(f"device {device}: {first_line(error)}") from error
    for option in memory:
        where = {"device": device} if option in OFFLOADS else {}
        try:
            getattr(pipeline, {**MEMORY, **VAE_MEMORY}[option])(**where)
        except (ImportError, RuntimeError, ValueError, AssertionError) as error:
            raise SemlinkError(f"memory option {option}: {first_line(error)}") from error
    return pipeline


def _load(read: Callable[..., Any], name: str | Path, dtype: str, wanted: str, **where: Any) -> Any:
    folder = Path(name).expanduser()
    local = is_here(folder) and folder.is_dir()
    common = {"dtype": dtype_of(dtype), "use_safetensors": True, **where}
    common["low_cpu_mem_usage"] = False  # else it warns that accelerate is missing
    if not local and not in_reach():
        common["local_files_only"] = True  # else it tries again for a minute
    try:
        with _quiet():
            if local:
                half = HALF if is_half(folder / where.get("subfolder", "")) else {}
                return read(folder, **half, **common)
            return _fetched(partial(read, str(name), **common))
    except DAMAGED as error:
        if local:
            raise SemlinkError(f"{name}: did not load ({first_line(error)}); it needs {wanted}") from error
        raise _absent(name, first_line(error), wanted) from error


def check_there(name: str | Path) -> None:
    """SemlinkError for a pipeline or model that is no folder and not in the hub's cache, where the hub is out of reach.

    Loads nothing.
    """
    if Path(name).expanduser().is_dir() or _is_cached(str(name)) or in_reach():
        return
    raise _absent(name, "the hub is out of reach", PIPELINE_FILES)


def _is_cached(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return any(isinstance(try_to_load_from_cache(name, file), str) for file in ("model_index.json", "config.json"))
    except HFValidationError:  # no name of the hub
        return False


def _absent(name: str | Path, why: str, wanted: str) -> SemlinkError:
    return SemlinkError(
        f"{str(name)!r} is neither a folder nor on the hub or in its cache ({why}); where the hub is in "
        f"reach, `hf download {name} --local-dir FOLDER` fetches {wanted}; then give FOLDER instead"
    )


def is_half(folder: Path) -> bool:
    """Whether a model, or a module of a pipeline, is there in half precision alone, as `*.fp16.safetensors`."""
    return any(_only_half(part) for part in (folder, *(p for p in folder.glob("*") if p.is_dir())))


def _only_half(folder: Path) -> bool:
    names = [path.name for path in folder.glob("*.safetensors")]
    return bool(names) and all(".fp16" in name for name in names)


def _fetched(read: Callable[..., Any]) -> Any:
    """What is read by hub id: in half precision where there is nothing else."""
    try:
        return read()
    except DAMAGED as error:
        if "safetensors" not in str(error) or "connect to" in str(error):  # another kind of model, or out of reach
            raise
        try:
            return read(**HALF)
        except DAMAGED:
            raise error from None


def _inside(subfolder: str | None) -> dict[str, str]:
    return {"subfolder": subfolder} if subfolder else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for the few files of a model, from diffusers or from transformers where that is loaded, and
    no warning that is theirs.
    """
    from diffusers.utils import logging

    loaded = sys.modules.get("transformers")
    shown = [lib for lib in (logging, loaded and loaded.utils.logging) if lib and lib.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():  # diffusers gives the hub's library a setting that it no longer has
            warnings.filterwarnings("ignore", message=".*local_dir_use_symlinks")
            yield
    finally:
        for library in shown:
            library.enable_progress_bar()
