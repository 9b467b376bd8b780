"""Figures: what is drawn is what was measured; the files are made from rows.h5 alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sweep_fakes import PARTS

from semlink.simulator.analysis import statistics
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures import curves, strips
from semlink.simulator.records import rows
from semlink.simulator.records.store import picture_path
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import closing
from semlink.simulator.sweep import runner

ASKED = Sweep(("plain", "other"), ("awgn", "tdl"), (0.0, 5.0, 10.0), (0.5,), ("psnr", "mae"), data="fake", limit=8)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    runner.run(ASKED, out, 1, PARTS)
    return out


@pytest.fixture(scope="module")
def shown(measured):
    """Files of all figures with what they held when they were drawn, and what was printed then."""
    with redirect_stdout(io.StringIO()) as said:
        files = closing.show(measured)
    return {path: path.read_bytes() for path in files}, said.getvalue()


def test_a_curve_has_the_means_and_its_band_the_interval(measured):
    found = rows.read(measured / "rows.h5")
    lines = [line for line in statistics.summarise(found) if line.metric == "psnr"]
    figure = curves.curves(lines, "psnr", found.variable("psnr"))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["AWGN, LS estimates", "TDL, LS estimates"]
    drawn = {line.get_label(): line for line in panels[1].get_lines()}
    assert set(drawn) == {"plain, rho 1/2", "other, rho 1/2"}
    expected = [line for line in lines if line.channel == "tdl" and line.codec == "plain"]
    assert np.allclose(drawn["plain, rho 1/2"].get_ydata(), [line.mean for line in expected])
    assert drawn["plain, rho 1/2"].get_xdata().tolist() == [0, 5, 10]
    heights = {round(y, 6) for bars in panels[1].collections for path in bars.get_paths() for y in path.vertices[:, 1]}
    assert {round(v, 6) for line in expected for v in (line.ci95_low, line.ci95_high)} <= heights
    assert figure.get_supylabel() == "PSNR (dB), higher is better"
    assert len({line.get_color() for line in panels[0].get_lines()}) == 2


def test_curves_against_rate():
    lines = [statistics.Line("a", "awgn", "ls", 5.0, r, r, "psnr", 20 + r, 19.0, 22.0, 4, r) for r in (0.5, 0.25)]
    (axes,) = curves.curves(lines, "psnr", rows.Variable("dB", "PSNR"), x="rho_total").axes
    (curve,) = axes.get_lines()
    assert curve.get_xdata().tolist() == [0.25, 0.5] and curve.get_label() == "a, 5 dB"


def test_failed_conditions_are_gaps():
    nan = float("nan")
    good = statistics.Line("a", "awgn", "ls", 0.0, 0.5, 0.5, "psnr", 20.0, 19.0, 21.0, 4, 0.5)
    bad = replace(good, snr_db=5.0, mean=nan, ci95_low=nan, ci95_high=nan, n=0, csi="")
    figure = curves.curves([good, bad], "psnr", rows.Variable("dB", "PSNR"))
    (curve,) = figure.axes[0].get_lines()
    assert curve.get_xdata().tolist() == [0, 5] and np.isnan(curve.get_ydata()[1])


def test_everything_is_left_as_png_and_pdf_and_said(shown):
    files, said = shown
    names = {path.name for path in files}
    assert names == {
        f"{stem}.{kind}"
        for stem in ("psnr_vs_snr", "mae_vs_snr", "pictures_awgn", "pictures_tdl")
        for kind in ("png", "pdf")
    }
    for path, held in files.items():
        assert str(path) in said and len(held) > 3000
        assert held[:4] in (b"\x89PNG", b"%PDF")
    assert "psnr (dB) against SNR" in said and "rows.h5" in said


def test_the_strip_shows_low_middle_and_high_snr(measured):
    found = rows.read(measured / "rows.h5")
    figure = strips.of_channel(found.measurements, lambda condition: picture_path(measured, condition), "tdl")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["original", "0 dB SNR", "5 dB SNR", "10 dB SNR", "", "", ""]
    captions = [axes.get_xlabel() for axes in figure.axes[1:4]]
    first = [m for m in found.measurements if m.condition.channel == "tdl"][:3]
    assert captions == [f"PSNR {m.values['psnr'][0]:.1f} dB, bits lost" for m in first]
    shown = figure.axes[1].get_images()[0].get_array()
    assert np.array_equal(np.round(255 * shown), np.asarray(Image.open(picture_path(measured, first[0].condition))))


def test_no_pictures_no_strip(measured, tmp_path):
    found = rows.read(measured / "rows.h5")
    assert strips.of_channel(found.measurements, lambda condition: picture_path(tmp_path, condition), "tdl") is None


def test_the_same_rows_draw_the_same_files(measured, shown):
    assert shown[0] == {path: path.read_bytes() for path in closing.show(measured)}


def test_an_unknown_metric_is_refused_with_the_known_ones(measured):
    with pytest.raises(SemlinkError, match="no 'fid'.*mae.*psnr"):
        closing.show(measured, ("fid",))


def test_all_failed_still_reports(tmp_path):
    outcome = runner.run(replace(ASKED, codecs=("absent",), snr_db=(0.0,)), tmp_path, 1, PARTS)
    closing.show(tmp_path)
    assert closing.failures(outcome) == 1


def test_redraw_needs_the_rows_file_only(measured, tmp_path):
    (tmp_path / "rows.h5").write_bytes((measured / "rows.h5").read_bytes())
    script = Path(__file__).parents[3] / "experiments" / "redraw.py"
    done = subprocess.run([sys.executable, script, "--out", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "psnr_vs_snr.pdf").exists() and (tmp_path / "mae_vs_snr.png").exists()
    assert json.loads(rows.read(measured / "rows.h5").attributes["configuration"])["seed"] == 0


def test_ticks_do_not_write_over_each_other():
    def against(*rates: float) -> list[float]:
        lines = [statistics.Line("a", "awgn", "ls", 5.0, r, r, "psnr", 20, 19, 22, 4, r) for r in rates]
        (axes,) = curves.curves(lines, "psnr", rows.Variable("dB", "PSNR"), x="rho_total").axes
        return axes.get_xticks().tolist()

    assert against(1 / 48, 1 / 24, 1 / 12) == [1 / 48, 1 / 24, 1 / 12]
    assert 0.1501 not in against(0.02, 0.15, 0.1501)
