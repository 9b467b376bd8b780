"""Train the network of the video codec `wvsc` or `cmd`, or the diffusion of `wvsc_d` beside a trained `wvsc`.

    python experiments/train_video.py --network wvsc --minutes 60 --out results/my-wvsc

Stop it at any time; the same command continues. Use the result with `wvsc:weights=results/my-wvsc/weights.safetensors`
in experiments/video.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no torch
    from torch import nn

    from semlink.codecs.video._clip_source import ClipSource
    from semlink.codecs.video._compensation_training import CompensationRun
    from semlink.codecs.video._content_motion_training import ContentMotionRun
    from semlink.codecs.video._semantic_training import SemanticRun


Network = TypeVar("Network", bound="nn.Module")


@dataclass(frozen=True)
class TrainVideo:
    """Train a network of `wvsc`, `cmd` or `wvsc_d` on real clips and on moving crops of photographs; resumable."""

    network: Literal["wvsc", "cmd", "wvsc_d"] = "wvsc"
    """Whose network; of `wvsc_d` those of the diffusion."""
    out: Path = Path("results/train-video")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json."""
    data: str = "video/train"
    """Training clips; none uses photographs alone."""
    photographs: tuple[str, ...] = ("imagenet-256-train", "bsds500-train")
    """Photographs that cameras move over: names or folders."""
    held_out: str = "video/val"
    """Clips for the curve."""
    side: int = 64
    """Side of wvsc's training crops in px, a multiple of 8; real clips are scaled to twice that."""
    frames: int = 5
    """Frames of wvsc's training clips."""
    planes: int = 32
    """wvsc's complex symbols per 8x8 cell at most."""
    width: int = 64
    """Features of wvsc."""
    blocks: int = 4
    """Residual blocks of wvsc's decoder; the encoder has one."""
    latents: int = 4
    """cmd's numbers of motion per frame and row or column of cells."""
    hidden: int = 128
    """Features of cmd's transformers."""
    depth: int = 3
    """Blocks of each of cmd's transformers."""
    codec: Path | None = None
    """Weights of the `wvsc` whose frames wvsc_d compensates; the shipped ones by default."""
    init: Path | None = None
    """Weights to begin with, such as shipped ones, instead of random numbers."""
    features: int = 96
    """Features of wvsc_d's networks of noise."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 8
    """Clips per step."""
    lr: float = 3e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    ema: float = 0.998
    """Share of the averaged weights that a step keeps."""
    seed: int = 0
    """Seed of initial weights, clips and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: TrainVideo) -> int:
    """Train, and leave weights, curve and card."""
    run = make_run(flags)
    run.follow(flags.tensorboard)
    found = run.complete()
    levels = {name: round(level, 3) for name, level in found.items()}
    told = {"held_out": levels, "trained_snr_db": list(run.snrs)}
    write_card(flags, __file__, {**spent(run.step, run.seconds, flags.threads), **told})
    print(", ".join(f"{name} {level:g}" for name, level in levels.items()))
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_run(flags: TrainVideo) -> CompensationRun | ContentMotionRun | SemanticRun:
    """The training run. SemlinkError for flags that do not fit, and for test clips."""
    import torch

    from semlink.simulator.data import clips
    from semlink.simulator.training.run import Budget, prepare

    check(flags)
    prepare(flags.threads, flags.seed)
    source = source_of(flags)
    held = clips.load(f"{flags.held_out}@{2 * flags.side}x{2 * flags.side}x16")
    held_out = torch.stack([torch.stack([*one.frames()]) for one in held])
    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=150)
    if flags.network == "cmd":
        from semlink.codecs.video._content_motion import ContentMotionNetwork
        from semlink.codecs.video._content_motion_training import ContentMotionRun

        network = begun(ContentMotionNetwork(flags.latents, flags.hidden, flags.depth), flags.init)
        return ContentMotionRun(source, held_out, network, budget, flags.out)
    if flags.network == "wvsc_d":
        from semlink.codecs import video
        from semlink.codecs.video._compensation import CompensationNetwork
        from semlink.codecs.video._compensation_training import CompensationRun

        codec = video.create("wvsc", weights=flags.codec).network
        networks = begun(CompensationNetwork(2 * codec.planes, flags.features), flags.init)
        return CompensationRun(codec, source, held_out, flags.side, flags.frames, networks, budget, flags.out)
    from semlink.codecs.video._semantic import SemanticNetwork
    from semlink.codecs.video._semantic_training import SemanticRun, photograph_cells

    semantic = SemanticNetwork(flags.planes, flags.width, (1, flags.blocks))
    semantic.start_linear(photograph_cells(source.photographs or [shot[0] for shot in source.shots]))
    return SemanticRun(source, held_out, flags.side, flags.frames, begun(semantic, flags.init), budget, flags.out)


def begun(network: Network, init: Path | None) -> Network:
    """A network with the weights of a file, or as it is. SemlinkError for weights of another one."""
    from semlink.codecs._learned.weights import fit_weights, read_weights

    if init is not None:
        fit_weights(network, read_weights(init)[0], init)
    return network


def check(flags: TrainVideo) -> None:
    """SemlinkError for flags that do not fit, and for test clips."""
    from semlink.simulator.data import clips
    from semlink.simulator.training.pictures import refuse_tests

    if flags.side < 16 or flags.side % 8 or flags.frames < 2:
        raise SemlinkError(
            f"--side {flags.side}, --frames {flags.frames}: give a multiple of 8 from 16 on, and 2 or more"
        )
    refuse_tests((flags.data, flags.held_out, *flags.photographs))
    for name in (flags.data, flags.held_out):
        if name != "none" and (found := clips.held_out(name)):
            raise SemlinkError(f"{', '.join(found)}: test clips are not for training")


def source_of(flags: TrainVideo) -> ClipSource:
    """Clips and photographs to train on."""
    import numpy as np

    from semlink.codecs.video._clip_source import ClipSource
    from semlink.simulator import data
    from semlink.simulator.data import clips

    real = clips.load(f"{flags.data}@{2 * flags.side}") if flags.data != "none" else ()
    shots = [shot for one in real if len(shot := np.stack([*one.levels()])) >= flags.frames]
    pictures = [picture for name in flags.photographs for picture in data.load(name)]
    still = tuple((p.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for p in pictures)
    return ClipSource(shots, still)


if __name__ == "__main__":
    start(main, TrainVideo())
