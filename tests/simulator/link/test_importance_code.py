"""Importance on its way to the receiver: no loss, few bytes, the same allocation at both ends, nothing that crashes."""

import numpy as np
import pytest
import torch

from semlink.simulator import SemlinkError, power
from semlink.simulator.link.importance_code import LEVELS, pack, quantise, unpack

SIDE = 128  # symbols of a 256 px picture at rho = 1/12: 16384
K = SIDE * SIDE


def blocks(size: int, share: float = 0.2, weight: float = 10.0) -> np.ndarray:
    """A two-level map of square blocks, `share` of them in the region of interest."""
    chosen = np.random.default_rng(size).random((SIDE // size, SIDE // size)) < share
    return np.kron(np.where(chosen, weight, 1.0), np.ones((size, size))).ravel()


def lognormal(db: float, k: int = K, seed: int = 0) -> np.ndarray:
    return 10 ** (db / 10 * np.random.default_rng(seed).standard_normal(k))


def ellipse() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.where((y - 60) ** 2 / 900 + (x - 70) ** 2 / 500 < 1, 10.0, 1.0).ravel()


MAPS = {  # map, most bytes
    "constant": (np.full(K, 3.0), 3),
    "nothing": (np.zeros(K), 3),
    "one symbol": (np.eye(1, K, 77).ravel(), 7),
    "ellipse": (ellipse(), 110),
    "blocks of 16": (blocks(16), 60),
    "blocks of 8": (blocks(8), 160),
    "single symbols": (blocks(1), 2150),
    "lognormal": (lognormal(3.0), 6700),
    "any of 16 levels": (np.random.default_rng(0).permutation(np.r_[0, 2.0 ** (np.arange(15) / 2)].repeat(1024)), 8193),
    "alternating": (np.arange(K) % 2 + 1.0, 30),
    "odd length": (lognormal(6.0, 333), 168),
    "one entry": (np.ones(1), 3),
}


def received(importance: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, bytes]:
    """Levels, quantised importance and payload of one map."""
    levels, values = quantise(torch.from_numpy(importance).float()[None])
    return levels[0], values[0], pack(levels)[0]


@pytest.mark.parametrize("name", MAPS)
def test_arrives_without_loss_in_few_bytes(name):
    importance, most = MAPS[name]
    levels, values, payload = received(importance)
    assert torch.equal(unpack(payload, len(importance)), values)
    assert levels.dtype == torch.uint8 and values.dtype == torch.float32 and values.mean() == pytest.approx(1, abs=1e-5)
    assert len(payload) <= min(most, 1 + -(-len(importance) // 2))


@pytest.mark.parametrize("seed", range(5))
def test_any_levels_are_packed_within_the_bound(seed):
    rng = np.random.default_rng(seed)
    for k in (1, 2, 4095, 4096, 4097, 8192, 9999):
        longest = (2, 10, 100, 5000, 20000)[seed]
        runs = np.repeat(*(rng.integers(*ends, size=1 + 4 * k // longest) for ends in ((0, LEVELS), (1, longest))))
        runs = np.resize(runs, k)
        levels = torch.from_numpy(np.stack([runs, rng.integers(LEVELS, size=k)]).astype(np.uint8))
        for row, payload in zip(levels, pack(levels), strict=True):
            assert len(payload) <= 1 + -(-k // 2)
            again = unpack(payload, k)
            weights = torch.where(row > 0, 2.0 ** (row.double() / 2), 0.0)
            assert again == pytest.approx((weights / (weights.mean() or 1)).numpy(), rel=1e-6)


@pytest.mark.parametrize("db", [0.5, 3.0, 6.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_quantised_within_a_quarter_of_an_octave_or_a_half_percent_of_error(db, scale):
    exact = lognormal(db, 4096)
    levels, values, _ = received(scale * exact)
    inside = (levels > 1) & (levels < LEVELS - 1)
    amplitudes = np.sqrt(values.double().numpy())
    octaves = 2 * np.log2(amplitudes / np.sqrt(exact))[inside.numpy()]
    assert np.ptp(octaves) < 0.5 + 1e-4
    cost = (exact / amplitudes).mean() * amplitudes.mean() / np.sqrt(exact).mean() ** 2
    assert 1 <= cost < (1.005 if db < 6 else 1.02)


def test_zero_alone_is_zero_and_order_is_kept():
    exact = np.r_[0.0, 1e-12, 1e-3, lognormal(4.0, 200), 1e9]
    levels, values, _ = received(exact)
    assert levels[0] == 0 == values[0] and (levels[1:] > 0).all() and (values[1:] > 0).all()
    assert (np.diff(values.numpy()[exact.argsort()]) >= 0).all()


def test_a_rare_region_keeps_its_weight():
    """One symbol in two hundred weighs a hundred times as much: both levels fit on the grid."""
    exact = np.where(np.arange(K) % 200, 1.0, 100.0)
    _, values, _ = received(exact)
    assert values.max() / values.min() == pytest.approx(100, rel=0.2)


@pytest.mark.parametrize("name", power.names())
def test_both_ends_allocate_alike_bit_for_bit(name):
    rng = np.random.default_rng(3)
    importance = torch.from_numpy(np.stack([lognormal(4.0, seed=i) for i in range(5)])).float()
    gains, n0 = torch.from_numpy(rng.exponential(size=(5, K))).float(), torch.full((5,), 0.1)
    levels, values = quantise(importance)
    rule, valid = power.create(name), torch.ones(5, K, dtype=torch.bool)
    sent = rule.allocate(gains, values, n0, valid)
    told = [unpack(payload, K) for payload in pack(levels)]
    assert torch.equal(torch.stack(told), values)
    for row in range(5):
        got = rule.allocate(gains[row : row + 1], told[row][None], n0[:1], valid[:1])
        assert torch.equal(got[0], sent[row])


def test_an_image_does_not_depend_on_its_batch():
    importance = torch.from_numpy(np.stack([lognormal(4.0, 500, seed) for seed in range(6)])).float()
    levels, values = quantise(importance)
    alone = quantise(importance[2:3])
    assert torch.equal(levels[2:3], alone[0]) and torch.equal(values[2:3], alone[1])
    assert pack(levels)[2] == pack(alone[0])[0]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.5])
def test_nonsense_is_refused_with_its_image(wrong):
    importance = torch.ones(3, 10)
    importance[1, 4] = wrong
    with pytest.raises(SemlinkError, match="image 1 has"):
        quantise(importance)


def test_lost_payloads_are_none():
    _, _, payload = received(ellipse())
    assert unpack(None, K) is None and unpack(b"", K) is None
    assert unpack(payload, K) is not None
    assert unpack(payload, K - SIDE) is None or len(unpack(payload, K - SIDE)) == K - SIDE


@pytest.mark.parametrize("name", ["constant", "ellipse", "blocks of 8", "lognormal", "odd length"])
def test_corrupt_bytes_give_a_map_or_none_and_never_an_error(name):
    importance, _ = MAPS[name]
    _, _, payload = received(importance)
    rng, k, refused = np.random.default_rng(0), len(importance), 0
    for trial in range(600):
        broken = bytearray(payload)
        if trial % 3 == 0:
            broken = broken[: rng.integers(len(broken))]
        elif trial % 3 == 1:
            for place in rng.integers(len(broken), size=rng.integers(1, 4)):
                broken[place] ^= 1 << rng.integers(8)
        else:
            broken += rng.bytes(rng.integers(1, 9))
        found = unpack(bytes(broken), k)
        refused += found is None
        assert found is None or (found.shape == (k,) and found.isfinite().all() and (found >= 0).all())
    assert refused > 200


def test_random_bytes_and_bombs_are_refused():
    import lzma
    import zlib

    rng = np.random.default_rng(1)
    for _ in range(3000):
        found = unpack(rng.bytes(rng.integers(1, 60)), 100)
        assert found is None or found.shape == (100,)
    bomb = zlib.compress(bytes(50_000_000), 9, -15)
    assert unpack(b"\x01" + bomb, 100) is None and unpack(b"\x04" + bomb, 100) is None
    assert unpack(b"\x02" + lzma.compress(bytes(1000)), 100) is None
