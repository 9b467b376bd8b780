"""Hybrid coding: transform, allocation against theory, determinism, layouts, and the codec over a link."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from semlink import channels, codecs
from semlink.codecs._learned.packing import pack, unpack
from semlink.codecs._sources.coders import coder
from semlink.codecs.semlink.codec import noisy
from semlink.codecs.semlink.hybrid import allocation as allocating
from semlink.codecs.semlink.hybrid import thumbnail, thumbs, transform
from semlink.codecs.semlink.hybrid.allocation import allocate, levels_of, order_of, powers
from semlink.codecs.semlink.hybrid.base import code_base, header_of, read_base, read_header
from semlink.codecs.semlink.hybrid.choosing import chosen
from semlink.codecs.semlink.hybrid.codec import HybridCoder
from semlink.codecs.semlink.hybrid.layouts import Layout, Menu, fades_of, layouts_of, menu, score
from semlink.codecs.semlink.hybrid.networks import SIZES, HybridNetwork
from semlink.codecs.semlink.hybrid.quality import measured
from semlink.simulator import Link, SemlinkError, tiles
from semlink.simulator.bits.mcs import get
from semlink.simulator.conformance.codec import in_fresh_process, smooth_pictures
from semlink.simulator.data import load
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
    given = allocate(levels.expand(300, -1), count, torch.full((300,), snr))
    residual = sigma * torch.randn(300, places)
    symbols = given.symbols(residual)
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(300), atol=1e-5)
    stream = over_awgn(symbols, torch.full((300,), snr))
    found, left = given.estimate(stream.x_hat, stream.a, given.scale(residual))
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


@pytest.mark.parametrize("count", [1, 2, 700, 9999, 10000])
def test_sorting_what_is_large_enough_is_sorting_all(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = torch.randint(-30, 40, (2, 10000), dtype=torch.int16, generator=torch.Generator().manual_seed(count))
    whole = order_of(levels, count)
    monkeypatch.setattr(allocating, "SORTED", 100)
    assert torch.equal(order_of(levels, count), whole)


@pytest.mark.parametrize("analog", [0, 600])
def test_in_tiles_it_is_the_same_picture(coded, analog: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols and pictures of a picture that is cut, to rounding; 76x84 px, which cells do not divide."""
    codec, picture = codec_and_picture(coded)
    payloads, symbols = codec.hybrid.encode(picture, 300, analog, 10.0)
    whole, _ = codec.hybrid.decode(payloads, *noisy(symbols, 10.0), 10.0, (76, 84))
    monkeypatch.setattr(tiles, "SIDE", 40)
    monkeypatch.setattr(allocating, "SORTED", 100)
    again, cut = codec.hybrid.encode(picture, 300, analog, 10.0)
    found, there = codec.hybrid.decode(payloads, *noisy(symbols, 10.0), 10.0, (76, 84))
    assert again == payloads and torch.allclose(cut, symbols, atol=1e-4) and there.all()
    assert torch.allclose(found, whole, atol=1e-4)


def codec_and_picture(coded):
    return coded[0], load("samples", 1).batch([0])[:, :, 60:136, 40:124].contiguous()


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


BASE, HYBRID, PLANES = range(3)  # layouts of the menu below, and pictures that have them


@pytest.fixture(scope="module")
def coded():
    """Shipped codec, one picture for each kind of layout, their menu and transmission."""
    codec, images = codecs.create("semlink", rho=1 / 6), smooth_pictures(3, 64, 72)
    uses, thumb = codec.uses(64, 72), thumbnail.uses_of(64, 72)
    header, mcs = get("qpsk-0.25"), get("qpsk-0.50")
    left = uses - thumb - 64
    layouts = Layout(left, mcs, 0), Layout(1024, mcs, left - 1024), Layout(0, mcs, left)
    menu = Menu(layouts, (header, 64), thumb, 10.0)
    sent = codec._transmission(images, menu, (BASE, HYBRID, PLANES), TxInfo(snr_db=10.0))
    return codec, images, sent, Link(channels.create("awgn"))


def test_every_layout_conforms(coded) -> None:
    codec, images, sent, link = coded
    assert [s.name for s in sent.streams] == ["layout", "thumbnail", "base", "detail"]
    result = link.run(sent, 10.0)
    assert {sum(uses) for uses in zip(*result.report.uses.values(), strict=True)} == {codec.uses(64, 72)}
    clean = codec.decode(result.reception)
    assert psnr(clean, images).min() > 24
    assert torch.allclose(in_fresh_process(codec, result.reception), clean, atol=1e-3)


