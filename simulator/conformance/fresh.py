"""A process that never saw what it is to decode, at little cost."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_all_start_methods, get_context

# What decoders import for seconds, torch above all; what is heavy only where this process has it, too.
LIBRARIES = ("semlink.simulator.conformance.codec",)
HEAVY = ("diffusers.models.unets.unet_2d", "diffusers.pipelines.pipeline_utils")


def fresh_process() -> ProcessPoolExecutor:
    """One process for the tasks given to it, in a state that nothing before has touched.

    It is forked off a process of its own that has loaded libraries and done nothing else, which starts with the first
    call and serves all later ones; where the system cannot, it is a new interpreter. Variables of the environment are
    those of the first call.
    """
    forks = "forkserver" in get_all_start_methods()
    context = get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([*LIBRARIES, *(name for name in HEAVY if name in sys.modules)])
    return ProcessPoolExecutor(1, mp_context=context)
