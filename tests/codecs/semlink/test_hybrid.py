"""Hybrid coding: transform, allocation against theory, determinism, layouts, and the codec over a link."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from semlink import channels, codecs
from semlink.codecs._learned.packing import pack, unpack
from semlink.codecs._sources.coders import coder
from semlink.codecs.semlink.hybrid import thumbs, transform
from semlink.codecs.semlink.hybrid.allocation import allocate, levels_of, order_of, powers
from semlink.codecs.semlink.hybrid.base import code_base, header_of, read_base, read_header
from semlink.codecs.semlink.hybrid.layouts import choose, measured
from semlink.codecs.semlink.hybrid.networks import SIZES, HybridNetwork
from semlink.simulator import Link, SemlinkError
from semlink.simulator.conformance.codec import (
    check_codec,
    check_transmission,
    in_fresh_process,
    noiseless,
    smooth_pictures,
)
from semlink.simulator.data import load
from semlink.simulator.link.statistics import HEADS, link_statistics
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import Stream, Transmission, TxInfo
from semlink.simulator.words import parse

AWGN = Surrogate(per_image=0.0, per_symbol=0.0, lost=0.0)


def over_awgn(symbols, snr_db):
    return AWGN(Transmission((Stream("x", "analog", symbols),)), snr_db, torch.Generator()).streams[0]


def psnr(received, images) -> torch.Tensor:
    return -10 * (received - images).square().mean((1, 2, 3)).log10()


def test_transform_is_scipys_dct_and_orthonormal() -> None:
    pictures = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    found = transform.forward(pictures)
    grey = dctn(pictures[1, :, 8:, 16:].sum(0).numpy() / np.sqrt(3), norm="ortho")
    assert np.allclose(found[1, :64, 1, 2].reshape(8, 8), grey)
    assert torch.allclose(transform.inverse(found), pictures)
    assert torch.allclose(found.square().sum(), pictures.square().sum())


def test_linear_coding_reaches_its_theoretical_error() -> None:
    """Lee and Petersen's minimum for independent Gaussians, sum of sigma^2 / (1 + p snr), on simulated noise."""
    torch.manual_seed(0)
    places, count, snr = 600, 400, 6.0
    log_sigma = torch.randn(1, places)
    levels = levels_of(log_sigma)
    sigma = torch.exp2(levels / 16)
    allocation = allocate(levels.expand(300, -1), count, torch.full((300,), snr))
    residual = sigma * torch.randn(300, places)
    symbols = allocation.symbols(residual)
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(300), atol=1e-5)
    stream = over_awgn(symbols, torch.full((300,), snr))
    found, left = allocation.estimate(stream.x_hat, stream.a, allocation.scale(residual))
    error = (found - residual).square().sum(1)
    ordered = sigma[0].sort(descending=True).values
    p, gain = powers(ordered[None, :count], torch.tensor([snr]))[0], 10 ** (snr / 10)
    theory = (ordered[:count].square() / (1 + p * gain)).sum() + ordered[count:].square().sum()
    assert error.mean() == pytest.approx(float(theory), rel=0.05)
    told = (left * sigma.square()).sum(1) * 1.0
    assert told.mean() == pytest.approx(float(theory), rel=0.02)
    uniform = (ordered[:count].square() / (1 + gain)).sum() + ordered[count:].square().sum()
    assert theory < uniform


def test_order_is_by_importance_and_stable() -> None:
    levels = torch.tensor([[3, 5, 3, 9, 5, 0]], dtype=torch.int32)
    assert order_of(levels, 5).tolist() == [[3, 1, 4, 0, 2]]


def test_nothing_received_is_nothing_estimated() -> None:
    allocation = allocate(torch.randint(0, 9, (2, 20)), 12, torch.zeros(2))
    for symbols in (0, 6):
        nothing = torch.zeros(2, symbols, dtype=torch.complex64), torch.zeros(2, symbols)
        found, left = allocation.estimate(*nothing, torch.ones(2))
        assert not found.any() and torch.equal(left, torch.ones(2, 20))


def test_a_header_tells_scale_and_kind() -> None:
    for scale in np.geomspace(1e-4, 15, 99):
        for drawn in (False, True):
            told, kind = read_header(header_of(scale, drawn))
            assert told == pytest.approx(scale, rel=0.062) and kind is drawn


def test_a_base_that_fits_nothing_is_a_colour() -> None:
    image = smooth_pictures(1, 64, 80)[0]
    base = code_base(image, 3, coder("hevc"))
    assert len(base.data) == 3 and np.allclose(base.picture[:, 0, 0] / 255, image.mean((1, 2)), atol=0.003)
    assert len(code_base(image, 200, coder("hevc")).data) > 3


