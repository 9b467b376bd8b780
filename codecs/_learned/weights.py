"""Weight files: tensors and the settings of their network, as safetensors; what is wrong with one is said in a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import safe_open
from torch import Tensor, nn

from semlink.codecs._learned.packing import unpack
from semlink.codecs._learned.shipped import no_weights
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading

Network = TypeVar("Network", bound=nn.Module)

FOREIGN = "not a safetensors file of a network; save weights with safetensors, never as a pickle"
LARGEST = 256  # of a network's settings, or the longest side of its tensors: more would only fill the memory


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and the network's settings from a safetensors file. SemlinkError names the file and the remedy."""
    try:
        with reading(path, FOREIGN), safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {}).get("settings", "{}"))
            state = unpack({key: file.get_tensor(key) for key in file.keys()})
    except FileNotFoundError as error:
        raise SemlinkError(no_weights(path)) from error
    _check_settings(settings, state, path)
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise SemlinkError(f"{path}: NaN or infinite weights in {broken[0]} ({len(broken)} tensors); train them again")
    return state, settings


def _check_settings(settings: Any, state: Mapping[str, Tensor], path: Path) -> None:
    if not isinstance(settings, dict):
        raise SemlinkError(f"{path}: its settings are no JSON object; train the network again")
    most = max([LARGEST, *(side for tensor in state.values() for side in tensor.shape)])
    for name, value in settings.items():
        if any(not 0 <= number <= most for number in _numbers(value)):
            raise SemlinkError(
                f"{path}: {name[:60]} is {repr(value)[:60]}, more than its tensors hold; train the network again"
            )


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part)


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `network`; SemlinkError lists up to three misfits in name, shape or kind of number."""
    own = network.state_dict()
    wrong = [k for k in own.keys() | state.keys() if k not in own or k not in state or not _alike(own[k], state[k])]
    if wrong:
        raise SemlinkError(
            f"{path}: weights do not fit this network: {', '.join(sorted(wrong)[:3])} ({len(wrong)} in all)"
        )
    network.load_state_dict(state)


def _alike(own: Tensor, stored: Tensor) -> bool:
    """Packed files hold counters as floats, which is fine; weights as whole numbers have lost their scales."""
    return own.shape == stored.shape and (stored.is_floating_point() or not own.is_floating_point())


def rebuilt(
    build: Callable[..., Network], settings: Mapping[str, Any], state: Mapping[str, Tensor], path: Path
) -> Network:
    """The network that `build` makes of a file's settings, with its tensors, in evaluation mode.

    SemlinkError when the settings make none, or the tensors do not fit.
    """
    with reading(path, "its settings make no network; train it again"):
        network = build(**settings)
    fit_weights(network, state, path)
    return network.eval()
