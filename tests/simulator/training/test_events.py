"""Events for TensorBoard, where it is installed and where it is not."""

import sys
from pathlib import Path

import pytest

from semlink.simulator import SemlinkError
from semlink.simulator.training.events import TensorBoard


def test_without_tensorboard_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SemlinkError, match=r"needs TensorBoard: pip install 'semlink\[tensorboard\]'$"):
        TensorBoard(tmp_path)
    assert not list(tmp_path.iterdir())
