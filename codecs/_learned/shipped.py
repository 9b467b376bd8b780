"""Where the weights and tables that come with the codecs lie, and which of the files that a codec names are here."""

from __future__ import annotations

import re
from pathlib import Path

from semlink.channels.base.names import did_you_mean
from semlink.simulator.files import is_here

HOME = Path(__file__).parents[1]
WEIGHTS = HOME / "weights"
TABLES = HOME / "tables"
DOMAINS = ("natural", "small")  # by `is_small`, of weights and tables
SMALL = 40  # px: pictures no larger than this are thumbnails and meet what was trained and measured on CIFAR-10


def is_small(height: int, width: int) -> bool:
    """Whether pictures of that size are thumbnails."""
    return max(height, width) <= SMALL


def local(*names: str | Path | None) -> tuple[Path, ...]:
    """Those of these files and folders that are on this machine, each once, in order.

    None is left out, and so is what is no file or folder here: an id of the hub, weights that nobody shipped.
    """
    paths = dict.fromkeys(Path(name).expanduser() for name in names if name is not None)
    return tuple(path for path in paths if is_here(path))


def planes_shipped(pattern: str) -> tuple[int, ...]:
    """The numbers of planes m that weights `NAME-m{m}...` of that pattern are shipped for, rising."""
    found = (re.search(r"-m(\d+)", path.name) for path in WEIGHTS.glob(pattern))
    return tuple(sorted({int(match[1]) for match in found if match}))


def no_weights(path: Path) -> str:
    """One line on a file of weights that is not there: what was perhaps meant, and the remedy."""
    beside = [file.name for file in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
    return (
        f"{path}: no such weights; {did_you_mean(path.name, beside)}train them with experiments/train.py, "
        "or choose a shipped rate"
    )


def not_shipped(name: str, path: Path, rate: str, rates: list[str]) -> str:
    """One line on a codec that has no weights of its own in `path`; rates: those that it has, the others alike."""
    remedy = "or train them with experiments/train.py and give weights=FILE"
    if rates:
        return f"{name} has no weights for rho {rate}; shipped: {', '.join(rates)}; choose one, {remedy}"
    known = sorted(file.stem for file in WEIGHTS.glob(f"{name}-*.safetensors"))
    if known:
        return f"{name} comes without {path.stem}; shipped: {', '.join(known)}; choose one, {remedy}"
    return f"{name} comes without weights; train them with experiments/train.py and give weights=FILE"
