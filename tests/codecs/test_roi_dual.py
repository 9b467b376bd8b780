"""roi_dual: own vectors or what stands out from black are sent, copies add up, masks and positions fit the budget."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.codecs._regions import mask_code, run_code, threshold
from semlink.codecs.roi_dual import combined, in_cells, sent_order, shrunk
from semlink.simulator import Link, SemlinkError, TxInfo, check_codec, data
from semlink.simulator.conformance.channel import check_reception
from semlink.simulator.conformance.codec import lost, noiseless, smooth_pictures
from semlink.simulator.metrics.psnr import psnr_roi
from semlink.simulator.values import ReceivedStream, Reception, Stream

RHO = 1 / 12


class OneEach:
    """Another region for each picture of a batch."""

    def __init__(self, *regions: torch.Tensor) -> None:
        self.regions = regions

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.regions).float()


@pytest.mark.parametrize(("size", "select"), [((64, 64), "cells"), ((58, 77), "threshold")], ids=str)
def test_conforms(size: tuple[int, int], select: str) -> None:
    check_codec(codecs.create("roi_dual", importance="box:x0=0.2;x1=0.5", select=select), smooth_pictures(3, *size))


def test_the_total_is_rho_n_whatever_the_mask() -> None:
    one = torch.zeros(96, 64)
    one[70, 11] = 1
    noise = torch.rand(96, 64, generator=torch.Generator().manual_seed(0)) > 0.999
    codec = codecs.create("roi_dual", importance=OneEach(0 * one, 0 * one + 1, noise, one))
    sent = codec.encode(smooth_pictures(4, 96, 64))
    assert sent.streams[0].payload.shape[1] + sent.streams[1].uses == RHO * 3 * 96 * 64
    masks = [mask_code.unpack(p, 6, 4) for p in sent.streams[1].payload]
    assert [int(masks[i].sum()) for i in (0, 3)] == [0, 1]
    assert 0 < masks[1].sum() <= codec.largest_region(96, 64) < 24
    assert torch.isfinite(codec.decode(noiseless(sent))).all()


def test_vectors_are_sent_in_raster_order_of_their_regions_and_again_from_the_start() -> None:
    region = torch.tensor([[[True, False], [False, True]]])
    order = sent_order(in_cells(region, (2, 1)), (2, 1), 9)[0].tolist()
    high = [0, 4, 3, 7]  # places 0 and 3 of planes 0 and 1
    low = [8 + 1, 8 + 2]
    assert order == [*high, *low, *high[:3]]


def test_copies_add_up_by_their_sinr() -> None:
    """Three copies of every symbol keep the contract with the sum of their SINRs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 300, 2), np.float32).view(np.complex64)[..., 0] * np.float32(0.5**0.5)
    order = torch.arange(300).repeat(3).expand(200, -1)
    a = rng.uniform(0.2, 0.8, (200, 900)).astype(np.float32)
    noise = rng.standard_normal((200, 900, 2), np.float32).view(np.complex64)[..., 0] * np.float32(0.5**0.5)
    x_hat = a * x[:, order[0]] + np.sqrt(a * (1 - a)) * noise
    real, imaginary, quality = combined(torch.from_numpy(x_hat), torch.from_numpy(a), order, 300).chunk(3, 1)
    sinr = (a / (1 - a)).reshape(200, 3, 300).sum(1)
    assert np.allclose(quality.numpy(), sinr / (1 + sinr), atol=1e-4)
    check_reception(x, torch.complex(real, imaginary).numpy(), quality.numpy(), 0.04, "three copies")


def test_large_regions_shrink_to_their_inside() -> None:
    generator = torch.Generator().manual_seed(1)
    for density in (0.1, 0.4, 0.7, 1.0):
        mask = torch.rand(16, 16, generator=generator) < density
        kept = shrunk(mask, 40, 15)
        assert int(kept.sum()) <= 40 and len(mask_code.pack(kept)) <= 15
    full = shrunk(torch.ones(16, 16, dtype=torch.bool), 40, 15)
    assert full[6:10, 6:10].all() and not full[0].any()
    small = torch.zeros(16, 16, dtype=torch.bool)
    small[3:6, 8:11] = True
    assert torch.equal(shrunk(small, 40, 15), small)


