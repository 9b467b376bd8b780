"""How channel uses are shared: expected scores by hand, order of protection, what the channel allows."""

from itertools import product

import numpy as np
import pytest

from semlink.codecs.spic import sharing
from semlink.codecs.spic.sharing import Allowed, Levels, expected, shared
from semlink.simulator.bits.mcs import TABLE, get
from semlink.simulator.values import LinkStatistics, TxInfo

PIXELS = 192 * 256
LEVELS = Levels(
    np.array([0.1, 0.2]), np.array([0.1, 0.4]), np.array([[0.0, 0.2, 0.4], [0.1, 0.5, 0.6], [0.2, 0.6, 0.9]])
)


def test_scores_lie_between_those_measured():
    found = LEVELS.at(np.array([0.0, 0.1, 0.2, 0.9]), np.array([0.05, 0.1, 0.2, 0.4]))
    assert np.allclose(found[0], [0.0, 0.2, 0.3, 0.4])
    assert np.allclose(found[2], [0.2, 0.6, 0.75, 0.9]) and np.allclose(found[3], found[2])


def test_the_expectation_is_a_sum_over_what_may_arrive():
    rng = np.random.default_rng(0)
    first = sharing._Part(rng.random((2, 3)), np.array([0.1, 0.2]))
    second = sharing._Part(rng.random((2, 3)), np.array([0.1, 0.4]))
    found = expected(first, second, LEVELS)
    for i, j in product(range(2), range(2)):
        total = 0.0
        for fade, a, b in product(range(3), (0, 1), (0, 1)):  # classes of fades, and what arrives in each
            chance = (first.chance[i, fade] if a else 1 - first.chance[i, fade]) * (
                second.chance[j, fade] if b else 1 - second.chance[j, fade]
            )
            total += chance * LEVELS.scores[a * (i + 1), b * (j + 1)] / 3
        assert found[i, j] == pytest.approx(total)


@pytest.mark.parametrize("snr_db", [-2.0, 4.0, 10.0, 18.0])
@pytest.mark.parametrize("uses", [768, 3072])
def test_all_uses_are_shared_and_the_map_is_the_surer(snr_db, uses):
    found = shared(TxInfo(snr_db=snr_db), uses, PIXELS, Allowed())
    assert found.map_uses + found.coarse_uses == uses
    if found.map_uses:
        assert found.map_mcs.efficiency <= found.coarse_mcs.efficiency


def test_a_better_channel_carries_more():
    rooms = [sum(shared(TxInfo(snr_db=snr), 3072, PIXELS, Allowed()).rooms) for snr in (-4.0, 2.0, 8.0, 14.0)]
    assert rooms == sorted(rooms) and rooms[0] < rooms[-1] / 3


def test_a_map_is_left_out_only_where_none_fits():
    """At 10 dB 3,072 uses carry 1 kB, 96 uses some 30 bytes."""
    slow = Allowed(map_schemes=(get("qpsk-0.25"),))  # the map costs four times as much as it might
    assert shared(TxInfo(snr_db=10.0), 3072, PIXELS, slow).map_uses > 0
    assert shared(TxInfo(snr_db=10.0), 96, PIXELS, Allowed()).map_uses == 0


def test_a_coarse_picture_that_would_do_harm_is_left_out_openly(monkeypatch):
    """Not sent by a scheme that fails, which is as good for the score: at 10 dB all that is sent is meant to arrive."""
    harmful = Levels(
        np.array([0.01, 0.1]), np.array([0.01, 4.0]), np.array([[0.0, 0.1, 0.2], [0.5, 0.3, 0.9], [0.5, 0.3, 0.9]])
    )
    monkeypatch.setattr(sharing, "quality", lambda aim: harmful)
    found = shared(TxInfo(snr_db=10.0), 384, PIXELS, Allowed())
    assert (found.map_uses, found.coarse_uses) == (384, 0) and found.rooms[1] == 0
    assert shared(TxInfo(snr_db=10.0), 384, PIXELS, Allowed(map_alone=False)).coarse_uses > 0


def test_without_a_map_there_is_none():
    assert shared(TxInfo(snr_db=10.0), 3072, PIXELS, Allowed(with_map=False)).map_uses == 0


def test_a_fade_that_takes_all_or_nothing_makes_the_map_no_less_sure():
    """In half of the fades nothing arrives, in the others all of the slow schemes and none of the fast."""
    slow = {m.name: (0.0, 1.0 if m.efficiency <= 1 else 0.0) for m in TABLE}
    statistics = LinkStatistics(3072, (1.0,), (0.5, 0.9), {size: slow for size in (384, 768, 1536, 3072)})
    found = shared(TxInfo(snr_db=0.0, statistics=statistics), 3072, PIXELS, Allowed())
    assert found.coarse_mcs.efficiency <= 1 and found.map_mcs.efficiency <= 1


def test_given_schemes_are_kept():
    only = Allowed(map_schemes=(get("qpsk-0.25"),), coarse_schemes=(get("qpsk-0.50"),))
    found = shared(TxInfo(snr_db=10.0), 3072, PIXELS, only)
    assert found.coarse_mcs.name == "qpsk-0.50" and (not found.map_uses or found.map_mcs.name == "qpsk-0.25")
