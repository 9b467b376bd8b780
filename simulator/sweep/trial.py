"""Executing a task of a sweep: encode, send, decode and measure one codec on one block; pure given the seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import memory
from semlink.simulator.plugins import describe_metric, make_codec, make_dataset, make_link, measure_metrics
from semlink.simulator.protocols import AnyLink, Codec, Dataset, Variable, decoded
from semlink.simulator.records.rows import BYTES, UNDECODED
from semlink.simulator.records.store import Condition, Record
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep.plan import BLOCK, Task
from semlink.simulator.sweep.singly import CodecRaised, Passage, codec_at_work, singly
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.values import LinkReport, Transmission, TxInfo

CODECS = 2  # that a process keeps: each may hold large networks
PIXELS_AT_ONCE = 1 << 20  # bounds the memory of metrics


def keep_nothing(out: Path, record: Record, original: Tensor, received: Tensor) -> None:
    """What is kept of a block's pictures `[batch, 3, H, W]` beside its record, before that is written: nothing."""


def as_made(codec: Codec) -> Codec:
    """The codec as it is."""
    return codec


@dataclass(frozen=True)
class Parts:
    """Where a task gets its parts; module-level functions, so that it pickles. An experiment may bring its own.

    ready: what is done to a codec before it is used, such as loading its networks; not where only its files are asked.
    block: images that meet the link together. execute: what makes records of a task, `execute` of this module if None.
    """

    dataset: Callable[[str, int | None], Dataset] = make_dataset
    codec: Callable[[Word, float], Codec] = make_codec
    link: Callable[[Word], AnyLink] = make_link
    measure: Callable[[Sequence[str], Tensor, Tensor], Mapping[str, Tensor]] = measure_metrics
    describe: Callable[[str], Variable] = describe_metric
    keep: Callable[[Path, Record, Tensor, Tensor], None] = keep_nothing
    ready: Callable[[Codec], Codec] = as_made
    block: int = BLOCK
    execute: Callable[..., Iterator[tuple[Record, Tensor, Tensor | None]]] | None = None


class Bench:
    """The parts of one process: every link, made once, and the codecs that were asked for last.

    A part that cannot be made raises again each time it is asked for.
    """

    def __init__(self, sweep: Sweep, parts: Parts) -> None:
        self.sweep = sweep
        self.parts = parts
        self.data = parts.dataset(sweep.data, sweep.limit)
        self._codec = lru_cache(maxsize=CODECS)(lambda word, rho: parts.ready(parts.codec(parse(word), rho)))
        self._link = cache(lambda word: parts.link(parse(word)))
        self._eases = True

    def codec(self, condition: Condition) -> Codec:
        """The codec of a condition."""
        return self._codec(condition.codec, condition.rho)

    def link(self, condition: Condition) -> AnyLink:
        """The link of a condition."""
        return self._link(condition.channel)

    def ease(self) -> None:
        """Let the codecs go where memory is short, unless that has not helped; they are made again when asked for."""
        if self._eases and self._codec.cache_info().currsize and memory.tight():
            self._codec.cache_clear()
            memory.give_back()
            self._eases = not memory.tight()


class Encodings:
    """The last encoding of a block by one codec, made anew only when what it depends on changes."""

    def __init__(self, codec: Codec, images: Tensor, seed: int) -> None:
        self._codec, self._images, self._seed = codec, images, seed
        self._key: tuple[Any, ...] | None = None
        self._last: tuple[Transmission, float] | None = None
        self._singles: dict[int, Encodings] = {}

    def single(self, place: int) -> Encodings:
        """The encodings of one picture of the block alone."""
        if place not in self._singles:
            self._singles[place] = Encodings(self._codec, self._images[place : place + 1], self._seed)
        return self._singles[place]

    def get(self, condition: Condition, link: AnyLink) -> tuple[Transmission, float]:
        """The transmission for a condition and its encoding time in seconds per image."""
        key = {"nothing": (), "snr": (condition.snr_db,), "link": (condition.snr_db, condition.channel)}[
            self._codec.encodes_on
        ]
        if self._last is None or key != self._key:
            height, width = self._images.shape[-2:]
            tx = told(self._codec, link, (height, width), condition.snr_db, self._seed)
            start = time.perf_counter()
            transmission = self._codec.encode(self._images, tx)
            self._key, self._last = key, (transmission, (time.perf_counter() - start) / len(self._images))
        return self._last


