"""Networks that others published, from your clone of their repository and a weight file of theirs, over this link.

Nothing is downloaded. The Python of the clone runs, because you name its folder; the weight file is read as tensors
alone and runs nothing. Three layouts are known, told apart by the files of the clone:

Deep-JSCC-PyTorch (github.com/chunbaobao/Deep-JSCC-PyTorch, `model.py` with `DeepJSCC(c)`, from June 2024 on, when its
convolutions pad): five and five convolutions for one SNR and one rate. Its channel gives every real number power 1 and
noise of variance 1/(2 snr), so what it calls x dB is an Es/N0 of x + 3.01 dB, the SNR of this link. Its decoder sees
symbols of power 1 per real number, so it does here.

SwinJSCC (github.com/semcomm/SwinJSCC) and WITT (github.com/KeYang8/WITT), `net/encoder.py` and `net/decoder.py`: Swin
transformers, of any size that the weight file has. Their channel gives every complex symbol power 1 and noise of
variance 1/snr, so their dB are those of this link. It hands its decoder the power that the encoder had, and which
channels the rate adaptation chose, free of charge; here both are a protected stream, for which the last symbols of
the latent are not sent. Theirs has power 1 over a batch, here it is 1 for every picture. What was trained for their
Rayleigh channel expects symbols that still hold the fade, which this link equalises.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semlink.codecs._learned.codec import LatentCodec
from semlink.codecs.checkpoint.deep_jscc import DeepJsccClone
from semlink.codecs.checkpoint.swin import SwinClone, is_swin


class Checkpoint(LatentCodec):
    """A published network; its rate is that of its weights, or chosen where it adapts; any picture size.

    repo: folder of your clone; its modules run. weights: a file of its training, such as Deep-JSCC-PyTorch's
    `out/checkpoints/CIFAR10_8_7.0_0.17_AWGN_.../epoch_999.pkl` (rho = c / 48, trained at 7 of its dB; it knows nothing
    of the SNR it meets), or SwinJSCC's `SwinJSCC_w_SAandRA_AWGN_HRimage_cbr_psnr_snr.model` (rho = C / 1536, or C / 96
    of networks for CIFAR-10). model: of SwinJSCC and WITT the `--model` of its training, WITT, WITT_W/O,
    SwinJSCC_w/o_SAandRA, SwinJSCC_w/_SA, SwinJSCC_w/_RA or SwinJSCC_w/_SAandRA; the tensors tell the last two.
    Networks that adapt to the SNR are told 1 to 13 dB, those of their training.
    """

    name = "checkpoint"
    encodes_on = "snr"

    def __new__(
        cls, rho: float = 1 / 6, repo: str = "", weights: str | Path | None = None, model: str = ""
    ) -> Any:  # whichever codec the clone is for
        """The codec for the layout of that clone."""
        return (SwinClone if is_swin(repo) else DeepJsccClone)(rho, repo, weights, model)
