"""A sweep: codecs x rates x channels x SNRs x image blocks, measured once each and kept as they come.

Planning (`plan`) turns a configuration into tasks, executing (`trial`) turns one task into records, and this module
runs them and collects all records of a folder into `rows.h5`, `summary.csv` and `run.json`.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import Executor, WorkerDied, executor
from semlink.simulator.files import lock, write_aside, write_json
from semlink.simulator.records.store import Condition, Identity, Record, Store, picture_path
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import precision
from semlink.simulator.sweep.plan import ImageBlock, Task, blocks, checked, identity_of, plan, versions
from semlink.simulator.sweep.trial import Bench, Parts, execute

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Rows


OWN_PARTS = Parts()


@dataclass(frozen=True)
class Outcome:
    """What a run leaves: the folder, its rows and the conditions that failed with their errors."""

    out: Path
    rows: Rows
    failures: Mapping[Condition, str]


def run(
    sweep: Sweep,
    out: str | Path,
    where: Executor | int = 1,
    parts: Parts = OWN_PARTS,
    beside: Sequence[Sweep] = (),
) -> Outcome:
    """Measure what `out` does not hold yet and publish everything that it holds.

    where: an executor, or how many processes of this machine. parts: where codecs, links, data and metrics come from.
    beside: other sweeps of this run into the same folder. What only failed, and none of them asks for, is left out of
    what is published. SemlinkError when `out` cannot be written, is in use, or holds results of another configuration.
    Conditions that fail are in the outcome. WorkerDied, after what is measured has been published, when a worker
    process ends before its work does.
    """
    for name in sweep.metrics:
        parts.describe(name)  # refuses an unknown metric before anything is measured
    store, identity = Store(out, report=_say), identity_of(sweep, parts.codec, parts.link, parts.block)
    with lock(out):
        return _run(sweep, store, identity, executor(where), parts, beside)


def _run(
    sweep: Sweep, store: Store, identity: Identity, where: Executor, parts: Parts, beside: Sequence[Sweep]
) -> Outcome:
    started = time.monotonic()
    store.clean()
    data = parts.dataset(sweep.data, sweep.limit)
    found = blocks(data.ids, data.sizes(), parts.block)
    asking = _asking(sweep, found, identity, checked(identity, found, store.records(), store.out), parts)
    try:
        _measure(asking, partial(_prepare, sweep, parts, str(store.out), versions()), where)
    except WorkerDied:
        publish(sweep, identity, store, parts.describe, time.monotonic() - started, beside)
        raise
    for remark in precision.remarks(asking.verdicts, len(data.ids)):
        _say(remark)
    stopped = precision.plain(asking.verdicts)
    return publish(sweep, identity, store, parts.describe, time.monotonic() - started, beside, stopped)


class Asking(Protocol):
    """What is asked of the workers, in steps."""

    @property
    def verdicts(self) -> Mapping[Condition, precision.Verdict]:
        """Why conditions were measured on no more pictures."""
        ...

    @property
    def held(self) -> int:
        """Pictures of all conditions that are there from the start, as a bar shows them."""
        ...

    def first(self) -> Sequence[Task]:
        """To begin with."""
        ...

    def then(self, record: Record) -> Sequence[Task]:
        """Now that this record is there."""
        ...


@dataclass(frozen=True)
class Everything:
    """All that is missing, at once."""

    tasks: Sequence[Task]
    held: int
    verdicts: Mapping[Condition, precision.Verdict] = field(default_factory=dict)

    def first(self) -> Sequence[Task]:
        """All tasks."""
        return self.tasks

    def then(self, record: Record) -> Sequence[Task]:
        """Nothing more."""
        return ()


def _asking(
    sweep: Sweep, found: Sequence[ImageBlock], identity: Identity, stored: Iterable[Record], parts: Parts
) -> Asking:
    if not sweep.stops:
        tasks = plan(sweep, found, stored, identity)
        return Everything(tasks, len(sweep.conditions()) * sum(len(block.images) for block in found) - _images(tasks))
    points = precision.Points(sweep, found, identity, parts.describe)
    points.know(stored)
    return points


def publish(
    sweep: Sweep,
    identity: Identity,
    store: Store,
    describe: Callable[[str], Variable],
    duration_s: float,
    beside: Sequence[Sweep] = (),
    stopped: Mapping[str, object] = MappingProxyType({}),
) -> Outcome:
    """Rebuild rows.h5, summary.csv and run.json from the block files, without what only failed and nobody asks for.

    stopped: what run.json says of conditions that were measured until they were precise.
    """
    from semlink.simulator.analysis import statistics
    from semlink.simulator.records import rows

    asked = {condition for each in (sweep, *beside) for condition in each.conditions()}
    held = rows.Everything(store.folders(), store.within, lambda m: bool(m.images) or m.condition in asked)
    names = held.outline.names | set(sweep.metrics)
    variables = {
        **rows.VARIABLES,
        **{name: rows.own_variable(name) or describe(name) for name in names - rows.VARIABLES.keys()},
    }
    found = rows.publish(held, variables, _attributes(sweep, identity), store.out / "rows.h5")
    statistics.write_csv(statistics.summarise(found), store.out / "summary.csv")
    own = set(sweep.conditions())
    failures = {m.condition: m.error for m in found.measurements if m.error and m.condition in own}
    told = _run_json(sweep, identity, duration_s, failures) | ({"stopped": dict(stopped)} if stopped else {})
    write_json(store.out / "run.json", told)
    return Outcome(store.out, found, failures)


def _prepare(sweep: Sweep, parts: Parts, out: str, asked: Mapping[str, str]) -> Callable[[Task], Iterator[Record]]:
    """What performs a task in a worker. SemlinkError where that has other versions than the process that asked."""
    own = versions()
    other = [name for name in asked if own.get(name) != asked[name]]
    if other:
        told = ", ".join(f"{name} {own.get(name, 'missing')}, not {asked[name]}" for name in other)
        raise SemlinkError(f"a worker on {socket.gethostname()} has {told}; the same rows need the same versions")
    bench, store = Bench(sweep, parts), Store(out, report=_say_nothing)
    return lambda task: perform(task, bench, store)


def _measure(asking: Asking, prepare: Callable[[], Any], where: Executor) -> None:
    from tqdm import tqdm

    said: set[tuple[Condition, str]] = set()
    tasks = deque(asking.first())
    total = asking.held + _images(tasks)
    with tqdm(total=total, initial=asking.held, unit="image", dynamic_ncols=True, disable=not tasks) as bar:
        for record in where.run(prepare, tasks):
            more = asking.then(record)
            tasks.extend(more)
            bar.total += _images(more)
            bar.set_postfix_str(str(record.condition), refresh=False)
            bar.update(len(record.images))
            refused = record.notes.get("refused", "")
            what = "grey, counted as lost" if refused else "failed" if record.error else ""
            if what and (record.condition, what) not in said:
                said.add((record.condition, what))
                bar.write(f"{what}: {record.condition}: {refused or record.error}", file=sys.stderr)


def _images(tasks: Iterable[Task]) -> int:
    return sum(len(task.wanted) * len(task.block.images) for task in tasks)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _say_nothing(text: str) -> None:
    """Of a damaged file the process that asked has told."""


def _attributes(sweep: Sweep, identity: Identity) -> dict[str, Any]:
    return {
        "title": "semlink: what each codec delivers over each channel",
        "configuration": json.dumps(asdict(sweep)),
        "identity": json.dumps(asdict(identity)),
        "versions": json.dumps(versions()),
        "seed": sweep.seed,
        "block_size": identity.block_size,
    }


def _run_json(sweep: Sweep, identity: Identity, duration_s: float, failures: Mapping[Condition, str]) -> dict[str, Any]:
    return {
        "experiment": Path(sys.argv[0]).name,
        "configuration": asdict(sweep),
        "block_size": identity.block_size,
        "files": dict(identity.files),
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()},
        "duration_s": round(duration_s, 3),
        "failures": {str(condition): error for condition, error in failures.items()},
    }


def perform(task: Task, bench: Bench, store: Store) -> Iterator[Record]:
    """Execute a task and keep its records, the first picture of the set as it was received, and what `parts` keeps.

    What another worker has kept, before it died with the rest of the task, is taken from there.
    """
    there = [record for record in map(store.find, task.wanted) if record is not None]
    yield from there
    keys = {record.key() for record in there}
    rest = replace(task, wanted=tuple(r for r in task.wanted if r.key() not in keys)) if there else task
    for record, images, received in (bench.parts.execute or execute)(rest, bench) if rest.wanted else ():
        if record.positions[0] == 0:
            _keep_pictures(store.out, record.condition, images[0], None if received is None else received[0])
        if received is not None:
            bench.parts.keep(store.out, record, images, received)
        store.write(record)
        yield record
    bench.ease()


def _keep_pictures(out: Path, condition: Condition, original: Tensor, received: Tensor | None) -> None:
    if not picture_path(out, None).exists():
        _save_picture(picture_path(out, None), original)
    if received is not None:
        _save_picture(picture_path(out, condition), received)


def _save_picture(path: Path, picture: Tensor) -> None:
    from PIL import Image

    levels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, lambda aside: Image.fromarray(levels).save(aside, format="PNG"))
