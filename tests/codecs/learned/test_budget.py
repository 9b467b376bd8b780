"""Uses are floor(rho 3 H W) of the picture's own size, whatever cells a codec pads it to."""

import pytest
import torch

from semlink import channels, codecs
from semlink.codecs._learned.budget import budget, kept
from semlink.simulator import Link, SemlinkError, TxInfo, check_codec, data
from semlink.simulator.conformance.codec import check_budget, noiseless, smooth_pictures

LEARNED = {"adjscc": {}, "deepjscc": {}, "semlink": {"base": "none"}}
SIZES = [(37, 51), (500, 500), (375, 500), (33, 32), (5, 3), (64, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("rho", [1 / 6, 1 / 12, 1 / 24])
@pytest.mark.parametrize("name", ["adjscc", "semlink", "cddm", "deepjscc", "digital", "swinjscc"])
def test_uses_are_those_of_the_picture(name: str, rho: float, size: tuple[int, int]) -> None:
    assert codecs.create(name, rho=rho).uses(*size) == max(1, int(rho * 3 * size[0] * size[1] + 1e-6))


def test_the_case_that_was_seen() -> None:
    """63,504 uses were spent where `digital` spends 62,500."""
    assert codecs.create("semlink", rho=1 / 12).uses(500, 500) == 62_500


def test_a_rate_below_that_of_its_planes_is_a_budget() -> None:
    assert codecs.create("adjscc", rho=0.166).uses(64, 64) == int(0.166 * 3 * 64 * 64) < 8 * 256


@pytest.mark.parametrize("name", LEARNED)
def test_sizes_that_cells_divide_send_what_the_network_says(name: str) -> None:
    """Plane by plane in raster order, mean power 1: nothing is left out, nothing is moved."""
    codec, images = codecs.create(name, rho=1 / 12, **LEARNED[name]), smooth_pictures(2, 64, 40)
    with torch.no_grad():
        latent = codec.encoder(codec.network(64, 40))(images, torch.full((2,), 7.0)).double()
    expected = torch.view_as_complex(torch.stack(latent.flatten(1).chunk(2, 1), -1).contiguous())
    expected = expected / expected.abs().square().mean(1, keepdim=True).sqrt()
    sent = codec.encode(images, TxInfo(snr_db=7.0)).streams[0].payload
    assert sent.shape == expected.shape and (sent - expected).abs().max() < 1e-4


def test_a_cell_sends_as_many_planes_as_its_share_of_pixels() -> None:
    """9 x 6 px on cells of 4: the last row of cells has 1 of 4 px, the last column 2 of 4."""
    places = kept(9, 6, cell=4, planes=16, uses=16 * 54 // 16, beside=False)
    assert torch.equal(places.sent, places.sent.unique())
    planes = torch.zeros(16 * 6).index_fill(0, places.sent, 1.0).reshape(16, 3, 2)
    assert planes.sum(0).tolist() == [[16, 8], [16, 8], [4, 2]]
    assert bool((planes.diff(dim=0) <= 0).all()), "the first planes of a cell are those that it sends"
    assert kept(8, 8, 4, 16, 64, False).sent is None


def test_symbols_come_back_to_their_places() -> None:
    places = kept(9, 6, 4, 16, 54, beside=False)
    values = torch.arange(1, 97.0)[None]
    back = places.spread(places.pick(values))
    assert torch.equal(back, torch.where(back > 0, values, 0.0)) and int((back > 0).sum()) == 54
    assert torch.equal(places.spread(places.pick(values)[:, :20]), torch.where(back <= back[back > 0][19], back, 0.0))
    with pytest.raises(SemlinkError, match="55 symbols received, 54 at most"):
        places.spread(torch.ones(1, 55))


def test_what_is_not_sent_is_taken_from_further_inside() -> None:
    places = kept(9, 6, 4, 2, 6, beside=True)
    values = torch.arange(1, 13.0).reshape(1, 2, 3, 2)
    shown = places.spread(places.pick(values.flatten(1))).reshape(2, 3, 2)
    gone = torch.tensor([[[0, 0], [0, 0], [1, 1]], [[0, 1], [0, 1], [1, 1]]], dtype=torch.bool)
    assert torch.equal(shown[~gone], values[0][~gone])
    assert shown[0, 2].tolist() == [3, 3] and shown[1].tolist() == [[7, 7], [9, 9], [9, 9]]


def photographs(height: int, width: int) -> torch.Tensor:
    return torch.stack(list(data.load("samples")))[:4, :, 20 : 20 + height, 40 : 40 + width]


@pytest.mark.parametrize(("name", "floor"), [("semlink", 1.0), ("adjscc", 1.5), ("deepjscc", 2.0)])
def test_little_is_lost_by_it(name: str, floor: float) -> None:
    """Against the picture that is as large as its cells, of which all symbols are sent."""
    codec, whole = codecs.create(name, rho=1 / 6, **LEARNED[name]), photographs(192, 208)
    images = whole[..., :187, :203]
    psnr = []
    for pictures in (whole, images):
        received = codec.decode(noiseless(codec.encode(pictures, TxInfo(snr_db=15.0)), a=0.97))[..., :187, :203]
        psnr.append(-10 * (received - images).square().mean((1, 2, 3)).log10().mean())
    assert psnr[1] > psnr[0] - floor, psnr


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sgd_jscc", {"rho": 1 / 24}),
        ("ddnm", {"rho": 1 / 24}),
        ("ddnm", {"rho": 1 / 24, "inner": "digital", "sigma_y": 0.1}),
        ("posterior", {"rho": 1 / 12}),
        ("roi_jscc", {"rho": 1 / 12}),
        ("roi_dual", {"rho": 1 / 12}),
        ("roi_dual", {"rho": 1 / 12, "select": "threshold"}),
        ("digital_capacity", {"rho": 1 / 12}),
    ],
    ids=str,
)
def test_all_streams_together(name: str, settings: dict) -> None:
    for size in ((97, 131), (117, 155)):
        codec = codecs.create(name, **settings)
        check_budget(codec, codec.encode(smooth_pictures(1, *size), TxInfo(snr_db=10.0)), *size)


def test_too_many_uses_are_found() -> None:
    class Padding(codecs.registry.get("adjscc")):
        def uses(self, height: int, width: int) -> int:
            return self.planes * -(-height // 4) * -(-width // 4)

    with pytest.raises(AssertionError, match=r"2688 uses spent on 61x83 px, rho 0.1667 of which is 2531"):
        check_codec(Padding(rho=1 / 6))


def test_mixed_planes_over_a_link() -> None:
    codec, images = codecs.create("semlink", rho=1 / 12, base="none"), photographs(101, 93)
    link = Link(channels.create("awgn"))
    tx = link.tx_info(10.0, codec.uses(101, 93), statistics=True)
    result = link.run(codec.encode(images, tx), 10.0)
    assert set(result.report.uses["latent"]) == {budget(1 / 12, 101, 93)} == {101 * 93 // 4}
    assert (codec.decode(result.reception) - images).square().mean() < 2e-3
