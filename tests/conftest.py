"""Shared fixtures; frameworks are quiet and use few threads, so that tests can run side by side."""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ["SEMLINK_OFFLINE"] = "1"  # no test reaches the net
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")  # nothing that an earlier run left counts; its workers share
os.environ["SEMLINK_CACHE"] = f"{tempfile.gettempdir()}/semlink-cache-{RUN}" if RUN else tempfile.mkdtemp("-semlink")

from pathlib import Path

import pytest

import semlink  # noqa: F401 - before pytest puts tests/codecs on the path, whose folder semlink would be found instead


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data, or a skip that says how to provide it."""
    root = Path(os.environ.get("SEMLINK_DATA", ""))
    if not os.environ.get("SEMLINK_DATA") or not root.is_dir():
        pytest.skip("real data not found: point SEMLINK_DATA to a folder with cifar-10-batches-bin, kodak, ...")
    return root
