"""Parts of a measurement for experiments that time decoders and ask for FID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Codec, Variable
    from semlink.simulator.sweep.trial import Parts


def timed_parts(data: str) -> Parts:
    """Pictures and links as ever, codecs that are warm before they are timed, and what FID needs."""
    from semlink.simulator.analysis.set_fid import keep
    from semlink.simulator.sweep.trial import Parts

    return Parts(ready=partial(warm, data), measure=measure, describe=describe, keep=keep)


def warm(data: str, codec: Codec) -> Codec:
    """The codec after a first picture, so that loading its networks is not counted as decoding."""
    import torch

    from semlink.simulator import data as sources
    from semlink.simulator.conformance.codec import noiseless
    from semlink.simulator.values import TxInfo

    if codec.encodes_on != "link":
        picture = sources.load(data, 1).batch([0])
        with torch.no_grad():
            codec.decode(noiseless(codec.encode(picture, TxInfo(snr_db=10.0)), a=10 / 11))
    return codec


def measure(names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each; FID is computed at the end."""
    from semlink.simulator.analysis.set_fid import NAME
    from semlink.simulator.plugins import measure_metrics

    return measure_metrics([name for name in names if name != NAME], original, received)


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or time."""
    from semlink.simulator.analysis import set_fid
    from semlink.simulator.plugins import describe_metric
    from semlink.simulator.records.rows import VARIABLES

    return set_fid.describe(name) or VARIABLES.get(name) or describe_metric(name)
