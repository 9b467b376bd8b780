"""Ray-traced channel: hand-made paths against closed forms, traced ones against geometry and Sionna, and the cache."""

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import j0

from semlink import channels
from semlink.channels import _path_cache as cache
from semlink.channels._path_cache import PathTable, Scenario
from semlink.channels._tr38901 import LIGHT
from semlink.channels.base.grid import Grid
from semlink.channels.ray_traced import RayTraced
from semlink.simulator.conformance.channel import check_draws

GRID = Grid()
ZENITH, AZIMUTH = 1.2, 0.7


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))
    cache.paths.cache_clear()
    yield tmp_path
    cache.paths.cache_clear()


@pytest.fixture(scope="module")
def llvm() -> None:
    """Skips where nothing can be traced."""
    probe = "import mitsuba; mitsuba.set_variant('llvm_ad_mono_polarized'); import sionna.rt"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be traced here: {done.stderr.strip().splitlines()[-1]}")


def hand_made(amplitudes: np.ndarray, delays: np.ndarray) -> PathTable:
    """Paths `[users, paths]` that all come from one direction."""
    angles = np.broadcast_to(np.float32([ZENITH, AZIMUTH]), (*np.shape(amplitudes), 2))
    arrays = (np.zeros(3), np.ones((len(amplitudes), 3)), amplitudes, delays, angles, angles)
    return PathTable(*(np.asarray(a, np.float32) for a in arrays))


def channel_of(table: PathTable, **settings) -> RayTraced:
    """A channel whose cached paths are that table."""
    channel = RayTraced(scene="munich", users=len(table.positions), **settings)
    scenario = Scenario("munich", channel.users, channel.carrier_frequency, channel.max_depth)
    cache.write_table(cache.cache_file(scenario), scenario, table)
    return channel


@pytest.mark.parametrize("settings", [{}, {"speed": 30.0}, {"speed": 0.0}], ids=str)
def test_draws_are_what_it_tells(settings) -> None:
    check_draws(channels.create("ray_traced", **settings))


