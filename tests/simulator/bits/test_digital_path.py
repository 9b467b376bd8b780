"""MCS table, framing, and link adaptation against direct simulation."""

import numpy as np
import pytest

from semlink import channels, codecs
from semlink.simulator import Link, SemlinkError, Stream, Transmission, TxInfo
from semlink.simulator.bits import framing, mcs
from semlink.simulator.bits.information import GRID_DB, constellation, mutual_information, received_information
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.link.statistics import SEED, link_statistics


def test_blocks_fill_the_uses_and_stay_within_5g_limits() -> None:
    for scheme in mcs.TABLE:
        for uses in (31, 64, 512, 1000, 16384, 98304):
            blocks = framing.blocks_in(uses, scheme)
            assert 0 <= uses - sum(blocks) < max(scheme.block_sizes()[-1], min(framing.LEAST_OF_LONG, uses // 8))
        for size in scheme.block_sizes():
            k, n = 8 * scheme.information_bytes(size) + scheme.crc(size), scheme.coded_bits(size)
            assert 12 <= k <= 8448 and 0.2 <= k / n <= 0.95


def test_framing_round_trip() -> None:
    rng = np.random.default_rng(0)
    for scheme in (mcs.TABLE[0], mcs.TABLE[7], mcs.TABLE[-1]):
        for uses in (300, 4096):
            for length in (0, 1, 5, framing.room(uses, scheme)):
                payload = rng.bytes(length)
                data = framing.framed(payload, uses, scheme, "x")
                assert len(data) == framing.capacity(framing.blocks_in(uses, scheme), scheme)
                assert framing.unframed(data) == payload
        for length in (0, 1, 17, 3000):
            assert framing.capacity(framing.blocks_for(length, scheme), scheme) >= length


def test_damaged_length_prefix_is_no_payload() -> None:
    assert framing.unframed(b"\xff\xff\xff\xff\xff\xff") is None
    assert framing.unframed(b"\x70abc") is None


@pytest.mark.parametrize("order", [4, 16, 64, 256])
def test_mutual_information_limits(order: int) -> None:
    """0 at low SNR, log2 M at high SNR, never above capacity; QPSK at 0 dB carries 0.972 bits (tables)."""
    bits = mutual_information(order)
    assert bits[0] < 0.05 and abs(bits[-1] - np.log2(order)) < 1e-3 and (np.diff(bits) > 0).all()
    assert (bits <= np.log2(1 + 10 ** (GRID_DB / 10)) + 1e-3).all()
    if order == 4:
        assert abs(np.interp(0.0, GRID_DB, bits) - 0.972) < 2e-3


@pytest.mark.parametrize(
    ("name", "snr_db", "scheme"),
    [("awgn", 6.2, "16qam-0.50"), ("rayleigh", 12.0, "qpsk-0.65"), ("tdl", 12.0, "16qam-0.45")],
)
def test_predicted_success_is_what_direct_simulation_finds(name: str, snr_db: float, scheme: str) -> None:
    uses, images = 512, 256
    link = Link(channels.create(name))
    told = link.statistics(snr_db, uses).success[scheme]
    room = framing.room(uses, mcs.get(scheme))
    sent = Transmission((Stream("p", "bits", [bytes(room)] * images, mcs=scheme, uses=uses),))
    found = np.mean(link(sent, snr_db, seed=77).streams[0].ok)
    # both are samples of 256 and 512 fades: 3.5 standard deviations, and 5 % for the abstraction
    assert (
        abs(told - found) < 3.5 * np.sqrt(0.25 / images + 0.25 / 512) * 2 * np.sqrt(max(told * (1 - told), 0.01)) + 0.05
    )


@pytest.mark.parametrize(
    ("snr_db", "scheme", "uses"), [(5.0, "qpsk-0.25", 2048), (10.0, "16qam-0.40", 2048), (3.0, "qpsk-0.25", 4096)]
)
@pytest.mark.slow
def test_success_with_ls_estimates_is_predicted_on_the_very_fades(snr_db: float, scheme: str, uses: int) -> None:
    """`a` from LS estimates is right on average only: taken at its word, the first payload would seem 0.12 surer."""
    link = Link(channels.create("tdl"), csi="ls")
    known = link_statistics(link.long_term, snr_db, uses)
    images = len(known.information)
    room = framing.room(uses, mcs.get(scheme))
    sent = Transmission((Stream("p", "bits", [bytes(room)] * images, mcs=scheme, uses=uses),))
    found = np.mean(link(sent, snr_db, seed=SEED).streams[0].ok)
    assert abs(known.success[scheme] - found) < 0.04


@pytest.mark.parametrize(("order", "snr_db"), [(4, 1.0), (16, 8.0), (256, 20.0)])
def test_symbols_carry_their_mutual_information_when_reliability_is_true(order: int, snr_db: float) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(int(order**0.5), size=(100_000, 2))
    x = constellation(order)[0][levels] @ [1, 1j]
    a = np.full(len(x), 1 / (1 + 10 ** (-snr_db / 10)))
    noise = rng.standard_normal((len(x), 2)) @ [1, 1j] * np.sqrt(a * (1 - a) / 2)
    found = received_information(levels, a * x + noise, a, order).mean()
    assert abs(found - np.interp(snr_db, GRID_DB, mutual_information(order))) < 0.015
    misled = received_information(levels, a * x + 2 * noise, a, order).mean()
    assert misled < np.interp(snr_db - 6, GRID_DB, mutual_information(order))


def test_digital_picks_faster_schemes_at_higher_snr_and_falls_off_a_cliff() -> None:
    codec, images = codecs.create("digital", rho=1 / 6), smooth_pictures(2, 64, 64)
    rates = [mcs.get(codec.encode(images, TxInfo(snr_db=snr)).streams[0].mcs).efficiency for snr in (0.0, 8.0, 16.0)]
    assert rates[0] < rates[1] < rates[2]
    sent = codec.encode(images, TxInfo(snr_db=10.0))
    link = Link(channels.create("awgn"))
    quality = {snr: (codec.decode(link(sent, snr)) - images).square().mean() for snr in (10.0, 5.0)}
    assert quality[10.0] < 0.003 and quality[5.0] > 0.01  # 5 dB below what it was coded for, nothing arrives


def test_capacity_bound_is_above_the_real_code() -> None:
    images, errors = smooth_pictures(3, 64, 64), {}
    link = Link(channels.create("awgn"))
    for name in ("digital", "digital_capacity"):
        codec = codecs.create(name, rho=1 / 24)
        tx = link.tx_info(6.0, codec.uses(64, 64), statistics=True)
        errors[name] = float((codec.decode(link(codec.encode(images, tx), 6.0)) - images).square().mean())
    assert errors["digital_capacity"] < errors["digital"]


def test_unknown_schemes_and_coders_list_the_known_ones() -> None:
    with pytest.raises(SemlinkError, match="unknown MCS 'bpsk'; known: qpsk-0.25x2"):
        mcs.get("bpsk")
    with pytest.raises(SemlinkError, match="unknown image coder 'gif'; known: jpeg"):
        codecs.create("digital", source="gif")
