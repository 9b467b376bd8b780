"""What `wvsc` and `wvsc_d` have in common: settings, the sender, and the receiver without its diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video import _offers
from semlink.codecs.video._lack import Runs, choice, grown, power
from semlink.codecs.video._motion import CELL, moved, padded
from semlink.codecs.video._offers import HOLD, Offer
from semlink.codecs.video._semantic import (
    FADING_TRUST,
    Held,
    SemanticNetwork,
    Side,
    new_trust,
    normalised,
    taken,
)
from semlink.codecs.video._side import FIXED, ROBUST, RUNS, Told, flow_of, level_of, motion_of, scheme, uses_of
from semlink.codecs.video._state import AUDIBLE, Shower
from semlink.codecs.video._supposed import side_of, supposed, supposed_by_itself
from semlink.codecs.video._transition import flow_unless_cut
from semlink.simulator import forms
from semlink.simulator.bits.framing import room
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Receiver
from semlink.simulator.values import ReceivedStream, Reception, Session, Stream, Transmission
from semlink.simulator.video import Budget, Clip, Shown, VideoInfo

SIDE = "side"
SHIPPED = WEIGHTS / "wvsc.safetensors"
SNR_DB = 10.0  # taken where it is not known


class SemanticCodec:
    """One network for every SNR and size, and for rates from 1/192 to 1/16; at lower ones frames fall apart.

    weights: file of the network. gop: frames from a reference, which stands by itself, to the next; scenes begin with
    one too. boost: channel uses of the first frame over the mean; the rest share what is left. intra: every frame by
    itself, which shows what the frames before are worth.
    """

    group = 1
    encodes_on = "snr"
    feedback = False

    def __init__(
        self,
        rho: float = 1 / 48,
        weights: str | Path | None = None,
        gop: int = 64,
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
        """SemlinkError without weights, or where what is told of a frame leaves no room for its symbols."""
        _ = self.network
        mean = Budget.of(self.rho, Clip(height, width)).per_frame
        if self.uses(Clip(height, width), False) <= uses_of(mean, ROBUST):
            raise SemlinkError(
                f"wvsc: rho {self.rho:g} gives {mean:g} channel uses a frame, too few: "
                "give a higher rate or larger frames"
            )

    @cached_property
    def network(self) -> SemanticNetwork:
        """With its weights."""
        if not self.weights.exists():
            raise SemlinkError(
                f"wvsc: no {self.weights.name}; train it with experiments/train_video.py and give weights=FILE"
            )
        state, settings = read_weights(self.weights)
        return rebuilt(SemanticNetwork, settings, state, self.weights)

    def sender(self, clip: Clip) -> SemanticSender:
        """The encoder and the frame before."""
        return SemanticSender(self, clip)

    def receiver(self, clip: Clip) -> Receiver:
        """The decoder, the last frame and how far it is to be trusted."""
        return SemanticReceiver(self, clip)

    def uses(self, clip: Clip, reference: bool) -> int:
        """Channel uses of a reference or of another frame."""
        mean = Budget.of(self.rho, clip).per_frame
        if self.gop == 1:
            return int(mean)
        return int(self.boost * mean if reference else (self.gop - self.boost) * mean / (self.gop - 1))


@dataclass
class SemanticSender:
    """before: the last frame `[1, 3, H, W]`, padded. lack: of the receiver, by plane. age: frames since a reference."""

    codec: SemanticCodec
    clip: Clip
    before: Tensor | None = None
    lack: Tensor | None = None
    age: int = 0

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A frame `[1, 3, H, W]`: what is told of it, and at most `tx.uses` symbols in all."""
        x = padded(frames)
        snr_db = SNR_DB if tx.snr_db is None else float(torch.as_tensor(tx.snr_db).min())
        mean = Budget.of(self.codec.rho, self.clip).per_frame
        mcs = scheme(snr_db)
        size = uses_of(mean, mcs)
        offer, intra = self._motion(x, room(size, mcs) - FIXED)
        self.age = 0 if intra else self.age + 1
        uses = self.codec.uses(self.clip, intra and self.before is None)
        uses = (uses if tx.uses is None else min(uses, tx.uses)) - size
        if uses < 1:
            return Transmission((Stream(SIDE, "bits", [b""], mcs=mcs.name, uses=0),))
        symbols, told = self._symbols(x, offer, intra, uses, snr_db)
        self.before = x
        side = Stream(SIDE, "bits", [told.pack()], mcs=mcs.name, uses=size)
        return Transmission((side, Stream("frame", "analog", symbols)), Session(self.clip.height, self.clip.width))

    def _motion(self, x: Tensor, most: int) -> tuple[Offer, bool]:
        """From the frame before, and whether this one stands by itself."""
        still = Offer(HOLD, b"", 1.0)
        if self.before is None or self.codec.intra or self.age + 1 >= self.codec.gop:
            return still, True
        flow = flow_unless_cut(x, self.before)
        if flow is None:
            return still, True
        return motion_of(x, self.before, flow, most), False

    def _symbols(self, x: Tensor, offer: Offer, intra: bool, uses: int, snr_db: float) -> tuple[Tensor, Told]:
        """The run that is worth most, and what is told of it."""
        network, told = self.codec.network, torch.tensor([snr_db])
        z = network.encode(x, told)
        own = new = power(z, network.worth)
        if not intra and self.before is not None:
            flow = _offers.unpack(offer.motion, offer.mode, x.shape[2], x.shape[3])
            new = power(z - network.encode(moved(self.before, flow), told), network.worth)
        runs = Runs(network.planes, z.shape[2] * z.shape[3], min(uses, z.numel()))
        lack = grown(self.lack, own, new, torch.tensor([intra]))
        run, self.lack = choice(lack, own, network.worth, torch.tensor([1 / (1 + 10 ** (-snr_db / 10))]), runs, RUNS)
        symbols, scale = normalised(taken(z, runs.starts[run], runs.uses))
        return symbols, Told(int(run), level_of(float(scale)), intra, offer.mode, offer.motion)


