"""Corrupt payloads decode to the same picture, or are refused, whatever the process did before: every source coder."""

import hashlib
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch

from semlink import codecs
from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import CODERS, SourceCoder
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream, Reception, Session

HEIGHT, WIDTH = 24, 40
COUNT = 300
KNOWN = bytes.fromhex("af0c60f6")  # HEVC slice data that end long before the picture does


def payloads(source: SourceCoder) -> list[bytes]:
    """Noise, cut streams, streams with wrong bytes, and streams that go over into noise, of five qualities."""
    rng, last = np.random.default_rng(5), len(source.qualities) - 1
    streams = [source.encode(picture(k), source.qualities[k * last // 4]) for k in range(5)]
    return [KNOWN] + [corrupted(streams[k % 5], k % 4, rng) for k in range(1, COUNT)]


def picture(seed: int) -> np.ndarray:
    """A smooth picture with a little noise."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0, 3, (3, 2)) @ np.indices((HEIGHT, WIDTH)).reshape(2, -1)
    values = 128 + slopes.T.reshape(HEIGHT, WIDTH, 3) + rng.normal(0, 8, (HEIGHT, WIDTH, 3))
    return values.clip(0, 255).astype(np.uint8)


def corrupted(stream: bytes, kind: int, rng: np.random.Generator) -> bytes:
    if kind == 0:
        return rng.bytes(int(rng.integers(2, 200)))
    if kind == 1:
        return stream[: rng.integers(1, len(stream))]
    if kind == 2:
        return stream[: max(2, len(stream) // 2)] + rng.bytes(30)
    broken = bytearray(stream)
    for place in rng.integers(len(stream), size=3):
        broken[place] ^= int(rng.integers(1, 256))
    return bytes(broken)


def answer(source: SourceCoder, data: bytes) -> str:
    """A digest of the picture, or nothing where the bytes are refused."""
    try:
        return hashlib.sha256(source.decode(data, HEIGHT, WIDTH).tobytes()).hexdigest()
    except SemlinkError:
        return ""


@cache
def fresh_answers() -> dict[str, list[str]]:
    """Answers of a new process that decodes nothing else, by the name of the coder."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CODERS)
def test_the_same_bytes_give_the_same_picture_in_any_process(name: str) -> None:
    source, rng = CODERS[name], np.random.default_rng(9)
    broken, found = payloads(source), {}
    for k in rng.permutation(COUNT):
        noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        source.decode(source.encode(noise, source.qualities[-len(source.qualities) // 4]), HEIGHT, WIDTH)
        found[k] = answer(source, broken[k])
    differ = [broken[k].hex() for k in range(COUNT) if found[k] != fresh_answers()[name][k]]
    assert not differ, f"{len(differ)} of {COUNT} payloads give another picture, among them {differ[0]}"


@pytest.mark.parametrize("codec", ["digital", "digital_capacity"])
def test_what_arrives_and_is_no_picture_is_grey_and_marked(codec: str) -> None:
    good, session = ladder.code(CODERS["hevc"], picture(0), 400), Session(HEIGHT, WIDTH)
    assert good is not None
    payload = good.data, None, bytes([255] * 20), b"", b"a"
    received = ReceivedStream("picture", "bits", payload=payload, ok=tuple(part is not None for part in payload))
    pictures, undecoded = codecs.create(codec).decode_marked(Reception((received,), session))
    assert undecoded == (False, False, True, True, True), "a payload that is lost is counted by its blocks"
    assert (pictures[1:] == 0.5).all() and pictures[0].std() > 0.05
    assert torch.equal(codecs.create(codec).decode(Reception((received,), session)), pictures)


if __name__ == "__main__":
    print(json.dumps({name: [answer(s, data) for data in payloads(s)] for name, s in CODERS.items()}))
