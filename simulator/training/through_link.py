"""The real link as a training channel: each step meets one of the given links, with fresh fades and noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from semlink.simulator.link.link import Link
from semlink.simulator.values import Reception, Transmission


@dataclass(frozen=True)
class ThroughLink:
    """Gradients reach the encoder through power, OFDM, channel, estimation and equalisation."""

    links: tuple[Link, ...]

    def __call__(self, transmission: Transmission, snr_db: Tensor, generator: Generator) -> Reception:
        """Send the batch over one of the links, drawn like seed and noise from `generator`."""
        draw = torch.randint(1 << 31, (2,), generator=generator, device=generator.device).tolist()
        return self.links[draw[0] % len(self.links)](transmission, snr_db.tolist(), seed=draw[1])
