"""Training of `cvsc`'s network on what its receiver meets: the codec itself runs over training clips, at random rates.

Starts and frames of many clips are collected first; then random crops of them meet noise of random levels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs.video._anchored_receiver import Held
from semlink.codecs.video._clip_source import ClipSource
from semlink.codecs.video._pace import Watch
from semlink.codecs.video._restoration_pipeline import Seen
from semlink.codecs.video._start import Start
from semlink.codecs.video.cvsc import Cvsc
from semlink.simulator.files import write_aside
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run, save_weights
from semlink.simulator.values import Stream
from semlink.simulator.video import Bucket, Clip, VideoInfo
from semlink.simulator.video import Budget as Uses

Way = Literal["fixed", "regret", "regret2"]
SNRS, RATES = (-2.0, 20.0), (0.009, 0.035)  # dB, and channel uses per source dimension
WAYS: tuple[tuple[Way, int], ...] = (("fixed", 8), ("fixed", 16), ("fixed", 32), ("regret2", 16), ("regret", 16))
LENGTH, SIDE = 40, 128  # of the clips that are collected
EVER = 0.1  # share of examples at any level; the others are about where chains start, and below
LATER = 0.4  # share that are not at a chain's first step
FLOOR = 1e-3  # of the error, of pixels in [-1, 1]: 36 dB are good enough
LOOKED_AT, EYE, PERCEPTUAL = 3, 64, 3.0  # crops of a batch that LPIPS sees, px of them, and its weight
HELD = 40
PATCH, WIDTHS, MAP_WIDTH = 4, (64, 64, 96), 32  # of the network


@dataclass
class Recorder:
    """A restorer that keeps what it is asked for."""

    starts: list[Start] = field(default_factory=list)

    def files(self) -> tuple[Path, ...]:
        """None."""
        return ()

    def check(self) -> None:
        """Always fine."""

    def begun(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int, Held]:
        """The anchor as it is."""
        return *self.restored(start, anchor, watch), anchor

    def restored(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int]:
        """The guess."""
        self.starts.append(start)
        return start.guess, 0


@dataclass(frozen=True)
class Examples:
    """What was met, all of one size. guess, frame: uint8 `[count, 3, H, W]`; planes: float16; told: float32."""

    guess: Tensor
    frame: Tensor
    planes: Tensor
    told: Tensor
    alpha: Tensor

    @classmethod
    def of(cls, pairs: list[tuple[Start, Tensor]]) -> Examples:
        """Of starts and the frames `[1, 3, H, W]` that they should have become."""
        starts = [start for start, _ in pairs]
        alpha = torch.tensor([start.alpha for start in starts])
        guess, frame = (levels(torch.cat(each)) for each in ([s.guess for s in starts], [f for _, f in pairs]))
        planes = torch.cat([F.avg_pool2d(start.planes(), 4).half() for start in starts])
        return cls(guess, frame, planes, torch.cat([start.told() for start in starts]), alpha)

    @classmethod
    def kept(cls, path: Path, source: ClipSource, clips: int, seed: int) -> Examples:
        """Those of a file, or collected and left there."""
        if not path.exists():
            examples = cls.of(collected(source, clips, seed))
            write_aside(path, lambda aside: torch.save(vars(examples), aside))
        return cls(**torch.load(path, weights_only=True))

    def thinned(self, count: int) -> Examples:
        """So many of them, spread over all."""
        chosen = torch.linspace(0, len(self.guess) - 1, min(count, len(self.guess))).long()
        return Examples(*(each[chosen] for each in (self.guess, self.frame, self.planes, self.told, self.alpha)))

    def drawn(self, count: int, side: int, generator: Generator) -> tuple[Seen, Tensor, Tensor]:
        """Random crops at random places, half of them mirrored; their frames in [-1, 1], and alpha `[count]`."""
        chosen = torch.randint(len(self.guess), (count,), generator=generator)
        room = [(self.guess.shape[2] - side) // 8 + 1, (self.guess.shape[3] - side) // 8 + 1]
        spots = [8 * torch.randint(n, (count,), generator=generator) for n in room]
        flips = torch.rand(count, generator=generator) < 0.5
        guess, frame, planes = list[Tensor](), list[Tensor](), list[Tensor]()
        for i, top, left, flip in zip(chosen.tolist(), *(s.tolist() for s in spots), flips.tolist(), strict=True):
            cut = slice(top, top + side), slice(left, left + side)
            small = slice(top // 4, (top + side) // 4), slice(left // 4, (left + side) // 4)
            own = self.guess[i][:, *cut], self.frame[i][:, *cut], self.planes[i][:, *small]
            for held, each in zip((guess, frame, planes), own, strict=True):
                held.append(each.flip(2) if flip else each)
        seen = Seen(signed(torch.stack(guess)), grown(torch.stack(planes)), self.told[chosen])
        return seen, signed(torch.stack(frame)), self.alpha[chosen]


class RestorationRun(Run):
    """A training run. examples, held_out: what it trains on, and what the curve is of. crop: px, a multiple of 16."""

    snrs = SNRS

    def __init__(
        self, network: SpadeUNet, examples: Examples, held_out: Examples, crop: int, budget: Budget, folder: Path
    ) -> None:
        super().__init__(network, budget, folder)
        self.examples, self.held_out, self.crop = examples, held_out.thinned(HELD), crop

    def batch_loss(self, generator: Generator) -> Tensor:
        """Logarithm of the squared error of x0, and LPIPS of some that are at a chain's first step."""
        seen, frame, start = self.examples.drawn(self.budget.batch, self.crop, generator)
        later = torch.rand(len(frame), generator=generator) < LATER
        alpha = levels_about(start, later, generator)
        noise = torch.randn(frame.shape, generator=generator) * later[:, None, None, None]
        clean = torch.where(later[:, None, None, None], frame, seen.guess)
        found, error = answer(self.network, seen.at(later), clean, frame, alpha, noise)
        looked = (~later).nonzero()[:LOOKED_AT, 0]
        shown, truth = (frames[looked, :, :EYE, :EYE] / 2 + 0.5 for frames in (found, frame))
        eyes = lpips_loss(shown, truth, "vgg").sum() / LOOKED_AT
        return (error + FLOOR).log().mean() + PERCEPTUAL * eyes

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """LPIPS (AlexNet and VGG) and PSNR of held-out frames before, and after one step."""
        held = self.held_out
        seen = Seen(signed(held.guess), grown(held.planes), held.told)
        found = {"before": seen.guess / 2 + 0.5}
        noise = torch.zeros_like(seen.guess)
        truth = signed(held.frame) / 2 + 0.5
        found["after"] = answer(self.average, seen, seen.guess, 2 * truth - 1, held.alpha, noise)[0] / 2 + 0.5
        told = {}
        for name, frames in found.items():
            shown = frames.clamp(0, 1)
            for net in ("alex",) if quick else ("alex", "vgg"):
                told[f"lpips_{net}_{name}"] = float(lpips_loss(shown, truth, net).mean())
            error = (shown - truth).square().mean((1, 2, 3)).clamp_min(1e-6)
            told[f"psnr_{name}"] = float((-10 * error.log10()).mean())
        return told

    def write_weights(self) -> None:
        """Leave the averaged network in the folder."""
        names = ("classes", "patch", "widths", "map_width")
        self.average.settings = {name: self.average.config[name] for name in names}
        save_weights(self.average, self.folder / "weights.safetensors", {"recipe": json.dumps(asdict(self.budget))})


