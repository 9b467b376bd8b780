"""A sweep: codecs x rates x channels x SNRs x image blocks, measured once each and kept as they come.

Planning (`plan`) turns a configuration into tasks, executing (`trial`) turns one task into records, and this module
runs them and collects all records of a folder into `rows.h5`, `summary.csv` and `run.json`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.executors import local as pool
from semlink.simulator.files import lock, write_aside, write_json
from semlink.simulator.records.store import Condition, Identity, Store, check_same, picture_path
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep.plan import Task, blocks, check_images, identity_of, plan, versions
from semlink.simulator.sweep.trial import Bench, Parts, execute

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Rows


OWN_PARTS = Parts()


@dataclass(frozen=True)
class Progress:
    """A record was kept. error: why the block failed; refused: which pictures are grey, and why."""

    condition: Condition
    images: int
    error: str
    refused: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a run leaves: the folder, its rows and the conditions that failed with their errors."""

    out: Path
    rows: Rows
    failures: Mapping[Condition, str]


def run(
    sweep: Sweep,
    out: str | Path,
    workers: int = 1,
    parts: Parts = OWN_PARTS,
    beside: Sequence[Sweep] = (),
) -> Outcome:
    """Measure what `out` does not hold yet and publish everything that it holds.

    parts: where codecs, links, data and metrics come from. beside: other sweeps of this run into the same folder. What
    only failed, and none of them asks for, is left out of what is published. SemlinkError when `out` cannot be written,
    is in use, or holds results of another configuration. Conditions that fail are in the outcome. WorkerDied, after
    what is measured has been published, when a worker process ends before its work does.
    """
    started = time.monotonic()
    for name in sweep.metrics:
        parts.describe(name)  # refuses an unknown metric before anything is measured
    store, identity = Store(out, report=_say), identity_of(sweep, parts.codec, parts.link, parts.block)
    held = lock(out)
    store.clean()
    stored = list(store.records())
    check_same(identity, stored, out)
    data = parts.dataset(sweep.data, sweep.limit)
    found = blocks(data.ids, data.sizes(), parts.block)
    check_images(found, stored, sweep.data)
    tasks = plan(sweep, found, stored, identity)
    wanted = len(sweep.conditions()) * sum(len(block.images) for block in found)
    try:
        _measure(tasks, wanted, partial(_prepare, sweep, parts, str(out)), workers)
    except pool.WorkerDied:
        publish(sweep, identity, store, parts.describe, time.monotonic() - started, beside)
        raise
    outcome = publish(sweep, identity, store, parts.describe, time.monotonic() - started, beside)
    del held
    return outcome


def publish(
    sweep: Sweep,
    identity: Identity,
    store: Store,
    describe: Callable[[str], Variable],
    duration_s: float,
    beside: Sequence[Sweep] = (),
) -> Outcome:
    """Rebuild rows.h5, summary.csv and run.json from the block files, without what only failed and nobody asks for."""
    from semlink.simulator.analysis import statistics
    from semlink.simulator.records import rows

    asked = {condition for each in (sweep, *beside) for condition in each.conditions()}
    held = rows.as_kept(rows.merge(store.records()))
    measurements = tuple(m for m in held if m.images or m.condition in asked)
    names = {name for m in measurements for name in m.values} | set(sweep.metrics)
    variables = {
        **rows.VARIABLES,
        **{name: rows.own_variable(name) or describe(name) for name in names - rows.VARIABLES.keys()},
    }
    found = rows.Rows(measurements, variables, _attributes(sweep, identity))
    rows.write(found, store.out / "rows.h5")
    statistics.write_csv(statistics.summarise(found), store.out / "summary.csv")
    own = set(sweep.conditions())
    failures = {m.condition: m.error for m in measurements if m.error and m.condition in own}
    write_json(store.out / "run.json", _run_json(sweep, identity, duration_s, failures))
    return Outcome(store.out, found, failures)


def _prepare(sweep: Sweep, parts: Parts, out: str) -> Callable[[Task], Iterator[Progress]]:
    bench, store = Bench(sweep, parts), Store(out, report=_say)
    return lambda task: perform(task, bench, store)


def _measure(tasks: Sequence[Task], wanted: int, prepare: Callable[[], Any], workers: int) -> None:
    from tqdm import tqdm

    said: set[tuple[Condition, str]] = set()
    missing = sum(len(task.wanted) * len(task.block.images) for task in tasks)
    with tqdm(total=wanted, initial=wanted - missing, unit="image", dynamic_ncols=True, disable=not tasks) as bar:
        for progress in pool.run(prepare, tasks, workers):
            bar.set_postfix_str(str(progress.condition), refresh=False)
            bar.update(progress.images)
            what = "grey, counted as lost" if progress.refused else "failed" if progress.error else ""
            if what and (progress.condition, what) not in said:
                said.add((progress.condition, what))
                bar.write(f"{what}: {progress.condition}: {progress.refused or progress.error}", file=sys.stderr)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


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


def perform(task: Task, bench: Bench, store: Store) -> Iterator[Progress]:
    """Execute a task and keep its records, the first picture of the set as it was received, and what `parts` keeps."""
    for record, images, received in (bench.parts.execute or execute)(task, bench):
        if record.positions[0] == 0:
            _keep_pictures(store.out, record.condition, images[0], None if received is None else received[0])
        if received is not None:
            bench.parts.keep(store.out, record, images, received)
        store.write(record)
        yield Progress(record.condition, len(record.images), record.error, record.notes.get("refused", ""))


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
