"""What all experiments do: ask, measure, compare, write tables and figures, and say where everything is.

An experiment gives its questions, which are sweeps, and `answer`, which turns the rows of all of them into what is
published. The same command continues a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.answer import Answer, publish
from semlink.simulator.study.beforehand import check_questions
from semlink.simulator.study.closing import failures, say_more, whole_run
from semlink.simulator.sweep.trial import Parts

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from semlink.simulator.executors import Executor
    from semlink.simulator.records.rows import Rows

OWN_PARTS = Parts()


@dataclass(frozen=True)
class Study:
    """An experiment: its questions, the answer that it makes of all rows, and where codecs, links and data come from.

    flags: what run.json says was asked, where that is more than one sweep. more: what else run.json says.
    """

    questions: Sequence[Sweep]
    answer: Callable[[Rows], Answer]
    parts: Parts = OWN_PARTS
    flags: DataclassInstance | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def run(study: Study, out: Path, where: Executor | int) -> int:
    """Measure what `out` lacks, publish everything, and say where it is. The exit code: 1 when conditions failed.

    where: an executor, or how many processes of this machine.
    SemlinkError, before anything is measured, for codecs and links that cannot be what is asked of them.
    """
    from semlink.simulator.sweep import runner

    check_questions(study.questions, study.parts)
    started = time.monotonic()
    outcomes = [runner.run(question, out, where, study.parts, study.questions) for question in study.questions]
    if study.flags is None:
        say_more(out, study.more)
    else:
        failed = {str(condition): error for o in outcomes for condition, error in o.failures.items()}
        whole_run(out, asdict(study.flags), round(time.monotonic() - started, 3), failed, study.more)
    publish(study.answer(outcomes[-1].rows), out)
    return max(failures(outcome) for outcome in outcomes)
