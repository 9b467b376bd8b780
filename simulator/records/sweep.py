"""The configuration of a sweep: what is asked, in words."""

from __future__ import annotations

from dataclasses import dataclass

from semlink.simulator.records.store import Condition
from semlink.simulator.words import parse


@dataclass(frozen=True)
class Sweep:
    """The configuration of a sweep; codecs and channels are words such as `tdl:model=C,speed=30,csi=perfect`.

    target_ci: half of a 95 % interval at which a condition has been measured on enough pictures: in dB for metrics in
    dB, for others as a share of the mean. target_lost: pictures that lost bits, of which it needs so many before.
    """

    codecs: tuple[str, ...]
    channels: tuple[str, ...]
    snr_db: tuple[float, ...]
    rho: tuple[float, ...]
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    data: str = "samples"
    limit: int | None = None
    seed: int = 0
    target_ci: float | None = None
    target_lost: int | None = None

    @property
    def stops(self) -> bool:
        """Whether conditions may have been measured on enough pictures before the set is at its end."""
        return self.target_ci is not None or self.target_lost is not None

    def conditions(self) -> tuple[Condition, ...]:
        """Every condition, sorted by SNR within a codec and rate, so that encodings can be shared."""
        chosen = {
            Condition(str(parse(codec)), float(rho), str(parse(channel)), float(snr))
            for codec in self.codecs for rho in self.rho for channel in self.channels for snr in self.snr_db
        }  # fmt: skip
        return tuple(sorted(chosen, key=lambda c: (c.codec, c.rho, c.snr_db, c.channel)))
