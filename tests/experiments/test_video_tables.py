"""Tables of the page on video: what rows hold is what the page shows."""

import shutil
from pathlib import Path

import pytest
from scripts import loaded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def experiment():
    with loaded("video_tables") as module:
        yield module


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        ((1.0, 2.0, 3.0), "from 0 dB on, or below"),
        ((-1.0, -0.5, -0.1), "not up to 10 dB"),
        ((-1.0, 3.0, 5.0), "from 1.2 dB on"),
        ((-1.0, 0.0, 5.0), "from 5.0 dB on"),
    ],
)
def test_where_the_baseline_overtakes(experiment, ahead, said):
    assert experiment.crossing((0.0, 5.0, 10.0), ahead) == said


def test_the_committed_page_is_what_the_committed_rows_say(experiment, tmp_path):
    page = shutil.copy(ROOT / "docs" / "results" / "video.md", tmp_path)
    assert experiment.main(experiment.VideoTables(docs=tmp_path)) == 0
    assert Path(page).read_text() == (ROOT / "docs" / "results" / "video.md").read_text()
