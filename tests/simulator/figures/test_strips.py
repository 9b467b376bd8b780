"""Picture strips and files of figures: small PNGs that stay readable, the same file for the same figure."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from semlink.simulator import data
from semlink.simulator.figures import strips, style
from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import Condition, picture_path


def photograph(seed: int, noise: float) -> np.ndarray:
    """A picture of `[3, 320, 480]` with edges and as much noise."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.random((3, 20, 30)), np.ones((16, 16)))
    return np.clip(coarse + noise * rng.standard_normal(coarse.shape), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def strip():
    """Two rows of four pictures that PNG cannot make small."""
    tiles = [strips.Tile(photograph(seed, 0.1), f"codec {seed}", "PSNR 30 dB") for seed in range(4)]
    return strips.strip([(f"row {i}", tiles) for i in range(2)])


@pytest.fixture(scope="module")
def small(strip):
    """The strip as PNG of at most 400 kB."""
    return style.small_png(strip)


def test_a_strip_takes_400_kb_at_most(strip, small, tmp_path):
    assert len(style.drawn(strip, style.DPI)) > 2 * style.PNG_BYTES, "too easy"
    png, pdf = style.save(strip, tmp_path / "pictures")
    assert png.stat().st_size <= 400_000 and pdf.stat().st_size > 10_000
    with Image.open(png) as shown:
        assert shown.width > 500, "no longer readable"
    assert small == png.read_bytes()


def test_a_palette_changes_no_picture_much():
    picture = data.load("samples", 1).batch([0])[0].numpy()
    full = style.drawn(strips.strip([("row", [strips.Tile(picture, "a")])]), 100)
    pixels = [
        np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), float) for image in (full, style.with_palette(full))
    ]
    assert np.abs(pixels[0] - pixels[1]).mean() < 4 and len(style.with_palette(full)) < len(full) / 2


def test_paper_stays_white(small):
    pixels = np.asarray(Image.open(io.BytesIO(small)).convert("RGB"))
    assert (pixels[:3] == 255).all() and (pixels[:, :3] == 255).all()


def test_paper_stays_white_beside_nearly_white_pictures():
    """Pillow looks colours up by their upper six bits and may take (254, 253, 248) for the nearest to white."""
    light = (0.94 + 0.06 * np.random.default_rng(0).random((3, 64, 64))).astype(np.float32)
    image = style.with_palette(style.drawn(strips.strip([("row", [strips.Tile(light, "a")])]), 100))
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
    assert (pixels[:3] == 255).all() and (pixels[:, :3] == 255).all()


@pytest.mark.parametrize("shape", [(4, 1000), (1000, 4), (1, 4000), (4000, 1), (1, 1), (900, 1200)])
def test_pictures_of_any_shape_make_bounded_figures(shape, tmp_path):
    """A strip of 4000x1 pictures once was 700 inches high and took 22 GB."""
    tile = strips.Tile(strips.reduced(np.random.default_rng(0).random((3, *shape), np.float32)), "codec", "PSNR 30 dB")
    figure = strips.strip([(f"row {i}", [tile] * 3) for i in range(4)])
    assert max(figure.get_size_inches()) <= 30 and max(tile.pixels.shape) <= strips.PIXELS
    png, pdf = style.save(figure, tmp_path / "pictures")
    assert png.stat().st_size <= style.PNG_BYTES and pdf.stat().st_size <= style.PDF_BYTES
    shown = figure.axes[0].get_window_extent()
    assert min(shown.width, shown.height) > 40, "too narrow to be seen"


def test_many_rows_are_cut_and_said_to_be():
    tile = strips.Tile(photograph(0, 0.1), "a")
    figure = strips.strip([(f"row {i}", [tile]) for i in range(strips.MOST_ROWS + 2)])
    assert len(figure.axes) == strips.MOST_ROWS and figure.get_suptitle() == "2 more rows left out"
    assert max(figure.get_size_inches()) <= style.LARGEST


def test_a_large_figure_has_few_pixels():
    figure = style.figure_of(500, 3)
    assert figure.get_size_inches().tolist() == [style.LARGEST, 3]
    with Image.open(io.BytesIO(style.small_png(style.figure_of(48, 48)))) as file:
        assert file.width * file.height <= style.PIXELS


def test_pictures_are_made_smaller_by_means():
    picture = np.random.default_rng(0).random((3, 1500, 100)).astype(np.float32)
    found = strips.reduced(picture)
    assert found.shape == (3, 500, 100) and np.allclose(found[:, 2, 5], picture[:, 6:9, 5].mean(1))


def test_a_pdf_of_noise_is_bounded_and_has_no_type_3_fonts(tmp_path):
    noise = np.random.default_rng(0).random((3, 300, 300)).astype(np.float32)
    figure = strips.strip([("row", [strips.Tile(noise, "a")] * 3)])
    assert len(style.small_pdf(figure, 100_000)) <= 100_000
    _, pdf = style.save(figure, tmp_path / "a")
    assert b"/TrueType" in pdf.read_bytes() or b"/CIDFontType2" in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()


def test_a_figure_that_is_small_stays_as_it_is():
    def figure():
        made = style.figure_of(3, 2)
        made.subplots().plot([0, 1])
        return made

    assert style.small_png(figure()) == style.drawn(figure(), style.DPI)


@pytest.mark.parametrize(
    ("errors", "undecoded", "said"), [(0, None, ""), (1, None, ", bits lost"), (0, 1, ", not decodable")]
)
def test_strips_say_why_a_picture_is_none(errors, undecoded, said, tmp_path):
    values = {"psnr": [20.0, 30.0], "block_errors": [errors, 0]}
    values |= {} if undecoded is None else {"undecoded": [undecoded, 0]}
    columns = {name: np.array(column, float) for name, column in values.items()}
    found = Measurement(Condition("digital", 1 / 12, "awgn", 5.0), "perfect", ("a", "b"), (0, 1), columns)
    for condition in (None, found.condition):
        path = picture_path(tmp_path, condition)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(path)
    figure = strips.of_channel([found], lambda condition: picture_path(tmp_path, condition), "awgn")
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == [f"PSNR 20.0 dB{said}"]


def test_long_words_are_broken_where_they_have_punctuation():
    assert strips.broken("adjscc") == "adjscc" and strips.broken("ddnm:mode=paper") == "ddnm:\nmode=paper"
    long = strips.broken("roi_dual:importance=box:x0=0.25;x1=0.75;y0=0.25;y1=0.75,select=threshold")
    assert max(map(len, long.splitlines())) <= strips.CHARACTERS and long.count("\n") == 2
    assert long.replace("\n", "") == "roi_dual:importance=box:x0=0.25;x1=0.75;y0=0.25;y1=0.75,select=threshold"


def test_rows_wrap_and_the_region_is_outlined_once_a_row(tmp_path):
    tiles = [strips.Tile(photograph(seed, 0), str(seed)) for seed in range(3)]
    region = np.zeros((320, 480), bool)
    region[100:200, 100:200] = True
    figure = strips.strip([("first", tiles), ("second", [tiles[0], tiles[1]]), ("rest", [tiles[2]])], region)
    outlined = [axes.get_title() for axes in figure.axes if axes.collections]
    assert outlined == ["0", "0"] and [axes.get_title() for axes in figure.axes][6:] == ["2", "", ""]