def told(codec: Codec, link: AnyLink, size: tuple[int, int], snr_db: float, seed: int) -> TxInfo | None:
    """What a codec's transmitter knows when it encodes pictures of `size` (height, width); None: nothing."""
    if codec.encodes_on == "nothing":
        return None
    if codec.encodes_on == "snr":
        return link.tx_info(snr_db, seed=seed)
    return link.tx_info(snr_db, codec.uses(*size), seed, statistics=True)


def execute(task: Task, bench: Bench) -> Iterator[tuple[Record, Tensor, Tensor | None]]:
    """The filled records of a task, each with the original and, unless it failed, the received pictures."""
    import torch

    images = bench.data.batch(task.block.positions)
    shared: list[Encodings] = []
    for wanted in task.wanted:
        try:
            with torch.no_grad():
                if not shared:
                    shared.append(Encodings(bench.codec(wanted.condition), images, bench.sweep.seed))
                record, received = trial(wanted, images, shared[0], bench)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything, and the sweep goes on
            record, received = replace(wanted, error=one_line(error)), None
        yield record, images, received


def trial(wanted: Record, images: Tensor, encodings: Encodings, bench: Bench) -> tuple[Record, Tensor]:
    """One condition on one block: encode, send, decode, measure. Raises whatever a plug-in raises.

    A codec that raises on some of the pictures alone loses those, see `singly`.
    """
    try:
        found = passage(wanted, images, encodings, bench)
    except CodecRaised as raised:

        def alone(place: int) -> Passage:
            return passage(wanted, images[place : place + 1], encodings.single(place), bench, place)

        budget = max(1, int(wanted.condition.rho * images[0].numel() + 1e-6))
        found = singly(images, wanted.images, budget, alone, raised)
    values = quality(wanted, images, found.received, bench.parts.measure, getattr(bench.data, "tile", None))
    columns = {name: tuple(column) for name, column in {**values, **found.values}.items()}
    error = one_line(found.error) if found.error else ""
    csi = bench.link(wanted.condition).csi or ""
    return replace(wanted, csi=csi, values=columns, notes=dict(found.notes), error=error), found.received


def passage(wanted: Record, images: Tensor, encodings: Encodings, bench: Bench, place: int = 0) -> Passage:
    """Pictures of a block, from its `place` on, over the link. CodecRaised where the codec raises or does not fit."""
    condition, link, codec = wanted.condition, bench.link(wanted.condition), bench.codec(wanted.condition)
    with codec_at_work():
        transmission, encode_s = encodings.get(condition, link)
    with codec_at_work(SemlinkError):  # a payload that its stream cannot carry
        first = wanted.block * BLOCK + place
        result = link.run(transmission, condition.snr_db, seed=bench.sweep.seed, first_image=first)
    start = time.perf_counter()
    with codec_at_work():
        pictures, undecoded = decoded(codec, result.reception)
        received = pictures.detach().cpu()
    decode_s = (time.perf_counter() - start) / len(images)
    values = radio(result.report, transmission.streams[0].name, images[0].numel(), len(images))
    _refuse(wanted.images[place:], values, math.isnan, "NaN")  # an SNR may be -inf dB, where all is erased
    values |= {"encode_s": [encode_s] * len(images), "decode_s": [decode_s] * len(images)}
    values |= sizes(codec, transmission) | ({UNDECODED: [*map(float, undecoded)]} if any(undecoded) else {})
    told = {"mcs": result.report.mcs, "coders": getattr(codec, "coders", {})}
    notes = {name: ", ".join(f"{stream} {own}" for stream, own in of.items()) for name, of in told.items() if of}
    return Passage(received, values, notes)


