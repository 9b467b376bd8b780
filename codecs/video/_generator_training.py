"""Training of `semmap`'s network: error of frames and of their changes, what eyes see and what our segmenter sees.

The segmenter is that of the transmitter; what scores in experiments has no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Generator as Draws
from torch import Tensor

from semlink.codecs._regions.unet import misread
from semlink.codecs.video._generator import Generator
from semlink.codecs.video._generator_examples import Batch, Examples, draw
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.run import Budget, Run, step_generator

CHANGE, PERCEPTUAL, SEMANTIC = 0.3, 1.0, 0.5  # weights
LOOKED_AT, LOOKS = 64, 0.5  # px of one frame that VGG-16 sees, in a share of the steps
FLOOR = 2e-4  # of the squared error: 37 dB are good enough
HELD = 24  # frames for the curve


class GeneratorRun(Run):
    """examples: to learn from; held_out: for the curve."""

    snrs: tuple[float, ...] = ()

    def __init__(
        self, examples: Examples, held_out: Examples, network: Generator, budget: Budget, folder: Path
    ) -> None:
        self.examples = examples
        self.held_out = draw(held_out, HELD, step_generator(0, -2, "cpu"))
        super().__init__(network, budget, folder)

    def batch_loss(self, generator: Draws) -> Tensor:
        """Mean logarithm of the error of frames, and of changes within pairs, LPIPS of a crop, and what is misread."""
        batch = draw(self.examples, self.budget.batch, generator)
        shown = self.network(batch.told)
        loss = _log(shown - batch.frames).mean() + CHANGE * _change(shown, batch)
        if float(torch.rand(1, generator=generator)) < LOOKS:
            crop = _crop(shown, generator)
            loss = loss + PERCEPTUAL / LOOKS * lpips_loss(shown[crop], batch.frames[crop], "vgg").mean()
        if bool(batch.street.any()):
            loss = loss + SEMANTIC * misread(shown[batch.street], batch.frames[batch.street])
        return loss

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR of held-out frames, of their moved key frames where there are some, LPIPS, and what is misread."""
        shown, frames = self.average(self.held_out.told).clamp(0, 1), self.held_out.frames
        there, street = self.held_out.told.about[:, 0] > 0, self.held_out.street
        eyes, plain = (lpips_loss(own, frames, "alex") for own in (shown, self.held_out.told.key))
        return {
            "psnr": float(_psnr(shown - frames)[there].mean()),
            "psnr_of_moved": float(_psnr(self.held_out.told.key - frames)[there].mean()),
            "psnr_map_alone": float(_psnr(shown - frames)[~there].mean()),
            "lpips": float(eyes[there].mean()),
            "lpips_of_moved": float(plain[there].mean()),
            "misread": _misread(shown, frames, street & there),
            "misread_of_moved": _misread(self.held_out.told.key, frames, street & there),
        }


def _misread(shown: Tensor, frames: Tensor, which: Tensor) -> float:
    return float(misread(shown[which], frames[which])) if bool(which.any()) else float("nan")


def _crop(frames: Tensor, generator: Draws) -> tuple[slice, ...]:
    """A random square of one frame `[1, 3, LOOKED_AT, LOOKED_AT]`."""
    sizes = (1, LOOKED_AT, LOOKED_AT)
    rooms = [n - size + 1 for n, size in zip((len(frames), *frames.shape[2:]), sizes, strict=True)]
    starts = [int(torch.randint(room, (1,), generator=generator)) for room in rooms]
    place, rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return place, slice(None), rows, columns


def _change(shown: Tensor, batch: Batch) -> Tensor:
    """Mean error of the changes within pairs of frames that follow each other; 0 where there are none."""
    missed = shown - batch.frames
    return (_log(missed[1::2] - missed[::2]) * batch.pairs).sum() / batch.pairs.sum().clamp_min(1)


def _log(error: Tensor) -> Tensor:
    """Of the root of the mean squared error."""
    return (error.square().mean((1, 2, 3)) + FLOOR).log() / 2


def _psnr(error: Tensor) -> Tensor:
    return -10 * error.square().mean((1, 2, 3)).clamp_min(1e-10).log10()