def test_a_lost_mask_shows_nothing_but_the_fill() -> None:
    codec = codecs.create("roi_dual")
    one, other = (codec.decode(lost(codec.encode(smooth_pictures(1, 64, 64, seed=s)))) for s in (0, 1))
    assert torch.equal(one, other)


def test_a_budget_below_the_low_rate_is_refused() -> None:
    with pytest.raises(SemlinkError, match="choose a higher rho"):
        codecs.create("roi_dual", rho=1 / 24).encode(smooth_pictures(1, 128, 128))
    with pytest.raises(SemlinkError, match="needs a region"):
        codecs.create("roi_dual", importance="none")


def test_black_is_what_the_encoder_makes_of_black_away_from_the_border() -> None:
    network = codecs.create("roi_dual").network(96, 96)
    snr_db = torch.tensor([1.0, 10.0])
    black = network.black(snr_db)
    with torch.no_grad():
        latent = network.encode(torch.zeros(2, 3, 96, 96), snr_db, torch.zeros(2, 24, 24, dtype=torch.bool))
    assert black.shape == (2, 20, 1, 1)
    apart = threshold.deviations(latent, black, network.rates)
    assert (apart[:, :, 9:15, 9:15] < 1).all() and (apart[:, :, 0] > 1).any(), "only the border differs from black"


def test_tolerances_follow_the_spread_of_the_latent_within_their_limits() -> None:
    """One place apart by 1 in latents whose standard deviations meet the lower limit, none, and the upper one."""
    pattern = torch.tensor([1.0, -1.0]).repeat(50).reshape(1, 1, 10, 10)
    for sigma, high, low in ((1e-3, 0.002, 0.002), (0.02, 0.01, 0.006), (5.0, 0.02, 0.015)):
        latent = (sigma * pattern).expand(-1, 6, -1, -1).double()
        apart = threshold.deviations(latent, latent[..., :1, :1] + 3.0, (2, 1))[0, :, 0, 0]
        unit = 2**0.5 * 3
        told = unit / apart
        assert torch.allclose(told, torch.tensor([high, high, low]).double(), rtol=0.02), (sigma, told)


def test_what_stands_out_is_sent_until_values_and_positions_fit() -> None:
    generator = torch.Generator().manual_seed(0)
    latent, black, rates = torch.zeros(1, 8, 24, 24), torch.zeros(1, 8, 1, 1), (3, 1)
    latent[:, :, 5:12, 6:15] = 1 + torch.rand(1, 8, 7, 9, generator=generator)
    standing = (latent[:, :4] > 0)[0]
    everything = threshold.kept(latent, black, rates, 10_000, 1024)[0]
    assert torch.equal(everything, threshold.listed(standing, rates))
    assert int(threshold.kept(latent, black, rates, 100, 1024).sum()) == 100
    noise = torch.rand(1, 8, 24, 24, generator=generator)
    few = threshold.kept(noise, black, rates, 10_000, 256)[0]
    assert 2 + run_code.size(few) <= 13 and few.any()
    assert int(threshold.kept(0 * latent, black, rates, 100, 256).sum()) == 1, "something is always sent"


def test_the_weakest_go_first() -> None:
    latent, black = torch.zeros(1, 4, 16, 16), torch.zeros(1, 4, 1, 1)
    latent[:, :, :8] = 1.0
    latent[:, :, 2:4] = 3.0
    sent = threshold.kept(latent, black, (1, 1), 64, 4096)[0].reshape(2, 16, 16)
    assert sent[:, 2:4].all() and int(sent.sum()) == 64


def test_elements_that_are_not_sent_look_like_black_received_as_well_as_the_others() -> None:
    received = torch.arange(2.0 * 9).reshape(1, 9, 1, 2)
    order = torch.tensor([[0, 3, 0]])  # two of 3 planes with 2 places each
    black = torch.tensor([1.0, 2, 3, 4, 5, 6]).reshape(1, 6, 1, 1)
    full = threshold.filled(received, order, black, torch.tensor([[0.2, 0.4, 0.6]]))[0, :, 0]
    sent = torch.zeros(3, 2, dtype=torch.bool)
    sent[0, 0] = sent[1, 1] = True
    assert torch.equal(full[sent.repeat(3, 1)], received[0, :, 0][sent.repeat(3, 1)])
    unsent = torch.stack([0.4 * black[0, :3, 0], 0.4 * black[0, 3:, 0], torch.full((3, 1), 0.4)]).expand(-1, -1, 2)
    assert torch.allclose(full.reshape(3, 3, 2)[:, ~sent], unsent[:, ~sent])


