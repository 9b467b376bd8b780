"""Semantic frames over analog symbols: a reference, then changes, decoded with a cue that is trusted as it deserves.

A re-implementation from the published description of WVSC (Xie et al., WCNC 2025), with sizes of our own. No header is
sent: both ends know which frames are references. No weights are shipped yet: train them with
experiments/train_video.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video._motion import CELL, block_motion
from semlink.codecs.video._semantic import FADING_TRUST, Held, Motion, SemanticNetwork, new_trust, phase_of
from semlink.codecs.video._state import Shower, nothing_arrived
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission
from semlink.simulator.video import Budget, Clip, Shown, VideoInfo

SHIPPED = WEIGHTS / "wvsc.safetensors"
SNR_DB = 10.0  # taken where it is not known


class Wvsc:
    """One network for every SNR, rate and size.

    weights: file of the network. gop: frames from a reference to the next. boost: channel uses of a reference over the
    mean; the changes share the rest. intra: every frame by itself, which shows what the frames before are worth.
    """

    group = 1
    encodes_on = "snr"
    feedback = False

    def __init__(
        self,
        rho: float = 1 / 48,
        weights: str | Path | None = None,
        gop: int = 8,
        boost: float = 1.0,
        intra: bool = False,
    ) -> None:
        if not 0 < rho <= 1 or gop < 1 or not 1 <= boost <= max(1, gop):
            raise SemlinkError(f"rho={rho:g}, gop={gop}, boost={boost:g}: give 0 < rho <= 1 and 1 <= boost <= gop")
        self.rho, self.gop, self.boost, self.intra = rho, 1 if intra else gop, 1.0 if intra else boost, intra
        self.weights = Path(weights) if weights else SHIPPED

    @property
    def period(self) -> int:
        """Frames from a reference to the next."""
        return self.gop

    def files(self) -> tuple[Path, ...]:
        """The network's."""
        return local(self.weights)

    def check(self, height: int, width: int) -> None:
        """SemlinkError without weights."""
        _ = self.network

    @cached_property
    def network(self) -> SemanticNetwork:
        """With its weights."""
        if not self.weights.exists():
            raise SemlinkError(
                f"wvsc: no {self.weights.name}; train it with experiments/train_video.py and give weights=FILE"
            )
        state, settings = read_weights(self.weights)
        return rebuilt(SemanticNetwork, settings, state, self.weights)

    def sender(self, clip: Clip) -> WvscSender:
        """The encoder and the frame before."""
        return WvscSender(self, clip)

    def receiver(self, clip: Clip) -> WvscReceiver:
        """The decoder, the last frame and how far it is to be trusted."""
        return WvscReceiver(self, clip)

    def uses(self, clip: Clip, reference: bool) -> int:
        """Channel uses of a reference or of a change, where the bucket has them."""
        mean = Budget.of(self.rho, clip).per_frame
        boosted = self.boost * mean if self.gop > 1 else mean
        rest = (self.gop * mean - boosted) / max(1, self.gop - 1)
        cells = -(-clip.height // CELL) * -(-clip.width // CELL)
        return min(int(boosted if reference else rest), self.network.planes * cells)


@dataclass
class WvscSender:
    """before: the last frame `[1, 3, H, W]`, padded."""

    codec: Wvsc
    clip: Clip
    before: Tensor | None = None
    count: int = 0

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A frame `[1, 3, H, W]` as a reference or as a change, at most `tx.uses` symbols."""
        x, age = padded(frames), self.count % self.codec.gop
        motion = None
        if self.before is not None and not self.codec.intra:
            motion = Motion(self.before, block_motion(x, self.before))
        told = SNR_DB if tx.snr_db is None else float(torch.as_tensor(tx.snr_db).min())
        uses = self.codec.uses(self.clip, age == 0)
        uses = uses if tx.uses is None else min(uses, tx.uses)
        sent = self.codec.network.encode(x, motion, phase_of(age), uses, torch.tensor([told]))
        self.before, self.count = x, self.count + 1
        return Transmission((Stream("frame", "analog", sent),), Session(self.clip.height, self.clip.width))


class WvscReceiver:
    """Counts frames as the sender does. features: what the network keeps beside the frame."""

    def __init__(self, codec: Wvsc, clip: Clip) -> None:
        self.codec, self.clip, self.shower = codec, clip, Shower(clip)
        self.features: Tensor | None = None
        self.trust = torch.zeros(1)

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; the last one where nothing of it arrived."""
        age = self.shower.count % self.codec.gop
        if nothing_arrived(reception):
            self.trust = self.trust * FADING_TRUST
            return self.shower.again()
        stream: Any = reception.streams[0]
        x_hat, a, _ = forms.finite(stream.x_hat, stream.a)
        found = self.codec.network.decode(x_hat, a, self._held(), phase_of(age))
        self.features, self.trust = found.features, new_trust(self.trust, a, age == 0)
        return self.shower.show(found.frame[:, :, : self.clip.height, : self.clip.width].clamp(0, 1))

    def _held(self) -> Held:
        frame = padded(self.shower.held())
        if self.features is None or self.codec.intra:
            return self.codec.network.nothing(frame)
        return Held(frame, self.features, self.trust)


def padded(frames: Tensor) -> Tensor:
    """Frames with sides that a cell divides, their last rows and columns repeated."""
    height, width = frames.shape[2:]
    return F.pad(frames, (0, -width % CELL, 0, -height % CELL), mode="replicate")


PLUGIN = Wvsc
