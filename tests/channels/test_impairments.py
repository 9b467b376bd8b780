"""Impairments against their statistics and closed forms, and what all of them have in common."""

import pickle
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0

from semlink import channels
from semlink.channels import impairments
from semlink.channels.base.fade import antennas
from semlink.channels.base.grid import Grid
from semlink.channels.base.impaired import Impaired
from semlink.channels.base.impairment import RX_OVERSAMPLING, Disturbance, Impairment, sample_times
from semlink.simulator.conformance.channel import check_draws

GRID = Grid()
N, SYMBOLS = GRID.subcarriers, GRID.symbols
USEFUL = 1 / GRID.subcarrier_spacing
NEUTRAL = {"saturation": np.inf, "smoothness": np.inf, "tx_iq": (1, 0), "rx_iq": (1, 0), "age": 0.0}
EFFECTS = {
    "phase": (np.float32, (SYMBOLS, RX_OVERSAMPLING * N)),
    "interference": (np.complex64, (SYMBOLS, N)),
    "erased": (np.bool_, (GRID.data_symbols,)),
}
SETTINGS = {"aging": {"slots": 2}}
HAS = {
    "aging": {"age"},
    "cfo": {"phase"},
    "clipping": {"saturation"},
    "cochannel": {"interference"},
    "erasure": {"erased"},
    "iq_imbalance": {"rx_iq"},
    "narrowband": {"interference"},
    "phase_noise": {"phase"},
    "rapp": {"saturation", "smoothness"},
}


def create(name: str) -> Impairment:
    return impairments.create(name, **SETTINGS.get(name, {}))


def many(disturbance: Disturbance, effect: str, slots: int) -> np.ndarray:
    """An effect on that many slots of image 0."""
    return getattr(disturbance, effect)(np.zeros(slots, int), np.arange(slots), GRID)


def test_registries() -> None:
    assert impairments.names() == tuple(HAS)
    assert "impairments" not in channels.names() and "tdl" in channels.names()
    with pytest.raises(LookupError, match="unknown impairment 'rain'; known: aging, cfo"):
        channels.impair(channels.create("awgn"), "rain")
    with pytest.raises(LookupError, match="unknown channel 'impairments'"):
        channels.create("impairments")
    with pytest.raises(TypeError, match="impairment cfo.*volts"):
        impairments.create("cfo", volts=3)


@pytest.mark.parametrize("name", HAS)
def test_each_does_its_own_and_nothing_else(name: str) -> None:
    impairment = create(name)
    disturbance = impairment.draw(np.random.default_rng(0), 4)
    found = {what for what, neutral in NEUTRAL.items() if getattr(impairment, what) != neutral}
    images, slots = np.array([3, 0, 0, 2]), np.array([1, 0, 5, -2])
    for effect, (dtype, shape) in EFFECTS.items():
        answer = getattr(disturbance, effect)(images, slots, GRID)
        if answer is not None:
            found.add(effect)
            assert answer.dtype == dtype and answer.shape == (4, *shape)
            assert answer.dtype == bool or np.isfinite(answer).all()
    assert found == HAS[name]
    seconds = np.linspace(-1e-3, 1e-3, 12).reshape(3, 4)
    correlation = impairment.phase_correlation(seconds)
    assert correlation.dtype == np.complex128 and correlation.shape == (3, 4)
    assert (np.abs(correlation - 1).max() > 1e-3) == ("phase" in found)
    assert pickle.loads(pickle.dumps(impairment)) == impairment and hash(impairment) == hash(create(name))


