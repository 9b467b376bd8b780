"""Link: streams of all kinds, independence of batch and order, refusals, gradients, compilations."""

import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink import channels
from semlink.simulator import Grid, Link, SemlinkError, Stream, Transmission
from semlink.simulator.conformance.channel import check_link
from semlink.simulator.conformance.codec import in_fresh_process
from semlink.simulator.engine import ofdm
from semlink.simulator.engine.setup import Setup
from semlink.simulator.link.air import noise_key
from semlink.simulator.link.layout import filler

AWGN = channels.create("awgn")


def symbols(batch: int, k: int, seed: int = 0) -> torch.Tensor:
    """Unit-power random symbols, the same for an image whatever the batch."""
    x = torch.stack(
        [torch.randn(k, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed + i)) for i in range(batch)]
    )
    return x / x.abs().square().mean(1, keepdim=True).sqrt()


def mixed(images: range) -> Transmission:
    """A bits stream of varying length, an analog one, a fixed bits one and an ideal one."""
    payload = [bytes([i]) * (3 + 200 * (i % 3)) for i in images]
    return Transmission(
        (
            Stream("caption", "bits", payload, mcs="qpsk-0.38"),
            Stream("latent", "analog", symbols(40, 500)[images.start : images.stop]),
            Stream("picture", "bits", [p[:100] for p in payload], mcs="16qam-0.50", uses=700),
            Stream("bound", "bits", payload, uses=800, ideal=True),
        )
    )


def test_everything_arrives_at_high_snr() -> None:
    sent = mixed(range(0, 8))
    result = Link(AWGN).run(sent, 25.0)
    for stream, received in zip(sent.streams, result.reception.streams, strict=True):
        if stream.kind == "bits":
            assert list(received.payload) == list(stream.payload) and all(received.ok)
    latent = result.reception.stream("latent")
    assert (latent.x_hat / latent.a - sent.streams[1].payload).abs().square().mean() < 0.004
    uses = result.report.uses
    assert uses["latent"] == (500,) * 8 and uses["picture"] == (700,) * 8 and len(set(uses["caption"])) > 1
    assert all(u % (14 * 72) == 0 for u in result.report.uses_on_air) and sum(result.report.block_errors) == 0


@pytest.mark.parametrize("name", ["awgn", "tdl", "rayleigh"])
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    link = Link(channels.create(name))
    whole = link(mixed(range(0, 40)), 9.0, seed=3)
    part = link(mixed(range(30, 35)), 9.0, seed=3, first_image=30)
    for one, other in zip(whole.streams, part.streams, strict=True):
        if one.kind == "analog":
            assert torch.allclose(one.x_hat[30:35], other.x_hat, atol=1e-4)
        else:
            assert one.payload[30:35] == other.payload


def test_seeds_and_snr_change_noise_and_codec_does_not_change_the_fade() -> None:
    link = Link(channels.create("rayleigh"), csi="perfect")
    short, long = (Transmission((Stream("x", "analog", symbols(5, k)),)) for k in (300, 3000))
    first, again, other = (link.run(short, 10.0, seed=s).report.snr_realised_db for s in (1, 1, 2))
    assert first == again and first != other
    gains = [link(t, 60.0, seed=1).streams[0].a[:, 0] for t in (short, long)]
    assert torch.allclose(*gains, rtol=1e-5)


def test_per_image_snr() -> None:
    snr = [0.0, 10.0, 20.0]
    stream = Link(AWGN)(Transmission((Stream("x", "analog", symbols(3, 5000)),)), snr).streams[0]
    assert torch.allclose(stream.a[:, 0], torch.tensor([1 / (1 + 10 ** (-s / 10)) for s in snr]), rtol=1e-3)
    assert noise_key(snr) == noise_key([5.0]) != noise_key(5.0)


def test_lost_payloads_are_none_and_a_lost_header_hides_what_follows() -> None:
    reception = Link(AWGN)(mixed(range(0, 6)), -15.0)
    assert reception.stream("caption").payload == (None,) * 6 == reception.stream("picture").payload
    latent = reception.stream("latent")
    assert not latent.a.any() and not latent.x_hat.any()


def test_ideal_code_meets_capacity() -> None:
    """On AWGN exactly log2(1 + SNR) bits per use arrive, one bit per hundred more does not."""
    room = int(1000 * np.log2(1 + 10**0.7) / 8)
    for length, arrives in ((room, True), (int(room * 1.01) + 1, False)):
        stream = Stream("b", "bits", [bytes(length)], uses=1000, ideal=True)
        assert Link(AWGN)(Transmission((stream,)), 7.0).streams[0].ok == (arrives,)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (2 * symbols(2, 50), "mean power per image must be 1"),
        (symbols(2, 50) * float("nan"), "NaN or infinite symbols in image 0"),
        (symbols(2, 50).real, "complex64"),
    ],
    ids=["loud", "nan", "real"],
)
def test_bad_payloads_are_refused(payload: torch.Tensor, message: str) -> None:
    with pytest.raises(SemlinkError, match=message):
        Link(AWGN)(Transmission((Stream("x", "analog", payload),)), 10.0)


