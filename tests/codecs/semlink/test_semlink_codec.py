"""The default codec and codecs of many rates: prefixes, rates, sizes, conditions, training of all of it."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from semlink import codecs
from semlink.codecs.semlink.planes import SIZES, PlaneNetwork, condition
from semlink.simulator import SemlinkError, TxInfo
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.conformance.codec import noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.codec import Recipe, Trainer, cut_tails
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import LinkStatistics

RECIPE = Recipe(steps=60, batch=8, lr=4e-3, snr_db=(5.0, 15.0), warm_up=5, ema=0.9, rates=(1 / 96, 1 / 3), cut=0.3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A codec after a minute trip over smooth pictures: what is tested is what training leaves, not its level."""
    torch.manual_seed(0)
    codec = codecs.create("semlink", rho=1 / 12)
    network = PlaneNetwork(planes=64, widths=(16, 32), encoder=(1, 1), decoder=(1, 1))
    pictures = [(p * 255).to(torch.uint8) for p in smooth_pictures(32, 32, 32)]
    run = Trainer(codec, network, Surrogate(), RECIPE, tmp_path_factory.mktemp("run"))
    run.run(pictures, smooth_pictures(4, 32, 32))
    codec.use(run.average)
    return codec


def psnr(received, images) -> float:
    return float(-10 * (received - images).square().mean((1, 2, 3)).log10().mean())


def prefix(reception, symbols: int):
    """The reception of which only the first symbols came."""
    stream = reception.streams[0]
    return replace(reception, streams=(replace(stream, x_hat=stream.x_hat[:, :symbols], a=stream.a[:, :symbols]),))


@pytest.mark.parametrize(("height", "width"), [(37, 53), (9, 9), (8, 20), (1, 1), (3, 4)])
def test_planes_alone_fill_the_uses_of_any_size(trained, height: int, width: int) -> None:
    """What the default sends where no base ever arrives: cells that reach beyond the edge send fewer planes."""
    images, codec = smooth_pictures(2, height, width), codecs.create("semlink", rho=1 / 12)
    codec.use(trained.network(height, width))
    uses = codec.uses(height, width)
    never = {mcs.name: (0.0,) for mcs in TABLE}
    sent = codec.encode(images, TxInfo(5.0, statistics=LinkStatistics(uses, (1.0,), (0.6,), {uses: never})))
    assert sum(stream.payload.shape[1] for stream in sent.streams) == uses == max(1, height * width // 4)
    assert codec.decode(noiseless(sent)).shape == images.shape


@pytest.mark.parametrize("rho", [1 / 192, 1 / 96, 1 / 12, 1 / 3])
def test_any_rate_from_one_network(trained, rho: float) -> None:
    images = smooth_pictures(2, 40, 33)
    sent = trained.at(rho).encode(images, TxInfo(snr_db=10.0))
    payload = sent.streams[0].payload
    assert payload.shape == (2, trained.at(rho).uses(40, 33)) == (2, int(rho * 3 * 40 * 33 + 1e-6))
    assert torch.allclose(payload.abs().square().mean(1), torch.ones(2), atol=1e-4)
    assert trained.at(rho).decode(noiseless(sent)).shape == images.shape


def test_more_symbols_give_better_pictures(trained) -> None:
    images = smooth_pictures(
        16,
        32,
        32,
    )
    whole = noiseless(trained.at(1 / 3).encode(images, TxInfo(snr_db=15.0)))
    levels = [psnr(trained.at(1 / 3).decode(prefix(whole, m * 16)), images) for m in (0, 2, 8, 32)]
    assert levels == sorted(levels) and levels[-1] > levels[0] + 3, levels


def test_a_prefix_is_what_the_lost_tail_leaves(trained) -> None:
    """Symbols that were not sent and symbols with a = 0 are the same to the decoder."""
    images = smooth_pictures(3, 32, 32)
    whole = noiseless(trained.encode(images, TxInfo(snr_db=10.0)))
    stream = whole.streams[0]
    came = torch.arange(stream.a.shape[1]) < 100
    silent = replace(whole, streams=(replace(stream, x_hat=stream.x_hat * came, a=stream.a * came),))
    assert torch.equal(trained.decode(silent), trained.decode(prefix(whole, 100)))


def test_cut_tails_keeps_prefixes() -> None:
    sent = noiseless(codecs.create("adjscc", rho=1 / 12).encode(smooth_pictures(400, 32, 32)))
    stream = cut_tails(sent, 0.3, torch.Generator().manual_seed(0)).streams[0]
    came = stream.a > 0
    assert torch.equal(came, came.cummin(1).values), "a symbol came behind one that did not"
    assert torch.equal(stream.x_hat != 0, came & (sent.streams[0].x_hat != 0))
    assert 0.2 < (~came[:, -1]).float().mean() < 0.4
    assert cut_tails(sent, 0.0, torch.Generator()) is sent


def test_more_symbols_than_the_network_has_are_refused(trained) -> None:
    whole = noiseless(trained.at(1 / 3).encode(smooth_pictures(1, 32, 32)))
    stream = whole.streams[0]
    longer = replace(stream, x_hat=stream.x_hat.repeat(1, 2), a=stream.a.repeat(1, 2))
    with pytest.raises(SemlinkError, match="2048 symbols received, 1024 at most"):
        trained.decode(replace(whole, streams=(longer,)))


def test_rates_that_it_has_not() -> None:
    with pytest.raises(SemlinkError, match=r"rates up to 0\.3333"):
        codecs.create("semlink", rho=1 / 2)
    with pytest.raises(SemlinkError, match="multiple of 1/192"):
        codecs.create("semlink", rho=1 / 500)
    with pytest.raises(SemlinkError, match="no size 'huge'; known: compact, base"):
        codecs.create("semlink", size="huge")


def test_conditions_say_snr_and_share() -> None:
    known = condition(torch.tensor([7.5, 17.5]), torch.tensor([1 / 8, 1.0]))
    assert torch.allclose(known, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))


