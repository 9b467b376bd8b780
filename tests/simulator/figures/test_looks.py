"""Colours and markers belong to labels: the same in every figure, and different within one."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from semlink import codecs
from semlink.codecs import video
from semlink.simulator.analysis.comparison import Entry
from semlink.simulator.analysis.statistics import Interval, Line
from semlink.simulator.figures import curves, looks, tradeoff
from semlink.simulator.figures.looks import look
from semlink.simulator.protocols import Variable

VARIANTS = ["adjscc", "adjscc:weights=a", "adjscc:weights=b", "digital", "digital:source=avif", "mine", "yours:a=1"]


def line(codec: str, snr_db: float = 0.0, mean: float = 20.0, **more) -> Line:
    return Line(codec, "awgn", "ls", snr_db, 0.1, 0.1, "psnr", mean, mean - 1, mean + 1, 4, 0.1, **more)


def colours(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each codec's curve in a figure of those."""
    figure = curves.curves([line(name) for name in names], "psnr", Variable("dB", "PSNR"))
    drawn = figure.axes[0].get_lines()
    return {c.get_label().partition(",")[0]: (c.get_color(), c.get_marker()) for c in drawn}


SHIPPED = [codecs.names(), video.names()]


@pytest.mark.parametrize("names", SHIPPED, ids=["pictures", "video"])
def test_shipped_codecs_have_looks_of_their_own(names):
    """So none of them moves on for another, whichever share a figure."""
    assert not set(names) - looks.OWN.keys(), "it would take a colour that another has"
    assert len({look(name).colour for name in names}) == len(set(map(look, names))) == len(names)
    assert looks.looks(names) == {name: look(name) for name in names}


def test_no_look_is_of_a_codec_that_there_is_not():
    assert looks.OWN.keys() == {name for names in SHIPPED for name in names}


def test_a_codec_looks_the_same_whatever_is_beside_it():
    alone = {name: look(name) for name in VARIANTS}
    for size in (2, 3):
        for some in itertools.combinations(VARIANTS[:5], size):
            assert looks.looks(some) == {name: alone[name] for name in some}
    assert colours(["semlink", "digital"])["digital"] == colours(["adjscc", "ddnm", "digital"])["digital"]


def test_places_in_a_list_do_not_matter():
    shuffled = random.Random(0).sample(VARIANTS, len(VARIANTS))
    assert looks.looks(shuffled) == looks.looks(VARIANTS)


def test_what_shares_a_figure_looks_different():
    many = [f"adjscc:weights={i}" for i in range(30)] + [f"codec{i}" for i in range(16)] + list(looks.OWN)
    found = looks.looks(many)
    assert len(set(found.values())) == len(many)
    arrangements = looks.looks(["1x1", "1x2", "2x2", "2x2 SVD", "2x2 SVD, mmse", "4x4 SVD", "8x8"])
    assert len({own.colour for own in arrangements.values()}) == len(arrangements)


def test_variants_keep_the_hue_of_their_codec():
    shades = [looks.look("digital"), looks.look("digital:source=avif"), looks.look("digital:source=webp")]
    parts = np.array([[int(own.colour[i : i + 2], 16) for i in (1, 3, 5)] for own in shades])
    assert (parts.argmax(1) == 0).all() and (parts.argmin(1) == 2).all() and len(set(shades)) == 3


def test_a_decoder_has_its_colour_against_steps_too():
    point = [tradeoff.Point(0, 1.0, Interval(0.5, 0.4, 0.6, 9))]
    figure = tradeoff.tradeoff({"ddnm": point, "digital": point}, Variable("1", "LPIPS", "lower"), "")
    assert {c.get_color() for c in figure.axes[0].get_lines()} == {look("ddnm").colour, look("digital").colour}
    assert Entry("digital", "digital", "awgn").label in looks.OWN


@pytest.mark.parametrize("least", [0.0, -5.0])
def test_no_band_leaves_the_range_of_its_metric(least):
    lines = [line("a", snr, 0.2 + snr) for snr in (0.0, 0.5)]
    (axes,) = curves.curves(lines, "psnr", Variable("1", "LPIPS", "lower", least=least, most=1)).axes
    heights = np.concatenate([path.vertices[:, 1] for path in axes.collections[0].get_paths()])
    assert heights.min() == pytest.approx(max(least, -0.8)) and heights.max() == 1
    assert axes.get_ylim()[0] > -0.4, "the axis makes room for what cannot be"


def test_a_mean_beyond_the_range_is_drawn_where_it_is():
    (axes,) = curves.curves([line("a", 0, 1.25), line("a", 5, 0.5)], "psnr", Variable(least=0, most=1)).axes
    heights = np.concatenate([path.vertices[:, 1] for path in axes.collections[0].get_paths()])
    assert heights.max() == 1.25 and axes.get_lines()[0].get_ydata().tolist() == [1.25, 0.5]


def test_a_curve_says_how_many_pictures_lost_bits():
    lines = [line("digital", 0, 20, lost=3), line("digital", 5, 25), line("adjscc", 0, 22), line("adjscc", 5, 24)]
    figure = curves.curves(lines, "psnr", Variable("dB", "PSNR"))
    (axes,) = figure.axes
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("3", (0, 20))]
    (open_,) = [c for c in axes.collections if len(c.get_offsets()) and c.get_offsets().tolist() == [[0, 20]]]
    assert open_.get_facecolor()[0].tolist() == [1, 1, 1, 1]
    assert "bits lost in n of 4 pictures" in [text.get_text() for text in figure.legends[0].get_texts()]
    whole = curves.curves([line("digital"), line("adjscc")], "psnr", Variable("dB", "PSNR"))
    assert not whole.axes[0].texts and len(whole.legends[0].get_texts()) == 2


@pytest.mark.parametrize("pair", [("h265", "intra:codec=adjscc"), ("digital", "denoising_reuse:codec=semlink")])
def test_a_variant_takes_no_shade_that_another_codec_nearly_has(pair):
    one, other = ([int(own.colour[i : i + 2], 16) for i in (1, 3, 5)] for own in looks.looks(pair).values())
    assert np.linalg.norm(np.subtract(one, other)) > 50
