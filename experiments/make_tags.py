"""Find the centres of `sgd_jscc`'s tags: k-means of AlexNet features of training pictures.

    python experiments/make_tags.py --out results/tags

The denoiser has to be trained on the same tags: put the file where codecs/sgd_jscc/codec.py looks for it before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import RESEARCH_DATA, write_card
from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class TagFlags:
    """Find the 256 centres of tags in training pictures."""

    out: Path = Path("results/tags")
    """Folder for tags.safetensors and card.json."""
    data: tuple[str, ...] = ("tiny-imagenet-64-train", "imagenet-256-train")
    """Training pictures: names or folders."""
    limit: int = 8000
    """Pictures of each set at most."""
    seed: int = 0
    """Seed of the first centres."""


def main(flags: TagFlags) -> int:
    import numpy as np
    from safetensors.torch import save_file

    from semlink.codecs._diffusion import tag_centres
    from semlink.codecs._diffusion.guides import TAGS

    found = tag_centres.features_of(flags.data, flags.limit)
    if len(found) < TAGS:
        raise SemlinkError(f"{len(found)} pictures are too few for {TAGS} centres; add sets to --data")
    centres, nearest = tag_centres.clusters(found, TAGS, flags.seed)
    flags.out.mkdir(parents=True, exist_ok=True)
    save_file({"centres": centres}, flags.out / "tags.safetensors")
    sizes = np.bincount(nearest, minlength=TAGS)
    facts = {
        "features": "AlexNet, last convolution, mean over the picture, unit length",
        "pictures": int(sizes.sum()),
        "pictures_per_tag": {"least": int(sizes.min()), "most": int(sizes.max())},
        "data_note": f"found in {RESEARCH_DATA}",
    }
    write_card(flags, __file__, facts)
    print(f"{len(found)} pictures, {(sizes > 0).sum()} tags in use, {sizes.min()} to {sizes.max()} pictures each")
    return 0


if __name__ == "__main__":
    start(main, TagFlags())
