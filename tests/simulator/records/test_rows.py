"""Merging of records, and the HDF5 file against h5py and xarray."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records import rows
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.store import Condition, Identity, Record

IDENTITY = Identity("d", 0, 32, "0")


def record(codec="a", channel="awgn", snr=0.0, block=0, positions=(0, 1), error="", **values):
    images = tuple(f"i{p}" for p in positions)
    found = {} if error else {name: tuple(float(v) for v in column) for name, column in values.items()}
    csi = "" if error else {"awgn": "perfect"}.get(channel, "ls")
    return Record(
        IDENTITY,
        Condition(codec, 0.25, channel, snr),
        block,
        images,
        positions,
        ("psnr",),
        csi,
        found,
        {"mcs": "m"},
        error,
    )


RAGGED = [
    record(psnr=(1, 2), mse=(0.1, 0.2)),
    record(block=1, positions=(2,), psnr=(3,), mse=(0.3,)),
    record(codec="b", channel="tdl", snr=5.0, psnr=(7, 8), mse=(0.7, 0.8)),
    record(codec="b", snr=5.0, error="ValueError: no"),
]


def made(records):
    return Rows(rows.merge(records), {**rows.VARIABLES, "psnr": Variable("dB", "PSNR", "higher")}, {"seed": 0})


def test_merge_joins_blocks_in_data_set_order():
    late_first = [record(block=1, positions=(2,), psnr=(3,)), record(positions=(0, 3), psnr=(1, 4))]
    (found,) = rows.merge(late_first)
    assert found.images == ("i0", "i2", "i3") and found.positions == (0, 2, 3)
    assert found.values["psnr"].tolist() == [1, 3, 4]


def test_a_grown_block_counts_once_and_adds_its_metrics():
    (found,) = rows.merge([record(positions=(0, 1, 2), psnr=(1, 2, 3)), record(psnr=(1, 2), ssim=(0.5, 0.6))])
    assert found.values["psnr"].tolist() == [1, 2, 3]
    assert np.isnan(found.values["ssim"][2]) and found.values["ssim"][:2].tolist() == [0.5, 0.6]


def test_a_failure_marks_the_condition_until_it_succeeds():
    good, bad = record(psnr=(1, 2)), record(block=1, positions=(2,), error="no")
    assert rows.merge([good, bad])[0].error == "no"
    assert rows.merge([good, bad, replace(bad, error="", values={"psnr": (3.0,)}, csi="perfect")])[0].error == ""


def test_rows_come_back(tmp_path):
    first = made(RAGGED)
    first = replace(first, measurements=rows.as_kept(first.measurements))
    rows.write(first, tmp_path / "rows.h5")
    second = rows.read(str(tmp_path / "rows.h5"))
    assert [m.condition for m in second.measurements] == [m.condition for m in sorted(first.measurements, key=_axes)]
    by_condition = {m.condition: m for m in second.measurements}
    for m in first.measurements:
        again = by_condition[m.condition]
        assert (again.images, again.positions, again.error) == (m.images, m.positions, m.error)
        assert {k: v.tolist() for k, v in again.values.items()} == {k: v.tolist() for k, v in m.values.items()}
        assert again.notes == m.notes
    assert second.variables["psnr"] == Variable("dB", "PSNR", "higher")


def _axes(m):
    return tuple(getattr(m.condition, name) for name in rows.AXES)


def test_xarray_opens_the_file_with_names_units_and_gaps(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    found = replace(made(RAGGED), attributes={"seed": 3, "configuration": json.dumps({"metrics": ["psnr"]})})
    rows.write(found, tmp_path / "rows.h5")
    with xarray.open_dataset(tmp_path / "rows.h5", engine="h5netcdf") as data:
        assert data.psnr.dims == ("codec", "channel", "rho", "snr_db", "image")
        assert data.psnr.sel(codec="a", channel="awgn", snr_db=0).squeeze("rho").values.tolist() == [1, 2, 3]
        assert data.psnr.sel(codec="b", channel="tdl", snr_db=5.0).squeeze("rho").values[:2].tolist() == [7, 8]
        assert int(data.psnr.notnull().sum()) == 5
        assert data.psnr.attrs["units"] == "dB" and data.snr_db.attrs["units"] == "dB"
        assert data.csi.sel(channel="tdl").item() == "ls" and data.csi.sel(channel="awgn").item() == "perfect"
        assert int(data.failed.sum()) == 1
        assert data.error.sel(codec="b", channel="awgn", snr_db=5.0).item() == "ValueError: no"
        assert data.image_id.values.tolist() == ["i0", "i1", "i2"]
        assert data.attrs["seed"] == 3 and json.loads(data.attrs["configuration"])["metrics"] == ["psnr"]


def test_the_same_rows_give_the_same_bytes_in_single_precision(tmp_path):
    exact = made([record(psnr=(1 / 3, 20.0))])
    kept = replace(exact, measurements=rows.as_kept(exact.measurements))
    for name, found in (("one", exact), ("two", exact), ("three", kept)):
        rows.write(found, tmp_path / name)
    read = rows.read(tmp_path / "one")
    rows.write(read, tmp_path / "four")
    assert len({(tmp_path / name).read_bytes() for name in ("one", "two", "three", "four")}) == 1
    assert read.measurements[0].values["psnr"][0] == np.float32(1 / 3) == kept.measurements[0].values["psnr"][0]


def test_rows_in_which_everything_failed(tmp_path):
    rows.write(made([record(error="no")]), tmp_path / "rows.h5")
    (found,) = rows.read(tmp_path / "rows.h5").measurements
    assert found.error == "no" and found.images == ()


@pytest.mark.parametrize("damage", ["cut", "text", "other", "missing"])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path, damage):
    import h5py

    path = tmp_path / "rows.h5"
    rows.write(made(RAGGED), path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "text":
        path.write_text("not HDF5")
    elif damage == "other":
        with h5py.File(path, "w") as file:
            file["x"] = [1, 2]
    else:
        path.unlink()
    with pytest.raises(SemlinkError, match="rows.h5"):
        rows.read(path)


def told(found):
    """All that a reader gets of a file, comparable."""
    measured = [(replace(m, values={}), {k: v.tolist() for k, v in m.values.items()}) for m in found.measurements]
    return repr((measured, sorted(found.attributes.items()), sorted(found.variables.items())))


@pytest.mark.parametrize("cases", [30, pytest.param(150, marks=pytest.mark.slow)])
def test_no_damage_escapes_as_another_error_or_reads_as_other_values(tmp_path, cases):
    path, dice, found = tmp_path / "rows.h5", random.Random(0), 0
    rows.write(made(RAGGED), path)
    whole, expected = path.read_bytes(), told(rows.read(path))
    for case in range(cases):
        path.write_bytes(cut(whole, dice) if case % 5 == 0 else flipped(whole, dice))
        try:
            assert told(rows.read(path)) == expected  # a flip of what nobody reads
        except SemlinkError as error:
            assert "rows.h5: damaged" in str(error) and "\n" not in str(error)
            found += 1
    assert found >= cases // 5


def test_the_library_never_sees_bytes_that_are_not_what_was_written(tmp_path, monkeypatch):
    """HDF5 may crash on damaged bytes, or never come back: they are refused before it is asked."""
    import h5py

    path, dice = tmp_path / "rows.h5", random.Random(1)
    rows.write(made(RAGGED), path)
    whole = path.read_bytes()
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("the library was asked"))
    for case in range(200):
        at = dice.randrange(len(whole) - 100)
        path.write_bytes(whole[:at] + WRONG[case % len(WRONG)](whole[at:]))
        with pytest.raises(SemlinkError, match="rows.h5: damaged"):
            rows.read(path)


WRONG = [
    lambda rest: bytes([rest[0] ^ 4]) + rest[1:],
    lambda rest: rest[1:],
    lambda rest: b"\0" + rest,
    lambda rest: b"\xff" * 8 + rest[8:],
    lambda rest: rest[64:] + rest[:64] + rest[-73:],
]


def cut(content, dice):
    return content[: dice.randrange(len(content))]


def flipped(content, dice):
    bit = dice.randrange(8 * len(content))
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize("change", ["value", "text", "units", "attribute", "dataset"])
def test_what_was_changed_later_is_found_by_the_checksum(tmp_path, change):
    import h5py

    path = tmp_path / "rows.h5"
    rows.write(made(RAGGED), path)
    with h5py.File(path, "r+") as file:
        if change == "value":
            file["psnr"][0, 0, 0, 0, 0] = 1.0000001
        elif change == "text":
            file["csi"][0] = "other"
        elif change == "units":
            file["psnr"].attrs["units"] = "B"
        elif change == "attribute":
            file.attrs["seed"] = 1
        else:
            del file["mse"]
    with pytest.raises(SemlinkError, match="rows.h5: damaged"):
        rows.read(path)


def test_a_file_without_a_checksum_reads_as_before(tmp_path):
    import h5py

    path = tmp_path / "rows.h5"
    rows.write(made(RAGGED), path)
    expected = told(rows.read(path))
    with h5py.File(path, "r+") as file:
        del file.attrs["sha256"]
    assert told(rows.read(path)) == expected and "sha256" not in expected


@pytest.mark.parametrize("told", ["[", "3", "null", '{"metrics": 3}', '{"codecs": 3}', "[" * 100_000])
def test_a_configuration_that_no_sweep_wrote_is_none(told):
    found = replace(made(RAGGED), attributes={"configuration": told})
    assert found.asked_metrics() == () and not found.stops()
    assert found.asked() == {m.condition for m in found.measurements}


def test_a_shape_that_no_file_of_that_size_holds_is_refused_unread(tmp_path):
    import h5py

    path = tmp_path / "rows.h5"
    rows.write(made(RAGGED), path)
    with h5py.File(path, "r+") as file:
        del file.attrs["sha256"]
        file.create_dataset("huge", (10**5, 10**5, 100, 1, 1), "f4", chunks=(100, 100, 1, 1, 1))
    with pytest.raises(SemlinkError, match="rows.h5: damaged"):
        rows.read(path)