def test_a_thumbnail_fills_any_number_of_bytes() -> None:
    """Longer is better, every bit is used, and what is written is what is read."""
    photographs = torch.nn.functional.avg_pool2d(load("samples").batch(range(6)), 8)[..., :24]
    pictures = [(p.permute(1, 2, 0) * 255).round().byte().numpy() for p in photographs]
    errors = []
    for length in (3, 6, 12, 24, 48, 90):
        read = [thumbs.decode(thumbs.encode(p, length), 32, 24) for p in pictures]
        assert all(len(thumbs.encode(p, length)) == length for p in pictures)
        errors.append(np.mean([(p.astype(float) - r) ** 2 for p, r in zip(pictures, read, strict=True)]))
        places, bits = thumbs.allocation(8 * length, 32, 24)
        assert bits.sum() == 8 * length and (np.diff(places) > 0).all()
    assert errors == sorted(errors, reverse=True) and errors[0] > 4 * errors[-1]
    base = code_base(photographs[0], 12, coder("hevc"))
    assert base.drawn and torch.equal(read_base(base.data, 32, 24, coder("hevc"), True).picture, base.picture)


def test_quantisers_are_lloyd_max_for_a_laplacian() -> None:
    """Errors of Max's tables (1, 2 and 3 bits: 0.5, 0.1765, 0.0548), on random numbers."""
    x = np.random.default_rng(0).laplace(scale=1 / np.sqrt(2), size=200_000)
    for bits, left in ((1, 0.5), (2, 0.1765), (3, 0.0548)):
        own = thumbs.levels()[bits]
        assert len(own) == 2**bits and np.allclose(own, -own[::-1])
        found = own[np.searchsorted((own[1:] + own[:-1]) / 2, x)]
        assert np.mean((x - found) ** 2) == pytest.approx(left, rel=0.02)


def test_packed_weights_are_within_half_a_step() -> None:
    torch.manual_seed(0)
    state = {"a.weight": torch.randn(4, 3, 3, 3), "a.bias": torch.randn(4), "steps": torch.tensor(7)}
    state["norm.scale"] = torch.ones(3)
    found = unpack(pack(state))
    assert found.keys() == state.keys()
    step = state["a.weight"].abs().amax((1, 2, 3), keepdim=True) / 127
    assert ((found["a.weight"] - state["a.weight"]).abs() <= 0.51 * step).all()
    assert torch.allclose(found["a.bias"].float(), state["a.bias"], rtol=1e-3) and found["steps"] == 7


@pytest.fixture(scope="module")
def coded():
    """Shipped codec, pictures, and their transmission where a base is worth it."""
    codec, images = codecs.create("semlink", rho=1 / 6), smooth_pictures(3, 64, 72)
    link = Link(channels.create("awgn"))
    tx = link.tx_info(10.0, codec.uses(64, 72), statistics=True)
    sent = codec.encode(images, tx)
    assert [s.name for s in sent.streams] == ["base", "residual"]
    return codec, images, tx, sent, link


def test_hybrid_conforms(coded) -> None:
    codec, images, tx, sent, _ = coded
    check_transmission(sent, 3)
    base, residual = sent.streams
    assert base.uses + residual.payload.shape[1] == codec.uses(64, 72)
    for i in range(3):
        alone = codec.encode(images[i : i + 1], tx)
        assert alone.streams[0].payload == base.payload[i : i + 1]
        assert torch.allclose(alone.streams[1].payload, residual.payload[i : i + 1], atol=1e-3)
    clean = codec.decode(noiseless(sent))
    assert psnr(clean, images).min() > 30
    assert torch.allclose(in_fresh_process(codec, noiseless(sent)), clean, atol=1e-3)


def test_shipped_codec_conforms_without_statistics() -> None:
    check_codec(codecs.create("semlink", rho=1 / 12))


def test_a_lost_base_is_grey_and_hurts_no_other_picture(coded) -> None:
    codec, _, _, sent, link = coded
    received = link(sent, 10.0)
    whole, stream = codec.decode(received), received.stream("base")
    for bad in (None, b"", b"\x80nonsense"):
        payload = (stream.payload[0], bad, stream.payload[2])
        other = codec.decode(replace(received, streams=(replace(stream, payload=payload), received.streams[1])))
        assert torch.equal(other[1], torch.full_like(other[1], 0.5))
        assert torch.allclose(other[[0, 2]], whole[[0, 2]], atol=1e-3)


