"""Captions of pictures: where they come from, and how they travel in few bytes.

Sources: a JSON file that names each picture by its fingerprint, a model of the hub that sees it, or a callable.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._learned.shipped import local
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import read_json

log = logging.getLogger(__name__)

Captions = Callable[[Tensor], Sequence[str]]  # of pictures [batch, 3, H, W] in [0, 1], picture by picture

SQUEEZED = b"\xff"  # no UTF-8 text begins so
LONGEST = 2000  # bytes
TOKENS = 40  # of a model's caption
# what captions are made of; deflate refers to it instead of spelling, the commonest last
PHRASES = (
    b"airplane bicycle motorcycle bridge castle tower harbour ocean sunset clouds snowy boats windows flowers garden "
    b"kitchen bathroom bedroom table chair plate food pizza train station bus truck cars parked dog cat horse birds "
    b"sheep elephant giraffe zebra child boy girl woman wearing a hat and people standing in front of the building "
    b"with a red green blue yellow black white brown colorful old large small wooden trees mountains lake river beach "
    b"field of grass road street sitting on top of a next to each other walking down the holding a looking at the "
    b"camera a close up of a a couple of a group of people a view of the there is a the background a man in a a photo "
    b"of a "
)


def find_captions(source: str | Path | Captions | None) -> Captions | None:
    """The callable itself, the captions of a .json file, those of a captioner by folder or hub id, or None for none."""
    if source is None or callable(source):
        return source
    name = str(source)
    return FileCaptions(name) if name.endswith(".json") else HubCaptions(name)


def captions_of(source: Captions, images: Tensor) -> list[str]:
    """A caption per picture. SemlinkError when the source gives another number of them."""
    found = list(source(images))
    if len(found) != len(images) or not all(isinstance(caption, str) for caption in found):
        raise SemlinkError(f"{len(found)} captions for {len(images)} pictures; a captioner gives one text per picture")
    return found


WRONG = "no captions; make such a file with write_captions"


def fingerprints(images: Tensor) -> list[str]:
    """16 hexadecimal digits that name each picture `[batch, 3, H, W]` by its 8-bit values and its size."""
    pixels = (255 * images.detach().cpu()).round().clamp(0, 255).to(torch.uint8).contiguous()
    size = repr(tuple(images.shape[1:])).encode()
    return [hashlib.sha256(size + picture.numpy().tobytes()).hexdigest()[:16] for picture in pixels]


def write_captions(path: str | Path, images: Tensor, captions: Sequence[str]) -> None:
    """Add the captions of these pictures to a file for `find_captions`; it is made where there is none."""
    file = Path(path)
    known = _read_captions(str(path)) if file.exists() else {}
    known |= dict(zip(fingerprints(images), captions, strict=True))
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class FileCaptions:
    """Captions by fingerprint from a JSON object; pictures that it does not name have the empty one, and are logged."""

    path: str

    def files(self) -> tuple[Path, ...]:
        """The JSON file."""
        return local(self.path)

    def __call__(self, images: Tensor) -> list[str]:
        known = _captions_in(self.path)
        names = fingerprints(images)
        missing = [name for name in names if name not in known]
        if missing:
            log.warning("%s: no caption of %d pictures, e.g. %s; none is sent", self.path, len(missing), missing[0])
        return [known.get(name, "") for name in names]


@lru_cache(maxsize=4)
def _captions_in(path: str) -> dict[str, str]:
    return _read_captions(path)


def _read_captions(path: str) -> dict[str, str]:
    try:
        found = read_json(Path(path).expanduser(), WRONG)
    except FileNotFoundError as error:
        raise SemlinkError(f"{path}: no captions; make such a file with write_captions") from error
    if not isinstance(found, dict) or not all(isinstance(caption, str) for caption in found.values()):
        raise SemlinkError(f"{path}: not a JSON object of fingerprint and caption; make one with write_captions")
    return found


@dataclass(frozen=True)
class HubCaptions:
    """Captions by a model of `transformers` that needs no instruction, e.g. Salesforce/blip-image-captioning-base."""

    name: str

    def files(self) -> tuple[Path, ...]:
        """The model's folder; nothing for a hub id."""
        return local(self.name)

    def __call__(self, images: Tensor) -> list[str]:
        processor, model = _captioner(self.name, str(images.device))
        return [_described(image, processor, model) for image in images]


@lru_cache(maxsize=1)
def _captioner(name: str, device: str) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise SemlinkError("captions by a model need transformers; pip install semlink[zoo]") from error

    processor = loading.load_processor(AutoProcessor, name)
    return processor, loading.load_model(AutoModelForImageTextToText, name).to(device)


@torch.no_grad()
def _described(image: Tensor, processor: Any, model: Any) -> str:
    pixels = (255 * image.cpu()).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    inputs = processor(images=pixels, return_tensors="pt").to(model.device)
    tokens = model.generate(pixel_values=inputs["pixel_values"], max_new_tokens=TOKENS, do_sample=False)
    return cast(str, processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()


def pack(caption: str) -> bytes:
    """A caption as UTF-8, deflated against common phrases where that is shorter; cut at 2,000 bytes."""
    text = caption.encode()[:LONGEST].decode(errors="ignore").encode()
    press = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, PHRASES)
    squeezed = SQUEEZED + press.compress(text) + press.flush()
    return min(text, squeezed, key=len)


def unpack(payload: bytes | None) -> str | None:
    """The caption of `pack`; None for a lost payload (None) or bytes that are no caption."""
    if payload is None:
        return None
    try:
        text = _inflated(payload[len(SQUEEZED) :]) if payload.startswith(SQUEEZED) else payload
        return text.decode() if text is not None and len(text) <= LONGEST else None
    except (zlib.error, UnicodeDecodeError):
        return None


def _inflated(squeezed: bytes) -> bytes | None:
    """What was deflated, at most a byte more than captions have; None of bytes that end early or go on behind it."""
    tool = zlib.decompressobj(-15, PHRASES)
    text = tool.decompress(squeezed, LONGEST + 1)
    return text if tool.eof and not tool.unused_data else None
