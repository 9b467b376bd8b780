"""Fine-tuning a codec's network on one channel: weights that say how they came about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading
from semlink.simulator.plugins import make_link, make_trainable
from semlink.simulator.training.channels import Channel, ThroughLink
from semlink.simulator.training.codec import Recipe, Trainer
from semlink.simulator.training.pictures import load_pictures
from semlink.simulator.training.quality import mean_psnr
from semlink.simulator.training.run import default_device, save_weights, step_generator
from semlink.simulator.words import parse


@dataclass(frozen=True)
class Tuning:
    """codec: word of the codec whose network for pictures of `recipe.crop` px is the start; rho: its rate.

    channel: word of the channel that it meets. data: training sets.
    """

    codec: str
    rho: float
    channel: str
    data: tuple[str, ...]
    recipe: Recipe

    def plain(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return json.loads(json.dumps(asdict(self)))


def tuner() -> Callable[[tuple[Tuning, Path]], Iterable[Path]]:
    """What performs a task of `workers.run`: a tuning and the file to leave."""
    return lambda task: [tune(*task)]


def tune(tuning: Tuning, path: Path) -> Path:
    """Fine-tune, and leave the averaged weights at `path` (returned); what lies there already is not trained again.

    Checkpoint and curve are in the folder of the same name without suffix, where a stopped run continues.
    SemlinkError when file or folder hold what another tuning made.
    """
    if path.exists():
        check_same(tuning, path)
        return path
    device, recipe = default_device(), tuning.recipe
    codec, link = make_trainable(tuning.codec, tuning.rho), make_link(parse(tuning.channel))
    channel = ThroughLink((link,))
    pictures, held_out = load_pictures(tuning.data, recipe.crop)
    network = codec.network(recipe.crop, recipe.crop)
    before = level(codec, network.to(device), channel, held_out, recipe)
    check_folder(tuning, path.with_suffix(""))
    trainer = Trainer(codec, network, channel, recipe, path.with_suffix(""), device)
    trainer.run(pictures, held_out)
    after = level(codec, trainer.average, channel, held_out, recipe)
    said = {
        **tuning.plain(),
        "csi": link.csi,
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 2),
        "held_out_psnr_db": {"before": round(before, 3), "after": round(after, 3)},
    }
    save_weights(trainer.average, path, {"tuning": json.dumps(said)})
    return path


def level(codec: Any, network: nn.Module, channel: Channel, images: Tensor, recipe: Recipe) -> float:
    """Mean PSNR in dB of pictures `[n, 3, H, W]` in [0, 1] over a channel, at SNRs evenly over the recipe's range."""
    device = next(network.parameters()).device
    codec.use(network)
    snr_db = torch.linspace(*recipe.snr_db, len(images), device=device)
    return mean_psnr(codec, channel, images.to(device), snr_db, step_generator(recipe.seed, -1, str(device)))


def read_tuning(path: Path) -> dict[str, Any]:
    """How weights came about: a Tuning's fields, csi, steps, minutes and PSNR of held-out pictures; empty if unknown.

    SemlinkError when the file is not safetensors.
    """
    return _said(path, "tuning")


def check_same(tuning: Tuning, path: Path) -> None:
    """SemlinkError that names the difference when the weights at `path` were tuned otherwise."""
    now, then = tuning.plain(), read_tuning(path)
    changed = [f"{name} {then.get(name)}, now {value}" for name, value in now.items() if then.get(name) != value]
    if changed:
        raise SemlinkError(f"{path} came about otherwise ({'; '.join(changed)}); remove it or choose another --out")


def check_folder(tuning: Tuning, folder: Path) -> None:
    """SemlinkError when a run with another recipe was begun in `folder`."""
    begun = folder / "weights.safetensors"
    if not begun.exists():
        return
    then, now = _said(begun, "recipe"), tuning.plain()["recipe"]
    if then != now:
        raise SemlinkError(f"{folder} was begun with recipe {then}, now {now}; remove it or choose another --out")


def _said(path: Path, what: str) -> dict[str, Any]:
    """The JSON object of that name in a file's metadata; empty where there is none."""
    wrong = f"its {what} is no JSON object; train it again"
    metadata = _metadata(path)
    with reading(path, wrong):
        found = json.loads(metadata.get(what, "{}"))
    if not isinstance(found, dict):
        raise SemlinkError(f"{path}: {wrong}")
    return found


def _metadata(path: Path) -> dict[str, str]:
    wrong = "not a safetensors file"
    try:
        with reading(path, wrong), safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError as error:
        raise SemlinkError(f"{path}: {wrong} ({error})") from error
