"""roi_jscc: constant uses, masks of every kind, lost masks, fresh processes, and a region that really gains."""

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.codecs._regions.cells import levels_of, spread
from semlink.simulator import Link, SemlinkError, TxInfo, check_codec, data
from semlink.simulator.conformance.codec import noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.codec import Recipe, Trainer
from semlink.simulator.values import ReceivedStream, Reception

RHO = 1 / 12


class Given:
    """An importance map that is the same for all pictures."""

    def __init__(self, region: torch.Tensor) -> None:
        self.region = region

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.region.float().expand(len(images), -1, -1)


def box(height: int, width: int, share: float) -> torch.Tensor:
    """A central box that covers `share` of each side."""
    region = torch.zeros(height, width)
    y, x = (round(side * (1 - share) / 2) for side in (height, width))
    region[y : height - y, x : width - x] = 1
    return region


def photographs(count: int, size: int) -> torch.Tensor:
    """The centres of real pictures."""
    return torch.stack(list(data.load("samples", limit=count, size=size)))


@pytest.mark.parametrize(
    ("importance", "size"), [("box", (32, 32)), ("box:x0=0;x1=0.1;y0=0.3;y1=0.5", (50, 61)), ("none", (50, 61))]
)
def test_conforms(importance: str, size: tuple[int, int]) -> None:
    check_codec(codecs.create("roi_jscc", importance=importance), smooth_pictures(3, *size))


class OneEach:
    """Another region for each picture of a batch."""

    def __init__(self, *regions: torch.Tensor) -> None:
        self.regions = regions

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.regions).float()


def test_the_total_is_rho_n_whatever_the_mask() -> None:
    """Empty, full, a box, noise and one pixel, over the real link."""
    one = torch.zeros(96, 64)
    one[70, 11] = 1
    noise = torch.rand(96, 64, generator=torch.Generator().manual_seed(0)) > 0.999
    codec = codecs.create("roi_jscc", importance=OneEach(0 * one, 0 * one + 1, box(96, 64, 0.3), noise, one))
    result = Link(channels.create("awgn")).run(codec.encode(smooth_pictures(5, 96, 64)), 10.0, seed=1)
    total = np.sum(list(result.report.uses.values()), axis=0)
    assert (total == RHO * 3 * 96 * 64).all()
    assert result.reception.stream("mask").ok == (True,) * 5
    cells, known = codec.received_cells(result.reception)
    assert known.all() and cells.flatten(1).sum(1)[[0, 1, 4]].tolist() == [0, 24, 1]
    assert (codec.decode(result.reception) - smooth_pictures(5, 96, 64)).abs().mean() < 0.1
    plain = codecs.create("roi_jscc", importance="none").encode(smooth_pictures(1, 96, 64))
    assert plain.streams[0].payload.shape[1] == RHO * 3 * 96 * 64 and len(plain.streams) == 1


def test_at_256_px_the_mask_takes_at_most_two_per_cent() -> None:
    codec = codecs.create("roi_jscc")
    assert codec.mask_uses(256, 256) <= 0.02 * RHO * 3 * 256**2
    assert codec.uses(256, 256) + codec.mask_uses(256, 256) == RHO * 3 * 256**2


def test_the_decoder_knows_the_mask_from_its_stream_alone() -> None:
    images = smooth_pictures(2, 64, 64)
    sender = codecs.create("roi_jscc", importance=Given(box(64, 64, 0.4)))
    stranger = codecs.create("roi_jscc", importance=Given(torch.zeros(64, 64)))
    reception = noiseless(sender.encode(images))
    assert torch.allclose(sender.decode(reception), stranger.decode(reception), atol=1e-5)


def with_masks(reception: Reception, payloads: list[bytes | None]) -> Reception:
    """The reception with other mask payloads."""
    mask = ReceivedStream("mask", "bits", payload=tuple(payloads), ok=tuple(p is not None for p in payloads))
    return Reception((reception.stream("latent"), mask), reception.session)


def test_any_mask_bytes_give_a_finite_picture() -> None:
    codec = codecs.create("roi_jscc", importance=Given(box(64, 48, 0.5)))
    rng = np.random.default_rng(0)
    reception = noiseless(codec.encode(smooth_pictures(40, 64, 48)))
    payloads: list[bytes | None] = [None, b"", b"\0", b"\xff" * 3, b"\xff" * 200]
    payloads += [rng.bytes(int(rng.integers(0, 6))) for _ in range(35)]
    pictures = codec.decode(with_masks(reception, payloads))
    assert torch.isfinite(pictures).all() and pictures.shape == (40, 3, 64, 48)


def test_a_lost_mask_leaves_the_picture_recognisable() -> None:
    images = photographs(3, 128)
    codec = codecs.create("roi_jscc", importance=Given(box(128, 128, 0.4)))
    reception = noiseless(codec.encode(images))
    mixed = codec.decode(with_masks(reception, [None, *reception.stream("mask").payload[1:]]))
    whole = codec.decode(reception)
    assert torch.allclose(mixed[1:], whole[1:], atol=1e-5), "one lost mask touches other pictures"
    psnr = psnr_of(mixed[:1], images[:1])
    assert psnr_of(whole[:1], images[:1]) > psnr > psnr_of(images[:1].mean((2, 3), keepdim=True), images[:1]) + 3