def test_default_needs_no_llvm_and_no_mitsuba(tmp_path) -> None:
    code = "import sys; from semlink import channels; channels.create('ray_traced').specular_power; print(*sys.modules)"
    env = {**os.environ, "DRJIT_LIBLLVM_PATH": "/nonexistent.so", "SEMLINK_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert not {"mitsuba", "sionna", "tensorflow", "torch"} & set(done.stdout.split())
    assert not list(tmp_path.iterdir())


def test_shipped_table_is_small_and_plausible() -> None:
    file = cache.SHIPPED / "ray_traced-simple_street_canyon.npz"
    assert file.stat().st_size < 300_000
    table = RayTraced().table()
    gains, real = (table.amplitudes**2).sum(1), table.amplitudes > 0
    distance = np.linalg.norm(table.positions - table.transmitter, axis=1)
    wavelength = LIGHT / 3.5e9
    assert (table.delays[real] * LIGHT > np.broadcast_to(distance[:, None], real.shape)[real] - 0.02).all()
    assert (gains < 4 * (wavelength / (4 * math.pi * distance)) ** 2).all()  # two-ray bound: twice the field
    assert np.allclose(table.positions[:, 2] - table.transmitter[2], 1.5 - 10, atol=1e-3)
    sight = np.isclose(table.delays[:, 0] * LIGHT, distance, atol=0.02)
    assert 0.1 < sight.mean() < 0.9, "users with and without a line of sight"
    friis = (wavelength / (4 * math.pi * distance[sight])) ** 2
    assert np.allclose(table.amplitudes[sight, 0] ** 2, friis, rtol=1e-3)


def test_power_delay_profile_is_the_paths() -> None:
    """E[h(f + df) h*(f)] over draws is the Fourier sum over the raw table."""
    channel = channels.create("ray_traced")
    with np.load(cache.SHIPPED / "ray_traced-simple_street_canyon.npz") as raw:
        amplitudes, delays = raw["amplitudes"].astype(float), raw["delays"].astype(float)
    delays -= np.where(amplitudes > 0, delays, np.inf).min(1, keepdims=True)
    powers = amplitudes**2 / (amplitudes**2).sum(1, keepdims=True)
    wide = Grid(subcarrier_spacing=120e3)
    h = channel.draw(np.random.default_rng(0), 6000).response(0, 1, wide)[:, 0, 0]
    for shift in (1, 10, 40, 71):
        told = (powers * np.exp(-2j * np.pi * delays * shift * 120e3)).sum(1).mean()
        found = (h[:, shift:] * h[:, : len(h[0]) - shift].conj()).mean()
        assert abs(found - told) < 5 / math.sqrt(6000)
        assert abs(channel.correlation(np.array(0.0), np.array(shift * 120e3)) - told) < 1e-5


def test_every_user_has_unit_power_unless_large_scale_is_kept() -> None:
    rng = np.random.default_rng(2)
    fade = channels.create("ray_traced").draw(rng, 200)
    assert fade.power is None and np.allclose((np.abs(fade.gains) ** 2).sum((1, 2)), 1, atol=1e-5)
    kept = channels.create("ray_traced", large_scale=True)
    gains = (kept.table().amplitudes ** 2).sum(1)
    power = kept.draw(rng, 3000).power
    assert power.dtype == np.float32 and np.isclose(np.unique(power).mean(), 1, rtol=1e-5)
    assert np.allclose(np.unique(power), np.sort(gains) / gains.mean(), rtol=1e-4)
    assert np.isclose(kept.correlation(np.array(0.0), np.array(0.0)), 1)


def test_doppler_of_a_single_path(empty_cache) -> None:
    """Phase advances by 2 pi v / lambda cos(angle); J0 over directions of travel; modulus constant."""
    channel = channel_of(hand_made([[1e-5]], [[2e-7]]), speed=20.0, rx_antennas=2)
    fade = channel.draw(np.random.default_rng(1), 2000)
    h = fade.response(0, 2, GRID)[:, :, :, 0]
    h = h.swapaxes(1, 2).reshape(2000, 2, -1, GRID.subcarriers)
    assert np.allclose(np.abs(h), 1, atol=1e-3) and np.allclose(
        h[..., :1], h, atol=1e-3
    )  # delay from the first path on
    step = h[:, 0, 1:, 0] * h[:, 0, :-1, 0].conj()
    cosine = np.angle(step).mean(1) / (2 * np.pi * channel.max_doppler * GRID.symbol_time)
    sine = np.angle(h[:, 1, 0, 0] * h[:, 0, 0, 0].conj()) / np.pi
    assert np.allclose(cosine**2 + sine**2, math.sin(ZENITH) ** 2, atol=5e-3)
    assert abs(cosine).max() > 0.9 * math.sin(ZENITH) and abs(cosine.mean()) < 0.1
    for symbols in (3, 12, 27):
        told = j0(2 * np.pi * channel.max_doppler * math.sin(ZENITH) * symbols * GRID.symbol_time)
        assert abs((h[:, 0, symbols, 0] * h[:, 0, 0, 0].conj()).mean() - told) < 4 / math.sqrt(2000)
        assert abs(channel.correlation(np.array(symbols * GRID.symbol_time), np.array(0.0)) - told) < 1e-6


def test_outage_of_two_equal_paths(empty_cache) -> None:
    """|h|^2 = 1 + cos(phi), phi uniform: P(|h|^2 < t) = 1 - arccos(t - 1) / pi."""
    channel = channel_of(hand_made([[1e-5, 1e-5]], [[2e-7, 2e-7]]))
    assert math.isclose(channel.specular_power, 0.5, rel_tol=1e-6)
    power = np.abs(channel.draw(np.random.default_rng(4), 4000).response(0, 1)[:, 0, 0, 0]) ** 2
    for threshold in (0.1, 0.5, 1.0, 1.7):
        told = 1 - math.acos(threshold - 1) / math.pi
        assert abs((power < threshold).mean() - told) < 4 * math.sqrt(told * (1 - told) / 4000)


def test_antennas_keep_power_and_bring_rank() -> None:
    fade = channels.create("ray_traced", rx_antennas=2, tx_antennas=4).draw(np.random.default_rng(0), 2000)
    h = fade.response(0, 1)[:, 0]
    assert h.shape == (2000, 2, 4, GRID.symbols, GRID.subcarriers)
    power = (np.abs(h) ** 2).mean((3, 4))
    assert np.allclose(power.mean(0), 1, atol=4 * power.std() / math.sqrt(2000))
    singular = np.linalg.svd(h[..., 0, 0], compute_uv=False)
    assert np.median(singular[:, 1] / singular[:, 0]) > 0.01


def test_fades_are_independent_reproducible_and_pickle() -> None:
    channel = channels.create("ray_traced")
    one, two = (channel.draw(np.random.default_rng(s), 3) for s in (1, 2))
    back = pickle.loads(pickle.dumps(one))
    assert np.array_equal(back.response(-3, 2), channel.draw(np.random.default_rng(1), 3).response(-3, 2))
    assert not np.allclose(one.response(0, 1), two.response(0, 1))
    assert one.specular.dtype == np.float32 and (one.specular <= 1).all() and (one.specular > 0).all()


def test_life_of_the_cache(empty_cache, monkeypatch) -> None:
    """Traced once, read after that; traced again when damaged, for another scenario and another sionna-rt."""
    traced = []

    def fake(scenario, file):
        traced.append(scenario)
        cache.write_table(file, scenario, hand_made(np.full((scenario.users, 2), 1e-4), np.ones((scenario.users, 2))))

    def again(**settings) -> int:
        cache.paths.cache_clear()
        _ = RayTraced(**{"scene": "etoile", "users": 3, **settings}).specular_power
        return len(traced)

    monkeypatch.setattr(cache, "trace", fake)
    assert (again(), again(), again(speed=9.0, rx_antennas=2)) == (1, 1, 1)
    (file,) = empty_cache.iterdir()
    whole = file.read_bytes()
    inside = whole.index(b"amplitudes.npy") + 60  # past the name, in the compressed numbers
    for damaged in (b"", whole[:100], whole[:-40], whole[:inside] + bytes([whole[inside] ^ 255]) + whole[inside + 1 :]):
        file.write_bytes(damaged)
        before = len(traced)
        assert again() == before + 1 and file.read_bytes() == whole
    assert again(users=4) == again(users=4) == 6 and again(carrier_frequency=28e9) == 7 and again(max_depth=1) == 8
    monkeypatch.setattr(cache, "rt_version", lambda: "99.0")
    assert again() == again() == 9
    assert {f.suffix for f in empty_cache.iterdir()} == {".npz"}, "nothing half-written stays"


@pytest.mark.parametrize("bad", [np.nan, 0.0], ids=["nan", "silent user"])
def test_unsound_tables_are_not_used(tmp_path, bad) -> None:
    scenario, table = Scenario("etoile", 2, 3.5e9, 3), hand_made(np.full((2, 2), 1e-4), np.ones((2, 2)))
    table.amplitudes[1] = bad
    cache.write_table(tmp_path / "t.npz", scenario, table)
    with pytest.raises(cache.DamagedTable, match="wrong shape or value"):
        cache.read_table(tmp_path / "t.npz", scenario)
    with pytest.raises(cache.DamagedTable, match="another scenario"):
        cache.read_table(tmp_path / "t.npz", Scenario("etoile", 3, 3.5e9, 3))


def test_a_cache_that_cannot_be_written_is_a_warning(empty_cache, monkeypatch) -> None:
    (empty_cache / "file").write_text("in the way")
    monkeypatch.setenv("SEMLINK_CACHE", str(empty_cache / "file"))
    monkeypatch.setattr(cache, "trace", lambda s, file: cache.write_table(file, s, hand_made([[1.0]], [[1.0]])))
    with pytest.warns(UserWarning, match="SEMLINK_CACHE"):
        assert RayTraced(scene="etoile", users=1).specular_power == 1


def test_cache_folder_follows_the_environment(monkeypatch) -> None:
    scenario = Scenario("etoile", 2, 3.5e9, 3)
    for name in ("SEMLINK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache.cache_file(scenario).parent == Path.home() / ".cache" / "semlink"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache.cache_file(scenario).parent == Path("/x/semlink")
    monkeypatch.setenv("SEMLINK_CACHE", "/s")
    assert cache.cache_file(scenario).parent == Path("/s")


def test_without_llvm_the_error_says_what_to_install(empty_cache, monkeypatch) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/nonexistent.so")
    with pytest.raises(ValueError, match="cannot trace munich.*libLLVM.so.*DRJIT_LIBLLVM_PATH.*simple_street_canyon"):
        channels.create("ray_traced", scene="munich", users=2).draw(np.random.default_rng(0), 1)
    assert not list(empty_cache.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scene": "atlantis"}, "unknown scene 'atlantis'; .*munich"),
        ({"users": 0}, "must be positive"),
        ({"users": 1.5}, "whole numbers"),
        ({"speed": -1.0}, "not negative"),
        ({"carrier_frequency": 0.0}, "must be positive"),
        ({"max_depth": -1}, "not negative"),
        ({"rx_antennas": 0}, "antennas"),
    ],
    ids=str,
)
def test_impossible_settings(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        channels.create("ray_traced", **settings)


def test_traced_line_of_sight_is_friis_and_geometry(llvm, empty_cache) -> None:
    """max_depth 0: one path per user, delay distance / c, gain (lambda / 4 pi d)^2; torch and numpy are loaded here."""
    table = channels.create("ray_traced", users=6, max_depth=0, carrier_frequency=2.4e9).table()
    assert table.amplitudes.shape == (6, 1) and len(list(empty_cache.iterdir())) == 1
    distance = np.linalg.norm(table.positions - table.transmitter, axis=1)
    assert np.allclose(table.delays[:, 0], distance / LIGHT, rtol=1e-5)
    assert np.allclose(table.amplitudes[:, 0], LIGHT / 2.4e9 / (4 * math.pi * distance), rtol=1e-4)
    unit = (table.transmitter - table.positions) / distance[:, None]
    zenith, azimuth = table.arrival[:, 0].T
    seen = np.stack([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)], -1)
    assert np.allclose(seen, unit, atol=1e-4)


def test_a_scene_without_places_for_users_is_refused(llvm, empty_cache) -> None:
    with pytest.raises(ValueError, match="cannot trace box: it has no open ground"):
        _ = channels.create("ray_traced", scene="box", users=2).specular_power


SIONNA = """
import json, math, sys
import numpy as np
from semlink.channels import _tracing as t
rt = t.engine()
scene = rt.load_scene(rt.scene.simple_street_canyon)
scene.frequency = 3.5e9
scene.tx_array = rt.PlanarArray(num_rows=1, num_cols=2, pattern="iso", polarization="V")
scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=2, pattern="iso", polarization="V")
scene.add(rt.Transmitter("mast", [0.0, 0.0, 10.0]))
h = float(sys.argv[1])
velocity = [20 * math.cos(h), 20 * math.sin(h), 0.0]
p = t.solve(scene, np.array([[30.0, 4.0, 1.5]]), 1, velocity=velocity, orientation=[h, 0.0, 0.0])
a = (p.a[0].numpy() + 1j * p.a[1].numpy())[0, :, 0]
ratio = a / a[:1, :1]
keep = p.valid.numpy()[0, 0] & (np.abs(a[0, 0]) > 1e-7)
out = {n: getattr(p, n).numpy()[0, 0][keep].tolist() for n in ("theta_r", "phi_r", "theta_t", "phi_t", "doppler")}
print(json.dumps({**out, "rx": np.angle(ratio[1, 0, keep]).tolist(), "tx": np.angle(ratio[0, 1, keep]).tolist()}))
"""


def test_doppler_and_arrays_are_sionnas(llvm, empty_cache) -> None:
    """Our rays from Sionna's angles have the Doppler shifts and antenna phases that Sionna RT computes itself."""
    heading = 0.6
    done = subprocess.run([sys.executable, "-c", SIONNA, str(heading)], capture_output=True, text=True, check=True)
    told = {name: np.array(values) for name, values in json.loads(done.stdout).items()}
    count = len(told["doppler"])
    assert count >= 3
    flat = np.linspace(2, 1, count, dtype=np.float32)[None]
    table = hand_made(flat, flat)
    arrival = np.stack([told["theta_r"], told["phi_r"]], -1)[None].astype(np.float32)
    departure = np.stack([told["theta_t"], told["phi_t"]], -1)[None].astype(np.float32)
    table = PathTable(table.transmitter, table.positions, flat, flat, arrival, departure)
    channel = channel_of(table, speed=20.0, rx_antennas=2, tx_antennas=2)

    class Heading(np.random.Generator):
        def random(self, size=None):
            return np.full(size, heading / (2 * np.pi))

    fade = channel.draw(Heading(np.random.PCG64(0)), 1)
    assert np.allclose(fade.doppler[0, :, 0], told["doppler"], atol=0.01 * channel.max_doppler)
    gains = fade.gains[0, ..., 0]
    for end, other in (("rx", gains[1, 0]), ("tx", gains[0, 1])):
        assert np.allclose(other / gains[0, 0], np.exp(1j * told[end]), atol=5e-3)


@pytest.mark.slow
def test_shipped_table_can_be_made_again(llvm, tmp_path) -> None:
    out = tmp_path / "again.npz"
    subprocess.run([sys.executable, "-m", "semlink.channels._tracing", f"--out={out}"], check=True)
    scenario = Scenario("simple_street_canyon", 128, 3.5e9, 3)
    again, shipped = cache.read_table(out, scenario), RayTraced().table()
    assert np.allclose(again.positions, shipped.positions, atol=1e-3)
    gains = [10 * np.log10((t.amplitudes**2).sum(1)) for t in (again, shipped)]
    assert np.median(np.abs(gains[0] - gains[1])) < 0.1