def test_the_analog_part_degrades_and_improves_with_the_channel(coded) -> None:
    """With the base delivered: better at higher SNR, better with a longer prefix."""
    codec, images, _, sent, _ = coded
    levels = []
    for snr in (0.0, 10.0, 20.0):
        received = AWGN(sent, torch.full((3,), snr), torch.Generator().manual_seed(0))
        levels.append(float(psnr(codec.decode(received), images).mean()))
    assert levels == sorted(levels) and levels[2] > levels[0] + 1, levels
    base, residual = received.streams
    lengths = [0, residual.a.shape[1] // 4, residual.a.shape[1]]
    cut = [replace(residual, x_hat=residual.x_hat[:, :n], a=residual.a[:, :n]) for n in lengths]
    prefixes = [float(psnr(codec.decode(replace(received, streams=(base, c))), images).mean()) for c in cut]
    assert prefixes == sorted(prefixes) and prefixes[2] > prefixes[0] + 1, prefixes


def test_layouts_take_no_risk_for_nothing() -> None:
    """Most rate to the base where the channel is steady, none where it is down for whole pictures."""
    steady, fading = (Link(channels.create(name)) for name in ("awgn", "rayleigh"))
    uses = codecs.create("semlink", rho=1 / 12).uses(256, 256)
    found = choose(steady.statistics(10.0, uses), 256, 256)
    assert found and found.snr_db == pytest.approx(10, abs=0.1)
    assert choose(fading.statistics(0.0, uses), 256, 256) is None
    rates = [choose(steady.statistics(snr, uses), 256, 256).mcs.efficiency for snr in (2.0, 10.0, 18.0)]
    assert rates == sorted(rates) and rates[0] < rates[2]


def test_planes_alone_on_request_and_without_statistics() -> None:
    images, link = smooth_pictures(1, 64, 64), Link(channels.create("awgn"))
    on_request = codecs.create("semlink", **dict(parse("semlink:base=none").settings))
    for codec, tx in (
        (codecs.create("semlink"), TxInfo(snr_db=10.0)),
        (on_request, link.tx_info(10.0, 1024, statistics=True)),
        (codecs.create("semlink", base="none"), None),
    ):
        assert [s.name for s in codec.encode(images, tx).streams] == ["latent"]
    with pytest.raises(SemlinkError, match="no base 'always'; known: auto, none"):
        codecs.create("semlink", base="always")


def test_weights_of_another_kind_are_refused() -> None:
    codec = codecs.create("semlink", hybrid=codecs.create("semlink").shipped("natural"))
    with pytest.raises(SemlinkError, match="no network of hybrid coding"):
        _ = codec.hybrid


def test_quality_tables_rise_with_everything() -> None:
    for small in (True, False):
        quality = measured(small)
        hybrid = np.asarray(quality.hybrid)
        assert hybrid.shape == (len(quality.bpp), len(quality.rate), len(quality.snr))
        for axis in range(3):
            assert (np.diff(hybrid, axis=axis) > -0.35).all()
        assert quality.of_hybrid(np.array(quality.bpp[2]), np.array(quality.rate[3]), np.array(10.0)) == pytest.approx(
            hybrid[2, 3, list(quality.snr).index(10.0)]
        )


def test_heads_of_a_payload_arrive_more_often_than_all_of_it() -> None:
    statistics = link_statistics(Link(channels.create("tdl")).long_term, 8.0, 4096)
    assert len(statistics.heads) == len(HEADS) and max(statistics.heads) < 4096
    assert all(0 < a < 1 for a in statistics.reliability)
    near = statistics.heads[max(statistics.heads)]
    assert max(abs(near[name] - chance) for name, chance in statistics.success.items()) < 0.1
    assert json.dumps(statistics.heads)


@pytest.mark.parametrize("size", SIZES)
def test_every_parameter_learns(size: str, tmp_path) -> None:
    from semlink.codecs.semlink.hybrid.coding import allocation_of, expect, receive

    torch.manual_seed(0)
    network = HybridNetwork(**SIZES[size]._asdict())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    pictures, base = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    expected = expect(network, base, torch.full((4,), 0.5), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    snr_db = torch.tensor([3.0, 12.0])
    allocation = allocation_of(expected, 200, snr_db)
    residual = expected.residual(pictures).reshape(2, -1)
    stream = over_awgn(allocation.symbols(residual), snr_db)
    received = receive(network, expected, allocation, stream.x_hat, stream.a, allocation.scale(residual))
    (received.square().mean() + expected.log_sigma.mean()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    save_weights(network, tmp_path / "w.safetensors", {})
    assert codecs.create("semlink", hybrid=tmp_path / "w.safetensors").hybrid.network.settings == network.settings
