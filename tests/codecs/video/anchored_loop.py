"""A codec's two ends without a link between them: what is sent arrives whole, unless a test loses it."""

import math
from collections import deque
from dataclasses import dataclass, replace

from semlink.simulator.conformance.codec import noiseless
from semlink.simulator.conformance.video import lost
from semlink.simulator.data import clips
from semlink.simulator.video import Bucket, Budget, Clip, VideoInfo

DELAY = 2  # frames of the feedback


@dataclass(frozen=True)
class Told:
    """One frame. sent: names and payloads of its streams that are bits."""

    anchor: bool
    uses: int
    sent: tuple
    psnr: float
    concealed: bool


def scene(name, side=64, frames=48):
    """Frames of a synthetic clip."""
    return [*clips.load(f"synthetic/{name}@{side}x{side}x{frames}")[0].frames()]


def way(codec, frames, snr_db=15.0, lose=lambda number, anchor: False, shows=True):
    """What becomes of each frame; lose: of the number of the frame and whether it is an anchor. shows: decode too."""
    clip = Clip(*frames[0].shape[1:], frames=None)
    sender, receiver = codec.sender(clip), codec.receiver(clip)
    bucket, found, reports = Bucket.full(Budget.of(codec.rho, clip)), [], deque()
    for number, frame in enumerate(frames):
        bucket = bucket.filled(1)
        heard = [reports.popleft()[1] for _ in range(sum(due <= number for due, _ in reports))]
        sent = sender.send(frame[None], VideoInfo(snr_db, bucket.uses, None, 0, number, tuple(heard)))
        uses, anchor = uses_of(sent), any(s.name.startswith("anchor") for s in sent.streams)
        assert uses <= bucket.uses
        bucket = bucket.spent(uses)
        told = Told(anchor, uses, bits_of(sent), float("nan"), False)
        if shows:
            reception = noiseless(sent)
            shown = receiver.receive(lost(number, reception) if lose(number, anchor) else reception)
            if shown.feedback and codec.feedback:
                reports.append((number + DELAY, shown.feedback))
            error = float((shown.frames[0] - frame).square().mean())
            psnr = -10 * math.log10(max(error, 1e-9))
            told = replace(told, psnr=psnr, concealed=shown.concealed[0])
        found.append(told)
    return found


def uses_of(sent):
    """Channel uses of all streams."""
    return sum(s.payload.shape[1] if s.kind == "analog" else s.uses for s in sent.streams)


def bits_of(sent):
    return tuple((s.name, bytes(s.payload[0])) for s in sent.streams if s.kind == "bits")


def anchors(found):
    """Numbers of the frames that are anchors."""
    return [number for number, told in enumerate(found) if told.anchor]
