"""What every video codec must do, as one call; AssertionErrors tell the numbers. Our own pass through the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semlink.simulator.conformance.fresh import fresh_process
from semlink.simulator.live.session import Air, Passed, Session, Way, check_shown
from semlink.simulator.plugins import make_link
from semlink.simulator.values import ReceivedStream, Reception
from semlink.simulator.video import Clip
from semlink.simulator.words import parse

SNR_DB = 20.0
SIDE, FRAMES = 64, 12
LONG = 300  # frames over which nothing may grow
STATE_FRAMES = 64  # frames' worth of float32 pixels that a pickled end may hold, and a megabyte
SPARE = 1 << 20
Damage = Callable[[int, Reception], Reception]


def check_video_codec(codec: Any, side: int = SIDE, floor_db: float = 12.0, long: int = LONG) -> None:
    """Check a video codec on a moving pattern over a good link.

    What it declares; a sound frame for every frame, above `floor_db` PSNR on average, whatever was lost, repeated,
    exchanged or damaged; the same result twice; what is charged is what is sent, and within the budget; receivers that
    show the same in a fresh process, from the start or from the middle of a clip; ends that pickle and whose state does
    not grow over `long` frames.
    """
    check_declarations(codec)
    frames = moving_pattern(FRAMES, side)
    heard = check_clean(codec, frames, floor_db)
    for name, damage in DAMAGES.items():
        check_damaged(codec, frames, name, damage())
    check_fresh_receiver(codec, frames, heard)
    check_moved_sender(codec, frames)
    check_bounded(codec, side, long)


def check_declarations(codec: Any) -> None:
    """Group, rate, what it encodes on, and files that are there."""
    assert codec.encodes_on in ("nothing", "snr", "link"), f"encodes_on is {codec.encodes_on!r}"
    assert isinstance(codec.group, int) and codec.group >= 1, f"group is {codec.group!r}, not a number of frames"
    assert isinstance(codec.feedback, bool), "feedback must say whether it reads reports of the receiver"
    files = codec.files()
    assert isinstance(files, tuple) and all(isinstance(path, Path) and path.exists() for path in files), f"{files}"


class Heard:
    """Takes down what a receiver hears; disturbs it first."""

    def __init__(self, damage: Damage = lambda frame, reception: reception) -> None:
        self.receptions: list[Reception] = []
        self._damage = damage

    def __call__(self, frame: int, reception: Reception) -> Reception:
        self.receptions.append(self._damage(frame, reception))
        return self.receptions[-1]


def sent(codec: Any, frames: Tensor, heard: Heard) -> tuple[list[Passed], Session]:
    """A clip's way."""
    clip = clip_of(frames)
    session = Session(codec, clip, Air(make_link(parse("awgn")), SNR_DB), disturb=heard)
    return [passed for passed, _ in Way(session, frames)], session


def clip_of(frames: Tensor) -> Clip:
    """What both ends know of frames `[frames, 3, H, W]`."""
    return Clip(frames.shape[2], frames.shape[3], frames=len(frames))


def check_clean(codec: Any, frames: Tensor, floor_db: float) -> list[Reception]:
    """Quality, determinism and account over a good link; what was heard."""
    heard = Heard()
    found, session = sent(codec, frames, heard)
    error = torch.stack([(p.shown.frames - p.frames).square().mean() for p in found]).double()
    psnr = float((-10 * error.clamp_min(1e-10).log10()).mean())
    assert psnr > floor_db, f"mean PSNR over a good link is {psnr:.2f} dB, below {floor_db}"
    again, _ = sent(codec, frames, Heard())
    for one, other in zip(found, again, strict=True):
        assert one.uses == other.uses, f"frame {one.frame} takes {one.uses} uses, and then {other.uses}"
        assert torch.allclose(one.shown.frames, other.shown.frames, atol=1e-4), f"frame {one.frame} differs twice"
    charged = sum(sum(p.uses.values()) + p.feedback for p in found)
    assert charged == session.account.uses, f"{session.account.uses} uses charged, {charged} sent"
    most = int(session.bucket.budget.per_frame) * len(frames)
    assert charged <= most, f"{charged} uses for {len(frames)} frames, of which {most} are allowed"
    return heard.receptions


def check_damaged(codec: Any, frames: Tensor, name: str, damage: Damage) -> None:
    """A frame for every frame, which the session checks, and for one that is lost word of it."""
    found, _ = sent(codec, frames, Heard(damage))
    shown = sum(len(p.shown.concealed) for p in found)
    assert shown >= len(frames), f"{shown} frames shown for {len(frames)}, {name}"
    if name == "all lost":
        told = [all(p.shown.concealed) for p in found]
        assert all(told), f"frames of which nothing arrived are not said to be concealed: {told}"


def lost(frame: int, reception: Reception) -> Reception:
    """The same with nothing arrived."""
    return replace(reception, streams=tuple(map(_lost, reception.streams)))


def _lost(stream: ReceivedStream) -> ReceivedStream:
    if stream.kind == "analog":
        assert stream.x_hat is not None and stream.a is not None
        return replace(stream, x_hat=stream.x_hat * 0, a=stream.a * 0)
    none = tuple(None for _ in stream.payload or ())
    return replace(stream, payload=none, ok=tuple(False for _ in none))


