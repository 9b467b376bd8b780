"""The link beside plain Sionna at the same settings, on the same 64 slots of 14 x 72 resource elements.

TDL-A at 100 ns and 3 m/s, LS estimation with linear interpolation, LMMSE equalisation, 10 dB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np

SLOTS = 64
SNR_DB, N0 = 10.0, 0.1
OWN, BASE = "semlink Link", "Sionna XLA"


def link_variants() -> dict[str, Callable[[], Any]]:
    """All that are compared, by name, as calls without arguments; the first call of each compiles."""
    import torch

    from semlink.channels.base.grid import Grid
    from semlink.simulator.engine.bridge import to_tensorflow
    from semlink.simulator.engine.plain import plain_sionna
    from semlink.simulator.plugins import make_link
    from semlink.simulator.values import Stream, Transmission
    from semlink.simulator.words import parse

    x = torch.from_numpy(symbols(Grid().data_symbols))
    no, tx = to_tensorflow(torch.tensor(N0)), to_tensorflow(x[:, None, None])
    link, sent = make_link(parse("tdl")), Transmission((Stream("x", "analog", x),))
    plain = {"Sionna eager": plain_sionna(None), "Sionna tf.function": plain_sionna(False), BASE: plain_sionna(True)}
    calls: dict[str, Callable[[], Any]] = {name: partial(run, tx, no) for name, run in plain.items()}
    seeds = count()  # Sionna draws anew in every call; a link keeps what it drew for a seed
    return {**calls, OWN: lambda: link(sent, SNR_DB, next(seeds))}


def symbols(count: int) -> np.ndarray:
    """Gaussian symbols complex64 `[64, count]` of mean power 1 per slot."""
    x = np.random.default_rng(0).standard_normal((SLOTS, count, 2)).view(np.complex128)[..., 0]
    return (x / np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))).astype(np.complex64)
