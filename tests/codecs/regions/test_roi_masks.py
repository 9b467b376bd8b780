"""Masks of regions of interest: cells, lossless code, any bytes, and the sharing of symbols that both ends derive."""

import numpy as np
import pytest
import torch

from semlink import channels
from semlink.codecs._regions import mask_code as code
from semlink.codecs._regions.cells import Budget, cells_of, gather, levels_of, scatter, spread
from semlink.codecs._regions.shapes import Shapes
from semlink.simulator import Link, SemlinkError
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import PROTECTION, get
from semlink.simulator.values import Session, Stream, Transmission

SIZES = [(1, 1), (2, 2), (3, 5), (12, 16), (16, 16), (32, 48)]


def masks(rows: int, columns: int) -> list[torch.Tensor]:
    """Empty, full, one cell, a box, stripes, a chess board, and noise of every density."""
    generator = torch.Generator().manual_seed(0)
    empty = torch.zeros(rows, columns, dtype=torch.bool)
    one, box, stripes, board = (empty.clone() for _ in range(4))
    one[rows // 2, columns // 3] = True
    box[rows // 4 : rows // 2 + 1, columns // 4 : columns // 2 + 1] = True
    stripes[::2] = True
    board[::2, ::2] = board[1::2, 1::2] = True
    noise = [torch.rand(rows, columns, generator=generator) < p for p in np.linspace(0.02, 0.98, 25)]
    return [empty, ~empty, one, box, stripes, board, *noise]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_mask_comes_back_from_no_more_bytes_than_its_bitmap(size: tuple[int, int]) -> None:
    for mask in masks(*size):
        payload = code.pack(mask)
        assert len(payload) <= -(-mask.numel() // 8)
        assert torch.equal(code.unpack(payload, *size), mask)


def test_plain_masks_are_tiny_and_usual_ones_small() -> None:
    empty, full, one, box = masks(16, 16)[:4]
    assert [len(code.pack(mask)) for mask in (empty, full)] < [1, 5]
    assert len(code.pack(one)) <= 3 and len(code.pack(box)) <= 5
    pictures = torch.rand(40, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    sizes = [len(code.pack(mask)) for mask in cells_of(Shapes(none=0.0).maps(pictures))]
    assert np.mean(sizes) < 0.3 * 32, f"{np.mean(sizes):.1f} bytes against 32 of the bitmap"


def test_random_bytes_give_a_mask_or_none_and_never_an_error() -> None:
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(1500):
        rows, columns = (int(n) for n in rng.integers(1, 20, 2))
        payload = rng.bytes(int(rng.integers(0, 60)))
        mask = code.unpack(payload, rows, columns)
        refused += mask is None
        if mask is not None:
            assert mask.shape == (rows, columns) and code.pack(mask) == payload
    assert 300 < refused < 1500
    assert code.unpack(None, 4, 4) is None


def test_flipped_and_cut_payloads_never_crash() -> None:
    mask = masks(16, 16)[10]
    payload = code.pack(mask)
    for bit in range(8 * len(payload)):
        wrong = bytearray(payload)
        wrong[bit // 8] ^= 1 << bit % 8
        got = code.unpack(bytes(wrong), 16, 16)
        assert got is None or not torch.equal(got, mask)
    for length in range(len(payload)):
        got = code.unpack(payload[:length], 16, 16)
        assert got is None or not torch.equal(got, mask)


def test_ragged_masks_grow_until_they_fit() -> None:
    for mask in masks(16, 16):
        for size in (15, 5):
            sent = code.fitted(mask, size)
            assert len(code.pack(sent)) <= size
            assert bool((sent | ~mask).all()), "a cell of interest was lost"
            assert torch.equal(sent, mask) == (len(code.pack(mask)) <= size)


def test_the_mask_is_one_block_of_at_most_two_per_cent() -> None:
    for uses in (12_288, 16_384, 32_768, 98_304):
        assert 0.01 * uses < code.reserved(uses) <= 0.021 * uses
        assert len(framing.blocks_in(code.reserved(uses), get(PROTECTION["robust"]))) == 1
        assert code.room(code.reserved(uses)) >= 13
    assert code.reserved(256) == 128
    with pytest.raises(SemlinkError, match="too small for a mask"):
        code.reserved(255)


@pytest.mark.slow
def test_most_masks_of_a_street_frame_arrive_at_minus_two_db() -> None:
    """43 % were lost in the two short blocks that filled the 2 % best."""
    uses = code.reserved(12_288)
    payload = [bytes([k]) * code.room(uses) for k in range(128)]
    streams = (
        Stream("latent", "analog", torch.ones(128, 64, dtype=torch.complex64)),
        Stream("mask", "bits", payload, protection="robust", uses=uses),
    )
    arrived = Link(channels.create("awgn"))(Transmission(streams, Session(8, 8)), snr_db=-2.0, seed=0).stream("mask")
    assert sum(part is None for part in arrived.payload) < 0.2 * 128


def test_cells_by_any_pixel_or_by_share() -> None:
    maps = torch.zeros(1, 40, 50)
    maps[0, 39, 49] = 1  # in the smallest cell, 8 x 2 px
    maps[0, :16, :8] = 1  # half of the first one
    assert cells_of(maps)[0].nonzero().tolist() == [[0, 0], [2, 3]]
    assert cells_of(maps, share=0.05)[0].nonzero().tolist() == [[0, 0], [2, 3]]
    assert cells_of(maps, share=0.07)[0].nonzero().tolist() == [[0, 0]]
    assert not cells_of(maps, share=0.5).any()
    assert not cells_of(0.49 * maps).any()


def test_levels_are_one_in_the_region_and_a_half_around_it() -> None:
    cells = torch.zeros(1, 5, 6, dtype=torch.bool)
    cells[0, 0, 2] = True
    levels = levels_of(cells)[0]
    assert levels[0].tolist() == [0, 0.5, 1, 0.5, 0, 0] and levels[1].tolist() == [0, 0.5, 0.5, 0.5, 0, 0]
    assert not levels[2:].any()


@pytest.mark.parametrize("size", [(3, 5), (16, 16), (12, 16)], ids=str)
def test_every_mask_shares_out_exactly_the_same_number_of_symbols(size: tuple[int, int]) -> None:
    places = 16 * size[0] * size[1]
    budget = Budget(symbols=4 * places - 37, base=3, most=8)
    levels = spread(levels_of(torch.stack(masks(*size))), 4 * size[0], 4 * size[1], 4)
    counts = budget.counts(levels)
    assert counts.flatten(1).sum(1).eq(budget.symbols).all()
    assert counts.min() >= budget.base and counts.max() <= budget.most
    for picture, level in zip(counts.double(), levels, strict=True):
        inner, near, outer = (picture[level == value].mean() for value in (1.0, 0.5, 0.0))
        if (level == 1).any() and (level == 0).any():
            assert inner > near > outer
        for value in (1.0, 0.5, 0.0):
            own = picture[level == value]
            assert not len(own) or own.max() - own.min() <= 1


def test_what_is_sent_comes_back_to_its_place() -> None:
    levels = spread(levels_of(torch.stack(masks(4, 4))), 16, 16, 4)
    budget = Budget(symbols=1000, base=3, most=8)
    order = budget.order(budget.counts(levels))
    assert order.shape == (len(levels), 1000) and all(len(set(row)) == 1000 for row in order.tolist())
    latent = torch.randn(len(levels), 16, 16, 16, generator=torch.Generator().manual_seed(3))
    symbols = gather(latent, order)
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(len(levels)))
    back = scatter(symbols.real, order, 8, 16, 16)
    scale = latent[:, :8].flatten(1).gather(1, order)[:, :1] / symbols.real[:, :1]
    sent = back != 0
    assert torch.allclose(back * scale[..., None, None] * sent, latent[:, :8] * sent, atol=1e-4)
    assert sent.flatten(2).sum(2)[:, :3].eq(256).all(), "the base planes are whole"


def test_shapes_depend_on_the_picture_alone() -> None:
    pictures = torch.rand(64, 3, 96, 96, generator=torch.Generator().manual_seed(4))
    maps = Shapes().maps(pictures)
    assert torch.equal(maps[5:6], Shapes().maps(pictures[5:6]))
    shares = maps.mean((1, 2))
    assert 0.15 < (shares == 0).float().mean() < 0.5
    assert shares.max() < 0.75 and (shares > 0.2).any() and ((shares > 0) & (shares < 0.1)).any()
