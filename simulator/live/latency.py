"""How long frames take from their capture to their showing, and what that does to who watches.

A frame is captured at t / fps, a group with its last frame. The encoder, the air and the decoder each do one group at a
time: L = wait for the encoder + t_encode + t_late + t_air + wait for the decoder + t_decode. Computing and air are kept
apart (`Spans`) and only meet here, in numbers that say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 10  # first frames, which are told apart
DEADLINE = 0.150  # s, of codecs that have none: conversational video (3GPP TS 23.501, 5QI 2)


@dataclass(frozen=True)
class Spans:
    """Where a group's time goes, in seconds. late: until the air was free. air: of its slots, with their pilots."""

    encode: float
    late: float
    air: float
    decode: float


def latencies(fps: float, sizes: Sequence[int], spans: Sequence[Spans]) -> np.ndarray:
    """Seconds from the capture of each frame to its showing, `[frames]`. sizes: frames of each group."""
    first, encoded, decoded = 0, 0.0, 0.0
    found = []
    for size, span in zip(sizes, spans, strict=True):
        encoded = max(encoded, (first + size - 1) / fps) + span.encode
        decoded = max(decoded, encoded + span.late + span.air) + span.decode
        found.append(decoded - np.arange(first, first + size) / fps)
        first += size
    return np.concatenate(found)


def jitter(latency: np.ndarray, fps: float) -> float:
    """95 % of the gaps between two frames are at most so many seconds longer than 1 / fps; NaN of fewer than two."""
    gaps = np.diff(latency + np.arange(len(latency)) / fps)
    return float(np.percentile(gaps, 95)) - 1 / fps if len(gaps) else float("nan")


def longest(held: Sequence[bool]) -> int:
    """The most that are true in a row."""
    most = now = 0
    for one in held:
        now = now + 1 if one else 0
        most = max(most, now)
    return most


def summary(latency: np.ndarray, fps: float, concealed: Sequence[bool], deadline: float = DEADLINE) -> dict[str, float]:
    """Of a clip's latencies `[frames]`, by name; times in seconds. Frames of the warm-up count in `warm_up` alone.

    concealed: frames in whose place another is shown; a late one leaves the one before on the screen as well.
    """
    warm = min(WARM_UP, len(latency) // 2)
    steady, late = latency[warm:], latency > deadline
    stands = [bool(a or b) for a, b in zip(late[warm:], concealed[warm:], strict=True)]
    return {
        **{f"latency_p{share}": float(np.percentile(steady, share)) for share in (50, 95, 99)},
        "jitter": jitter(steady, fps),
        "missed": float(late[warm:].mean()),
        "freeze": longest(stands) / fps,
        "warm_up": float(latency[:warm].max()) if warm else float("nan"),
    }
