"""Code blocks of a few rows go through a smaller call, and come out as of a large one."""

import numpy as np
import pytest

from semlink.simulator.bits.mcs import get
from semlink.simulator.engine import coding


@pytest.mark.parametrize(("name", "symbols", "snr_db"), [("qpsk-0.50", 64, 2.0), ("16qam-0.50", 128, 6.0)])
def test_a_block_alone_is_coded_and_decoded_as_among_others(name, symbols, snr_db):
    mcs, rng = get(name), np.random.default_rng(0)
    data = rng.integers(0, 256, (8, mcs.information_bytes(symbols)), dtype=np.uint8)
    sent = coding.encode(data, mcs, symbols)
    assert np.array_equal(np.concatenate([coding.encode(row[None], mcs, symbols) for row in data]), sent)
    n0 = 10 ** (-snr_db / 10)
    noise = np.sqrt(n0 / 2) * (rng.normal(size=sent.shape) + 1j * rng.normal(size=sent.shape))
    a = np.full(sent.shape, 1 / (1 + n0), np.float32)
    received = (a * (sent + noise)).astype(np.complex64)
    whole, ok = coding.decode(received, a, mcs, symbols)
    alone = [coding.decode(received[i : i + 1], a[i : i + 1], mcs, symbols) for i in range(8)]
    assert np.array_equal(np.concatenate([bits for bits, _ in alone]), whole)
    assert np.array_equal(np.concatenate([good for _, good in alone]), ok)
    assert 0 < ok.sum() < 8  # at this SNR some arrive and some do not
