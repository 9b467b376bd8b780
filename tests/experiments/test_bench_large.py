"""What a picture of 12 megapixels costs, each codec in a process of its own."""

import numpy as np
import pytest
from scripts import loaded

from semlink.simulator.study.large import cost_here, measure, mirrored

MEMORY_GB = 2.5
CPU_S = 120.0  # of 60 seconds on two cores


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["adjscc", "deepjscc", "semlink:base=none", "digital", "semlink"])
def test_twelve_megapixels(codec: str) -> None:
    cost = measure(codec, (3000, 4000), 1 / 12, "tdl")
    print(codec, cost)
    assert cost.peak_gb < MEMORY_GB and cost.cpu_s < CPU_S, cost


def test_every_stage_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a picture that is sent in this process; the slow tests above start one for each."""
    with loaded("bench_large") as bench:
        monkeypatch.setattr(bench, "measure", cost_here)
        flags = bench.BenchLargeFlags(codecs=("adjscc",), sizes=("40x56",), channels=("awgn",))
        assert bench.main(flags) == 0
    line = capsys.readouterr().out
    assert line.startswith("adjscc 40x56 awgn: ")
    assert all(
        stage in line for stage in ("load", "statistics", "encode", "link", "decode", "psnr", "ssim", "lpips_alex")
    )


def test_the_picture_has_no_seams() -> None:
    picture = mirrored(700, 1100)
    steps = np.abs(np.diff(picture, axis=1)).mean((0, 2))
    assert picture.shape == (3, 700, 1100) and steps[255] == 0 and steps[511] == 0 and np.median(steps) > 0


def test_stages_add_up() -> None:
    cost = cost_here("adjscc", (32, 48), 1 / 6, "awgn")
    assert cost.cpu_s == pytest.approx(sum(cost.stages.values())) and min(cost.stages.values()) >= 0
