"""Networks that were fine-tuned for one channel each: their weight files, and the codecs' words that name them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis.matrix import Variant
from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import Executor, executor
from semlink.simulator.files import lock, slug
from semlink.simulator.plugins import make_codec, make_trainable
from semlink.simulator.records.store import Store
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from semlink.simulator.training.codec import Recipe
    from semlink.simulator.training.tuning import Tuning

Tunings = Mapping[Path, "Tuning"]


def tunings(
    out: Path, codecs: Sequence[str], rho: float, channels: Sequence[str], data: tuple[str, ...], recipe: Recipe
) -> dict[Path, Tuning]:
    """What is to be fine-tuned, by weight file: each codec that can be, on each channel."""
    from semlink.simulator.training.tuning import Tuning

    words = [parse(codec) for codec in codecs if is_tunable(parse(codec), rho)]
    pairs = [(str(word), str(parse(channel))) for word in words for channel in channels]
    return {weight_file(out, codec, channel): Tuning(codec, rho, channel, data, recipe) for codec, channel in pairs}


def is_tunable(word: Word, rho: float) -> bool:
    """Whether it has a network and comes without weights of the user's."""
    return "weights" not in dict(word.settings) and hasattr(make_codec(word, rho), "new_network")


def weight_file(out: Path, codec: str, channel: str) -> Path:
    """Where a variant's weights are kept: a path that a codec's word can hold, so without plus and equals signs."""
    return out / "weights" / (slug(f"{codec}_{channel}").replace("+", ".").replace("=", "-") + ".safetensors")


def fine_tune(wanted: Tunings, out: Path, where: Executor | int) -> None:
    """Train what is missing. where: an executor, or how many processes of this machine."""
    from semlink.simulator.training.tuning import tuner

    Store(out)
    tasks = deque((tuning, path) for path, tuning in wanted.items())
    with lock(out):
        for path in executor(where).run(tuner, tasks):
            print(f"weights: {path}")


def check_crop(word: str, rho: float, crop: int, data: str, limit: int | None) -> None:
    """SemlinkError when the crops would train another network than the one that the pictures of `data` meet."""
    from semlink.simulator import data as sources

    codec = make_trainable(word, rho)
    trained = codec.network(crop, crop)
    for height, width in sorted(set(sources.load(data, limit=limit).sizes())):
        if codec.network(height, width) is not trained:
            raise SemlinkError(
                f"--crop {crop} does not train the network that pictures of {width}x{height} px meet; "
                f"give a crop and --train-data of their kind, e.g. --crop {min(96, height, width)}"
            )


def variants(codecs: Sequence[str], wanted: Tunings) -> tuple[Variant, ...]:
    """The rows of the matrix: codecs as they are, then the networks that were tuned, each once."""
    tuned = [with_weights(t.codec, path) for path, t in wanted.items() if path.exists()]
    return tuple(variant(word) for word in dict.fromkeys((*(str(parse(c)) for c in codecs), *tuned)))


def with_weights(codec: str, path: Path) -> str:
    """A codec's word with weights from a file."""
    return str(parse(f"{codec}{',' if ':' in codec else ':'}weights={path}"))


def variant(codec: str) -> Variant:
    """A codec's word with what its weight file, if it names one, says of its training."""
    said = training(codec)
    return Variant(codec, said.get("channel", ""), said.get("csi", ""))


def training(codec: str) -> dict[str, Any]:
    """What the weight file that a codec's word names says of its training; nothing where it names none."""
    from semlink.simulator.training.tuning import read_tuning

    weights = dict(parse(codec).settings).get("weights")
    return read_tuning(Path(weights).expanduser()) if isinstance(weights, str) else {}