@pytest.mark.parametrize("stream", ["layout", "base"])
@pytest.mark.parametrize("bad", [None, b"", b"\x80nonsense"])
def test_what_is_lost_leaves_a_thumbnail_and_hurts_no_other_picture(coded, stream: str, bad: bytes | None) -> None:
    codec, images, sent, link = coded
    received = link(sent, 10.0)
    whole, hit = codec.decode(received), received.stream(stream)
    payload = (hit.payload[0], bad, hit.payload[2])
    streams = tuple(replace(hit, payload=payload) if s.name == stream else s for s in received.streams)
    other, undecoded = codec.decode_marked(replace(received, streams=streams))
    assert undecoded == (False, bad is not None, False), "what arrived and is none counts as lost"
    assert torch.allclose(other[[BASE, PLANES]], whole[[BASE, PLANES]], atol=1e-3)
    grey = psnr(torch.full_like(images, 0.5), images)[HYBRID]
    assert psnr(whole, images)[HYBRID] > psnr(other, images)[HYBRID] > grey + 0.3, "not grey"


def test_a_thumbnail_gets_better_with_the_channel(coded) -> None:
    codec, images, sent, _ = coded
    planes, levels = codec.at(thumbnail.PLANES / 192), []
    for snr in (-8.0, 0.0, 15.0):
        stream = over_awgn(sent.streams[1].payload, torch.full((3,), snr))
        levels.append(float(psnr(thumbnail.decode(planes, stream.x_hat, stream.a, 64, 72), images).mean()))
    assert levels == sorted(levels) and levels[2] > levels[0] + 2, levels


