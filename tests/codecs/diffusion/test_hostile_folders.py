"""Folders of strangers: whatever code or pickle lies in a model's folder, no loader runs it, and one line says so."""

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from diffusers import ControlNetModel
from tiny_models import autoencoder, controlnet, save_all, unet

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.latent_receiver import LatentReceiverPipeline
from semlink.codecs._diffusion.networks import make_unet
from semlink.codecs._diffusion.training_setup import start_from
from semlink.codecs.importance import _segmenters
from semlink.simulator.errors import SemlinkError

CODE = "from pathlib import Path\nPath({marker!r}).touch()\n\nclass Evil:\n    pass\n"
AUTO = ("AutoConfig", "AutoProcessor", "AutoImageProcessor", "AutoTokenizer", "AutoModel")
AUTO_MODELS = ("AutoModelForImageTextToText", "AutoModelForSemanticSegmentation")


class Touch:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.marker,)  # type: ignore[return-value]


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that only code of a folder would make; the user answers "y" to every question."""
    monkeypatch.setattr(builtins, "input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path / "marker"


def hostile(folder: Path, marker: Path) -> Path:
    """A folder of transformers' kind whose every config names a class in evil.py."""
    folder.mkdir()
    (folder / "evil.py").write_text(CODE.format(marker=str(marker)))
    asked = {"model_type": "evil", "auto_map": dict.fromkeys((*AUTO, *AUTO_MODELS), "evil.Evil")}
    for name in ("config", "preprocessor_config", "processor_config", "tokenizer_config"):
        (folder / f"{name}.json").write_text(json.dumps(asked))
    return folder


def in_pickles(folder: Path, marker: Path) -> Path:
    """The folder with each file of weights replaced by a pickle under the name of one, and under the safe name."""
    for path in list(folder.rglob("*.safetensors")):
        torch.save({"weight": Touch(marker)}, path)
        stem = "pytorch_model" if path.stem == "model" else path.stem
        shutil.copy(path, path.with_name(f"{stem}.bin"))
    return folder


def refused(load: Callable[[], object], marker: Path) -> str:
    """The one line that the loader answers, having run nothing."""
    with pytest.raises(SemlinkError) as caught:
        load()
    assert not marker.exists() and "\n" not in str(caught.value)
    return str(caught.value)


def segmenter(folder: Path) -> Path:
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "SegformerImageProcessor"}))
    return folder


@pytest.mark.parametrize(
    "load",
    [
        lambda folder: loading.load_processor(transformers.AutoProcessor, folder),
        lambda folder: loading.load_model(transformers.AutoModelForImageTextToText, folder),
        lambda folder: _segmenters.from_transformers(str(folder)),
    ],
)
def test_code_in_a_folder_of_transformers_is_not_run(
    load: Callable[[Path], object], marker: Path, tmp_path: Path
) -> None:
    folder = hostile(tmp_path / "folder", marker)
    refused(lambda: load(folder), marker)


def test_the_folder_would_run_where_it_is_trusted(marker: Path, tmp_path: Path) -> None:
    folder = hostile(tmp_path / "folder", marker)
    with pytest.raises(Exception, match="."):  # the class behind the code is no processor
        transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=True).no_such_name  # noqa: B018
    assert marker.exists()


def test_code_in_a_segmenter_beside_a_known_model_is_not_run(marker: Path, tmp_path: Path) -> None:
    folder = segmenter(tmp_path / "folder")
    (folder / "evil.py").write_text(CODE.format(marker=str(marker)))
    for name in ("config.json", "preprocessor_config.json"):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(told | {"auto_map": dict.fromkeys((*AUTO, *AUTO_MODELS), "evil.Evil")}))
    assert _segmenters.from_transformers(str(folder)).names == ("label_0", "label_1")
    assert not marker.exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as Stable Diffusion is one."""
    return save_all(tmp_path_factory.mktemp("models")) / "sd"


@pytest.mark.parametrize("module", ["pipeline", "unet", "scheduler"])
def test_code_in_a_pipeline_is_not_run(module: str, saved: Path, marker: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "folder")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": ["evil", "Evil"]} if module == "pipeline" else {module: ["evil", "Evil"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    for place in (folder, folder / "unet", folder / "scheduler"):
        (place / "evil.py").write_text(CODE.format(marker=str(marker)))
    refused(lambda: loading.load_pipeline(LatentReceiverPipeline, folder), marker)


def test_code_in_a_model_is_not_run(marker: Path, tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path / "vae")
    (tmp_path / "vae" / "evil.py").write_text(CODE.format(marker=str(marker)))
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    named = config | {"_class_name": ["evil", "Evil"], "auto_map": {"AutoModel": "evil.Evil"}}
    (tmp_path / "vae" / "config.json").write_text(json.dumps(named))
    kinds = {"AutoencoderKL": type(autoencoder())}
    assert "is of the class" in refused(lambda: loading.load_one_of(kinds, tmp_path / "vae"), marker)


def test_pickles_are_not_read(saved: Path, marker: Path, tmp_path: Path) -> None:
    pipeline = in_pickles(shutil.copytree(saved, tmp_path / "sd"), marker)
    refused(lambda: loading.load_pipeline(LatentReceiverPipeline, pipeline), marker)
    kinds = {"AutoencoderKL": type(autoencoder())}
    refused(lambda: loading.load_one_of(kinds, pipeline, subfolder="vae"), marker)
    controlnet(unet()).save_pretrained(tmp_path / "controlnet")
    refused(lambda: loading.load_model(ControlNetModel, in_pickles(tmp_path / "controlnet", marker)), marker)
    zoo = in_pickles(segmenter(tmp_path / "segmenter"), marker)
    refused(lambda: _segmenters.from_transformers(str(zoo)), marker)
    refused(lambda: loading.load_model(transformers.AutoModelForSemanticSegmentation, zoo), marker)
    network = make_unet(3, (16, 32))
    network.save_pretrained(tmp_path / "start" / "unet")
    start_from(network, tmp_path / "start")
    refused(lambda: start_from(make_unet(3, (16, 16)), tmp_path / "start"), marker)
    start = in_pickles(tmp_path / "start", marker)
    refused(lambda: start_from(network, start), marker)
    for path in (*pipeline.rglob("*.safetensors"), *start.rglob("*.safetensors"), *zoo.rglob("*.safetensors")):
        path.unlink()  # only the pickle is left
    refused(lambda: loading.load_pipeline(LatentReceiverPipeline, pipeline), marker)
    refused(lambda: _segmenters.from_transformers(str(zoo)), marker)
    refused(lambda: start_from(network, start), marker)
    torch.load(zoo / "pytorch_model.bin", weights_only=False)
    assert marker.exists(), "the pickle does nothing, so that the test shows nothing"
