"""Statistics of sides that are timed by turns."""

from functools import partial

import numpy as np
import pytest

from semlink.simulator.study.rounds import Difference, Spread, alternate, difference, speeds


def test_sides_take_turns_and_another_begins_each_round() -> None:
    order: list[str] = []

    def work(name: str, turn: int) -> int:
        order.append(name)
        return turn

    told = alternate({name: partial(work, name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab" and told == dict.fromkeys("abc", [0, 1, 2])


def test_speeds_are_of_one_round() -> None:
    """A machine that is three times as slow in the second round changes no ratio."""
    found = speeds({"base": [1.0, 3.0, 1.0], "own": [0.5, 1.5, 0.25]}, "base")
    assert found == {"base": Spread(1, 1, 1), "own": Spread(2, 2, 4)}


def test_what_the_sample_explains_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    own = 30 + rng.standard_normal(400)
    found = difference(own.tolist(), (30 + rng.standard_normal(400)).tolist())
    assert found.error == pytest.approx(2**0.5 / 20, rel=0.2) and found.by_chance()
    assert not difference((own + 3).tolist(), own[::-1].tolist()).by_chance()
    assert Difference(0.008, 0.0).by_chance(0.01) and not Difference(0.02, 0.0).by_chance(0.01)
