"""Places and power of symbols by importance: stronger places, undone exactly, known at both ends or lost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from semlink.simulator import Grid, Link, ReceivedStream, SemlinkError, Stream, Transmission
from semlink.simulator.analysis.statistics import mean_interval
from semlink.simulator.link.allocation import Allocation, importance_of, strongest_first
from semlink.simulator.link.importance_code import unpack
from semlink.simulator.link.importance_stream import SUFFIX, accompanied, without_lost
from semlink.simulator.link.layout import SlotLayout
from semlink.simulator.plugins import LINK_SETTINGS, make_channel
from semlink.simulator.words import parse

GRID = Grid(subcarriers=24)
SISO = "tdl:csi=perfect,csit=perfect,placement=importance"
SVD = "tdl:csi=perfect,csit=perfect,placement=importance,precoding=svd,layers=2,rx_antennas=2,tx_antennas=2"
OLD = SVD.replace("perfect", "lmmse", 1).replace("perfect", "delayed", 1) + ",csit_delay=1,speed=5"


def link_of(word: str, **settings: Any) -> Link:
    channel, own = parse(word).split(LINK_SETTINGS)
    return Link(make_channel(channel), grid=GRID, **{**own, **settings})


def symbols(images: range, k: int, seed: int = 0) -> torch.Tensor:
    """Unit-power Gaussian symbols, the same for an image whatever the batch."""
    rows = [torch.Generator().manual_seed(1000 * seed + i) for i in images]
    x = torch.stack([torch.randn(k, dtype=torch.complex64, generator=row) for row in rows])
    return x / x.abs().square().mean(1, keepdim=True).sqrt()


def ranked(images: range, k: int, seed: int = 0) -> torch.Tensor:
    """Log-normal importance, other symbols being important in every image."""
    rows = [np.random.default_rng([seed, i]).standard_normal(k) for i in images]
    return torch.from_numpy(10 ** (0.4 * np.stack(rows))).float()


def one(images: range, k: int, **settings: Any) -> Transmission:
    return Transmission((Stream("x", "analog", symbols(images, k), **settings),))


def important_half(importance: torch.Tensor, a: torch.Tensor) -> np.ndarray:
    """Mean a of the more important half of an image's symbols, less that of the other half."""
    top = importance > importance.median(1, keepdim=True).values
    return ((a * top).sum(1) / top.sum(1) - (a * ~top).sum(1) / (~top).sum(1)).double().numpy()


def test_strongest_first_by_hand() -> None:
    importance = torch.tensor([[1.0, 9.0, 5.0, 5.0, 7.0]])
    gains = torch.tensor([[0.3, 0.1, 9.9, 0.2, 0.4]])
    analog = torch.tensor([[True, True, False, True, True]])
    order = strongest_first(importance, analog, gains)
    assert order.tolist() == [[1, 4, 2, 3, 0]]  # 9 -> 0.4, 7 -> 0.3, 5 -> 0.2, 1 -> 0.1; the third is not analog
    ties = strongest_first(torch.ones(1, 4), torch.ones(1, 4, dtype=torch.bool), torch.tensor([[1.0, 2, 2, 3]]))
    assert ties.tolist() == [[3, 1, 2, 0]]


def test_placing_is_undone() -> None:
    rng = torch.Generator().manual_seed(0)
    importance, gains = torch.rand(5, 300, generator=rng), torch.rand(5, 300, generator=rng)
    analog = torch.rand(5, 300, generator=rng) < 0.7
    allocation = Allocation(order=strongest_first(importance, analog, gains))
    x = torch.randn(5, 300, dtype=torch.complex64, generator=rng)
    placed = allocation.placed(x)
    assert torch.equal(allocation.taken(placed), x) and torch.equal(placed[~analog], x[~analog])
    assert torch.equal(placed.abs().sort(1).values, x.abs().sort(1).values)
    for row in range(5):  # falling importance meets falling gains
        met = allocation.taken(gains)[row][analog[row]][importance[row][analog[row]].argsort(descending=True)]
        assert (met.diff() <= 0).all()


