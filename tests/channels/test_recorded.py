"""Recorded channel: files made of known channels give those channels back; files that are wrong are refused."""

import math
import os
import pickle
import time
import tracemalloc
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from semlink import channels
from semlink.channels import _cir_statistics as statistics
from semlink.channels.base.fade import RayFade, complex_normal, unit_phasor
from semlink.channels.base.grid import Grid
from semlink.channels.recorded import Recorded, RecordedFade, write_cir_file
from semlink.simulator.conformance.channel import check_draws
from semlink.simulator.link.fades import identity

GRID = Grid()
CARRIER = 3.5e9


def write(path: Path, gains: np.ndarray, delays=None, interval: float = 1e-3) -> Path:
    """A file of gains `[routes, snapshots, paths]` or with antennas; delays 0.1 us apart by default."""
    gains = gains if gains.ndim == 5 else gains[:, :, None, None]
    delays = 1e-7 * np.arange(gains.shape[-1]) if delays is None else delays
    write_cir_file(path, gains, delays, interval, CARRIER)
    return path


def record(fade: RayFade, snapshots: int, interval: float) -> np.ndarray:
    """Snapshots of a fade, `[images, snapshots, paths]`."""
    taken = [(fade.gains * unit_phasor(fade.doppler * (i * interval))).sum(-1) for i in range(snapshots)]
    return np.stack(taken, 1)


@pytest.fixture(scope="module")
def tdl():
    """The channel that the next two files are a record of."""
    return channels.create("tdl", delay_spread=300e-9, speed=6.0)


@pytest.fixture(scope="module")
def tdl_file(tdl, tmp_path_factory) -> Path:
    """64 routes of 0.8 s, with a path gain of -90 dB."""
    fade = tdl.draw(np.random.default_rng(9), 64)
    gains = record(fade, 800, 1e-3) * np.float32(10**-4.5)
    return write(tmp_path_factory.mktemp("cir") / "tdl.h5", gains, fade.delays)


@pytest.fixture(scope="module")
def shadowed_file(tdl, tmp_path_factory) -> Path:
    """The same with log-normal shadowing of 6 dB from route to route."""
    fade = tdl.draw(np.random.default_rng(9), 64)
    shadow = 10 ** (6 * np.random.default_rng(2).standard_normal((64, 1, 1)) / 20)
    gains = (record(fade, 800, 1e-3) * shadow).astype(np.complex64)
    return write(tmp_path_factory.mktemp("cir") / "shadowed.h5", gains, fade.delays)


def test_draws_are_what_it_tells(tdl_file) -> None:
    check_draws(channels.create("recorded", path=str(tdl_file)))


def test_record_of_a_tdl_has_its_correlation(tdl, tdl_file) -> None:
    channel = Recorded(str(tdl_file))
    seconds, hertz = np.meshgrid(np.arange(-13, 14) * 71.4e-6, np.arange(-70, 71, 10) * 15e3)
    assert np.abs(channel.correlation(seconds, hertz) - tdl.correlation(seconds, hertz)).max() < 0.05
    assert channel.correlation(np.array(0.0), np.array(0.0)) == pytest.approx(1)
    slow = np.array([5e-3, 12e-3])
    assert np.abs(channel.correlation(slow, np.zeros(2)) - tdl.correlation(slow, np.zeros(2))).max() < 0.1
    assert channel.specular_power == 0


def test_power_delay_profile_is_the_paths(tmp_path) -> None:
    """Paths of fixed modulus: the correlation over frequency is the Fourier sum of the profile, to rounding."""
    powers, delays = np.array([0.6, 0.3, 0.1]), np.array([0.0, 0.4e-6, 1.1e-6])
    gains = np.sqrt(powers) * unit_phasor(np.random.default_rng(0).random((40, 5, 3)))
    channel = Recorded(str(write(tmp_path / "a.h5", gains.astype(np.complex64), delays)))
    shifts = np.arange(-5, 6) * 90e3
    told = (powers * np.exp(-2j * np.pi * shifts[:, None] * delays)).sum(-1)
    assert np.allclose(channel.correlation(np.array(0.0), shifts), told, atol=1e-5)


