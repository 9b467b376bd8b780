"""Published levels beside measured ones: which rows and cells a table has."""

from pathlib import Path

import pytest

from semlink.simulator.analysis.published import beside, read_levels
from semlink.simulator.errors import SemlinkError

PUBLISHED = Path(__file__).parents[3] / "results" / "reference" / "published.csv"


def level(scheme: str, snr_db: float, psnr: float, rho: str = "1/16") -> dict[str, str]:
    return {"scheme": scheme, "channel": "awgn", "rho": rho, "snr_db": f"{snr_db}", "psnr": f"{psnr}"}


def measured(codec: str, snr_db: float, mean: float, rho_total: float = 0.0625, metric: str = "psnr") -> dict[str, str]:
    line = {"codec": codec, "channel": "awgn", "snr_db": f"{snr_db:g}", "rho_total": f"{rho_total}"}
    return {**line, "metric": metric, "mean": f"{mean}"}


def test_measured_rows_stand_under_the_published_ones_of_their_rate() -> None:
    published = [level("WITT", 1, 29.66), level("WITT", 10, 33.6), level("WITT", 10, 35.0, "1/12")]
    summary = [
        measured("semlink", 1, 28.1),
        measured("semlink", 4, 29.9),  # nobody published that SNR
        measured("semlink", 10, 31.25),
        measured("semlink", 10, 0.9, metric="ms_ssim"),
        measured("semlink", 10, 33.0, rho_total=0.0833333),
        measured("digital", 10, 30.0, rho_total=0.05),
    ]
    assert beside(published, summary).splitlines() == [
        "| PSNR | rho | channel | 1 dB | 10 dB |",
        "| --- | --- | --- | --- | --- |",
        "| WITT, published | 1/16 | awgn | 29.66 | 33.60 |",
        "| **semlink** | 1/16 | awgn | 28.10 | 31.25 |",
        "| WITT, published | 1/12 | awgn |  | 35.00 |",
        "| **semlink** | 1/12 | awgn |  | 33.00 |",
    ]


def test_the_committed_levels_are_readable() -> None:
    levels = read_levels(PUBLISHED)
    assert {line["set"] for line in levels} == {"cifar10", "kodak"}
    assert all(15 < float(line["psnr"]) < 50 and line["source"] for line in levels)
    for name, rates in (("cifar10", 3), ("kodak", 4)):
        assert beside([x for x in levels if x["set"] == name], []).count("WITT, published") == rates


HEAD = "set,channel,scheme,rho,snr_db,psnr,source"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\nkodak,awgn,BPG,1/12,5\n", "line 2 has other columns"),
        (f"{HEAD}\nkodak,awgn,BPG,1/12,5,27.1,x,y\n", "line 2 has other columns"),
        (f"{HEAD}\nk,awgn,BPG,1/12,5,27,x\nk,awgn,BPG,1/12,five,27,x\n", "five"),
        (f"{HEAD}\nk,awgn,BPG,1/0,5,27,x\n", "Fraction"),
        (f"{HEAD.replace('snr_db', 'snr')}\nk,awgn,BPG,1/12,5,27,x\n", "no column snr_db"),
        ("codec,channel,snr_db,rho_total,metric\na,awgn,5,0.1,psnr\n", "no column mean"),
    ],
)
def test_a_damaged_table_is_a_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "levels.csv").write_text(text)
    with pytest.raises(SemlinkError, match=f"levels.csv: no CSV file .*{said}"):
        read_levels(tmp_path / "levels.csv")
