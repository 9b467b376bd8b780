"""The picture at the top of the README: drawn from what was kept, the same from the same rows."""

from pathlib import Path

import numpy as np
from PIL import Image
from scripts import loaded

from semlink.simulator.analysis.statistics import summarise
from semlink.simulator.records import rows
from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import Condition, picture_path


def kept(out: Path, condition: Condition | None, grey: int) -> None:
    """A picture of one grey, as a sweep keeps it."""
    path = picture_path(out, condition)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((256, 256, 3), grey, np.uint8)).save(path)


def test_the_figure_shows_the_kept_pictures_and_is_the_same_each_time(tmp_path: Path) -> None:
    with loaded("story") as story:
        lines = [x for x in summarise(rows.read(story.Story.rows)) if x.metric == story.METRIC]
        found = rows.read(story.Story.rows).measurements
        found = [m for m in found if m.condition.channel == story.CHANNEL]
        own = tuple(m for m in found if m.condition.snr_db == story.SNR_DB and m.condition.codec in story.SHOWN)
        assert [type(m) for m in own] == [Measurement, Measurement]
        for grey, condition in ((40, None), *zip((120, 200), (m.condition for m in own), strict=True)):
            kept(tmp_path, condition, grey)
        targets = [tmp_path / "first.png", tmp_path / "second.png"]
        for target in targets:
            story.draw(own, lines, tmp_path, target)
    assert targets[0].read_bytes() == targets[1].read_bytes()
    with Image.open(targets[0]) as image:
        pixels = np.asarray(image.convert("L")).astype(int)
    for grey in (40, 120, 200):
        assert (abs(pixels - grey) <= 1).mean() > 0.1