@pytest.mark.parametrize("name", [n for n, has in HAS.items() if has & set(EFFECTS)])
def test_draws_depend_on_image_and_slot_alone(name: str) -> None:
    """Whatever the batch, the order, the process; and never the same twice."""
    effect = next(iter(HAS[name]))
    impairment = impairments.create(name, packet=1) if name == "erasure" else create(name)
    disturbance, other = (impairment.draw(np.random.default_rng(7), 6) for _ in range(2))
    images, slots = np.repeat(np.arange(6), 3), np.tile([4, 0, 900_001], 6)
    whole = getattr(disturbance, effect)(images, slots, GRID)
    order = np.random.default_rng(0).permutation(18)
    copy = pickle.loads(pickle.dumps(other))
    assert np.array_equal(getattr(copy, effect)(images[order], slots[order], GRID), whole[order])
    assert np.array_equal(getattr(disturbance, effect)(images[5:6], slots[5:6], GRID), whole[5:6])
    assert len({row.tobytes() for row in whole}) == 18
    another = getattr(impairment.draw(np.random.default_rng(8), 6), effect)(images, slots, GRID)
    assert not np.array_equal(another, whole)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("clipping", {"ratio_db": np.inf}, "leave it out"),
        ("rapp", {"ratio_db": np.nan}, "finite"),
        ("rapp", {"smoothness": 0.0}, "0.5"),
        ("cfo", {"hertz": -3.0}, "from 0 on"),
        ("cfo", {"hertz": np.nan, "fixed": True}, "finite"),
        ("phase_noise", {"linewidth_hz": -1.0}, "from 0 on"),
        ("iq_imbalance", {"side": "left"}, "rx, tx, both"),
        ("iq_imbalance", {"phase_deg": 90.0}, "90 degrees"),
        ("narrowband", {"bandwidth_hz": -1.0}, "from 0 on"),
        ("narrowband", {"sir_db": np.nan}, "finite"),
        ("cochannel", {"sir_db": np.inf}, "leave it out"),
        ("cochannel", {"model": "Z"}, "TDL model"),
        ("erasure", {"rate": 1.1}, "within 0 and 1"),
        ("erasure", {"packet": 0}, "from 1 on"),
        ("erasure", {"packet": "image"}, "slot"),
        ("aging", {}, "either"),
        ("aging", {"slots": 1, "seconds": 1e-3}, "either"),
        ("aging", {"seconds": -1.0}, "negative"),
    ],
)
def test_nonsense_is_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        impairments.create(name, **settings)


def test_amplifier_settings() -> None:
    assert impairments.create("clipping", ratio_db=6.0).saturation == pytest.approx(1.995262)
    amplifier = impairments.create("rapp", ratio_db=-20.0, smoothness=2.0)
    assert (amplifier.saturation, amplifier.smoothness) == (pytest.approx(0.1), 2.0)
    assert impairments.create("aging", slots=3).age == pytest.approx(3 * GRID.slot_time)
    assert impairments.create("aging", seconds=2e-3).age == 2e-3


def test_frequency_offset() -> None:
    """A line through all slots of the image, of its own slope, with the Gaussian characteristic function."""
    fixed = impairments.create("cfo", hertz=-740.0, fixed=True).draw(np.random.default_rng(0), 2)
    turns = many(fixed, "phase", 3)
    clock = np.arange(3)[:, None, None] * GRID.slot_time + sample_times(GRID)
    off = turns + 740.0 * clock
    assert np.abs(off - np.rint(off)).max() < 1e-5 and np.abs(turns).max() <= 0.5
    far = fixed.phase(np.array([1]), np.array([10**7]), GRID)  # three hours later
    off = far + 740.0 * GRID.slot_time * 10**7 % 1 + 740.0 * sample_times(GRID)
    assert np.abs(off - np.rint(off)).max() < 1e-3
    impairment = impairments.create("cfo", hertz=300.0)
    turns = impairment.draw(np.random.default_rng(1), 4_000).phase(np.arange(4_000), np.zeros(4_000, int), GRID)
    step = np.exp(2j * np.pi * (turns[:, 3, 5] - turns[:, 0, 5])).mean()
    told = impairment.phase_correlation(np.array(3 * GRID.symbol_time))
    assert abs(step - told) < 4 / sqrt(4_000) and 0.5 < told.real < 0.99
    told = impairments.create("cfo", hertz=-740.0, fixed=True).phase_correlation(np.array(GRID.symbol_time))
    assert np.isclose(np.angle(told), -2 * np.pi * 740.0 * GRID.symbol_time)