def corrupted(frame: int, reception: Reception) -> Reception:
    """The same with other bytes in every payload, as if a CRC had missed them, headers too, and other symbols."""
    return replace(reception, streams=tuple(_corrupted(stream, frame) for stream in reception.streams))


def _corrupted(stream: ReceivedStream, seed: int) -> ReceivedStream:
    generator = torch.Generator().manual_seed(seed)
    if stream.kind == "analog":
        assert stream.x_hat is not None
        return replace(stream, x_hat=stream.x_hat[:, torch.randperm(stream.x_hat.shape[1], generator=generator)])
    return replace(stream, payload=tuple(None if p is None else _other(p, generator) for p in stream.payload or ()))


def _other(payload: bytes, generator: torch.Generator) -> bytes:
    """A third of the bytes replaced, the first always."""
    found = torch.tensor(list(payload), dtype=torch.uint8)
    mask = torch.rand(len(found), generator=generator) < 0.34
    mask[:1] = True
    random = torch.randint(256, found.shape, generator=generator, dtype=torch.uint8)
    return bytes(torch.where(mask, random, found).tolist())


class Earlier:
    """Every third reception in place of the next one: repeated, and one lost."""

    def __init__(self) -> None:
        self.held: Reception | None = None

    def __call__(self, frame: int, reception: Reception) -> Reception:
        """The reception before, at times."""
        before, self.held = self.held, reception
        return before if before is not None and frame % 3 == 2 else reception


class Exchanged:
    """Two receptions in the other order, as far as one end can: the older one comes again after the newer."""

    def __init__(self) -> None:
        self.seen: list[Reception] = []

    def __call__(self, frame: int, reception: Reception) -> Reception:
        """The last but two in place of every fourth."""
        self.seen = [*self.seen[-2:], reception]
        return self.seen[0] if frame % 4 == 3 else reception


def some(damage: Damage, which: Callable[[int], bool]) -> Callable[[], Damage]:
    """The damage to those frames."""
    return lambda: lambda frame, reception: damage(frame, reception) if which(frame) else reception


DAMAGES: dict[str, Callable[[], Damage]] = {
    "all lost": some(lost, lambda frame: True),
    "the first lost": some(lost, lambda frame: frame == 0),
    "every third lost": some(lost, lambda frame: frame % 3 == 1),
    "bytes and symbols damaged": some(corrupted, lambda frame: frame % 2 == 1),
    "repeated": Earlier,
    "exchanged": Exchanged,
}


def check_fresh_receiver(codec: Any, frames: Tensor, heard: Sequence[Reception]) -> None:
    """A receiver in a new process shows the same, and so does one that moves there in the middle of the clip."""
    clip = clip_of(frames)
    here = _shown(codec.receiver(clip), heard)
    half = len(heard) // 2
    moving = codec.receiver(clip)
    first = _shown(moving, heard[:half])
    with fresh_process() as pool:
        there = pool.submit(_in_fresh_process, codec, clip, heard).result()
        second = pool.submit(_shown, moving, heard[half:]).result()
    assert torch.allclose(here, there, atol=1e-4), "a receiver in a fresh process shows other frames"
    moved = torch.cat([first, second])
    assert torch.allclose(here, moved, atol=1e-4), "a receiver that moves in the middle of a clip shows other frames"


def _in_fresh_process(codec: Any, clip: Clip, heard: Sequence[Reception]) -> Tensor:
    return _shown(codec.receiver(clip), heard)


def _shown(receiver: Any, heard: Sequence[Reception]) -> Tensor:
    with torch.no_grad():
        return torch.cat([receiver.receive(reception).frames for reception in heard])


def check_moved_sender(codec: Any, frames: Tensor) -> None:
    """A sender that was pickled goes on, and the receiver with it."""
    clip = clip_of(frames)
    session = Session(codec, clip, Air(make_link(parse("awgn")), SNR_DB))
    for place, (passed, _) in enumerate(Way(session, frames)):
        check_shown(passed.shown, passed.frames)
        if place == 1:
            session.sender = pickle.loads(pickle.dumps(session.sender))


def check_bounded(codec: Any, side: int, long: int) -> None:
    """Neither end holds more than a share of the frames that it has seen."""
    clip = Clip(side, side)
    session = Session(codec, clip, Air(make_link(parse("awgn")), SNR_DB))
    pattern = moving_pattern(8, side)
    for _ in Way(session, (pattern[i % 8] for i in range(long))):
        pass
    most = SPARE + STATE_FRAMES * 4 * clip.dimensions
    for name, end in (("sender", session.sender), ("receiver", session.receiver)):
        size = len(pickle.dumps(end)) - len(pickle.dumps(codec))
        assert size <= most, f"the {name} holds {size} bytes after {long} frames, at most {most} are allowed"


def moving_pattern(frames: int, side: int) -> Tensor:
    """A smooth random picture that moves, float32 `[frames, 3, side, side]` in [0, 1]."""
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(coarse, (2 * side, 2 * side), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([large[:, t : t + side, 2 * t % side : 2 * t % side + side] for t in range(frames)])
