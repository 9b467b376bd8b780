"""roi_dual: only the region's and the rest's own vectors are sent, copies add up, masks fit the budget."""

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.codecs import _mask_code as mask_code
from semlink.codecs.roi_dual import combined, sent_order, shrunk
from semlink.simulator import Link, SemlinkError, TxInfo, check_codec, data
from semlink.simulator.checks import check_reception, lost, noiseless, smooth_pictures

RHO = 1 / 12


class OneEach:
    """Another region for each picture of a batch."""

    def __init__(self, *regions: torch.Tensor) -> None:
        self.regions = regions

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.regions).float()


@pytest.mark.parametrize("size", [(64, 64), (50, 61)], ids=str)
def test_conforms(size: tuple[int, int]) -> None:
    check_codec(codecs.create("roi_dual", importance="box:x0=0.2;x1=0.5"), smooth_pictures(3, *size))


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
    order = sent_order(region, (2, 1), 9)[0].tolist()
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