def test_outage_of_recorded_rayleigh(tmp_path) -> None:
    """P(|h|^2 < t) = 1 - exp(-t); single snapshots stand still, and their power is no large-scale gain."""
    gains = 1e-5 * complex_normal(np.random.default_rng(1), (6000, 1, 1))
    channel = Recorded(str(write(tmp_path / "a.h5", gains)))
    fade = channel.draw(np.random.default_rng(2), 4000)
    h = fade.response(0, 1)[:, 0, ::13, ::71]
    power = np.abs(h[:, 0, 0]) ** 2
    assert np.allclose(h, h[:, :1, :1]) and (fade.power == 1).all() and channel.specular_power == 0
    for threshold in (0.1, 0.5, 1.0, 2.0):
        told = 1 - math.exp(-threshold)
        assert abs((power < threshold).mean() - told) < 4 * math.sqrt(told * (1 - told) * (1 / 4000 + 1 / 6000))


def test_a_ramp_is_interpolated_exactly_and_reflected_at_the_ends(tmp_path) -> None:
    """Gains 1, 2, ..., 9: h(t) = scale (1 + position), where position runs from 0 to 8 and back."""
    channel = Recorded(str(write(tmp_path / "a.h5", np.arange(1, 10, dtype=np.complex64).reshape(1, 9, 1))))
    fade = channel.draw(np.random.default_rng(3), 5)
    symbols = (np.arange(-20, 30)[:, None] * GRID.slot_time + np.arange(GRID.symbols) * GRID.symbol_time).ravel()
    place = fade.start[:, None] + symbols / 1e-3
    triangle = np.abs(np.mod(place + 8, 16) - 8)
    h = fade.response(-20, 50).reshape(5, -1, GRID.subcarriers)
    assert np.allclose(h, fade.scale * (1 + triangle)[..., None], atol=1e-4)
    assert fade.scale == pytest.approx(1 / math.sqrt((np.arange(1, 10) ** 2).mean()))


def test_doppler_of_a_single_path(tmp_path) -> None:
    """e^{j 2 pi nu t}: the phase advances by 2 pi nu a second, and all power is specular."""
    nu, interval = 70.0, 2e-4
    gains = unit_phasor(nu * interval * np.arange(3000) + np.linspace(0, 3, 4)[:, None])[..., None]
    channel = Recorded(str(write(tmp_path / "a.h5", gains, interval=interval)))
    assert channel.specular_power == pytest.approx(1, abs=1e-3)
    fade = channel.draw(np.random.default_rng(0), 50)
    fade = RecordedFade(fade.file, fade.route, np.full(50, 1000), fade.scale)
    h = fade.response(0, 3)[..., 0].reshape(50, -1)
    assert np.allclose(np.angle(h[:, 1:] * h[:, :-1].conj()), 2 * np.pi * nu * GRID.symbol_time, atol=5e-3)
    told = np.exp(2j * np.pi * nu * np.array([-1e-3, 1e-3]))
    assert np.allclose(channel.correlation(np.array([-1e-3, 1e-3]), np.zeros(2)), told, atol=0.05)


def test_continuity_and_determinism(tdl_file) -> None:
    channel = Recorded(str(tdl_file))
    one, again = (channel.draw(np.random.default_rng(5), 8) for _ in range(2))
    h = one.response(-4, 8)
    assert np.array_equal(h, again.response(-4, 8)) and np.array_equal(h[:, 5:], one.response(1, 3))
    steps = np.abs(np.diff(one.response(-400, 1200)[..., 0].reshape(8, -1), axis=1))
    assert steps.max() < 0.15, "no jump anywhere, the ends of routes included"