def test_phase_noise_walk_and_spectrum() -> None:
    """Increments within and across symbols have variance 2 pi B t; the carrier is B wide at half its maximum."""
    impairment = impairments.create("phase_noise", linewidth_hz=400.0)
    turns = many(impairment.draw(np.random.default_rng(2), 1), "phase", 1500).reshape(1500, -1)
    times = sample_times(GRID).ravel()
    for first, last in [(0, 1), (3, 140), (143, 144), (100, 700), (7, 1900)]:
        seconds = times[last] - times[first]
        step = 2 * np.pi * (turns[:, last] - turns[:, first])
        told = impairment.phase_correlation(np.array(seconds))
        assert np.isclose(told.real, np.exp(-np.pi * 400.0 * seconds))
        assert abs(np.exp(1j * step).mean() - told) < 4 * sqrt((1 - abs(told) ** 2) / 1500)
        if seconds < 1e-4:
            small = (step + np.pi) % (2 * np.pi) - np.pi
            assert np.isclose(small.var(), 2 * np.pi * 400.0 * seconds, rtol=0.16)
    assert abs(np.exp(2j * np.pi * turns[:, 0]).mean()) < 4 / sqrt(1500)

    def density(hertz: float) -> float:
        return quad(lambda t: np.exp(-np.pi * 400.0 * t) * np.cos(2 * np.pi * hertz * t), 0, 0.05, limit=400)[0]

    assert np.isclose(density(200.0) / density(0.0), 0.5, rtol=1e-4)


def test_iq_imbalance_of_branches() -> None:
    """mu and nu against the real branches: a Q branch with gain g whose carrier is skewed by phi."""
    gain_db, skew_deg = 1.3, 7.0
    g, phi = 10 ** (gain_db / 20), np.deg2rad(skew_deg)
    s = np.random.default_rng(0).standard_normal((100, 2)) @ [1, 1j]
    received = s.real + 1j * g * (s.imag * np.cos(phi) - s.real * np.sin(phi))
    sent = s.real + g * s.imag * (1j * np.cos(phi) - np.sin(phi))
    both = impairments.create("iq_imbalance", amplitude_db=gain_db, phase_deg=skew_deg, side="both")
    for (mu, nu), told in ((both.rx_iq, received), (both.tx_iq, sent)):
        ratio = (mu * s + nu * s.conj()) / told
        assert np.allclose(ratio, ratio[0]) and np.isclose(abs(mu) ** 2 + abs(nu) ** 2, 1)
    assert impairments.create("iq_imbalance", side="tx").rx_iq == (1, 0) != both.rx_iq
    assert impairments.create("iq_imbalance", side="rx").tx_iq == (1, 0) != both.tx_iq
    mu, nu = impairments.create("iq_imbalance", amplitude_db=0.0, phase_deg=0.0).rx_iq
    assert (mu, nu) == (1, 0)


