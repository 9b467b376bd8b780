"""The configuration of a sweep: what is asked, in words."""

from __future__ import annotations

from dataclasses import dataclass

from semlink.simulator.records.store import Condition
from semlink.simulator.words import parse


@dataclass(frozen=True)
class Sweep:
    """The configuration of a sweep; codecs and channels are words such as `tdl:model=C,speed=30,csi=perfect`."""

    codecs: tuple[str, ...]
    channels: tuple[str, ...]
    snr_db: tuple[float, ...]
    rho: tuple[float, ...]
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    data: str = "samples"
    limit: int | None = None
    seed: int = 0

    def conditions(self) -> tuple[Condition, ...]:
        """Every condition, sorted by SNR within a codec and rate, so that encodings can be shared."""
        chosen = {
            Condition(str(parse(codec)), float(rho), str(parse(channel)), float(snr))
            for codec in self.codecs for rho in self.rho for channel in self.channels for snr in self.snr_db
        }  # fmt: skip
        return tuple(sorted(chosen, key=lambda c: (c.codec, c.rho, c.snr_db, c.channel)))
