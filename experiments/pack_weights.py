"""Pack trained weights for shipping: matrices in 8 bits with a scale a row, the rest in half precision, card beside.

    python experiments/pack_weights.py --run results/hybrid-tuned --before results/hybrid \\
        --out codecs/weights/semlink-hybrid.safetensors
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class PackFlags:
    """Pack the weights of a training run."""

    run: Path = Path("results/train")
    """Folder with weights.safetensors and, if the run is over, card.json."""
    before: tuple[Path, ...] = ()
    """Folders of the runs that it started from, in order: their cards are part of its card."""
    out: Path = Path("results/packed.safetensors")
    """File to write; its card lies beside it as .json."""


def main(flags: PackFlags) -> int:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from semlink.codecs._learned.packing import pack, unpack
    from semlink.simulator.files import read_json, reading, write_aside

    source = flags.run / "weights.safetensors" if flags.run.is_dir() else flags.run
    if not source.is_file():
        raise SemlinkError(f"{source}: no such weights; give the folder of a training run, or a file")
    with reading(source, "not a safetensors file of a network"), safe_open(source, framework="pt") as file:
        settings = {"settings": (file.metadata() or {}).get("settings", "{}")}
        state = unpack({name: file.get_tensor(name) for name in file.keys()})
    write_aside(flags.out, partial(save_file, pack(state), metadata=settings))
    cards = [folder / "card.json" for folder in (*flags.before, flags.run)]
    if cards[-1].is_file():
        runs = [without_paths(read_json(card, "no card of a training run")) for card in cards]
        said = {**runs[-1], "before": runs[:-1], "stored_as": "int8 matrices with a scale a row, float16 vectors"}
        flags.out.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n")
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.2f} MB, {source.stat().st_size / 1e6:.2f} MB before")
    return 0


def without_paths(card: dict[str, Any]) -> dict[str, Any]:
    """A card without what was where on the machine that trained."""
    return {**card, "recipe": {name: value for name, value in card.get("recipe", {}).items() if name != "init"}}


if __name__ == "__main__":
    start(main, PackFlags())
