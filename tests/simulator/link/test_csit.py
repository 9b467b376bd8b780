"""Channel knowledge at the transmitter over the real link: fresh, old and coarse; the receiver stays honest."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import j0

from semlink.simulator import Grid, Link, SemlinkError, Stream, Transmission
from semlink.simulator.analysis.statistics import mean_interval
from semlink.simulator.conformance.channel import check_link
from semlink.simulator.plugins import LINK_SETTINGS, make_channel
from semlink.simulator.words import parse

GRID = Grid(subcarriers=24)
DATA = [s for s in range(GRID.symbols) if s not in GRID.pilot_symbols]
TDL = "tdl:csi=perfect,layers=2,rx_antennas=2,tx_antennas=2,speed=5"  # E is redrawn by 35 % in 2 ms
IMAGES, SNR_DB = 512, 10.0


def link_of(word: str, **settings: Any) -> Link:
    channel, own = parse(word).split(LINK_SETTINGS)
    return Link(make_channel(channel), grid=GRID, **{**own, **settings})


def gaussian(images: int, k: int) -> Transmission:
    """Unit-power Gaussian symbols."""
    x = torch.randn(images, k, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return Transmission((Stream("x", "analog", x / x.abs().square().mean(1, keepdim=True).sqrt()),))


def reliability(link: Link, images: int = IMAGES) -> np.ndarray:
    """`a` of a slot of each image, `[images, data symbols, subcarriers, layers]`."""
    a = link(gaussian(images, link.places), SNR_DB).streams[0].a.double().numpy()
    return a.reshape(images, len(DATA), GRID.subcarriers, link.layers)


def rates(link: Link) -> np.ndarray:
    """Bits per resource element over all layers, per image."""
    return -np.log2(1 - reliability(link)).sum(3).mean((1, 2))


def svd(csit: str, **settings: Any) -> Link:
    return link_of(TDL, precoding="svd", csit=csit, **settings)


@pytest.fixture(scope="module")
def fresh() -> np.ndarray:
    return rates(svd("perfect"))


def above(more: np.ndarray, less: np.ndarray) -> bool:
    """Whether the mean of `more` is above that of `less`, paired, with 95 % confidence."""
    return mean_interval(more - less).low > 0


def test_rate_falls_with_delay_towards_that_without_knowledge(fresh: np.ndarray) -> None:
    """After 6 slots of 1.17 ms the correlation is 0; precoders are then random, and random layers are antennas."""
    delayed = [rates(svd("delayed", csit_delay=delay)) for delay in (1, 2, 3, 6)]
    assert all(above(one, other) for one, other in zip([fresh, *delayed[:-1]], delayed, strict=True))
    blind = rates(link_of(TDL))
    apart = mean_interval(delayed[-1] - blind)
    assert abs(apart.mean) < 0.03 * blind.mean() and fresh.mean() > 1.05 * blind.mean()


def test_old_knowledge_is_fresh_where_nothing_moves() -> None:
    still = TDL.replace("speed=5", "speed=0")
    one, other = (link_of(still, precoding="svd", csit=csit) for csit in ("perfect", "delayed"))
    assert np.allclose(reliability(one, 64), reliability(other, 64), atol=1e-4)


@pytest.mark.parametrize("delay", [1, 3])
def test_beamforming_gain_of_old_knowledge(delay: int) -> None:
    """N antennas to one, precoded by an old channel: E SINR = snr (1 + (N - 1) J0(2 pi f t)^2), t the age."""
    word = "tdl:csi=perfect,tx_antennas=4,speed=10,delay_spread=3e-8,precoding=svd,csit=delayed"
    link = link_of(word, csit_delay=delay)
    a = reliability(link, 2048)
    gain = (a / (1 - a)).mean((0, 2, 3)) / 10 ** (SNR_DB / 10)
    age = delay * GRID.slot_time + (np.array(DATA) - GRID.symbols // 2) * GRID.symbol_time
    told = 1 + 3 * j0(2 * np.pi * link.channel.max_doppler * age) ** 2
    assert np.allclose(gain, told, rtol=0.02) and told.max() - told.min() > 0.1


def test_finer_feedback_is_worth_more(fresh: np.ndarray) -> None:
    coarse = [rates(svd("quantised", csit_bits=bits)) for bits in (1, 2, 3, 6)]
    assert all(above(finer, coarser) for coarser, finer in zip(coarse[:-1], coarse[1:], strict=True))
    assert above(fresh, coarse[-1]), "a subband and slot has one gain, the channel has not"


def test_fine_feedback_of_a_flat_channel_is_exact() -> None:
    flat = TDL.replace("tdl", "rayleigh").replace(",speed=5", "")
    one, other = (link_of(flat, precoding="svd", csit=csit, csit_bits=16) for csit in ("perfect", "quantised"))
    one, other = reliability(one, 64), reliability(other, 64)
    assert np.quantile(np.abs(one - other), 0.95) < 2e-3  # what leaves the range of magnitudes is clipped


def test_knowledge_that_nobody_uses_changes_nothing() -> None:
    one, other = (link_of("tdl:csi=perfect", csit=csit) for csit in ("none", "quantised"))
    assert np.array_equal(reliability(one, 64), reliability(other, 64))


@pytest.mark.parametrize(
    ("word", "images"),
    [
        ("tdl:csi=perfect,csit=perfect,speed=5", 2048),
        ("tdl:csi=perfect,csit=delayed,speed=5", 2048),
        ("tdl:csi=lmmse,csit=perfect,speed=30,power=mmse", 2048),
        ("tdl:csi=lmmse,csit=quantised,speed=30,power=waterfilling", 2048),
        ("tdl:csi=lmmse,csit=delayed,csit_delay=1,speed=10,power=waterfilling", 2048),
        ("tdl:csi=lmmse,csit=quantised,csit_delay=2,speed=10", 2048),
    ],
)
def test_contract_of_precoding(word: str, images: int) -> None:
    link = link_of(word + ",layers=2,precoding=svd,rx_antennas=2,tx_antennas=2")
    check_link(link, 5.0, images, tolerance=0.05)


@pytest.mark.parametrize("power", ["mmse", "waterfilling"])
def test_contract_of_an_allocation_by_old_estimates(power: str) -> None:
    check_link(link_of("tdl:csi=lmmse,csit=delayed,csit_delay=2,speed=10", power=power), 5.0, 3072, tolerance=0.05)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tdl:csit=psychic", "unknown csit 'psychic'; known: none, perfect, delayed, quantised"),
        ("tdl:csit=delayed,csit_delay=0", "whole slots, 1 or more, and csit_bits 1 to 16, got 0, 3"),
        ("tdl:csit=delayed,csit_delay=1.5", "whole slots, 1 or more, and csit_bits 1 to 16, got 1.5, 3"),
        ("tdl:csit=quantised,csit_bits=0", "got None, 0"),
        ("tdl:csit=quantised,csit_bits=17", "got None, 17"),
        ("tdl:csit=quantised,csit_bits=2.5", "got None, 2.5"),
        ("tdl:csit=perfect,csit_delay=3", 'csit_delay is for csit="delayed" or "quantised", not \'perfect\''),
        ("tdl:csit_delay=3", "not 'none'"),
        ("rayleigh:coherence=slot,csit=delayed", 'drawn anew in every slot leave nothing.*use coherence="image"'),
        ("rayleigh:coherence=slot,csit=quantised,csit_delay=1", "drawn anew in every slot"),
        ("rayleigh:coherence=slot,csi=lmmse+aging:slots=1", "drawn anew in every slot"),
    ],
)
def test_feedback_that_cannot_be_is_refused(word: str, message: str) -> None:
    with pytest.raises(SemlinkError, match=message):
        link_of(word)


def test_default_delay_and_correlation_with_the_report() -> None:
    link = svd("delayed")
    told = j0(2 * math.pi * link.channel.max_doppler * 4 * GRID.slot_time)
    assert link.long_term.delay == 4 and link.long_term.memory == pytest.approx(told, abs=1e-6)
    assert svd("quantised").long_term.delay == svd("perfect").long_term.delay == 0
