"""The picture at the top of the README: one photograph after a poor radio link, by two codecs, and 48 in curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.records.store import Condition, picture_path
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from semlink.simulator.analysis.statistics import Line
    from semlink.simulator.records.rows import Measurement

ROOT = Path(__file__).parent.parent
CHANNEL, RHO, SNR_DB, METRIC = "tdl", 1 / 12, 0.0, "psnr"
LABELS = {  # the pictures are those of the first two
    "digital": "digital: HEVC (as BPG) + 5G LDPC + QAM",
    "semlink": "semlink: hybrid, learned",
    "adjscc": "adjscc: DeepJSCC for all SNRs",
}
SHOWN = tuple(LABELS)[:2]


@dataclass(frozen=True)
class Story:
    """Send a photograph over a fading channel by two codecs and draw it beside the curves of the reference rows."""

    out: Path = Path("results/story")
    """Folder of the two pictures' rows."""
    rows: Path = ROOT / "results" / "reference" / "photos48" / "rows.h5"
    """Rows that the curves are drawn from, measured by experiments/reference.py."""
    picture: Path = ROOT / "docs" / "story.png"
    """The PNG to write."""


def main(flags: Story) -> int:
    """Measure two pictures, draw."""
    from semlink.simulator.analysis.statistics import summarise
    from semlink.simulator.records import rows
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    asked = Sweep(SHOWN, (CHANNEL,), (SNR_DB,), (RHO,), (METRIC, "lpips_alex"), data="samples", limit=1)
    outcome = runner.run(asked, flags.out)
    if not outcome.failures:
        every = summarise(rows.read(flags.rows))
        lines = [line for line in every if line.metric == METRIC and line.channel == CHANNEL]
        draw(outcome.rows.measurements, lines, flags.out, flags.picture)
        print(f"written: {flags.picture.name}")
    return closing.failures(outcome)


def draw(measured: Sequence[Measurement], lines: list[Line], out: Path, target: Path) -> None:
    """The figure: the photograph as sent and as received, and the curves."""
    from matplotlib.figure import Figure

    from semlink.simulator.figures.style import small_png
    from semlink.simulator.files import write_aside

    figure = Figure(figsize=(11.5, 3.55), layout="constrained")
    sent, *received, curves = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.35))
    show(sent, out, None, "as sent")
    by_codec = {m.condition.codec: m for m in measured}
    for axes, codec in zip(received, SHOWN, strict=True):
        values = by_codec[codec].values
        show(axes, out, by_codec[codec].condition, f"{codec}, {SNR_DB:g} dB SNR")
        axes.set_xlabel(f"PSNR {values['psnr'][0]:.1f} dB, LPIPS {values['lpips_alex'][0]:.2f}", fontsize=11)
    plot(curves, lines)
    write_aside(target, lambda aside: aside.write_bytes(small_png(figure)))


def show(axes: Axes, out: Path, condition: Condition | None, title: str) -> None:
    """A kept picture without ticks."""
    from semlink.simulator.data.pictures import read

    axes.imshow(read(picture_path(out, condition)).transpose(1, 2, 0), interpolation="lanczos")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=12)


def plot(axes: Axes, lines: list[Line]) -> None:
    """A curve with its 95 % band for every codec; a dotted line where the pictures are from."""
    from semlink.simulator.figures.looks import look

    for codec, label in LABELS.items():
        colour, marker = look(codec)
        points = sorted((x for x in lines if x.codec == codec), key=lambda x: x.snr_db)
        at = [x.snr_db for x in points]
        axes.plot(at, [x.mean for x in points], color=colour, marker=marker, label=label)
        low, high = [x.ci95_low for x in points], [x.ci95_high for x in points]
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axvline(SNR_DB, color="0.5", linestyle=":", linewidth=1)
    axes.set_title(f"{points[0].n} photographs, 3GPP TDL-A, rho 1/12", fontsize=11)
    axes.set_xticks(at)
    axes.set_xlabel("SNR Es/N0 (dB)", fontsize=10)
    axes.set_ylabel("PSNR (dB)", fontsize=10)
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    axes.set_ylim(top=max(x.ci95_high for x in lines) + 4)


if __name__ == "__main__":
    cli.start(main, Story())
