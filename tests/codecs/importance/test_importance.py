"""Importance maps: one contract for all kinds, theory and other people's code for each."""

import json
import math
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from semlink import codecs
from semlink.codecs import importance
from semlink.codecs._regions.cells import Importance
from semlink.codecs._regions.classes import CLASSES, class_numbers
from semlink.codecs._regions.unet import UNet
from semlink.codecs.importance import _maps, _segmenters
from semlink.codecs.importance.gradient import Gradient
from semlink.codecs.importance.saliency import spectral_residual
from semlink.codecs.importance.segmentation import Segmentation
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.errors import SemlinkError
from semlink.simulator.training.run import save_weights
from semlink.simulator.words import parse

SIZES = [(1, 1), (2, 3), (17, 5), (33, 70), (48, 64)]
TRAFFIC = ("car", "traffic light", "road")


def pictures(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Noise on smooth colours, so that no map is trivial."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(batch, 3, height, width, generator=generator)
    return 0.7 * smooth_pictures(batch, height, width, seed) + 0.3 * fine


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A U-Net that learned nothing, whose opinion differs from place to place."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("unet") / "random.safetensors"
    save_weights(UNet(), path, {})
    return str(path)


@pytest.fixture(params=["box", "gradient", "gradient of adjscc", "saliency", "soft saliency", "segmentation"])
def maker(request: pytest.FixtureRequest, weights: str) -> Importance:
    """A maker of each kind; but `file`, whose masks fit pictures of one size."""
    settings = {
        "box": ("box", {"x0": 0.3, "x1": 0.4}),
        "gradient": ("gradient", {"weights": weights, "sigma": 1.0}),
        "gradient of adjscc": ("gradient", {"codec": "adjscc", "share": 0.0}),
        "saliency": ("saliency", {}),
        "soft saliency": ("saliency", {"share": 0.0}),
        "segmentation": ("segmentation", {"weights": weights, "classes": "0/1/2/3/4"}),
    }
    name, values = settings[request.param]
    return importance.create(name, **values)


# The contract


@pytest.mark.parametrize("height, width", SIZES)
def test_maps_have_the_pictures_size_and_lie_in_the_unit_range(maker, height, width) -> None:
    maps = maker.maps(pictures(2, height, width))
    assert maps.shape == (2, height, width) and maps.dtype == torch.float32
    assert not maps.requires_grad and maps.isfinite().all()
    assert maps.min() >= 0 and maps.max() <= 1


def test_maps_repeat_and_do_not_depend_on_the_batch(maker) -> None:
    images = pictures(4, 40, 56)
    maps = maker.maps(images)
    assert torch.equal(maps, maker.maps(images))
    alone = torch.cat([maker.maps(image[None]) for image in images.flip(0)]).flip(0)
    assert torch.equal(maps, alone)


def test_makers_are_frozen_and_travel_to_other_processes(maker) -> None:
    with pytest.raises(FrozenInstanceError):
        maker.share = 1
    again = pickle.loads(pickle.dumps(maker))
    images = pictures(1, 24, 24)
    assert again == maker and hash(again) == hash(maker) and torch.equal(again.maps(images), maker.maps(images))


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(0, 3, 8, 8)])
def test_refuses_what_are_no_pictures(maker, images) -> None:
    with pytest.raises(SemlinkError, match=r"needs floats \[batch, 3, H, W\]"):
        maker.maps(images)
    with pytest.raises(SemlinkError, match="uint8"):
        maker.maps(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_names_are_known_and_are_no_codecs() -> None:
    assert {"box", "file", "gradient", "saliency", "segmentation"} <= set(importance.names())
    assert "importance" not in codecs.names()
    with pytest.raises(LookupError, match="unknown importance map 'bx'; did you mean 'box'\\? known: box, file"):
        importance.create("bx")
    with pytest.raises(TypeError, match="importance map box"):
        importance.create("box", left=0.5)


def test_listing_loads_no_framework() -> None:
    code = "import sys; from semlink.codecs import importance; importance.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Hard maps


@pytest.mark.parametrize("share", [0.01, 0.25, 0.99, 1.0])
def test_share_is_kept_and_the_first_of_equals_count(share) -> None:
    soft = torch.rand(13, 17, generator=torch.Generator().manual_seed(0)) + 0.01
    hard = _maps.hardened(soft, share)
    assert hard.sum() == math.ceil(share * 13 * 17)
    assert share == 1 or soft[hard == 1].min() > soft[hard == 0].max()
    flat = _maps.hardened(torch.ones(4, 4), 0.25)
    assert torch.equal(flat, torch.tensor([1.0, 0, 0, 0])[:, None].expand(4, 4))
    assert _maps.hardened(torch.zeros(4, 4), share).sum() == 0


def test_blur_is_scipys() -> None:
    x = torch.rand(20, 31, generator=torch.Generator().manual_seed(0))
    expected = ndimage.gaussian_filter(x.double().numpy(), 2.0, mode="nearest", truncate=3.0)
    np.testing.assert_allclose(_maps.blurred(x, 2.0), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["saliency", "gradient"])
def test_settings_out_of_range_are_refused(name) -> None:
    for setting, value in (("share", 1.5), ("share", -0.1), ("share", math.nan), ("sigma", -1.0), ("sigma", math.inf)):
        with pytest.raises(SemlinkError, match=f"{setting} is"):
            importance.create(name, **{setting: value})
    with pytest.raises(SemlinkError, match="side is 4"):
        importance.create("saliency", side=4)


# Box


def test_box_covers_the_pixels_that_it_touches() -> None:
    mask = importance.create("box", x0=0.2, x1=0.7, y0=0.5, y1=1.0).maps(torch.zeros(1, 3, 4, 10))[0]
    expected = torch.zeros(4, 10)
    expected[2:, 2:7] = 1
    assert torch.equal(mask, expected)
    assert importance.create("box", x0=0, y0=0, x1=1, y1=1).maps(torch.zeros(1, 3, 7, 9)).all()


def test_a_tiny_box_is_one_pixel() -> None:
    for edge in (0.0, 0.349, 0.5, 1 - 1e-6):
        box = importance.create("box", x0=edge, x1=edge + 1e-6, y0=edge, y1=edge + 1e-6)
        assert box.maps(torch.zeros(1, 3, 16, 20)).sum() == 1


@pytest.mark.parametrize("edges", [{"x0": 0.8}, {"y1": 1.1}, {"x0": -0.1}, {"y0": math.nan}, {"x0": 0.5, "x1": 0.5}])
def test_box_refuses_nonsense(edges) -> None:
    with pytest.raises(SemlinkError, match="edges must rise"):
        importance.create("box", **edges)


# Saliency


def numpy_residual(grey: np.ndarray) -> np.ndarray:
    """Hou and Zhang's five lines with NumPy and SciPy."""
    spectrum = np.fft.fft2(grey)
    size = np.log(np.abs(spectrum) + 1e-9)
    residual = size - ndimage.uniform_filter(size, 3, mode="wrap")
    return np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2


def test_spectral_residual_is_the_papers() -> None:
    grey = pictures(1, 48, 61)[0].mean(0)
    np.testing.assert_allclose(spectral_residual(grey), numpy_residual(grey.double().numpy()), rtol=1e-4, atol=1e-9)


def test_spectral_residual_moves_with_the_picture() -> None:
    grey = pictures(1, 32, 64)[0].mean(0)
    moved = spectral_residual(grey.roll((5, 17), (0, 1)))
    assert torch.allclose(moved, spectral_residual(grey).roll((5, 17), (0, 1)), rtol=1e-3, atol=1e-7)


def clouds(side: int, seed: int) -> np.ndarray:
    """Noise with the spectrum of nature, amplitude 1 / f, in [0.25, 0.75]."""
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal((side, side)))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    field = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / side)).real
    return 0.25 + 0.5 * (field - field.min()) / np.ptp(field)


