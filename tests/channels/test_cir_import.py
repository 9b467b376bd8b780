"""Files as Sionna, DeepMIMO and QuaDRiGa leave them become routes with the same power, delays and response."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from semlink.channels import _matlab
from semlink.channels._cir_import import Paths, import_cir, on_common_delays
from semlink.channels.base.grid import Grid
from semlink.channels.recorded import Recorded

GRID = Grid()
HERTZ = GRID.frequencies()


def response(gains: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Sum over the last axis of gain e^{-j 2 pi f tau}: `[..., subcarriers]`."""
    return (gains[..., None] * np.exp(-2j * np.pi * delays[..., None] * HERTZ)).sum(-2)


def written(path: Path) -> np.ndarray:
    """The response that a file holds, `[routes, snapshots, rx, tx, subcarriers]`."""
    file = Recorded(str(path), *(h5py.File(path)["gains"].shape[2:4])).file()
    return response(file.gains(), np.array(file.delays))


def alike(found: np.ndarray, gains: np.ndarray, delays: np.ndarray, spacing: float = 10e-9) -> None:
    """The response of gains and delays `[routes, snapshots, rx, tx, paths]`, delays of a route from its first path on.

    Right but for delays that are rounded to a grid: each path may turn by pi f spacing.
    """
    first = np.where(gains != 0, delays, np.inf).min((1, 2, 3, 4), keepdims=True)
    error = np.abs(found - response(gains, delays - first))
    most = np.abs(gains).sum(-1, keepdims=True) * np.pi * np.abs(HERTZ) * spacing
    assert (error <= most + 1e-4 * np.abs(gains).max()).all() and np.linalg.norm(error) < 0.02 * np.linalg.norm(found)


