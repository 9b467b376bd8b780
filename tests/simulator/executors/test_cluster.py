"""A cluster of Dask: the same rows as in one process, whatever dies, fills up or runs beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import replace

import pytest
from dask_cluster import Processes, wait_for
from sweep_fakes import PARTS

from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import Local, WorkerDied, choose
from semlink.simulator.records import rows
from semlink.simulator.records.store import Store
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import runner

pytest.importorskip("distributed")
SMALL = Sweep(("plain",), ("awgn",), (0.0, 10.0), (0.5,), ("psnr", "mae"), data="fake", limit=5)
LARGE = replace(SMALL, codecs=("a:pause=0.2,encodes_on=snr", "b:pause=0.2,encodes_on=snr"), limit=130)
TIMES = ("encode_s", "decode_s")


def run(asked, out, where):
    return runner.run(asked, out, where, PARTS)


def table(out):
    """Everything that must not depend on when and where it was measured, of the rows file."""
    return {
        (m.condition, image, name): value
        for m in rows.read(out / "rows.h5").measurements
        for name, column in m.values.items()
        if name not in TIMES
        for image, value in zip(m.images, column.tolist(), strict=True)
    }


def files(out):
    return list((out / "blocks").rglob("*.json"))


def records_once(out):
    """Every block of every condition is there, once."""
    found = [(r.condition, r.block) for r in Store(out).records()]
    assert len(found) == len(set(found))
    return len(found)


class Running:
    """A sweep on a cluster in a thread of its own, so that the test can do harm meanwhile."""

    def __init__(self, asked, out, where):
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(asked, out, where))
        self._thread.start()

    def _run(self, *asked):
        try:
            run(*asked)
        except Exception as error:  # the test looks at it
            self.error = error

    def end(self):
        self._thread.join(300)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


# --- without a process


@pytest.fixture
def threads():
    """The address of a scheduler with one worker, both within this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0", memory_limit=None
    ) as found:
        yield found.scheduler_address


def test_the_same_rows_on_a_cluster(tmp_path, threads):
    asked = replace(SMALL, codecs=("a", "b:encodes_on=link"), limit=70)
    run(asked, tmp_path / "here", 1)
    run(asked, tmp_path / "there", choose(1, threads))
    assert table(tmp_path / "here") == table(tmp_path / "there") and len(table(tmp_path / "here")) > 1000


def test_an_error_on_a_worker_is_the_askers(threads):
    with pytest.raises(SemlinkError, match="no data"):
        list(choose(1, threads).run(failing, deque([1, 2])))


def test_tasks_that_are_added_meanwhile_are_done(threads):
    for where in (Local(1), choose(1, threads)):
        tasks, found = deque([1]), []
        for result in where.run(doubling, tasks):
            found.append(result)
            tasks.extend([result] if result < 100 else [])
        assert found == [2, 4, 8, 16, 32, 64, 128]


def doubling():
    return lambda task: [2 * task]


def failing():
    raise SemlinkError("no data")


@pytest.mark.parametrize(
    ("workers", "scheduler", "said"), [(1, "nowhere", "give an address"), (2, "tcp://h:1", "give one of them")]
)
def test_what_is_no_scheduler_is_refused(workers, scheduler, said):
    with pytest.raises(SemlinkError, match=said):
        choose(workers, scheduler)


def test_a_scheduler_that_is_not_there_is_waited_for_in_vain(capsys):
    from semlink.simulator.executors.cluster import Cluster

    with pytest.raises(SemlinkError, match="no scheduler of Dask at tcp://127.0.0.1:1 .*is kept"):
        list(Cluster("tcp://127.0.0.1:1", patience_s=0.1).run(doubling, deque([1])))
    assert "no scheduler at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path, threads, monkeypatch):
    from semlink.simulator.executors import cluster

    monkeypatch.setattr(cluster.os, "getcwd", lambda: str(tmp_path / "elsewhere"))
    with pytest.raises(SemlinkError, match=r"worker tcp://.* does not see .*elsewhere.*same disk"):
        list(choose(1, threads).run(doubling, deque([1])))


def test_a_worker_of_another_version_is_refused(tmp_path, threads, monkeypatch):
    told = runner.versions()
    monkeypatch.setattr(runner, "versions", lambda: dict(told))
    prepare = runner.partial(runner._prepare, SMALL, PARTS, str(tmp_path), {**told, "torch": "0.1"})
    with pytest.raises(SemlinkError, match=r"worker on .* has torch .*, not 0.1; the same rows"):
        list(choose(1, threads).run(prepare, deque([1])))


# --- with processes that are killed