@pytest.mark.parametrize("top, left", [(8, 40), (28, 30), (45, 12)])
@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("scale", [1, 4])
def test_a_thing_among_clouds_is_salient(top, left, level, scale) -> None:
    grey = clouds(64, seed=top)
    grey[top : top + 6, left : left + 6] = level
    picture = (
        torch.from_numpy(grey).float().repeat_interleave(scale, 0).repeat_interleave(scale, 1).expand(1, 3, -1, -1)
    )
    soft = importance.create("saliency", share=0.0).maps(picture)[0]
    assert soft.max() == pytest.approx(1.0)
    row, column = divmod(int(soft.argmax()), 64 * scale)
    assert abs(row / scale - top - 3) < 5 and abs(column / scale - left - 3) < 5
    region = importance.create("saliency", share=0.1).maps(picture)[0]
    assert region[scale * top : scale * (top + 6), scale * left : scale * (left + 6)].mean() > 0.9


def test_a_flat_picture_has_no_region() -> None:
    for level in (0.0, 0.3, 1.0):
        assert importance.create("saliency").maps(torch.full((1, 3, 40, 60), level)).sum() == 0


# Gradient


@pytest.mark.parametrize("codec", [None, "adjscc"])
def test_gradient_is_the_slope_of_the_loss(codec, weights) -> None:
    maker = Gradient(codec=codec, sigma=0.0, share=0.0, weights=None if codec else weights)
    image = pictures(1, 16, 16)
    loss = maker._codec_loss if codec else maker._task_loss
    pixels = image.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(pixels), pixels)
    energy = slope[0].abs().sum(0)
    assert torch.allclose(maker.maps(image)[0], (energy - energy.min()) / (energy.max() - energy.min()))
    place = int(slope.abs().argmax())
    step = torch.zeros(image.numel())
    step[place] = 2e-3
    with torch.no_grad():
        change = loss(image + step.view_as(image)) - loss(image - step.view_as(image))
    assert float(change) / 4e-3 == pytest.approx(float(slope.flatten()[place]), rel=0.1)


