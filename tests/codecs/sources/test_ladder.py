"""The down-scaling ladder: better than any single size where bytes are few, and no corrupt byte does more than fail."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.codecs._sources import fitting, ladder
from semlink.codecs._sources.coders import CODERS
from semlink.codecs._sources.mosaic import mosaic
from semlink.simulator.errors import SemlinkError

HEVC = CODERS["hevc"]


def photo(height: int, width: int) -> np.ndarray:
    """A colour photograph from scikit-image, uint8."""
    from skimage.data import chelsea

    return np.ascontiguousarray(chelsea()[20 : 20 + height, 60 : 60 + width])


def psnr(error: float) -> float:
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("name", ["hevc", "avif", "webp", "jpegxl", "jpeg"])
@pytest.mark.parametrize("size", [(96, 144), (32, 32), (7, 5)])
def test_what_is_read_is_what_was_chosen(name: str, size: tuple[int, int]) -> None:
    for room in (3, 25, 60, 200, 900):
        found = ladder.code(CODERS[name], photo(*size), room)
        assert found is not None and len(found.data) <= room
        np.testing.assert_array_equal(ladder.read(CODERS[name], found.data, *size), found.picture)
        assert found.error == pytest.approx(np.mean((photo(*size).astype(float) - found.picture) ** 2))
    assert ladder.code(CODERS[name], photo(*size), 2) is None


def test_few_bytes_carry_a_smaller_picture_and_many_the_whole_one() -> None:
    image = photo(256, 256)
    found = [ladder.code(HEVC, image, room) for room in (60, 160, 500, 9000)]
    steps = [HEVC.unmark(f.data)[0] for f in found if f]
    assert steps == sorted(steps, reverse=True) and steps[0] >= 3 and steps[-1] == 0
    levels = [psnr(f.error) for f in found if f]
    flat = psnr(float(np.mean((image - image.mean((0, 1))) ** 2)))
    assert levels == sorted(levels) and levels[0] > flat + 3, (levels, flat)
    assert fitting.fit(HEVC, image, 160) is None, "the whole picture does not fit there at all"


def test_the_best_step_is_found() -> None:
    """What is left out because scaling alone loses too much would have been worse."""
    image = photo(128, 192)
    for room in (80, 250, 1500):
        best = ladder.code(HEVC, image, room)
        alone = [ladder._at_step(HEVC, image, room, step) for step in range(len(ladder.FACTORS))]
        assert best and best.error == min(own.error for own in alone if own)


def test_a_mark_costs_hevc_nothing() -> None:
    for quality in (0, 1, 51, 103):
        data = HEVC.encode(photo(40, 48), quality)
        for number in range(8):
            marked = HEVC.mark(data, number)
            assert len(marked) == len(data) and HEVC.unmark(marked) == (number, data)
        assert HEVC.mark(data, 0) == data
    assert CODERS["webp"].unmark(CODERS["webp"].mark(b"xyz", 5)) == (5, b"xyz")


@pytest.mark.parametrize("name", ["hevc", "webp"])
def test_corrupt_bytes_give_a_picture_or_an_error(name: str) -> None:
    rng, refused = np.random.default_rng(0), 0
    found = ladder.code(CODERS[name], photo(64, 80), 300)
    assert found
    for trial in range(80):
        data = bytearray(found.data if trial % 2 else rng.bytes(int(rng.integers(60))))
        if trial % 2:
            data[rng.integers(len(data) if trial % 4 == 1 else 2)] ^= int(rng.integers(1, 256))
        try:
            assert ladder.read(CODERS[name], bytes(data), 64, 80).shape == (64, 80, 3)
        except SemlinkError:
            refused += 1
    assert refused


def test_large_pictures_are_coded_few_times_and_nearly_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond `LARGE` pixels, here made small: as good as the whole search within a tenth of the bytes."""
    image, budget = photo(280, 380), 6000
    whole = ladder.code(HEVC, image, budget)
    calls: list[int] = []
    real = fitting._remembered
    monkeypatch.setattr(fitting, "_RECENT", fitting._Recent(1 << 20))
    monkeypatch.setattr(fitting, "LARGE", 1 << 16)
    monkeypatch.setattr(ladder, "LARGE", 1 << 16)

    def counted(source: object, picture: np.ndarray, digest: bytes, index: int) -> bytes:
        calls.append(index) if picture.shape[:2] == image.shape[:2] else None
        return real(source, picture, digest, index)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "_remembered", counted)
    quick = ladder.code(HEVC, image, budget)
    assert whole and quick and 0.9 * budget < len(quick.data) <= budget
    assert psnr(quick.error) > psnr(whole.error) - 0.4 and len(set(calls)) <= fitting.TRIALS


@pytest.mark.parametrize("size", [(1000, 2000), (130, 70), (100, 3000), (256, 256)])
def test_a_mosaic_is_small_and_made_of_the_picture(size: tuple[int, int]) -> None:
    image = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(*size, 3)
    found = mosaic(image, 2)
    assert found.shape[0] <= max(256, min(255, size[0])) and found.shape[1] <= 256 and np.isin(found, image).all()
    assert len(np.unique(found)) == found.size, "no pixel twice"


KODAK = Path(os.environ.get("SEMLINK_DATA", "nowhere")) / "kodak" / "kodim08.png"


@pytest.mark.skipif(not KODAK.exists(), reason="needs kodak/kodim08.png under SEMLINK_DATA")
def test_a_busy_photograph_where_nothing_else_fits() -> None:
    """The houses at 0.02 bits per pixel: HEVC alone has nothing to send but one colour of 13.7 dB."""
    image = np.array(Image.open(KODAK).convert("RGB"))
    found = ladder.code(HEVC, image, int(0.02 * image.size / 24))
    assert found and psnr(found.error) > 17.5
