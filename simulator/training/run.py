"""A training run of any network: budget, Muon + Adam, cosine schedule, averaged weights, checkpoints, resume.

A step's randomness depends on (seed, step) alone, so a stopped run goes on as if it had not been.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Generator, Tensor, nn
from tqdm import tqdm

from semlink.simulator.files import reading, write_aside
from semlink.simulator.training.events import EVERY, Events, Nowhere, TensorBoard
from semlink.simulator.training.muon import Muon

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} < {remaining} {postfix}"


@dataclass(frozen=True)
class Budget:
    """minutes: wall-clock budget that the cosine schedule spans, pauses excluded; steps, when not 0, is the budget
    instead and makes a run reproducible.

    lr: Muon's, Adam gets a third for vectors. ema: share of the averaged weights that a step keeps.
    checkpoint_every: seconds.
    """

    minutes: float = 60.0
    steps: int = 0
    batch: int = 64
    lr: float = 3e-3
    seed: int = 0
    ema: float = 0.998
    warm_up: int = 50
    checkpoint_every: float = 180


class Run(ABC):
    """A run in `folder`: checkpoint.pt to resume, curve.csv, and the averaged network's weights."""

    def __init__(self, network: nn.Module, budget: Budget, folder: Path, device: str = "cpu") -> None:
        self.budget, self.folder, self.device = budget, folder, device
        self.network = network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.optimizers = make_optimizers(self.network, budget.lr)
        self.step, self.seconds = 0, 0.0
        self.events: Events = Nowhere()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._resume()

    @abstractmethod
    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of a random batch, with gradients."""

    @abstractmethod
    def levels(self, quick: bool) -> Mapping[str, float]:
        """How good the averaged network is, by name; `quick`: between two checkpoints."""

    def write_weights(self) -> None:
        """Leave the averaged network in the folder."""
        described = {"recipe": json.dumps(asdict(self.budget))}
        save_weights(self.average, self.folder / "weights.safetensors", described)

    def follow(self, wanted: bool) -> None:
        """Write loss, learning rate and levels for TensorBoard too, if wanted; SemlinkError where there is none."""
        if wanted:
            self.events = TensorBoard(self.folder)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        budget = self.budget
        return self.step / budget.steps if budget.steps else self.seconds / (60 * budget.minutes)

    def spend(self) -> None:
        """Train until the budget is spent."""
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        with tqdm(
            total=1000, initial=round(1000 * self.progress), desc=f"train {self.folder.name}", bar_format=BAR
        ) as bar:
            while self.progress < 1:
                loss = self._step()
                self.seconds = time.monotonic() - started
                bar.set_postfix(step=self.step, loss=f"{loss:.4f}", refresh=False)
                bar.update(min(1000, round(1000 * self.progress)) - bar.n)
                if time.monotonic() - saved > self.budget.checkpoint_every:
                    self.save(self.levels(quick=True))
                    saved = time.monotonic()

    def complete(self) -> Mapping[str, float]:
        """Train until the budget is spent, and save; how good the averaged network is in the end."""
        self.spend()
        levels = self.levels(quick=False)
        self.save(levels)
        return levels

    def save(self, levels: Mapping[str, float]) -> None:
        """Write checkpoint, averaged weights and a line of the curve, each aside and renamed."""
        state = {"network": self.network.state_dict(), "average": self.average.state_dict(), "step": self.step}
        state |= {"seconds": self.seconds, "optimizers": [o.state_dict() for o in self.optimizers]}
        write_aside(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))
        self.write_weights()
        new = not (self.folder / "curve.csv").exists()
        with open(self.folder / "curve.csv", "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", *levels])
            writer.writerow([self.step, round(self.seconds), *(f"{level:.4f}" for level in levels.values())])
        self.events.tell(self.step, {f"held out/{name}": level for name, level in levels.items()})

    def curve(self) -> dict[str, list[float]]:
        """The curve so far, by column: step, seconds and the levels of the averaged network."""
        path = self.folder / "curve.csv"
        with reading(path, "no curve of this training; choose another --out"), open(path, newline="") as file:
            columns, *rows = csv.reader(file)
            return {name: [float(row[i]) for row in rows] for i, name in enumerate(columns)}

    def _step(self) -> float:
        loss = self.batch_loss(step_generator(self.budget.seed, self.step, self.device))
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        rate = schedule((self.step + 1) / self.budget.warm_up, self.progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimizer.step()
        self.step += 1
        self._update_average()
        found = loss.item()
        if self.step % EVERY == 0:
            self.events.tell(self.step, {"loss": found, "learning rate": self.budget.lr * rate})
        return found

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights, and the statistics of its normalisations, towards the network's."""
        keep = min(self.budget.ema, (1 + self.step) / (10 + self.step))
        for mean, own in zip(_tensors(self.average), _tensors(self.network), strict=True):
            if mean.is_floating_point():
                mean.lerp_(own, 1 - keep)
            else:
                mean.copy_(own)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        with reading(path, "a damaged checkpoint, or of another network; choose another --out"):
            self._restore(torch.load(path, weights_only=True, map_location=self.device))

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `save` wrote."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            rates = [group["initial_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = rate  # the recipe's, which may have changed
        self.step, self.seconds = state["step"], state["seconds"]


def _tensors(network: nn.Module) -> chain[Tensor]:
    return chain(network.parameters(), network.buffers())


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


def step_generator(seed: int, step: int, device: str) -> Generator:
    """The random generator of one training step."""
    number = seed * 1_000_003 + step + 1
    return torch.Generator(device).manual_seed(number if number < 2**64 else number % 2**63)


def has_fast_bfloat16(device: str) -> bool:
    """True where bfloat16 is faster than float32: GPUs, and CPUs with AVX-512 or AMX units for it."""
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def save_weights(network: Any, path: Path, metadata: dict[str, str]) -> None:
    """A network's tensors with its settings as safetensors, written aside and renamed; equal content, equal bytes."""
    state = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    described = {"settings": json.dumps(network.settings), **metadata}
    packed = _in_order(save(state, described))
    write_aside(path, lambda aside: aside.write_bytes(packed))


def _in_order(packed: bytes) -> bytes:
    """The same safetensors with a sorted header: the library writes metadata in another order every time."""
    start = 8 + int.from_bytes(packed[:8], "little")
    header = json.dumps(json.loads(packed[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + packed[start:]


def prepare(threads: int, seed: int) -> None:
    """Set torch's threads (0: as many as there are cores) and the seed of initial weights, before all else."""
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(seed)


def default_device() -> str:
    """cuda when there is one, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"
