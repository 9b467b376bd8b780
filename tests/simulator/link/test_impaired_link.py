"""Impairments over the real link: the contract holds, losses are those of theory, fades stay the same."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.special import erfc, j0

from semlink import channels
from semlink.simulator import Grid, Link, SemlinkError, Stream, Transmission
from semlink.simulator.conformance.channel import check_link
from semlink.simulator.plugins import make_link
from semlink.simulator.words import parse

GRID = Grid()
# the sampling error of the contract is 3 % with so many images; interference varies from image to image more than
# a receiver that knows its mean can tell, so its contract holds on average only
CONTRACTS = [
    ("tdl:csi=ls+clipping:ratio_db=1", 0.05),
    pytest.param("tdl:csi=lmmse+rapp:ratio_db=2", 0.05, marks=pytest.mark.slow),
    ("tdl:csi=perfect+cfo:hertz=300+phase_noise:linewidth_hz=100", 0.05),
    ("tdl:csi=ls+cfo:hertz=100", 0.06),
    pytest.param("awgn:csi=ls+cfo:hertz=100", 0.06, marks=pytest.mark.slow),
    ("tdl:csi=lmmse+phase_noise:linewidth_hz=10", 0.05),
    pytest.param("tdl:csi=ls+iq_imbalance:amplitude_db=1,phase_deg=5,side=both", 0.05, marks=pytest.mark.slow),
    ("tdl:csi=ls+narrowband:sir_db=0", 0.05),
    pytest.param("tdl:csi=lmmse+narrowband:sir_db=0", 0.05, marks=pytest.mark.slow),
    ("tdl:csi=perfect+cochannel:sir_db=5", 0.08),
    ("tdl:csi=ls,speed=5+aging:slots=2+erasure:rate=0.2,packet=50", 0.06),
    pytest.param("tdl:csi=perfect,speed=5+aging:slots=2", 0.06, marks=pytest.mark.slow),
    ("tdl:csi=ls,rx_antennas=2+clipping:ratio_db=3", 0.05),
]


def gaussian(images: int, slots: int = 1) -> Transmission:
    """Unit-power Gaussian symbols."""
    x = torch.randn(
        images, slots * GRID.data_symbols, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)
    )
    return Transmission((Stream("x", "analog", x / x.abs().square().mean(1, keepdim=True).sqrt()),))


@pytest.mark.parametrize(("word", "tolerance"), CONTRACTS)
def test_contract(word: str, tolerance: float) -> None:
    check_link(make_link(parse(word)), 5.0, images=1536, tolerance=tolerance)


@pytest.mark.parametrize("spread", ["1.2e-6", "1.5e-6"])
@pytest.mark.parametrize("csi", ["perfect", "ls"])
def test_contract_behind_a_short_prefix(csi: str, spread: str) -> None:
    with pytest.warns(UserWarning, match="outlast the cyclic prefix of 5.6 us; intersymbol interference caps the SINR"):
        check_link(make_link(parse(f"tdl:model=C,delay_spread={spread},csi={csi}")), 20.0, images=1536, tolerance=0.08)


def test_overrun_caps_the_sinr_where_its_share_says() -> None:
    """A path that outlasts the prefix by a share d of the symbol keeps 1 - d of its amplitude; the rest is noise."""
    channel = channels.create("tdl", model="C", delay_spread=1.5e-6)
    profile = channel.profile()
    late = np.maximum(profile.delays - GRID.prefix_time, 0) * GRID.subcarrier_spacing
    wanted = (profile.powers * (1 - late) ** 2).sum()
    with pytest.warns(UserWarning):
        reception = Link(channel, csi="perfect")(gaussian(512), 60.0).streams[0]
    a, x_hat, x = (v.numpy().ravel() for v in (reception.a, reception.x_hat, gaussian(512).streams[0].payload))
    noise = (np.abs(x_hat - a * x) ** 2).mean() / (a * (1 - a)).mean()
    assert abs(noise - 1) < 0.1
    gains = np.abs(known_gains(channel)) ** 2
    found = np.quantile((1 / a - 1) * np.sort(gains.ravel()).mean(), 0.5) / (1 - wanted)
    assert found == pytest.approx(np.quantile(gains.mean() / gains, 0.5), rel=0.1)


def known_gains(channel) -> np.ndarray:
    """Gains of data elements behind the FFT of the first images that a link with seed 0 meets."""
    from semlink.simulator.link.fades import Fades

    data = [s for s in range(GRID.symbols) if s not in GRID.pilot_symbols]
    parts = np.split(np.arange(512), 16)
    return np.concatenate([Fades(channel, 0).known(i, 0 * i, GRID) for i in parts])[..., data, :]


def test_clipping_caps_the_sinr_at_bussgangs_ratio() -> None:
    """Hard clipping of a Gaussian signal at A: gain 1 - e^-A^2 + sqrt(pi)/2 A erfc(A), power 1 - e^-A^2.

    The band keeps 40 to 100 % of the distortion (the rest falls beside it).
    """
    link = make_link(parse("awgn+clipping:ratio_db=0"))
    a = link(gaussian(64), 60.0).streams[0].a
    gain, power = 1 - math.exp(-1) + math.sqrt(math.pi) / 2 * erfc(1.0), 1 - math.exp(-1)
    full = (power - gain**2) / gain**2
    found = float((1 / a - 1).mean())
    assert 0.4 * full < found < full


def test_an_impaired_link_meets_the_fades_and_snr_of_the_bare_one() -> None:
    bare = make_link(parse("tdl")).run(gaussian(40), 7.0, seed=3).report
    noisy = make_link(parse("tdl+cochannel:sir_db=3+erasure:rate=0.3")).run(gaussian(40), 7.0, seed=3).report
    assert np.allclose(noisy.snr_realised_db, bare.snr_realised_db, atol=1e-3)
    assert np.allclose(noisy.snr_measured_db, bare.snr_measured_db, atol=1e-3)


def test_old_estimates_lose_what_bessel_says() -> None:
    """With perfect CSI of age T, 1 - a averages to the error share 1 - J0(2 pi nu T)^2 on unit channels at high SNR."""
    channel = channels.create("tdl", speed=10.0)
    age = 3 * GRID.slot_time
    link = Link(channels.impair(channel, "aging", slots=3), csi="perfect")
    reception, x = link(gaussian(512), 60.0).streams[0], gaussian(512).streams[0].payload
    a = reception.a
    memory = j0(2 * np.pi * channel.max_doppler * age)
    told = a / (1 - a)  # p |rho h_old|^2 / (1 - rho^2)
    assert abs(float(told.mean()) / (memory**2 / (1 - memory**2)) - 1) < 0.15
    assert float((reception.x_hat - a * x).abs().square().mean() / (a * (1 - a)).mean()) == pytest.approx(1, abs=0.08)


def test_a_still_channel_does_not_age() -> None:
    word = "tdl:speed=0,csi=ls"
    fresh, old = (make_link(parse(w))(gaussian(8), 10.0).streams[0].a for w in (word, f"{word}+aging:slots=5"))
    assert torch.allclose(fresh, old, atol=1e-4)


def test_dropped_packets_are_zero_and_bits_survive_them_by_their_code() -> None:
    payload = [bytes(range(60))] * 16
    bits = Transmission((Stream("b", "bits", payload, mcs="qpsk-0.50", uses=1024),))
    clean, dropped = (make_link(parse(w)) for w in ("awgn", "awgn+erasure:rate=0.1,packet=20"))
    assert all(clean(bits, 10.0).streams[0].ok) and all(dropped(bits, 10.0).streams[0].ok)
    a = dropped(gaussian(64), 10.0).streams[0].a
    assert abs(float((a == 0).float().mean()) - 0.1) < 0.02


def test_gradients_pass_an_amplifier() -> None:
    sent = gaussian(4)
    x = sent.streams[0].payload.clone().requires_grad_()
    stream = make_link(parse("awgn+rapp:ratio_db=1"))(Transmission((Stream("x", "analog", x),)), 10.0).streams[0]
    (gradient,) = torch.autograd.grad(stream.x_hat.abs().square().sum(), x)
    assert torch.isfinite(torch.view_as_real(gradient)).all() and gradient.abs().max() > 0


def test_an_image_keeps_its_disturbances_whatever_the_batch() -> None:
    link = make_link(parse("tdl+cfo:hertz=100+phase_noise:linewidth_hz=20+cochannel:sir_db=10+erasure:rate=0.2"))
    sent = gaussian(40, slots=2)
    part = Transmission((Stream("x", "analog", sent.streams[0].payload[30:35]),))
    whole, alone = link(sent, 9.0, seed=1).streams[0], link(part, 9.0, seed=1, first_image=30).streams[0]
    assert torch.allclose(whole.x_hat[30:35], alone.x_hat, atol=1e-4)
    assert torch.equal(whole.a[30:35] == 0, alone.a == 0)


def test_what_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(SemlinkError, match="channel tdl:model=Z: unknown TDL model 'Z'; known: A, B"):
        make_link(parse("tdl:model=Z"))
    with pytest.raises(SemlinkError, match="one amplifier"):
        make_link(parse("tdl+clipping:ratio_db=3+rapp:ratio_db=3"))
    with pytest.raises(SemlinkError, match="impairment clipping.*loudness"):
        make_link(parse("tdl+clipping:loudness=3"))


def test_the_default_path_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_link(parse("tdl"))(gaussian(2), 10.0)
