"""What values show of themselves: short whatever they hold, and telling."""

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.simulator import Link, ReceivedStream, Reception, Rows, Session, Stream, Transmission
from semlink.simulator.reprs import shown

BITS = Stream("picture", "bits", [b"x" * 5000] * 300, mcs="qpsk-0.25", uses=30000)
ANALOG = Stream("latent", "analog", torch.zeros(300, 9000, dtype=torch.complex64))
RECEIVED = ReceivedStream("picture", "bits", payload=(b"x" * 5000,) * 300, ok=(True,) * 300)
HELD = (
    Transmission((ANALOG, BITS), Session(256, 256, {f"constant{i}": "y" * 500 for i in range(50)})),
    Reception((RECEIVED,), public_seed=7),
    Rows(()),
    codecs.create("semlink", rho=1 / 12),
    codecs.create("digital", rho=1 / 12),
    codecs.create("sgd_jscc", rho=1 / 24),
    codecs.create("ddnm", rho=1 / 24),
    Link(channels.create("tdl", model="C")),
)


@pytest.mark.parametrize("value", HELD, ids=lambda value: type(value).__name__)
def test_a_value_is_a_few_lines_and_a_table(value: object) -> None:
    assert len(repr(value)) < 600 and repr(value).startswith(f"{type(value).__name__}(")
    table = value._repr_html_()  # type: ignore[attr-defined]
    assert table.startswith("<table>") and table.count("<tr>") == table.count("</tr>") > 0 and len(table) < 3000


def test_what_matters_is_shown() -> None:
    assert "complex64 [300, 9000]" in repr(ANALOG) and "importance" not in repr(ANALOG)
    assert "5000 bytes" in repr(BITS) and "… 300 in all" in repr(BITS) and "qpsk-0.25" in repr(BITS)
    assert repr(codecs.create("digital", rho=1 / 12, source="avif")) == "Digital(rho=0.08333, source='avif')"


def test_to_show_a_codec_loads_no_network() -> None:
    codec = codecs.create("semlink", rho=1 / 12)
    assert repr(codec) and not codec._loaded


def test_text_in_a_table_is_text() -> None:
    assert "<b>" not in Session(constants={"x": "<b>"})._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.zeros((2, 3), np.float32), "float32 [2, 3]"), (b"abc", "3 bytes"), (1 / 3, "0.3333"), ((1, 2), "[1, 2]")],
)
def test_values_by_kind(value: object, text: str) -> None:
    assert shown(value) == text