def test_power_is_normalised_by_one_constant_and_followed_locally(shadowed_file) -> None:
    channel = Recorded(str(shadowed_file))
    with h5py.File(shadowed_file) as file:
        routes = (np.abs(file["gains"][()]) ** 2).sum(-1).mean((1, 2, 3))
    fade = channel.draw(np.random.default_rng(0), 3000)
    assert fade.power.dtype == np.float32
    error_db = 10 * np.log10(fade.power / (routes / routes.mean())[fade.route])
    assert error_db.std() < 1.0 and np.std(10 * np.log10(routes)) > 4.0
    power = (np.abs(fade.response(0, 1)[:, 0, 0, 36]) ** 2) / fade.power
    assert abs(power.mean() - 1) < 0.08 and abs((power < 0.1).mean() - (1 - math.exp(-0.1))) < 0.03


def test_line_of_sight_is_found_in_a_record(tmp_path) -> None:
    source = channels.create("tdl", model="D", speed=6.0)
    fade = source.draw(np.random.default_rng(3), 32)
    channel = Recorded(str(write(tmp_path / "a.h5", record(fade, 500, 1e-3), fade.delays)))
    assert channel.specular_power == pytest.approx(source.specular_power, abs=0.03)
    drawn = channel.draw(np.random.default_rng(0), 4)
    assert np.allclose(drawn.specular, drawn.power * channel.specular_power)


@pytest.mark.parametrize("model", ["A", "D"])
def test_slow_fading_is_no_large_scale_gain(tmp_path, model) -> None:
    """Routes of 0.2 wavelengths: their mean power would tell the receiver the fade itself."""
    fade = channels.create("tdl", model=model, speed=1.0).draw(np.random.default_rng(3), 500)
    channel = Recorded(str(write(tmp_path / "a.h5", record(fade, 18, 1e-3), fade.delays)))
    assert (channel.draw(np.random.default_rng(0), 50).power == 1).all()


def test_line_of_sight_under_shadowing(tmp_path) -> None:
    """Long routes with a line of sight and gains of their own: both are told apart."""
    source = channels.create("tdl", model="D", speed=12.0)
    fade = source.draw(np.random.default_rng(3), 32)
    shadow = 10 ** (6 * np.random.default_rng(2).standard_normal(32) / 20)
    gains = record(fade, 800, 5e-4) * shadow[:, None, None].astype(np.float32)
    channel = Recorded(str(write(tmp_path / "a.h5", gains, fade.delays, 5e-4)))
    drawn = channel.draw(np.random.default_rng(0), 200)
    error_db = 10 * np.log10(drawn.power / (shadow**2 / (shadow**2).mean())[drawn.route])
    assert error_db.std() < 0.5
    assert channel.specular_power == pytest.approx(source.specular_power, abs=0.05)


def test_antennas_are_the_files(tmp_path) -> None:
    gains = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 2, 3, 1) * np.ones((4, 3, 2, 3, 1), np.complex64)
    path = write(tmp_path / "a.h5", gains)
    with pytest.raises(ValueError, match="2 x 3 antennas: set rx_antennas=2,tx_antennas=3"):
        Recorded(str(path))
    channel = channels.create("recorded", path=str(path), rx_antennas=2, tx_antennas=3)
    h = channel.draw(np.random.default_rng(0), 5).response(0, 1)[:, 0]
    assert h.shape == (5, 2, 3, GRID.symbols, GRID.subcarriers)
    told = np.arange(1, 7).reshape(2, 3) / math.sqrt((np.arange(1, 7) ** 2).mean())
    assert np.allclose(h, told[:, :, None, None], atol=1e-5)


def test_paths_beyond_the_prefix_are_those_of_any_ray_channel(tmp_path) -> None:
    """A still recording and a RayFade of the same taps agree on response, known part and tail."""
    delays = np.array([0.0, 3e-6, 9e-6])
    gains = complex_normal(np.random.default_rng(0), (1, 1, 3))
    fade = Recorded(str(write(tmp_path / "a.h5", gains, delays))).draw(np.random.default_rng(0), 2)
    scaled = np.repeat(gains[:, 0, :, None] * np.float32(fade.scale), 2, 0)
    ray = RayFade(delays, scaled, np.zeros((2, 3, 1)))
    asked = (np.array([0, 1]), np.array([0, 4]), GRID)
    for name in ("at", "known", "tail"):
        assert np.allclose(getattr(fade, name)(*asked), getattr(ray, name)(*asked), atol=1e-6), name
    assert fade.tail(*asked).any()


