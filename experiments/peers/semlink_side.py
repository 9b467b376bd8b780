"""The same codec by semlink, and the same OFDM link by plain Sionna and by semlink; see `lines.py`.

Usage: python semlink_side.py FILE.npz, whose pictures are sent. Weights are the shipped ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semlink.experiments.peers.lines import BATCH, Question, Work, serve
from semlink.simulator.link.link import Link
from semlink.simulator.metrics.psnr import psnr
from semlink.simulator.plugins import make_codec, make_link
from semlink.simulator.protocols import Codec
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.crops import crops
from semlink.simulator.study.link_variants import link_variants
from semlink.simulator.sweep import runner
from semlink.simulator.sweep.trial import Parts
from semlink.simulator.words import parse

CODEC, RHO = "deepjscc", 1 / 6


@dataclass(frozen=True)
class Semlink:
    """The codec, and the pictures `[n, 3, H, W]` that are sent."""

    codec: Codec
    pictures: Tensor
    links: dict[str, Link] = field(default_factory=dict)

    def prepare(self, request: Mapping[str, Any]) -> Work:
        """The work of a request: `way`, `channel`, `snrs`, `pictures` (first, count), `seed`; or a link's `variant`."""
        if "variant" in request:
            return partial(silent, self.variants[request["variant"]])
        asked = Question.of(request, self.pictures)
        network = self.codec.network(*self.pictures.shape[2:])  # type: ignore[attr-defined]  # of learned codecs
        latents = [network.encoder(x) for x in asked.batches]
        ways: dict[str, Work] = {
            "calls": partial(self.calls, self.link(asked.channel), asked),
            "sweep": partial(sweep, asked),
            "decoder": partial(asked.decoded, network.decoder, latents),
        }
        return ways[request["way"]]

    def link(self, channel: str) -> Link:
        """The link over a channel's word, made once."""
        if channel not in self.links:
            self.links[channel] = make_link(parse(channel))
        return self.links[channel]

    @cached_property
    def variants(self) -> dict[str, Callable[[], Any]]:
        """The links that are compared, compiled."""
        found = link_variants()
        for call in found.values():
            call()
        return found

    def calls(self, link: Link, asked: Question) -> list[Tensor]:
        """A loop over codec and link: a batch is encoded once for all SNRs."""
        rows = [self._batch(link, i, x, asked) for i, x in enumerate(asked.batches)]
        return [torch.cat(of_snr) for of_snr in zip(*rows, strict=True)]

    def _batch(self, link: Link, index: int, pictures: Tensor, asked: Question) -> list[Tensor]:
        sent, first = self.codec.encode(pictures), index * BATCH
        receptions = (link(sent, snr, asked.seed, first) for snr in asked.snrs)
        return [psnr(pictures, self.codec.decode(reception)) for reception in receptions]


def sweep(asked: Question) -> list[Tensor]:
    """The sweep as `semlink sweep` does it, files and rows and all, into a folder that is forgotten."""
    count = sum(map(len, asked.batches))
    question = Sweep((CODEC,), (asked.channel,), tuple(asked.snrs), (RHO,), ("psnr",), "crops", count, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        runner.run(question, folder, 1, Parts(dataset=crops))
    return []


def silent(call: Callable[[], Any]) -> list[Tensor]:
    """A call of which nothing is measured but what it takes."""
    call()
    return []


def main() -> None:
    """Serve the pictures of the file."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    codec, pictures = make_codec(parse(CODEC), RHO), torch.from_numpy(np.load(sys.argv[1])["pictures"])
    versions = {name: version(name) for name in ("semlink", "torch", "sionna", "tensorflow")}
    serve(Semlink(codec, pictures).prepare, versions)


if __name__ == "__main__":
    main()
