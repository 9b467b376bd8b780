"""The SNRs of a network's training, and what keeps it within them, so that more SNR never makes a worse picture.

A network answers anything to an SNR that no training showed it. An encoder is therefore told the nearest trained SNR. A
decoder is told one within what its training let it hear, and what it hears beyond that it takes for the best it knows:
x_hat and `a` of the whole picture, times s <= 1, are s a x + noise of variance s^2 a (1 - a), less than s a (1 - s a).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from semlink.codecs._learned.shipped import WEIGHTS
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here, read_json, reading

FAINTEST_DB = -10.0  # no network is told less of what it hears, in training or after it
FADES_DB = 5.0  # 95 % of Rayleigh fades are weaker: what training up to an SNR has heard beyond it
CARD = "card.json"  # as a training script names it
KEY = "trained_snr_db"
FARTHEST_DB = 300.0  # that a trained range can name


@dataclass(frozen=True)
class SnrRange:
    """low, high: of the nominal SNRs in training, dB. The default is that of experiments/train.py."""

    low: float = -3.0
    high: float = 16.0

    def told(self, snr_db: Tensor) -> Tensor:
        """The nearest SNR in dB that encoders were told."""
        return snr_db.clamp(self.low, self.high)

    def heard(self, snr_db: Tensor, *received: Tensor) -> tuple[Tensor, ...]:
        """The nearest SNR that decoders heard, and x_hat and `a` `[batch, ...]`, scaled to it where it was higher.

        snr_db: `[batch]`, what the mean `a` of each picture amounts to. Within the range nothing changes.
        """
        most = self.high + FADES_DB
        scale = torch.where(snr_db > most, reliability(torch.full_like(snr_db, most)) / reliability(snr_db), 1.0)
        scaled = (part * scale.reshape(-1, *[1] * (part.ndim - 1)) for part in received)
        return snr_db.clamp(min(self.low, FAINTEST_DB), most), *scaled


IN_TRAINING = SnrRange(FAINTEST_DB, inf)


class RangedNetwork(nn.Module):
    """A network of SNRs that knows its range; in training it is told and hears all that there is."""

    trained = SnrRange()

    @property
    def snrs(self) -> SnrRange:
        """The range that holds now."""
        return IN_TRAINING if self.training else self.trained


def set_range(network: nn.Module, trained: SnrRange) -> None:
    """Tell a network, and those within it, where they were trained."""
    for module in network.modules():
        if isinstance(module, RangedNetwork):
            module.trained = trained


def reliability(snr_db: Tensor) -> Tensor:
    """`a` of a constant channel of that SNR in dB."""
    return torch.sigmoid(snr_db * (torch.log(torch.tensor(10.0)) / 10))


def card_of(weights: Path) -> Path | None:
    """The card of a weight file: its name as .json; of a weights.safetensors also card.json; None when not there."""
    cards = (weights.with_suffix(".json"), *([weights.parent / CARD] if weights.stem == "weights" else []))
    return next((card for card in cards if card.is_file()), None)


@contextmanager
def meant_for(codec: str, weights: Path) -> Iterator[None]:
    """What goes wrong within with weights of another codec, by their card or shipped name, names both codecs."""
    try:
        yield
    except SemlinkError as error:
        maker = codec_of(weights) if is_here(weights) else ""
        if maker in ("", codec):
            raise
        raise SemlinkError(
            f"{weights}: weights of {maker}, not of {codec}; give {maker}:weights= that file, or {codec} its own"
        ) from error


def codec_of(weights: Path) -> str:
    """Name of the codec of a weight file, as its card or, of those shipped, its name tells; empty where none does."""
    card = card_of(weights)
    told = next(_under("codec", read_json(card, "a card that is no JSON; mend it or remove it")), "") if card else ""
    own = weights.stem.partition("-")[0] if weights.parent.resolve() == WEIGHTS.resolve() else ""
    return str(told).partition(":")[0] or own


def _under(name: str, value: Any) -> Iterator[Any]:
    """All that stands under that name, however deep."""
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        yield from (inner,) if key == name else _under(name, inner)


def range_of(weights: Path) -> SnrRange:
    """The trained range of a safetensors file, which its card tells, else the recipe inside; else the default.

    Of the card `trained_snr_db`, or `snr` of its recipe. SemlinkError for a card that cannot be read or a range that is
    none.
    """
    card = card_of(weights)
    told = _on_card(card) if card else None
    found = told if told is not None else _inside(weights)
    if found is None:
        return SnrRange()
    if not _is_range(found):
        raise SemlinkError(
            f"{card or weights}: trained SNRs {repr(found)[:60]}; give the lowest and the highest in dB, [-3, 16]"
        )
    return SnrRange(float(found[0]), float(found[1]))


def _on_card(card: Path) -> Any:
    said = read_json(card, "a card that is no JSON; mend it or remove it")
    return _at(said, KEY) if _at(said, KEY) is not None else _at(said, "recipe", "snr")


def _inside(weights: Path) -> Any:
    """What `simulator.training` writes into the weights that it leaves."""
    with reading(weights, "its recipe is no JSON; train it again"), safe_open(weights, framework="pt") as file:
        said = file.metadata() or {}
        recipes = [json.loads(said.get("recipe", "null")), _at(json.loads(said.get("tuning", "null")), "recipe")]
    return next((found for recipe in recipes if (found := _at(recipe, "snr_db")) is not None), None)


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _is_range(found: Any) -> bool:
    return (
        isinstance(found, list)
        and len(found) == 2
        and all(isinstance(value, (int, float)) and abs(value) <= FARTHEST_DB for value in found)
        and found[0] <= found[1]
    )
