"""Networks and links give the same numbers on any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from semlink.simulator.records.store import Store

CODE = """
import sys
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import runner
words = ("deepjscc", "adjscc", "digital")
runner.run(Sweep(words, ("awgn", "tdl"), (3.0,), (1 / 6,), ("psnr", "ssim"), "samples", 2), sys.argv[1])
"""


def measured(out):
    return {
        (r.condition, r.block): {name: v for name, v in r.values.items() if name not in ("encode_s", "decode_s")}
        for r in Store(out).records()
    }


@pytest.mark.slow
def test_threads_change_no_row(tmp_path):
    found = []
    for threads in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
        subprocess.run([sys.executable, "-c", CODE, str(tmp_path / threads)], env=environment, check=True)
        found.append(measured(tmp_path / threads))
    assert found[0] == found[1] and len(found[0]) >= 6