def leaked(offset: float, width: float, subcarrier: int, symbols: int) -> complex:
    """E[Y_k(symbol + symbols) Y_k(symbol)*] on one subcarrier for unit interference power: the band's integral."""
    at = (subcarrier - N // 2) * GRID.subcarrier_spacing
    lag = symbols * GRID.symbol_time

    def line(hertz: float) -> complex:
        return N * np.sinc((hertz - at) * USEFUL) ** 2 * np.exp(2j * np.pi * hertz * lag)

    edges = offset - width / 2, offset + width / 2
    inner = at + GRID.subcarrier_spacing * np.arange(-4, 5)  # where the line has its zeros and its peak
    points = sorted({*edges, *inner[(inner > edges[0]) & (inner < edges[1])]})
    parts = [quad(line, *pair, complex_func=True, epsabs=1e-3, limit=500)[0] for pair in pairwise(points)]
    return sum(parts) / width


@pytest.mark.parametrize(("offset", "width"), [(100e3, 60e3), (-7e3, 4e3), (0.0, 1080e3)])
def test_narrowband_spectrum_power_and_memory(offset: float, width: float) -> None:
    impairment = impairments.create("narrowband", sir_db=-3.0, offset_hz=offset, bandwidth_hz=width)
    y = many(impairment.draw(np.random.default_rng(3), 1), "interference", 600)
    power = 10**0.3
    spectrum = (np.abs(y) ** 2).mean((0, 1)) / power
    told = np.array([leaked(offset, width, k, 0).real for k in range(N)])
    effective = 600 * min(SYMBOLS, max(1.0, width * GRID.slot_time))  # independent draws behind each mean
    assert np.allclose(spectrum / told, 1, atol=5 / sqrt(effective))
    inside = told.mean()  # the rest leaks out of the band
    assert abs(spectrum.mean() / inside - 1) < 4 / sqrt(600 * (1 + width * GRID.slot_time))
    assert 0.94 < inside <= 1.0
    peak = int(told.argmax())
    for symbols in (1, 5):
        found = (y[:, symbols:, peak] * y[:, :-symbols, peak].conj()).mean() / power
        assert abs(found - leaked(offset, width, peak, symbols)) < 5 * told[peak] / sqrt(600)


def test_narrowband_tone_runs_on_and_leaks() -> None:
    offset = 10.4 * GRID.subcarrier_spacing
    impairment = impairments.create("narrowband", sir_db=6.0, offset_hz=offset, bandwidth_hz=0.0)
    y = many(impairment.draw(np.random.default_rng(3), 1), "interference", 4)
    power = 10**-0.6 * N * np.sinc(10.4 - (np.arange(N) - N // 2)) ** 2
    assert np.allclose(np.abs(y) ** 2, power, rtol=1e-3, atol=1e-6)
    stream = y.reshape(-1, N)[:, 46]  # symbols follow each other evenly, from slot to slot too
    step = np.exp(2j * np.pi * offset * GRID.symbol_time)
    assert np.allclose(stream[1:] / stream[:-1], step, atol=1e-3)
    centred = impairments.create("narrowband", sir_db=0.0, offset_hz=3 * GRID.subcarrier_spacing, bandwidth_hz=0.0)
    y = many(centred.draw(np.random.default_rng(3), 1), "interference", 1)
    assert np.isclose((np.abs(y) ** 2).mean(), 1, rtol=1e-4)  # the total power of N unit subcarriers, on one of them
    assert np.isclose((np.abs(y[..., N // 2 + 3]) ** 2).mean(), N, rtol=1e-4)


def test_interference_wider_than_the_grid_is_refused() -> None:
    drawn = impairments.create("narrowband", bandwidth_hz=2e6).draw(np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="cochannel"):
        many(drawn, "interference", 1)


def test_cochannel_power_fade_and_data() -> None:
    impairment = impairments.create("cochannel", sir_db=4.0, speed=60.0, delay_spread=300e-9)
    drawn = impairment.draw(np.random.default_rng(4), 3000)
    images, slots = np.arange(3000), np.full(3000, 2)
    y = drawn.interference(images, slots, GRID) / np.float32(10**-0.2)
    power = (np.abs(y) ** 2).mean((1, 2))
    assert abs(power.mean() - 1) < 4 * power.std() / sqrt(3000)
    element = np.abs(y[:, 3, 40]) ** 2
    assert abs((element < 0.5).mean() - (1 - np.exp(-0.5))) < 4 * sqrt(0.24 / 3000)  # Rayleigh
    data = y / drawn.fade.at(images, slots, GRID)
    assert np.allclose(data**4, -1, atol=1e-2)
    assert abs(data.mean()) < 4 / sqrt(data.size)
    quadrants = np.bincount(np.floor(np.angle(data.ravel()) / (np.pi / 2)).astype(int) + 2, minlength=4) / data.size
    assert np.allclose(quadrants, 0.25, atol=4 * sqrt(0.19 / data.size))
    doppler = 60.0 * 3.5e9 / 299_792_458.0
    fades = drawn.fade.at(images, slots, GRID)[..., 40]
    found = (fades[:, 10] * fades[:, 0].conj()).mean()
    assert abs(found - j0(2 * np.pi * doppler * 10 * GRID.symbol_time)) < 5 / sqrt(3000)


@pytest.mark.parametrize("packet", [1, 100, 864, "slot", 5000])
def test_erasure_rate_and_packets(packet: int | str) -> None:
    rate, slots = 0.3, 2000
    drawn = impairments.create("erasure", rate=rate, packet=packet).draw(np.random.default_rng(5), 1)
    lost = many(drawn, "erased", slots)
    size = GRID.data_symbols if packet == "slot" else min(packet, GRID.data_symbols)
    starts = np.arange(0, GRID.data_symbols, size)
    packets = lost[:, starts]
    assert abs(packets.mean() - rate) < 4 * sqrt(rate * (1 - rate) / packets.size)
    assert np.array_equal(np.repeat(packets, size, 1)[:, : GRID.data_symbols], lost)
    if len(starts) > 1:
        assert abs(np.corrcoef(packets[:, 0], packets[:, 1])[0, 1]) < 4 / sqrt(slots)
    assert abs(np.corrcoef(packets[1:, 0], packets[:-1, 0])[0, 1]) < 4 / sqrt(slots)
    for sure in (0.0, 1.0):
        drawn = impairments.create("erasure", rate=sure, packet=packet).draw(np.random.default_rng(5), 1)
        assert np.all(many(drawn, "erased", 5) == bool(sure))


def test_an_impaired_channel_is_the_bare_one_and_more() -> None:
    bare = channels.create("tdl", model="D", speed=30.0, rx_antennas=2)
    impaired = channels.impair(channels.impair(bare, "clipping", ratio_db=3.0), "cfo", hertz=200.0)
    assert impaired.channel == bare and [type(i).__name__ for i in impaired.impairments] == ["Clipping", "Cfo"]
    assert (impaired.csi, impaired.specular_power) == (bare.csi, bare.specular_power)
    assert antennas(impaired) == antennas(bare) == (2, 1)
    fades = (c.draw(np.random.default_rng(0), 2).response(0, 1, GRID) for c in (bare, impaired))
    assert np.array_equal(*fades)
    symbol = channels.impair(channels.create("rayleigh", coherence="symbol"), "erasure")
    assert symbol.coherence == "symbol" and impaired.coherence == ""
    copy = pickle.loads(pickle.dumps(impaired))
    assert copy == impaired and hash(copy) == hash(impaired)
    check_draws(channels.impair(channels.create("tdl", delay_spread=300e-9), "phase_noise"), images=500)


def test_impairments_combine() -> None:
    parts = [create(n) for n in ("cfo", "phase_noise", "narrowband", "cochannel", "rapp", "iq_imbalance")]
    packets = [impairments.create("erasure", rate=0.3, packet=p) for p in (10, 36)]
    ages = [impairments.create("aging", slots=1), impairments.create("aging", seconds=1e-3)]
    impaired = Impaired(channels.create("rayleigh"), (*parts, *packets, *ages))
    assert impaired.amplifier == (parts[4].saturation, 3.0)
    assert impaired.rx_iq == parts[5].rx_iq and impaired.tx_iq == (1, 0)
    assert impaired.age == pytest.approx(GRID.slot_time + 1e-3)
    seconds = np.linspace(0, 1e-3, 5)
    product = parts[0].phase_correlation(seconds) * parts[1].phase_correlation(seconds)
    assert np.allclose(impaired.phase_correlation(seconds), product)
    images, slots = np.array([0, 1]), np.array([3, 4])
    rng = np.random.default_rng(0)
    drawn = [i.draw(rng, 2) for i in impaired.impairments]
    together = impaired.disturb(np.random.default_rng(0), 2)
    assert np.allclose(together.phase(images, slots, GRID), sum(d.phase(images, slots, GRID) for d in drawn[:2]))
    interference = sum(d.interference(images, slots, GRID) for d in drawn[2:4])
    assert np.allclose(together.interference(images, slots, GRID), interference)
    lost = [d.erased(images, slots, GRID) for d in drawn[6:8]]
    assert np.array_equal(together.erased(images, slots, GRID), lost[0] | lost[1])
    assert not np.array_equal(lost[0], lost[1])
    shorter = Impaired(impaired.channel, impaired.impairments[:2]).disturb(np.random.default_rng(0), 2)
    assert np.array_equal(shorter.phase(images, slots, GRID), together.phase(images, slots, GRID))
    assert shorter.interference(images, slots, GRID) is None and shorter.erased(images, slots, GRID) is None


def test_what_does_not_go_together_is_refused() -> None:
    bare = channels.create("awgn")
    with pytest.raises(ValueError, match="one amplifier, got Clipping.*Rapp.*leave one out"):
        channels.impair(channels.impair(bare, "clipping"), "rapp")
    with pytest.raises(ValueError, match="one IQ modulator"):
        channels.impair(channels.impair(bare, "iq_imbalance", side="tx"), "iq_imbalance", side="both")
    two_ends = channels.impair(channels.impair(bare, "iq_imbalance", side="tx"), "iq_imbalance", side="rx")
    assert two_ends.tx_iq != (1, 0) and two_ends.rx_iq != (1, 0)
    with pytest.raises(ValueError, match="impaired already"):
        Impaired(two_ends, (create("cfo"),))
    with pytest.raises(ValueError, match="no impairment"):
        Impaired(bare, (Disturbance(),))


def test_an_impairment_of_ones_own_needs_only_what_it_does() -> None:
    @dataclass(frozen=True)
    class Stale(Impairment):
        age: float = 0.25

    impaired = Impaired(channels.create("awgn"), (Stale(),))
    assert impaired.age == 0.25 and impaired.amplifier == (np.inf, np.inf)
    drawn = impaired.disturb(np.random.default_rng(0), 1)
    assert [many(drawn, effect, 2) for effect in EFFECTS] == [None] * 3
