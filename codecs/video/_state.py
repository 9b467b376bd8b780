"""What receivers of video codecs have in common: the last frame, shown again where one is lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semlink.simulator.values import Reception
from semlink.simulator.video import Clip, Feedback, Shown

GREY = 0.5  # before anything has arrived
AUDIBLE = 0.02  # mean `a` of symbols from which on something has


@dataclass
class Shower:
    """Puts out a frame for every call. last: `[1, 3, H, W]`, as levels of 8 bits, or None. count: frames so far."""

    clip: Clip
    last: Tensor | None = None
    count: int = 0

    def show(self, frame: Tensor, feedback: Feedback | None = None, concealed: bool = False) -> Shown:
        """A frame `[1, 3, H, W]` that arrived. concealed: it is older than the one that it stands for."""
        self.last = (frame * 255).round().to(torch.uint8)
        self.count += 1
        return Shown(frame, (concealed,), feedback)

    def again(self, feedback: Feedback | None = None) -> Shown:
        """The last frame in place of one that was lost; grey before the first."""
        self.count += 1
        return Shown(self.held(), (True,), feedback)

    def held(self) -> Tensor:
        """The last frame, `[1, 3, H, W]`."""
        if self.last is None:
            return torch.full((1, 3, self.clip.height, self.clip.width), GREY)
        return self.last.float() / 255


def nothing_arrived(reception: Reception) -> bool:
    """Whether every stream of the reception's first image is lost, bits and symbols."""
    bits = [s.payload[0] for s in reception.streams if s.payload]
    reliable = [float(torch.nan_to_num(s.a[:1]).max()) for s in reception.streams if s.a is not None and s.a.numel()]
    return all(payload is None for payload in bits) and all(a <= 0 for a in reliable)