class SemanticReceiver:
    """features: what the network keeps beside the frame. trust: in both. scales (by run), flow: those last told.

    heard: mean `a` of the last frame's symbols. anew: whether it stands by itself.
    """

    def __init__(self, codec: SemanticCodec, clip: Clip) -> None:
        self.codec, self.clip, self.shower = codec, clip, Shower(clip)
        self.features: Tensor | None = None
        self.trust = torch.zeros(1)
        self.scales: dict[int, float] = {}
        self.flow = torch.zeros(1, 2, 1, 1)
        self.heard, self.anew = 0.0, True

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; what is not told of it is supposed, and where that fails it is the last one."""
        streams = {stream.name: stream for stream in reception.streams}
        if "frame" not in streams:
            return self._missed()
        x_hat, a, _ = forms.finite(cast(Tensor, streams["frame"].x_hat), cast(Tensor, streams["frame"].a))
        told = _told(streams.get(SIDE))
        side = self._supposed(x_hat, a) if told is None else self._side(told, x_hat.shape[1])
        if side is None:
            return self._missed()
        found = self.codec.network.decode(x_hat, a, side, self._held(bool(side.intra)))
        self.features, self.trust = found.features, new_trust(self.trust, a, side.intra)
        self.heard, self.anew = float(a.mean()), bool(side.intra)
        return self.shower.show(found.frame[:, :, : self.clip.height, : self.clip.width].clamp(0, 1))

    def _missed(self) -> Shown:
        self.trust = self.trust * FADING_TRUST
        return self.shower.again()

    def _runs(self, uses: int) -> Runs:
        count = -(-self.clip.height // CELL) * -(-self.clip.width // CELL)
        return Runs(self.codec.network.planes, count, uses)

    def _side(self, told: Told, uses: int) -> Side:
        height, width = self._held(told.intra).frame.shape[2:]
        self.scales[told.run], self.flow = told.scale, flow_of(told, height, width)
        return side_of(self._runs(uses), told.run, told.scale, told.intra, self.flow)

    def _supposed(self, x_hat: Tensor, a: Tensor) -> Side | None:
        runs, network = self._runs(x_hat.shape[1]), self.codec.network
        if float(a.mean()) < AUDIBLE:
            return None
        if self.features is None or self.codec.gop == 1:
            return supposed_by_itself(network, runs, self.scales)
        return supposed(network, (x_hat, a), self._held(False), runs, self.scales, self.flow)

    def _held(self, intra: bool) -> Held:
        frame = padded(self.shower.held())
        if self.features is None or intra:
            return self.codec.network.nothing(frame)
        return Held(frame, self.features, self.trust)


def _told(side: ReceivedStream | None) -> Told | None:
    data = side.payload[0] if side and side.payload else None
    return None if data is None else Told.unpack(data)