def test_a_large_file_needs_no_memory(tmp_path) -> None:
    """256 MB on disk, mapped read-only: neither checking, statistics nor drawing allocate a quarter of it."""
    path, route = tmp_path / "a.h5", complex_normal(np.random.default_rng(0), (1000, 1, 1, 32))
    with h5py.File(path, "w") as file:
        gains = file.create_dataset("gains", (1024, 1000, 1, 1, 32), np.complex64)
        for i in range(1024):
            gains[i] = route
        file["delays"] = 1e-8 * np.arange(32)
        file.attrs.update(snapshot_interval=1.0, carrier_frequency=CARRIER, schema="semlink-cir-1")
    assert path.stat().st_size > 256e6
    tracemalloc.start()
    channel = Recorded(str(path))
    with pytest.warns(UserWarning, match="too far apart"):
        fade = channel.draw(np.random.default_rng(0), 32)
    fade.response(0, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    mapped = channel.file().gains()
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    assert peak < 64e6, f"{peak / 1e6:.0f} MB"


def test_a_fade_pickles_without_the_taps_into_a_fresh_process(tdl_file, monkeypatch) -> None:
    monkeypatch.chdir(tdl_file.parent)
    fade = Recorded(tdl_file.name).draw(np.random.default_rng(0), 4)
    monkeypatch.chdir("/")
    assert len(pickle.dumps(fade)) < 4000
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        far = pool.submit(RecordedFade.response, fade, -2, 5).result()
    assert np.array_equal(far, fade.response(-2, 5))


def test_writer_rewrites_a_compressed_file_and_offsets_are_right(tmp_path) -> None:
    gains = complex_normal(np.random.default_rng(0), (3, 4, 1, 1, 2))
    old, new = tmp_path / "old.h5", tmp_path / "new.h5"
    write(old, gains)
    with h5py.File(old, "r+") as file:
        del file["gains"]
        file.create_dataset("gains", data=gains, compression="gzip")
    with pytest.raises(ValueError, match="contiguous, uncompressed complex64.*rewrite it with write_cir_file"):
        Recorded(str(old))
    with h5py.File(old) as file:
        write_cir_file(new, file["gains"], file["delays"], file.attrs["snapshot_interval"], CARRIER)
    assert np.array_equal(Recorded(str(new)).file().gains(), gains)
    with h5py.File(tmp_path / "user.h5", "w", userblock_size=1024) as file, h5py.File(new) as source:
        source.copy("gains", file)
        source.copy("delays", file)
        file.attrs.update(source.attrs)
    assert np.array_equal(Recorded(str(tmp_path / "user.h5")).file().gains(), gains)


def test_a_file_that_changes_is_noticed(tmp_path) -> None:
    path = write(tmp_path / "a.h5", np.ones((1, 2, 1), np.complex64))
    channel = Recorded(str(path))
    fade = channel.draw(np.random.default_rng(0), 1)
    write(path, 3 * np.ones((2, 3, 2), np.complex64))
    with pytest.raises(ValueError, match="has changed since it was opened: make the channel again"):
        fade.response(0, 1)
    assert channel.draw(np.random.default_rng(0), 1).scale == pytest.approx(1 / math.sqrt(18))


def tampered(path: Path, **changes) -> Path:
    """A sound file with fields replaced, or deleted where None."""
    write(path, np.ones((2, 3, 1), np.complex64))
    with h5py.File(path, "r+") as file:
        for name, value in changes.items():
            place = file if name in ("gains", "delays") else file.attrs
            del place[name]
            if value is not None:
                place[name] = value
    return path


ONES = np.ones((2, 3, 1, 1, 1), np.complex64)
HEADERS = [
    ({"gains": None}, "lacks gains: write it with"),
    ({"delays": None, "carrier_frequency": None}, "lacks delays, carrier_frequency"),
    ({"schema": None}, "lacks schema"),
    ({"schema": "other"}, "schema 'other', not 'semlink-cir-1'"),
    ({"gains": ONES[0]}, r"gains are \[3, 1, 1, 1\], must be \[routes, snapshots, rx, tx, paths\]"),
    ({"gains": ONES.astype(np.complex128)}, "uncompressed complex64.*rewrite it"),
    ({"gains": ONES[:0]}, r"gains are \[0, 3, 1, 1, 1\]"),
    ({"delays": np.zeros(2)}, r"delays are \[2\], must be one per path: \[1\]"),
    ({"delays": np.array([-1e-6])}, "not negative, 1 s at most: count them in seconds from the first path on"),
    ({"delays": np.array([np.nan])}, "must be finite"),
    ({"snapshot_interval": 0.0}, "snapshot_interval is .*0.0.*must be a positive number of s"),
    ({"carrier_frequency": -1.0}, "carrier_frequency is .*must be a positive number of Hz"),
    ({"snapshot_interval": "fast"}, "snapshot_interval is 'fast'"),
    ({"snapshot_interval": 1e-300}, "snapshot_interval is .*must be a positive number of s, 1e-09 to 10000"),
    ({"snapshot_interval": 1e300}, "snapshot_interval is .*must be a positive number of s"),
    ({"snapshot_interval": 1e-3 + 0j}, "snapshot_interval is .*must be a positive number of s"),
    ({"snapshot_interval": np.array([1e-3, 2e-3])}, "snapshot_interval is array.*must be a positive number of s"),
    ({"carrier_frequency": np.full((30, 30), 2e9)}, "carrier_frequency is array.*must be a positive number of Hz"),
    ({"carrier_frequency": 3.5}, "carrier_frequency is .*must be a positive number of Hz, 1000 to 1e"),
    ({"carrier_frequency": h5py.Empty("f")}, "carrier_frequency is Empty"),
    ({"schema": np.array([b"a", b"b"])}, "schema array.*not 'semlink-cir-1'"),
    ({"delays": np.array([1e300])}, "1 s at most"),
    ({"delays": np.array([1j])}, "delays must be finite"),
    ({"delays": h5py.Empty("f8")}, r"delays (are|must)"),
    ({"gains": h5py.Empty("c8")}, r"gains are \[\]"),
    ({"gains": h5py.ExternalLink("nowhere.h5", "gains")}, "lacks gains"),
]


@pytest.mark.parametrize(("changes", "message"), HEADERS, ids=lambda v: v if isinstance(v, str) else "")
def test_wrong_headers_are_refused_at_once(tmp_path, changes, message) -> None:
    path = tampered(tmp_path / "bad.h5", **changes)
    with pytest.raises(ValueError, match=message) as error:
        channels.create("recorded", path=str(path))
    assert "\n" not in str(error.value) and "bad.h5" in str(error.value)


def test_missing_and_broken_files(tmp_path) -> None:
    with pytest.raises(ValueError, match="no CIR file .*none.h5: write one with"):
        Recorded(str(tmp_path / "none.h5"))
    with pytest.raises(ValueError, match="no CIR file .*: write one with"):
        Recorded(300 * "x")
    path = write(tmp_path / "a.h5", np.ones((50, 30, 1), np.complex64))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="no sound HDF5 file .*copy or write it again"):
        Recorded(str(path))
    path.write_text("not HDF5")
    with pytest.raises(ValueError, match="no sound HDF5 file"):
        Recorded(str(path))


