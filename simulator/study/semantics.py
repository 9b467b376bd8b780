"""Parts of a measurement of what pictures mean and how natural they look: mIoU, LPIPS, KID; rates that codecs serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import of_set
from semlink.simulator.plugins import describe_metric, make_codec, measure_metrics
from semlink.simulator.study import regions
from semlink.simulator.words import parse

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.sweep.trial import Parts

KID, FID = "kid", "fid"


def names_in_rows(metrics: Iterable[str]) -> tuple[str, ...]:
    """Metrics by their names in rows, each once."""
    from semlink.simulator.analysis import set_fid, set_kid

    spelt = {KID: set_kid.NAME, FID: set_fid.NAME}
    return tuple(dict.fromkeys(spelt.get(name, name) for name in metrics))


def parts(judging: regions.Judging) -> Parts:
    """Pictures, codecs and links as ever; metrics that see classes; features for KID and FID are kept."""
    from semlink.simulator.analysis.set_fid import keep
    from semlink.simulator.sweep.trial import Parts

    return Parts(measure=partial(measure, judging), describe=describe, keep=keep)


def measure(judging: regions.Judging, names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each; distances of sets are computed at the end."""
    seen = [name for name in names if name in of_set.AGAINST]
    plain = [name for name in names if name not in seen and not is_of_features(name)]
    return {**regions.measure(judging, seen, original, received), **measure_metrics(plain, original, received)}


def is_of_features(name: str) -> bool:
    """Whether it is KID or FID."""
    return name in names_in_rows((KID, FID))


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric, distance of sets, or number of the rows."""
    from semlink.simulator.analysis import set_fid, set_kid
    from semlink.simulator.records.rows import own_variable

    found = set_kid.describe(name) or set_fid.describe(name) or of_set.describe(name) or own_variable(name)
    return found or describe_metric(name)


def serves(codec: str, rho: float, sizes: Iterable[tuple[int, int]]) -> bool:
    """Whether a codec has what it needs, such as weights, for pictures of those sizes at that rate."""
    try:
        check = getattr(make_codec(parse(codec), rho), "check", None)
        if check is not None:
            for size in sizes:
                check(*size)
    except SemlinkError:
        return False
    return True
