"""What a sweep over clips tells of time, steps and anchors, of a codec whose clock the test sets."""

import pytest
import torch

from semlink.simulator.analysis.clips import Original, Trace, describe
from semlink.simulator.live.log import Log
from semlink.simulator.live.session import Air, Session
from semlink.simulator.plugins import make_link
from semlink.simulator.records.rows import repeats
from semlink.simulator.sweep.clips import carried, numbers
from semlink.simulator.values import Stream, Transmission
from semlink.simulator.video import Clip, Shown
from semlink.simulator.words import parse

SIDE, FRAMES = 32, 24


class Clocked:
    """Anchors at some frames, motion at others. takes: seconds of its own clock by frame, or None for none."""

    rho, group, encodes_on, feedback, deadline_s = 1 / 6, 1, "nothing", False, 0.05

    def __init__(self, takes=None, anchors=(0, 9)):
        self.takes, self.anchors, self.count = takes, anchors, 0

    def sender(self, clip):
        return self

    def receiver(self, clip):
        return self

    def send(self, frames, tx):
        names = {"head": 8} | ({"anchor-x": 100} if tx.frame in self.anchors else {"packet": 20})
        return Transmission(
            tuple(Stream(n, "analog", torch.ones(1, uses, dtype=torch.complex64)) for n, uses in names.items())
        )

    def receive(self, reception):
        took = self.takes(self.count) if self.takes else None
        self.count += 1
        return Shown(torch.full((1, 3, SIDE, SIDE), 0.5), (False,), steps=self.count % 2 * 4, took_s=took)


def values(codec, cuts=()):
    ticks = iter(range(10**6))
    session = Session(codec, Clip(SIDE, SIDE, 10.0, FRAMES), Air(make_link(parse("awgn")), 10.0), lambda: next(ticks))
    shots = lambda: (torch.zeros(SIDE, SIDE, 3).byte().numpy() for _ in range(FRAMES))  # noqa: E731
    found = carried(session, Original(shots, FRAMES, False), Trace(("psnr",)))
    return numbers(found, cuts), found


def test_uses_are_split_by_what_they_are_for():
    found, _ = values(Clocked())
    per = FRAMES * 3 * SIDE**2
    told = {kind: found[f"rho_{kind}"] * per for kind in ("anchors", "packets", "heads")}
    assert told == pytest.approx({"anchors": 200, "packets": 20 * (FRAMES - 2), "heads": 8 * FRAMES})
    assert sum(told.values()) / per == pytest.approx(found["rho_total"])
    assert "rho_packets" not in values(Clocked(anchors=()))[0]


def test_steps_and_anchors_are_counted_and_cuts_are_met_or_not():
    found, _ = values(Clocked(), cuts=(9, 8, 6))
    assert (found["steps"], found["anchors"]) == (2, pytest.approx(2 / FRAMES))
    assert found["met_at_once"] == pytest.approx(1 / 3) and found["met_soon"] == pytest.approx(2 / 3)
    assert values(Clocked(), cuts=(20,))[0]["met_soon"] == 0  # none ever came


def test_its_own_clock_tells_when_frames_are_shown_and_the_wall_is_told_apart():
    found, passed = values(Clocked(lambda frame: 0.08 if frame >= 20 else 0.01))
    air = passed.log.simulated[0].air
    assert 0 < air < 0.002
    assert found["missed"] == pytest.approx(4 / 14) and found["freeze"] == pytest.approx(0.4)
    assert found["latency_p50"] == pytest.approx(0.01 + air)
    assert found["wall_missed"] == 1 and found["wall_latency_p50"] > 2  # that clock ticks once a second
    assert found["encode_s"] == found["decode_s"] == 1
    assert all(describe(name).label for name in found if name.startswith(("wall_", "latency", "rho_p", "rho_anc")))


def test_without_a_clock_only_the_wall_is_told():
    found, _ = values(Clocked())
    assert "missed" not in found and "wall_missed" in found
    assert {name for name in found if not repeats(name)} >= {"wall_missed", "decode_s"} and repeats("missed")


def test_nothing_is_told_of_anchors_where_there_are_none():
    assert Log(anchors=[False] * 3).renewals((1,)) == {}
