"""Weight files as users bring them: damaged, foreign, impossible; one line of error each, and never a wait."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from semlink import codecs
from semlink.codecs._diffusion import guides
from semlink.codecs._learned.modulated import AdaptiveNetwork
from semlink.codecs._learned.packing import SCALE, pack
from semlink.codecs._learned.weights import read_weights
from semlink.codecs._regions import unet
from semlink.codecs.sgd_jscc.blind import level_network
from semlink.simulator import SemlinkError
from semlink.simulator.conformance.codec import smooth_pictures

NETWORK = AdaptiveNetwork(planes=4, width=8, blocks=(1, 1))
STATE = NETWORK.state_dict()
FIRST = "encoder.first.weight"


def written(path: Path, state: Mapping[str, Tensor], settings: object = NETWORK.settings) -> Path:
    told = settings if isinstance(settings, str) else json.dumps(settings)
    path.write_bytes(save({k: v.contiguous() for k, v in state.items()}, {"settings": told}))
    return path


def encode(path: Path) -> Tensor:
    return codecs.create("adjscc", rho=1 / 12, weights=path).encode(smooth_pictures(1, 16, 16)).streams[0].payload


def refused(path: Path, match: str) -> None:
    with pytest.raises(SemlinkError, match=match) as caught:
        encode(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({FIRST: torch.full_like(STATE[FIRST], torch.nan)}, f"NaN or infinite weights in {FIRST}"),
        ({FIRST: torch.full_like(STATE[FIRST], -torch.inf).half()}, f"NaN or infinite weights in {FIRST}"),
        ({FIRST: torch.ones_like(STATE[FIRST], dtype=torch.int64)}, f"do not fit this network: {FIRST}"),
        ({FIRST: torch.ones_like(STATE[FIRST], dtype=torch.int8)}, f"do not fit this network: {FIRST}"),
        ({FIRST: torch.ones(1, 1, 1, 1)}, f"do not fit this network: {FIRST}"),
        ({FIRST: torch.ones(())}, f"do not fit this network: {FIRST}"),
        ({"encoder.more": torch.ones(3)}, "do not fit this network: encoder.more"),
    ],
)
def test_tensors_that_are_not_this_networks_are_refused(tmp_path: Path, change: dict, said: str) -> None:
    refused(written(tmp_path / "w.safetensors", STATE | change), said)


@pytest.mark.parametrize("shape", [(1,), (), (9,), (8, 1)], ids=str)
def test_packed_weights_with_scales_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    packed = pack(STATE) | {FIRST + SCALE: torch.ones(shape)}
    refused(written(tmp_path / "w.safetensors", packed), f"{FIRST} has .* values, but scales")


@pytest.mark.parametrize(
    "settings",
    [
        "[]",
        "3",
        '"planes"',
        "null",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        {"planes": "4"},
        {"planes": None},
        {"planes": [4]},
        {"planes": -4},
        {"planes": 4, "width": 10**9},
        {"planes": 4, "width": 8, "blocks": [1, 10**9]},
        {"planes": 4, "width": 8, "blocks": 1},
        {"planes": 4, "width": 8, "blocks": [1]},
        {"planes": 4, "width": 0, "blocks": [1, 1]},
        {"planes": 4, "width": 8.5, "blocks": [1, 1]},
        {"planes": 4, "colour": 8},
        {"planes": 4, "width": {"a": 1}},
        {"planes": 4, "width": float("nan")},
    ],
    ids=lambda settings: str(settings)[:40],
)
def test_settings_of_no_network_are_refused(tmp_path: Path, settings: object) -> None:
    refused(written(tmp_path / "w.safetensors", STATE, settings), "settings|tensors hold|not a safetensors")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    refused(pipe, "a folder, pipe or device")
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    refused(folder, "a folder, pipe or device")
    refused(tmp_path / (300 * "x"), "no such weights")
    with pytest.raises(SemlinkError, match="a folder, pipe or device"):
        guides.centres(pipe)


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    sent = encode(written(tmp_path / "w.safetensors", STATE))
    packed = encode(written(tmp_path / "p.safetensors", pack(STATE)))
    assert torch.isfinite(sent.abs()).all() and (sent - packed).abs().mean() < 0.1


@pytest.mark.parametrize("load", [read_weights, unet.load, lambda path: level_network(path, 4), guides.centres])
def test_any_damage_is_a_line(tmp_path: Path, load) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "w.safetensors"
    whole = written(path, STATE).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    outcomes = set()
    for trial in range(120):
        data = bytearray(whole[: rng.integers(len(whole))] if trial % 4 == 0 else whole)
        for place in rng.integers(header if trial % 4 < 3 else len(whole), size=1 + trial % 3):
            if place < len(data):
                data[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"{trial}.safetensors"
        path.write_bytes(data)
        try:
            load(path)
            outcomes.add("read")
        except SemlinkError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes
