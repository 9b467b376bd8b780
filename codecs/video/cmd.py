"""A group of frames as one content frame and two planes of motion, each a stream of its own, decoded in one pass.

CMD (Yu et al., ICLR 2024; arXiv 2403.14148) taken for transmission: its autoencoder, without the two generators, with
sizes of our own. The content frame is sent by a picture codec, motion as analog symbols of its own, each sent more than
once because all frames stand on it. A group that holds a cut has two content frames; a protected byte says where, and a
group whose byte is lost is taken for one without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video._content_motion import ContentMotionNetwork, Split
from semlink.codecs.video._motion import CELL, padded
from semlink.codecs.video._nested import inner, picture_codec, renamed
from semlink.codecs.video._state import AUDIBLE, Shower
from semlink.codecs.video._transition import transition
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission
from semlink.simulator.video import Budget, Clip, Shown, VideoInfo

SHIPPED = WEIGHTS / "cmd.safetensors"
LENGTHS = (4, 8, 16)
HEAD, MOTION = "head", "motion"
HEAD_USES, HEAD_SCHEME = 64, "qpsk-0.25"
LEAST_RHO = 1 / 192  # of a content frame
_at_rate = lru_cache(maxsize=4)(picture_codec)  # groups have one content frame or two, and the last group is shorter


class Cmd:
    """Delay is the whole group.

    length: frames of a group, 4, 8 or 16. content: word of the picture codec of the content frame; settings are
    separated by semicolons. repeat: how often each symbol of motion is sent. weights: file of the network.
    """

    encodes_on = "snr"
    feedback = False

    def __init__(
        self,
        rho: float = 1 / 96,
        length: int = 8,
        content: str = "semlink:base=none",
        repeat: int = 1,
        weights: str | Path | None = None,
    ) -> None:
        if not 0 < rho <= 1 or length not in LENGTHS or not 1 <= repeat <= 8:
            raise SemlinkError(
                f"rho={rho:g}, length={length}, repeat={repeat}: give 0 < rho <= 1, a length of 4, 8 or 16, and 1 to 8"
            )
        self.rho, self.group, self.content, self.repeat = rho, length, content, repeat
        self.weights = Path(weights) if weights else SHIPPED
        self.picture_codec(1 / 12)

    def files(self) -> tuple[Path, ...]:
        """The network's, and those of the picture codec."""
        return *local(self.weights), *getattr(self.picture_codec(1 / 12), "files", tuple)()

    def check(self, height: int, width: int) -> None:
        """SemlinkError without weights, or where a group has no room for content."""
        clip = Clip(height, width)
        if self.content_rho(clip, self.group, 2) < LEAST_RHO:
            raise SemlinkError(
                f"cmd: {self.group} frames of {height}x{width} px at rho {self.rho:g} have no room for content; "
                "give a higher rate or a greater length"
            )

    @cached_property
    def network(self) -> ContentMotionNetwork:
        """With its weights."""
        if not self.weights.exists():
            raise SemlinkError(
                f"cmd: no {self.weights.name}; train with experiments/train_video.py --network cmd, give weights=FILE"
            )
        state, settings = read_weights(self.weights)
        return rebuilt(ContentMotionNetwork, settings, state, self.weights)

    def picture_codec(self, rho: float) -> Any:
        """That of the content frame, at a rate."""
        return _at_rate(self.content, rho)

    def uses(self, clip: Clip, frames: int) -> int:
        """Channel uses of a group of so many frames."""
        return frames * int(Budget.of(self.rho, clip).per_frame)

    def content_rho(self, clip: Clip, frames: int, scenes: int) -> float:
        """Rate of each of the content frames of a group."""
        left = self.uses(clip, frames) - HEAD_USES - self.motion_uses(clip, frames)
        exact = min(1.0, left / scenes / clip.dimensions)
        cell = getattr(self.picture_codec(1 / 12), "cell", 0)  # of a network, whose rates are whole planes of cells
        return math.floor(exact * 3 * cell**2) / (3 * cell**2) if cell else exact

    def motion_uses(self, clip: Clip, frames: int) -> int:
        """Channel uses of a group's motion."""
        return self.repeat * -(-self.network.latents * frames * sides(clip) // 2)

    def sender(self, clip: Clip) -> CmdSender:
        """The encoder, which remembers nothing."""
        return CmdSender(self, clip)

    def receiver(self, clip: Clip) -> CmdReceiver:
        """The decoder and the last frame."""
        return CmdReceiver(self, clip)


@dataclass
class CmdSender:
    """Splits a group; looks for its first cut. count: frames so far."""

    codec: Cmd
    clip: Clip
    count: int = 0

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A group `[length, 3, H, W]`: where it is cut, motion, and one content frame or two."""
        clips = padded(frames[: own_of(self.codec, self.clip, self.count)])
        self.count += len(clips)
        cut = first_cut(clips)
        scenes = scenes_of(cut, len(clips))
        rho = self.codec.content_rho(self.clip, len(clips), int(scenes.max()) + 1)
        if rho < LEAST_RHO or (tx.uses is not None and tx.uses < self.codec.uses(self.clip, len(clips))):
            return Transmission((Stream(HEAD, "bits", [b""], mcs=HEAD_SCHEME, uses=0),))
        split = self.codec.network.split(clips[None], scenes)
        head = Stream(HEAD, "bits", [bytes([cut])], mcs=HEAD_SCHEME, uses=HEAD_USES)
        teller = HEAD if cut else ""  # without a cut the streams are what they are in most groups, told or not
        motion = Stream(MOTION, "analog", motion_symbols(split.motion, self.codec.repeat), told_by=teller)
        content = (split.content[0, :, :, : self.clip.height, : self.clip.width] / 2 + 0.5).clamp(0, 1)
        sent = [self.codec.picture_codec(rho).encode(one[None], tx) for one in content]
        pictures = [stream for k, own in enumerate(sent) for stream in renamed(own.streams, _prefix(k), teller)]
        return Transmission((head, motion, *pictures), sent[0].session)


class CmdReceiver:
    """Joins what arrived; holds the last frame."""

    def __init__(self, codec: Cmd, clip: Clip) -> None:
        self.codec, self.clip = codec, clip
        self.shower = Shower(clip)

    def receive(self, reception: Reception) -> Shown:
        """The group `[length, 3, H, W]`. One whose head is lost is taken for one without a cut; where it had one, or
        nothing was sent or arrived, the last frame stands in its place.
        """
        length, own = self.codec.group, own_of(self.codec, self.clip, self.shower.count)
        scenes = self._scenes(reception, own)
        if scenes is None:
            return self._missed(own)
        content, heard = self._content(reception, own, int(scenes.max()) + 1)
        if float(heard.max()) < AUDIBLE:
            return self._missed(own)
        motion, a = self._motion(reception.stream(MOTION), own)
        found = self.codec.network.join(Split(content, motion), (heard, a), scenes)[0]
        shown = found[..., : self.clip.height, : self.clip.width].clamp(0, 1)
        self.shower.count += own - 1
        self.shower.show(shown[-1:])
        return Shown(torch.cat([shown, *[shown[-1:]] * (length - own)]), (False,) * length)

    def _missed(self, own: int) -> Shown:
        """The last frame in place of a group."""
        self.shower.count += own
        return Shown(self.shower.held().expand(self.codec.group, -1, -1, -1), (True,) * self.codec.group)

    def _scenes(self, reception: Reception, own: int) -> Tensor | None:
        """The scene of each frame, or None where the head tells of other streams than there are."""
        streams = {stream.name: stream for stream in reception.streams}
        head = cast(Any, streams[HEAD].payload)[0] if HEAD in streams else None
        cut = 0 if head is None else head[0] if head else own
        if cut >= own or MOTION not in streams:
            return None
        scenes = scenes_of(cut, own)
        there = [bool(inner(reception, _prefix(k))) for k in range(2)]
        symbols = cast(Tensor, streams[MOTION].x_hat).shape[1]
        whole = there == [True, bool(scenes.any())] and symbols == self.codec.motion_uses(self.clip, own)
        return scenes if whole else None

    def _content(self, reception: Reception, own: int, scenes: int) -> tuple[Tensor, Tensor]:
        """Content frames `[1, scenes, 3, H, W]`, padded, and the mean `a` of each."""
        codec = self.codec.picture_codec(self.codec.content_rho(self.clip, own, scenes))
        parts = [inner(reception, _prefix(k)) for k in range(scenes)]
        pictures = [codec.decode(replace(reception, streams=part)).detach().float().clamp(0, 1) for part in parts]
        return torch.stack([padded(one) for one in pictures], 1), torch.tensor([[_heard(part) for part in parts]])

    def _motion(self, stream: ReceivedStream, own: int) -> tuple[Tensor, Tensor]:
        """Motion and its reliability, as the network takes them."""
        x_hat, a, _ = forms.finite(cast(Tensor, stream.x_hat), cast(Tensor, stream.a))
        return heard_motion(x_hat, a, self.codec.repeat, (self.codec.network.latents, own, sides(self.clip)))


def sides(clip: Clip) -> int:
    """Rows and columns of cells."""
    return -(-clip.height // CELL) + -(-clip.width // CELL)


def own_of(codec: Cmd, clip: Clip, count: int) -> int:
    """Frames of a group that are the clip's own, after so many; both ends know."""
    return codec.group if clip.frames is None else max(1, min(codec.group, clip.frames - count))


def first_cut(frames: Tensor) -> int:
    """Number of the first frame `[length, 3, H, W]` of another scene than the one before it, or 0."""
    if len(frames) < 2:
        return 0
    cuts = transition(frames[1:], frames[:-1]).cut.nonzero()[:, 0].tolist()
    return cuts[0] + 1 if cuts else 0


def scenes_of(cut: int, length: int) -> Tensor:
    """Which scene each frame is of: 1 from the cut on; 0 says that there is none."""
    return (torch.arange(length) >= cut).long() if cut else torch.zeros(length, dtype=torch.long)


def motion_symbols(motion: Tensor, repeat: int) -> Tensor:
    """Numbers of motion `[batch, ...]` as symbols `[batch, k]` of mean power 1, all of them `repeat` times in turn."""
    flat = motion.flatten(1)
    flat = F.pad(flat, (0, flat.shape[1] % 2))
    symbols = torch.complex(*flat.chunk(2, 1))
    power = symbols.abs().square().mean(1, keepdim=True).clamp_min(1e-12)
    return (symbols / power.sqrt()).repeat(1, repeat)


def heard_motion(x_hat: Tensor, a: Tensor, repeat: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Motion and its `a`, `[batch, *shape]`: the least mean squared error of all that was heard of each symbol.

    Each x_hat = a x + noise of variance a (1 - a) says x_hat / (1 - a) with weight a / (1 - a).
    """
    x, a = x_hat.unflatten(1, (repeat, -1)), a.unflatten(1, (repeat, -1)).clamp(0, 1 - 1e-6)
    weight = (a / (1 - a)).sum(1)
    together = weight / (1 + weight)
    mean = (x / (1 - a)).sum(1) / (1 + weight)
    count = shape[0] * shape[1] * shape[2]
    values = torch.cat([mean.real, mean.imag], 1)[:, :count] * 2**0.5  # numbers of power 1
    return values.unflatten(1, shape), torch.cat([together, together], 1)[:, :count].unflatten(1, shape)


def _heard(streams: Sequence[ReceivedStream]) -> float:
    """Mean `a` of analog streams; of bits alone, whether all arrived."""
    rates = [float(forms.finite(s.x_hat, s.a)[1].mean()) for s in streams if s.x_hat is not None and s.a is not None]
    return sum(rates) / len(rates) if rates else float(all(s.ok is not None and s.ok[0] for s in streams))


def _prefix(number: int) -> str:
    return f"content{number}-"


PLUGIN = Cmd
