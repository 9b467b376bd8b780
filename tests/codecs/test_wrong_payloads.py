"""Noise that the CRC let through, in place of any payload: a picture or a counted loss, the same in any process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from swin_clone import trained
from tiny_models import save_all

from semlink import codecs
from semlink.simulator.conformance.codec import (
    SNR_DB,
    check_pictures,
    noise_for_bits,
    noiseless,
    smooth_pictures,
    with_bits,
)
from semlink.simulator.conformance.fresh import fresh_process
from semlink.simulator.plugins import make_link
from semlink.simulator.protocols import decoded
from semlink.simulator.values import Reception, Transmission, TxInfo
from semlink.simulator.words import parse

SIZE = (256, 192)
ROUNDS = 3


def told(images: torch.Tensor) -> list[str]:
    """A captioner."""
    return ["a red cat"] * len(images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("models"))


# what makes a codec, given a folder for models, and its streams of which longer noise is none
SIDE: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "roi_jscc": (lambda at: codecs.create("roi_jscc"), {"mask"}),
    "roi_jscc even": (lambda at: codecs.create("roi_jscc", bandwidth=False), {"mask"}),
    "roi_dual": (lambda at: codecs.create("roi_dual"), {"mask"}),
    "roi_dual elements": (lambda at: codecs.create("roi_dual", select="threshold"), {"mask", "positions"}),
    "sgd_jscc": (lambda at: codecs.create("sgd_jscc", steps=1), {"edges", "tag"}),
    "sgd_jscc plain": (lambda at: codecs.create("sgd_jscc", steps=0), {"edges", "tag"}),
    "latent_diffusion": (
        lambda at: codecs.create("latent_diffusion", model=at / "sd", controlnet=at / "control", caption=told, steps=1),
        {"scale", "caption", "edges"},
    ),
    "checkpoint": (lambda at: codecs.create("checkpoint", rho=1 / 12, **trained(at / uuid4().hex)), {"told"}),
    "img2img": (lambda at: codecs.create("img2img", inner="roi_jscc", model=at / "sd", sigma_y=0.1, steps=1), {"mask"}),
    "ddnm": (lambda at: codecs.create("ddnm", rho=1 / 48, inner="roi_jscc", sigma_y=0.1, steps=1), {"mask"}),
    "semlink": (lambda at: codecs.create("semlink"), {"layout"}),
    "digital": (lambda at: codecs.create("digital"), set()),
    "digital_capacity": (lambda at: codecs.create("digital_capacity"), set()),
    "spic": (lambda at: codecs.create("spic", rho=1 / 12, steps=0), {"map"}),
}
CODED = {"picture", "base", "coarse"}  # by a source coder
WITHOUT_BITS = {"adjscc", "cddm", "deepjscc", "posterior", "swinjscc"}


def test_every_codec_of_the_registry_is_here() -> None:
    assert {name.split()[0] for name in SIDE} | WITHOUT_BITS == set(codecs.names())


@pytest.mark.parametrize("name", sorted(WITHOUT_BITS - {"swinjscc"}))
def test_the_others_have_no_payloads(name: str) -> None:
    assert not with_bits(
        codecs.create(name, rho=1 / 24 if name == "cddm" else 1 / 12).encode(smooth_pictures(1, 32, 32))
    )


@pytest.mark.parametrize("name", SIDE)
def test_noise_is_a_picture_or_a_counted_loss_alike_in_any_process(name: str, folder: Path) -> None:
    codec, images = SIDE[name][0](folder), smooth_pictures(2, *SIZE)
    sent = sent_of(codec, images)
    lengths = [0, *(7 * k for k in range(1, ROUNDS))]
    heard = [noise_for_bits(sent, seed, longer) for seed, longer in enumerate(lengths)]
    found = answers(codec, heard)
    for pictures, marks in found:
        check_pictures(pictures, images)
        assert len(marks) == len(images)
    marked = [mark for _, marks in found[1:] for mark in marks]
    assert all(marked) if SIDE[name][1] else any(marked), marked
    with fresh_process() as pool:
        others = pool.submit(answers, codec, heard[::-1]).result()[::-1]
    for (picture, marks), (other, again) in zip(found, others, strict=True):
        assert torch.allclose(picture, other, atol=1e-4) and marks == again


@pytest.mark.parametrize("name", SIDE)
def test_each_stream_is_asked_on_its_own(name: str, folder: Path) -> None:
    """Noise in one picture's payload of one stream marks that picture and no other."""
    make, streams = SIDE[name]
    codec, images = make(folder), smooth_pictures(2, *SIZE)
    sent = sent_of(codec, images)
    whole, wrong = noiseless(sent), noise_for_bits(sent, 1, 30)
    bits = {stream.name for stream in sent.streams if stream.kind == "bits"}
    assert streams == bits - CODED, "a stream that is not asked"
    for stream in streams:
        assert decoded(codec, mixed(whole, wrong, stream))[1] == (False, True), stream


def mixed(whole: Reception, wrong: Reception, name: str) -> Reception:
    """A reception in which that stream of the second picture is another one's."""
    pairs = zip(whole.streams, wrong.streams, strict=True)
    parts = [replace(a, payload=(a.payload[0], b.payload[1])) if a.name == name else a for a, b in pairs]
    return replace(whole, streams=tuple(parts))


def sent_of(codec: Any, images: torch.Tensor) -> Transmission:
    """What a codec sends at 20 dB; one that encodes for a link is told of AWGN at 10 dB."""
    if codec.encodes_on != "link":
        return codec.encode(images, TxInfo(snr_db=SNR_DB))
    return codec.encode(images, make_link(parse("awgn")).tx_info(10.0, codec.uses(*SIZE), statistics=True))


def answers(codec: Any, heard: list[Reception]) -> list[tuple[torch.Tensor, tuple[bool, ...]]]:
    """Pictures and marks of each reception."""
    with torch.no_grad():
        return [decoded(codec, reception) for reception in heard]
