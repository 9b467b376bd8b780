"""Whole numbers on a grid as range coded decisions whose odds follow what was told; any bytes can be read."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from semlink.codecs._sources.range_coder import RangeDecoder, RangeEncoder

EVEN = None  # the context of what nothing is known of
MOST = 1024  # of both odds together

Tell = Callable[[Hashable, bool], bool]  # context and, when packing, what is so: what is so
Walk = Callable[[np.ndarray, Tell], None]  # tells all numbers, and takes down what is told


class Odds:
    """Of each context. first: odds of no to yes before anything was told; step: by which they follow."""

    def __init__(self, first: tuple[int, int], step: int) -> None:
        self._first, self._step = first, step
        self._counts: dict[Hashable, list[int]] = {}

    def of(self, context: Hashable) -> tuple[int, int]:
        """Odds of no to yes."""
        if context is EVEN:
            return 1, 1
        no, yes = self._counts.setdefault(context, [*self._first])
        return no, yes

    def after(self, context: Hashable, so: bool) -> bool:
        """Follow what was told."""
        if context is not EVEN:
            own = self._counts[context]
            own[so] += self._step
            if sum(own) > MOST:
                own[:] = [max(1, count // 2) for count in own]
        return so


def written(numbers: np.ndarray, odds: Odds, walk: Walk) -> bytes:
    """Numbers as bytes."""
    coder = RangeEncoder()

    def tell(context: Hashable, so: bool) -> bool:
        return odds.after(context, bool(coder.code(int(so), *odds.of(context))))

    walk(np.array(numbers, int), tell)
    return coder.finish()


def read(payload: bytes, shape: tuple[int, ...], odds: Odds, walk: Walk) -> np.ndarray:
    """Numbers int of that shape, of any bytes."""
    coder, found = RangeDecoder(payload), np.zeros(shape, int)

    def tell(context: Hashable, so: bool) -> bool:
        return odds.after(context, bool(coder.code(*odds.of(context))))

    walk(found, tell)
    return found
