"""Source coders: fidelity against known levels, what is sent, odd sizes, corrupt bytes, and the budget search."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.codecs._sources import hevc
from semlink.codecs._sources.coders import CODERS, coder
from semlink.codecs._sources.fitting import fit
from semlink.simulator.errors import SemlinkError

NAMES = tuple(CODERS)


def photo(height: int, width: int) -> np.ndarray:
    """A colour photograph from scikit-image, uint8."""
    from skimage.data import chelsea

    return np.ascontiguousarray(chelsea()[60 : 60 + height, 100 : 100 + width])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 33), (17, 5), (32, 32), (63, 65)])
def test_any_size_comes_back(name: str, size: tuple[int, int]) -> None:
    source = CODERS[name]
    image = photo(*size)
    data = source.encode(image, source.qualities[-1])
    assert psnr(image, source.decode(data, *size)) > 34


@pytest.mark.parametrize("name", NAMES)
def test_it_travels_to_other_processes(name: str) -> None:
    source, image = CODERS[name], photo(8, 8)
    there = pickle.loads(pickle.dumps(source))
    assert there.mark(there.encode(image, 50), 3) == source.mark(source.encode(image, 50), 3)


@pytest.mark.parametrize("name", NAMES)
def test_more_bytes_less_error_and_no_offset(name: str) -> None:
    source, image = CODERS[name], photo(96, 128)
    levels = [source.qualities[k * (len(source.qualities) - 1) // 4] for k in range(5)]
    coded = [source.encode(image, q) for q in levels]
    pictures = [source.decode(data, 96, 128) for data in coded]
    assert sorted(map(len, coded)) == [len(data) for data in coded]
    errors = [psnr(image, picture) for picture in pictures]
    assert sorted(errors) == errors
    offset = np.abs(pictures[3].astype(float).mean((0, 1)) - image.mean((0, 1)))
    assert offset.max() < 0.6, f"mean colour moved by {offset}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["black", "white", "noise", "grey photo", "red edge"])
def test_extreme_pictures_share_the_session_constants(name: str, kind: str) -> None:
    grey = photo(40, 48).mean(2, keepdims=True).astype(np.uint8).repeat(3, 2)
    edge = np.zeros((40, 48, 3), np.uint8)
    edge[:, 20:, 0] = 255
    image = {
        "black": np.zeros_like(edge),
        "white": np.full_like(edge, 255),
        "noise": np.random.default_rng(0).integers(0, 256, edge.shape, dtype=np.uint8),
        "grey photo": grey,
        "red edge": edge,
    }[kind]
    source = CODERS[name]
    for quality in (source.qualities[0], source.qualities[len(source.qualities) // 2]):
        assert source.decode(source.encode(image, quality), 40, 48).shape == image.shape


@pytest.mark.parametrize("name", NAMES)
def test_corrupt_bytes_never_do_worse_than_an_error(name: str) -> None:
    source, rng = CODERS[name], np.random.default_rng(1)
    data = source.encode(photo(24, 40), source.qualities[len(source.qualities) // 2])
    refused = 0
    for trial in range(60):
        broken = bytearray(data if trial % 3 else rng.bytes(80))
        if trial % 3 == 1:
            broken = broken[: rng.integers(len(data))]
        elif trial % 3 == 2:
            broken[rng.integers(min(40, len(data)))] ^= int(rng.integers(1, 256))
        try:
            assert source.decode(bytes(broken), 24, 40).shape == (24, 40, 3)
        except SemlinkError as error:
            refused += 1
            assert name in str(error)
    assert refused > 0
    with pytest.raises(SemlinkError):
        source.decode(b"", 24, 40)


@pytest.mark.parametrize("name", ["jpeg", "jpegxl"])
def test_a_picture_of_another_size_is_refused(name: str) -> None:
    data = CODERS[name].encode(photo(24, 40), 50)
    with pytest.raises(SemlinkError):
        CODERS[name].decode(data, 40, 24)


SIZES = [(1, 1), (5, 7), (40, 40), (256, 256), (64, 96), (300, 500), (1080, 1920), (700, 9)]


@pytest.mark.parametrize("height, width", SIZES)
def test_jpegxl_size_header_agrees_with_the_library(height: int, width: int) -> None:
    from semlink.codecs._sources.coders import _jxl, jxl_size

    assert jxl_size(_jxl(np.zeros((height, width, 3), np.uint8), 0)) == (height, width)


@pytest.mark.parametrize("layout", sorted(hevc.OFFSETS))
def test_hevc_parameter_sets_depend_on_size_and_variant_alone(layout: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.zeros((64, 48, 3), np.uint8), photo(64, 48), rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)]
    for variant in (0, 1):
        seen = {
            hevc._stream(hevc._planes(picture, layout), qp, layout, variant)[0]
            for picture in pictures
            for qp in (0, 22, 51)
        }
        assert seen == {hevc._parameter_sets(64, 48, layout, variant)}
    assert hevc._parameter_sets(64, 48, layout, 0) != hevc._parameter_sets(64, 48, layout, 1)


def test_hevc_colour_axes_are_orthogonal_and_invertible() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    back = hevc._picture(hevc._planes(image, "yuv444p10le"))
    np.testing.assert_array_equal(back, image)


def test_hevc_refuses_data_that_smuggles_another_nal_unit() -> None:
    data = CODERS["hevc"].encode(photo(32, 32), 40)
    sets = hevc._parameter_sets(256, 256, "yuv420p10le", 0)
    with pytest.raises(SemlinkError):
        CODERS["hevc"].decode(data + b"".join(b"\0\0\1" + nal for nal in sets), 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_fit_finds_the_best_quality_that_an_exhaustive_search_finds(name: str) -> None:
    image = photo(48, 64)
    source = replace(CODERS[name], qualities=CODERS[name].qualities[::4])
    sizes = [len(source.encode(image, q)) for q in source.qualities]
    monotone = np.maximum.accumulate(sizes)
    for budget in (sizes[0], sizes[0] + 1, sizes[5] + 3, sizes[len(sizes) // 2], sizes[-1] + 100):
        data, quality = fit(source, image, int(budget))
        assert len(data) <= budget and data == source.encode(image, quality)
        assert source.qualities.index(quality) >= np.searchsorted(monotone, budget, side="right") - 1
    assert fit(source, image, sizes[0] - 1) is None
    assert fit(source, image, 0) is None


def test_fit_encodes_seldom_and_remembers() -> None:
    calls: list[int] = []

    def write(image: np.ndarray, quality: int) -> bytes:
        calls.append(quality)
        return CODERS["jpeg"].write(image, quality)

    source = replace(CODERS["jpeg"], name="counted", write=write)
    first = fit(source, photo(64, 64), 900)
    assert first is not None and len(calls) == len(set(calls)) <= 10
    calls.clear()
    assert fit(source, photo(64, 64), 900) == first and not calls


def test_wrong_calls_say_so() -> None:
    with pytest.raises(SemlinkError, match="known: jpeg"):
        coder("gif")
    with pytest.raises(ValueError, match="uint8"):
        coder("jpeg").encode(np.zeros((4, 4, 3), np.float32), 50)
    with pytest.raises(ValueError, match="qualities"):
        coder("hevc").encode(photo(8, 8), 104)


KODAK = Path(os.environ.get("SEMLINK_DATA", "nowhere")) / "kodak" / "kodim23.png"


@pytest.mark.skipif(not KODAK.exists(), reason="needs kodak/kodim23.png under SEMLINK_DATA")
@pytest.mark.parametrize(
    "name, level",
    [("jpeg", 31.0), ("jpeg2000", 34.5), ("webp", 33.9), ("avif", 35.4), ("hevc", 35.3), ("hevc444", 35.3)],
)
def test_kodim23_reaches_the_measured_level_of_other_encoders(name: str, level: float) -> None:
    image = np.array(Image.open(KODAK).convert("RGB"))
    data, _ = fit(CODERS[name], image, int(0.26 * image.size / 24))
    assert psnr(image, CODERS[name].decode(data, *image.shape[:2])) > level