def test_the_decoder_uses_each_symbols_reliability(trained) -> None:
    """Under fading, telling the symbols' own `a` beats telling their mean: that is what makes it right there."""
    images = smooth_pictures(32, 32, 32)
    fading = Surrogate(per_image=0.0, per_symbol=1.0)
    sent = trained.encode(images, TxInfo(snr_db=5.0))
    received = fading(sent, torch.full((32,), 5.0), torch.Generator().manual_seed(1))
    stream = received.streams[0]
    flat = replace(received, streams=(replace(stream, a=stream.a.mean(1, keepdim=True).expand_as(stream.a)),))
    assert psnr(trained.decode(received), images) > psnr(trained.decode(flat), images)


def test_weights_rebuild_their_network(trained, tmp_path) -> None:
    network = trained.network(32, 32)
    save_weights(network, tmp_path / "mine.safetensors", {})
    loaded = codecs.create("semlink", rho=1 / 24, weights=tmp_path / "mine.safetensors")
    images = smooth_pictures(2, 32, 32)
    expected = trained.at(1 / 24).encode(images, TxInfo(snr_db=3.0)).streams[0].payload
    assert torch.allclose(loaded.encode(images, TxInfo(snr_db=3.0)).streams[0].payload, expected, atol=1e-5)
    assert load_file(tmp_path / "mine.safetensors").keys() == network.state_dict().keys()
    save_weights(PlaneNetwork(32, (16, 32), (1, 1), (1, 1)), tmp_path / "fewer.safetensors", {})
    with pytest.raises(SemlinkError, match="trained with 32 planes, semlink has 64"):
        codecs.create("semlink", weights=tmp_path / "fewer.safetensors").encode(images)


@pytest.mark.parametrize("size", SIZES)
def test_every_parameter_learns(size: str) -> None:
    network = codecs.create("semlink", size=size).new_network()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    latent = network.encode(torch.rand(2, 3, 16, 16), torch.tensor([0.0, 10.0]), planes=64)
    network.decode(latent, torch.full((2, 64, 2, 2), 0.7)).square().mean().backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_rate_of_a_step_is_drawn_from_the_range(trained, tmp_path) -> None:
    run = Trainer(trained, trained.network(32, 32), Surrogate(), replace(RECIPE, rates=(1 / 48, 1 / 6)), tmp_path)
    drawn = [run.codec_of_step(torch.Generator().manual_seed(seed)).planes for seed in range(200)]
    assert min(drawn) == 4 and max(drawn) == 32
    assert sum(m <= 11 for m in drawn) == pytest.approx(100, abs=25), "not uniform in the logarithm"