@pytest.mark.parametrize("name", ["gains", "delays"])
def test_links_to_another_file_are_refused(tmp_path, name) -> None:
    """Gains are mapped at their place in their file: from another they would be other numbers."""
    write(tmp_path / "other.h5", 7 * np.ones((2, 3, 1), np.complex64))
    path = tampered(tmp_path / "bad.h5", **{name: h5py.ExternalLink("other.h5", name)})
    with pytest.raises(ValueError, match=f"bad.h5: {name} are links to another file"):
        Recorded(str(path))
    write(tmp_path / "own.h5", np.ones((2, 3, 1), np.complex64))
    with h5py.File(tmp_path / "own.h5", "r+") as file:
        file.move(name, "elsewhere")
        file[name] = h5py.SoftLink("/elsewhere")
    assert Recorded(str(tmp_path / "own.h5")).file().gains().shape == (2, 3, 1, 1, 1)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(ValueError, match="pipe.h5 is a folder, pipe or device"):
        Recorded(str(tmp_path / "pipe.h5"))


def test_any_damage_is_a_line(tmp_path) -> None:
    rng = np.random.default_rng(0)
    whole = write(tmp_path / "a.h5", complex_normal(rng, (2, 5, 1, 1, 3))).read_bytes()
    refused = 0
    for trial in range(250):
        data = bytearray(whole[: rng.integers(len(whole))] if trial % 5 == 0 else whole)
        for place in rng.integers(len(data), size=1 + trial % 4):
            data[place] ^= 1 << int(rng.integers(8)) if trial % 2 else int(rng.integers(1, 256))
        path = tmp_path / f"{trial}.h5"
        path.write_bytes(data)
        try:
            with warnings.catch_warnings(action="ignore"):
                Recorded(str(path)).draw(np.random.default_rng(0), 2).response(0, 1, GRID)
        except ValueError as error:
            refused += 1
            assert path.name in str(error) and "\n" not in str(error)
    assert refused > 50


