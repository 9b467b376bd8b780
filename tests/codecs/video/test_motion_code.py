"""Motion as bytes: nothing is lost, smooth fields are short, any bytes can be read."""

import numpy as np
import pytest

from semlink.codecs._sources.range_coder import RangeDecoder, RangeEncoder
from semlink.codecs.video._motion_code import LIMIT, pack, unpack


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (9, 16)])
@pytest.mark.parametrize("spread", [0, 1, 20, LIMIT])
def test_what_is_packed_comes_back(shape, spread):
    flow = np.random.default_rng(spread).integers(-spread, spread + 1, (2, *shape))
    assert (unpack(pack(flow), *shape) == flow).all()


def test_smooth_fields_are_short():
    rows, columns = np.mgrid[:16, :16]
    zoom = np.round(np.stack([rows - 8, columns - 8]) * 0.6).astype(int)
    pan = np.full((2, 16, 16), 13)
    noise = np.random.default_rng(0).integers(-20, 21, (2, 16, 16))
    assert len(pack(np.zeros((2, 16, 16), int))) <= 2
    assert len(pack(pan)) <= 12
    assert len(pack(zoom)) < 0.4 * len(pack(noise)) < 0.4 * 2 * 256 * 7 / 8


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_can_be_read(seed):
    rng = np.random.default_rng(seed)
    found = unpack(rng.bytes(int(rng.integers(0, 40))), 8, 8)
    assert found.shape == (2, 8, 8) and np.abs(found).max() <= LIMIT


def test_too_much_is_refused():
    with pytest.raises(ValueError, match="more than 255"):
        pack(np.full((2, 2, 2), LIMIT + 1))


def test_decisions_cost_their_information():
    rng, encoder = np.random.default_rng(0), RangeEncoder()
    bits = (rng.random(4000) < 0.1).astype(int).tolist()
    for bit in bits:
        encoder.code(bit, 9, 1)
    data = encoder.finish()
    entropy = -0.1 * np.log2(0.1) - 0.9 * np.log2(0.9)
    assert 8 * len(data) == pytest.approx(entropy * 4000, rel=0.05)
    decoder = RangeDecoder(data)
    assert [decoder.code(9, 1) for _ in bits] == bits
