"""Training of learned codecs through a channel: mixed SNRs, Muon + Adam, cosine schedule, EMA, checkpoints, resume.

Runs without TensorFlow when the channel does (`surrogate`). A step's randomness depends on (seed, step) alone.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from tqdm import tqdm

from semlink.simulator.errors import SemlinkError
from semlink.simulator.muon import Muon
from semlink.simulator.surrogate import Surrogate
from semlink.simulator.values import Reception, Transmission, TxInfo

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} < {remaining} {postfix}"
Channel = Callable[[Transmission, Tensor, Generator], Reception]


@dataclass(frozen=True)
class Recipe:
    """How to train. minutes: wall-clock budget that the cosine schedule spans, pauses excluded; steps, when not 0, is
    the budget instead and makes a run reproducible.

    crop: side of the random training crops in px; snr_db: range of the uniform SNR; lr: Muon's, Adam gets a third
    for vectors. loss: "log_mse" follows the mean PSNR over images, "mse" the PSNR of the mean error; a codec that has a
    `loss(received, images)` of its own uses that.
    """

    minutes: float = 60.0
    steps: int = 0
    batch: int = 64
    lr: float = 3e-3
    crop: int = 32
    snr_db: tuple[float, float] = (-3.0, 16.0)
    loss: str = "log_mse"
    seed: int = 0
    ema: float = 0.998
    warm_up: int = 50
    checkpoint_every: int = 180


class Trainer:
    """A training run of `network` in `folder`: checkpoint.pt to resume, curve.csv, weights.safetensors (EMA)."""

    def __init__(
        self, codec: Any, network: nn.Module, channel: Channel, recipe: Recipe, folder: Path, device: str = "cpu"
    ) -> None:
        self.codec, self.channel, self.recipe, self.folder, self.device = codec, channel, recipe, folder, device
        self.network = network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = make_optimizers(self.network, recipe.lr)
        self.step, self.seconds = 0, 0.0
        codec.use(self.network)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._resume()

    def run(self, pictures: Sequence[Tensor], validation: Tensor) -> dict[float, float]:
        """Train on uint8 pictures `[3, H, W]` until the budget is spent; PSNR by SNR on `validation` in [0, 1]."""
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        with tqdm(
            total=1000, initial=round(1000 * self.progress), desc=f"train {self.folder.name}", bar_format=BAR
        ) as bar:
            while self.progress < 1:
                loss = self._step(pictures)
                self.seconds = time.monotonic() - started
                bar.set_postfix(step=self.step, loss=f"{loss:.4f}", refresh=False)
                bar.update(min(1000, round(1000 * self.progress)) - bar.n)
                if time.monotonic() - saved > self.recipe.checkpoint_every:
                    self.save(self.validate(validation[:256]))
                    saved = time.monotonic()
        levels = self.validate(validation)
        self.save(levels)
        return levels

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        return self.step / self.recipe.steps if self.recipe.steps else self.seconds / (60 * self.recipe.minutes)

    def _step(self, pictures: Sequence[Tensor]) -> float:
        recipe, generator = self.recipe, step_generator(self.recipe.seed, self.step, self.device)
        images = random_batch(pictures, recipe.batch, recipe.crop, generator).to(self.device)
        low, high = recipe.snr_db
        snr_db = low + (high - low) * torch.rand(recipe.batch, generator=generator, device=self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            received = self.codec.decode(
                self.channel(self.codec.encode(images, TxInfo(snr_db=snr_db)), snr_db, generator)
            )
        loss = self.loss(received.float(), images)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        rate = schedule((self.step + 1) / recipe.warm_up, self.progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimizer.step()
        self.step += 1
        self._update_average()
        return loss.item()

    def loss(self, received: Tensor, images: Tensor) -> Tensor:
        """The codec's own loss where it has one, else the recipe's."""
        own: Callable[[Tensor, Tensor], Tensor] | None = getattr(self.codec, "loss", None)
        return (own or LOSSES[self.recipe.loss])(received, images)

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - keep)

    def validate(self, images: Tensor) -> dict[float, float]:
        """Mean per-image PSNR of the averaged network over AWGN at 1, 4, 7 and 10 dB, whatever it is trained on."""
        awgn = Surrogate(per_image=0.0, per_symbol=0.0, lost=0.0)
        self.codec.use(self.average)
        levels = {}
        for snr in (1.0, 4.0, 7.0, 10.0):
            snr_db = torch.full((len(images),), snr, device=self.device)
            sent = self.codec.encode(images.to(self.device), TxInfo(snr_db=snr_db))
            received = self.codec.decode(awgn(sent, snr_db, step_generator(self.recipe.seed, -1, self.device)))
            levels[snr] = -10 * (received - images.to(self.device)).square().mean((1, 2, 3)).log10().mean().item()
        self.codec.use(self.network)
        return levels

    def save(self, levels: dict[float, float]) -> None:
        """Write checkpoint, averaged weights and a line of the curve, each aside and renamed."""
        state = {"network": self.network.state_dict(), "average": self.average.state_dict(), "step": self.step}
        state |= {"seconds": self.seconds, "optimizers": [o.state_dict() for o in self.optimizers]}
        _replace(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))
        save_weights(self.average, self.folder / "weights.safetensors", {"recipe": json.dumps(asdict(self.recipe))})
        new = not (self.folder / "curve.csv").exists()
        with open(self.folder / "curve.csv", "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", *(f"psnr_{snr:g}dB" for snr in levels)])
            writer.writerow([self.step, round(self.seconds), *(f"{level:.3f}" for level in levels.values())])

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True, map_location=self.device)
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise SemlinkError(
                f"{self.folder}: holds the checkpoint of another network; choose another --out"
            ) from error
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            rates = [group["initial_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = rate  # the recipe's, which may have changed
        self.step, self.seconds = state["step"], state["seconds"]


def make_optimizers(network: nn.Module, lr: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for convolutions and hidden matrices, Adam (a third of lr) for vectors."""
    matrices = [p for p in network.parameters() if p.ndim >= 2 and min(p.flatten(1).shape) > 1]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen]
    optimizers = (Muon(matrices, lr), torch.optim.Adam(others, lr / 3, betas=(0.9, 0.99)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def schedule(warm: float, progress: float) -> float:
    """Linear warm-up times cosine decay to 1 % of the rate."""
    return min(1.0, warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def log_mse(received: Tensor, images: Tensor) -> Tensor:
    """Mean over images of log(MSE + 1e-4): the slope of the mean PSNR, flattened above 40 dB."""
    return (F.mse_loss(received, images, reduction="none").mean((1, 2, 3)) + 1e-4).log().mean()


LOSSES = {"log_mse": log_mse, "mse": lambda received, images: 255**2 * F.mse_loss(received, images)}


def random_batch(pictures: Sequence[Tensor], batch: int, crop: int, generator: Generator) -> Tensor:
    """Random crops, half of them mirrored, of random uint8 pictures `[3, H, W]`, as float32 in [0, 1]."""
    crops = [_random_crop(pictures, crop, draws) for draws in _draws(batch, generator)]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last).float() / 255


def _draws(batch: int, generator: Generator) -> Iterator[list[float]]:
    yield from torch.rand(batch, 4, generator=generator, device=generator.device).tolist()


def _random_crop(pictures: Sequence[Tensor], crop: int, draws: list[float]) -> Tensor:
    picture = pictures[int(draws[0] * len(pictures))]
    height, width = picture.shape[1:]
    if min(height, width) < crop:
        raise SemlinkError(f"a training picture of {width}x{height} px is smaller than the crop of {crop} px")
    top, left = int(draws[1] * (height - crop + 1)), int(draws[2] * (width - crop + 1))
    patch = picture[:, top : top + crop, left : left + crop]
    return patch.flip(2) if draws[3] < 0.5 else patch


def step_generator(seed: int, step: int, device: str) -> Generator:
    """The random generator of one training step."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step + 1)


def has_fast_bfloat16(device: str) -> bool:
    """True where bfloat16 is faster than float32: GPUs, and CPUs with AVX-512 or AMX units for it."""
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def save_weights(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """A network's tensors with its settings as safetensors, written aside and renamed."""
    state = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    described = {"settings": json.dumps(network.settings), **metadata}
    _replace(path, lambda aside: save_file(state, aside, described))


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    aside = path.with_name(path.name + ".part")
    write(aside)
    aside.replace(path)
