"""swinjscc: windowed attention against plain attention, masks without leaks, prefixes, any size, settings of files."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink import codecs
from semlink.codecs.swinjscc.codec import SIZES
from semlink.codecs.swinjscc.network import ModNet, Size, SwinNetwork
from semlink.codecs.swinjscc.stages import Expand, Merge, stage
from semlink.codecs.swinjscc.windows import WindowAttention, attended_places, cut, offsets
from semlink.simulator import SemlinkError, TxInfo, check_codec
from semlink.simulator.conformance.codec import check_pictures, lost, noiseless, smooth_pictures
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import ReceivedStream, Reception

TINY = Size(patch=4, widths=(16, 24), depths=(2, 2), heads=(2, 3), window=4)


def tiny_network() -> SwinNetwork:
    """A network of the compact size's cell, quick, with random weights."""
    torch.manual_seed(0)
    return SwinNetwork(planes=64, **TINY._asdict()).eval()


def tiny(rho: float = 1 / 12) -> codecs.swinjscc.Swinjscc:
    codec = codecs.create("swinjscc", rho=rho)
    codec.use(tiny_network())
    return codec


def attention(window: int, shifted: bool) -> WindowAttention:
    """Attention of 2 heads and width 8, in float64, with a position bias that is felt."""
    torch.manual_seed(1)
    layer = WindowAttention(8, 2, window, shifted).double()
    torch.nn.init.normal_(layer.bias)
    return layer


def plain_attention(layer: WindowAttention, x: Tensor) -> Tensor:
    """The same over all pairs of places, `x` `[H, W, width]`: loops over the pairs and the heads, one softmax a row."""
    height, width = x.shape[:2]
    places = list(itertools.product(range(height), range(width)))
    shift = [layer.window // 2 if layer.shifted and side > layer.window else 0 for side in (height, width)]
    logits = torch.full((layer.heads, len(places), len(places)), -torch.inf, dtype=x.dtype)
    q, k, v = layer.qkv(x).reshape(len(places), 3, layer.heads, -1).permute(1, 2, 0, 3)
    for (i, one), (j, other) in itertools.product(enumerate(places), repeat=2):
        if all((p - s) // layer.window == (r - s) // layer.window for p, r, s in zip(one, other, shift, strict=True)):
            dy, dx = (r - p + layer.window - 1 for p, r in zip(one, other, strict=True))
            bias = layer.bias[:, dy * (2 * layer.window - 1) + dx]
            logits[:, i, j] = (q[:, i] * k[:, j]).sum(1) / q.shape[2] ** 0.5 + bias
    attended = (logits.softmax(2) @ v).transpose(0, 1).reshape(height, width, -1)
    return layer.out(attended)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("size", "window"), [((8, 8), 4), ((5, 7), 4), ((9, 4), 4), ((3, 2), 4), ((2, 7), 4), ((6, 5), 2), ((7, 8), 3)]
)
@torch.no_grad()
def test_windows_are_plain_attention_with_a_mask(size: tuple[int, int], window: int, shifted: bool) -> None:
    layer = attention(window, shifted)
    x = torch.randn(2, *size, 8, dtype=torch.float64)
    expected = torch.stack([plain_attention(layer, picture) for picture in x])
    assert torch.allclose(layer(x), expected, atol=1e-12)


@torch.no_grad()
def test_nothing_leaks_across_the_wrap_or_from_the_padding() -> None:
    """With a shift of 2 in windows of 4, the corner's group is 2x2; what lies beyond does not reach it, at no size."""
    layer = attention(4, shifted=True)
    for height, width in ((8, 8), (6, 9)):
        x = torch.randn(1, height, width, 8, dtype=torch.float64)
        changed = x.clone()
        changed[:, 2:, :] += 1
        changed[:, :, 2:] += 1
        difference = (layer(x) - layer(changed)).abs().amax(3)[0]
        assert difference[:2, :2].max() == 0 and difference[2:, 2:].min() > 0
        near = x.clone()
        near[:, 0, 0] += 1
        assert (layer(x) - layer(near)).abs().amax(3)[0, 1, 1] > 1e-6


def test_the_padding_is_attended_by_padding_only() -> None:
    """5 places in windows of 4, shifted by 2: the 3 padded places attend to each other where they share a window."""
    same = attended_places(cut(5, 4, True), cut(4, 4, True), torch.device("cpu"))
    rows = same[:, 0].reshape(2, 4, 4, 4, 4)[:, :, 0, :, 0]  # place by place along the padded side
    groups = [[2, 3, 4, "pad"], ["pad", "pad", 0, 1]]
    window_of = {0: "front", 1: "front", 2: "next", 3: "next", 4: "next", "pad": "pad"}
    for window, names in zip(rows, groups, strict=True):
        expected = [[window_of[one] == window_of[other] for other in names] for one in names]
        assert window.tolist() == expected
    assert attended_places(cut(8, 4, False), cut(4, 4, True), torch.device("cpu")) is None


@pytest.mark.parametrize("window", [2, 4, 8])
def test_offsets_name_every_difference_once(window: int) -> None:
    index = offsets(window)
    for yq, xq, yk, xk in itertools.product(range(window), repeat=4):
        dy, dx = divmod(int(index[yq, xq, yk, xk]), 2 * window - 1)
        assert (dy - window + 1, dx - window + 1) == (yk - yq, xk - xq)
    assert index.unique().numel() == (2 * window - 1) ** 2


@torch.no_grad()
def test_merging_and_expanding_keep_places() -> None:
    """A square's place depends on the square's pixels alone, and the other way; the order within is row by row."""
    merge, expand = Merge(1, 4, 2, norm=False), Expand(3, 1, 2)
    merge.linear.weight.copy_(torch.eye(4))
    merge.linear.bias.zero_()
    x = torch.arange(24.0).reshape(1, 4, 6, 1)
    assert torch.equal(merge(x)[0, 1, 2], torch.tensor([16.0, 17, 22, 23]))
    squares = expand.linear(expand.norm(y := torch.randn(1, 2, 3, 3)))
    assert torch.equal(expand(y)[0, 2:4, 4:6, 0].flatten(), squares[0, 1, 2])


@torch.no_grad()
def test_a_stage_alternates_its_windows() -> None:
    """One block keeps a change within its window; the next carries it on, as far as the shift goes."""
    torch.manual_seed(2)
    blocks, x = stage(8, 2, 2, 4).double(), torch.randn(1, 16, 16, 8, dtype=torch.float64)
    changed = x.clone()
    changed[0, 0, 0, 0] += 3
    one, two = ((net(x) - net(changed)).abs().amax(3)[0] > 1e-12 for net in (blocks[0], blocks))
    assert one[:4, :4].all() and not one[4:].any() and not one[:, 4:].any()
    assert two[:6, :6].all() and not two[6:].any() and not two[:, 6:].any()


@torch.no_grad()
def test_modnet_gates_lie_between_nothing_and_all_and_hear_the_condition() -> None:
    torch.manual_seed(0)
    net, x = ModNet(6, 1), torch.randn(2, 3, 4, 6)
    quiet, loud = (net(x, torch.full((2, 1), level)) / x for level in (-1.0, 1.0))
    assert 0 < min(quiet.min(), loud.min()) and max(quiet.max(), loud.max()) < 1
    assert (quiet - loud).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(32, 32), (50, 61), (7, 3), (33, 72)], ids=str)
