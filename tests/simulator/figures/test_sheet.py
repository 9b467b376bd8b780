"""What lies beside a figure: numbers that pgfplots reads, a caption; and a figure set for a column of a paper."""

import csv
import math
import shutil
import subprocess
from io import BytesIO

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from semlink.simulator.analysis.statistics import Line
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures import curves, ieee, pgf, style
from semlink.simulator.figures.sheet import caption, table
from semlink.simulator.protocols import Variable
from semlink.simulator.study.sheets import drawn_as

PSNR = Variable("dB", "PSNR", "higher")


def lines(*channels: str, n: int = 24) -> list[Line]:
    return [
        Line(codec, channel, "ls", snr, 0.5, 0.5, "psnr", 20 + snr + better, 19.0 + snr, 23.0 + snr, n, 0.5)
        for codec, better in (("semlink", 1), ("digital:source=avif", 0))
        for channel in channels
        for snr in (0.0, 5.0)
    ]


def test_the_table_beside_a_figure_is_what_is_drawn(tmp_path) -> None:
    found = lines("awgn", "tdl")[:-1]  # one point is missing
    sheet = curves.curves(found, "psnr", PSNR)
    written = style.save_beside(sheet, tmp_path / "psnr_vs_snr")
    assert [path.name for path in written] == ["psnr_vs_snr_curves.csv", "psnr_vs_snr.txt"]
    rows = list(csv.reader(written[0].read_text().splitlines()))
    head, numbers = rows[0], np.array(rows[1:], float)
    assert head[0] == "x" and numbers[:, 0].tolist() == [0, 5] and len(head) == 1 + 3 * 4
    at = head.index("TDL LS estimates: semlink rho 1/2")
    assert numbers[:, at].tolist() == [21, 26] and head[at + 1].endswith(" low") and numbers[1, at + 2] == 28
    assert math.isnan(numbers[1, head.index("TDL LS estimates: digital:source=avif rho 1/2")])
    assert not set(',"{}[]') & set("".join(head))


def test_one_panel_needs_no_name_in_front() -> None:
    assert table(curves.curves(lines("awgn"), "psnr", PSNR))[0][:2] == ["x", "digital:source=avif rho 1/2"]


def test_the_caption_says_axes_panels_curves_and_of_how_many_pictures() -> None:
    sheet = curves.curves(lines("awgn", "tdl"), "psnr", PSNR)
    said = caption(sheet)
    assert said.startswith("PSNR (dB), higher is better against SNR Es/N0 (dB). Panels: AWGN, LS estimates; TDL")
    assert said.endswith("Bars are 95 % intervals, n = 24.") and "semlink, rho 1/2" in said
    assert sheet.get_suptitle() == "n = 24", "in the figure, too"
    assert curves.curves(lines("awgn")[:2] + lines("tdl", n=8)[:2], "psnr", PSNR).get_suptitle() == "n = 8 to 24"


@pytest.mark.parametrize(("channels", "inches"), [(("awgn",), 3.5), (("awgn", "tdl:model=C,speed=30"), 7.16)])
def test_ieee_is_a_column_or_a_page_wide_and_8_points_everywhere(channels, inches) -> None:
    sheet = curves.curves(lines(*channels), "psnr", PSNR)
    ieee.set_in_print(sheet)
    image = Image.open(BytesIO(style.drawn(sheet, 100)))
    assert image.width == round(100 * inches)
    shown = [text for text in sheet.findobj(Text) if text.get_text() and text.get_visible()]
    assert {text.get_fontsize() for text in shown} == {8.0} and len(shown) > 8
    pdf = style.small_pdf(sheet)
    assert b"STIXGeneral" in pdf and b"/Type3" not in pdf
    legend = sheet.legends[0].get_window_extent()
    assert (
        legend.x0 >= 0
        and legend.x1 <= sheet.bbox.width
        and not any(legend.overlaps(axes.get_window_extent()) for axes in sheet.axes if axes.get_visible())
    )


def test_a_style_that_nobody_knows_is_told_in_a_line() -> None:
    with pytest.raises(SemlinkError, match="unknown --style 'iee'; did you mean 'ieee'"), drawn_as("iee"):
        pass


def test_without_a_latex_pgf_is_refused_in_a_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SemlinkError, match="no pdflatex or .* here: install TeX Live, or take ieee") as told:
        with drawn_as("ieee-pgf"):
            pass
    assert "\n" not in str(told.value)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, pgf.SYSTEMS)), reason="needs a LaTeX")
def test_a_paper_inputs_the_pgf_and_shows_its_labels(tmp_path) -> None:
    """Labels hold what LaTeX reads as commands: % and _."""
    sheet = curves.curves(lines("awgn", "tdl:delay_spread=300e-9"), "psnr", PSNR)
    sheet.axes[0].imshow(np.zeros((4, 4)), extent=(0, 1, 20, 21), aspect="auto")
    sheet.axes[0].set_title("95 % of_it")
    ieee.set_in_print(sheet)
    made = pgf.save_pgf(sheet, tmp_path / "psnr_vs_snr")
    assert {path.name for path in made} == {"psnr_vs_snr.pgf", "psnr_vs_snr-img0.png"}
    text = made[-1].read_text()
    assert r"\usepackage[strings]{underscore}" in text  # it says what a paper needs
    assert "\\familydefault" in text and "STIX" not in text  # in the paper's own fonts
    packages = r"\usepackage{pgf}\usepackage[strings]{underscore}\def\mathdefault#1{#1}"
    paper = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{psnr_vs_snr.pgf}}\end{{document}}"
    (tmp_path / "paper.tex").write_text(paper)
    command = [pgf.latex(), "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "paper.pdf").stat().st_size > 5000, done.stdout[-2000:]
