"""Wrong bytes with a good CRC: a map or picture, or a loss; in bounded memory, and the same in any process."""

import hashlib
import resource

import numpy as np
import pytest
import torch

from semlink.codecs.spic import Spic
from semlink.simulator.conformance.fresh import fresh_process

SIZE = (48, 64)
SETS = {"jpegxl": "hevc", "webp": "avif", "png": "jpeg"}  # map coder and picture coder
MOST_GROWTH_MB = 400


def payloads(codec: Spic, count: int) -> list[tuple[bytes, bytes]]:
    """Pairs of map and coarse picture: noise, and sound ones that were cut, changed or go over into noise."""
    rng = np.random.default_rng(7)
    image = torch.nn.functional.interpolate(torch.from_numpy(rng.random((1, 3, 6, 8))).float(), SIZE, mode="bicubic")
    sound = [bytes(stream.payload[0]) for stream in codec.encode(image.clamp(0, 1)).streams]
    return [(corrupted(sound[0], k, rng), corrupted(sound[1], k // 4, rng)) for k in range(count)]


def corrupted(data: bytes, kind: int, rng: np.random.Generator) -> bytes:
    if kind % 4 == 0:
        return rng.bytes(int(rng.integers(0, 300)))
    if kind % 4 == 1:
        return data[: rng.integers(1, len(data))]
    if kind % 4 == 2:
        return data[: rng.integers(1, len(data))] + rng.bytes(30)
    broken = bytearray(data)
    for place in rng.integers(len(data), size=3):
        broken[place] ^= int(rng.integers(1, 256))
    return bytes(broken)


def answers(codec: Spic, pairs: list[tuple[bytes, bytes]]) -> list[str]:
    """What became of each pair, in few letters."""
    return [f"{_map(codec, first)} {_coarse(codec, second)}" for first, second in pairs]


def _map(codec: Spic, data: bytes) -> str:
    found = codec.read_map(data, SIZE)
    if found is None:
        return "-"
    labels, groups = found
    assert labels.shape == SIZE and labels.dtype == torch.uint8 and int(labels.max()) <= len(groups)
    return hashlib.sha256(labels.numpy().tobytes()).hexdigest()[:8]


def _coarse(codec: Spic, data: bytes) -> str:
    found = codec.read_coarse(data, SIZE)
    if found is None:
        return "-"
    assert found.picture.shape == (-(-SIZE[0] // found.factor), -(-SIZE[1] // found.factor), 3)
    return hashlib.sha256(found.picture.tobytes()).hexdigest()[:8]


def codec_of(name: str) -> Spic:
    return Spic(rho=1, map_coder=name, coder=SETS[name], cell=2, factor=2, quality=40)


def checked(name: str, count: int) -> None:
    codec = codec_of(name)
    pairs = payloads(codec, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = answers(codec, pairs)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MOST_GROWTH_MB
    assert any(each.startswith("-") for each in found) and any(each.endswith("-") for each in found)
    with fresh_process() as pool:
        assert pool.submit(answers, codec_of(name), pairs).result() == found


@pytest.mark.parametrize("name", SETS)
def test_a_hundred_wrong_payloads(name):
    checked(name, 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_ten_thousand_wrong_payloads(name):
    checked(name, 10_000)
