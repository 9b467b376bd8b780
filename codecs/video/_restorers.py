"""What generates frames of `cvsc`: a short chain from the moved anchor, a whole one from noise, or a foreign model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._diffusion.restorer import MOST, Gate
from semlink.codecs._diffusion.restorer import Restorer as FewSteps
from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video._anchored_receiver import Held
from semlink.codecs.video._pace import REPEAT, WARP, Watch
from semlink.codecs.video._restoration_pipeline import RestorationPipeline
from semlink.codecs.video._start import PLANES, Start
from semlink.simulator.errors import SemlinkError

SHIPPED = WEIGHTS / "cvsc.safetensors"
STARTS = ("short", "full")
NOTHING = 1e-4  # signal share of a chain that starts from noise
HARD = 0.4  # noise, of pixels in [-1, 1], from which on a chain gets all its steps


class InTime(ABC):
    """Generates in as many calls as are needed and there is time for."""

    @abstractmethod
    def needed(self, start: Start) -> int:
        """Network calls."""

    @abstractmethod
    def made(self, start: Start, noise: float, steps: int, anchor: Held, watch: Watch) -> tuple[Tensor, int]:
        """The frame and its calls, at most `steps`, from a start with that much noise."""

    def begun(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int, Held]:
        """As any other frame."""
        return *self.restored(start, anchor, watch), anchor

    def restored(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int]:
        """Nothing is generated where hardly anything is off."""
        needed = self.needed(start)
        plan = watch.plan(needed)
        if plan.kind == REPEAT:
            return None, 0
        if plan.kind == WARP or not needed:
            return start.guess, 0
        return self.made(start, plan.level(start.noise, needed), plan.steps, anchor, watch)


@dataclass(frozen=True)
class Chain(InTime):
    """steps: network calls at most. full: from noise, instead of the moved anchor."""

    path: Path
    steps: int
    full: bool
    seed: int

    def files(self) -> tuple[Path, ...]:
        """Of the network."""
        return local(self.path)

    def check(self) -> None:
        """SemlinkError for missing or wrong weights."""
        pipeline_of(str(self.path))

    def made(self, start: Start, noise: float, steps: int, anchor: Held, watch: Watch) -> tuple[Tensor, int]:
        """By the pipeline."""
        alpha = NOTHING if self.full else 1 / (1 + noise**2)
        draws = drawn(self.seed, anchor)
        found = pipeline_of(str(self.path))([start], alpha, steps, draws, may_go=watch.may_go)
        return found.frames, found.steps

    def needed(self, start: Start) -> int:
        """Network calls."""
        return self.steps if self.full else needed_of(start, self.steps)


@dataclass(frozen=True)
class Generated(InTime):
    """As `Chain`, by a pre-trained few-step model."""

    model: FewSteps
    steps: int
    seed: int

    def files(self) -> tuple[Path, ...]:
        """Of the model."""
        return self.model.files()

    def check(self) -> None:
        """SemlinkError for a model that is not here."""
        self.model.check()

    def needed(self, start: Start) -> int:
        """Network calls."""
        return needed_of(start, self.steps)

    def made(self, start: Start, noise: float, steps: int, anchor: Held, watch: Watch) -> tuple[Tensor, int]:
        """By the model."""
        gate, level = Gate(watch.may_go), noise**2 / (1 + noise**2)
        return self.model.restored(start.guess, level, steps, (self.seed << 32) + anchor.number, gate), gate.passed


def needed_of(start: Start, steps: int) -> int:
    """Network calls of a short chain of at most `steps`: the more the more is off, none where hardly anything is."""
    return max(1, math.ceil(steps * min(1.0, start.noise / HARD))) if start.worth else 0


def drawn(seed: int, anchor: Held) -> Generator:
    """The same noise for all frames of an anchor."""
    return Generator().manual_seed((seed << 32) + anchor.number)


def generated(generator: str, vae: str, enlarged: int, steps: int, seed: int) -> Generated:
    """Of a model's name, folder or hub id. SemlinkError for what is none, and for no steps."""
    if not 1 <= steps <= MOST:
        raise SemlinkError(f"steps={steps}: {generator} takes 1 to {MOST}")
    return Generated(FewSteps.of(generator, vae or None, enlarged), steps, seed)


def chain_of(steps: int, start: str, weights: str | Path | None, seed: int) -> Chain | None:
    """Of a codec's settings; None for no steps. SemlinkError for unknown ones."""
    if start not in STARTS or not 0 <= steps <= 1000:
        raise SemlinkError(f"start={start}, steps={steps}: known starts: {', '.join(STARTS)}; give 0 to 1000 steps")
    return Chain(weight_file(weights), steps, start == "full", seed) if steps else None


def weight_file(weights: str | Path | None) -> Path:
    """The shipped ones by default."""
    return Path(weights).expanduser() if weights else SHIPPED


@lru_cache(maxsize=2)
def pipeline_of(path: str) -> RestorationPipeline:
    """The pipeline of a weight file of experiments/train_video.py or of a folder of `save_pretrained`."""
    found = Path(path)
    made = loading.load_pipeline(RestorationPipeline, found) if found.is_dir() else _from_weights(found)
    if made.unet.config.classes != PLANES:
        raise SemlinkError(f"{found.name}: a network of {made.unet.config.classes} planes, cvsc needs {PLANES}")
    made.set_progress_bar_config(disable=True)
    return made


def _from_weights(path: Path) -> RestorationPipeline:
    if not path.exists():
        raise SemlinkError(
            f"no {path.name}; train with experiments/train_video.py --network cvsc, give weights=FILE, or steps=0"
        )
    state, settings = read_weights(path)
    network = rebuilt(SpadeUNet, settings, state, path).requires_grad_(False)
    return RestorationPipeline(network, make_scheduler("sample"))
