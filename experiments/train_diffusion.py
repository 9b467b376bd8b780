"""Train a diffusion prior of pictures, or the denoiser of a codec's latent; leaves a diffusers pipeline and a card.

    python experiments/train_diffusion.py --data cifar10-train --crop 32 --patch 2 --out results/my-prior
    python experiments/train_diffusion.py --data tiny-imagenet-64-train imagenet-256-train --crop 64 --patch 4
    python experiments/train_diffusion.py --codec sgd_jscc --crop 128 --out results/my-denoiser

Stop it at any time; the same command continues. Use the result with `ddnm:prior=results/my-prior/pipeline` or
`sgd_jscc:denoiser=results/my-denoiser/pipeline`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:  # --help needs no torch
    from semlink.codecs._diffusion.training_setup import Source


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
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: DiffusionFlags) -> int:
    from semlink.codecs._diffusion import training_setup as denoisers
    from semlink.codecs._diffusion.sampling import contact_sheet
    from semlink.simulator.training.pictures import load_pictures
    from semlink.simulator.training.run import Budget, default_device, prepare

    shape = denoisers.Shape(flags.crop, flags.patch, flags.widths)
    shape.check()
    prepare(flags.threads, flags.seed)
    pictures, held_out = load_pictures(flags.data, flags.crop)
    device = flags.device or default_device()
    source = latent_source(flags, device) if flags.codec else denoisers.pixels(flags.patch)
    write = denoisers.write_denoiser if flags.codec else partial(denoisers.write_prior, flags.patch)
    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=300)
    run = denoisers.make_run(
        source, shape, pictures, held_out, write, budget, flags.out, device, flags.emphasis, flags.init
    )
    run.follow(flags.tensorboard)
    levels = run.complete()
    if not flags.codec:
        contact_sheet(denoisers.samples(run.average, shape, flags.seed), 8).save(flags.out / "samples.png")
    errors = {name.removeprefix("error_db_at_"): round(value, 2) for name, value in levels.items()}
    facts = {**spent(run.step, run.seconds, flags.threads), "held_out_error_db_by_alpha": errors}
    write_card(flags, __file__, facts)
    said = ", ".join(f"{value:.2f} dB at {alpha}" for alpha, value in errors.items())
    print(f"error of held-out pictures by signal share alpha: {said}")
    print(f"pipeline, curve, samples and card are in {flags.out}")
    return 0


def latent_source(flags: DiffusionFlags, device: str) -> Source:
    """What makes examples of pictures by the codec of the flags. SemlinkError when it has none to make."""
    from semlink.codecs._diffusion.training_setup import latent_of
    from semlink.simulator.plugins import make_trainable

    codec = make_trainable(flags.codec, flags.rho)
    if not hasattr(codec, "examples"):
        raise SemlinkError(f"codec {flags.codec!r} has no denoiser to train")
    return latent_of(codec, flags.crop, device)


if __name__ == "__main__":
    start(main, DiffusionFlags())
