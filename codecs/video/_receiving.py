"""The receiver of H.265 and H.264: decodes in order, tells what is lost, and waits for it with what comes after.

Meanwhile the last picture stands.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._sources import ladder
from semlink.codecs._sources.stream import Coder, Decoder
from semlink.codecs.video._packets import received
from semlink.codecs.video._state import Shower
from semlink.codecs.video._units import Packed, parted
from semlink.simulator.values import Reception
from semlink.simulator.video import Clip, Feedback, Shown

HELD = 32  # coded frames that wait for one before them, at most
PATIENCE = 12  # frames in which what is missing does not come, after which an intra frame is asked for, and again


class ClassicalReceiver:
    """Decodes, and holds the last picture while one is missing. tells: whether the sender hears of it."""

    def __init__(self, coder: Coder, clip: Clip, tells: bool) -> None:
        self.coder, self.clip, self.tells = coder, clip, tells
        self.shower = Shower(clip)
        self.decoder: Decoder | None = None
        self.next = 0  # number of the following frame that is due
        self.held: dict[int, bytes] = {}  # by number, those that came before it
        self.patience = PATIENCE

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; concealed, too, where what arrived is older than its time."""
        sent = received(reception)
        packed = (parted(sent) if sent else None) or Packed(())
        pictures = [self._taken(unit) for unit in packed.units]
        newest = next((picture for picture in reversed(pictures) if picture is not None), None)
        if newest is None:
            return self.shower.again(self._report(sent is None))
        self.patience = PATIENCE
        return self.shower.show(self._whole(newest), concealed=packed.late or bool(self.held))

    def _whole(self, picture: np.ndarray) -> Tensor:
        """A picture as it is shown, `[1, 3, H, W]`."""
        whole = ladder.resized(np.ascontiguousarray(picture), self.clip.height, self.clip.width)
        return torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255

    def _taken(self, unit: bytes) -> np.ndarray | None:
        """The picture that a coded frame leads to, if any."""
        if self.coder.kind(unit) in self.coder.intra:
            return self._begun(unit)
        if self.decoder is None:
            return None
        number = self.coder.number_of(unit)
        if (number - self.next) % self.coder.numbers < self.coder.numbers // 2 and len(self.held) < HELD:
            self.held[number] = unit
        return self._caught_up(self.decoder)

    def _begun(self, unit: bytes) -> np.ndarray | None:
        """The same of an intra frame, whose second byte tells its size."""
        self.decoder, self.held, self.next = None, {}, 1
        if len(unit) < 3 or unit[1] >= len(ladder.FACTORS):
            return None
        decoder = Decoder(self.coder, *ladder.size_at(self.clip.height, self.clip.width, unit[1]))
        picture = decoder.decode(unit[:1] + unit[2:])
        self.decoder = None if picture is None else decoder
        return picture

    def _caught_up(self, decoder: Decoder) -> np.ndarray | None:
        picture = None
        while self.next in self.held:
            picture = decoder.decode(self.held.pop(self.next))
            self.next = (self.next + 1) % self.coder.numbers
            if picture is None:  # damaged: nothing that follows can be trusted
                self.decoder, self.held, self.patience = None, {}, 0
        return picture

    def _report(self, lost: bool) -> Feedback | None:
        """That a packet is lost, or that waiting does not help."""
        self.patience -= lost or bool(self.held) or self.decoder is None
        anew = self.patience <= 0
        self.patience = PATIENCE if anew else self.patience
        return Feedback(self.shower.count, lost, anew=anew) if self.tells and (lost or anew) else None