def test_importance_is_on_one_scale_over_streams() -> None:
    images = range(3)
    zero_in_one = ranked(images, 4)
    zero_in_one[1] = 0
    sent = Transmission((
        Stream("a", "analog", symbols(images, 5)),
        Stream("b", "bits", [b"12"] * 3, uses=2, ideal=True),
        Stream("c", "analog", symbols(images, 4), importance=3 * zero_in_one),
    ))  # fmt: skip
    analog, importance = importance_of(sent, SlotLayout(np.array([[5] * 3, [2] * 3, [4] * 3]), 12))
    assert analog.tolist() == [[True] * 5 + [False] * 2 + [True] * 4 + [False]] * 3
    assert (importance[:, :5] == 1).all() and torch.equal(importance[[0, 2], 7:11], 3 * zero_in_one[[0, 2]])
    assert (importance[1, 7:11] == 1).all(), "an image without any importance is of equal importance"


@pytest.mark.parametrize("word", [SISO, SVD, OLD])
@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_important_symbols_get_the_stronger_places(word: str, snr_db: float) -> None:
    """Paired with the same symbols in order, which gain nothing from being important."""
    images, link = range(96), link_of(word)
    sent = one(images, link.places, importance=ranked(range(1), link.places).expand(96, -1), importance_known=True)
    w = sent.streams[0].importance
    placed, plain = (other(sent, snr_db).streams[0].a for other in (link, link_of(word, placement="order")))
    assert mean_interval(important_half(w, placed) - important_half(w, plain)).low > 0.02
    # the same places are filled: nothing but the order of reliabilities differs
    assert torch.allclose(placed.sort(1).values, plain.sort(1).values, atol=1e-5)


@pytest.mark.parametrize("word", [SISO, SVD + ",power=semantic_waterfilling", SVD + ",power=importance"])
def test_order_of_symbols_is_kept_end_to_end(word: str) -> None:
    images, link = range(40), link_of(word)
    sent = one(images, 700, importance=0.5 + ranked(range(1), 700).expand(40, -1), importance_known=True)
    stream = link(sent, 60.0).streams[0]
    assert stream.x_hat.shape == stream.a.shape == (40, 700)
    error = (stream.x_hat - sent.streams[0].payload).abs().square().mean(1)
    assert error.median() < 1e-4 and error.max() < 0.05


@pytest.mark.parametrize(("first", "second"), [(1.0, 8.0), (8.0, 1.0), (None, None)])
def test_streams_map_to_layers_by_importance(first: float | None, second: float | None) -> None:
    """Two streams that fill a layer each, on a flat channel: the more important one has the strong mode to itself."""
    word = SVD.replace("tdl", "rayleigh")
    link, images = link_of(word), range(48)
    k = GRID.data_symbols
    streams = [
        Stream(name, "analog", symbols(images, k, seed), importance_known=True, importance=w and torch.full((48, k), w))
        for seed, (name, w) in enumerate((("a", first), ("b", second)))
    ]
    reception = link(Transmission(tuple(streams)), 8.0)
    a, b = (reception.stream(name).a for name in "ab")
    strong, weak = (a, b) if first is None or first > second else (b, a)
    assert (strong.min(1).values > weak.max(1).values).all()
    assert all(v.std(1).max() < 1e-4 for v in (a, b)), "a stream stays on one layer"


def caption_and_two(images: range) -> Transmission:
    """Captions of varying length around two analog streams, the second of which is the more important."""
    captions = [bytes([i]) * (3 + 40 * (i % 4)) for i in images]
    return Transmission((
        Stream("caption", "bits", captions, mcs="qpsk-0.25"),
        Stream("detail", "analog", symbols(images, 400, 1), importance=ranked(images, 400, 1)),
        Stream("more", "bits", captions, mcs="qpsk-0.25"),
        Stream("base", "analog", symbols(images, 300, 2), importance=20 * ranked(images, 300, 2)),
    ))  # fmt: skip


@pytest.mark.parametrize("word", [SISO + ",power=semantic_waterfilling", SVD + ",power=semantic_waterfilling"])
def test_streams_of_varying_length_between_allocated_ones(word: str) -> None:
    sent, link = caption_and_two(range(24)), link_of(word)
    result = link.run(sent, 30.0)
    got, uses = result.reception, result.report.uses
    arrived = torch.tensor([all(s.ok[i] for s in got.streams if s.ok) for i in range(24)])
    assert arrived.float().mean() > 0.8
    for stream in sent.streams:
        found = got.stream(stream.name)
        if stream.kind == "bits":
            assert all(p in (None, q) for p, q in zip(found.payload, stream.payload, strict=True))
            assert len(set(uses[stream.name])) > 1
        else:
            error = (found.x_hat - stream.payload).abs().square()[arrived].mean(1)
            assert error.median() < 0.01
    assert (got.stream("base").a.mean(1) > got.stream("detail").a.mean(1))[arrived].all()