def test_the_library_never_sees_bytes_that_are_not_what_was_written(tmp_path, monkeypatch) -> None:
    """HDF5 may crash on a damaged header, or never come back: it is refused before it is asked."""
    rng = np.random.default_rng(3)
    whole = write(tmp_path / "a.h5", complex_normal(rng, (2, 5, 1, 1, 3))).read_bytes()
    offset = Recorded(str(tmp_path / "a.h5")).file().offset
    header = [*range(offset), *range(offset + 8 * 2 * 5 * 3, len(whole) - 160)]
    monkeypatch.setattr(h5py, "File", lambda *_: pytest.fail("the library was asked"))
    for trial, place in enumerate(rng.choice(header, 120)):
        rest = [bytes([whole[place] ^ 4]) + whole[place + 1 :], whole[place + 1 :], b"\0" + whole[place:]][trial % 3]
        path = tmp_path / f"{trial}.h5"
        path.write_bytes(whole[:place] + rest)
        with pytest.raises(ValueError, match=f"{path.name} is no sound HDF5 file .not what was written"):
            Recorded(str(path))


def test_a_file_of_others_has_no_checksum(tmp_path) -> None:
    path = write(tmp_path / "a.h5", complex_normal(np.random.default_rng(0), (2, 5, 1, 1, 3)))
    expected = Recorded(str(path)).draw(np.random.default_rng(0), 2).response(0, 1, GRID)
    bare = tmp_path / "b.h5"
    bare.write_bytes(path.read_bytes().partition(b"\nsha256")[0])
    assert (Recorded(str(bare)).draw(np.random.default_rng(0), 2).response(0, 1, GRID) == expected).all()


