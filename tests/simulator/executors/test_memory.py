"""Codecs are let go where memory is short, and made again when they are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sweep_fakes import PARTS, FakeCodec

from semlink.simulator.executors import memory
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep.trial import Bench

GB = 1 << 30


@pytest.mark.parametrize(
    ("used", "left", "most", "tight"),
    [(1, 50, None, False), (1, 50, 1.5, True), (1, 50, 2, False), (90, 50, None, True), (1, 2, None, True)],
)
def test_memory_is_tight_near_a_limit_and_where_the_machine_has_none(monkeypatch, used, left, most, tight):
    monkeypatch.setattr(memory, "_total", lambda: 100 * GB)
    monkeypatch.setattr(memory, "_of_group", list)
    memory.limit(int(most * GB) if most else None)
    assert memory.tight(used * GB, left * GB) == tight
    memory.limit(None)


def test_this_machine_says_what_it_has():
    assert 1 << 20 < memory._used() < memory._total() and 0 < memory._left() <= memory._total()


@pytest.mark.parametrize("helps", [True, False])
def test_codecs_are_let_go_and_made_again_while_that_helps(monkeypatch, helps):
    made, answers = [], []
    sweep = Sweep(("a",), ("awgn",), (0.0,), (0.5,), data="fake")
    bench = Bench(sweep, replace(PARTS, codec=lambda word, rho: made.append(str(word)) or FakeCodec(rho)))
    monkeypatch.setattr(memory, "tight", lambda: answers.pop(0))
    condition = Condition("a", 0.5, "awgn", 0.0)
    for short, count in ((False, 1), (True, 2), (True, 3 if helps else 2)):
        answers[:] = [short, short and not helps]
        bench.codec(condition)
        bench.ease()
        bench.codec(condition)
        assert len(made) == count