@pytest.mark.parametrize("snr", [float("nan"), 1000.0, -31.0, float("inf")])
def test_absurd_snr_is_refused(snr: float) -> None:
    with pytest.raises(SemlinkError, match="snr_db must be finite and within -30 to 60 dB"):
        Link(AWGN)(Transmission((Stream("x", "analog", symbols(1, 50)),)), snr)


def test_unknown_options_and_impossible_estimation_are_refused() -> None:
    with pytest.raises(SemlinkError, match="unknown csi 'magic'; known: perfect, ls"):
        Link(AWGN, csi="magic")
    with pytest.raises(SemlinkError, match="cannot be estimated"):
        Link(channels.create("rayleigh", coherence="symbol"))
    with pytest.raises(SemlinkError, match="100 bytes do not fit into 128 uses at qpsk-0.50"):
        Link(AWGN)(Transmission((Stream("b", "bits", [bytes(100)], mcs="qpsk-0.50", uses=128),)), 10.0)


def test_gradients_reach_the_encoder_through_the_link() -> None:
    """d x_hat / d x of a known channel is a, by the contract."""
    link = Link(channels.create("rayleigh"), csi="perfect")
    x = symbols(3, 900).requires_grad_()
    stream = link(Transmission((Stream("x", "analog", x),)), 5.0, seed=1).streams[0]
    (gradient,) = torch.autograd.grad(stream.x_hat.real.sum(), x)
    assert torch.allclose(gradient.real, stream.a, atol=1e-4) and gradient.imag.abs().max() < 1e-4


def test_neither_snr_nor_channel_nor_codec_recompiles() -> None:
    for name in ("rayleigh", "tdl"):
        for snr, k in ((0.0, 100), (7.0, 3000)):
            Link(channels.create(name), csi="ls")(Transmission((Stream("x", "analog", symbols(2, k)),)), snr)
    graph = ofdm.compiled_link(Setup(), False)
    before = ofdm.compiled_link.cache_info().misses
    Link(channels.create("tdl", model="C"), csi="ls")(Transmission((Stream("x", "analog", symbols(70, 900)),)), 3.0)
    assert ofdm.compiled_link.cache_info().misses == before and ofdm.compiled_link(Setup(), False) is graph


def test_reception_decodes_in_a_process_that_never_saw_the_image() -> None:
    class Echo:
        def decode(self, reception):
            return reception.stream("latent").x_hat.real

    reception = Link(AWGN)(mixed(range(0, 3)), 10.0)
    assert torch.equal(in_fresh_process(_Echo(), reception), Echo().decode(reception))


@dataclasses.dataclass(frozen=True)
class _Echo:
    def decode(self, reception):
        return reception.stream("latent").x_hat.real


def test_a_clip_continues_its_fade() -> None:
    """Two halves on one fade are the whole."""
    channel, grid = channels.create("tdl", speed=30.0), Grid()
    fade = channel.draw(np.random.default_rng(0), 2)
    link = Link(channel, csi="perfect")
    gains = []
    for start in (0, 2):
        sent = Transmission((Stream("x", "analog", symbols(2, 2 * grid.data_symbols)),))
        gains.append(link.run(sent, 20.0, fade=fade, start_slot=start).reception.streams[0].a)
    whole = np.abs(fade.response(0, 4, grid)) ** 2
    data = [s for s in range(grid.symbols) if s not in grid.pilot_symbols]
    told = whole[:, :, data] / (whole[:, :, data] + 0.01)
    assert np.allclose(torch.cat(gains, 1).numpy(), told.reshape(2, -1), atol=1e-3)


def test_a_fade_that_was_drawn_continues_from_any_image() -> None:
    """`fade` holds images first_image, ... of the batch: the same fade gives the same gains whatever their numbers."""
    link, sent = Link(channels.create("tdl"), csi="perfect"), mixed(range(3))
    fade = link.channel.draw(np.random.default_rng(5), 3)
    first, later = (link.run(sent, 10.0, first_image=image, fade=fade).reception.stream("latent") for image in (0, 32))
    assert torch.equal(first.a, later.a) and not torch.equal(first.x_hat, later.x_hat)


