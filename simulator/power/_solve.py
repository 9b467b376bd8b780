"""Exact allocations of a unit mean power: p_i = q_i [L - t_i]_+, whose level L comes from sorting the thresholds t.

With s = N0 / g the noise of a symbol at unit gain, both problems with a mean power constraint have this form:
capacity, max sum log(1 + p / s), with q = 1 and t = s (Cover and Thomas, 2nd ed., sec. 9.4); weighted error,
min sum w / (1 + p / s), with q = sqrt(w s), t = sqrt(s / w) and L = 1 / sqrt(mu) (its KKT conditions).
"""

from __future__ import annotations

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError


def most_capacity(gains: Tensor, n0: Tensor, valid: Tensor | None) -> Tensor:
    """argmax sum log(1 + p g / N0); arguments and result as in `Rule.allocate`."""
    valid = everywhere(valid, gains)
    g = known("gains", gains, valid)
    usable = valid & (g > 0)
    noise = _noise(g, n0, usable)
    return filled(torch.ones_like(noise), noise, usable, valid).to(result_type(n0))


def least_error(gains: Tensor, importance: Tensor, n0: Tensor, valid: Tensor | None) -> Tensor:
    """argmin sum w / (1 + p g / N0); arguments and result as in `Rule.allocate`."""
    valid = everywhere(valid, gains)
    g, w = known("gains", gains, valid), known("importance", importance, valid)
    usable = valid & (g > 0) & (w > 0)
    noise, w = _noise(g, n0, usable), torch.where(usable, w, 1.0)
    return filled((w * noise).sqrt(), (noise / w).sqrt(), usable, valid).to(result_type(n0))


def filled(slope: Tensor, threshold: Tensor, usable: Tensor, valid: Tensor) -> Tensor:
    """slope [L - threshold]_+ on usable entries, L such that a row sums to its number of valid entries.

    float64 `[batch, k]`, finite and positive also where not usable. Every sum is over terms that are not negative, so
    nothing cancels whatever the dynamic range. A row with nothing usable is uniform over its valid entries.
    """
    total = valid.sum(1, keepdim=True).to(slope)
    order = torch.where(usable, threshold, torch.inf).argsort(dim=1, stable=True)
    t, q = (v.gather(1, order) for v in (threshold, torch.where(usable, slope, 0.0)))
    slopes = q.cumsum(1)
    spent = torch.cat([torch.zeros_like(total), (slopes[:, :-1] * t.diff(dim=1)).cumsum(1)], 1)  # when L = t
    active = usable.gather(1, order) & (spent < total)
    last = (active.sum(1, keepdim=True) - 1).clamp_min(0)
    spread = torch.where(active[:, :1], slopes.gather(1, last), 1.0)
    above = (total - spent.gather(1, last)) / spread
    power = slope * (t.gather(1, last) - threshold + above).clamp_min(0)
    return torch.where(active[:, :1], torch.where(usable, power, 0.0), valid.to(slope))


def result_type(n0: Tensor) -> torch.dtype:
    """float32, or float64 when n0 is."""
    return torch.promote_types(n0.dtype, torch.float32)


def required(name: str, values: Tensor | None) -> Tensor:
    """`values`. SemlinkError when they are None."""
    if values is None:
        raise SemlinkError(f"this power rule needs {name}, and the transmitter knows none")
    return values


def everywhere(valid: Tensor | None, like: Tensor) -> Tensor:
    """`valid`, or all of it."""
    return torch.ones_like(like, dtype=torch.bool) if valid is None else valid


def known(name: str, values: Tensor, valid: Tensor) -> Tensor:
    """`values` in float64, 0 where not valid. SemlinkError unless finite and not negative."""
    wrong = valid & ~((values >= 0) & (values < torch.inf))
    _refuse(name, values, wrong, "finite and not negative")
    return torch.where(valid, values, 0.0).double()


def _noise(gains: Tensor, n0: Tensor, usable: Tensor) -> Tensor:
    """N0 / g where usable, else 1. SemlinkError unless N0 is finite and positive."""
    column = n0[:, None]
    _refuse("n0", column, ~((column > 0) & (column < torch.inf)), "finite and positive")
    return torch.where(usable, column.double() / torch.where(usable, gains, 1.0), 1.0)


def _refuse(name: str, values: Tensor, wrong: Tensor, rule: str) -> None:
    if bool(wrong.any()):
        row, place = (int(i) for i in wrong.nonzero()[0])
        raise SemlinkError(f"power allocation: {name} must be {rule}, row {row} has {float(values[row, place]):g}")