def test_symbols_of_the_region_are_more_important() -> None:
    region = box(96, 96, 0.3)
    codec = codecs.create("roi_jscc", importance=Given(region), contrast=4.0)
    stream = codec.encode(smooth_pictures(2, 96, 96)).streams[0]
    assert stream.importance.shape == stream.payload.shape
    assert sorted(stream.importance.unique().tolist()) == [1, 2, 4]
    assert codecs.create("roi_jscc", importance="none").encode(smooth_pictures(1, 96, 96)).streams[0].importance is None


def test_without_bandwidth_only_the_importance_is_left() -> None:
    """All places keep the mean rate whatever the region, which the mask tells the link alone."""
    images, region = smooth_pictures(2, 96, 64), box(96, 64, 0.3)
    given = {"importance": Given(region), "contrast": 4.0}
    roi, flat = (codecs.create("roi_jscc", **given, bandwidth=b) for b in (True, False))
    empty = codecs.create("roi_jscc", importance=Given(0 * region))
    sent = flat.encode(images)
    stream, mask = sent.streams
    assert torch.equal(stream.payload, empty.encode(images).streams[0].payload)
    assert list(mask.payload) == list(roi.encode(images).streams[1].payload)
    base = stream.importance[:, : 3 * 24 * 16].reshape(2, 3, 24, 16)
    expected = 4 ** spread(levels_of(roi.cells(images)), 24, 16, 4)
    assert all(torch.equal(plane, expected) for plane in base.unbind(1))
    result = Link(channels.create("awgn"), power="importance").run(sent, 5.0, seed=1)
    total = np.sum(list(result.report.uses.values()), axis=0)
    assert set(result.report.uses) == {"latent", "mask"} and (total == RHO * 3 * 96 * 64).all()
    a = result.reception.stream("latent").a
    assert a[stream.importance == 4].mean() > a[stream.importance == 1].mean() + 0.05
    assert (flat.decode(result.reception) - images).abs().mean() < 0.1


def psnr_of(pictures: torch.Tensor, images: torch.Tensor, region: torch.Tensor | None = None) -> float:
    """Mean PSNR in dB, within a region when one is given."""
    error = (pictures - images).square().mean(1)
    error = error.mean((1, 2)) if region is None else (error * region).sum((1, 2)) / region.sum()
    return float(-10 * error.log10().mean())


@pytest.mark.parametrize(("snr_db", "least"), [(1.0, 1.0), (10.0, 0.7)])
def test_the_region_gains_and_the_picture_hardly_loses(snr_db: float, least: float) -> None:
    """Against the same network without importance, at the same total of uses."""
    images, region = photographs(6, 192), box(192, 192, 0.4)
    link = Link(channels.create("awgn"))
    levels = {}
    for name, importance in (("roi", Given(region)), ("uniform", "none")):
        codec = codecs.create("roi_jscc", importance=importance)
        pictures = codec.decode(link(codec.encode(images, TxInfo(snr_db=snr_db)), snr_db, seed=3))
        levels[name] = psnr_of(pictures, images, region), psnr_of(pictures, images)
    gain, loss = (a - b for a, b in zip(levels["roi"], levels["uniform"], strict=True))
    assert gain > least and loss > -0.5, f"region {gain:+.2f} dB, picture {loss:+.2f} dB"


def test_training_starts_from_adjscc_and_lowers_its_own_loss(tmp_path) -> None:
    torch.manual_seed(0)
    codec = codecs.create("roi_jscc")
    network = codec.new_network()
    base = codecs.create("adjscc", rho=RHO)
    network.adopt(base.network(64, 64).state_dict())
    plain = codecs.create("roi_jscc", importance="none")
    plain.use(network.eval())
    images = photographs(2, 64)
    assert torch.allclose(plain.encode(images).streams[0].payload, base.encode(images).streams[0].payload, atol=1e-4)
    pictures = [(p * 255).to(torch.uint8) for p in photographs(4, 96)]
    run = Trainer(codec, network, Surrogate(), Recipe(steps=10, batch=4, lr=1e-3, crop=64, warm_up=1), tmp_path)
    run.sets = [(pictures, 64)]
    before = training_loss(codec, images)
    for _ in range(10):
        run._step()
    assert training_loss(codec, images) < before - 0.1


@torch.no_grad()
def training_loss(codec, images: torch.Tensor) -> float:
    """The codec's loss at 10 dB with noise that is always the same."""
    sent = codec.encode(images, TxInfo(snr_db=10.0))
    received = Surrogate(0.0, 0.0, 0.0)(sent, torch.full((len(images),), 10.0), torch.Generator().manual_seed(1))
    return float(codec.loss(codec.decode(received), images))


def test_an_unknown_rate_or_a_tiny_picture_is_refused() -> None:
    with pytest.raises(SemlinkError, match="no such weights"):
        codecs.create("roi_jscc", rho=1 / 6).encode(smooth_pictures(1, 64, 64))
    with pytest.raises(SemlinkError, match="too small for a mask"):
        codecs.create("roi_jscc").encode(smooth_pictures(1, 16, 16))
    with pytest.raises(LookupError, match="box"):
        codecs.create("roi_jscc", importance="circle")
    with pytest.raises(SemlinkError, match="contrast is 0.5; the region must count at least"):
        codecs.create("roi_jscc", contrast=0.5)
