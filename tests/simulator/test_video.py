"""Budgets of clips: what may be spent when, and that all frames together keep to the rate."""

import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.video import BURST, Bucket, Budget, Clip


def greedy(budget, frames, wish):
    """Spends `wish(t)` or what there is; uses of each frame."""
    bucket, spent = Bucket.full(budget), []
    for t in range(frames):
        bucket = bucket.filled(1)
        spent.append(min(wish(t), bucket.uses))
        bucket = bucket.spent(spent[-1])
    return spent


@pytest.mark.parametrize("frames", [1, 7, 38, 300])
def test_the_greediest_spends_the_rate_and_no_more(frames):
    clip = Clip(128, 128, frames=frames)
    spent = greedy(Budget.of(1 / 48, clip), frames, lambda t: 10**9)
    assert sum(spent) <= 1024 * frames
    assert sum(spent) >= 1024 * frames - frames  # whole uses


def test_an_even_spender_may_always_spend_the_rate():
    assert greedy(Budget.of(1 / 48, Clip(128, 128, frames=50)), 50, lambda t: 1024) == [1024] * 50


def test_ten_frames_hold_at_most_twice_their_share():
    spent = greedy(Budget.of(1 / 48, Clip(128, 128, frames=300)), 300, lambda t: 10**9 if t >= 150 else 0)
    windows = [sum(spent[i : i + BURST]) for i in range(290)]
    assert max(windows) <= 2 * BURST * 1024
    assert max(windows) > 1.9 * BURST * 1024  # what was saved is there, up to ten frames' worth


def test_a_stream_without_an_end_is_filled_at_the_rate():
    budget = Budget.of(1 / 48, Clip(128, 128))
    assert (budget.refill, budget.ahead) == (1024, 10240)


def test_a_clip_without_pixels_is_refused():
    with pytest.raises(SemlinkError, match="at least one frame"):
        Clip(128, 128, frames=0)
