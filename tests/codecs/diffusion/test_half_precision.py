"""Models that come in half precision alone, as `*.fp16.safetensors`, in folders and in the hub's cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, DDPMPipeline, DDPMScheduler, UNet2DModel
from tiny_models import go_offline, save_all

from semlink.codecs._diffusion import loading, priors
from semlink.codecs._diffusion.pretrained import Pretrained
from semlink.simulator.errors import SemlinkError

MODULES = ("sd/unet", "sd/vae", "sd/text_encoder", "taesd", "control")
CPU = torch.device("cpu")


def halved(folder: Path) -> None:
    """A model's weights in half precision in place of its own, named as the hub names them."""
    from safetensors.torch import load_file, save_file

    for path in folder.glob("*.safetensors"):
        state = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(state, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")), {"format": "pt"})
        path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return save_all(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def half(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "half")
    for module in MODULES:
        halved(tmp_path / "half" / module)
    return tmp_path / "half"


def same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(b.dtype == torch.float32 and torch.equal(a.half().float(), b) for a, b in pairs)


def test_a_pipeline_of_halves_is_the_same_up_to_rounding(whole, half):
    known, found = (
        Pretrained(str(home / "sd"), str(home / "taesd"), str(home / "control")).receiver(CPU) for home in (whole, half)
    )
    for name in ("unet", "vae", "text_encoder", "controlnet"):
        same(getattr(known, name), getattr(found, name))


def test_the_autoencoder_within_a_pipeline(whole, half):
    same(Pretrained(str(whole / "sd")).autoencoder(CPU), Pretrained(str(half / "sd")).autoencoder(CPU))


def test_modules_that_are_whole_stay_so(whole, half):
    shutil.rmtree(half / "sd" / "text_encoder")
    shutil.copytree(whole / "sd" / "text_encoder", half / "sd" / "text_encoder")
    found = Pretrained(str(half / "sd")).receiver(CPU)
    held = Pretrained(str(whole / "sd")).receiver(CPU).text_encoder.state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in found.text_encoder.state_dict().items())


def test_where_both_are_the_whole_one_is_read(whole, half):
    for path in (half / "taesd").glob("*.fp16.safetensors"):
        shutil.copy(whole / "taesd" / path.name.replace(".fp16", ""), half / "taesd")
        path.write_bytes(b"damaged")
    known, found = (loading.load_model(AutoencoderTiny, home / "taesd") for home in (whole, half))
    assert all(torch.equal(a, b) for a, b in zip(known.parameters(), found.parameters(), strict=True))


def test_weights_in_several_files(tmp_path):
    model = UNet2DModel(
        block_out_channels=(16, 16),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    model.half().save_pretrained(tmp_path, variant="fp16", max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.fp16*.safetensors"))) > 1 and loading.is_half(tmp_path)
    same(model, loading.load_model(UNet2DModel, tmp_path))


def test_a_prior_of_halves(tmp_path):
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 16),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
    halved(tmp_path / "unet")
    same(unet, priors.range_null_prior(str(tmp_path), None, "float32").unet)


@pytest.mark.parametrize("kind", ["pipeline", "model"])
def test_what_the_hub_has_in_halves_alone(half, whole, tmp_path, monkeypatch, kind):
    name = "sd" if kind == "pipeline" else "control"
    cached(half / name, tmp_path / "cache", f"tiny/{name}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for module in (
        "diffusers.models.modeling_utils",
        "diffusers.configuration_utils",
        "diffusers.pipelines.pipeline_utils",
    ):
        monkeypatch.setattr(f"{module}.HF_HUB_CACHE", str(tmp_path / "cache"), raising=False)
    go_offline(monkeypatch)
    if kind == "model":
        same(*(loading.load_model(ControlNetModel, where) for where in (whole / "control", "tiny/control")))
    else:
        same(Pretrained(str(whole / "sd")).receiver(CPU).unet, Pretrained("tiny/sd").receiver(CPU).unet)


def cached(folder: Path, cache: Path, name: str) -> None:
    """A folder as the hub's cache holds it."""
    home, commit = cache / f"models--{name.replace('/', '--')}", "0" * 40
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    shutil.copytree(folder, home / "snapshots" / commit)


def test_an_empty_folder_is_still_one_line(tmp_path):
    with pytest.raises(SemlinkError, match="did not load.*safetensors"):
        loading.load_model(AutoencoderKL, tmp_path)
