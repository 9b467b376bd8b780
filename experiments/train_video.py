"""Train a network of a video codec: `wvsc`, `cmd`, `semmap`, `denoising_reuse`, the diffusion of `wvsc_d` and `cvsc`.

    python experiments/train_video.py --network wvsc --minutes 60 --out results/my-wvsc

Stop it at any time; the same command continues. Use the result with `wvsc:weights=results/my-wvsc/weights.safetensors`
in experiments/video.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no torch
    import numpy as np
    from torch import nn

    from semlink.codecs.video._clip_source import ClipSource
    from semlink.codecs.video._compensation_training import CompensationRun
    from semlink.codecs.video._content_motion_training import ContentMotionRun
    from semlink.codecs.video._generator_training import GeneratorRun
    from semlink.codecs.video._restoration_training import RestorationRun
    from semlink.codecs.video._reuse_training import ReuseRun
    from semlink.codecs.video._semantic_training import SemanticRun
    from semlink.simulator.training.run import Budget

    AnyRun = CompensationRun | ContentMotionRun | GeneratorRun | RestorationRun | ReuseRun | SemanticRun

Network = TypeVar("Network", bound="nn.Module")


@dataclass(frozen=True)
class TrainVideo:
    """Train a network of a video codec on real clips and on moving crops of photographs; resumable."""

    network: Literal["wvsc", "cmd", "wvsc_d", "cvsc", "denoising_reuse", "semmap"] = "wvsc"
    """Whose network; of `wvsc_d` and `cvsc` those of the diffusion, of `denoising_reuse` what goes beside."""
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
    """Weights of the `wvsc` whose frames wvsc_d compensates, or of the `cvsc` that denoising_reuse goes on from; the
    shipped ones by default."""
    clips: int = 120
    """Training clips over which cvsc runs first, to see what its receiver meets; kept in --out."""
    init: Path | None = None
    """Weights to begin with, such as shipped ones, instead of random numbers."""
    features: int = 96
    """Features of wvsc_d's networks of noise."""
    streets: tuple[str, ...] = ("camvid-drives-train",)
    """Street scenes that semmap's cameras move over, beside the photographs: names or folders; none leaves them out."""
    examples: int = 900
    """semmap's coded key frames with frames after them, made before the training and kept in --out."""
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
    told = {"held_out": levels, **({"trained_snr_db": list(run.snrs)} if run.snrs else {})}
    write_card(flags, __file__, {**spent(run.step, run.seconds, flags.threads), **told})
    print(", ".join(f"{name} {level:g}" for name, level in levels.items()))
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_run(flags: TrainVideo) -> AnyRun:
    """The training run. SemlinkError for flags that do not fit, and for test clips."""
    import torch

    from semlink.simulator.data import clips
    from semlink.simulator.training.run import Budget, prepare

    check(flags)
    prepare(flags.threads, flags.seed)
    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=150)
    if flags.network == "semmap":
        return semmap_run(flags, budget)
    source = source_of(flags)
    held = clips.load(f"{flags.held_out}@{2 * flags.side}x{2 * flags.side}x16")
    held_out = torch.stack([torch.stack([*one.frames()]) for one in held])
    if flags.network == "cvsc":
        return restoration_run(flags, source, budget)
    if flags.network == "denoising_reuse":
        return reuse_run(flags, source, budget)
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