@pytest.mark.parametrize("use", ["draw", "correlation", "specular"])
@pytest.mark.parametrize(
    ("tap", "message"),
    [
        (np.nan, r"NaN or infinite tap at gains\[1, 2, 0, 0, 0\]"),
        (np.inf, "infinite"),
        (0, "all taps are 0"),
        (1e25, "which no measurement has"),
    ],
)
def test_taps_that_cannot_be_normalised(tmp_path, tap, message, use) -> None:
    gains = ONES * (tap != 0)
    gains[1, 2] = tap
    channel = Recorded(str(tampered(tmp_path / "a.h5", gains=gains)))
    with pytest.raises(ValueError, match=message):
        if use == "draw":
            channel.draw(np.random.default_rng(0), 1)
        elif use == "correlation":
            channel.correlation(np.zeros(1), np.zeros(1))
        else:
            _ = channel.specular_power


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gains": ONES[0]}, "must be"),
        ({"gains": ONES * np.nan}, "gains of route 0 hold NaN"),
        ({"delays": [-1.0]}, "not negative"),
        ({"delays": [0.0, 1.0]}, "one per path"),
        ({"snapshot_interval": -1.0}, "positive number of s"),
        ({"carrier_frequency": math.inf}, "positive number of Hz"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_writer_refuses_and_leaves_nothing(tmp_path, change, message) -> None:
    sound = {"gains": ONES, "delays": [0.0], "snapshot_interval": 1e-3, "carrier_frequency": CARRIER}
    with pytest.raises(ValueError, match=message):
        write_cir_file(tmp_path / "a.h5", **{**sound, **change})
    assert not list(tmp_path.iterdir())


def test_stretch_of_local_power_holds_enough_fades(tdl_file) -> None:
    """The mean power over that stretch scatters by about 1 / sqrt(FADES) around the route's."""
    file = Recorded(str(tdl_file)).file()
    length = statistics.stretch(file)
    assert 50 < length < 800
    power = (np.abs(np.asarray(file.gains())) ** 2).sum(-1)[:, :, 0, 0]
    starts = np.arange(0, 800 - length, length)
    means = np.stack([power[:, s : s + length].mean(1) for s in starts])
    scatter = means.std() / means.mean()
    assert 0.5 < scatter * math.sqrt(statistics.FADES) < 2


def test_fades_follow_the_contents_and_not_the_spelling_of_the_path(tdl_file, tmp_path, monkeypatch) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(tdl_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    one, relative, moved = (identity(Recorded(str(path))) for path in (tdl_file, "copy.h5", copy))
    assert one == relative == moved
    with h5py.File(copy, "r+") as file:
        file["gains"][-1, -1] *= 2
    assert identity(Recorded(str(copy))) != one


# --- what other programs write


def matlab(path: Path, **variables: np.ndarray) -> Path:
    """A file as MATLAB's `save -v7.3` makes it: 512 bytes ahead, axes reversed, complex fields, chunks, 1x1 numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            value = np.atleast_2d(value)
            while value.ndim > 2 and value.shape[-1] == 1:  # MATLAB knows no axes of length 1 at the end
                value = value[..., 0]
            if np.iscomplexobj(value):
                fields = np.zeros(value.shape, [("real", "<f8"), ("imag", "<f8")])
                fields["real"], fields["imag"] = value.real, value.imag
                value = fields
            stored = file.create_dataset(name, data=value.T, chunks=True, compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_("double")
    return path


@pytest.mark.parametrize("shape", [(3, 4, 2, 1, 5), (3, 4, 1, 1, 1), (2, 6, 1, 2, 1)], ids=str)
def test_a_matlab_file_is_converted_by_the_writer(tmp_path, shape) -> None:
    """Refused with the command that converts it, and then the same taps."""
    gains = complex_normal(np.random.default_rng(0), shape)
    delays = 1e-7 * np.arange(shape[-1])
    variables = {"gains": gains, "delays": delays, "snapshot_interval": 1e-3, "carrier_frequency": CARRIER}
    old, new = matlab(tmp_path / "old.mat", **variables), tmp_path / "new.h5"
    with pytest.raises(ValueError, match="is a MATLAB file: convert it once, with h5py.File") as error:
        Recorded(str(old))
    assert "\n" not in str(error.value)
    with h5py.File(old) as f:
        write_cir_file(new, f["gains"], f["delays"], f["snapshot_interval"], f["carrier_frequency"])
    channel = Recorded(str(new), rx_antennas=shape[2], tx_antennas=shape[3])
    assert np.allclose(channel.file().gains(), gains)
    assert channel.file().delays == pytest.approx(delays) and channel.file().snapshot_interval == 1e-3


def test_complex_fields_of_single_precision_are_mapped(tmp_path) -> None:
    """Fields real and imag of float32 lie as complex64 does; delays as a row, attributes as arrays of one number."""
    gains = complex_normal(np.random.default_rng(0), (3, 4, 1, 1, 2))
    path = write(tmp_path / "a.h5", gains)
    with h5py.File(path, "r+") as file:
        del file["gains"], file["delays"]
        file["gains"] = gains.view([("real", "<f4"), ("imag", "<f4")]).reshape(gains.shape)
        file["delays"] = np.array([[0.0, 1e-6]])
        file.attrs["snapshot_interval"] = np.array([1e-3])
        file.attrs["carrier_frequency"] = np.array([[CARRIER]])
    channel = Recorded(str(path))
    assert np.array_equal(channel.file().gains(), gains) and channel.file().delays == (0.0, 1e-6)
    assert channel.draw(np.random.default_rng(0), 2).response(0, 1).shape[0] == 2


def test_writer_takes_lists_and_delays_per_route_that_are_alike(tmp_path) -> None:
    gains = complex_normal(np.random.default_rng(0), (2, 3, 1, 1, 4))
    for delays in ([0, 1e-7, 2e-7, 3e-7], [[0, 1e-7, 2e-7, 3e-7]], np.tile([0, 1e-7, 2e-7, 3e-7], (2, 1))):
        write_cir_file(tmp_path / "a.h5", gains.tolist(), delays, 1e-3, CARRIER)
        assert np.array_equal(Recorded(str(tmp_path / "a.h5")).file().gains(), gains)


def test_delays_of_quadriga_are_refused_with_the_way_out(tmp_path) -> None:
    """QuaDRiGa has a delay per antenna pair, path and snapshot, `[rx, tx, paths, snapshots]`; others one per route."""
    gains = complex_normal(np.random.default_rng(0), (2, 3, 1, 1, 4))
    for delays in (np.random.default_rng(1).random((1, 1, 4, 3)), np.arange(8.0).reshape(2, 4) * 1e-7):
        with pytest.raises(ValueError, match="on common delays, 0 where there is no path") as error:
            write_cir_file(tmp_path / "a.h5", gains, delays, 1e-3, CARRIER)
        assert "\n" not in str(error.value)
    path = write(tmp_path / "b.h5", gains)
    with h5py.File(path, "r+") as file:
        del file["delays"]
        file["delays"] = np.arange(8.0).reshape(2, 4) * 1e-7
    with pytest.raises(ValueError, match="one per path: put the gains of all routes"):
        Recorded(str(path))


@pytest.mark.parametrize(
    ("gains", "message"),
    [(np.zeros((1, 1, 1, 1, 1), [("re", "f4"), ("im", "f4")]), "fields re, im"), ([["a"]], "type <U1")],
    ids=["fields", "text"],
)
def test_gains_that_are_no_numbers(tmp_path, gains, message) -> None:
    with pytest.raises(ValueError, match=message):
        write_cir_file(tmp_path / "a.h5", gains, [0.0], 1e-3, CARRIER)


def test_statistics_of_many_antennas_are_quick(tmp_path) -> None:
    """A Wiener filter asks for the correlation at 27 distances: 768 taps a snapshot took a minute, and said nothing."""
    rng = np.random.default_rng(0)
    gains = np.cumsum(complex_normal(rng, (20, 200, 4, 4, 48)), 1) / 200**0.5
    path = write(tmp_path / "a.h5", gains, interval=2e-5)
    channel = Recorded(str(path), rx_antennas=4, tx_antennas=4)
    start = time.process_time()
    channel.draw(rng, 2)
    channel.correlation(np.arange(-13, 14) * 71.4e-6, np.zeros(27))
    assert time.process_time() - start < 15


def test_long_statistics_say_how_far_they_are(tdl_file, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(statistics, "PATIENCE", 0.0)
    copy = tmp_path / "own.h5"  # nothing of it is known yet
    copy.write_bytes(tdl_file.read_bytes())
    Recorded(str(copy)).correlation(np.arange(3) * 1e-3, np.zeros(3))
    said = capsys.readouterr()
    assert "correlation of own.h5" in said.err and "power of own.h5" in said.err and not said.out
