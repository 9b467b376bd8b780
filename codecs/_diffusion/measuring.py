"""The error of the coarse pictures behind a prior by SNR, measured on pictures: what `ddnm` and `posterior` look up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from semlink.simulator.training.channels import Surrogate
from semlink.simulator.values import TxInfo

KEY = ("inner", "rho", "pool", "side")  # of an entry of the table


def curve(codec: Any, pictures: Tensor, snr_db: Sequence[float], desc: str) -> dict[str, Any]:
    """RMS errors of a codec's pictures `[n, 3, H, W]` in [0, 1] at rising SNRs in dB; desc: for the progress bar."""
    errors = [rms_error(codec, pictures, snr) for snr in tqdm(snr_db, desc=desc)]
    return {"snr_db": snr_db, "sigma": [round(error, 5) for error in errors]}


@torch.no_grad()
def rms_error(codec: Any, pictures: Tensor, snr_db: float) -> float:
    """Root of the mean squared error of all pictures together, peak 1, over AWGN of that SNR."""
    awgn = Surrogate(per_image=0, per_symbol=0, lost=0)
    sent = codec.encode(pictures, TxInfo(snr_db=snr_db))
    reception = awgn(sent, torch.full((len(pictures),), snr_db), torch.Generator().manual_seed(0))
    return float((codec.decode(reception) - pictures).square().mean().sqrt())


def replaced(known: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of a table without those that were measured anew, and these."""
    new = {tuple(entry[k] for k in KEY) for entry in found}
    return [entry for entry in known if tuple(entry[k] for k in KEY) not in new] + [*found]