def sizes(codec: Codec, transmission: Transmission) -> dict[str, list[float]]:
    """Exact bytes of each stream of a codec that names its `coders`, and bits per pixel of all; nothing of others."""
    own = {s.name: [float(len(p)) for p in s.payload] for s in transmission.streams if s.kind == "bits"}
    named: Mapping[str, str] = getattr(codec, "coders", {})
    if not named:
        return {}
    found = {f"{BYTES}{name}": own.get(name, [0.0] * len(next(iter(own.values())))) for name in named}
    pixels = transmission.session.height * transmission.session.width
    return found | {"bpp": [8 * sum(parts) / pixels for parts in zip(*found.values(), strict=True)]}


def quality(
    wanted: Record,
    images: Tensor,
    received: Tensor,
    measure: Callable[..., Mapping[str, Tensor]],
    tile: int | None = None,
) -> dict[str, list[float]]:
    """Metrics and MSE per image, of a mosaic the means over its tiles of `tile` px.

    ValueError when shapes differ or a number is not finite.
    """
    import torch

    if received.shape != images.shape:
        raise ValueError(f"decoder returned {tuple(received.shape)} for pictures {tuple(images.shape)}")
    step = max(1, PIXELS_AT_ONCE // images[0, 0].numel())
    pairs = zip(images.split(step), received.split(step), strict=True)
    parts = [measure(wanted.metrics, tiles_of(x, tile), tiles_of(y, tile)) for x, y in pairs]
    columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    values = {name: column.reshape(len(images), -1).mean(1).tolist() for name, column in columns.items()}
    values["mse"] = [squared_error(x, y) for x, y in zip(images, received, strict=True)]
    _refuse(wanted.images, values, lambda value: not math.isfinite(value), "not finite")
    return values


def _refuse(
    images: Sequence[str], values: Mapping[str, Sequence[float]], is_bad: Callable[[float], bool], what: str
) -> None:
    """ValueError that names the first image with a bad number; in rows NaN says that nothing was measured."""
    for name, column in values.items():
        bad = [image for image, value in zip(images, column, strict=False) if is_bad(value)]
        if bad:
            raise ValueError(f"{name} is {what} for {len(bad)} of {len(column)} images, first {bad[0]}")


def squared_error(x: Tensor, y: Tensor) -> float:
    """Mean squared error of two pictures `[3, H, W]`, in float64, some rows at a time."""
    rows = max(1, PIXELS_AT_ONCE // x.shape[2])
    parts = zip(x.split(rows, 1), y.split(rows, 1), strict=True) if rows < x.shape[1] else ((x, y),)
    return sum(float((a.double() - b.double()).square().sum()) for a, b in parts) / x.numel()


def tiles_of(images: Tensor, tile: int | None) -> Tensor:
    """The tiles of mosaics `[n, 3, H, W]`, image by image: `[n H W / tile^2, 3, tile, tile]`; all if tile is None."""
    if tile is None:
        return images
    tiles = images.unfold(2, tile, tile).unfold(3, tile, tile)
    return tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1], tile, tile)


def radio(report: LinkReport, main: str, dimensions: int, batch: int) -> dict[str, list[float]]:
    """The link's report as one number per image and variable. dimensions: 3 H W."""
    totals = [sum(uses) for uses in zip(*report.uses.values(), strict=True)]
    values: dict[str, Sequence[float]] = {
        "uses_main": report.uses[main],
        "uses_total": totals,
        "rho_main": [uses / dimensions for uses in report.uses[main]],
        "rho_total": [uses / dimensions for uses in totals],
        "uses_on_air": report.uses_on_air,
        "air_time_s": report.air_time_s,
        "snr_measured_db": report.snr_measured_db,
        "snr_realised_db": report.snr_realised_db,
        "papr_db": report.papr_db,
        "blocks": report.blocks or [0] * batch,
        "block_errors": report.block_errors or [0] * batch,
    }
    return {name: [float(value) for value in column] for name, column in values.items()}


def one_line(error: BaseException) -> str:
    """An error's kind, what it says, and where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
