"""Conformance tests for plug-ins: what every codec and every channel must do, as one call each.

They raise AssertionError with the numbers. Our own plug-ins pass through the same lists (tests/test_conformance.py).
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from semlink.channels.base.fade import Channel, antennas
from semlink.channels.base.grid import Grid
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission, TxInfo

if TYPE_CHECKING:
    from semlink.simulator.link.link import Link

CONTRACT = 0.04  # relative tolerance of gain and noise variance in each bin of `a`


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


def check_channel(channel: Channel, csi: tuple[str, ...] | None = None, snr_db: float = 5.0) -> None:
    """Check a channel: draws by key, E|h|^2 = 1, continuity over slots, and the contract on x_hat and a.

    csi: modes in which the contract is tested, all that the channel allows by default.
    """
    check_draws(channel)
    modes = csi or (("perfect",) if getattr(channel, "coherence", "") == "symbol" else ("perfect", "ls", "lmmse"))
    for mode in modes:
        check_contract(channel, mode, snr_db)


def check_draws(channel: Channel, images: int = 2000) -> None:
    """Determinism, continuity in time, unit mean power and agreement with `correlation`, over all antenna pairs."""
    grid = Grid()
    first, again = (channel.draw(np.random.default_rng(7), 4) for _ in range(2))
    whole = first.response(0, 4, grid)
    pairs = () if antennas(channel) == (1, 1) else antennas(channel)
    shape = (4, 4, *pairs, grid.symbols, grid.subcarriers)
    assert whole.dtype == np.complex64 and whole.shape == shape, (
        f"response is {whole.dtype} {whole.shape}, not complex64 {shape}"
    )
    assert np.array_equal(whole, again.response(0, 4, grid)), "the same draw gives another response"
    assert np.allclose(whole[:, 2:], first.response(2, 2, grid), atol=1e-4), "slots 2, 3 differ when asked for alone"
    h = channel.draw(np.random.default_rng(1), images).response(5, 1, grid)
    h = h.reshape(images, -1, grid.symbols, grid.subcarriers)
    power = (np.abs(h) ** 2).mean((1, 2, 3))
    error = power.std() / math.sqrt(images)
    assert abs(power.mean() - 1) < 4 * error + 1e-3, f"E|h|^2 = {power.mean():.4f} +- {error:.4f}, not 1"
    for dt, df in ((0, 0), (0, 1), (0, 9), (3, 0), (9, 20)):
        product = (h[:, :, dt, 20 + df] * h[:, :, 0, 20].conj()).mean(1)
        told = channel.correlation(np.array(dt * grid.symbol_time), np.array(df * grid.subcarrier_spacing))
        spread = max(1.0, float(np.sqrt((np.abs(product) ** 2).mean() / 2)))
        assert abs(product.mean() - told) < 5 * spread / math.sqrt(images), (
            f"correlation at {dt} symbols, {df} subcarriers: {product.mean():.3f}, told {told:.3f}"
        )


def check_contract(channel: Channel, csi: str, snr_db: float, images: int = 768, tolerance: float = CONTRACT) -> None:
    """`check_link` over the channel with that CSI mode, a layer per transmit antenna."""
    from semlink.simulator.link.link import Link

    check_link(Link(channel, csi=csi, layers=antennas(channel)[1]), snr_db, images, tolerance)


def check_link(link: Link, snr_db: float, images: int = 768, tolerance: float = CONTRACT) -> None:
    """Regress x_hat on x in quarters of `a`: gain a, noise variance a (1 - a), each within the relative tolerance.

    One slot an image of Gaussian symbols, without importance.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((images, link.places, 2), dtype=np.float32).view(np.complex64)[..., 0]
    x /= np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))
    stream = link(Transmission((Stream("x", "analog", torch.from_numpy(x)),)), snr_db, seed=11).streams[0]
    check_reception(x, cast(Tensor, stream.x_hat).numpy(), cast(Tensor, stream.a).numpy(), tolerance, f"{link!r}")


def check_reception(x: np.ndarray, x_hat: np.ndarray, a: np.ndarray, tolerance: float, what: str) -> None:
    """The regression of `check_link` on arrays of one shape; symbols with a = 0 must be 0."""
    assert not x_hat[a == 0].any(), f"{what}: symbols with a = 0 are not 0"
    x, x_hat, a = x[a > 0], x_hat[a > 0], a[a > 0]
    edges = np.quantile(a, [0, 0.25, 0.5, 0.75, 1])
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        chosen = (a >= low) & (a <= high)
        part, sent_part, told = x_hat[chosen], x[chosen], a[chosen]
        gain = (part * sent_part.conj()).real.mean() / (np.abs(sent_part) ** 2).mean() / told.mean()
        noise = (np.abs(part - told * sent_part) ** 2).mean() / (told * (1 - told)).mean()
        where = f"{what}, a {low:.3f}..{high:.3f}"
        assert abs(gain - 1) < tolerance, f"{where}: gain is {gain:.3f} times a"
        assert abs(noise - 1) < tolerance, f"{where}: noise variance is {noise:.3f} times a (1 - a)"
