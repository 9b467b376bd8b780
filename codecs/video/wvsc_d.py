"""The semantic frames of `wvsc`, compensated at the receiver by few steps of decoupled diffusion.

A re-implementation from the published description of WVSC-D (Xie et al., IEEE TCOM 2025; arXiv 2511.02478), with sizes
of our own. Sender and channel uses are those of `wvsc`; what is compensated is shown, and does not become the cue of
the next frame, so that its errors do not add up.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video._compensation import CompensationNetwork, semantics
from semlink.codecs.video._compensation_pipeline import SHARE, STEPS, STRENGTH, Base, CompensationPipeline
from semlink.codecs.video._motion import padded
from semlink.codecs.video._semantic_codec import SemanticCodec, SemanticReceiver
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception
from semlink.simulator.video import Clip, Shown

SHIPPED = WEIGHTS / "wvsc_d.safetensors"


class WvscD(SemanticCodec):
    """Settings of `wvsc`, and those of the diffusion.

    strength: share of what compensation changes in the pixels that is shown, 0 to 1; 0 is `wvsc` itself. steps: of the
    chain; 0 leaves the network that shows pixels without diffusion. share: of the group's base noise in the power of
    the noise, the rest is each frame's own: 1 and 0 are base and residual alone. span: frames that share a base; a
    scene begins anew. compensation: file of the networks or folder of the pipeline. scheduler: "ddim", "dpm" or "lcm".
    seed: of the noise.
    """

    def __init__(
        self,
        rho: float = 1 / 48,
        weights: str | Path | None = None,
        gop: int = 64,
        boost: float = 1.0,
        strength: float = STRENGTH,
        steps: int = STEPS,
        share: float = SHARE,
        span: int = 8,
        compensation: str | Path | None = None,
        scheduler: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(rho, weights, gop, boost)
        if not 0 <= steps <= 1000 or not 0 <= share <= 1 or not 0 <= strength <= 1 or span < 1:
            raise SemlinkError(
                f"strength={strength:g}, steps={steps}, share={share:g}, span={span}: give a strength and a share "
                "within 0 and 1, 0 to 1000 steps, a span from 1 on"
            )
        loading.check_settings(scheduler, "float32", "cpu", None)
        self.strength, self.steps, self.share, self.span = strength, steps, share, span
        self.scheduler, self.seed = scheduler, seed
        self.compensation = Path(compensation) if compensation else SHIPPED

    def files(self) -> tuple[Path, ...]:
        """Of both networks."""
        return *super().files(), *local(self.compensation)

    def check(self, height: int, width: int) -> None:
        """SemlinkError without weights, or where there is no room for symbols."""
        super().check(height, width)
        _ = self.pipeline

    @property
    def pipeline(self) -> CompensationPipeline:
        """With its weights. SemlinkError for those that do not fit the semantic network."""
        made = pipeline_of(str(self.compensation), self.scheduler)
        if made.base.config.planes != 2 * self.network.planes:
            raise SemlinkError(
                f"{self.compensation.name} is made for semantic frames of {made.base.config.planes // 2} planes, "
                f"{self.weights.name} has {self.network.planes}; train it for these weights"
            )
        return made

    def receiver(self, clip: Clip) -> WvscDReceiver:
        """The decoder, and what the frames of a group share."""
        return WvscDReceiver(self, clip)


class WvscDReceiver:
    """plain: the receiver of `wvsc`. base: of the group. age: frames of it so far. last: what was shown."""

    def __init__(self, codec: WvscD, clip: Clip) -> None:
        self.codec, self.clip, self.plain = codec, clip, SemanticReceiver(codec, clip)
        self.base: Base | None = None
        self.age = 0
        self.last: Tensor | None = None

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`, compensated; the last one again where nothing of it is known."""
        shown = self.plain.receive(reception)
        if not self.codec.strength:
            return shown
        if shown.concealed[0]:
            return shown if self.last is None else Shown(self.last, shown.concealed)
        self.last = self._compensated(shown.frames)
        return Shown(self.last, shown.concealed, steps=self.codec.steps)

    @torch.no_grad()
    def _compensated(self, frame: Tensor) -> Tensor:
        whole, heard = padded(frame), torch.tensor([self.plain.heard])
        decoded, pipeline = semantics(self.codec.network, whole), self.codec.pipeline
        found = self._found(decoded, heard, pipeline) if self.codec.steps else decoded
        shown = pipeline.shown(whole, decoded, found, heard, self.codec.strength)
        return shown[:, :, : self.clip.height, : self.clip.width]

    def _found(self, decoded: Tensor, heard: Tensor, pipeline: CompensationPipeline) -> Tensor:
        draws = Generator().manual_seed((self.codec.seed << 32) + self.plain.shower.count)
        self.age += 1
        if self.base is None or self.plain.anew or self.age >= self.codec.span:
            found, self.base = pipeline.reference(decoded, heard, self.codec.steps, draws)
            self.age = 0
            return found
        return pipeline.following(decoded, heard, self.base, self.codec.steps, self.codec.share, draws)


@lru_cache(maxsize=2)
def pipeline_of(path: str, scheduler: str | None) -> CompensationPipeline:
    """The pipeline of a weight file of experiments/train_video.py or of a folder of `save_pretrained`."""
    found = Path(path)
    made = loading.load_pipeline(CompensationPipeline, found) if found.is_dir() else _from_weights(found)
    if scheduler:
        made.scheduler = loading.scheduler_of(scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return made


def _from_weights(path: Path) -> Any:
    if not path.exists():
        raise SemlinkError(
            f"wvsc_d: no {path.name}; train with experiments/train_video.py --network wvsc_d, give compensation=FILE"
        )
    state, settings = read_weights(path)
    network = rebuilt(CompensationNetwork, settings, state, path).requires_grad_(False)
    return CompensationPipeline(network.base, network.residual, network.synthesis, make_scheduler("sample"))


PLUGIN = WvscD
