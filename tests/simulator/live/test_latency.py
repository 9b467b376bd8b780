"""Latency, jitter, misses and standstills of made-up times."""

import numpy as np
import pytest

from semlink.simulator.live.latency import Spans, jitter, latencies, longest, summary

FPS = 10.0


def steady(frames, **more):
    return [Spans(**{"encode": 0.01, "late": 0.0, "air": 0.001, "decode": 0.02, **more})] * frames


def test_a_frame_takes_what_its_parts_take():
    assert latencies(FPS, [1] * 5, steady(5)) == pytest.approx(0.031)
    assert latencies(FPS, [1], steady(1, late=0.5)) == pytest.approx(0.531)


def test_a_group_waits_for_its_last_frame():
    found = latencies(FPS, [4, 4], steady(2))
    assert found == pytest.approx(np.tile([0.331, 0.231, 0.131, 0.031], 2))


def test_frames_wait_for_an_encoder_and_for_a_decoder_that_are_too_slow():
    """A queue of rate 1 / (service - interval): each frame waits 20 ms longer than the one before."""
    for part in ("encode", "decode"):
        found = latencies(FPS, [1] * 6, steady(6, **{part: 0.12}))
        assert np.diff(found) == pytest.approx(0.02)
    both = latencies(FPS, [1] * 6, steady(6, encode=0.09, decode=0.09))  # work at the same time on different frames
    assert np.diff(both) == pytest.approx(0)


def test_one_slow_frame_delays_those_behind_it_until_it_is_made_up_for():
    spans = [*steady(3), *steady(1, decode=0.25), *steady(4)]
    assert latencies(FPS, [1] * 8, spans) == pytest.approx([0.031] * 3 + [0.261, 0.181, 0.101, 0.031, 0.031])


def test_jitter_is_what_gaps_are_too_long():
    assert jitter(np.full(50, 0.3), FPS) == pytest.approx(0)
    shaken = np.tile([0.1, 0.14], 50)  # gaps of 140 and 60 ms
    assert jitter(shaken, FPS) == pytest.approx(0.04)
    assert np.isnan(jitter(np.array([0.1]), FPS))


def test_what_is_true_longest():
    assert [longest(x) for x in ([], [0, 0], [1, 0, 1, 1, 0], [1] * 3)] == [0, 0, 2, 3]


def test_the_warm_up_is_told_apart():
    latency = np.concatenate([np.full(10, 0.9), np.linspace(0.001, 0.1, 100)])
    found = summary(latency, FPS, [False] * 110, 0.09)
    assert found["warm_up"] == 0.9 and found["missed"] == pytest.approx(0.1)
    assert found["latency_p50"] == pytest.approx(0.0505) and found["latency_p95"] == pytest.approx(0.0951, abs=1e-4)
    assert found["freeze"] == pytest.approx(1.0)  # the ten late ones at the end
    assert found["latency_p99"] > found["latency_p95"] > found["latency_p50"]


def test_a_frame_of_which_nothing_came_stands_still_like_a_late_one():
    concealed = [False] * 20 + [True] * 3 + [False] * 17
    found = summary(np.full(40, 0.05), FPS, concealed)
    assert (found["missed"], found["freeze"]) == (0, pytest.approx(0.3))


def test_short_clips_are_half_warm_up():
    assert summary(np.array([0.9, 0.1]), FPS, [False] * 2)["latency_p99"] == 0.1
    assert summary(np.array([0.1]), FPS, [False])["latency_p50"] == 0.1