def test_positions_and_the_scale_of_black_come_back() -> None:
    sent = torch.rand(3, 500, generator=torch.Generator().manual_seed(2)) > 0.7
    snr_db, power = torch.tensor([-30.0, 4.6, 17.0]), torch.tensor([0.1, 12.3, 1e3])
    stream = threshold.positions_stream(sent, snr_db, power, 4096)
    reception = lost_and_found(stream, [0, 1, 2])
    positions, snr, level, known = threshold.received_positions(reception, 500)
    assert torch.equal(positions, sent) and known.all()
    assert torch.allclose(snr, torch.tensor([-10, 4.6, 17.0]), atol=0.126)
    assert torch.allclose(level.log10(), power.log10(), atol=0.0126)
    assert threshold.received_positions(lost_and_found(stream, [1]), 500)[3].tolist() == [False, True, False]


def lost_and_found(stream: Stream, found: list[int]) -> Reception:
    """The reception of a bits stream of which only these pictures' payloads arrived."""
    payload = tuple(p if i in found else None for i, p in enumerate(stream.payload))
    return Reception((ReceivedStream(stream.name, "bits", payload=payload),))


def test_lost_positions_show_nothing_but_the_fill() -> None:
    codec = codecs.create("roi_dual", select="threshold")
    pictures = []
    for seed in (0, 1):
        reception = noiseless(codec.encode(smooth_pictures(1, 64, 64, seed=seed)))
        streams = tuple(replace(s, payload=(None,)) if s.name == "positions" else s for s in reception.streams)
        pictures.append(codec.decode(replace(reception, streams=streams)))
    assert torch.equal(*pictures)


def test_positions_cost_the_region_quality() -> None:
    """Over the real link, at the same total of uses: below `cells`, but far above a picture of the mean colours."""
    images = torch.stack(list(data.load("samples", limit=4, size=192)))
    link = Link(channels.create("awgn"))
    word = "box:x0=0.34;x1=0.66;y0=0.34;y1=0.66"
    levels, totals = [], []
    for select in ("cells", "threshold"):
        codec = codecs.create("roi_dual", importance=word, select=select)
        result = link.run(codec.encode(images, TxInfo(snr_db=10.0)), 10.0, seed=3)
        totals.append(np.sum(list(result.report.uses.values()), axis=0).tolist())
        region = codec.importance.maps(images)
        levels.append(float(psnr_roi(codec.decode(result.reception), images, region).mean()))
    mean = float(psnr_roi(images.mean((2, 3), keepdim=True).expand_as(images), images, region).mean())
    assert totals[0] == totals[1] == [round(RHO * 3 * 192**2)] * 4
    assert mean + 5 < levels[1] < levels[0], f"{levels}, mean colours {mean:.1f} dB"


def test_an_unknown_selection_is_refused() -> None:
    with pytest.raises(SemlinkError, match="cells, threshold"):
        codecs.create("roi_dual", select="all")


@pytest.mark.parametrize("snr_db", [1.0, 10.0])
def test_the_region_is_better_than_the_rest_of_its_size_would_be(snr_db: float) -> None:
    """Inside the region, better than `adjscc` at the same total of uses; outside, worse."""
    images = torch.stack(list(data.load("samples", limit=6, size=192)))
    region = torch.zeros(192, 192)
    region[64:128, 64:128] = 1
    link = Link(channels.create("awgn"))
    levels = []
    for codec in (codecs.create("roi_dual", importance=OneEach(*[region] * 6)), codecs.create("adjscc", rho=RHO)):
        pictures = codec.decode(link(codec.encode(images, TxInfo(snr_db=snr_db)), snr_db, seed=3))
        error = (pictures - images).square().mean(1)
        means = [(error * part).sum((1, 2)) / part.sum() for part in (region, 1 - region)]
        levels.append([float(-10 * mean.log10().mean()) for mean in means])
    (inside, outside), (base_inside, base_outside) = levels
    assert inside > base_inside + 0.5 and outside < base_outside, f"{levels}"