@torch.no_grad()
def test_any_picture_size_unit_power_and_uses(size: tuple[int, int]) -> None:
    codec, pictures = tiny(), smooth_pictures(2, *size)
    sent = codec.encode(pictures, TxInfo(snr_db=7.0))
    symbols = sent.streams[0].payload
    assert symbols.shape == (2, codec.uses(*size)) == (2, size[0] * size[1] // 4)
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(2), atol=1e-4)
    check_pictures(codec.decode(noiseless(sent)), pictures)
    check_pictures(codec.decode(lost(sent)), pictures)


def test_conforms() -> None:
    """Without a floor on the quality, which random weights do not have."""
    check_codec(tiny(), smooth_pictures(3, 40, 29), floor_db=-math.inf)


def cut_short(reception: Reception, symbols: int) -> Reception:
    """The first symbols only."""
    stream = reception.streams[0]
    short = ReceivedStream(stream.name, "analog", x_hat=stream.x_hat[:, :symbols], a=stream.a[:, :symbols])
    return Reception((short,), reception.session)


@torch.no_grad()
def test_every_prefix_decodes_and_equals_a_lost_tail() -> None:
    codec, pictures = tiny(), smooth_pictures(2, 24, 16)
    whole = noiseless(codec.encode(pictures, TxInfo(snr_db=7.0)))
    k = codec.uses(24, 16)
    for symbols in (0, 1, 7, k // 2, k):
        short = codec.decode(cut_short(whole, symbols))
        check_pictures(short, pictures)
        stream = whole.streams[0]
        came = torch.arange(k) < symbols
        tail_lost = ReceivedStream(stream.name, "analog", x_hat=stream.x_hat * came, a=stream.a * came)
        assert torch.allclose(short, codec.decode(Reception((tail_lost,), whole.session)), atol=1e-6)


@torch.no_grad()
def test_pictures_do_not_see_their_batch() -> None:
    codec, pictures = tiny(), torch.rand(3, 3, 45, 52, generator=torch.Generator().manual_seed(0))
    together = codec.encode(pictures, TxInfo(snr_db=torch.tensor([0.0, 5.0, 12.0])))
    decoded = codec.decode(noiseless(together))
    for i, snr_db in enumerate((0.0, 5.0, 12.0)):
        alone = codec.encode(pictures[i : i + 1], TxInfo(snr_db=snr_db))
        assert torch.allclose(alone.streams[0].payload[0], together.streams[0].payload[i], atol=1e-5)
        assert torch.allclose(codec.decode(noiseless(alone))[0], decoded[i], atol=1e-5)


@torch.no_grad()
def test_snr_rate_and_reliability_are_heard() -> None:
    network, pictures = tiny_network(), smooth_pictures(1, 16, 16)
    at = {(s, m): network.encode(pictures, torch.tensor([s]), m) for s, m in ((0.0, 64), (15.0, 64), (0.0, 4))}
    assert not torch.allclose(at[0.0, 64], at[15.0, 64], rtol=1e-4)
    assert not torch.allclose(at[0.0, 64][:, :4], at[0.0, 4][:, :4], rtol=1e-4)
    z, a = at[0.0, 64], torch.full((1, 64, 2, 2), 0.5)
    uneven = a.clone()
    uneven[:, :, 0], uneven[:, :, 1] = 0.2, 0.8
    assert not torch.allclose(network.decode(z, a), network.decode(z, uneven), atol=1e-6)
    assert not torch.allclose(network.decode(z, a), network.decode(z, 0.9 * a), atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_reach_a_third(size: str) -> None:
    codec = codecs.create("swinjscc", rho=1 / 3, size=size)
    assert codec.planes == codec.most and codec.cell == {"small": 4, "compact": 8, "base": 16}[size]
    assert codec.at(1 / 48).planes == codec.most // 16
    with pytest.raises(SemlinkError, match="rates up to 0.3333"):
        codec.at(1 / 2)


def test_base_is_the_papers_network() -> None:
    """About 28 M parameters: the stages of both ends and one ModNet at each, without the Rate ModNet and the linear
    layers between 320 features and the planes, which the paper has at another rate. Within 5 %."""
    network = SwinNetwork(planes=256, **SIZES["base"]._asdict())
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_modules()}
    others = ("encoder.rate_mod", "encoder.last", "decoder.first")
    assert count[""] - sum(map(count.__getitem__, others)) == pytest.approx(28e6, rel=0.05)


def test_a_file_rebuilds_its_network(tmp_path: Path) -> None:
    """Widths are the file's own, not the size's; what is read back decodes the same."""
    network, path = tiny_network(), tmp_path / "weights.safetensors"
    save_weights(network, path, {})
    codec = codecs.create("swinjscc", rho=1 / 12, weights=path)
    pictures = smooth_pictures(2, 24, 40)
    sent, direct = codec.encode(pictures, TxInfo(snr_db=3.0)), tiny().encode(pictures, TxInfo(snr_db=3.0))
    assert codec.network(24, 40).settings == network.settings
    assert torch.allclose(sent.streams[0].payload, direct.streams[0].payload, atol=1e-5)
    assert torch.allclose(codec.decode(noiseless(sent)), tiny().decode(noiseless(direct)), atol=1e-5)


def test_a_file_of_another_cell_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(tiny_network(), path, {})
    with pytest.raises(SemlinkError, match="8x8 px cells, not of 4x4; choose size=compact"):
        codecs.create("swinjscc", weights=path, size="small").network(32, 32)
    with pytest.raises(SemlinkError, match="no size 'huge'; known: small, compact, base"):
        codecs.create("swinjscc", size="huge")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("half", [False, True])
def test_gradients_reach_every_parameter(half: bool, layout: torch.memory_format) -> None:
    """At a size that pads and shifts, with half of the planes lost for one picture; in bfloat16 too."""
    network = tiny_network().train().to(memory_format=layout)
    pictures = torch.rand(2, 3, 40, 24, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        z = network.encode(pictures, torch.tensor([0.0, 10.0]), 64)
        a = torch.full((2, 64, 5, 3), 0.9)
        a[1, 32:] = 0
        decoded = network.decode(z * (a > 0).repeat(1, 2, 1, 1), a)
    (decoded.float() - pictures).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not silent and all(torch.isfinite(p.grad).all() for p in network.parameters())