@pytest.fixture
def cluster(tmp_path):
    with Processes(tmp_path / "cluster", workers=2) as found:
        yield found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one process measures."""
    out = tmp_path_factory.mktemp("whole")
    run(LARGE, out, 1)
    return table(out)


@pytest.mark.slow
@pytest.mark.parametrize("stops", [{}, {"target_ci": 0.4}])
def test_engines_workers_order_and_resuming_change_no_row(tmp_path, cluster, stops):
    asked = replace(SMALL, codecs=("a", "b:encodes_on=link"), channels=("awgn", "tdl"), limit=250, **stops)
    run(replace(asked, codecs=("b:encodes_on=link",), snr_db=(10.0,)), tmp_path / "resumed", 1)
    engines = {"one": 1, "three": 3, "address": choose(1, cluster.address), "file": choose(1, str(cluster.file))}
    for name, where in (*engines.items(), ("resumed", engines["address"])):
        run(asked, tmp_path / name, where)
    tables = [table(tmp_path / name) for name in (*engines, "resumed")]
    assert all(found == tables[0] for found in tables) and len(tables[0]) > 5_000
    assert len({records_once(tmp_path / name) for name in engines}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("nanny", [False, True])
def test_a_worker_that_is_killed_within_a_block_takes_nothing_along(tmp_path, whole, nanny, capfd):
    with Processes(tmp_path / "cluster", workers=2, nanny=nanny) as cluster:
        running = Running(LARGE, tmp_path / "out", choose(1, cluster.address))
        for victim, least in zip(cluster.workers[:2], (2, 8), strict=True):
            wait_for(lambda least=least: len(files(tmp_path / "out")) >= least)
            cluster.start_worker()
            cluster.kill(victim)
        running.end()
    assert table(tmp_path / "out") == whole and records_once(tmp_path / "out") == 4 * 5
    assert "workers have gone: tcp://127.0.0.1" in capfd.readouterr().err
    Store(tmp_path / "out").clean()
    assert not list((tmp_path / "out").rglob("*aside*"))


@pytest.mark.slow
def test_what_a_killed_worker_had_kept_is_not_measured_again(tmp_path, cluster):
    one = replace(LARGE, codecs=("a:pause=0.5,encodes_on=snr",), snr_db=tuple(map(float, range(8))), limit=2)
    cluster.kill(cluster.workers.pop())
    running = Running(one, tmp_path / "out", choose(1, cluster.address))
    wait_for(lambda: len(files(tmp_path / "out")) >= 3)
    cluster.kill(cluster.workers[0])
    kept = {path: path.stat().st_mtime_ns for path in files(tmp_path / "out")}
    cluster.start_worker()
    running.end()
    assert 3 <= len(kept) < 8 and records_once(tmp_path / "out") == 8
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_a_task_that_ends_every_worker_ends_the_run_and_the_rest_is_published(tmp_path):
    asked = replace(SMALL, codecs=("plain", "x:fails=die"), limit=70)
    with Processes(tmp_path / "cluster", workers=1, nanny=True) as cluster:
        with pytest.raises(WorkerDied, match="ended several workers, .*is kept"):
            run(asked, tmp_path / "out", choose(1, cluster.address))
        assert {m.condition.codec for m in rows.read(tmp_path / "out" / "rows.h5").measurements} == {"plain"}
        run(replace(asked, codecs=("plain",)), tmp_path / "out", choose(1, cluster.address))
    run(replace(asked, codecs=("plain",)), tmp_path / "whole", 1)
    assert table(tmp_path / "out") == table(tmp_path / "whole")


@pytest.mark.slow
def test_a_scheduler_that_is_killed_and_started_again(tmp_path, cluster, whole, capfd):
    running = Running(LARGE, tmp_path / "out", choose(1, cluster.address))
    wait_for(lambda: len(files(tmp_path / "out")) >= 3)
    cluster.kill(cluster.scheduler)
    for worker in cluster.workers:
        cluster.kill(worker)
    there = len(files(tmp_path / "out"))
    time.sleep(3)
    cluster.start_scheduler()
    cluster.start_worker()
    running.end()
    assert 3 <= there < 20 and records_once(tmp_path / "out") == 20
    assert table(tmp_path / "out") == whole
    assert "the scheduler at tcp://127.0.0.1" in (said := capfd.readouterr().err) and "has gone" in said


@pytest.mark.slow
def test_a_disk_that_is_full_on_a_worker(tmp_path, whole):
    with Processes(tmp_path / "cluster", workers=0) as cluster:
        full = cluster.start_worker(blocks=4)
        with pytest.raises(SemlinkError, match="cannot write .*File too large; what was measured is kept"):
            run(LARGE, tmp_path / "out", choose(1, cluster.address))
        assert not list((tmp_path / "out").rglob("*aside*"))
        cluster.kill(full)
        cluster.start_worker()
        run(LARGE, tmp_path / "out", choose(1, cluster.address))
    assert table(tmp_path / "out") == whole and records_once(tmp_path / "out") == 20


@pytest.mark.slow
def test_two_sweeps_in_one_folder(tmp_path, cluster, whole):
    first = Running(LARGE, tmp_path / "out", choose(1, cluster.address))
    wait_for(lambda: len(files(tmp_path / "out")) >= 2)
    with pytest.raises(SemlinkError, match=rf"another run \(process {os.getpid()} on .*\) is writing to"):
        run(LARGE, tmp_path / "out", choose(1, cluster.address))
    other = Running(replace(LARGE, seed=1), tmp_path / "other", choose(1, cluster.address))
    first.end()
    other.end()
    run(LARGE, tmp_path / "out", choose(1, cluster.address))
    assert table(tmp_path / "out") == whole and records_once(tmp_path / "out") == 20
    assert records_once(tmp_path / "other") == 20 and table(tmp_path / "other") != whole


@pytest.mark.slow
def test_who_asks_is_killed_and_asks_again_while_workers_go_on(tmp_path, cluster, whole):
    code = (
        "import test_cluster as t\nfrom test_cluster import Sweep\n"
        f"t.run({LARGE!r}, t.rows.Path({str(tmp_path / 'out')!r}), t.choose(1, {cluster.address!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    for least in (2, 8):
        child = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
        wait_for(lambda least=least: len(files(tmp_path / "out")) >= least)
        child.kill()
        child.wait()
    assert not (tmp_path / "out" / "rows.h5").exists()
    run(LARGE, tmp_path / "out", choose(1, cluster.address))
    assert table(tmp_path / "out") == whole and records_once(tmp_path / "out") == 20
