"""How good the pictures are that a codec in training gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from semlink.simulator.plugins import measure_metrics
from semlink.simulator.training.channels import Channel
from semlink.simulator.values import TxInfo


@torch.no_grad()
def mean_psnr(codec: Any, channel: Channel, images: Tensor, snr_db: Tensor, generator: Generator) -> float:
    """Mean over pictures `[batch, 3, H, W]` in [0, 1] of their PSNR in dB once they went over `channel`.

    snr_db: float32 `[batch]`; pictures, SNRs and generator are on the device of the codec's network.
    """
    sent = codec.encode(images, TxInfo(snr_db=snr_db))
    received = codec.decode(channel(sent, snr_db, generator))
    return measure_metrics(("psnr",), images, received.clamp(0, 1))["psnr"].mean().item()
