"""Maps without loss: what comes back, from any bytes, and that older maps and usual odds save what they should."""

import numpy as np
import pytest

from semlink.codecs.video import _map_code as map_code


def blobs(rows, columns, seed=0):
    """A map of few large regions."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    seeds = rng.uniform(0, 1, (8, 2)) * (rows, columns)
    return np.argmin([(y - r) ** 2 + (x - c) ** 2 for r, c in seeds], 0).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (16, 13)])
@pytest.mark.parametrize("with_old", [False, True])
def test_any_map_comes_back(shape, with_old):
    rng = np.random.default_rng(1)
    for labels in (blobs(*shape), rng.integers(0, 8, shape).astype(np.uint8), np.full(shape, 7, np.uint8)):
        old = rng.integers(0, 8, shape).astype(np.uint8) if with_old else None
        assert np.array_equal(map_code.unpack(map_code.pack(labels, old), *shape, old), labels)


def test_any_bytes_are_a_map():
    rng = np.random.default_rng(2)
    old = blobs(9, 7)
    for size in range(0, 40, 3):
        for before in (None, old):
            found = map_code.unpack(rng.bytes(size), 9, 7, before)
            assert found.shape == (9, 7) and found.dtype == np.uint8 and found.max() < 8


def test_a_number_beyond_the_classes_is_refused():
    with pytest.raises(ValueError, match="number 8"):
        map_code.pack(np.full((2, 2), 8, np.uint8))


def test_what_is_known_is_not_told_again():
    """The same map again costs next to nothing, a slightly changed one little, and less than without the old one."""
    now = blobs(24, 24)
    alone, same = len(map_code.pack(now)), len(map_code.pack(now, now))
    changed = now.copy()
    changed[3:5, 10:12] = 6
    assert same <= 6 and same < len(map_code.pack(changed, now)) < alone / 2


def test_regions_are_cheaper_than_their_entropy_cell_by_cell_and_noise_is_not_dearer_than_three_bits():
    rng = np.random.default_rng(3)
    assert len(map_code.pack(blobs(32, 32))) < 32 * 32 / 8 * 1.2  # about a bit a cell, of three
    noise = rng.integers(0, 8, (32, 32)).astype(np.uint8)
    assert len(map_code.pack(noise)) < 1.25 * 3 * 32 * 32 / 8  # the usual odds expect regions


def test_questions_are_those_that_are_coded():
    """The odds come from counting these: their entropy under fixed odds is the length of the code, about."""
    now, old = blobs(16, 16), blobs(16, 16, seed=4)
    told = list(map_code.contexts(now, old))
    assert all(0 <= context < len(map_code._USUAL) for context, _ in told)
    chance = np.array([map_code._USUAL[c] if so else 64 - map_code._USUAL[c] for c, so in told]) / 64
    assert len(map_code.pack(now, old)) < 1.3 * -np.log2(chance).sum() / 8 + 60
