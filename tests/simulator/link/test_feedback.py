"""What a transmitter makes of a report: singular vectors, expected gains, quantised feedback."""

import numpy as np
import pytest

from semlink.channels.base.grid import Grid
from semlink.simulator.link.feedback import RANGE_DB, SUBBAND, make_feedback, quantised, svd_precoder

GRID = Grid(subcarriers=30, symbols=4, pilot_symbols=(1,))  # two and a half subbands
STEPS = (2, 3, 4, 6, 8, 12)


def normal(seed: int, *shape: int) -> np.ndarray:
    """CN(0, 1), complex64."""
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2))
    return (pairs.view(np.complex128)[..., 0] / np.sqrt(2)).astype(np.complex64)


def flat(seed: int, slots: int, rx: int, tx: int) -> np.ndarray:
    """One gain a slot and antenna pair, `[slots, rx, tx, symbols, subcarriers]`."""
    return normal(seed, slots, rx, tx, 1, 1) * np.ones((1, GRID.symbols, GRID.subcarriers), np.complex64)


@pytest.mark.parametrize(("rx", "tx", "layers"), [(2, 2, 2), (2, 4, 2), (4, 2, 1), (4, 4, 3), (1, 3, 1), (1, 1, 1)])
def test_precoder_follows_the_strongest_modes(rx: int, tx: int, layers: int) -> None:
    """V^H V = I, and H V has orthogonal columns whose lengths are the largest singular values."""
    h = normal(0, 5, rx, tx, GRID.subcarriers)
    v = svd_precoder(h, layers)
    assert v.shape == (5, tx, layers, GRID.subcarriers) and v.dtype == np.complex64 and v.flags.c_contiguous
    gram = np.einsum("stlb,stmb->sblm", v.conj(), v)
    assert np.allclose(gram, np.eye(layers), atol=1e-5)
    heard = np.einsum("srtb,stlb->sbrl", h, v)
    values = np.linalg.svd(np.moveaxis(h, -1, 1), compute_uv=False)[..., :layers]
    assert np.allclose(heard.conj().swapaxes(2, 3) @ heard, values[..., None] ** 2 * np.eye(layers), atol=1e-4)


def test_gains_are_squared_singular_values_over_the_layers() -> None:
    h = flat(1, 6, 3, 2)
    report = make_feedback(h, np.zeros(6, np.float32), GRID, "svd", 2, None)
    values = np.linalg.svd(h[..., 0, 0], compute_uv=False) ** 2 / 2
    assert report.gains.shape == (6, 2, GRID.data_symbols) and report.gains.dtype == np.float32
    assert np.allclose(report.gains, values[:, :, None], rtol=1e-4)


def test_without_precoding_an_antenna_is_a_layer() -> None:
    h = normal(2, 4, 3, 2, GRID.symbols, GRID.subcarriers)
    report = make_feedback(h, np.zeros(4, np.float32), GRID, "none", 2, None)
    data = [s for s in range(GRID.symbols) if s not in GRID.pilot_symbols]
    told = (np.abs(h[:, :, :, data]) ** 2).sum(1).reshape(4, 2, -1) / 2
    assert report.precoder is None and np.allclose(report.gains, told, rtol=1e-5)


def test_gains_are_the_expected_ones_of_what_the_report_leaves_open() -> None:
    """The channel is what was told and an unknown part of variance u: gain E|(h + e) v|^2 / layers."""
    told, unknown = flat(3, 1, 2, 2), np.array([0.3], np.float32)
    report = make_feedback(told, unknown, GRID, "svd", 2, None)
    whole = told[0, :, :, 0, 0] + np.sqrt(0.3) * normal(4, 40000, 2, 2)
    heard = whole @ report.precoder[0, :, :, 0]
    assert np.allclose((np.abs(heard) ** 2).sum(1).mean(0) / 2, report.gains[0, :, 0], rtol=0.02)


def test_quantiser_error_shrinks_with_bits_as_it_must() -> None:
    """Magnitude within half a step in dB, phase within half a step, where the range is not left."""
    h = normal(5, 400, 1, 1, 1, 1) * np.ones((GRID.symbols, GRID.subcarriers), np.complex64)
    h = h[np.abs(20 * np.log10(np.abs(h[:, 0, 0, 0, 0])) + 5) < 15]
    errors = []
    for bits in STEPS:
        told = quantised(h, bits)
        step = (RANGE_DB[1] - RANGE_DB[0]) / (2**bits - 1)
        assert np.abs(20 * np.log10(np.abs(told / h))).max() <= step / 2 + 1e-3
        assert np.abs(np.angle(told / h)).max() <= np.pi / 2**bits + 1e-4
        errors.append(np.mean(np.abs(told - h) ** 2))
    assert all(fine < coarse / 2 for coarse, fine in zip(errors[:-1], errors[1:], strict=True)) and errors[-1] < 1e-5


def test_a_report_holds_one_gain_a_subband_and_slot() -> None:
    """Power is kept by the rms magnitude; the last subband is shorter."""
    h = normal(6, 3, 2, 2, GRID.symbols, GRID.subcarriers)
    told = quantised(h, 12)
    edges = [*range(0, GRID.subcarriers, SUBBAND), GRID.subcarriers]
    assert told.shape == h.shape and told.dtype == np.complex64 and len(edges) == 4
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        band, own = told[..., start:stop], h[..., start:stop]
        assert np.array_equal(band, np.broadcast_to(band[..., :1, :1], band.shape))
        power, mean = (np.abs(own) ** 2).mean((3, 4)), own.mean((3, 4))
        assert np.allclose(np.abs(band[..., 0, 0]) ** 2, power, rtol=2e-3)
        assert np.allclose(np.angle(band[..., 0, 0] / mean), 0, atol=2e-3)


def test_what_leaves_the_range_is_clipped_and_finite() -> None:
    h = np.ones((1, 1, 3, GRID.symbols, GRID.subcarriers), np.complex64) * np.array([0, 1e-3, 1e3])[:, None, None]
    level = 20 * np.log10(np.abs(quantised(h.astype(np.complex64), 3)[0, 0, :, 0, 0]))
    assert np.allclose(level, [RANGE_DB[0], RANGE_DB[0], RANGE_DB[1]], atol=1e-4)
    assert np.isfinite(quantised(h.astype(np.complex64), 1)).all()
