"""Pictures arrive right whatever their format, against Pillow and known values; bad input gives one clear line."""

import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from semlink.simulator import data
from semlink.simulator.data import pictures
from semlink.simulator.data.spread import spread
from semlink.simulator.errors import SemlinkError

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def rgb(path: Path) -> np.ndarray:
    """What `load` makes of one file, `[H, W, 3]`."""
    return data.load(path)[0].numpy().transpose(1, 2, 0)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A small CIFAR-10 under a data root: 130 test pictures and 5 batches of 3; the test rows are returned."""
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    folder = tmp_path / data.CIFAR
    folder.mkdir()
    rows = RNG.integers(0, 256, (130, data.CIFAR_ROW), dtype=np.uint8)
    rows.tofile(folder / "test_batch.bin")
    for k in range(5):
        np.full((3, data.CIFAR_ROW), 10 * k, np.uint8).tofile(folder / f"data_batch_{k + 1}.bin")
    return rows


def test_plain_rgb_is_code_values_over_255(tmp_path: Path) -> None:
    tensor = data.load(saved(tmp_path, "a.png", Image.fromarray(PIXELS)))[0]
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 6, 9)
    np.testing.assert_allclose(tensor.numpy(), PIXELS.transpose(2, 0, 1) / 255, atol=1e-7)


def test_grey_palette_and_bilevel(tmp_path: Path) -> None:
    grey = PIXELS[..., 0]
    got = rgb(saved(tmp_path, "l.png", Image.fromarray(grey)))
    np.testing.assert_allclose(got, grey[..., None].repeat(3, 2) / 255, atol=1e-7)
    palette = Image.fromarray(PIXELS).quantize(32)
    got = rgb(saved(tmp_path, "p.png", palette))
    np.testing.assert_allclose(got, np.asarray(palette.convert("RGB")) / 255, atol=1e-7)
    assert set(np.unique(rgb(saved(tmp_path, "1.png", Image.fromarray(grey > 99))))) == {0.0, 1.0}


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    alpha = np.zeros((6, 9, 1), np.uint8)
    alpha[:3], alpha[3] = 255, 51
    got = rgb(saved(tmp_path, "a.png", Image.fromarray(np.concatenate([PIXELS, alpha], 2))))
    np.testing.assert_allclose(got[:3], PIXELS[:3] / 255, atol=1e-6)
    np.testing.assert_allclose(got[3], 0.2 * PIXELS[3] / 255 + 0.8, atol=1e-6)
    np.testing.assert_allclose(got[4:], 1, atol=1e-6)
    keyed = saved(tmp_path, "p.gif", Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P"), transparency=1)
    np.testing.assert_allclose(rgb(keyed)[0, 1], 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_its_sixteen_bits(tmp_path: Path, channels: int) -> None:
    values = RNG.integers(0, 65536, (6, 9, channels), dtype=np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(values.squeeze()))
    colour = values[..., :3] if channels > 2 else values[..., :1].repeat(3, 2)
    np.testing.assert_allclose(rgb(path), colour / 65535, atol=1e-6)


def test_sixteen_bit_tiff(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", values, photometric="rgb")
    tifffile.imwrite(tmp_path / "g.tif", values[..., 0], photometric="minisblack")
    np.testing.assert_allclose(rgb(tmp_path / "c.tif"), values / 65535, atol=1e-6)
    np.testing.assert_allclose(rgb(tmp_path / "g.tif"), values[..., :1].repeat(3, 2) / 65535, atol=1e-6)


def test_cmyk_jpeg(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    got = rgb(saved(tmp_path, "a.jpg", Image.fromarray(flat).convert("CMYK"), quality=95))
    np.testing.assert_allclose(got, flat / 255, atol=0.02)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_agrees_with_pillow(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = saved(tmp_path, f"a.{suffix}", Image.fromarray(PIXELS), exif=exif)
    with Image.open(path) as image:
        image.load()
        expected = np.asarray(ImageOps.exif_transpose(image)) / 255
    got = rgb(path)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert data.load(path).sizes() == (got.shape[:2],)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 7), (3, 5)])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_tiny_and_odd_sizes(tmp_path: Path, height: int, width: int, suffix: str) -> None:
    saved(tmp_path, f"a.{suffix}", Image.new("RGB", (width, height), "red"))
    dataset = data.load(tmp_path)
    assert dataset[0].shape == (3, height, width) and dataset.sizes() == ((height, width),)


def test_folder_is_sorted_limited_and_ignores_other_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.PNG", ".hidden.png"):
        saved(tmp_path, name, Image.fromarray(PIXELS))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub").mkdir()
    dataset = data.load(tmp_path)
    assert dataset.ids == ("a.jpg", "b.png", "c.PNG") and len(list(dataset)) == 3
    assert data.load(str(tmp_path), limit=2).ids == ("a.jpg", "c.PNG") and len(data.load(tmp_path, limit=9)) == 3
    assert torch.equal(dataset.batch([1, 2])[1], dataset[2]) and torch.equal(dataset[-1], dataset[2])
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0], dataset[0])


@pytest.mark.parametrize("count", [1, 2, 3, 98, 2000])
def test_a_limit_is_spread_and_grows_by_adding(count: int) -> None:
    """Of any first k, no stretch of the set that is twice as long as an even share lacks a picture."""
    order = spread(count)
    assert sorted(order) == list(range(count))
    for k in {min(count, k) for k in (1, 2, 3, 10, 48, 64, 97)}:
        places = [-1, *sorted(order[:k]), count]
        assert max(b - a for a, b in itertools.pairwise(places)) <= 2 * count / k + 1


def test_a_limit_meets_every_class_of_a_sorted_set(tmp_path: Path) -> None:
    for place, kind in itertools.product(range(4), ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")):
        saved(tmp_path, f"{kind}-{place}.png", Image.new("RGB", (2, 2)))
    few, more = (data.load(tmp_path, limit=n).ids for n in (8, 12))
    assert len({name[:3] for name in few}) == 8 and more[:8] == few
    assert data.load(tmp_path, limit=32).ids == data.load(tmp_path).ids == tuple(sorted(data.load(tmp_path).ids))


def test_sets_in_no_order_give_their_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    (tmp_path / "kodak").mkdir()
    for k in range(5):
        saved(tmp_path, f"kodak/kodim{k}.png", Image.new("RGB", (2, 2)))
    assert data.load("kodak", limit=2).ids == ("kodim0.png", "kodim1.png")
    assert data.load("samples", limit=2).ids == data.load("samples").ids[:2]


def test_crop_is_central(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.png", Image.fromarray(PIXELS))
    dataset = data.load(path, size=4)
    np.testing.assert_allclose(dataset[0].numpy().transpose(1, 2, 0), PIXELS[1:5, 2:6] / 255, atol=1e-7)
    assert dataset.sizes() == ((4, 4),)
    for ask in (lambda: data.load(path, size=7)[0], data.load(path, size=7).sizes):
        with pytest.raises(SemlinkError, match=r"a\.png is 6x9, too small for size 7"):
            ask()


def test_a_batch_of_two_sizes_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "a.png", Image.new("RGB", (3, 4)))
    saved(tmp_path, "b.png", Image.new("RGB", (5, 4)))
    with pytest.raises(SemlinkError, match=r"a\.png 4x3 and b\.png 4x5"):
        data.load(tmp_path).batch([0, 1])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = saved(tmp_path, f"whole.{suffix}", noise).read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"not an image"), ("empty", b"")):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(content)
        with pytest.raises(SemlinkError, match=f"{name}.{suffix}") as caught:
            data.load(path)[0]
        assert "\n" not in str(caught.value)
    (tmp_path / f"cut.{suffix}").unlink()
    with pytest.raises(SemlinkError, match=f"empty.{suffix}"):
        data.load(tmp_path).sizes()


def test_truncated_sixteen_bit_png_is_named(tmp_path: Path) -> None:
    whole = imagecodecs.png_encode(RNG.integers(0, 65536, (64, 64, 3), dtype=np.uint16))
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SemlinkError, match=r"a\.png"):
        data.load(tmp_path)[0]


@pytest.mark.parametrize("side", [9000, 14000])
def test_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    path = saved(tmp_path, "bomb.png", Image.new("1", (side, side)))
    with pytest.raises(SemlinkError, match=r"bomb\.png.*pixels"):
        data.load(path)[0]


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "f.tif", Image.fromarray(np.ones((4, 4), np.float32)))
    with pytest.raises(SemlinkError, match="8 or 16 bits"):
        data.load(path)[0]


def test_nothing_there_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SemlinkError, match="no pictures in this folder"):
        data.load(tmp_path)
    with pytest.raises(SemlinkError, match="known sets: samples, cifar10"):
        data.load("kodack")
    monkeypatch.delenv("SEMLINK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.root() == tmp_path / "semlink" / "data"
    for name in data.NAMES[1:]:
        with pytest.raises(SemlinkError, match="SEMLINK_DATA") as caught:
            data.load(name)
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    for wrong in ({"limit": 0}, {"size": -1}):
        with pytest.raises(SemlinkError, match="at least 1"):
            data.load("samples", **wrong)


def test_samples_are_photographs_of_256(monkeypatch: pytest.MonkeyPatch) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    dataset = data.load("samples")
    assert len(dataset) >= 4 and set(dataset.sizes()) == {(256, 256)}
    batch = dataset.batch(range(len(dataset)))
    assert batch.shape == (len(dataset), 3, 256, 256) and 0 <= batch.min() and batch.max() <= 1
    chelsea = skimage_data.chelsea()[22:278, 97:353] / 255
    np.testing.assert_allclose(batch[dataset.ids.index("chelsea.png")].numpy().transpose(1, 2, 0), chelsea, atol=1e-6)
    assert data.load("samples", size=64, limit=1)[0].shape == (3, 64, 64)


def test_cifar_rows_planes_and_order(cifar: np.ndarray) -> None:
    dataset = data.load("cifar10")
    assert len(dataset) == 130 and dataset.ids[7] == "00007" and dataset.sizes()[0] == (32, 32)
    expected = cifar[[5, 129], 1:].reshape(2, 3, 32, 32) / 255
    np.testing.assert_allclose(dataset.batch([5, 129]).numpy(), expected, atol=1e-7)
    train = data.load("cifar10-train")
    assert [round(float(train[i].mean() * 255)) for i in (0, 2, 3, 14)] == [0, 0, 10, 40]


def test_mosaic_tiles_in_order_and_leaves_the_rest_out(cifar: np.ndarray) -> None:
    dataset = data.load("cifar10-mosaic")
    assert len(dataset) == 2 and dataset.ids[1] == "00064-00127" and dataset.sizes()[1] == (256, 256)
    mosaic = dataset[1].numpy()
    for row, column in ((0, 0), (0, 7), (3, 2), (7, 7)):
        tile = cifar[64 + 8 * row + column, 1:].reshape(3, 32, 32) / 255
        np.testing.assert_allclose(mosaic[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32], tile, atol=1e-7)


def test_cut_cifar_file_is_named(cifar: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / data.CIFAR / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SemlinkError, match=r"test_batch\.bin"):
        data.load("cifar10")


def test_names_and_sizes_need_no_torch() -> None:
    code = "import sys; from semlink.simulator import data; data.load('samples').sizes(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


REAL = Path(os.environ.get("SEMLINK_DATA", "nowhere"))


@pytest.mark.parametrize(
    "name, count, first",
    [
        ("cifar10", 10000, (32, 32)),
        ("cifar10-train", 50000, (32, 32)),
        ("cifar10-mosaic", 156, (256, 256)),
        ("kodak", 24, (512, 768)),
        ("imagenet-256", 98, (256, 256)),
        ("imagenet-256-train", 785, (256, 256)),
        ("tiny-imagenet-64", 2000, (64, 64)),
        ("tiny-imagenet-64-train", 10000, (64, 64)),
        ("bsds500-train", 200, None),
    ],
)
def test_real_sets(name: str, count: int, first: tuple[int, int] | None) -> None:
    place = REAL / (data.CIFAR if name.startswith("cifar") else data.FOLDERS[name])
    if not place.is_dir():
        pytest.skip(f"needs {place.relative_to(REAL)} under SEMLINK_DATA")
    dataset = data.load(name)
    assert len(dataset) == count
    picture = dataset[count - 1]
    assert picture.shape[0] == 3 and 0 <= picture.min() < picture.max() <= 1
    assert first is None or dataset.sizes()[0] == first