def test_the_codecs_loss_lies_where_the_detail_is() -> None:
    image = torch.full((1, 3, 64, 64), 0.5)
    image[..., 32:, 32:] = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    region = importance.create("gradient", codec="adjscc", share=0.2, sigma=2.0).maps(image)[0]
    assert region[30:, 30:].sum() >= 0.9 * region.sum() > 0


@pytest.mark.parametrize("codec", ["digital", "roi_jscc"])
def test_gradient_refuses_codecs_without_a_plain_latent(codec) -> None:
    with pytest.raises(SemlinkError, match="no network with one latent"):
        importance.create("gradient", codec=codec).maps(torch.zeros(1, 3, 16, 16))


# Masks of the user's


def save_mask(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_one_file_serves_every_picture(tmp_path) -> None:
    values = np.zeros((12, 20))
    values[3:5, 4:9], values[0, 0], values[0, 1] = 255, 128, 127
    save_mask(tmp_path / "mask.png", values)
    mask = importance.create("file", path=str(tmp_path / "mask.png")).maps(torch.zeros(3, 3, 12, 20))
    assert torch.equal(mask, torch.from_numpy(values >= 128).float().expand(3, 12, 20))
    soft = importance.create("file", path=str(tmp_path / "mask.png"), hard=False).maps(torch.zeros(1, 3, 12, 20))
    np.testing.assert_allclose(soft[0], values / 255, atol=1e-6)


@pytest.fixture
def folders(tmp_path: Path) -> SimpleNamespace:
    """Four pictures of noise and their masks, in which mask k has k + 1 white rows."""
    random = np.random.default_rng(0)
    for name in ("pictures", "masks"):
        (tmp_path / name).mkdir()
    for k in range(4):
        Image.fromarray(random.integers(0, 256, (10, 14, 3), dtype=np.uint8)).save(tmp_path / "pictures" / f"{k}.png")
        save_mask(tmp_path / "masks" / f"m{k}.png", 255 * (np.arange(10)[:, None] <= k) * np.ones((10, 14)))
    from semlink.simulator import data

    return SimpleNamespace(
        masks=str(tmp_path / "masks"), pictures=str(tmp_path / "pictures"), data=data.load(tmp_path / "pictures")
    )


def rows_of(maps: Tensor) -> list[int]:
    return [int(m) for m in maps.mean(2).sum(1)]


def test_masks_of_a_folder_meet_the_pictures_in_order(folders) -> None:
    maker = importance.create("file", path=folders.masks)
    assert rows_of(maker.maps(folders.data.batch(range(4)))) == [1, 2, 3, 4]
    with pytest.raises(SemlinkError, match="holds 4 masks for 2 pictures in one go; name the pictures"):
        maker.maps(folders.data.batch([0, 1]))


def test_pictures_find_their_masks_in_any_order(folders) -> None:
    maker = importance.create("file", path=folders.masks, pictures=folders.pictures)
    assert rows_of(maker.maps(folders.data.batch([3, 0]))) == [4, 1]
    assert rows_of(maker.maps(folders.data.batch([2]))) == [3]
    with pytest.raises(SemlinkError, match="a picture is not among those of"):
        maker.maps(torch.zeros(1, 3, 10, 14))
    with pytest.raises(SemlinkError, match="holds 4 masks for the 1 pictures of"):
        importance.create("file", path=folders.masks, pictures=f"{folders.pictures}/0.png").maps(
            torch.zeros(1, 3, 9, 9)
        )


def test_masks_are_cropped_with_their_pictures(folders) -> None:
    maker = importance.create("file", path=folders.masks, pictures=folders.pictures, size=8)
    images = folders.data.batch([3, 1])[:, :, 1:9, 3:11]
    assert rows_of(maker.maps(images)) == [3, 1]


@pytest.mark.parametrize(
    "values, message",
    [
        (np.zeros((9, 20)), "mask.png: a mask of 20x9 px for a picture of 20x12 px"),
        (np.ones((12, 20)), "mask.png: its values are 0 and 1 of 255"),
        (np.arange(720).reshape(12, 20, 3) % 256, "mask.png: a mask has no colours"),
    ],
)
def test_masks_that_do_not_fit_are_named(tmp_path, values, message) -> None:
    save_mask(tmp_path / "mask.png", values)
    with pytest.raises(SemlinkError, match=message):
        importance.create("file", path=str(tmp_path / "mask.png")).maps(torch.zeros(1, 3, 12, 20))


def test_missing_masks_are_named(tmp_path) -> None:
    with pytest.raises(SemlinkError, match="gone.png: no such mask"):
        importance.create("file", path=str(tmp_path / "gone.png")).maps(torch.zeros(1, 3, 8, 8))
    with pytest.raises(SemlinkError, match="no pictures in this folder"):
        importance.create("file", path=str(tmp_path)).maps(torch.zeros(1, 3, 8, 8))


# Segmentation


@pytest.mark.parametrize(
    "chosen, numbers",
    [("car", (8,)), (8, (8,)), ("Car/pedestrian+bicyclist/sign", (8, 9, 10, 6)), ("p/11", None), ("8/9", (8, 9))],
)
def test_classes_by_name_beginning_and_number(chosen, numbers) -> None:
    if numbers:
        assert class_numbers(chosen, CLASSES) == numbers
    else:
        with pytest.raises(SemlinkError, match="class 'p' may be pole or pavement or pedestrian; known: sky"):
            class_numbers(chosen, CLASSES)


@pytest.mark.parametrize("chosen", ["horse", "11", "", "car/", "car pedestrian", -1])
def test_unknown_classes_are_refused(chosen) -> None:
    with pytest.raises(SemlinkError, match="known: sky, building"):
        class_numbers(chosen, CLASSES)


def test_a_whole_name_wins_over_the_beginning_of_another() -> None:
    assert class_numbers("car", ("cargo", "car", "carpet")) == (1,)


def test_classes_travel_in_a_word() -> None:
    word = parse("roi_jscc:importance=segmentation:classes=car/sign")
    assert dict(word.settings)["importance"] == "segmentation:classes=car/sign"


def test_the_map_is_the_union_of_its_classes(weights) -> None:
    images = pictures(2, 48, 64)
    labels = Segmentation(weights=weights).labels(images)
    assert labels.dtype == torch.int64 and len(labels.unique()) > 3
    for chosen in ((0,), (1, 2, 5), tuple(range(11))):
        maps = importance.create("segmentation", weights=weights, classes="/".join(map(str, chosen))).maps(images)
        assert torch.equal(maps, torch.isin(labels, torch.tensor(chosen)).float())


def test_large_pictures_are_shown_small(weights) -> None:
    images = pictures(1, 96, 128)
    small = torch.nn.functional.interpolate(images, size=(48, 64), mode="bilinear", antialias=True)
    found = Segmentation(weights=weights, side=64).labels(images)
    expected = Segmentation(weights=weights).labels(small)
    assert torch.equal(found, expected.repeat_interleave(2, 1).repeat_interleave(2, 2))
    whole = Segmentation(weights=weights, side=0).labels(images)
    assert torch.equal(whole, Segmentation(weights=weights, side=128).labels(images))


def test_segmentation_refuses_what_does_not_fit_together(weights) -> None:
    with pytest.raises(SemlinkError, match="are for our own network"):
        importance.create("segmentation", weights=weights, model="org/net").maps(torch.zeros(1, 3, 8, 8))
    with pytest.raises(SemlinkError, match="side is -1"):
        importance.create("segmentation", side=-1)
    with pytest.raises(SemlinkError, match="unknown network 'vnet'; known: unet, pyramid"):
        importance.create("segmentation", network="vnet")
    with pytest.raises(SemlinkError, match="no such weights"):
        importance.create("segmentation", weights="gone.safetensors").maps(torch.zeros(1, 3, 8, 8))


# Models of the zoo


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny SegFormer, saved as its users save theirs."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    names = dict(enumerate(name.title() for name in TRAFFIC))
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8, id2label=names
    )
    folder = tmp_path_factory.mktemp("segformer")
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    preprocessor = {"image_processor_type": "SegformerImageProcessor", "size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return str(folder)


def test_transformers_models_name_their_classes(segformer) -> None:
    images = pictures(2, 40, 50)
    maker = Segmentation(model=segformer, classes="Car/traffic light")
    labels = maker.labels(images)
    assert labels.shape == (2, 40, 50) and set(labels.unique().tolist()) <= {0, 1, 2}
    assert torch.equal(maker.maps(images), (labels < 2).float())
    assert torch.equal(maker.maps(images[1:]), maker.maps(images)[1:])
    with pytest.raises(SemlinkError, match="known: car, traffic light, road"):
        Segmentation(model=segformer, classes="horse").maps(images)


def test_transformers_models_decide_as_their_own_processor_does(segformer) -> None:
    import transformers

    image = pictures(1, 64, 64)
    processor = transformers.AutoImageProcessor.from_pretrained(segformer)
    network = transformers.AutoModelForSemanticSegmentation.from_pretrained(segformer).eval()
    whole = (255 * image[0]).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with torch.no_grad():
        outputs = network(**processor(images=whole, return_tensors="pt"))
    expected = processor.post_process_semantic_segmentation(outputs, target_sizes=[(64, 64)])[0]
    assert torch.equal(Segmentation(model=segformer).labels(image)[0], expected)


def test_a_folder_without_a_model_says_what_it_needs(tmp_path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(SemlinkError, match="did not load .*; it needs config.json, preprocessor_config.json"):
        _segmenters.find(str(tmp_path), None)


def test_an_unreachable_hub_says_what_to_download(monkeypatch) -> None:
    import huggingface_hub

    def unreachable(name: str, **options: object) -> str:
        raise OSError("no route to host\nmore words")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(SemlinkError, match=r"\(no route to host\); where .* `hf download org/net --local-dir FOLDER`"):
        _segmenters._fetched("org/net")


@pytest.mark.parametrize("module, model", [("transformers", "org/net"), ("torchvision", "fcn_resnet50")])
def test_a_missing_zoo_is_named(monkeypatch, module, model) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SemlinkError, match=f"pip install {module}"):
        _segmenters.find(model, None)


class Thresholds(torch.nn.Module):
    """Class 1 where the picture is bright; answers at half the size, as torchvision's models answer a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        bright = torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 2) - self.level
        return {"out": torch.cat([-bright, bright], 1)}


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The few functions of torchvision.models that are used, over one tiny model."""
    asked = SimpleNamespace(url="https://example.org/bright-0.pth", options=None)

    def get_model(name: str, weights: None, weights_backbone: None, num_classes: int, aux_loss: bool) -> Thresholds:
        asked.options = (name, num_classes, aux_loss)
        return Thresholds()

    default = SimpleNamespace(
        url=asked.url, meta={"categories": ["__background__", "Car"]}, transforms=lambda: lambda picture: picture - 0.25
    )
    models = SimpleNamespace(
        segmentation="segmentation",
        list_models=lambda module: ["bright"] if module == "segmentation" else [],
        get_model_weights=lambda name: SimpleNamespace(DEFAULT=default),
        get_model=get_model,
    )
    module = ModuleType("torchvision")
    module.models = models
    monkeypatch.setitem(sys.modules, "torchvision", module)
    _segmenters.find.cache_clear()
    yield asked
    _segmenters.find.cache_clear()


def test_torchvision_models_get_their_weights_and_transforms(monkeypatch, torchvision) -> None:
    def downloaded(url: str, **options: object) -> dict[str, Tensor]:
        assert url == torchvision.url and options["weights_only"] and options["check_hash"]
        return {"level": torch.tensor(0.25)}

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", downloaded)
    image = torch.full((1, 3, 8, 12), 0.2)
    image[..., 6:] = 0.8
    expected = torch.zeros(1, 8, 12)
    expected[..., 6:] = 1
    assert torch.equal(importance.create("segmentation", model="bright", classes="car").maps(image), expected)
    assert torchvision.options == ("bright", 2, True)


def test_torchvision_says_what_to_download(monkeypatch, torchvision) -> None:
    def unreachable(url: str, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    with pytest.raises(SemlinkError, match="no route to host.*put https://example.org/bright-0.pth into"):
        _segmenters.find("bright", None)
    with pytest.raises(SemlinkError, match="no torchvision model; known: bright"):
        _segmenters.find("dark", None)
