"""The segmenters: shapes, files, shipped weights and cards; labels; the training script on streets of one car."""

import csv
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink.codecs._regions import pyramid, training_views, unet
from semlink.codecs._regions.classes import CLASSES
from semlink.codecs._regions.unet import UNet, load, segment
from semlink.codecs._regions.unet_training import class_weights, frames, measure, segmentation_loss
from semlink.simulator import data
from semlink.simulator.data import class_names
from semlink.simulator.errors import SemlinkError
from semlink.simulator.training.run import prepare, save_weights

SHIPPED = {unet: unet.CAMVID, pyramid: pyramid.SCORER}


@pytest.fixture(scope="module")
def experiment() -> Iterator[ModuleType]:
    with loaded("train_segmenter") as module:
        yield module


@pytest.fixture
def camvid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with three sets of four frames: road (class 3) below, sky (0) above, a car (8), a line ignored."""
    random = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for folder in (part, f"{part}annot"):
            (tmp_path / "camvid-drives" / folder).mkdir(parents=True)
        for k in range(4):
            classes = np.zeros((48, 64), np.uint8)
            classes[24 - k :], classes[30:40, 10 * k : 10 * k + 20], classes[47] = 3, 8, 11
            colours = np.array([[90, 160, 250]] * 3 + [[90, 90, 90]] * 5 + [[200, 30, 30]] * 4)[classes]
            noisy = (colours + random.normal(0, 10, colours.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / "camvid-drives" / part / f"f{k}.png")
            Image.fromarray(classes).save(tmp_path / "camvid-drives" / f"{part}annot" / f"f{k}.png")
    described = {"classes": [*(c.title() for c in CLASSES), "Unlabelled"], "ignore_index": 11}
    (tmp_path / "camvid-drives" / "classes.json").write_text(json.dumps(described))
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    return tmp_path / "camvid-drives"


# The network


@pytest.mark.parametrize("height, width", [(1, 1), (5, 17), (16, 16), (47, 33), (192, 256)])
def test_logits_have_the_pictures_size(height, width) -> None:
    network = UNet(classes=3, widths=(4, 8, 8, 8)).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, height, width)).shape == (2, 3, height, width)


def test_a_picture_is_segmented_alike_in_any_company() -> None:
    torch.manual_seed(0)
    network = UNet().eval()
    images = torch.rand(3, 3, 48, 40)
    labels = segment(network, images)
    assert labels.shape == (3, 48, 40) and labels.dtype == torch.int64
    assert torch.equal(labels, segment(network, images.flip(0)).flip(0))
    assert torch.equal(labels[:1], segment(network, images[:1]))


def test_files_rebuild_the_network_and_wrong_ones_are_named(tmp_path) -> None:
    torch.manual_seed(0)
    network = UNet(classes=2, widths=(4, 8, 8, 8)).eval()
    path = tmp_path / "two.safetensors"
    save_weights(network, path, {})
    images = torch.rand(1, 3, 32, 32)
    assert torch.allclose(load(path)(images), network(images), atol=1e-6)
    assert load(path) is load(path) and not any(p.requires_grad for p in load(path).parameters())
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    for name, message in (("bad", "not a safetensors file"), ("gone", "no such weights")):
        with pytest.raises(SemlinkError, match=message):
            load(tmp_path / f"{name}.safetensors")
    network.settings["classes"] = 3
    save_weights(network, tmp_path / "other.safetensors", {})
    with pytest.raises(SemlinkError, match="do not fit this network"):
        load(tmp_path / "other.safetensors")


# The shipped weights


def test_the_shipped_file_is_small() -> None:
    network = load()
    assert unet.CAMVID.stat().st_size <= 4 << 20
    assert 5e5 <= sum(p.numel() for p in network.parameters()) <= 1e6 and not network.training
    assert network.settings["classes"] == len(CLASSES)


@pytest.mark.parametrize("module", [unet, pyramid], ids=["unet", "pyramid"])
def test_the_card_tells_the_measured_test_figures(data_root, module) -> None:
    if not (data_root / "camvid-drives" / "testannot").is_dir():
        pytest.skip("camvid-drives is not among the real data")
    card = json.loads(SHIPPED[module].with_suffix(".json").read_text(encoding="utf-8"))
    found = measure(module.load(), frames("camvid-drives"))
    assert found["frames"] == card["test"]["frames"] == 124
    assert found["miou"] == pytest.approx(card["test"]["miou"], abs=0.002)
    assert found["iou"] == pytest.approx(card["test"]["iou"], abs=0.01)
    assert np.mean(list(found["iou"].values())) == pytest.approx(found["miou"], abs=1e-3)


def test_no_shipped_network_has_seen_a_frame_of_the_test_drive() -> None:
    """The weights that steer, tune and score come from drive 0016E5, or from photographs."""
    for name in ("unet-camvid", "pyramid-camvid", "roi_jscc-street-m2", "roi_jscc-street-m4"):
        said = (unet.CAMVID.parent / f"{name}.json").read_text(encoding="utf-8")
        assert "0016E5" in said or "camvid-drives-train" in said, name
        assert "camvid-train" not in said and "367" not in said, name


def test_the_scorer_is_another_network_and_small() -> None:
    network = pyramid.load()
    assert pyramid.SCORER.stat().st_size <= 3 << 20 and not network.training
    assert not set(network.state_dict()) & set(load().state_dict())
    assert any(isinstance(part, torch.nn.Conv2d) and part.groups > 1 for part in network.modules())


@pytest.mark.parametrize("height, width", [(1, 1), (33, 70), (64, 96)])
def test_the_scorers_logits_have_the_pictures_size(height, width) -> None:
    with torch.no_grad():
        assert pyramid.Pyramid(classes=3, width=8).eval()(torch.rand(2, 3, height, width)).shape == (
            2,
            3,
            height,
            width,
        )


def test_the_scorers_encoder_is_the_published_one(tmp_path) -> None:
    """Every tensor finds its place by its published name, and stride 2 pads as TensorFlow, (0, 1)."""
    network, other = pyramid.Pyramid(), pyramid.Pyramid()
    published = {pyramid.its_name(name): tensor for name, tensor in other.encoder.state_dict().items()}
    assert {"_conv_stem.weight", "_bn0.running_var", "_blocks.0._bn1.weight"} <= set(published)
    assert {"_blocks.14._project_conv.weight", "_blocks.14._expand_conv.weight", "_blocks.14._bn0.bias"} <= set(
        published
    )
    torch.save(published, tmp_path / "lite0.pth")
    pyramid.adopt_imagenet(network, tmp_path / "lite0.pth")
    own, given = network.encoder.state_dict(), other.encoder.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in given)
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(SemlinkError, match="not the weights of EfficientNet-lite0"):
        pyramid.adopt_imagenet(network, tmp_path / "empty.pth")
    layer, x = pyramid.SameConvolution(1, 1, 3, 2), torch.rand(1, 1, 6, 6)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    assert torch.equal(layer(x), torch.nn.functional.conv2d(padded, layer.weight, stride=2))


def test_a_frame_takes_well_under_a_second() -> None:
    frame = torch.rand(1, 3, 192, 256)
    segment(load(), frame)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        segment(load(), frame)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


# Labels


def test_labels_go_with_their_pictures(camvid) -> None:
    labels, pictures = data.labels("camvid-drives-train"), data.load("camvid-drives-train")
    assert labels.classes == CLASSES and labels.ignore == 11 and len(labels) == len(pictures) == 4
    for i in range(4):
        assert labels[i].shape == pictures[i].shape[1:] and labels[i].dtype == torch.uint8
        car = pictures[i][:, labels[i] == 8].mean(1)
        assert torch.allclose(car, torch.tensor([200, 30, 30]) / 255, atol=0.02)
    assert len(data.labels("camvid-drives", limit=2)) == 2


def test_labels_that_are_missing_or_wrong_are_named(camvid) -> None:
    with pytest.raises(
        SemlinkError, match="kodak: no labels; name their folder, or take a set that has some: camvid-drives"
    ):
        data.labels("kodak")
    Image.fromarray(np.full((4, 4), 12, np.uint8)).save(camvid / "testannot" / "f1.png")
    with pytest.raises(SemlinkError, match="f1.png: class 12 is not among 11 classes"):
        data.labels("camvid-drives")[1]
    Image.new("RGB", (4, 4)).save(camvid / "testannot" / "f2.png")
    with pytest.raises(SemlinkError, match="f2.png.*one channel"):
        data.labels("camvid-drives")[2]
    (camvid / "testannot" / "f3.png").unlink()
    with pytest.raises(SemlinkError, match="f3.png: no such file; every picture needs a class map"):
        data.labels("camvid-drives")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.json", '["Sky", "Road", "Unlabelled"]'),
        ("classes.json", '{"classes": ["sky", "road"], "ignore_index": 255}'),
        ("classes.txt", "sky\nroad\n\n"),
        ("classes.txt", "void\nsky\nroad\n"),
    ],
)
def test_class_files_of_users(tmp_path, name, text) -> None:
    (tmp_path / name).write_text(text)
    found = class_names.find_classes(tmp_path / "maps")
    names, ignore = class_names.read_classes(found)
    assert [n for i, n in enumerate(names) if i != ignore] == ["sky", "road"]
    assert ignore == {"[": 2, "{": 255, "s": 255, "v": 0}[text[0]]


WRONG = ["[]", '["sky", "Sky"]', '{"names": []}', "[1, 2]", "no JSON", '{"classes": 3}', "[" * 100_000]
WRONG += ['"text"', '{"classes": "text"}', '{"classes": {"a": 1}}', '["sky", " "]']
WRONG += [f'{{"classes": ["sky", "road"], "ignore_index": {value}}}' for value in ("-1", "256", "1.5", "true", "null")]


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[-25:])
def test_class_files_that_are_none(tmp_path, text) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(SemlinkError, match="classes.json: .*write a JSON list of names"):
        class_names.read_classes(tmp_path / "classes.json")


def test_labels_of_a_folder_of_ones_own(camvid, tmp_path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for k in (1, 2):
        Image.open(camvid / "test" / f"f{k}.png").save(frames / f"f{k}.jpg")
    found = data.labels(str(frames), folder=camvid / "testannot")
    assert [path.name for path in found.paths] == ["f1.png", "f2.png"] and found.classes == CLASSES
    (tmp_path / "own.txt").write_text("\n".join(CLASSES))
    assert data.labels(str(frames), folder=camvid / "testannot", classes=tmp_path / "own.txt").ignore == 255
    with pytest.raises(SemlinkError, match="no such folder of class maps"):
        data.labels(str(frames), folder=tmp_path / "gone")
    with pytest.raises(SemlinkError, match="classes.json: no such file; name the classes there or with --classes"):
        data.labels(str(frames), folder=moved(camvid / "testannot", tmp_path / "elsewhere" / "maps"))


def moved(folder: Path, to: Path) -> Path:
    """The folder elsewhere."""
    to.parent.mkdir()
    return folder.rename(to)


def test_labels_of_the_real_set(data_root) -> None:
    if not (data_root / "camvid-drives").is_dir():
        pytest.skip("camvid-drives is not among the real data")
    assert [len(data.labels(name)) for name in data.LABELLED] == [124, 305, 101]
    labels = data.labels("camvid-drives-val")
    assert labels.classes == CLASSES and labels[0].shape == (192, 256)


# The training script


def test_class_weights_are_the_formula() -> None:
    labels = torch.tensor([[[0, 0, 0, 1], [11, 11, 11, 11]]], dtype=torch.uint8)
    raw = np.array([1 / np.log(1.1 + share) for share in (0.75, 0.25, 0.0)])
    np.testing.assert_allclose(class_weights(labels, 3), raw / raw.mean(), rtol=1e-5)


def test_loss_of_known_decisions() -> None:
    labels = torch.tensor([[[0, 1], [1, 2]]])
    equal = torch.ones(2)
    even = segmentation_loss(torch.zeros(1, 2, 2, 2), labels, equal, 0.0)
    assert even.item() == pytest.approx(np.log(2))
    sure = 50 * torch.nn.functional.one_hot(labels.clamp_max(1), 2).permute(0, 3, 1, 2).float()
    # certain and right: entropy 0; soft IoU of n pixels is n / (n + 1), here 1/2 and 2/3
    right = segmentation_loss(sure, labels, equal, 1.0)
    assert right.item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-5)
    sure[..., 1, 1] = -sure[..., 1, 1]
    assert segmentation_loss(sure, labels, equal, 1.0).item() == pytest.approx(right.item(), abs=1e-5)


def test_views_move_pictures_and_labels_together(monkeypatch) -> None:
    monkeypatch.setattr(training_views, "random_colours", lambda x, generator: x)
    labels = torch.zeros(2, 48, 64, dtype=torch.uint8)
    labels[:, 20:], labels[:, 30:40, 20:50] = 3, 8
    pictures = (20 * labels)[:, None].expand(-1, 3, -1, -1)
    x, y = training_views.augmented_batch(pictures, labels, 16, torch.Generator().manual_seed(0))
    assert x.shape == (16, 3, 48, 64) and y.dtype == torch.int64 and set(y.unique().tolist()) == {0, 3, 8, 11}
    seen, known = (x[:, 0] * 255 / 20).round(), y != 11
    assert (seen[known] == y[known]).float().mean() > 0.94  # edges are blurred
    assert len({tuple(view.flatten().tolist()) for view in y}) == 16
    again = training_views.augmented_batch(pictures, labels, 16, torch.Generator().manual_seed(0))
    assert torch.equal(x, again[0]) and torch.equal(y, again[1])


def test_colours_stay_in_range_and_differ_by_picture() -> None:
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1, -1)
    other = training_views.random_colours(x, torch.Generator().manual_seed(1))
    assert other.min() >= 0 and other.max() <= 1
    assert min((other[i] - other[j]).abs().max() for i in range(6) for j in range(i)) > 0.02


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that a test can train."""
    monkeypatch.setattr(unet, "UNet", partial(UNet, widths=(8, 16, 16, 16)))


