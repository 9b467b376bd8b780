"""Memory does not grow with the length of a clip."""

import resource

import numpy as np
import pytest

from semlink.codecs import video
from semlink.simulator.analysis.clips import Original, Trace
from semlink.simulator.live.session import Air, Session
from semlink.simulator.plugins import make_link
from semlink.simulator.sweep.clips import carried, numbers
from semlink.simulator.video import Clip
from semlink.simulator.words import parse

SIDE, FRAMES = 64, 1000
PER_FRAME = 4 * 3 * SIDE**2  # bytes of a frame in single precision
METRICS = ("psnr", "psnr_p5", "ssim", "motion_energy", "frozen", "warping_ratio")


def shot():
    """A picture that turns around, made as it is asked for."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return (np.roll(picture, t, axis=1) for t in range(FRAMES))


@pytest.mark.slow
def test_a_thousand_frames_take_no_more_memory_than_a_hundred():
    codec, link = video.create("intra", rho=1 / 24, codec="adjscc"), make_link(parse("tdl:speed=3"))
    seen = []

    def keep(frame, shown):
        seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    session = Session(codec, Clip(SIDE, SIDE, frames=FRAMES), Air(link, 10.0))
    found = carried(session, Original(shot, FRAMES, True), Trace(METRICS), keep)
    values = numbers(found, ())
    assert len(seen) == FRAMES and values["rho_total"] <= 1 / 24 + 1e-9
    grown = 1024 * (seen[-1] - seen[99])
    assert grown < 900 * PER_FRAME  # less than holding the originals alone would take
