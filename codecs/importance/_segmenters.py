"""Networks that name the class of each pixel: one of our two, or one of the transformers or torchvision zoo.

A labeller takes one picture float32 `[3, H, W]` in [0, 1] and answers int64 `[H, W]`. Weights of others are read as
safetensors, or as tensors alone; nothing here runs code that came with a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._learned.foreign import DAMAGED, NO_CODE, first_line
from semlink.codecs._regions import pyramid, unet
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here

OURS = {"unet": (unet.load, unet.CAMVID), "pyramid": (pyramid.load, pyramid.SCORER)}  # and their shipped weights
WANTED = ("config.json", "preprocessor_config.json", "model.safetensors")


@dataclass(frozen=True)
class Labeller:
    """names: of the classes, by number, in small letters. label: picture `[3, H, W]` to classes `[H, W]`."""

    names: tuple[str, ...]
    label: Callable[[Tensor], Tensor]


@lru_cache(maxsize=3)
def find(model: str | None, weights: str | None, network: str = "unet") -> Labeller:
    """None: our `network`, with `weights` of your own or the shipped ones. A folder, or an id with a slash:
    transformers. Another name: torchvision. SemlinkError says what to install or download.
    """
    if not model:
        load, shipped = OURS[network]
        made = load(Path(weights).resolve() if weights else shipped)
        return Labeller(unet.CLASSES, lambda picture: unet.segment(made, picture[None])[0])
    if weights:
        raise SemlinkError(f"weights={weights} are for our own networks; model={model} brings its own")
    folder = Path(model).expanduser()
    if is_here(folder) and folder.is_dir():
        return from_transformers(str(folder))
    return from_transformers(model) if "/" in model else from_torchvision(model)


def from_transformers(name: str) -> Labeller:
    """A semantic segmentation model of `transformers`: a folder saved with `save_pretrained`, or an id on the hub."""
    try:
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation
    except ImportError as error:
        raise SemlinkError(f"model {name!r} needs transformers ({error}); pip install transformers") from error
    folder = name if Path(name).is_dir() else _fetched(name)
    try:
        processor = AutoImageProcessor.from_pretrained(folder, **NO_CODE)
        network = AutoModelForSemanticSegmentation.from_pretrained(folder, use_safetensors=True, **NO_CODE).eval()
    except DAMAGED as error:
        raise SemlinkError(
            f"model {name!r} did not load ({first_line(error)}); it needs {', '.join(WANTED)} of a semantic "
            f"segmentation model"
        ) from error
    if getattr(processor, "do_center_crop", False):
        processor.do_center_crop = False  # the map must cover the whole picture
    names = tuple(str(network.config.id2label[i]).lower() for i in sorted(network.config.id2label))

    def label(picture: Tensor) -> Tensor:
        inputs = processor(images=_bytes(picture), return_tensors="pt")
        with torch.no_grad():
            return _decided(network(**inputs).logits, picture)

    return Labeller(names, label)


def from_torchvision(name: str) -> Labeller:
    """A segmentation model of torchvision by name, e.g. `deeplabv3_mobilenet_v3_large`, with its default weights."""
    try:
        from torchvision import models
    except ImportError as error:
        raise SemlinkError(
            f"model {name!r} is no folder, and a torchvision model needs torchvision ({error}); pip install "
            f"torchvision, or give a folder or an id of a transformers model"
        ) from error
    known = models.list_models(module=models.segmentation)
    if name not in known:
        raise SemlinkError(f"model {name!r} is no folder and no torchvision model; known: {', '.join(known)}")
    weights = models.get_model_weights(name).DEFAULT
    names = tuple(category.lower() for category in weights.meta["categories"])
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}  # in the weights of all others
    network = models.get_model(name, weights=None, weights_backbone=None, num_classes=len(names), **auxiliary)
    network.load_state_dict(_downloaded(name, weights.url))
    network, prepare = network.eval(), weights.transforms()

    def label(picture: Tensor) -> Tensor:
        with torch.no_grad():
            return _decided(network(prepare(picture)[None])["out"], picture)

    return Labeller(names, label)


def _fetched(name: str) -> str:
    """The folder of a model of the hub, from its cache where it is; fetches no code and no pickles."""
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(name, allow_patterns=["*.json", "*.safetensors"])
    except (OSError, ValueError) as error:
        raise SemlinkError(
            f"model {name!r} is neither a folder nor on the hub or in its cache ({first_line(error)}); where the hub "
            f"is in reach, `hf download {name} --local-dir FOLDER` fetches {', '.join(WANTED)}; then model=FOLDER"
        ) from error


def _downloaded(name: str, url: str) -> dict[str, Any]:
    """The tensors at a torchvision address, checked against the hash in its name; from torch's cache when there."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except OSError as error:
        raise SemlinkError(f"model {name!r}: cannot download ({error}); put {url} into {cache}") from error


def _bytes(picture: Tensor) -> Any:
    """uint8 `[H, W, 3]`, as image processors like it best."""
    return (255 * picture).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def _decided(logits: Tensor, picture: Tensor) -> Tensor:
    """Classes `[H, W]` of logits `[1, classes, h, w]` stretched over the picture."""
    return F.interpolate(logits.float(), size=picture.shape[1:], mode="bilinear", align_corners=False)[0].argmax(0)