def draws(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def save_matlab(path: Path, **arrays: np.ndarray) -> Path:
    """As MATLAB's `save -v7.3` does: axes reversed, complex numbers of two fields, a class on every variable."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            stored = array.T
            if np.iscomplexobj(array):
                pair = np.zeros(stored.shape, [("real", "f8"), ("imag", "f8")])
                pair["real"], pair["imag"], stored = stored.real, stored.imag, pair
            file[name] = stored
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    return path


@pytest.mark.parametrize("antennas", [False, True], ids=["tau of a link", "tau of every pair of antennas"])
def test_sionna_rt(tmp_path, rng, antennas) -> None:
    """Two receivers and three transmitters of 2 and 1 antennas, with delays of their own; some paths are missing."""
    a = 1e-5 * draws(rng, 2, 2, 3, 1, 20, 4)
    tau = 3e-6 * rng.random((2, 2, 3, 1, 20) if antennas else (2, 3, 20)) + 1e-6
    tau[..., 15:] = -1
    a[..., 15:, :] = 0
    np.savez(tmp_path / "rt.npz", a=a.astype(np.complex64), tau=tau.astype(np.float32))
    made = import_cir([tmp_path / "rt.npz"], tmp_path / "cir.h5", 1e-3, 3.5e9)
    assert made.shape[:4] == (6, 4, 2, 1) and made.without == 0
    late = np.broadcast_to(tau if antennas else tau[:, None, :, None], a.shape[:-1])
    late = np.repeat(late[..., None], 4, -1)
    gains, late = (one.transpose(0, 2, 5, 1, 3, 4).reshape(6, 4, 2, 1, 20) for one in (a, late))
    alike(written(tmp_path / "cir.h5"), gains, late)


def test_the_batch_of_a_model_of_sionna_keeps_its_delays(tmp_path, rng) -> None:
    """Common delays are kept exactly, and so is the power of each path."""
    tau = np.tile([0.0, 1.3e-7, 7.77e-7], (5, 1, 1, 1))
    a = draws(rng, 5, 1, 1, 1, 1, 3, 6).astype(np.complex64)
    np.savez(tmp_path / "tdl.npz", a=a, tau=tau)
    made = import_cir([tmp_path / "tdl.npz"], tmp_path / "cir.h5", 1e-4, 2e9)
    file = Recorded(str(tmp_path / "cir.h5")).file()
    assert made.delays.tolist() == pytest.approx(tau[0, 0, 0].tolist()) and file.snapshot_interval == 1e-4
    assert np.array_equal(file.gains()[:, :, 0, 0], np.moveaxis(a[:, 0, 0, 0, 0], 2, 1))


def test_deepmimo(tmp_path, rng) -> None:
    """Powers in dBW and phases in degrees; users without a path are left out."""
    power, phase = -100 + 10 * rng.standard_normal((300, 25)), 360 * rng.random((300, 25))
    delay = 2e-7 + 2e-6 * rng.random((300, 25))
    for one in (power, phase, delay):
        one[7] = np.nan
        one[:, 18:] = np.nan
    np.savez(tmp_path / "o1.npz", power=power, phase=phase, delay=delay)
    made = import_cir([tmp_path / "o1.npz"], tmp_path / "cir.h5", 1e-3, 28e9)
    assert made.without == 1 and made.shape[:4] == (299, 1, 1, 1)
    gains = np.nan_to_num(10 ** (power / 20) * np.exp(1j * np.pi / 180 * phase))
    gains, late = (np.delete(one, 7, axis=0)[:, None, None, None] for one in (gains, np.nan_to_num(delay)))
    alike(written(tmp_path / "cir.h5"), gains, late)
    channel = Recorded(str(tmp_path / "cir.h5"))
    wide = channel.draw(np.random.default_rng(1), 4000)
    h = wide.response(0, 1)[:, 0, 0, :]
    assert abs((np.abs(h) ** 2).mean() - 1) < 0.1, "mean power is 1, whatever shares a tap"


@pytest.mark.parametrize("save", ["v7.3", "v5"])
def test_quadriga(tmp_path, rng, save) -> None:
    """Delays that drift from snapshot to snapshot, of each pair of antennas; two files are two routes."""
    paths = []
    told = []
    for name in ("one", "two"):
        coeff = 1e-6 * draws(rng, 2, 2, 30, 8)
        delay = 1e-6 + 2e-6 * rng.random((2, 2, 30, 1)) + 1e-9 * np.arange(8)
        path = tmp_path / f"{name}.mat"
        if save == "v7.3":
            save_matlab(path, coeff=coeff, delay=delay)
        else:
            savemat(path, {"coeff": coeff, "delay": delay})
        paths.append(path)
        told.append([one.transpose(3, 0, 1, 2) for one in (coeff, delay)])
    assert import_cir(paths, tmp_path / "cir.h5", 5e-4, 2.6e9).shape[:4] == (2, 8, 2, 2)
    alike(written(tmp_path / "cir.h5"), *(np.stack(one) for one in zip(*told, strict=True)))


def test_quadriga_without_delays_of_each_antenna_and_one_snapshot(tmp_path, rng) -> None:
    """MATLAB drops the last axis of one snapshot, and delays may be `[paths, snapshots]`."""
    coeff, delay = draws(rng, 1, 2, 9), np.sort(rng.random((9, 1))) * 1e-6
    made = import_cir([save_matlab(tmp_path / "a.mat", coeff=coeff, delay=delay)], tmp_path / "cir.h5", 1e-3, 2e9)
    assert made.shape == (1, 1, 1, 2, 9) and made.delays == pytest.approx(np.sort(delay[:, 0] - delay.min()))
    alike(written(tmp_path / "cir.h5"), coeff[None, None], np.broadcast_to(delay[:, 0], (1, 1, 1, 2, 9)), 1e-15)


def test_power_stays_where_delays_are_rounded(rng) -> None:
    """Each path on one tap: the sum of powers over taps, which `recorded` divides by, is that of the paths."""
    gains, delays = draws(rng, 50, 1, 1, 1, 4).astype(np.complex64), np.sort(rng.random((50, 1, 1, 1, 4)) * 9e-6)
    found, taps = on_common_delays(Paths(gains, delays), 1e-7)
    assert len(taps) <= 91 and np.allclose(taps / 1e-7, np.round(taps / 1e-7))
    assert np.median((np.abs(found) ** 2).sum(-1) / (np.abs(gains) ** 2).sum(-1)) == pytest.approx(1)


def test_what_is_no_impulse_response_is_told_in_a_line(tmp_path, rng) -> None:
    np.savez(tmp_path / "a.npz", h=np.ones(3))
    np.savez(tmp_path / "b.npz", a=draws(rng, 2, 1, 1, 1, 3, 1), tau=np.ones((2, 2, 4)))
    np.savez(tmp_path / "c.npz", a=np.zeros((1, 1, 1, 1, 3, 1)), tau=-np.ones((1, 1, 3)))
    (tmp_path / "d.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "e.npz", power=np.array([{}]))
    said = {"a": "holds h; it must hold a and tau; power and", "b": "do not fit each other", "c": "no path anywhere"}
    for name, message in {**said, "d": "no sound .npz", "e": "no sound .npz"}.items():
        with pytest.raises(ValueError, match=message) as error:
            import_cir([tmp_path / f"{name}.npz"], tmp_path / "cir.h5", 1e-3, 2e9)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="no file"):
        import_cir([tmp_path / "none.mat"], tmp_path / "cir.h5", 1e-3, 2e9)


@pytest.mark.parametrize("save", ["v7.3", "v5"])
def test_a_damaged_file_that_kills_or_holds_the_library_is_a_line(tmp_path, rng, monkeypatch, save) -> None:
    """SciPy crashes on some bytes of v5, HDF5 never comes back from some of v7.3."""
    path = tmp_path / "a.mat"
    arrays = {"coeff": draws(rng, 2, 1, 4, 3), "delay": np.abs(draws(rng, 4, 3)) * 1e-7}
    (save_matlab if save == "v7.3" else lambda where, **what: savemat(where, what))(path, **arrays)
    whole, refused = path.read_bytes(), 0
    for place in range(40, len(whole), len(whole) // 12):
        path.write_bytes(whole[:place] + b"\xff" * 6 + whole[place + 6 :])
        try:
            import_cir([path], tmp_path / "out.h5", 1e-3, 3e9)
        except ValueError as error:
            refused += 1
            assert "a.mat" in str(error) and "\n" not in str(error) and len(str(error)) < 500
    assert refused
    monkeypatch.setattr(_matlab, "PATIENCE", 0.01)
    with pytest.raises(ValueError, match="a.mat is no sound .npz or .mat file .the library .* crashed or did not come"):
        import_cir([path], tmp_path / "out.h5", 1e-3, 3e9)


def test_bytes_that_crash_the_library_are_a_line(tmp_path, monkeypatch) -> None:
    (tmp_path / "crash.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(_matlab, "__file__", str(tmp_path / "crash.py"))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(ValueError, match="a.mat is no sound .* crashed or did not come back"):
        import_cir([tmp_path / "a.mat"], tmp_path / "out.h5", 1e-3, 3e9)
