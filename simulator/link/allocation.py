"""Which place each symbol takes and how much power it gets; computed alike at both ends.

Bits streams and filler keep the places of their order and unit power: their schemes were chosen for that, and the
importance of the others may be among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.layout import SlotLayout, kept
from semlink.simulator.power import Rule
from semlink.simulator.values import Stream, Transmission


@dataclass(frozen=True)
class Allocation:
    """power: float32 `[images, total]` by place, mean 1 per image, or None for uniform. order: int64 `[images, total]`,
    the place of every symbol, or None for the order of the streams.
    """

    power: Tensor | None = None
    order: Tensor | None = None

    @property
    def joint(self) -> bool:
        """Whether it takes all streams of an image to know it."""
        return self.power is not None or self.order is not None

    def placed(self, symbols: Tensor) -> Tensor:
        """Symbols `[images, total]` at their places."""
        return symbols if self.order is None else torch.zeros_like(symbols).scatter(1, self.order, symbols)

    def taken(self, places: Tensor) -> Tensor:
        """Values at places `[images, total]` back in the order of the symbols."""
        return places if self.order is None else places.gather(1, self.order)


def allocate(
    transmission: Transmission, plan: SlotLayout, rule: Rule, placement: str, gains: Tensor | None, n0: Tensor
) -> Allocation:
    """gains: float32 `[images, total]` as the transmitter knows them by place, or None; n0: float32 `[images]`.

    SemlinkError when the rule or the placement needs knowledge that is not there.
    """
    if not (rule.needs_channel or rule.needs_importance or placement == "importance"):
        return Allocation()
    analog, importance = importance_of(transmission, plan)
    order, placing, telling = None, placement == "importance", telling_of(transmission, plan)
    if placing or (telling.any() and gains is not None):
        order = strongest_first(importance if placing else None, analog, cast(Tensor, gains), telling)
        importance, analog = (torch.zeros_like(v).scatter(1, order, v) for v in (importance, analog))
    power = rule.allocate(gains, importance, n0, analog) if rule.needs_channel or rule.needs_importance else None
    return Allocation(None if power is None else torch.where(analog, power, 1.0), order)


def telling_of(transmission: Transmission, plan: SlotLayout) -> Tensor:
    """Symbols of streams that tell importance: without them nothing else can be read; bool `[images, total]`."""
    telling = torch.zeros(plan.counts.shape[1], plan.total, dtype=torch.bool)
    names = {stream.importance_told_by for stream in transmission.streams}
    for index, stream in enumerate(transmission.streams):
        if stream.name in names:
            telling[plan.places(index)] = True
    return telling


def importance_of(transmission: Transmission, plan: SlotLayout) -> tuple[Tensor, Tensor]:
    """Which symbols are analog, and their importance: 1 where a stream or an image of it has none."""
    images = plan.counts.shape[1]
    analog, importance = torch.zeros(images, plan.total, dtype=torch.bool), torch.ones(images, plan.total)
    for index, stream in enumerate(transmission.streams):
        if stream.kind != "analog":
            continue
        at = plan.places(index)
        analog[at] = True
        if stream.importance is not None:
            importance[at] = kept(some(stream.importance), plan.counts[index])
    return analog, importance


def some(importance: Tensor) -> Tensor:
    """Importance `[batch, k]`; all ones where an image has none."""
    return torch.where((importance > 0).any(1, keepdim=True), importance, torch.ones_like(importance)).float()


def strongest_first(importance: Tensor | None, analog: Tensor, gains: Tensor, telling: Tensor | None = None) -> Tensor:
    """Places of analog symbols, among themselves: the more important, the stronger; ties keep their order.

    All keep their order without importance. Symbols of `telling` take the strongest places of all.
    """
    telling = torch.zeros_like(analog) if telling is None else telling
    moved = analog | telling
    best = moved & (order_of(gains, moved).argsort(dim=1) < telling.sum(1, keepdim=True))
    wanted, offered = (torch.zeros_like(gains),) * 2 if importance is None else (importance, gains)
    symbols = order_of(torch.where(telling, float("inf"), wanted), moved)
    places = order_of(torch.where(best, float("inf"), offered), moved)
    order = torch.empty_like(symbols).scatter(1, symbols, places)
    return torch.where(moved, order, torch.arange(order.shape[1]))


def order_of(values: Tensor, among: Tensor) -> Tensor:
    """Indices `[images, total]` from the largest value to the smallest, those outside `among` last; stable."""
    return torch.where(among, -values, float("inf")).argsort(dim=1, stable=True)


def check_importance(transmission: Transmission) -> None:
    """SemlinkError unless every importance fits its stream, is finite, not negative, and the same where it is known."""
    for stream in transmission.streams:
        w = stream.importance
        if w is None:
            continue
        if stream.kind != "analog" or w.shape != cast(Tensor, stream.payload).shape:
            raise SemlinkError(f"stream {stream.name!r}: importance must have the shape of an analog payload")
        if not bool(torch.isfinite(w).all()) or bool((w < 0).any()):
            raise SemlinkError(f"stream {stream.name!r}: importance must be finite and not negative")
        if stream.importance_known and not torch.allclose(w, w[:1].expand_as(w)):
            raise SemlinkError(
                f"stream {stream.name!r}: importance that both ends know must be the same for all images; "
                "leave importance_known out and the link sends it along"
            )
        if stream.importance_told_by:
            _check_told(transmission, stream)


def _check_told(transmission: Transmission, stream: Stream) -> None:
    """SemlinkError unless the telling stream is there, and images that it tells the same have the same importance."""
    told = [s for s in transmission.streams if s.name == stream.importance_told_by and s.kind == "bits"]
    if not told:
        raise SemlinkError(f"stream {stream.name!r}: importance_told_by names no bits stream of this transmission")
    first: dict[bytes, int] = {}
    importance = cast(Tensor, stream.importance)
    for image, payload in enumerate(told[0].payload):
        if not torch.allclose(importance[first.setdefault(bytes(payload), image)], importance[image]):
            raise SemlinkError(
                f"stream {stream.name!r}: importance of image {image} is not told by {stream.importance_told_by!r}, "
                "which says the same of another image"
            )
