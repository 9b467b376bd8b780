"""Train a diffusion prior of pictures, or the denoiser of a codec's latent; leaves a diffusers pipeline and a card.

    python experiments/train_diffusion.py --data cifar10-train --crop 32 --patch 2 --out results/my-prior
    python experiments/train_diffusion.py --data tiny-imagenet-64-train imagenet-256-train --crop 64 --patch 4
    python experiments/train_diffusion.py --codec sgd_jscc --crop 128 --out results/my-denoiser

Stop it at any time; the same command continues. Use the result with `ddnm:prior=results/my-prior/pipeline` or
`sgd_jscc:denoiser=results/my-denoiser/pipeline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import Rate, start

TAGS = 256  # labels that a codec's tag can name

if TYPE_CHECKING:  # --help needs no torch
    from torch import Tensor


@dataclass(frozen=True)
class DiffusionFlags:
    """Train a diffusion prior or denoiser; resumable."""

    out: Path = Path("results/train-diffusion")
    """Folder for checkpoint.pt, pipeline, curve.csv, samples.png and card.json."""
    data: tuple[str, ...] = ("tiny-imagenet-64-train", "imagenet-256-train", "bsds500-train")
    """Training pictures: names or folders; 2 % of them (at most 500) are held out for the curve."""
    codec: str = ""
    """Train on the latent of this codec (it has `examples`), with the guides it sends, instead of on pixels."""
    rho: Rate = 1 / 24
    """Rate of that codec."""
    init: Path | None = None
    """Start from the network of this pipeline folder instead of random weights."""
    crop: int = 64
    """Side of the random training crops in px."""
    patch: int = 4
    """The network sees patch x patch pixels as channels of one place."""
    widths: tuple[int, ...] = (96, 128)
    """Features per level of the U-Net, multiples of 32; each level has half the resolution of the one before."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 16
    """Crops per step."""
    lr: float = 1e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    emphasis: float = 1.0
    """Levels are drawn as steps * u^emphasis; 2 suits the denoiser of a codec, which seldom meets the noisiest."""
    ema: float = 0.998
    """Share of the averaged weights that a step keeps."""
    seed: int = 0
    """Seed of initial weights, crops and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    device: str = ""
    """cpu or cuda; empty: cuda when there is one."""


def main(flags: DiffusionFlags) -> int:
    import torch

    from semlink.codecs._diffusion.sampling import contact_sheet
    from semlink.simulator.training.pictures import load_pictures
    from semlink.simulator.training.run import default_device

    check(flags)
    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    pictures, held_out = load_pictures(flags.data, flags.crop)
    run = make_run(flags, pictures, held_out, flags.device or default_device())
    run.spend()
    levels = run.levels(quick=False)
    run.save(levels)
    if not flags.codec:
        contact_sheet(samples(flags, run.average), 8).save(flags.out / "samples.png")
    facts = {
        **spent(run.step, run.seconds, flags.threads),
        "held_out_error_db_by_alpha": {k.removeprefix("error_db_at_"): round(v, 2) for k, v in levels.items()},
    }
    write_card(flags, __file__, facts)
    said = ", ".join(f"{value:.2f} dB at {name.removeprefix('error_db_at_')}" for name, value in levels.items())
    print(f"error of held-out pictures by signal share alpha: {said}")
    print(f"pipeline, curve, samples and card are in {flags.out}")
    return 0


def check(flags: DiffusionFlags) -> None:
    """SemlinkError for sizes that do not fit each other."""
    unit = flags.patch * 2 ** (len(flags.widths) - 1)
    if not flags.widths or any(width % 32 for width in flags.widths):
        raise SemlinkError(f"--widths {' '.join(map(str, flags.widths))}: give multiples of 32")
    if flags.crop % unit:
        raise SemlinkError(f"--crop {flags.crop} is no multiple of {unit}, what patch and widths need")


def make_run(flags: DiffusionFlags, pictures: Sequence[Tensor], held_out: Tensor, device: str) -> Any:
    """The training run."""
    import torch

    from semlink.codecs._diffusion.networks import make_scheduler, make_unet
    from semlink.codecs._diffusion.training import DenoiserRun
    from semlink.simulator.training.codec import random_batch
    from semlink.simulator.training.run import Budget, step_generator

    examples = source(flags, device)
    held = examples(held_out[:128].to(device), step_generator(flags.seed, -2, device))
    planes, side = held.x0.shape[1:3]
    hints, classes = 0 if held.hints is None else held.hints.shape[1], 0 if held.labels is None else TAGS
    network = make_unet(planes, flags.widths, hints, classes, side)
    if flags.init:
        network.load_state_dict(type(network).from_pretrained(flags.init, subfolder="unet").state_dict())

    def draw(generator: torch.Generator) -> Any:
        return examples(random_batch(pictures, flags.batch, flags.crop, generator).to(device), generator)

    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=300)
    scheduler = make_scheduler()
    return DenoiserRun(
        network,
        scheduler,
        draw,
        held,
        lambda net, out: write(flags, net, out),
        budget,
        flags.out,
        device,
        flags.emphasis,
    )


def source(flags: DiffusionFlags, device: str) -> Any:
    """What makes examples of pictures `[batch, 3, crop, crop]` and a generator: the codec, or pixels in [-1, 1]."""
    import torch.nn.functional as F

    from semlink.codecs._diffusion.training import Examples
    from semlink.simulator.plugins import make_trainable

    if not flags.codec:
        return lambda images, generator: Examples(F.pixel_unshuffle(2 * images - 1, flags.patch))
    codec = make_trainable(flags.codec, flags.rho)
    if not hasattr(codec, "examples"):
        raise SemlinkError(f"codec {flags.codec!r} has no denoiser to train")
    codec.network(flags.crop, flags.crop).to(device)
    return codec.examples


def write(flags: DiffusionFlags, network: Any, folder: Path) -> None:
    """The averaged network as a pipeline, in half precision."""
    import copy

    import torch

    from semlink.codecs._diffusion.networks import make_scheduler

    half = torch.nn.Module.to(copy.deepcopy(network), "cpu", torch.float16)  # diffusers' own `to` warns of nothing
    if flags.codec:
        from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline

        ChannelDenoisingPipeline(half, make_scheduler()).save_pretrained(folder / "pipeline")
    else:
        from semlink.codecs._diffusion.range_null import RangeNullPipeline, RangeNullScheduler

        scheduler = RangeNullScheduler.from_config(make_scheduler().config)
        RangeNullPipeline(half, scheduler, patch=flags.patch).save_pretrained(folder / "pipeline")


def samples(flags: DiffusionFlags, network: Any) -> Tensor:
    """32 unconditional samples in 50 steps, `[32, 3, crop, crop]` in [0, 1]."""
    import torch
    import torch.nn.functional as F

    from semlink.codecs._diffusion.networks import make_scheduler
    from semlink.codecs._diffusion.sampling import sample

    side = flags.crop // flags.patch
    generator = torch.Generator().manual_seed(flags.seed)
    found = sample(network.cpu(), make_scheduler(), (32, 3 * flags.patch**2, side, side), 50, generator)
    return (F.pixel_shuffle(found, flags.patch) / 2 + 0.5).clamp(0, 1)


if __name__ == "__main__":
    start(main, DiffusionFlags())
