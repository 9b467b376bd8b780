"""Words to parts: codecs, links, channels, data and metrics by name. Codecs are looked up, none is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.channels.base.fade import Channel
    from semlink.simulator.link.link import Link
    from semlink.simulator.protocols import Codec, Dataset, Variable, VideoCodec

LINK_SETTINGS = (  # settings of a channel word that are the link's
    "csi", "equalizer", "power", "layers", "precoding", "csit", "csit_delay", "csit_bits", "placement",
)  # fmt: skip
JUDGE = "segmentation:network=pyramid"  # has no part in any codec or region


def package(kind: str) -> Any:
    """The package of a kind of plug-ins, such as "codecs" or "channels.impairments"; it has `names` and `create`."""
    return import_module(f"semlink.{kind}")


def make_dataset(data: str, limit: int | None) -> Dataset:
    """The pictures of `--data`."""
    from semlink.simulator import data as sources

    return sources.load(data, limit=limit)


def make_clips(data: str, limit: int | None) -> Any:
    """The clips of `--data` with their size."""
    from semlink.simulator.data import clips

    return clips.load(data, limit)


def make_codec(word: Word, rho: float) -> Codec:
    """The codec of a word at that rate."""
    return package("codecs").create(word.name, rho=rho, **dict(word.settings))


def make_video_codec(word: Word, rho: float) -> VideoCodec:
    """The video codec of a word at that rate."""
    return package("codecs.video").create(word.name, rho=rho, **dict(word.settings))


def capabilities(text: str) -> Mapping[str, Any]:
    """Settings of a codec's word that experiments may turn (steps, guidance, importance, ...), with their defaults."""
    return getattr(package("codecs").registry.get(parse(text).name), "capabilities", {})


def make_importance(word: Word) -> Any:
    """The importance map of a word. SemlinkError for settings that it refuses."""
    return package("codecs.importance").create(word.name, **dict(word.settings))


def make_link(word: Word) -> Link:
    """The link over the channel of a word and the impairments behind its plus signs.

    Settings named as in LINK_SETTINGS are the link's. SemlinkError for settings that a channel refuses.
    """
    from semlink.simulator.link.link import Link

    channel, own = word.split(LINK_SETTINGS)
    settings: dict[str, Any] = own
    return Link(make_channel(channel), **settings)


def make_channel(word: Word) -> Channel:
    """The channel of a word with its impairments. SemlinkError for settings that it refuses."""
    from semlink import channels

    try:
        made = channels.create(word.name, **dict(word.settings))
        for impairment in word.added:
            made = channels.impair(made, impairment.name, **dict(impairment.settings))
    except (TypeError, ValueError) as error:
        raise SemlinkError(f"channel {word}: {error}") from error
    return made


def measure_metrics(names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """Per-image metrics `[batch]` by their names in rows."""
    from semlink.simulator import metrics

    return metrics.measure(names, original, received)


def describe_metric(name: str) -> Variable:
    """Unit, label and direction of a metric. SemlinkError for an unknown one."""
    from semlink.simulator import metrics

    return metrics.describe(name)


def make_trainable(text: str, rho: float) -> Any:
    """The codec of a word at that rate; SemlinkError when it has no network to train."""
    word = parse(text)
    codec: Any = make_codec(word, rho)
    if not hasattr(codec, "new_network"):
        raise SemlinkError(f"codec {word.name!r} has no network to train")
    return codec
