"""Corners of ROI coding, both codecs and both modes: any bytes in any side stream, odd regions, odd picture sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.codecs._regions import run_code
from semlink.simulator import Link
from semlink.simulator.conformance.codec import check_pictures, noiseless, smooth_pictures
from semlink.simulator.values import Reception

CODECS = ("roi_jscc", "roi_dual", "roi_dual:threshold")
SIZES = ((96, 64), (61, 90), (49, 97))  # the last two are no multiples of 16, nor of 4


class OneEach:
    """Another region for each picture of a batch."""

    def __init__(self, *regions: torch.Tensor) -> None:
        self.regions = regions

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.regions).float()


def made(name: str, importance: object = "box"):
    """The codec of a name, perhaps with a mode."""
    name, _, mode = name.partition(":")
    return codecs.create(name, importance=importance, **({"select": mode} if mode else {}))


def with_payloads(reception: Reception, name: str, payloads: list[bytes | None]) -> Reception:
    """The reception with other payloads in one bits stream."""
    ok = tuple(p is not None for p in payloads)
    return replace(
        reception,
        streams=tuple(
            replace(s, payload=tuple(payloads), ok=ok, blocks_ok=None) if s.name == name else s
            for s in reception.streams
        ),
    )


def copies(reception: Reception, count: int) -> Reception:
    """The reception of one picture, so many times."""
    streams = [
        replace(s, payload=s.payload * count)
        if s.kind == "bits"
        else replace(s, x_hat=s.x_hat.expand(count, -1), a=s.a.expand(count, -1))
        for s in reception.streams
    ]
    return replace(reception, streams=tuple(streams))


def wrong(right: bytes, count: int, seed: int) -> list[bytes | None]:
    """Lost, empty, cut, too long, bits flipped, and random payloads."""
    rng = np.random.default_rng(seed)
    cuts = [right[: int(n)] for n in rng.integers(0, len(right) + 1, 6)]
    flips = []
    for _ in range(10 if right else 0):
        changed = np.frombuffer(right, np.uint8).copy()
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
        flips.append(changed.tobytes())
    fixed = [None, b"", b"\0", b"\xff", b"\0" * 300, b"\xff" * 300, right + b"\0", right + right, right[::-1], right]
    some = [*fixed, *cuts, *flips]
    return [*some, *(rng.bytes(int(rng.integers(0, 2 * len(right) + 4))) for _ in range(count - len(some)))]


@pytest.mark.parametrize("size", SIZES[::2], ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_any_bytes_in_any_side_stream_give_a_picture(name: str, size: tuple[int, int]) -> None:
    codec = made(name, "box:x0=0.2;x1=0.7;y0=0.3;y1=0.9")
    images = smooth_pictures(1, *size).expand(40, -1, -1, -1)
    reception = copies(noiseless(codec.encode(images[:1])), 40)
    sides = [s for s in reception.streams if s.kind == "bits"]
    assert len(sides) == (2 if ":" in name else 1)
    for seed, side in enumerate(sides):
        check_pictures(codec.decode(with_payloads(reception, side.name, wrong(side.payload[0], 40, seed))), images)
    for seed, side in enumerate(sides):
        reception = with_payloads(reception, side.name, wrong(side.payload[0], 40, 10 + seed))
    check_pictures(codec.decode(reception), images)


@pytest.mark.parametrize("name", CODECS)
def test_a_damaged_side_stream_hurts_its_own_picture_alone(name: str) -> None:
    codec = made(name)
    images = smooth_pictures(3, 64, 64)
    reception = noiseless(codec.encode(images))
    whole = codec.decode(reception)
    for side in [s for s in reception.streams if s.kind == "bits"]:
        payloads = [side.payload[0], b"\x5a" * 7, None]
        pictures = codec.decode(with_payloads(reception, side.name, payloads))
        assert torch.allclose(pictures[0], whole[0], atol=1e-5)
        assert (pictures[2] - whole[2]).abs().max() > 1e-3, f"nobody misses {side.name}"


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_empty_full_and_one_pixel_regions_cross_the_link(name: str, size: tuple[int, int]) -> None:
    """The last pixel of the picture is in a cell of its own where the sides are no multiples of 16."""
    height, width = size
    empty = torch.zeros(height, width)
    pixels = [empty.clone() for _ in range(3)]
    for region, (y, x) in zip(pixels, [(0, 0), (height - 1, width - 1), (height // 2, width // 3)], strict=True):
        region[y, x] = 1
    codec = made(name, OneEach(empty, empty + 1, *pixels))
    images = smooth_pictures(5, *size)
    result = Link(channels.create("awgn")).run(codec.encode(images), 15.0, seed=1)
    pictures = codec.decode(result.reception)
    check_pictures(pictures, images)
    totals = np.sum(list(result.report.uses.values()), axis=0)
    assert (totals == int(codec.rho * 3 * height * width + 1e-6)).all(), (
        "floor(rho n) of the picture, whatever the region"
    )
    flat = images - images.mean((2, 3), keepdim=True)
    assert ((pictures - images).square().mean((1, 2, 3)) < flat.square().mean((1, 2, 3))).all(), (
        "mean colours are better"
    )


@pytest.mark.parametrize("name", CODECS)
def test_black_white_and_flat_pictures_pass(name: str) -> None:
    """Black has nothing that stands out from black."""
    codec = made(name)
    images = torch.stack([torch.full((3, 64, 64), level) for level in (0.0, 0.5, 1.0)])
    pictures = codec.decode(noiseless(codec.encode(images)))
    check_pictures(pictures, images)
    assert (pictures - images).abs().mean() < 0.1


def test_flags_come_back_and_long_runs_are_small() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 500, 5000):
        none = torch.zeros(n, dtype=torch.bool)
        box = none.clone()
        box[n // 3 : n // 2 + 1] = True
        noise = [torch.from_numpy(rng.random(n) < p) for p in (0.01, 0.3, 0.5, 0.9)]
        for flags in (none, ~none, box, *noise):
            payload = run_code.pack(flags)
            assert len(payload) == run_code.size(flags)
            assert torch.equal(run_code.unpack(payload, n), flags)
            assert run_code.unpack(payload, n + 1) is None, "another number of flags"
        assert run_code.size(box) <= 8


def test_any_bytes_are_flags_or_none() -> None:
    rng = np.random.default_rng(1)
    accepted = 0
    for _ in range(3000):
        n = int(rng.integers(1, 20))
        orders = 0 if rng.random() < 0.5 else int(rng.integers(256))
        payload = bytes([orders]) + rng.bytes(int(rng.integers(1, 3)))
        flags = run_code.unpack(payload, n)
        accepted += flags is not None
        assert flags is None or (flags.shape == (n,) and run_code.pack(flags) == payload)
    assert 10 < accepted < 2000
    assert run_code.unpack(None, 5) is None
    assert run_code.unpack(b"\xff" + bytes(5000) + b"\xff" * 5000, 50) is None, "a number of thousands of digits"
