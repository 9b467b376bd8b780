"""What the separated baselines share: a real image coder, the payload of a whole picture, expected quality.

The transmitter picks the payload size with the best expected PSNR, p PSNR(bytes) + (1 - p) PSNR(flat), from the link's
success probabilities p and a rate-quality curve measured on training pictures (experiments/measure_rd.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._learned.shipped import DOMAINS, TABLES, is_small
from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import SourceCoder, coder
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.bits.success import success
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import read_json, reading
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Session, TxInfo

CURVES = TABLES / "rate_quality.json"
SUBSTITUTE = "hevc"
GREY = 0.5


class SeparatedCodec(ShownSettings):
    """Picture -> image coder -> one bits stream, `picture`, of exactly floor(rho n) channel uses.

    source: name of the image coder; a picture that the rate does not carry in full size is sent smaller (`ladder`). One
    that does not arrive is decoded as grey.
    """

    encodes_on = "link"

    def __init__(self, rho: float, source: str) -> None:
        if not 0 < rho <= 1:
            raise SemlinkError(f"rho must be within 0 and 1, got {rho:g}")
        self.rho = rho
        self.source: SourceCoder = coder(source)
        self.coders = {"picture": source}

    def uses(self, height: int, width: int) -> int:
        """Channel uses per picture."""
        return max(1, int(self.rho * 3 * height * width + 1e-6))

    def files(self) -> tuple[Path, ...]:
        """What the size of a payload depends on."""
        return (CURVES,)

    def quality(self, bytes_per_image: int, height: int, width: int) -> float:
        """Expected PSNR in dB of a training picture at that size; below the smallest measured rate, of a flat one."""
        curve = rate_curve(self.source.name, is_small(height, width))
        bpp = 8 * bytes_per_image / (height * width)
        return float(np.interp(np.log2(max(bpp, 1e-9)), np.log2(curve["bpp"]), curve["psnr"], left=curve["flat"]))

    def expected(self, chance: float, bytes_per_image: int, height: int, width: int) -> float:
        """Expected PSNR when the payload arrives with probability `chance` and is grey otherwise."""
        grey = rate_curve(self.source.name, is_small(height, width))["grey"]
        return chance * self.quality(bytes_per_image, height, width) + (1 - chance) * grey

    def payloads(self, images: Tensor, room: int) -> list[bytes]:
        """The bytes of each picture `[3, H, W]` in [0, 1], at most `room`; none where not even a colour fits."""
        coded = (ladder.code(self.source, to_uint8(image), room) for image in images)
        return [found.data if found else b"" for found in coded]

    def decode(self, reception: Reception) -> Tensor:
        """Pictures float32 `[batch, 3, H, W]`; grey where the payload is lost or cannot be decoded."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures the payload arrived and cannot be decoded."""
        payloads, session = cast(Sequence[bytes | None], reception.stream("picture").payload), reception.session
        found = [self._picture(payload, session) for payload in payloads]
        grey = torch.full((3, session.height, session.width), GREY)
        wrong = tuple(f is None and p is not None for f, p in zip(found, payloads, strict=True))
        return torch.stack([grey if picture is None else picture for picture in found]), wrong

    def _picture(self, payload: bytes | None, session: Session) -> Tensor | None:
        """None where there is none."""
        try:
            picture = ladder.read(self.source, payload or b"", session.height, session.width)
        except SemlinkError:
            return None
        return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)


def to_uint8(image: Tensor) -> np.ndarray:
    """A picture `[3, H, W]` in [0, 1] as uint8 `[H, W, 3]`."""
    return (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def over_awgn(tx: TxInfo | None, uses: int) -> dict[str, float]:
    """Probability by scheme that a payload of `uses` symbols arrives over AWGN, of which only the SNR is known."""
    snr_db = 10.0 if tx is None or tx.snr_db is None else float(np.min(tx.snr_db))
    sinr = np.full((1, uses), 10 ** (snr_db / 10))
    return {m.name: success(sinr, m) for m in TABLE}


@cache
def rate_curve(source: str, small: bool) -> dict:
    """Measured on training pictures: mean `psnr` at each `bpp`, and of `flat` (mean colour) and `grey` pictures.

    A coder that was not measured borrows the curve of HEVC, which only decides between schemes.
    """
    wrong = "a damaged table; take it from the package again"
    with reading(CURVES, wrong):
        curves = read_json(CURVES, wrong)["coders"][DOMAINS[small]]
        found = curves.get(source, curves[SUBSTITUTE])
        numbers = np.array([found["bpp"], found["psnr"]], float)
        if numbers.ndim != 2 or not np.isfinite([*numbers.flat, found["flat"], found["grey"]]).all():
            raise ValueError(f"curve of {source}")
    return found
