"""One clip under one condition, seen by every codec: side by side as MP4, frame by frame as figure and table.

It is sent again for that, which gives the same frames as the sweep measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.analysis.clips import Original, Trace
from semlink.simulator.analysis.tables import Columns, rate
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures import clips as drawn
from semlink.simulator.live.session import Air, Session
from semlink.simulator.plugins import make_clips, make_link, make_video_codec
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.answer import Answer, publish
from semlink.simulator.sweep.clips import Carried, carried
from semlink.simulator.words import labels, parse

HEAD = ("codec", "frame", "psnr", "uses", "concealed", "anchor", "steps")


@dataclass(frozen=True)
class Showing:
    """What is shown: a clip by its name in the data set, and the codecs at a rate, channel and SNR.

    names: of codecs for people, by their words, or none for those of `labels`.
    """

    data: str
    clip: str
    codecs: Sequence[str]
    rho: float
    channel: str
    snr_db: float
    seed: int = 0
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sweep: Sweep, clip: str) -> Showing:
        """The first channel of a sweep, its first rate, and the middle one of its SNRs."""
        snr = sorted(sweep.snr_db)[len(sweep.snr_db) // 2]
        return cls(sweep.data, clip, sweep.codecs, sweep.rho[0], sweep.channels[0], snr, sweep.seed)

    def __str__(self) -> str:
        return f"{self.clip}, rho {rate(self.rho)}, {self.channel}, {self.snr_db:g} dB"


def show(showing: Showing, out: Path, film: bool = True) -> list[Path]:
    """Write `side_by_side.mp4`, `still.png`, its middle frame, `frames.csv` and the figure `frames` to a folder.

    film: without, only what is no picture of the clip. The figures' paths.
    """
    one, number = _clip(showing)
    original = Original(one.levels, one.clip.frames or 0, False)
    link, said = make_link(parse(showing.channel)), showing.names or labels(showing.codecs)
    found: dict[str, Carried] = {}
    seen: dict[str, list[np.ndarray]] = {}
    for word in showing.codecs:
        session = Session(make_video_codec(parse(word), showing.rho), one.clip, _air(link, showing, number))
        frames: list[np.ndarray] = []
        trace = Trace(("psnr",))
        found[said[word]] = carried(session, original, trace, lambda x, y, kept=frames: kept.append(_levels(y)))
        seen[said[word]] = frames
    out.mkdir(parents=True, exist_ok=True)
    if film:
        _film(one, found, seen, out)
    strands = {name: _strand(own) for name, own in found.items()}
    figure = drawn.timeline(strands, one.cuts, str(showing))
    table = [(name, t, *told) for name, strand in strands.items() for t, told in enumerate(_told(strand))]
    return publish(Answer([], {"frames.csv": Columns(HEAD, table)}, [("frames", figure)]), out)


def _film(one: Any, found: dict[str, Carried], seen: dict[str, list[np.ndarray]], out: Path) -> None:
    rows = (_row(t, frame, found, seen) for t, frame in enumerate(one.levels()))
    drawn.write_mp4(out / "side_by_side.mp4", rows, one.clip.fps)
    middle = len(next(iter(found.values())).trace.columns["psnr"]) // 2
    drawn.write_still(out / "still.png", _row(middle, next(islice(one.levels(), middle, None)), found, seen))
    print(f"written: {out / 'side_by_side.mp4'}, still.png")


def _told(strand: drawn.Strand) -> Iterator[tuple[float, ...]]:
    """As lines of a table, of each frame."""
    return zip(strand.psnr, strand.uses, strand.concealed, strand.anchors, strand.steps, strict=True)


def _clip(showing: Showing) -> tuple[Any, int]:
    found: Any = make_clips(showing.data, None)
    if showing.clip not in found.ids:
        raise SemlinkError(f"--show {showing.clip}: not among the clips {', '.join(found.ids)}")
    number = found.ids.index(showing.clip)
    return found[number], number


def _air(link: Any, showing: Showing, number: int) -> Air:
    return Air(link, showing.snr_db, showing.seed, number)


def _levels(frame: Any) -> np.ndarray:
    return (frame * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def _strand(found: Carried) -> drawn.Strand:
    columns = found.trace.columns
    concealed = [bool(value) for value in columns["concealed"]]
    return drawn.Strand(columns["psnr"], columns["uses"], concealed, found.log.anchors, found.log.steps)


def _row(t: int, frame: np.ndarray, found: dict[str, Carried], seen: dict[str, list[np.ndarray]]) -> np.ndarray:
    texts = [f"original\nframe {t}"]
    for name, own in found.items():
        columns = own.trace.columns
        lost = ", concealed" if columns["concealed"][t] else ""
        texts.append(f"{name}\n{columns['psnr'][t]:.1f} dB, {columns['uses'][t]:.0f} uses{lost}")
    return drawn.side_by_side([frame, *(frames[t] for frames in seen.values())], texts)
