"""What a codec of several bits streams shows of a picture when some of them are lost, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.simulator.figures.strips import Tile
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = (  # of CamVid's classes, by number, as its annotators chose them
    ((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0))
    + ((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192))
)


def arrived(sent: Transmission, names: Sequence[str]) -> Reception:
    """The reception of the first picture of which those streams of bits arrived, without error, and no others."""
    return Reception(tuple(_received(stream, stream.name in names) for stream in sent.streams), sent.session)


def tiles(codec: Any, sent: Transmission, original: Tensor) -> Iterator[Tile]:
    """The original `[3, H, W]`, what the first picture's streams hold, where the codec can tell (`views`), and what it
    makes of each subset of its streams, all of them first."""
    yield Tile(original.numpy(), "original")
    names = [stream.name for stream in sent.streams]
    for name, view in codec.views(arrived(sent, names)).items() if hasattr(codec, "views") else ():
        yield Tile(painted(view.numpy()) if view.ndim == 2 else view.numpy(), name)
    for there in product((True, False), repeat=len(names)):
        kept = [name for name, here in zip(names, there, strict=True) if here]
        picture = codec.decode(arrived(sent, kept))[0].numpy()
        yield Tile(picture, f"{' and '.join(kept)} arrived" if kept else "nothing arrived")


def painted(labels: np.ndarray) -> np.ndarray:
    """A class map `[H, W]` in colours, float32 `[3, H, W]`; classes beyond CamVid's take them again, the last black."""
    colours = np.array([*COLOURS, (0, 0, 0)], np.float32) / 255
    return colours[np.minimum(labels, len(COLOURS))].transpose(2, 0, 1)


def _received(stream: Stream, there: bool) -> ReceivedStream:
    payload = (stream.payload[0] if there else None,)
    return ReceivedStream(stream.name, "bits", payload=payload, ok=(there,), blocks_ok=((there,),))  # type: ignore[arg-type]
