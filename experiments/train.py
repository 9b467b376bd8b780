"""Train a learned codec and leave its weights, learning curve and card.

Pre-train on the surrogate channel (no TensorFlow needed), then fine-tune through the real link:

    python experiments/train.py --codec adjscc --rho 1/6 --data cifar10-train --minutes 90 --out results/mine
    python experiments/train.py --codec adjscc --rho 1/6 --data cifar10-train --minutes 5 --lr 3e-4 \\
        --channels awgn tdl --init results/mine/weights.safetensors --out results/mine-tuned

Stop it at any time; the same command continues. Use the result with `adjscc:weights=results/mine/weights.safetensors`.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semlink.simulator.cli import Rate, start
from semlink.simulator.errors import SemlinkError


@dataclass(frozen=True)
class TrainFlags:
    """Train a learned codec through a channel; resumable."""

    out: Path = Path("results/train")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json."""
    codec: str = "adjscc"
    """A codec with a network, built-in or from an entry point; name:setting=value for its settings."""
    rho: Rate = 1 / 6
    """Channel uses per source dimension."""
    data: tuple[str, ...] = ("cifar10-train",)
    """Training pictures: names or folders; 2 % of them (at most 500) are held out for the curve."""
    channels: tuple[str, ...] = ("surrogate",)
    """`surrogate`, or channels of the real link such as awgn tdl:speed=10."""
    init: Path | None = None
    """Start from these weights; layers of another shape start fresh."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 64
    """Crops per step."""
    crop: int = 32
    """Side of the random training crops in px."""
    lr: float = 1.5e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    snr: tuple[float, float] = (-3.0, 16.0)
    """Range in dB from which each picture's SNR is drawn; give the same number twice for one SNR."""
    loss: str = "log_mse"
    """log_mse (mean PSNR over pictures) or mse."""
    seed: int = 0
    """Seed of initial weights, crops, SNRs and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    device: str = ""
    """cpu or cuda; empty: cuda when there is one."""


def main(flags: TrainFlags) -> int:
    import torch

    from semlink.simulator import training_parts as parts
    from semlink.simulator.training import LOSSES, Recipe, Trainer

    if flags.loss not in LOSSES:
        raise SemlinkError(f"unknown loss {flags.loss!r}; known: {', '.join(LOSSES)}")
    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    codec = parts.make_codec(flags.codec, flags.rho)
    network = codec.new_network()
    if flags.init:
        transplant(network, flags.init)
    recipe = Recipe(
        minutes=flags.minutes,
        steps=flags.steps,
        batch=flags.batch,
        lr=flags.lr,
        crop=flags.crop,
        snr_db=flags.snr,
        loss=flags.loss,
        seed=flags.seed,
    )
    device = flags.device or parts.default_device()
    trainer = Trainer(codec, network, make_channel(flags.channels), recipe, flags.out, device)
    pictures, validation = parts.load_pictures(flags.data, flags.crop)
    levels = trainer.run(pictures, validation)
    write_card(flags, trainer.step, levels)
    said = ", ".join(f"{level:.2f} dB at {snr:g} dB" for snr, level in levels.items())
    print(f"PSNR on held-out training pictures over AWGN: {said}")
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_channel(words: tuple[str, ...]) -> Any:
    """The surrogate (AWGN alone for codecs that are blind to fading is `surrogate-awgn`), or real links."""
    from semlink.simulator.surrogate import Surrogate

    if words in (("surrogate",), ("surrogate-awgn",)):
        return Surrogate() if words == ("surrogate",) else Surrogate(0.0, 0.0)
    from semlink.simulator.through_link import ThroughLink
    from semlink.simulator.trial import make_link
    from semlink.simulator.words import parse

    return ThroughLink(tuple(make_link(parse(word)) for word in words))


def transplant(network: Any, path: Path) -> None:
    """Copy the tensors of a weight file that fit; say which do not."""
    from semlink.codecs._neural import read_weights

    state, _ = read_weights(path)
    if hasattr(network, "adopt"):  # it knows how to start from a smaller network
        network.adopt(state)
        return
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict({**own, **fitting})
    print(f"{len(fitting)} of {len(own)} tensors taken from {path}")


def write_card(flags: TrainFlags, steps: int, levels: dict[float, float]) -> None:
    """What made these weights, next to them."""
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=here)
    recipe = {
        k: str(v) if isinstance(v, Path) else v
        for k, v in asdict(flags).items()
        if k not in ("out", "threads", "device")
    }
    card = {
        "recipe": recipe,
        "steps": steps,
        "commit": git.stdout.strip() or "not a git checkout",
        "validation_psnr_db_awgn": {f"{snr:g} dB": round(level, 2) for snr, level in levels.items()},
        "data_note": "trained on research data sets that are not redistributed here; see each set's licence",
    }
    (flags.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    start(main, TrainFlags())
