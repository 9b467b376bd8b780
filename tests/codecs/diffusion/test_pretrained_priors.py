"""Unconditional pixel models by hub id or folder (google/ddpm-cifar10-32 and its like) as priors of ddnm."""

from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from tiny_models import go_offline

from semlink import codecs
from semlink.codecs._diffusion import priors
from semlink.codecs._diffusion.range_null import RangeNullPipeline
from semlink.simulator import SemlinkError, TxInfo
from semlink.simulator.conformance.codec import check_pictures, noiseless, smooth_pictures

IMAGES = smooth_pictures(2, 32, 36)


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DDPMPipeline as google/ddpm-cifar10-32 is one, with attention, small and random."""
    folder = tmp_path_factory.mktemp("ddpm")
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=32,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
    )
    DDPMPipeline(unet, DDPMScheduler(clip_sample=True)).save_pretrained(folder)
    return folder


def test_works_on_pixels_whatever_device_and_memory(prior: Path) -> None:
    codec = codecs.create("ddnm", prior=prior, steps=3)
    reception = noiseless(codec.encode(IMAGES, TxInfo(snr_db=10.0)))
    whole = codec.decode(reception)
    check_pictures(whole, IMAGES)
    assert priors.range_null_prior(str(prior), None, "float32").config.patch == 1
    thrifty = codecs.create("ddnm", prior=prior, steps=3, device="cpu", memory="attention_slicing")
    assert torch.allclose(thrifty.decode(reception), whole, atol=1e-4)


def test_offload_is_asked_of_diffusers(prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(RangeNullPipeline, "enable_model_cpu_offload", lambda self, device: asked.append(str(device)))
    codec = codecs.create("ddnm", prior=prior, steps=2, memory="cpu_offload")
    check_pictures(codec.decode(noiseless(codec.encode(IMAGES, TxInfo(snr_db=10.0)))), IMAGES)
    assert asked == ["cpu"]


def test_what_this_machine_cannot_do_is_told(prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SemlinkError, match="known: none, attention_slicing, xformers, cpu_offload, sequential_offload"):
        codecs.create("ddnm", prior=prior, memory="vae_slicing")
    with pytest.raises(SemlinkError, match="unknown device 'abacus'"):
        codecs.create("ddnm", prior=prior, device="abacus")

    def refuse(self, device):
        raise ImportError("`enable_model_cpu_offload` requires `accelerate v0.17.0` or higher.")

    monkeypatch.setattr(RangeNullPipeline, "enable_model_cpu_offload", refuse)
    with pytest.raises(SemlinkError, match="memory option cpu_offload: .*requires `accelerate"):
        priors.range_null_prior(str(prior), "ddim", "float32", "cpu", ("cpu_offload",))
    if not torch.cuda.is_available():
        with pytest.raises(SemlinkError, match="device cuda"):
            priors.range_null_prior(str(prior), "ddim", "float32", "cuda")


def test_offline_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(SemlinkError, match="hf download google/ddpm-cifar10-32 --local-dir FOLDER"):
        priors.range_null_prior("google/ddpm-cifar10-32", None, "float32")
