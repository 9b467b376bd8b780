"""Symbols that go over the link as they are: data, codec and metric in place of pictures.

Unit-power Gaussian symbols with an importance that both ends know. The error of an image is
sum w |x - x_hat|^2 / sum w with x_hat the estimate that the receiver hands out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from semlink.channels.base.grid import Grid
from semlink.simulator.study.links import read_settings
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.sweep.trial import Parts
    from semlink.simulator.values import Reception, Transmission, TxInfo

METRIC = "weighted_mse"
PROFILES = {"lognormal": {"db": 4.0}, "roi": {"share": 0.2, "weight": 10.0}}


@dataclass(frozen=True)
class Symbols:
    """The data set: unit-power Gaussian symbols, each image as real numbers `[3, 1, 2 k / 3]` for k complex ones."""

    count: int
    k: int
    seed: int

    @property
    def ids(self) -> list[str]:
        return [f"symbols {i}" for i in range(self.count)]

    def sizes(self) -> list[tuple[int, int]]:
        return [(1, 2 * self.k // 3)] * self.count

    def batch(self, indices: Sequence[int]) -> Tensor:
        import torch

        from semlink.channels.base.fade import complex_normal
        from semlink.simulator.rng import generator

        x = torch.stack(
            [torch.from_numpy(complex_normal(generator("symbols", self.seed, i), (self.k,))) for i in indices]
        )
        return as_picture(x / x.abs().square().mean(1, keepdim=True).sqrt())


@dataclass(frozen=True)
class Uncoded:
    """The codec that does nothing, with an importance that both ends know."""

    profile: str
    encodes_on: str = "nothing"

    def uses(self, height: int, width: int) -> int:
        return 3 * height * width // 2

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        from semlink.simulator.values import Stream, Transmission

        x = as_symbols(images)
        w = weights(self.profile, x.shape[1]).expand(len(x), -1)
        return Transmission((Stream("symbols", "analog", x, importance=w, importance_known=True),))

    def decode(self, reception: Reception) -> Tensor:
        return as_picture(cast("Tensor", reception.stream("symbols").x_hat))


def as_picture(x: Tensor) -> Tensor:
    """Complex `[n, k]` to real `[n, 3, 1, 2 k / 3]`."""
    import torch

    return torch.view_as_real(x).reshape(len(x), 3, 1, -1)


def as_symbols(pictures: Tensor) -> Tensor:
    """`as_picture` undone."""
    import torch

    return torch.view_as_complex(pictures.reshape(len(pictures), -1, 2))


def weights(profile: str, k: int) -> Tensor:
    """Importance float32 `[k]` of a profile; SemlinkError for an unknown one."""
    import torch

    from semlink.simulator.rng import generator

    word = parse(profile)
    settings = read_settings("profile", word, PROFILES)
    rng = generator("importance", word.name, k)
    if word.name == "lognormal":
        values = 10 ** (settings["db"] / 10 * rng.standard_normal(k))
    else:
        inside = rng.permutation(k) < round(settings["share"] * k)
        values = 1 + (settings["weight"] - 1) * inside
    return torch.from_numpy(values).float()


def measure(profile: str, names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """sum w |x - x_hat|^2 / sum w of each image, float64 `[n]`."""
    error = (as_symbols(original) - as_symbols(received)).abs().double().square()
    w = weights(profile, error.shape[1]).double()
    return {METRIC: error @ w / w.sum()}


def describe(name: str) -> Variable:
    """The only metric there is."""
    from semlink.simulator.protocols import Variable

    return Variable("1", "importance-weighted error of a symbol of unit power", "lower", least=0)


def parts(profile: str, slots: int, seed: int) -> Parts:
    """What takes the place of pictures, codec and metrics: so many slots of symbols an image."""
    from semlink.simulator.sweep.trial import Parts

    return Parts(
        dataset=partial(make_symbols, slots * Grid().data_symbols, seed),
        codec=partial(make_codec, profile),
        measure=partial(measure, profile),
        describe=describe,
    )


def make_symbols(k: int, seed: int, data: str, limit: int | None) -> Symbols:
    return Symbols(limit or 0, k, seed)


def make_codec(profile: str, word: Word, rho: float) -> Any:
    return Uncoded(profile)