def test_a_changed_link_is_another_link() -> None:
    link = Link(channels.create("tdl"), csi="ls")
    sent = mixed(range(2))
    link(sent, 5.0)
    changed = replace(link, csi="perfect")
    fresh = Link(channels.create("tdl"), csi="perfect")
    assert changed == fresh and changed.long_term is not link.long_term
    assert torch.equal(changed(sent, 5.0).stream("latent").a, fresh(sent, 5.0).stream("latent").a)


def test_a_used_link_pickles_as_its_settings() -> None:
    link = Link(channels.create("tdl"), csi="lmmse")
    reception = link(mixed(range(1)), 5.0)
    again = pickle.loads(pickle.dumps(link))  # noqa: S301 - our own
    assert again == link and torch.equal(again(mixed(range(1)), 5.0).stream("latent").a, reception.stream("latent").a)


@pytest.mark.parametrize(
    ("grid", "spread"), [(Grid(subcarriers=144, cyclic_prefix=12), 6e-6), (Grid(subcarriers=24, cyclic_prefix=2), 7e-6)]
)
@pytest.mark.filterwarnings("ignore:.*outlast the cyclic prefix")
def test_long_delays_on_grids_of_any_width(grid: Grid, spread: float) -> None:
    link = Link(channels.create("tdl", model="C", delay_spread=spread), csi="perfect", grid=grid)
    check_link(link, 10.0, images=512, tolerance=0.12)


def test_per_image_snr_with_interference_does_not_depend_on_the_batch() -> None:
    link = Link(channels.impair(channels.create("tdl"), "narrowband", sir_db=0.0), csi="lmmse")
    sent, snrs = mixed(range(4)), [0.0, 5.2, 20.0, 20.0]
    whole = link(sent, snrs, seed=3).stream("latent")
    for i in range(4):
        alone = link(mixed(range(i, i + 1)), snrs[i : i + 1], seed=3, first_image=i).stream("latent")
        assert torch.allclose(whole.a[i], alone.a[0], atol=1e-6), f"image {i}"
        assert torch.allclose(whole.x_hat[i], alone.x_hat[0], atol=1e-5), f"image {i}"


@pytest.mark.parametrize(
    "settings", [{"csi": "ls"}, {"csi": "lmmse", "csit": "delayed", "power": "mmse"}, {"csi": "perfect"}], ids=str
)
def test_a_clip_is_the_same_however_it_is_cut_into_calls(settings: dict) -> None:
    """Fade, noise and oscillators go on from slot to slot: at once, in parts, in any order, by a link new to it."""
    channel = channels.impair(channels.create("tdl", speed=10.0), "phase_noise", linewidth_hz=5.0)
    link, images, slots = Link(channel, **settings), 2, 5
    fade = channel.draw(np.random.default_rng(4), images)
    x = filler(images * slots * link.places).reshape(images, slots, -1)

    def sent(by: Link, start: int, stop: int) -> torch.Tensor:
        stream = Stream("x", "analog", x[:, start:stop].flatten(1).contiguous())
        result = by.run(Transmission((stream,)), 5.0, seed=2, fade=fade, start_slot=start)
        return result.reception.streams[0].x_hat.reshape(images, stop - start, -1)

    if settings.get("power"):  # power is shared within a transmission, so that cuts change it: one slot at a time
        cuts = [(s, s + 1) for s in range(slots)]
        whole = torch.cat([sent(Link(channel, **settings), *cut) for cut in reversed(cuts)][::-1], 1)
    else:
        cuts, whole = [(3, 5), (0, 1), (1, 3)], sent(link, 0, slots)
    for start, stop in cuts:
        assert torch.allclose(sent(link, start, stop), whole[:, start:stop], atol=1e-5), (start, stop)
    noise = (whole - x * (whole / x).mean()).flatten(0, 1)
    alike = torch.corrcoef(torch.view_as_real(noise).flatten(1)) - torch.eye(len(noise))
    assert alike.abs().max() < 0.2, "two slots share noise"


def test_snrs_of_a_sweep_share_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of fades is drawn once for all SNRs; going back to images long past draws the same again."""
    link, drawn = Link(channels.create("rayleigh"), csi="perfect"), []
    kind = type(link.channel)
    draw = kind.draw
    monkeypatch.setattr(kind, "draw", lambda self, rng, images: drawn.append(images) or draw(self, rng, images))
    sent = Transmission((Stream("x", "analog", symbols(40, 100)),))
    first = [link(sent, snr, seed=1).streams[0].a for snr in (0.0, 10.0, 20.0)]
    assert drawn.count(32) == 2  # images 0 to 39 are of two blocks
    for start in range(64, 640, 32):
        link(Transmission((Stream("x", "analog", symbols(1, 100)),)), 0.0, seed=1, first_image=start)
    assert torch.equal(link(sent, 0.0, seed=1).streams[0].a, first[0])
    assert not torch.equal(link(sent, 0.0, seed=2).streams[0].a, first[0])
