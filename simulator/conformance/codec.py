"""What every codec must do, as one call; AssertionErrors tell the numbers. Our own codecs pass through the same."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission, TxInfo

if TYPE_CHECKING:
    pass


def check_codec(codec: Any, images: Tensor | None = None, floor_db: float = 12.0) -> None:
    """Check a codec on pictures `[batch >= 3, 3, H, W]` (smooth random ones of 32 px when None).

    Types, shapes and unit power; same result twice and picture by picture; uses as `codec.uses` says; a noiseless round
    trip above `floor_db` PSNR; a finite picture when everything is lost; decoding in a fresh process.
    """
    images = smooth_pictures(3, 32, 32) if images is None else images
    tx = TxInfo(snr_db=20.0)
    with torch.no_grad():
        sent = codec.encode(images, tx)
        check_transmission(sent, len(images))
        _same(sent, codec.encode(images, tx), "encoding twice")
        for i in range(len(images)):
            _same(_image_of(sent, i), codec.encode(images[i : i + 1], tx), f"encoding picture {i} alone")
        main = sent.streams[0]
        uses = main.uses if main.kind == "bits" else main.payload.shape[1]
        assert uses is None or uses == codec.uses(*images.shape[-2:]), f"{uses} uses sent, codec.uses says otherwise"
        clean = codec.decode(noiseless(sent))
        check_pictures(clean, images)
        psnr = -10 * (clean - images).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
        assert psnr.min() > floor_db, f"noiseless round trip gives {psnr.tolist()} dB, below {floor_db}"
        assert torch.allclose(codec.decode(noiseless(sent)), clean, atol=1e-5), "decoding twice differs"
        check_pictures(codec.decode(lost(sent)), images)
        fresh = in_fresh_process(codec, noiseless(sent))
        assert torch.allclose(fresh, clean, atol=1e-4), "a fresh process decodes another picture"


def check_transmission(sent: Transmission, batch: int) -> None:
    """Types, shapes and unit power per image of every stream."""
    assert sent.streams, "a transmission without streams"
    for stream in sent.streams:
        assert len(stream.payload) == batch, f"{stream.name}: {len(stream.payload)} payloads for {batch} images"
        if stream.kind == "bits":
            assert all(isinstance(p, bytes) for p in stream.payload), f"{stream.name}: payloads must be bytes"
            continue
        x = cast(Tensor, stream.payload)
        assert x.dtype == torch.complex64 and x.ndim == 2, (
            f"{stream.name}: {x.dtype} {list(x.shape)}, not complex64 [batch, k]"
        )
        power = x.abs().square().mean(1)
        assert (power - 1).abs().max() < 1e-3, f"{stream.name}: mean power {power.tolist()}, not 1 per image"


def check_pictures(pictures: Tensor, images: Tensor) -> None:
    """Float pictures of the right shape, finite and in [0, 1]."""
    assert pictures.shape == images.shape, f"decoded {list(pictures.shape)} for {list(images.shape)}"
    assert pictures.is_floating_point() and bool(torch.isfinite(pictures).all()), "pictures must be finite floats"
    assert pictures.min() >= 0 and pictures.max() <= 1, (
        f"pictures within {pictures.min():.3f}..{pictures.max():.3f}, not [0, 1]"
    )


def noiseless(sent: Transmission, a: float = 0.999999) -> Reception:
    """A reception without noise."""
    return Reception(tuple(_received(s, a) for s in sent.streams), sent.session)


def lost(sent: Transmission) -> Reception:
    """A reception in which nothing arrived."""
    return Reception(tuple(_received(s, 0.0) for s in sent.streams), sent.session)


def _received(stream: Stream, a: float) -> ReceivedStream:
    if stream.kind == "analog":
        x = cast(Tensor, stream.payload)
        return ReceivedStream(stream.name, "analog", x_hat=a * x, a=torch.full(x.shape, a))
    payload = tuple(p if a else None for p in stream.payload)
    ok = tuple(bool(a) for _ in payload)
    return ReceivedStream(stream.name, "bits", payload=payload, ok=ok, blocks_ok=tuple((v,) for v in ok))


def in_fresh_process(codec: Any, reception: Reception) -> Tensor:
    """`codec.decode(reception)` in a new interpreter that never saw the pictures."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_decode, codec, reception).result()


def _decode(codec: Any, reception: Reception) -> Tensor:
    with torch.no_grad():
        return codec.decode(reception).clone()


def smooth_pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random smooth pictures, float32 `[count, 3, H, W]` in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def _image_of(sent: Transmission, i: int) -> Transmission:
    streams = tuple(Stream(s.name, s.kind, s.payload[i : i + 1], uses=s.uses) for s in sent.streams)
    return Transmission(streams, sent.session)


def _same(one: Transmission, other: Transmission, what: str) -> None:
    assert one.session == other.session, f"{what} changes the session constants"
    for s, t in zip(one.streams, other.streams, strict=True):
        if s.kind == "bits":
            assert list(s.payload) == list(t.payload), f"{what} changes the bits of {s.name}"
        else:
            x, y = cast(Tensor, s.payload), cast(Tensor, t.payload)
            assert torch.allclose(x, y, atol=1e-4), f"{what} changes the symbols of {s.name}"
