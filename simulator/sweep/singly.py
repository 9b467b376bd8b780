"""Pictures that a codec refuses, such as one too small for its coder: grey, counted as lost, the others as they are.

A batch on which encoding or decoding raises is sent again picture by picture, each with its own fade and noise as
before. What then still raises is grey; it has spent its channel uses for nothing, in one code block that is lost.
Where no picture of a block gets through, its error says so, and `records.rows` decides: next to blocks that did, it is
as good as lost pictures; a condition without any picture is one that failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError

if TYPE_CHECKING:
    from torch import Tensor

GREY = 0.5
TRIED = 4  # pictures after which a codec that has refused them all is asked no more
REFUSALS = (SemlinkError, ValueError)  # of all pictures of a block; any other error is a fault of the codec
UNKNOWN = ("uses_on_air", "air_time_s", "snr_measured_db", "snr_realised_db", "papr_db", "encode_s", "decode_s")


class CodecRaised(Exception):
    """A codec raised `error` on a batch or a picture."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def codec_at_work(raises: type[Exception] = Exception) -> Iterator[None]:
    """An error of that kind within is a CodecRaised; lack of memory is not."""
    try:
        yield
    except MemoryError:
        raise
    except raises as error:
        raise CodecRaised(error) from error


@dataclass(frozen=True)
class Passage:
    """What a block's pictures became: `[batch, 3, H, W]`, what was measured on the way, one number per image and name.

    notes: text for the rows. error: why none got through; then all of them are grey.
    """

    received: Tensor
    values: Mapping[str, Sequence[float]]
    notes: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None


def singly(
    images: Tensor, names: Sequence[str], uses: float, passage: Callable[[int], Passage], raised: CodecRaised
) -> Passage:
    """The passage of pictures `[batch, 3, H, W]` one by one, grey where that raises.

    names: of the pictures, for the note `refused`. uses: channel uses of a picture. passage: of one picture by its
    place in the batch, may raise CodecRaised. raised: by the batch; its error is raised again when no picture gets
    through and it is none of REFUSALS.
    """
    found: list[Passage | None] = []
    refused = {names[0]: raised.error} if len(names) == 1 else {}
    for place, name in enumerate(names if len(names) > 1 else ()):
        if len(refused) == place == TRIED:
            break
        try:
            found.append(passage(place))
        except CodecRaised as error:
            found.append(None)
            refused[name] = error.error
    found += [None] * (len(names) - len(found))
    through = any(found)
    if not through and not isinstance(raised.error, REFUSALS):
        raise raised.error
    return joined(images, found, uses, refused_note(refused, found.count(None)), None if through else raised.error)


def joined(images: Tensor, found: Sequence[Passage | None], uses: float, note: str, error: Exception | None) -> Passage:
    """Passages of single pictures as one, None for those that were refused."""
    import torch

    lost = grey(images[:1], uses)
    whole = [one or lost for one in found]
    known = dict.fromkeys(name for one in whole for name in one.values)  # a codec's own are not known of lost ones
    columns = {name: [value for one in whole for value in one.values.get(name, [math.nan])] for name in known}
    notes = {name: text for one in whole for name, text in one.notes.items()}
    notes |= {"refused": note} if note else {}
    return Passage(torch.cat([one.received for one in whole]), columns, notes, error)


def grey(image: Tensor, uses: float) -> Passage:
    """Of a picture `[1, 3, H, W]` that was refused."""
    rho = uses / image[0].numel()
    told = {
        "uses_main": uses,
        "uses_total": uses,
        "rho_main": rho,
        "rho_total": rho,
        "blocks": 1.0,
        "block_errors": 1.0,
    }
    values = {name: [float(value)] for name, value in (told | dict.fromkeys(UNKNOWN, math.nan)).items()}
    return Passage(image * 0 + GREY, values)


def refused_note(refused: Mapping[str, Exception], count: int) -> str:
    """What a codec said of the first of `count` refused pictures."""
    if not refused:
        return ""
    name, error = next(iter(refused.items()))
    return f"{name}: {' '.join(str(error).split())}" + (f" (and {count - 1} more)" if count > 1 else "")
