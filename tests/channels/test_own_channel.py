"""The channel that the page shows is one."""

import sys
from types import ModuleType

import numpy as np
import pytest
from pages import DOCS, example

from semlink.simulator import check_channel
from semlink.simulator.conformance.channel import check_draws


@pytest.fixture
def page(monkeypatch) -> ModuleType:
    """The page's code as the module that a reader makes of it."""
    module = ModuleType("nakagami")
    monkeypatch.setitem(sys.modules, "nakagami", module)  # where dataclasses look for it
    exec(example((DOCS / "own_channel.md").read_text()), module.__dict__)  # noqa: S102 - it is our own page
    return module


@pytest.mark.parametrize("m", [0.5, 2.0])
def test_its_draws_are_sound_and_of_its_distribution(page: ModuleType, m: float) -> None:
    channel = page.PLUGIN(m)
    check_draws(channel)
    power = np.abs(channel.draw(np.random.default_rng(0), 20000).gains) ** 2
    assert power.var() == pytest.approx(1 / m, rel=0.1)  # of a Gamma distribution of mean 1


@pytest.mark.slow
def test_it_meets_the_contract(page: ModuleType) -> None:
    check_channel(page.PLUGIN(2.0), csi=("perfect",))
    check_channel(page.PLUGIN(0.5), csi=("perfect",))