def test_importance_that_is_sent_is_charged_and_does_not_touch_others() -> None:
    images, link = range(12), link_of(SISO)
    sent = one(images, 500, importance=ranked(images, 500))
    result = link.run(sent, 25.0)
    names = [s.name for s in result.reception.streams]
    assert names == ["x" + SUFFIX, "x"] and result.report.uses["x"] == (500,) * 12
    charged = result.report.uses["x" + SUFFIX]
    payload = result.reception.streams[0].payload
    assert all(u >= 4 * len(p) for u, p in zip(charged, payload, strict=True) if p), "at most 2 bits a use"
    assert torch.allclose(unpack(payload[0], 500), accompanied(sent).streams[1].importance[0])
    known = one(images, 500, importance=ranked(range(1), 500).expand(12, -1), importance_known=True)
    assert [s.name for s in link(known, 25.0).streams] == ["x"]
    assert [s.name for s in link_of("tdl:csi=perfect")(sent, 25.0).streams] == ["x"], "nobody needs it"


def told(images: range, k: int) -> Transmission:
    """Symbols whose importance a byte of their image tells."""
    importance = torch.stack([1.0 + (i % 3) * (torch.arange(k) < k // 2) for i in images])
    tells = Stream("tells", "bits", [bytes([i % 3]) for i in images], protection="robust", uses=128)
    x = Stream("x", "analog", symbols(images, k), importance=importance, importance_told_by="tells")
    return Transmission((x, tells))


def test_importance_that_a_stream_tells_is_not_sent_again() -> None:
    sent, link = told(range(48), 800), link_of(SISO + ",power=semantic_waterfilling")
    result = link.run(sent, 2.0)
    assert [s.name for s in result.reception.streams] == ["x", "tells"]
    got, known = result.reception.stream("x"), torch.tensor(result.reception.stream("tells").ok)
    assert known.any() and not known.all() and not got.a[~known].any() and not got.x_hat[~known].any()
    assert (got.a[known].sum(1) > 0).all()
    plain = link_of("tdl:csi=perfect").run(sent, 2.0).reception
    assert plain.stream("x").a.all(), "where nothing depends on importance, nothing is lost with it"
    assert sum(result.reception.stream("tells").ok) > sum(plain.stream("tells").ok), "it gets the strongest places"


def test_what_tells_takes_the_strongest_places() -> None:
    gains = torch.tensor([[0.3, 0.1, 9.0, 0.2, 0.4]])
    telling, filler = torch.tensor([[0, 1, 0, 0, 0]]).bool(), torch.tensor([[0, 0, 1, 0, 0]]).bool()
    analog = ~(telling | filler)
    assert strongest_first(None, analog, gains, telling).tolist() == [[0, 4, 2, 1, 3]]
    importance = torch.tensor([[1.0, 0, 0, 3, 2]])
    assert strongest_first(importance, analog, gains, telling).tolist() == [[1, 4, 2, 0, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"importance_told_by": "nobody"}, "importance_told_by names no bits stream"),
        ({"importance": torch.rand(9, 20)}, "importance of image 3 is not told by 'tells'"),
    ],
)
def test_importance_that_is_not_told_is_refused(change: dict, message: str) -> None:
    x, tells = told(range(9), 20).streams
    with pytest.raises(SemlinkError, match=message):
        link_of(SISO).run(Transmission((replace(x, **change), tells)), 10.0)


def test_scales_travel_where_streams_are_compared() -> None:
    sent = accompanied(caption_and_two(range(5)))
    assert [s.name for s in sent.streams] == [
        "caption", "detail.importance", "detail", "more", "base.importance", "base",
    ]  # fmt: skip
    for name, k, level in (("detail", 400, 1.0), ("base", 300, 20.0)):
        told, stream = (next(s for s in sent.streams if s.name == n) for n in (name + SUFFIX, name))
        own = next(s for s in caption_and_two(range(5)).streams if s.name == name).importance
        ratio = stream.importance.mean(1) / own.mean(1)
        assert ((ratio.log2().abs() <= 0.2501) & (own.mean(1) > 0.8 * level)).all(), "half an octave is 2^+-0.25"
        for payload, importance in zip(told.payload, stream.importance, strict=True):
            scale = 2 ** ((payload[0] - 128) / 2)
            assert torch.allclose(unpack(payload[1:], k) * scale, importance)


def test_where_importance_is_lost_all_that_it_places_is_lost() -> None:
    """Captions sent at an MCS that mostly survives, importance too long for the SNR."""
    images, link = range(64), link_of(SISO)
    got = link(caption_and_two(images), 1.0)
    told = [got.stream(name + SUFFIX) for name in ("detail", "base")]
    known = torch.tensor([all(s.ok[i] for s in told) for i in images])
    assert known.any() and not known.all()
    for name in ("detail", "base"):
        stream = got.stream(name)
        assert not stream.a[~known].any() and not stream.x_hat[~known].any()
    assert (got.stream("base").a[known].sum(1) > 0).any()


def received(name: str, ok: list[bool], payload: bytes = b"") -> ReceivedStream:
    blocks = tuple((v,) for v in ok)
    return ReceivedStream(
        name, "bits", payload=tuple(payload if v else None for v in ok), ok=tuple(ok), blocks_ok=blocks
    )


def test_a_hidden_length_hides_earlier_streams_of_the_same_allocation() -> None:
    images = range(2)
    sent = Transmission((
        Stream("a", "analog", symbols(images, 6)),
        Stream("caption", "bits", [b"x", b"y"]),
        Stream("b", "analog", symbols(images, 6)),
        Stream("last", "bits", [b"x", b"y"]),
    ))  # fmt: skip
    whole = [ReceivedStream(n, "analog", x_hat=symbols(images, 6), a=torch.full((2, 6), 0.5)) for n in "ab"]
    got = [whole[0], received("caption", [True, False]), whole[1], received("last", [False, True])]
    seen = without_lost(sent, got)
    for stream in (seen[0], seen[2]):
        assert stream.a.tolist() == [[0.5] * 6, [0.0] * 6] and not stream.x_hat[1].any()
    fixed = replace(sent, streams=tuple(replace(s, uses=300) if s.kind == "bits" else s for s in sent.streams))
    assert all(s.a.all() for s in without_lost(fixed, got) if s.a is not None), "fixed lengths hide nothing"


@pytest.mark.parametrize("word", [SISO + ",power=mmse", OLD + ",power=semantic_waterfilling"])
def test_an_image_does_not_depend_on_its_batch_or_order(word: str) -> None:
    link = link_of(word)
    whole = link(caption_and_two(range(40)), 14.0, seed=3)
    part = link(caption_and_two(range(30, 36)), 14.0, seed=3, first_image=30)
    alone = link(caption_and_two(range(33, 34)), 14.0, seed=3, first_image=33)
    for name in ("caption", "detail", "base"):
        one, two, three = (r.stream(name) for r in (whole, part, alone))
        if one.payload is not None:
            assert one.payload[30:36] == two.payload and two.payload[3:4] == three.payload
        else:
            assert torch.allclose(one.x_hat[30:36], two.x_hat, atol=2e-3)
            assert torch.allclose(two.x_hat[3:4], three.x_hat, atol=2e-3)
            assert one.a.any()


BAD = [
    (torch.ones(2, 9), {}, "importance must have the shape of an analog payload"),
    (torch.ones(2, 10) * float("nan"), {}, "importance must be finite and not negative"),
    (-torch.ones(2, 10), {}, "importance must be finite and not negative"),
    (torch.rand(2, 10), {"importance_known": True}, "must be the same for all images; leave importance_known out"),
]


@pytest.mark.parametrize(("importance", "settings", "message"), BAD, ids=["shape", "nan", "negative", "known"])
def test_bad_importance_is_refused(importance: torch.Tensor, settings: dict, message: str) -> None:
    with pytest.raises(SemlinkError, match=f"stream 'x': .*{message}"):
        link_of(SISO)(one(range(2), 10, importance=importance, **settings), 10.0)


def test_missing_knowledge_is_refused() -> None:
    with pytest.raises(SemlinkError, match="needs a stream with importance; this codec gives none"):
        link_of("tdl:csi=perfect", power="importance")(one(range(2), 10), 10.0)
    with pytest.raises(SemlinkError, match='placement="importance" needs channel knowledge at the transmitter'):
        link_of("tdl:csi=perfect,placement=importance")
    with pytest.raises(SemlinkError, match="unknown placement 'random'; known: order, importance"):
        link_of("tdl:placement=random")
