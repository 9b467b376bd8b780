"""What H.265 and H.264 make of clips at each rate and size: the table by which their scheme is chosen.

Written to codecs/tables/video_quality.json from training clips: nothing of what results are reported on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semlink.simulator.study import cli

BITS_PER_PIXEL = (0.008, 0.016, 0.031, 0.0625, 0.125, 0.25, 0.5)
AGES = 47  # frames that a picture stands still, at most
AHEAD = 10  # frames' worth of bits


@dataclass(frozen=True)
class MeasureVideo:
    """Measure quality against bits per pixel for each factor of the ladder, and of frames that stand still."""

    data: str = "video/train@128x128x48"
    """Clips with their size and number of frames."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "video_quality.json"
    """The table."""
    limit: int | None = None
    """Use only so many clips, spread over the set."""


def main(flags: MeasureVideo) -> int:
    """Measure and write."""
    from semlink.codecs._sources.stream import CODERS
    from semlink.simulator.data import clips
    from semlink.simulator.files import write_json

    found = clips.load(flags.data, flags.limit)
    shots = [np.stack([*found[i].levels()]) for i in range(len(found))]
    still = {"still": [round(v, 2) for v in standing(shots)]}
    write_json(flags.out, {name: {**measured(name, shots), **still} for name in CODERS})
    print(json.dumps(json.loads(flags.out.read_text()), indent=1))
    return 0


def measured(coder: str, shots: list[np.ndarray]) -> dict[str, object]:
    """Means over clips and frames."""
    from semlink.codecs._sources.ladder import FACTORS

    psnr = {
        f"{factor:g}": [round(np.mean([coded(coder, s, bpp, factor)[0] for s in shots]), 2) for bpp in BITS_PER_PIXEL]
        for factor in FACTORS[:-1]
    }
    intra = np.mean([coded(coder, s, 0.125, 1.0)[1] for s in shots])
    return {"bpp": BITS_PER_PIXEL, "psnr": psnr, "intra": round(float(intra), 2)}


def coded(coder: str, shot: np.ndarray, bpp: float, factor: float) -> tuple[float, float]:
    """Mean PSNR of a clip `[frames, H, W, 3]` at most at that rate, and the bits of its first frame over the others'.

    Frames beyond the rate stand still, as they do on the way.
    """
    from semlink.codecs._sources.ladder import FACTORS, resized, size_at
    from semlink.codecs._sources.stream import CODERS, Decoder, Encoder

    height, width = shot.shape[1:3]
    small = size_at(height, width, FACTORS.index(factor))
    bits = bpp * height * width
    encoder, decoder = Encoder(CODERS[coder], *small, bits, AHEAD * bits), Decoder(CODERS[coder], *small)
    level, last, quality, sizes = AHEAD * bits, np.full_like(shot[0], 128), [], [1]
    for frame in shot:
        level = min(level + bits, (AHEAD + 1) * bits)
        if level >= 8 * sizes[-1] * (len(sizes) > 2):
            sent = encoder.encode(np.ascontiguousarray(resized(frame, *small)))
            found = decoder.decode(sent)
            last = last if found is None else resized(np.ascontiguousarray(found), height, width)
            level -= 8 * len(sent)
            sizes.append(len(sent))
        quality.append(decibels(frame, last))
    return float(np.mean(quality)), sizes[1] / max(1.0, float(np.mean(sizes[2:] or [1])))


def standing(shots: list[np.ndarray]) -> Iterator[float]:
    """Mean PSNR of frames against those that were 1, 2, ... before them."""
    for age in range(1, AGES + 1):
        pairs = [(s[age:], s[:-age]) for s in shots if len(s) > age]
        yield float(np.mean([decibels(a, b) for new, old in pairs for a, b in zip(new, old, strict=True)]))


def decibels(frame: np.ndarray, other: np.ndarray) -> float:
    """PSNR, at most 50 dB."""
    error = float(np.square(frame.astype(np.float64) - other).mean())
    return min(50.0, 10 * np.log10(255**2 / max(error, 1e-3)))


if __name__ == "__main__":
    cli.start(main, MeasureVideo())