def restoration_run(flags: TrainVideo, source: ClipSource, budget: Budget) -> RestorationRun:
    """Of `cvsc`: what its receiver meets is collected first, or read from --out."""
    from semlink.codecs._diffusion.spade import SpadeUNet
    from semlink.codecs.video._clip_source import ClipSource
    from semlink.codecs.video._restoration_training import MAP_WIDTH, PATCH, WIDTHS, Examples, RestorationRun
    from semlink.codecs.video._start import PLANES

    flags.out.mkdir(parents=True, exist_ok=True)
    held = ClipSource(shots_of(flags.held_out, 2 * flags.side), ())
    examples = Examples.kept(flags.out / "examples.pt", source, flags.clips, flags.seed)
    validation = Examples.kept(flags.out / "held.pt", held, 2 * len(held.shots), flags.seed)
    network = SpadeUNet(PLANES, PATCH, WIDTHS, MAP_WIDTH)
    return RestorationRun(begun(network, flags.init), examples, validation, 3 * flags.side // 2, budget, flags.out)


def reuse_run(flags: TrainVideo, source: ClipSource, budget: Budget) -> ReuseRun:
    """Of `denoising_reuse`: on examples as those of `cvsc`, whose generator's weights are the shipped ones."""
    from semlink.codecs.video._restoration_training import Examples, collected
    from semlink.codecs.video._restorers import pipeline_of, weight_file
    from semlink.codecs.video._reuse_networks import ReuseNetworks
    from semlink.codecs.video._reuse_training import ReuseRun

    flags.out.mkdir(parents=True, exist_ok=True)
    examples = Examples.kept(flags.out / "examples.pt", source, flags.clips, flags.seed)
    labelled = collected(source, max(1, flags.clips // 8), flags.seed + 1)[::2]
    pipeline = pipeline_of(str(weight_file(flags.codec)))
    networks = begun(ReuseNetworks(), flags.init)
    return ReuseRun(networks, examples, labelled, pipeline, 3 * flags.side // 2, budget, flags.out)


def semmap_run(flags: TrainVideo, budget: Budget) -> GeneratorRun:
    """That of `semmap`: its examples are of 128 px, whatever --side."""
    from torch import Tensor

    from semlink.codecs.video import _generator_examples as examples
    from semlink.codecs.video._clip_source import ClipSource
    from semlink.codecs.video._generator import Generator
    from semlink.codecs.video._generator_training import HELD, GeneratorRun

    network, side = begun(Generator(), flags.init), examples.SIDE + 16
    source = source_of(flags, side, examples.LONGEST)
    streets = ClipSource((), tuple(stills(flags.streets)))
    held = source_of(replace(flags, data=flags.held_out, photographs=()), side, examples.LONGEST)

    def shots(rng: np.random.Generator, frames: int, side: int) -> Tensor:
        street = streets.photographs and rng.random() < examples.STREETS
        return (streets if street else source).draw(rng, frames, side)

    own = examples.kept(flags.out / "examples.safetensors", lambda: examples.prepare(shots, flags.examples, flags.seed))
    other = examples.kept(
        flags.out / "held.safetensors", lambda: examples.prepare(held.draw, min(HELD, flags.examples), flags.seed + 1)
    )
    return GeneratorRun(own, other, network, budget, flags.out)


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
    refuse_tests((flags.data, flags.held_out, *flags.photographs, *flags.streets))
    for name in (flags.data, flags.held_out):
        if name != "none" and (found := clips.held_out(name)):
            raise SemlinkError(f"{', '.join(found)}: test clips are not for training")


def source_of(flags: TrainVideo, side: int = 0, longest: int = 0) -> ClipSource:
    """Clips, scaled to `side` px or to twice the flag's, and photographs to train on; of `longest` frames at least."""
    from semlink.codecs.video._clip_source import ClipSource

    shots = shots_of(flags.data, side or 2 * flags.side, longest or flags.frames) if flags.data != "none" else []
    return ClipSource(shots, tuple(stills(flags.photographs)))


def stills(names: tuple[str, ...]) -> Iterator[np.ndarray]:
    """Pictures uint8 `[H, W, 3]` of sets by name or folder."""
    import numpy as np

    from semlink.simulator import data

    for picture in (picture for name in names for picture in data.load(name)):
        yield (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def shots_of(name: str, side: int, frames: int = 1) -> list[Any]:
    """Clips of at least so many frames, uint8 `[frames, H, W, 3]`, their smaller side scaled."""
    import numpy as np

    from semlink.simulator.data import clips

    return [shot for one in clips.load(f"{name}@{side}") if len(shot := np.stack([*one.levels()])) >= frames]


if __name__ == "__main__":
    start(main, TrainVideo())
