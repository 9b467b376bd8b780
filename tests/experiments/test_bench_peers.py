"""The same work by semlink and by peers: what is compared, told and drawn; with Kaira where there is an environment."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scripts import EXPERIMENTS, loaded

KAIRA = EXPERIMENTS.parent / ".venv-peers" / "bin" / "python"


class FakePeer:
    """A side that takes `pace` seconds a picture and SNR, and measures `level` dB and noise."""

    def __init__(self, pace: float, level: float) -> None:
        self.pace, self.level = pace, level
        self.versions = {f"fake {level:g}": "1"}
        self._asked: list[Mapping[str, Any]] = []

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.send(request)
        return self.receive()

    def send(self, request: Mapping[str, Any]) -> None:
        self._asked.append(request)

    def receive(self) -> dict[str, Any]:
        request = self._asked.pop()
        shape = len(request.get("snrs", [0])), request.get("pictures", (0, 1))[1]
        rng = np.random.default_rng([request.get("seed", 0), int(1e3 * self.pace)])
        seconds = self.pace * shape[0] * shape[1]
        psnr = (self.level + 0.3 * rng.standard_normal(shape)).tolist()
        return {"cpu_s": seconds, "clock_s": 2 * seconds, "psnr": psnr}


@pytest.fixture
def bench() -> Iterator[ModuleType]:
    with loaded("bench_peers") as module:
        yield module


def measured(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, peers: Mapping[str, Sequence[FakePeer]]
) -> tuple[int, dict[str, Any]]:
    """The exit code and peers.json of a run with those sides."""

    @contextmanager
    def running(*given: object) -> Iterator[Mapping[str, Sequence[FakePeer]]]:
        yield peers

    monkeypatch.setattr(bench, "running", running)
    monkeypatch.setattr(bench, "write", lambda found, out: (out / "peers.json").write_text(json.dumps(found)))
    code = bench.main(bench.BenchPeersFlags(out=out, rounds=3, pictures=16))
    return code, json.loads((out / "peers.json").read_text())


def test_ratios_and_costs(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = {"semlink": [FakePeer(0.001, 30)] * 2, "kaira": [FakePeer(0.002, 30)] * 2}
    code, found = measured(bench, monkeypatch, tmp_path, peers)
    assert code == 0 and found["codec"]["awgn"]["semlink, calls"]["speed"]["median"] == pytest.approx(2)
    assert found["costs"]["processes"]["Kaira"][1][0] == 2
    assert found["costs"]["processes"]["Kaira"][1][2] == pytest.approx(found["costs"]["processes"]["Kaira"][0][2] / 2)
    assert [point[0] for point in found["costs"]["SNRs"]["semlink, calls"]] == [1, 3, 10]
    assert "| semlink, calls | 160 | 2.00 (2.00, 2.00) |" in capsys.readouterr().out
    assert list(found["costs"]) == ["pictures", "SNRs", "processes"]


def test_other_psnr_is_no_comparison(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers = {"semlink": [FakePeer(0.001, 30)] * 2, "kaira": [FakePeer(0.002, 29)] * 2}
    code, found = measured(bench, monkeypatch, tmp_path, peers)
    assert code == 1 and not any(row["same"] for row in found["psnr"]["awgn"])
    assert "not the same PSNR, so the comparison says nothing: awgn 0 dB" in capsys.readouterr().out


def test_without_kaira_sionna_is_still_compared(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "Peer", lambda *given: pytest.fail("started") if "kaira" in given[0] else Closing(1, 30))
    monkeypatch.setattr(bench, "save_network", lambda *given: None)
    assert bench.main(bench.BenchPeersFlags(out=tmp_path, rounds=2, kaira=tmp_path / "python")) == 0
    said = capsys.readouterr().out
    assert "make bench-peers makes it" in said and "| semlink Link |" in said and "codec over" not in said


class Closing(FakePeer):
    """One that can be closed."""

    def close(self) -> None:
        pass


@pytest.mark.slow
@pytest.mark.skipif(not KAIRA.exists(), reason="make bench-peers makes the environment of Kaira")
def test_kaira_and_semlink_measure_the_same(bench: ModuleType, tmp_path: Path) -> None:
    flags = bench.BenchPeersFlags(
        out=tmp_path, kaira=KAIRA, rounds=3, more_pictures=(16,), more_snr=(1,), more_workers=(1,)
    )
    assert bench.main(flags) == 0
