"""Small stand-ins for data, codec, link and metrics, importable by spawned workers."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.sweep.trial import Parts
from semlink.simulator.values import (
    LinkReport,
    LinkResult,
    LinkStatistics,
    ReceivedStream,
    Reception,
    Session,
    Stream,
    Transmission,
    TxInfo,
)

LANDSCAPE, PORTRAIT = (4, 6), (6, 4)
RED = 0.7


def generator(*key):
    """A torch generator keyed by anything that prints."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@dataclass(frozen=True)
class FakeData:
    """Random pictures, every third one in portrait."""

    n: int

    @property
    def ids(self):
        return [f"picture{i}" for i in range(self.n)]

    def sizes(self):
        return [PORTRAIT if i % 3 == 2 else LANDSCAPE for i in range(self.n)]

    def batch(self, indices):
        sizes = self.sizes()
        return torch.stack([torch.rand(3, *sizes[i], generator=generator("picture", i)) for i in indices])


class FakeCodec:
    """Sends pixels as they are, after recording what it was told.

    fails: makes it raise, return NaN or die; "red", "late red": on pictures whose first red level is above 0.7, when
    encoding or decoding; "portrait", "broken portrait": on pictures in portrait, refused or by a fault.
    """

    calls: ClassVar[list] = []

    def __init__(self, rho, encodes_on="nothing", fails="", pause=0.0):
        self.rho, self.encodes_on, self.fails, self.pause = rho, encodes_on, fails, pause

    def uses(self, height, width):
        return 3 * height * width // 2

    def encode(self, images, tx=None):
        FakeCodec.calls.append((self.encodes_on, tx))
        if self.fails == "encode":
            raise RuntimeError("cannot\nencode")
        if self.fails == "red" and (images[:, 0, 0, 0] > RED).any():
            raise RuntimeError("too red")
        if self.fails.endswith("portrait") and images.shape[-2] > images.shape[-1]:
            raise (SemlinkError if self.fails == "portrait" else RuntimeError)("no portraits")
        if self.fails == "die":
            os._exit(9)
        if self.fails == "leave":
            os._exit(0)
        if self.fails == "exit":
            sys.exit(0)
        time.sleep(self.pause)
        height, width = images.shape[-2:]
        flat = images.flatten(1)
        symbols = torch.complex(flat[:, ::2], flat[:, 1::2])
        return Transmission((Stream("pixels", "analog", symbols),), Session(height, width))

    def decode(self, reception):
        x = reception.streams[0].x_hat
        pictures = torch.view_as_real(x).reshape(len(x), 3, reception.session.height, reception.session.width)
        if self.fails == "late red" and (pictures[:, 0, 0, 0] > RED).any():
            raise SemlinkError("too red")
        if self.fails == "nan":
            pictures[-1, 0, 0, 0] = float("nan")
        return pictures.clamp(0, 1)


class MarkingCodec(FakeCodec):
    """Says of pictures whose first red level is above 0.7 that they could not be decoded, and shows them grey."""

    def decode_marked(self, reception):
        pictures = self.decode(reception)
        wrong = pictures[:, 0, 0, 0] > RED
        pictures[wrong] = 0.5
        return pictures, tuple(wrong.tolist())


class FakeLink:
    """Noise of the asked SNR and a gain per image that depends on seed, channel and block alone."""

    def __init__(self, channel, csi="ls"):
        self.channel, self.csi = channel, csi

    def tx_info(self, snr_db, uses=None, seed=0, statistics=False):
        known = LinkStatistics(uses, (1.0,), (0.9,), {uses: {"qpsk": (1.0,)}}) if statistics else None
        return TxInfo(snr_db=snr_db, uses=uses, statistics=known, public_seed=seed)

    def run(self, transmission, snr_db, seed=0, first_image=0):
        block, first = divmod(first_image, 32)
        x = transmission.streams[0].payload
        n = len(x)
        gain = torch.rand(32, generator=generator("fade", seed, self.channel, block))[first : first + n, None] + 0.5
        noise = torch.randn(
            32, *x.shape[1:], dtype=x.dtype, generator=generator("noise", seed, self.channel, block, snr_db)
        )[first : first + n]
        received = x + noise * 10 ** (-snr_db / 20) / gain
        reception = Reception(
            (ReceivedStream("pixels", "analog", received, torch.ones(x.shape)),), transmission.session
        )
        uses = {"pixels": (x.shape[1],) * n, "header": (2,) * n}
        same = (float(snr_db),) * n
        fade = tuple((20 * gain[:, 0].log10() + snr_db).tolist())
        return LinkResult(
            reception,
            LinkReport(uses, (100,) * n, (1e-3,) * n, same, fade, same, {"header": "qpsk"}, (2,) * n, (1,) * n),
        )


def fake_data(data, limit):
    return FakeData(limit or 40)


def fake_codec(word, rho):
    if word.name == "absent":
        raise ValueError("no weights")
    if word.name == "marks":
        return MarkingCodec(rho)
    if word.name == "leaves":
        sys.exit(0)
    return FakeCodec(rho, **dict(word.settings))


def fake_link(word):
    channel, settings = word.split(("csi",))
    return FakeLink(str(channel), **settings)


def fake_measure(names, original, received):
    mse = (original - received).square().mean((1, 2, 3))
    values = {"psnr": -10 * mse.log10(), "mae": (original - received).abs().mean((1, 2, 3))}
    return {name: values[name] for name in names}


def fake_describe(name):
    return {"psnr": Variable("dB", "PSNR", "higher"), "mae": Variable("1", "mean absolute error", "lower")}[name]


PARTS = Parts(fake_data, fake_codec, fake_link, fake_measure, fake_describe)
