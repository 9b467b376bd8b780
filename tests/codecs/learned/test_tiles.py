"""Large pictures in tiles: the same symbols and pictures as in one piece, with tiles made small."""

import pytest
import torch

from semlink import codecs
from semlink.simulator import TxInfo, tiles
from semlink.simulator.tiles import cuts
from semlink.simulator.training.channels import Surrogate

NATURAL = {
    "adjscc": {},
    "deepjscc": {},
    "semlink": {"base": "none"},
    "swinjscc": {},
    "roi_jscc": {},
    "roi_dual": {},
    "cddm": {"rho": 1 / 24, "steps": 0},
    "sgd_jscc": {"rho": 1 / 24, "steps": 0, "guidance": "none"},
}


def picture(height: int, width: int) -> torch.Tensor:
    """Shapes and noise: what is near matters, and nothing repeats."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 0.1 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)


def codec_of(name: str):
    torch.manual_seed(0)
    codec = codecs.create(name, **{"rho": 1 / 12, **NATURAL[name]})
    if name == "swinjscc":
        network = codec.new_network()
        for parameter in network.parameters():  # no weights are shipped: of a size that lets everything be heard
            torch.nn.init.normal_(parameter, std=0.2) if parameter.ndim > 1 else None
        codec.use(network.eval())
    return codec


@pytest.mark.parametrize("name", NATURAL)
def test_tiles_give_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, image = codec_of(name), picture(300, 421)
    fading = Surrogate(per_image=0.0, per_symbol=1.0)
    found, cut = [], []
    monkeypatch.setattr(tiles, "cuts", lambda *asked: cut.append(asked) or cuts(*asked))
    for side in (1 << 14, 144):
        monkeypatch.setattr(tiles, "SIDE", side)
        with torch.no_grad():
            sent = codec.encode(image, TxInfo(snr_db=8.0))
            received = fading(sent, torch.tensor([8.0]), torch.Generator().manual_seed(1))
            found.append((sent.streams[0].payload, codec.decode(received)))
    assert len({reach for _, _, reach, _ in cut}) == len({*codec.network(300, 421).reach}), "both ends in tiles"
    (symbols, pictures), (symbols_of_tiles, pictures_of_tiles) = found
    assert (symbols_of_tiles - symbols).abs().max() < 1e-4
    assert (pictures_of_tiles - pictures).abs().max() < 1e-4


@pytest.mark.parametrize("analog", [0, 12000])
def test_tiles_give_the_whole_hybrid(analog: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hybrid, image = codecs.create("semlink", rho=1 / 12).hybrid, picture(300, 421)
    found, cut = [], []
    monkeypatch.setattr(tiles, "cuts", lambda *asked: cut.append(asked) or cuts(*asked))
    for side in (1 << 14, 144):
        monkeypatch.setattr(tiles, "SIDE", side)
        payloads, symbols = hybrid.encode(image, 3000, analog, 10.0)
        received, _ = hybrid.decode(payloads, symbols, torch.full(symbols.shape, 0.9), 10.0, (300, 421))
        found.append((payloads, symbols, received))
    assert len({reach for _, _, reach, _ in cut}) == (4 if analog else 2)
    (payloads, symbols, received), (payloads_of_tiles, symbols_of_tiles, received_of_tiles) = found
    assert payloads[0][1:] == payloads_of_tiles[0][1:]
    assert torch.allclose(symbols, symbols_of_tiles, atol=1e-4)
    assert (received - received_of_tiles).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["adjscc", "deepjscc", "semlink", "swinjscc"])
def test_the_reach_is_not_said_too_large(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of it is not enough, so that no time is wasted on surroundings that nothing looks at."""
    codec, image = codec_of(name), picture(384, 400)
    network = codec.network(384, 400)
    planes, rows, columns = getattr(codec, "most", codec.planes), 384 // codec.cell, 400 // codec.cell
    z, a = torch.randn(1, 2 * planes, rows, columns), torch.full((1, planes, rows, columns), 0.8)
    monkeypatch.setattr(tiles, "SIDE", 1 << 14)
    whole = codec.decoded(network, z, a, pixels=image[0, 0].numel())
    monkeypatch.setattr(tiles, "SIDE", 144)
    monkeypatch.setattr(network, "reach", tuple(reach // 3 for reach in network.reach))
    assert (codec.decoded(network, z, a, pixels=image[0, 0].numel()) - whole).abs().max() > 1e-6


@pytest.mark.parametrize(("side", "reach", "unit"), [(3000, 40, 4), (1025, 64, 8), (4000, 100, 32), (2049, 0, 16)])
def test_cuts_cover_a_side_once(side: int, reach: int, unit: int) -> None:
    found = list(cuts(side, 1024, reach, unit))
    assert [x for cut in found for x in range(cut.gives.start, cut.gives.stop)] == list(range(side))
    assert all(cut.gives.stop - cut.gives.start <= 1024 + unit for cut in found)
    for cut in found:
        assert cut.sees.start % unit == 0 and cut.sees.start <= max(0, cut.gives.start - reach)
        assert cut.sees.stop >= min(side, cut.gives.stop + reach)
