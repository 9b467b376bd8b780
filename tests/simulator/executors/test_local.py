"""Worker processes: all results arrive, and a worker that ends early is a death, whatever its exit code."""

from __future__ import annotations

import os
import sys
import time
from collections import deque

import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import local


def doubling():
    return double


def double(task):
    yield 2 * task


def leaving():
    return leave


def leave(task):
    yield task
    if task == "os._exit":
        time.sleep(0.3)  # its result is on its way
        os._exit(0)
    if task == "sys.exit":
        sys.exit(0)


def failing():
    raise SemlinkError("no data")


@pytest.mark.parametrize("workers", [1, 2])
def test_all_results_of_all_tasks_come(workers):
    assert sorted(local.Local(workers).run(doubling, deque(range(20)))) == list(range(0, 40, 2))


@pytest.mark.parametrize("how", ["os._exit", "sys.exit"])
def test_a_worker_that_ends_with_code_0_is_dead(how):
    found = []
    with pytest.raises(local.WorkerDied, match="exit code 0"):
        found.extend(local.Local(2).run(leaving, deque([how, "stays"])))


def test_what_a_worker_said_before_it_died_arrives():
    results = local.Local(2).run(leaving, deque(["os._exit", "stays"]))
    assert {next(results), next(results)} == {"os._exit", "stays"}
    with pytest.raises(local.WorkerDied):
        next(results)


def test_an_error_of_a_worker_is_the_parents():
    with pytest.raises(SemlinkError, match="no data"):
        list(local.Local(2).run(failing, deque([1, 2])))
