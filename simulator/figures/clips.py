"""Clips for people: side by side with what each frame has cost and lost, and how quality goes from frame to frame."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.figures.looks import looks
from semlink.simulator.figures.style import dress, figure_of, legend_below, with_palette
from semlink.simulator.files import write_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGE = 256  # px: smaller frames are shown that large at least, by whole factors, so that two lines fit above them
CAPTION = 30  # px of two lines
CRF = "16"


@dataclass(frozen=True)
class Strand:
    """One codec's frames, in numbers. psnr, uses: of each. concealed: whether another frame is shown in its place.

    anchors: whether it is one. steps: of an iterative decoder. Either may be empty.
    """

    psnr: Sequence[float]
    uses: Sequence[float]
    concealed: Sequence[bool]
    anchors: Sequence[bool] = ()
    steps: Sequence[int] = ()


def timeline(strands: Mapping[str, Strand], cuts: Sequence[int], title: str) -> Figure:
    """PSNR and channel uses against frames, and steps where there are any; lines at cuts, marks where a frame was
    concealed and at anchors.
    """
    stepped = any(any(strand.steps) for strand in strands.values())
    figure = figure_of(7.0, 5.2 if stepped else 4.2)
    quality, spent, *more = figure.subplots(2 + stepped, 1, sharex=True, height_ratios=(3, 2, 1)[: 2 + stepped])
    for name, look in looks(strands).items():
        _draw(strands[name], look.colour, name, quality, spent)
        for axes in more:
            axes.step(np.arange(len(strands[name].steps)), strands[name].steps, color=look.colour, linewidth=0.8)
    names = {quality: "PSNR (dB)", spent: "channel uses", **dict.fromkeys(more, "steps")}
    for axes, label in names.items():
        dress(axes)
        axes.set_ylabel(label, fontsize=8)
        for cut in cuts:
            axes.axvline(cut, color="0.6", linewidth=0.6, linestyle=":")
    axes.set_xlabel("frame", fontsize=8)
    anchors = "; triangle: anchor" if any(any(strand.anchors) for strand in strands.values()) else ""
    quality.set_title(f"{title}; x: concealed, dotted: cut{anchors}", fontsize=8)
    legend_below(figure, [quality], size=8)
    return figure


def _draw(strand: Strand, colour: str, name: str, quality: Axes, spent: Axes) -> None:
    frames, psnr, uses = (np.arange(len(strand.psnr)), np.asarray(strand.psnr), np.asarray(strand.uses))
    quality.plot(frames, psnr, color=colour, linewidth=1, label=name)
    lost, anchors = np.flatnonzero(strand.concealed), np.flatnonzero(strand.anchors)
    quality.plot(lost, psnr[lost], "x", color=colour, markersize=3)
    spent.plot(frames, uses, color=colour, linewidth=0.8)
    spent.plot(anchors, uses[anchors], "^", color=colour, markersize=3)


def captioned(frame: np.ndarray, text: str) -> np.ndarray:
    """A uint8 frame `[H, W, 3]` larger where it is small, under at most two lines of text."""
    from PIL import Image, ImageDraw

    scale = max(1, -(-LARGE // max(frame.shape[:2])))
    height, width = (scale * side for side in frame.shape[:2])
    sheet = Image.new("RGB", (width, height + CAPTION), "white")
    sheet.paste(Image.fromarray(frame).resize((width, height), Image.Resampling.NEAREST), (0, CAPTION))
    ImageDraw.Draw(sheet).text((2, 2), text, fill="black")
    return np.array(sheet)


def side_by_side(frames: Sequence[np.ndarray], texts: Sequence[str]) -> np.ndarray:
    """Captioned frames in a row, both sides even."""
    row = np.concatenate([captioned(f, t) for f, t in zip(frames, texts, strict=True)], axis=1)
    return np.ascontiguousarray(row[: row.shape[0] // 2 * 2, : row.shape[1] // 2 * 2])


def write_still(path: Path, row: np.ndarray) -> None:
    """A row of captioned frames as a PNG of 256 colours, all or nothing."""
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(row).save(held, "PNG")
    write_aside(path, lambda aside: aside.write_bytes(with_palette(held.getvalue())))


def write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """uint8 frames `[H, W, 3]` of even sides as H.264, all or nothing."""
    write_aside(path, lambda aside: _written(aside, frames, fps))


def _written(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                (stream.height, stream.width), stream.pix_fmt = frame.shape[:2], "yuv420p"
                stream.options = {"crf": CRF}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))
