"""Processes in which decoding is checked know nothing of this one, or of each other, and cost little."""

import os
import sys
import time

import pytest

from semlink.simulator.conformance import codec, fresh


def changed() -> tuple[int, float, bool]:
    """What this process has of something that anybody may change, and changes; whether torch was there already."""
    found = codec.SNR_DB
    codec.SNR_DB = -1.0
    return os.getpid(), found, "torch" in sys.modules


def used() -> float:
    """Processor time of this process; to call it, this module and what it imports must be there."""
    return time.process_time()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_nothing_is_left_of_what_was_done_before(monkeypatch) -> None:
    kept = codec.SNR_DB
    monkeypatch.setattr(codec, "SNR_DB", 7.0)
    found = []
    for _ in range(2):
        with fresh.fresh_process() as pool:
            found.append(pool.submit(changed).result())
            assert pool.submit(changed).result() == (found[-1][0], -1.0, True), "a process goes on"
    assert [snr for _, snr, _ in found] == [kept, kept] and all(loaded for *_, loaded in found)
    assert len({os.getpid(), *(pid for pid, *_ in found)}) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_libraries_are_loaded_once() -> None:
    with fresh.fresh_process() as pool:
        pool.submit(os.getpid).result()
    with fresh.fresh_process() as pool:
        assert pool.submit(used).result() < 1.0, "torch alone takes longer"


def test_where_nothing_forks_it_is_a_new_interpreter(monkeypatch) -> None:
    monkeypatch.setattr(fresh, "get_all_start_methods", lambda: ["spawn"])
    asked = []
    monkeypatch.setattr(fresh, "ProcessPoolExecutor", lambda count, mp_context: asked.append((count, mp_context)))
    fresh.fresh_process()
    assert [(count, context.get_start_method()) for count, context in asked] == [(1, "spawn")]
