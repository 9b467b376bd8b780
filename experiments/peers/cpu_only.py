"""What Kaira imports at its top and a torch without CUDA cannot load, where a registry has no such build of them.

torchvision's library of operators cannot be loaded then, and importing it fails at the two that it describes: they are
declared by name and left without code. torchaudio is left empty. Nothing that `kaira_side.py` uses calls either.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch

_DECLARED = [torch.library.Library("torchvision", "FRAGMENT")]  # an operator lives as long as its library


def make_importable() -> None:
    """Make torchvision and torchaudio importable, whether or not what they load is there."""
    found = find_spec("torchvision")
    assert found and found.origin, "Kaira needs torchvision"
    try:
        torch.ops.load_library(str(Path(found.origin).with_name("_C.so")))
    except OSError:
        for name in ("nms", "qnms"):
            _DECLARED[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    try:
        import_module("torchaudio")
    except OSError:
        sys.modules["torchaudio"] = ModuleType("torchaudio")