def answer(
    network: SpadeUNet, seen: Seen, clean: Tensor, frame: Tensor, alpha: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """The network's x0 of frames in [-1, 1] and its squared error `[batch]`.

    clean: what its states hold beside noise: the guess where a chain starts, which has none, the frame later.
    """
    share = alpha[:, None, None, None]
    found = network(share.sqrt() * clean + (1 - share).sqrt() * noise, alpha, seen.guess, seen.told, seen.planes)
    return found, (found - frame).square().mean((1, 2, 3))


def levels_about(start: Tensor, later: Tensor, generator: Generator) -> Tensor:
    """alpha `[batch]`: where chains start, later ones down to their end, a few at any level."""
    draws = torch.rand(3, len(start), generator=generator)
    share = torch.where(later, draws[0], 0.7 + 0.6 * draws[0])
    sigma = ((1 - start) / start).sqrt() * share
    sigma = torch.where(draws[1] < EVER, torch.exp(-3 + 6 * draws[2]), sigma).clamp_min(0.01)
    return 1 / (1 + sigma.square())


def collected(source: ClipSource, clips: int, seed: int) -> list[tuple[Start, Tensor]]:
    """What receivers know of the frames of so many random clips at random rates, SNRs and controllers."""
    pairs: list[tuple[Start, Tensor]] = []
    for number in tqdm(range(clips), desc="clips"):
        rng = np.random.default_rng((seed, number))
        frames = source.draw(rng, LENGTH, SIDE)
        controller, gop = WAYS[rng.integers(len(WAYS))]
        codec = Cvsc(float(np.exp(rng.uniform(*np.log(RATES)))), controller, gop, control=rng.random() < 0.85, steps=0)
        pairs += met(codec, frames, float(rng.uniform(*SNRS)), number)
    return pairs


def met(codec: Cvsc, frames: Tensor, snr_db: float, seed: int) -> Iterator[tuple[Start, Tensor]]:
    """Starts and frames of a clip `[frames, 3, H, W]` over noise alone."""
    clip = Clip(frames.shape[2], frames.shape[3], frames=len(frames))
    sender, receiver, recorder = codec.sender(clip), codec.receiver(clip), Recorder()
    receiver.restorer = recorder
    bucket, channel = Bucket.full(Uses.of(codec.rho, clip)), Surrogate(0.1, 0.1, 0.0)
    generator = Generator().manual_seed(seed)
    for number, frame in enumerate(frames.split(1)):
        bucket = bucket.filled(1)
        sent = sender.send(frame, VideoInfo(snr_db, bucket.uses, frame=number))
        bucket = bucket.spent(sum(map(uses_of, sent.streams)))
        receiver.receive(channel(sent, torch.tensor([snr_db]), generator))
        if recorder.starts:
            yield recorder.starts.pop(), frame
            recorder.starts.clear()


def uses_of(stream: Stream) -> int:
    """Channel uses of a stream."""
    if isinstance(stream.payload, Tensor):
        return int(stream.payload.numel())
    return stream.uses if isinstance(stream.uses, int) else sum(stream.uses or ())


def levels(pictures: Tensor) -> Tensor:
    """Of 8 bits."""
    return (255 * pictures).round().to(torch.uint8)


def signed(pictures: Tensor) -> Tensor:
    """Of 8 bits in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def grown(planes: Tensor) -> Tensor:
    """Planes at the pixels, of those that were kept for every fourth."""
    return F.interpolate(planes.float(), scale_factor=4)
