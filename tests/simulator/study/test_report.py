"""report.html: all in one file, well formed, and it tells what was lost."""

import json
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import Condition
from semlink.simulator.study import report

RUN = {
    "experiment": "snr_sweep.py",
    "configuration": {
        "codecs": ["digital", "adjscc:weights=/far/away/mine.safetensors"],
        "snr_db": [0.0, 5.0],
        "rho": [1 / 12, 0.4],
        "scheduler": "",
        "data": "my <photographs> & more/",
        "limit": None,
    },
    "versions": {"torch": "2.13.0"},
    "files": {"digital bler.json": "ab" * 32},
    "duration_s": 12.3,
}
VOID = {"meta", "img"}


class Checker(HTMLParser):
    """Tags that close in order, what is shown, and what would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.sources, self.text = list[str](), list[str](), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in VOID else [tag]
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def measurement(codec: str, errors: list[float], error: str = "") -> Measurement:
    condition = Condition(codec, 1 / 12, "awgn", 5.0)
    names = tuple(map(str, range(len(errors))))
    return Measurement(
        condition, "perfect", names, tuple(range(len(errors))), {"block_errors": np.array(errors)}, {}, error
    )


@pytest.fixture
def page(tmp_path: Path) -> str:
    figure = Figure((1, 1))
    figures = [tmp_path / name for name in ("psnr_vs_snr.png", "psnr_vs_snr.pdf", "pictures_awgn.png")]
    for path in figures:
        figure.savefig(path)
    measured = [measurement("digital", [0, 2, 1]), measurement("broken", [], "no <weights>"), measurement("x", [0, 0])]
    return report.write(tmp_path, RUN, ["psnr\n a < b"], figures, measured).read_text()


def test_it_is_one_well_formed_file(page: str) -> None:
    found = Checker()
    found.feed(page)
    assert not found.open and len(found.sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in found.sources), "nothing from elsewhere"


def test_it_tells_what_was_asked_lost_and_used(page: str) -> None:
    found = Checker()
    found.feed(page)
    for text in (
        "a < b",
        "my <photographs> & more/",
        "2 of 3 pictures lost code blocks",
        "failed: no <weights>",
        "2.13.0",
    ):
        assert text in found.text
    assert "adjscc:weights=mine.safetensors" in found.text and found.text.count("lost code blocks") == 1


def test_it_tells_what_arrived_and_was_no_picture(tmp_path: Path) -> None:
    found = measurement("digital", [0, 2, 0, 0])
    found = replace(found, values={**found.values, "undecoded": np.array([0, 0, 1, 0])})
    page = report.write(tmp_path, RUN, [], [], [found]).read_text()
    assert "1 of 4 pictures lost code blocks, 1 of 4 pictures arrived and could not be decoded" in page


def test_its_command_asks_for_the_same(tmp_path: Path) -> None:
    words = shlex.split(report.command(json.loads(json.dumps(RUN))))
    assert words[:2] == ["semlink", "sweep"] and "--limit" not in words
    assert words[words.index("--snr") + 1 : words.index("--snr") + 3] == ["0", "5"]
    assert words[words.index("--data") + 1] == RUN["configuration"]["data"]
    assert words[words.index("--rho") + 1 : words.index("--rho") + 3] == ["1/12", "0.4"] and "--scheduler" not in words
