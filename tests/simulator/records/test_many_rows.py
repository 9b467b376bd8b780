"""Rows that are more than memory should hold: published and read condition by condition."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from semlink.simulator.analysis import statistics
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records import reading, rows
from semlink.simulator.records.store import Condition, Identity, Record

IDENTITY = Identity("d", 0, 32, "0")
NAMES = ("psnr", "mse", "ssim", "uses_main", "uses_total", "papr_db", "snr_measured_db", "air_time_s")


def record(condition, block, size):
    """Made up, and the same each time."""
    places = range(block * size, (block + 1) * size)
    rng = np.random.default_rng([block, int(condition.snr_db)])
    values = {name: tuple(rng.normal(30, 3, size).tolist()) for name in NAMES}
    return Record(IDENTITY, condition, block, tuple(f"i{p}" for p in places), tuple(places), ("psnr",), "ls", values)


class Made:
    """A store of records that are made when they are asked for. blocks: of each condition."""

    def __init__(self, conditions, blocks, size):
        self.conditions = {f"{snr}": Condition("a", 0.25, "awgn", float(snr)) for snr in range(conditions)}
        self.blocks, self.size = blocks, size

    def within(self, folder):
        return (record(self.conditions[folder], block, self.size) for block in range(self.blocks))


def published(made, path, most):
    held = rows.Everything(list(made.conditions), made.within, most=most)
    return rows.publish(held, rows.VARIABLES, {"seed": 0}, path)


def told(found):
    return [
        (replace(m, values={}), {name: m.values[name].tolist() for name in m.values})
        for m in sorted(found.measurements, key=lambda m: m.condition)
    ]


def test_what_stays_in_the_file_is_what_would_be_in_memory(tmp_path, monkeypatch):
    made = Made(3, 4, 8)
    small, large = (published(made, tmp_path / str(most), most) for most in (10**6, 500))
    assert (tmp_path / str(10**6)).read_bytes() == (tmp_path / "500").read_bytes()
    monkeypatch.setattr(reading.read, "__defaults__", (100,))
    lazy = rows.read(tmp_path / "500")
    assert isinstance(lazy.measurements[0].values, reading.Columns)
    assert told(lazy) == told(small) == told(large)
    assert statistics.summarise(lazy) == statistics.summarise(small)
    assert lazy.measurements[0].positions is lazy.measurements[1].positions
    with pytest.raises(KeyError):
        lazy.measurements[0].values["nothing"]


def test_a_store_that_changes_while_it_is_published_is_said(tmp_path):
    made = Made(3, 2, 8)
    held = rows.Everything(list(made.conditions), made.within, most=10)
    made.blocks = 3
    with pytest.raises(SemlinkError, match="has changed while it was published"):
        rows.publish(held, rows.VARIABLES, {}, tmp_path / "rows.h5")
    assert not list(tmp_path.iterdir())


def test_more_images_than_are_packed_together_and_gaps(tmp_path, monkeypatch):
    from semlink.simulator.records import writing

    monkeypatch.setattr(writing, "CHUNK", 10)
    made = Made(3, 3, 8)
    del made.conditions["1"]
    other = [record(Condition("b", 0.25, "tdl", 7.0), 2, 8)]
    measurements = rows.merge([r for name in made.conditions for r in made.within(name)] + other)
    found = rows.Rows(rows.as_kept(measurements), {**rows.VARIABLES, "psnr": Variable("dB", "PSNR", "higher")})
    rows.write(found, tmp_path / "rows.h5")
    assert told(rows.read(tmp_path / "rows.h5")) == told(found)


@pytest.mark.slow
def test_ten_million_rows_in_flat_memory(tmp_path):
    """100 conditions of 100,000 pictures with 8 numbers each: 640 MB as Python has them in arrays."""
    code = f"""
import resource, time
import h5py, numpy, scipy.special, xarray
from test_many_rows import Made, published, rows, statistics, reading
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
path = rows.Path({str(tmp_path / "rows.h5")!r})
start, begun = peak(), time.process_time()
found = published(Made(100, 100, 1000), path, reading.MOST)
lines = statistics.summarise(found)
print("published", round(peak() - start), "MB", round(time.process_time() - begun), "s", path.stat().st_size)
assert len(found.measurements) == 100 and all(len(m.positions) == 100_000 for m in found.measurements)
data = xarray.open_dataset(path, engine="h5netcdf")
assert data.psnr.size == 10**7
own = data.psnr.sel(snr_db=50.0).mean().item()
assert abs(own - next(line.mean for line in lines if (line.metric, line.snr_db) == ("psnr", 50.0))) < 1e-3
print("peak", round(peak() - start), "MB above", round(start))
assert peak() - start < 300
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    print(child.stdout)
    assert child.returncode == 0, child.stderr