def test_the_analog_part_degrades_and_improves_with_the_channel(coded) -> None:
    """With the base delivered: better at higher SNR, better with a longer prefix."""
    codec, images, sent, link = coded
    received, levels = link(sent, 10.0), []
    for snr in (0.0, 10.0, 20.0):
        heard = over_awgn(sent.streams[3].payload, torch.full((3,), snr))
        levels.append(psnr(codec.decode(replace(received, streams=(*received.streams[:3], heard_as(heard)))), images))
    for layout in (HYBRID, PLANES):
        found = [float(level[layout]) for level in levels]
        assert found == sorted(found) and found[2] > found[0] + 0.7, found
    detail, prefixes = received.streams[3], []
    for n in (0, detail.a.shape[1] // 4, detail.a.shape[1]):
        cut = replace(detail, x_hat=detail.x_hat[:, :n], a=detail.a[:, :n])
        prefixes.append(psnr(codec.decode(replace(received, streams=(*received.streams[:3], cut))), images)[HYBRID])
    assert prefixes == sorted(prefixes) and prefixes[2] > prefixes[0] + 0.7, prefixes


def heard_as(stream):
    """A received stream by the name that the codec knows."""
    return replace(stream, name="detail")


def test_menus_hold_what_suits_the_channel() -> None:
    """All digital at high SNR without fades; planes or a thumbnail where whole pictures fade."""
    steady, fading = (Link(channels.create(name)) for name in ("awgn", "rayleigh"))
    uses = codecs.create("semlink", rho=1 / 12).uses(256, 256)
    found = menu(steady.statistics(15.0, uses), 256, 256, "psnr")
    assert any(layout.base and not layout.analog for layout in found.layouts), found
    bad = menu(fading.statistics(0.0, uses), 256, 256, "psnr")
    assert bad.thumbnail or not bad.layouts[0].base, bad
    fades = fades_of(Link(channels.create("tdl")).statistics(15.0, uses))
    for aim in ("psnr", "lpips"):
        own = menu(fades.statistics, 256, 256, aim)
        unsure = [layout for layout in own.layouts if fades.arrival(layout).min() < 0.998]
        assert own.thumbnail or not unsure, "a lost base is never grey"
    for own in (found, bad):
        spent = [layout.base + layout.analog for layout in own.layouts]
        assert {s + own.thumbnail + (own.header[1] if own.header else 0) for s in spent} == {uses}
        assert layouts_of(str(own.constants()["layouts"])) == own.layouts
    poor = menu(steady.statistics(2.0, uses), 256, 256, "psnr")
    assert poor.layouts[0].mcs.efficiency < found.layouts[0].mcs.efficiency
    assert len(menu(steady.statistics(2.0, uses), 256, 256, "lpips").layouts) == 1
    assert menu(steady.statistics(15.0, 256), 32, 32, "psnr").header is None


def test_the_mean_error_counts_beside_the_mean_level() -> None:
    """A layout that is a little better and sometimes lost is worth less than one that always arrives."""
    steady, risky = np.full(4, 28.0), np.full(4, 28.5)
    lost = np.full(4, 12.0)
    assert score(np.full(4, 0.99), risky, lost, "psnr") < score(np.ones(4), steady, lost, "psnr")
    assert score(np.full(4, 0.99), risky, np.full(4, 22.0), "psnr") > score(np.ones(4), steady, lost, "psnr")
    assert score(np.ones(4), np.full(4, 0.1), lost, "lpips") > score(np.ones(4), np.full(4, 0.2), lost, "lpips")


def test_each_picture_gets_the_layout_that_is_best_for_it() -> None:
    class Told:
        """Sends dark pictures well by a base, bright ones well by planes."""

        def trial(self, image: torch.Tensor, layout: Layout, snr_db: float) -> torch.Tensor:
            right = (image.mean() < 0.5) == bool(layout.base)
            return image + (0.01 if right else 0.05)

    link, mcs = Link(channels.create("awgn")), get("qpsk-0.50")
    known = fades_of(link.statistics(10.0, 8192))
    found = Menu((Layout(8192, mcs, 0), Layout(0, mcs, 8192)), None, 0, 10.0)
    images = torch.stack([torch.full((3, 256, 256), level) for level in (0.2, 0.8, 0.3)])
    assert chosen(Told(), images, found, known) == [0, 1, 0]
    assert chosen(Told(), images, replace(found, layouts=found.layouts[:1]), known) == [0, 0, 0]


@pytest.mark.parametrize("layout", [Layout(2048, get("qpsk-0.50"), 1000), Layout(2048, get("qpsk-0.50"), 0)])
def test_a_trial_is_what_sending_and_receiving_gives(coded, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what both ends know of a base is worked out once."""
    codec, images, _, _ = coded
    payloads, symbols = codec._send(images[:1], layout, 10.0, TxInfo(snr_db=10.0))
    received, there = codec._receive(payloads, *noisy(symbols, 10.0), layout, 10.0, (64, 72))
    calls, plain = [], HybridCoder._expect
    monkeypatch.setattr(HybridCoder, "_expect", lambda *told: calls.append(told) or plain(*told))
    found = codec.trial(images[0], layout, 10.0)
    assert there.all() and torch.allclose(found, received[0], atol=1e-6) and len(calls) == 1


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


def test_many_layouts_have_the_quality_that_each_has() -> None:
    quality, snr = measured(False, "psnr"), np.array([-3.0, 4.0, 30.0])
    bpp, rate = np.array([0.0, 0.02, 0.3, 0.0, 9.0]), np.array([1 / 12, 0.0, 1 / 24, 1 / 3, 1 / 500])
    each = [quality.of_layout(b, r, snr) for b, r in zip(bpp.tolist(), rate.tolist(), strict=True)]
    np.testing.assert_array_equal(quality.of_layouts(bpp, rate, snr), each)


def test_quality_tables_rise_with_everything() -> None:
    for small in (True, False):
        for aim, sign, slack in (("psnr", 1, 0.35), ("lpips", -1, 0.05)):
            quality = measured(small, aim)
            hybrid = sign * np.asarray(quality.hybrid)
            assert hybrid.shape == (len(quality.bpp), len(quality.rate), len(quality.snr))
            for axis in range(3):
                assert (np.diff(hybrid, axis=axis) > -slack).all()
            for line in (quality.base, quality.thumbnail):
                assert (sign * np.diff(line) > -slack / 10).all()
        there = measured(small, "psnr").of_layout(quality.bpp[2], quality.rate[3], np.array([quality.snr[2]]))
        assert there == pytest.approx(measured(small, "psnr").hybrid[2][3][2])
        assert measured(small, "psnr").of_layout(quality.bpp[1], 0, np.zeros(2)) == pytest.approx(
            measured(small, "psnr").base[1]
        )


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