def test_a_resumed_run_is_the_uninterrupted_one(camvid, tmp_path, experiment, tiny) -> None:
    def training(folder: str) -> Any:
        flags = experiment.SegmenterFlags(out=tmp_path / folder, steps=6, batch=2)
        prepare(flags.threads, flags.seed)
        return experiment.make_run(flags)

    whole = training("whole")
    losses = [whole._step() for _ in range(6)]
    first = training("parts")
    assert [first._step() for _ in range(3)] == losses[:3]
    first.save(first.levels(quick=True))
    second = training("parts")
    assert second.step == 3 and [second._step() for _ in range(3)] == losses[3:]
    for mean, expected in zip(second.average.state_dict().values(), whole.average.state_dict().values(), strict=True):
        assert torch.equal(mean, expected)


def test_the_scorer_trains_by_the_same_script(camvid, tmp_path, experiment) -> None:
    out = tmp_path / "scorer"
    assert experiment.main(experiment.SegmenterFlags(out=out, network="pyramid", steps=2, batch=1)) == 0
    assert pyramid.load(out / "weights.safetensors").settings == {"classes": 11, "width": 64}
    assert json.loads((out / "card.json").read_text())["recipe"]["network"] == "pyramid"
    with pytest.raises(SemlinkError, match="--init is where the pyramid begins"):
        experiment.fresh(experiment.SegmenterFlags(init=tmp_path / "any.pth"))


def test_script_learns_and_evaluates(camvid, tmp_path, experiment, tiny, capsys) -> None:
    out = tmp_path / "out"
    assert experiment.main(experiment.SegmenterFlags(out=out, steps=100, batch=4, lr=6e-2, ema=0.8)) == 0
    rows = list(csv.DictReader((out / "curve.csv").open()))
    card = json.loads((out / "card.json").read_text())
    assert rows[-1]["step"] == "100" and card["steps"] == 100 and card["recipe"]["lr"] == 6e-2
    assert card["validation"]["miou"] > 0.8 and card["validation"]["iou"]["car"] > 0.7
    assert load(out / "weights.safetensors").settings == {"classes": 11, "widths": [8, 16, 16, 16]}
    assert experiment.main(experiment.SegmenterFlags(out=out, evaluate=out / "weights.safetensors")) == 0
    found = json.loads((out / "evaluation.json").read_text())
    assert found["frames"] == 4 and found["miou"] > 0.8 and found["iou"]["tree"] is None
    assert "mIoU over the 4 test frames" in capsys.readouterr().out
