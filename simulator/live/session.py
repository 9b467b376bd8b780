"""A clip over one link: its fade and noise go on from frame to frame, in the time that passes between frames.

Frame t is sent from the first free slot on that is not before t / fps. What the receiver tells back arrives `delay`
frames later and is charged; it comes from no fade of its own, so an uplink as good as the downlink's header is assumed.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from semlink.channels.base.fade import Fade
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.fades import identity
from semlink.simulator.link.link import Link
from semlink.simulator.live.account import Account
from semlink.simulator.live.latency import Spans
from semlink.simulator.protocols import Receiver, Sender, VideoCodec
from semlink.simulator.rng import generator
from semlink.simulator.values import LinkReport, LinkStatistics, Reception
from semlink.simulator.video import FEEDBACK_USES, Bucket, Budget, Clip, Feedback, Shown, VideoInfo

FEEDBACK_DELAY = 2  # frames from a group's first to the first that a report on it can change


@dataclass(frozen=True)
class Air:
    """The link of a clip. number: of the clip, by which fade and noise are drawn. delay: frames of the feedback."""

    link: Link
    snr_db: float
    seed: int = 0
    number: int = 0
    delay: int = FEEDBACK_DELAY

    def fade(self) -> Fade:
        """The clip's fade; another for each number, the same for all codecs and SNRs."""
        channel = self.link.channel
        return channel.draw(generator("fade", self.seed, identity(channel), "clip", self.number), 1)


@dataclass(frozen=True)
class Passed:
    """A group after its way. frame: number of its first frame. uses: by stream; feedback: of the report told back.

    late_s: by how much it was sent after its frames, because the air was busy. encode_s, decode_s: of the group, as
    time passed.
    """

    frame: int
    frames: Tensor
    shown: Shown
    uses: Mapping[str, int]
    feedback: int
    report: LinkReport
    late_s: float
    encode_s: float
    decode_s: float

    @property
    def measured(self) -> Spans:
        """Where its time went by the clock on the wall; that on air is of the grid."""
        return Spans(self.encode_s, self.late_s, self.report.air_time_s[0], self.decode_s)

    @property
    def simulated(self) -> Spans | None:
        """As the codec's own clock says; None of a codec without one."""
        took = self.shown.took_s
        return None if took is None else Spans(0.0, self.late_s, self.report.air_time_s[0], took)

    @property
    def lost_blocks(self) -> int:
        """Code blocks that did not arrive."""
        return sum(self.report.block_errors)


