"""Which planes of a semantic frame a receiver lacks most, as a sender estimates it: by what was sent and what is new.

Squared error of pixels per plane, `[batch, planes]`. A plane's error is its own power before it is sent, what noise
leaves once it has been, less each time, and grows by what motion did not explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def power(z: Tensor, worth: Tensor) -> Tensor:
    """Of the planes of semantic frames complex64 `[batch, planes, h, w]`, in squared error of pixels."""
    return z.abs().square().mean((2, 3)) * worth


def grown(lack: Tensor | None, own: Tensor, new: Tensor, intra: Tensor) -> Tensor:
    """Before a frame is sent. own: power of its planes; new: that of what motion leaves of them; intra: bool `[batch]`,
    the receiver starts anew.
    """
    if lack is None:
        return own
    return torch.where(intra[:, None], own, torch.minimum(lack + new, own))


@dataclass(frozen=True)
class Runs:
    """The runs of `uses` symbols in semantic frames of so many planes of `count` symbols; the last ends at the end."""

    planes: int
    count: int
    uses: int

    @property
    def number(self) -> int:
        """How many there are, at least one."""
        return max(1, -(-self.planes * self.count // self.uses))

    @property
    def starts(self) -> Tensor:
        """First symbol of each, int64 `[number]`."""
        last = max(0, self.planes * self.count - self.uses)
        return (torch.arange(self.number) * self.uses).clamp_max(last)

    def shares(self) -> Tensor:
        """Of each plane, what is in each run, `[number, planes]`."""
        first = torch.arange(self.planes) * self.count
        begin, end = self.starts[:, None], self.starts[:, None] + self.uses
        return (torch.minimum(end, first + self.count) - torch.maximum(begin, first)).clamp_min(0) / self.count


def choice(lack: Tensor, own: Tensor, worth: Tensor, a: Tensor, runs: Runs, most: int = 64) -> tuple[Tensor, Tensor]:
    """The run `[batch]` of the first `most` that is worth most, and what is lacking after it.

    a: reliability `[batch]` of symbols of unit power, which those of a run have on average; a receiver that knows what
    it lacks puts what it hears in its place with the weight of least squares.
    """
    shares = runs.shares()[:most]
    scale = (own / worth) @ shares.T / shares.sum(1)
    noise = (scale * (1 / a - 1)[:, None])[..., None] * worth
    gain = lack[:, None].square() / (lack[:, None] + noise).clamp_min(1e-12) * shares
    best = gain.sum(2).argmax(1)
    return best, lack - gain[torch.arange(len(lack)), best]
