"""Pack trained weights for shipping: matrices in 8 bits with a scale a row, the rest in half precision, card beside.

python experiments/pack_weights.py --run results/my-hybrid --out codecs/weights/semlink-hybrid.safetensors
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semlink.simulator.cli import start
from semlink.simulator.errors import SemlinkError


@dataclass(frozen=True)
class PackFlags:
    """Pack the weights of a training run."""

    run: Path = Path("results/train")
    """Folder with weights.safetensors and, if the run is over, card.json."""
    out: Path = Path("results/packed.safetensors")
    """File to write; its card lies beside it as .json."""


def main(flags: PackFlags) -> int:
    from safetensors import safe_open
    from safetensors.torch import save_file

    from semlink.codecs._packing import pack, unpack
    from semlink.simulator.training_run import replace_file

    source = flags.run / "weights.safetensors" if flags.run.is_dir() else flags.run
    if not source.is_file():
        raise SemlinkError(f"{source}: no such weights; give the folder of a training run, or a file")
    with safe_open(source, framework="pt") as file:
        settings = {"settings": (file.metadata() or {}).get("settings", "{}")}
        state = unpack({name: file.get_tensor(name) for name in file.keys()})
    replace_file(flags.out, partial(save_file, pack(state), metadata=settings))
    card = flags.run / "card.json"
    if card.is_file():
        said = {**json.loads(card.read_text()), "stored_as": "int8 matrices with a scale a row, float16 vectors"}
        flags.out.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n")
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.2f} MB, {source.stat().st_size / 1e6:.2f} MB before")
    return 0


if __name__ == "__main__":
    start(main, PackFlags())
