"""Streams to flat symbols, image by image, and what is refused on the way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.link import code_blocks, layout
from semlink.simulator.values import Stream, Transmission

Coded = dict[int, tuple[list[code_blocks.Block], np.ndarray]]  # by stream: its blocks, and its uses per image


def coded(transmission: Transmission) -> Coded:
    """Blocks and uses of the bits streams that are really coded."""
    streams = enumerate(transmission.streams)
    return {i: code_blocks.blocks_of(s) for i, s in streams if s.kind == "bits" and not s.ideal}


def counts(transmission: Transmission, bits: Coded) -> np.ndarray:
    """Symbols of each stream in each image: int64 `[streams, images]`."""
    return np.stack([bits[i][1] if i in bits else fixed_uses(s) for i, s in enumerate(transmission.streams)])


def symbols(stream: Stream, index: int, bits: Coded, plan: layout.Layout) -> Tensor:
    if index in bits:
        blocks, uses = bits[index]
        return torch.from_numpy(
            code_blocks.modulate(blocks, uses, stream.uses is not None, layout.filler(int(uses.max())).numpy())
        )
    if stream.ideal:
        uses = plan.counts[index]
        return layout.filler(int(uses[0])).repeat(len(uses))
    return checked_analog(stream).flatten()


def checked_analog(stream: Stream) -> Tensor:
    x = stream.payload
    if not isinstance(x, Tensor) or x.dtype != torch.complex64 or x.ndim != 2:
        raise SemlinkError(f"stream {stream.name!r}: analog payload must be a complex64 tensor [batch, k]")
    power = torch.view_as_real(x.detach().resolve_conj()).square().mean((1, 2)) * 2
    if not bool(torch.isfinite(power).all()):
        raise SemlinkError(
            f"stream {stream.name!r}: NaN or infinite symbols in image {int((~torch.isfinite(power)).nonzero()[0])}"
        )
    if float((power - 1).abs().max()) > 1e-3:
        raise SemlinkError(
            f"stream {stream.name!r}: mean power per image must be 1, "
            f"found {float(power.min()):.4g} to {float(power.max()):.4g}"
        )
    return x


def fixed_uses(stream: Stream) -> np.ndarray:
    if stream.ideal and stream.uses is None:
        raise SemlinkError(f"stream {stream.name!r}: an ideal stream must say how many uses it takes")
    uses = stream.uses if stream.kind == "bits" else stream.payload.shape[1]
    return np.full(len(stream.payload), uses, np.int64)
