"""TIFF by its tags: planes, white first, odd depths, extra samples, alpha, orientation; or one clear refusal."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlink.simulator import data
from semlink.simulator.data import tiff
from semlink.simulator.data.colours import upright
from semlink.simulator.errors import SemlinkError

RNG = np.random.default_rng(11)
DEEP = RNG.integers(0, 65536, (6, 9, 4), dtype=np.uint16)
SHALLOW = (DEEP >> 8).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tif"


def agrees(path: Path, expected: np.ndarray) -> None:
    """`load` makes of the file `[H, W, 3]`, or grey `[H, W, 1]`, and knows its size beforehand."""
    dataset = data.load(path)
    got = dataset[0].numpy().transpose(1, 2, 0)
    assert dataset.sizes() == (expected.shape[:2],) and got.dtype == np.float32
    np.testing.assert_allclose(got, np.broadcast_to(expected, (*expected.shape[:2], 3)), atol=1e-6)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(SemlinkError, match=rf"a\.tif: .*{reason}") as caught:
        data.load(path)[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("pixels", [DEEP[..., :3], SHALLOW[..., :3]])
def test_planes_of_their_own(path: Path, pixels: np.ndarray, compression: str | None) -> None:
    planes = pixels.transpose(2, 0, 1).copy()
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", compression=compression)
    agrees(path, pixels / np.iinfo(pixels.dtype).max)


def test_tiles_of_sixteen_bits(path: Path) -> None:
    pixels = np.tile(DEEP[..., :3], (4, 4, 1))
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(16, 16), compression="zlib", predictor=True)
    agrees(path, pixels / 65535)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_byte_orders_and_big_tiff(path: Path, order: str, big: bool) -> None:
    tifffile.imwrite(path, DEEP[..., :3], photometric="rgb", byteorder=order, bigtiff=big)
    agrees(path, DEEP[..., :3] / 65535)


@pytest.mark.parametrize("bits", [*range(1, 9), 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_of_any_depth(path: Path, bits: int, photometric: str) -> None:
    grey, white = DEEP[..., 0] >> (16 - bits), 2**bits - 1
    stored = grey if photometric == "minisblack" else white - grey
    kind = bool if bits == 1 else np.uint8 if bits <= 8 else np.uint16
    tifffile.imwrite(path, stored.astype(kind), photometric=photometric, bitspersample=bits)
    agrees(path, grey[..., None] / white)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_colours(path: Path, bits: int) -> None:
    pixels = DEEP[..., :3] >> (16 - bits)
    tifffile.imwrite(path, pixels, photometric="rgb", bitspersample=bits)
    agrees(path, pixels / (2**bits - 1))


@pytest.mark.parametrize("stored", [DEEP, SHALLOW])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_as_the_tag_says(path: Path, stored: np.ndarray, channels: int) -> None:
    white = np.iinfo(stored.dtype).max
    colour, alpha = stored[..., : channels - 1] / white, stored[..., 3:] / white
    photometric = "rgb" if channels == 4 else "minisblack"
    multiplied = (colour * alpha * white).round().astype(stored.dtype)
    for tag, pixels in (("unassalpha", stored[..., : channels - 1]), ("assocalpha", multiplied)):
        whole = np.concatenate([pixels, stored[..., 3:]], axis=2)
        tifffile.imwrite(path, whole, photometric=photometric, extrasamples=[tag], planarconfig="contig")
        got = data.load(path)[0].numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(got, (colour * alpha + 1 - alpha) + np.zeros((6, 9, 3)), atol=1 / white)
    tifffile.imwrite(path, whole, photometric=photometric, extrasamples=["unspecified"], planarconfig="contig")
    agrees(path, pixels / white)


def test_the_alpha_among_several_extra_samples(path: Path) -> None:
    pixels = np.concatenate([DEEP[..., :3], DEEP[..., :1], DEEP[..., 3:]], axis=2)
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    alpha = DEEP[..., 3:] / 65535
    agrees(path, DEEP[..., :3] / 65535 * alpha + 1 - alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [DEEP[..., :3], SHALLOW[..., :3]])
def test_orientation(path: Path, pixels: np.ndarray, orientation: int) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(tiff.ORIENTATION, "H", 1, orientation, True)])
    agrees(path, upright(pixels / np.iinfo(pixels.dtype).max, orientation))


@pytest.mark.parametrize(
    "pixels, reason",
    [
        (DEEP[..., 0].view(np.int16), "signed samples; save it as grey or RGB"),
        (SHALLOW[..., 0].view(np.int8), "signed samples"),
        (DEEP[..., 0].astype(np.uint32), "32-bit samples"),
        (DEEP[..., 0].astype(np.int32), "signed samples"),
        (DEEP[..., 0].astype(np.float16), "floating-point"),
        (DEEP[..., 0].astype(np.float64), "floating-point"),
    ],
)
def test_samples_without_a_white_are_refused(path: Path, pixels: np.ndarray, reason: str) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack")
    refused(path, reason)


def test_other_colour_models_are_refused_beyond_eight_bits(path: Path) -> None:
    tifffile.imwrite(path, DEEP, photometric="separated")
    refused(path, "samples of SEPARATED with more than 8 bits")
    Image.fromarray(np.full((6, 9, 3), (200, 60, 30), np.uint8)).convert("CMYK").save(path)
    agrees(path, np.full((6, 9, 3), (200, 60, 30)) / 255)


def test_volumes_are_refused(path: Path) -> None:
    volume = np.zeros((5, 16, 16), np.uint16)
    tifffile.imwrite(path, volume, photometric="minisblack", volumetric=True, tile=(16, 16, 16))
    refused(path, "of 5 layers")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_cut_and_damaged_files_are_named(path: Path, compression: str | None) -> None:
    noise = RNG.integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    tifffile.imwrite(path, noise, photometric="rgb", compression=compression)
    whole = path.read_bytes()
    for length in (len(whole) // 2, 200, 8, 4):
        path.write_bytes(whole[:length])
        refused(path, "mend it or take it away")


def test_too_many_pixels_are_refused_before_they_are_decoded(path: Path) -> None:
    tifffile.imwrite(
        path,
        shape=(9000, 9000),
        dtype=np.uint16,
        photometric="minisblack",
        compression="zlib",
        data=(iter([np.zeros((9000, 9000), np.uint16)])),
        rowsperstrip=9000,
    )
    refused(path, "more than 67108864 pixels")


def test_a_picture_of_no_pixels_is_refused(path: Path) -> None:
    tifffile.imwrite(path, DEEP[..., :3], photometric="rgb")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(0)
    refused(path, "no pixels")
