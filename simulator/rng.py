"""Random streams by name: every draw is keyed by what it may depend on, so order, batch and workers do not matter."""

from __future__ import annotations

import hashlib

import numpy as np

Key = int | float | str


def key(*parts: Key) -> int:
    """A 64-bit key from named parts, e.g. `key("fade", seed, channel, block)`."""
    text = "\x1f".join(f"{type(p).__name__}:{p!r}" for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def generator(*parts: Key) -> np.random.Generator:
    """A Philox generator keyed by `key(*parts)`."""
    return np.random.Generator(np.random.Philox(key=key(*parts)))


def public_seed(seed: int) -> int:
    """The seed that both ends may know (31 bits); hashed apart from fade and noise keys."""
    return key("public", seed) >> 33