class Session:
    """A clip's way, group by group: thin state, whose size does not grow.

    disturb: what happens to a reception before the receiver gets it, by frame number; for tests. clock: seconds.
    SemlinkError from `step` for a sender that spends more than it may, or a receiver that shows something else.
    """

    def __init__(
        self,
        codec: VideoCodec,
        clip: Clip,
        air: Air,
        clock: Callable[[], float] = time.perf_counter,
        disturb: Callable[[int, Reception], Reception] = lambda frame, reception: reception,
    ) -> None:
        self.codec, self.clip, self.air = codec, clip, air
        self.sender: Sender = codec.sender(clip)
        self.receiver: Receiver = codec.receiver(clip)
        self.bucket = Bucket.full(Budget.of(codec.rho, clip))
        self.account = Account()
        self.frame, self.slot = 0, 0
        self._clock, self._disturb, self._fade = clock, disturb, air.fade()
        self._told: deque[tuple[int, Feedback]] = deque()
        self._known = self._statistics()

    def step(self, frames: Tensor, own: int | None = None) -> Passed:
        """Send the next group `[codec.group, 3, H, W]` and show it. own: how many are the clip's, and no copies."""
        own = len(frames) if own is None else own
        self.bucket = self.bucket.filled(own)
        started = self._clock()
        transmission = self.sender.send(frames, self._info())
        encoded = self._clock()
        late_s = self._wait()
        result = self.air.link.run(
            transmission, self.air.snr_db, self.air.seed, self.air.number, self._fade, start_slot=self.slot
        )
        self.slot += self.slots_of(result.report)
        uses = {name: own[0] for name, own in result.report.uses.items()}
        self._check_spent(sum(uses.values()))
        received = self._clock()
        shown = self.receiver.receive(self._disturb(self.frame, result.reception))
        decoded = self._clock()
        check_shown(shown, frames)
        feedback = self._tell(shown.feedback)
        self.bucket = self.bucket.spent(sum(uses.values()) + feedback)
        self.account = self.account.after(own, uses, feedback)
        times = (late_s, encoded - started, decoded - received)
        passed = Passed(self.frame, frames, shown, uses, feedback, result.report, *times)
        self.frame += own
        return passed

    def slots_of(self, report: LinkReport) -> int:
        """Slots that a transmission took."""
        grid = self.air.link.grid
        return report.uses_on_air[0] // (grid.symbols * grid.subcarriers)

    def _wait(self) -> float:
        """Go on to the slot of the frame; seconds by which it is missed."""
        slot_time = self.air.link.grid.slot_time
        due = math.ceil(self.frame / self.clip.fps / slot_time - 1e-9)
        late = max(0, self.slot - due) * slot_time
        self.slot = max(self.slot, due)
        return late

    def _info(self) -> VideoInfo:
        """What the sender knows now."""
        told = []
        while self._told and self._told[0][0] <= self.frame:
            told.append(self._told.popleft()[1])
        known = None if self.codec.encodes_on == "nothing" else self.air.snr_db
        seed = self.air.link.tx_info(self.air.snr_db, seed=self.air.seed).public_seed
        return VideoInfo(known, max(0, self.bucket.uses), self._known, seed, self.frame, tuple(told))

    def _statistics(self) -> LinkStatistics | None:
        """Of payloads of a frame's uses."""
        if self.codec.encodes_on != "link":
            return None
        return self.air.link.statistics(self.air.snr_db, max(1, int(self.bucket.budget.per_frame)))

    def _check_spent(self, uses: int) -> None:
        if uses > max(0, self.bucket.uses):
            raise SemlinkError(
                f"{type(self.codec).__name__}: {uses} channel uses for frame {self.frame}, of which it may spend "
                f"{max(0, self.bucket.uses)}; send less, tx.uses says how much"
            )

    def _tell(self, feedback: Feedback | None) -> int:
        """Put a report on its way; the channel uses that it takes."""
        if feedback is None or not self.codec.feedback:
            return 0
        self._told.append((self.frame + self.air.delay, feedback))
        return FEEDBACK_USES


def check_shown(shown: Shown, frames: Tensor) -> None:
    """SemlinkError unless there is a sound frame for every frame."""
    found = shown.frames
    if found.shape != frames.shape or len(shown.concealed) != len(frames) or not found.is_floating_point():
        raise SemlinkError(f"a receiver showed {list(found.shape)} {found.dtype} for frames {list(frames.shape)}")
    if not bool(torch.isfinite(found).all()) or float(found.min()) < 0 or float(found.max()) > 1:
        raise SemlinkError("a receiver showed a frame with values that are not finite or outside of [0, 1]")


def groups(frames: Iterable[Tensor], size: int) -> Iterator[tuple[Tensor, int]]:
    """Frames `[3, H, W]` in groups `[size, 3, H, W]`; the last is filled with copies. int: how many are its own."""
    held: list[Tensor] = []
    for frame in frames:
        held.append(frame)
        if len(held) == size:
            yield torch.stack(held), size
            held = []
    if held:
        yield torch.stack([*held, *[held[-1]] * (size - len(held))]), len(held)


@dataclass(frozen=True)
class Way:
    """What becomes of each frame of a clip, one by one, in memory that does not grow; `session` tells the account."""

    session: Session
    frames: Iterable[Tensor] = field(repr=False)

    def __iter__(self) -> Iterator[tuple[Passed, int]]:
        """Groups after their way, with the number of frames that are the clip's own."""
        with torch.no_grad():
            for group, own in groups(self.frames, self.session.codec.group):
                yield self.session.step(group, own), own
