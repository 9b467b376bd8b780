"""How a side of `bench_peers.py` answers: a line of JSON asks for work, a line of JSON tells what it took.

Standard library only: other environments run it too. A request is whatever the side understands; an answer holds
`cpu_s` and `clock_s`, seconds of the work, and `psnr`, a list of numbers for each SNR, or `error`, one line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Work = Callable[[], Sequence[Any]]  # gives, for each SNR, a tensor of PSNRs in dB, or nothing

BATCH = 64  # pictures


@dataclass(frozen=True)
class Question:
    """What is asked for: pictures `[n, 3, H, W]` in batches, SNRs in dB, the channel's word, and a seed."""

    batches: Sequence[Any]
    snrs: Sequence[float]
    channel: str
    seed: int

    @classmethod
    def of(cls, request: Mapping[str, Any], pictures: Any) -> Question:
        """Of a request with `channel`, `snrs`, `pictures` (first, count) and `seed`."""
        first, count = request["pictures"]
        batches = pictures[first : first + count].split(BATCH)
        return cls(batches, request["snrs"], request["channel"], request["seed"])

    def decoded(self, decoder: Callable[[Any], Any], latents: Sequence[Any]) -> Sequence[Any]:
        """The decoder for every SNR and nothing else: no link can be faster. Measures no quality."""
        for _ in self.snrs:
            for latent in latents:
                decoder(latent)
        return []


def serve(prepare: Callable[[Mapping[str, Any]], Work], versions: Mapping[str, str]) -> None:
    """Say the versions of what runs here, then answer every line of standard input until there are no more.

    prepare: a request to its work; only the work is timed. What libraries print goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _say(answers, {"versions": dict(versions)})
    for line in sys.stdin:
        _say(answers, answer(prepare, json.loads(line)))


def answer(prepare: Callable[[Mapping[str, Any]], Work], request: Mapping[str, Any]) -> dict[str, Any]:
    """What the work of a request took and measured, or why there is none."""
    try:
        work = prepare(request)
        cpu, clock = time.process_time(), time.perf_counter()
        psnr = work()
        seconds = {"cpu_s": time.process_time() - cpu, "clock_s": time.perf_counter() - clock}
        return {**seconds, "psnr": [values.tolist() for values in psnr]}
    except Exception as error:  # noqa: BLE001 - whatever a library raises is told to the bench
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def _say(answers: Any, content: Mapping[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()
