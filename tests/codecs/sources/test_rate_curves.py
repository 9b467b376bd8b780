"""The tables of errors and of rate and quality: one that is damaged is a line, whatever is wrong in it."""

import json

import pytest

from semlink.codecs._diffusion import inner
from semlink.codecs._sources import separated
from semlink.simulator import SemlinkError

CURVE = {"bpp": [0.1, 1.0], "psnr": [20.0, 30.0], "flat": 15.0, "grey": 10.0}
ENTRY = {"inner": "adjscc", "rho": 0.1, "pool": 1, "side": 64, "snr_db": [0, 10], "sigma": [0.2, 0.1]}
WRONG = (None, "text", [], {}, 3, [1.0], [1.0, "x"], [1.0, None], [[1.0], [2.0]], float("nan"))


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Tables that are read again, from files that the test writes, and not by those behind it."""
    monkeypatch.setattr(separated, "CURVES", tmp_path / "curves.json")
    monkeypatch.setattr(inner, "TABLE", tmp_path / "errors.json")
    yield
    for known in (separated.rate_curve, inner._table):
        known.cache_clear()


def curve(tmp_path, told):
    separated.rate_curve.cache_clear()
    (tmp_path / "curves.json").write_text(json.dumps({"coders": {"natural": {"hevc": told}}}))
    return separated.rate_curve("hevc", False)


def errors(tmp_path, told):
    inner._table.cache_clear()
    (tmp_path / "errors.json").write_text(json.dumps({"entries": [told]}))
    return inner.measured_errors("adjscc", 0.1, 1, 64)


@pytest.mark.parametrize(("read", "sound"), [(curve, CURVE), (errors, ENTRY)])
def test_a_table_that_is_none_is_a_line(tmp_path, read, sound) -> None:
    assert read(tmp_path, sound)
    lists = [name for name, value in sound.items() if isinstance(value, list)]
    lacking = [{key: value for key, value in sound.items() if key != name} for name in sound]
    changed = [{**sound, name: value} for name in lists for value in WRONG]
    for told in (*lacking, *changed, *WRONG):
        with pytest.raises(SemlinkError, match=r"(curves|errors).json: ") as caught:
            read(tmp_path, told)
        assert "\n" not in str(caught.value)
