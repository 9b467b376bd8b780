"""Streams whose scheme and length differ from image to image, told by a stream before them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink import channels
from semlink.simulator import Link, SemlinkError
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import get
from semlink.simulator.values import Stream, Transmission

MCS, USES, ANALOG = ("qpsk-0.50", "16qam-0.50", "qpsk-0.50"), (1024, 512, 0), (100, 700, 1124)


def transmission(told: str = "head") -> Transmission:
    rng = np.random.default_rng(0)
    head = Stream("head", "bits", [b"a", b"b", b"c"], mcs="qpsk-0.25", uses=64)
    payloads = [rng.bytes(room(uses, get(mcs))) for mcs, uses in zip(MCS, USES, strict=True)]
    base = Stream("base", "bits", payloads, mcs=MCS, uses=USES, told_by=told)
    x = torch.randn(3, max(ANALOG), dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    x = torch.where(torch.arange(x.shape[1]) < torch.tensor(ANALOG)[:, None], x, 0)
    x = x / (x.abs().square().sum(1, keepdim=True) / torch.tensor(ANALOG)[:, None]).sqrt()
    return Transmission((head, base, Stream("x", "analog", x, uses=ANALOG, told_by=told)))


def test_each_image_gets_what_it_was_told() -> None:
    sent = transmission()
    result = Link(channels.create("awgn")).run(sent, 25.0)
    assert result.report.uses == {"head": (64,) * 3, "base": USES, "x": ANALOG}
    head, base, x = result.reception.streams
    assert head.payload == (b"a", b"b", b"c")
    assert base.payload == (sent.streams[1].payload[0], sent.streams[1].payload[1], None)  # no uses, no payload
    assert base.blocks_ok == ((True,), (True,), ())
    payload = sent.streams[2].payload
    assert torch.equal(x.a > 0, payload.abs() > 0) and float((x.x_hat - payload).abs().square().mean()) < 0.01


def test_images_are_sent_alike_alone_and_together() -> None:
    sent, link = transmission(), Link(channels.create("rayleigh"))
    together = link(sent, 30.0, seed=3)
    for i in range(3):
        streams = [replace(s, payload=s.payload[i : i + 1]) for s in sent.streams]
        streams[1] = replace(streams[1], mcs=(MCS[i],), uses=(USES[i],))
        streams[2] = replace(streams[2], uses=(ANALOG[i],))
        alone = link(Transmission(tuple(streams)), 30.0, seed=3, first_image=i)
        n = ANALOG[i]
        assert torch.allclose(alone.streams[2].x_hat[0, :n], together.streams[2].x_hat[i, :n], atol=1e-5)
        assert alone.streams[1].payload[0] == together.streams[1].payload[i]


def test_a_lost_head_takes_with_it_what_it_tells() -> None:
    """Over packets that are all lost in some slots nothing of the image's told streams is delivered."""
    link = Link(channels.create("awgn"))
    found = link(transmission(), -12.0)
    head, base, x = found.streams
    assert head.payload == (None,) * 3 and base.payload == (None,) * 3
    assert not x.a.any() and not x.x_hat.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"told_by": ""}, "told: give told_by"),
        ({"told_by": "nobody"}, "names no bits stream before it"),
        ({"uses": (1024, 512, 600)}, "of 512 to 1124, it has|do not fit|differ"),
    ],
)
def test_what_is_not_told_is_refused(change: dict, message: str) -> None:
    head, base, x = transmission().streams
    sent = Transmission((replace(head, payload=[b"a", b"b", b"b"]), replace(base, **change), x))
    with pytest.raises(SemlinkError, match=message):
        Link(channels.create("awgn"))(sent, 10.0)


def test_more_symbols_than_there_are_are_refused() -> None:
    head, base, x = transmission().streams
    with pytest.raises(SemlinkError, match="stream 'x': uses"):
        Link(channels.create("awgn"))(Transmission((head, base, replace(x, uses=(100, 700, 1125)))), 10.0)
