"""Guides of a diffusion receiver: edge maps where the picture changes, within their bytes; tags that stay the same."""

import json
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scripts import loaded
from skimage import data
from skimage.filters import sobel

from semlink.codecs._diffusion import guides, tag_centres
from semlink.codecs._regions import mask_code
from semlink.codecs.sgd_jscc import codec as sgd_jscc
from semlink.simulator import SemlinkError
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.metrics import _lpips_weights, lpips


def photograph(height: int, width: int) -> torch.Tensor:
    """A crop of a photograph, `[1, 3, height, width]` in [0, 1]."""
    crop = data.astronaut()[20 : 20 + height, 100 : 100 + width]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def alexnet() -> None:
    """The LPIPS weights of AlexNet, or a skip that says how to get them."""
    try:
        _lpips_weights.load("alex", lpips._shapes("alex"))
    except SemlinkError as error:
        pytest.skip(str(error))


def test_edge_strength_is_the_mean_sobel_magnitude_of_the_luma() -> None:
    """Against scikit-image, whose Sobel filter is scaled by 1 / sqrt(2) of ours; cells that touch no border."""
    image = photograph(64, 80)
    luma = (image[0] * torch.tensor(guides.LUMA)[:, None, None]).sum(0).double().numpy()
    cells = sobel(luma).reshape(8, 8, 10, 8).mean((1, 3)) / 2**0.5
    found = guides.edge_strength(image)[0].double().numpy()
    assert found.shape == (8, 10)
    assert found[1:-1, 1:-1] == pytest.approx(cells[1:-1, 1:-1], rel=1e-4)


def test_edges_are_where_a_square_begins() -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[..., 36:92, 36:92] = 1
    found = guides.edges(image, 30)[0]
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:12, 4:12] = True
    inside[5:11, 5:11] = False
    assert torch.equal(found & inside, inside) or (found & inside).sum() / found.sum() > 0.9
    assert found[inside].float().mean() > 0.9


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (61, 90), (256, 320)], ids=str)
@pytest.mark.parametrize("room", [0, 1, 5, 21, 49])
def test_edge_maps_fit_their_bytes_and_survive_the_round_trip(size, room) -> None:
    image = photograph(*size)
    found = guides.edges(image, room)[0]
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    payload = mask_code.pack(found)
    assert found.shape == (rows, columns) and len(payload) <= room
    assert torch.equal(mask_code.unpack(payload, rows, columns), found)
    assert found.float().mean() <= guides.DENSEST
    assert room < 5 or found.any()
    weakest = guides.edge_strength(image)[0][found].min() if found.any() else torch.inf
    assert (guides.edge_strength(image)[0][~found] <= weakest).all(), "the strongest cells are told first"


def test_more_bytes_tell_more_edges_and_flat_pictures_need_none() -> None:
    image = photograph(256, 256)
    counts = [int(guides.edges(image, room)[0].sum()) for room in (2, 10, 50, 200)]
    assert counts == sorted(counts) and counts[0] < counts[-1] / 5
    assert counts[-1] == int(guides.DENSEST * 1024), "there is room for all"
    flat = guides.edges(torch.full((1, 3, 64, 64), 0.5), 49)
    assert flat.shape == (1, 8, 8)


def test_densest_takes_shares_picture_by_picture() -> None:
    strength = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = guides.densest(strength, torch.tensor([0.0, 0.25, 1.0]))
    assert found.flatten(1).sum(1).tolist() == [0, 16, 64]
    assert strength[1][found[1]].min() > strength[1][~found[1]].max()


def test_tags_are_stable_under_batch_size(alexnet) -> None:
    images = torch.cat([smooth_pictures(26, 64, 64), photograph(64, 64)])
    assert torch.allclose(guides.features(images).norm(dim=1), torch.ones(27), atol=1e-5)
    centres = guides.features(smooth_pictures(64, 64, 64, seed=1))
    together = guides.tags(images, centres)
    assert together.dtype == torch.int64 and together.min() >= 0 and together.max() < 64
    assert together.tolist() == [int(guides.tags(image[None], centres)) for image in images]
    assert len(together.unique()) > 5
    own = guides.tags(images, torch.cat([guides.features(images), centres[27:]]))
    assert own.tolist() == list(range(27)), "the nearest centre is the one that lies there"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no centres of tags"), ({"other": torch.ones(2)}, "no centres"), ({"centres": torch.ones(3, 4)}, "3 cent")],
)
def test_centres_that_are_none_are_refused(tmp_path, content, message) -> None:
    path = tmp_path / "tags.safetensors"
    if content:
        save_file(content, path)
    with pytest.raises(SemlinkError, match=message):
        guides.centres(path)


def test_shipped_centres() -> None:
    """They lie within the unit ball of the features, and differ."""
    centres = guides.centres(sgd_jscc.TAGS)
    assert centres.shape == (guides.TAGS, 256) and centres.dtype == torch.float32
    assert centres.norm(dim=1).max() <= 1.001 and (torch.pdist(centres) > 1e-2).all()


@pytest.fixture
def script() -> Iterator[ModuleType]:
    with loaded("make_tags") as module:
        yield module


def test_the_script_finds_the_centres_of_clusters(script, tmp_path, monkeypatch) -> None:
    """256 tight clusters: each gets a centre of its own."""
    rng = np.random.default_rng(0)
    where = np.linalg.qr(rng.standard_normal((256, 256)))[0]
    points = np.repeat(where, 3, 0) + 0.01 * rng.standard_normal((768, 256))
    monkeypatch.setattr(tag_centres, "features_of", lambda names, limit: torch.from_numpy(points).float())
    assert script.main(script.TagFlags(out=tmp_path)) == 0
    centres = guides.centres(tmp_path / "tags.safetensors").double().numpy()
    nearest = np.linalg.norm(where[:, None] - centres[None], axis=2).min(1)
    assert (nearest < 0.2).mean() > 0.9
    assert json.loads((tmp_path / "card.json").read_text())["pictures"] == 768
    monkeypatch.setattr(tag_centres, "features_of", lambda names, limit: torch.zeros(9, 256))
    with pytest.raises(SemlinkError, match="9 pictures are too few"):
        script.main(script.TagFlags(out=tmp_path))


@pytest.mark.parametrize("name", ["kodak", "my-test-pictures"])
def test_test_sets_are_refused(script, name) -> None:
    with pytest.raises(SemlinkError, match="a test set is not for training"):
        script.main(script.TagFlags(data=(name,)))
