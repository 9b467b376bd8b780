"""What every codec must do, as one call; AssertionErrors tell the numbers. Our own codecs pass through the same."""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.conformance.fresh import fresh_process
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.code_blocks import blocks_of
from semlink.simulator.link.sending import fixed_uses
from semlink.simulator.plugins import make_link, measure_metrics
from semlink.simulator.values import LinkStatistics, ReceivedStream, Reception, Stream, Transmission, TxInfo
from semlink.simulator.words import parse

SNR_DB = 20.0
ODD = (61, 83)  # px, a size that no cell divides
NAN, INF = math.nan, math.inf
BROKEN = (
    (complex(NAN, 0), 1.0),
    (complex(0, -INF), 0.5),
    (complex(INF, NAN), 0.0),
    (0.5j, NAN),
    (0.5, INF),
    (complex(0, 1e38), 1.0),
)


def check_codec(codec: Any, images: Tensor | None = None, floor_db: float = 12.0) -> None:
    """Check a codec on pictures `[batch >= 3, 3, H, W]` (smooth random ones of 32 px when None).

    What it declares; types, shapes and unit power; same result twice and picture by picture; uses as `codec.uses` says,
    all streams within floor(rho 3 H W), also at a size that no cell divides (`check_budget`); a noiseless round trip
    above `floor_db` PSNR; a finite picture when everything is lost, and of noise in place of payloads; symbols that are
    not finite taken for lost; decoding in a fresh process.
    All that for an SNR of 20 dB, and where it encodes for a link also with the statistics of one, over which the
    pictures must arrive.
    """
    images = smooth_pictures(3, 32, 32) if images is None else images
    check_declarations(codec)
    with torch.no_grad():
        sent = [check_encoding(codec, images, TxInfo(snr_db=SNR_DB))]
        check_odd_size(codec)
        if codec.encodes_on == "link":
            sent.append(check_over_link(codec, images, floor_db))
        clean = [check_decoding(codec, images, one, floor_db) for one in sent]
        heard = [*map(noiseless, sent), *(noise_for_bits(one) for one in sent if with_bits(one))]
        clean += [codec.decode(wrong) for wrong in heard[len(sent) :]]
        check_pictures(torch.cat(clean), images.repeat(len(heard), 1, 1, 1))
        fresh = in_fresh_process(codec, *heard)
        assert torch.allclose(fresh, torch.cat(clean), atol=1e-4), "a fresh process decodes another picture"


def check_declarations(codec: Any) -> None:
    """Capabilities are settings of the constructor with its defaults; files are paths of what is there."""
    known = ("nothing", "snr", "link")
    assert codec.encodes_on in known, f"encodes_on is {codec.encodes_on!r}; known: {', '.join(known)}"
    settings = inspect.signature(type(codec)).parameters
    for name, default in getattr(codec, "capabilities", {}).items():
        assert name in settings, f"{name} is among the capabilities, but no setting of the constructor"
        own = settings[name].default
        assert own == default, f"{name} is {default!r} in the capabilities, {own!r} in the constructor"
    assert hasattr(codec, "files"), "no method `files`: the files and folders that results depend on, perhaps ()"
    files = codec.files()
    assert isinstance(files, tuple) and all(isinstance(path, Path) for path in files), f"files are no paths: {files}"
    missing = [str(path) for path in files if not path.exists()]
    assert not missing, f"declared files that are not there: {', '.join(missing)}"


def check_encoding(codec: Any, images: Tensor, tx: TxInfo) -> Transmission:
    """What it sends, after all checks of that."""
    sent = codec.encode(images, tx)
    check_transmission(sent, len(images))
    _same(sent, codec.encode(images, tx), "encoding twice")
    for i in range(len(images)):
        _same(_image_of(sent, i), codec.encode(images[i : i + 1], tx), f"encoding picture {i} alone")
    main, whole = _uses(sent.streams[0]), sum(map(_uses, sent.streams))
    right = (main, whole) if codec.encodes_on == "link" else (main,)  # for a link, streams may share the uses
    told = codec.uses(*images.shape[-2:])
    assert main == 0 or told in right, f"{main} uses sent ({whole} in all), codec.uses says {told}"
    check_budget(codec, sent, *images.shape[-2:])
    return sent


def check_odd_size(codec: Any) -> None:
    """The budget and the pictures at a size that no cell divides, of a codec that does not refuse it.

    One that encodes for a link is told of one, too, over which no payload arrives.
    """
    images = smooth_pictures(1, *ODD)
    for hope in (True, False) if codec.encodes_on == "link" else (True,):
        try:
            statistics = None if hope else hopeless(codec.uses(*ODD))
            sent = codec.encode(images, TxInfo(snr_db=SNR_DB, statistics=statistics))
        except SemlinkError:
            continue
        check_budget(codec, sent, *ODD)
        if not hope:
            check_transmission(sent, 1)
            check_pictures(codec.decode(noiseless(sent)), images)


def hopeless(uses: int) -> LinkStatistics:
    """Of a link over which symbols get through, and no payload of any size."""
    from semlink.simulator.link.statistics import head_sizes

    never = {mcs.name: (0.0, 0.0) for mcs in TABLE}
    return LinkStatistics(uses, (0.5, 1.3), (0.3, 0.6), {size: never for size in (*head_sizes(uses), uses)})


def check_budget(codec: Any, sent: Transmission, height: int, width: int) -> None:
    """At most floor(rho 3 H W) uses in all streams of each picture, but those that `codec.beyond_rho` names.

    rho is `codec.rho`; a codec without that has a single rate, and is not checked.
    """
    if (rho := getattr(codec, "rho", None)) is None:
        return
    streams = [stream for stream in sent.streams if stream.name not in getattr(codec, "beyond_rho", ())]
    spent = max(sum(uses) for uses in zip(*map(_spent, streams), strict=True))
    most = max(1, int(rho * 3 * height * width + 1e-6))
    assert spent <= most, f"{spent} uses spent on {height}x{width} px, rho {rho:.4g} of which is {most}"


def check_over_link(codec: Any, images: Tensor, floor_db: float) -> Transmission:
    """What it sends with the statistics of a good link over AWGN, after checks of that and of what arrives there."""
    link = make_link(parse("awgn"))
    tx = link.tx_info(SNR_DB, codec.uses(*images.shape[-2:]), statistics=True)
    sent = check_encoding(codec, images, tx)
    check_quality(codec.decode(link.run(sent, SNR_DB).reception), images, floor_db, f"over AWGN at {SNR_DB:g} dB")
    return sent


def check_decoding(codec: Any, images: Tensor, sent: Transmission, floor_db: float) -> Tensor:
    """The pictures without noise, after checks of them and of what a loss leaves."""
    clean = codec.decode(noiseless(sent))
    check_quality(clean, images, floor_db, "without noise")
    assert torch.allclose(codec.decode(noiseless(sent)), clean, atol=1e-5), "decoding twice differs"
    check_pictures(codec.decode(lost(sent)), images)
    check_marks(codec, sent, clean)
    check_broken_symbols(codec, _image_of(sent, 0))
    return clean


def check_marks(codec: Any, sent: Transmission, clean: Tensor) -> None:
    """A codec that marks what it could not decode shows the same pictures, marks none that came whole, and none of
    which nothing came: the link counts these."""
    if not hasattr(codec, "decode_marked"):
        return
    pictures, undecoded = codec.decode_marked(noiseless(sent))
    assert torch.allclose(pictures, clean, atol=1e-5), "decode_marked and decode differ"
    for marks in (undecoded, codec.decode_marked(lost(sent))[1]):
        wrong = [False] * len(clean)
        assert list(marks) == wrong, f"decode_marked says {list(marks)} of pictures that came whole or not at all"


def check_broken_symbols(codec: Any, sent: Transmission) -> None:
    """Symbols that are NaN, infinite or too large for any, or whose `a` is not finite, decode as x_hat = a = 0 does."""
    if all(stream.kind == "bits" for stream in sent.streams):
        return
    found, wanted = (codec.decode(broken(sent, values)) for values in (BROKEN, ((0, 0),)))
    assert torch.equal(found, wanted), (
        "NaN or infinite symbols change the picture: decode them as lost, x_hat and a 0 (simulator.forms.finite)"
    )


def check_quality(pictures: Tensor, images: Tensor, floor_db: float, where: str) -> None:
    """Sound pictures of at least `floor_db` PSNR each."""
    check_pictures(pictures, images)
    psnr = measure_metrics(("psnr",), images, pictures)["psnr"]
    assert psnr.min() > floor_db, f"PSNR {where} is {psnr.tolist()} dB, below {floor_db}"


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
        counts = torch.from_numpy(fixed_uses(stream))
        power = kept_energy(x, counts) / counts.clamp_min(1)
        power = torch.where(counts == 0, 1.0, power)
        assert (power - 1).abs().max() < 1e-3, f"{stream.name}: mean power {power.tolist()}, not 1 per image"


def kept_energy(x: Tensor, counts: Tensor) -> Tensor:
    """Energy `[batch]` of the symbols that are sent of each image."""
    return (x.abs().square() * (torch.arange(x.shape[1]) < counts[:, None])).sum(1)


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


def broken(sent: Transmission, values: Sequence[tuple[complex, float]]) -> Reception:
    """A reception without noise in which every ninth symbol, and its `a`, is one of `values` in turn."""
    whole = noiseless(sent)
    return replace(whole, streams=tuple(_broken(s, values) if s.kind == "analog" else s for s in whole.streams))


def _broken(stream: ReceivedStream, values: Sequence[tuple[complex, float]]) -> ReceivedStream:
    x_hat, a = cast(Tensor, stream.x_hat).clone(), cast(Tensor, stream.a).clone()
    for turn, (symbol, reliability) in enumerate(values):
        places = slice(9 * turn, None, 9 * len(values))
        x_hat[:, places], a[:, places] = torch.tensor(symbol), reliability
    return replace(stream, x_hat=x_hat, a=a)


def lost(sent: Transmission) -> Reception:
    """A reception in which nothing arrived."""
    return Reception(tuple(_received(s, 0.0) for s in sent.streams), sent.session)


def with_bits(sent: Transmission) -> bool:
    """Whether a stream of bits is among what is sent."""
    return any(stream.kind == "bits" for stream in sent.streams)


def noise_for_bits(sent: Transmission, seed: int = 0, longer: int = 0) -> Reception:
    """A reception without noise in which payloads are random bytes that the CRC let through, so many more than sent."""
    rng, whole = np.random.default_rng(seed), noiseless(sent)
    return replace(whole, streams=tuple(_noise_for_bits(stream, rng, longer) for stream in whole.streams))


def _noise_for_bits(stream: ReceivedStream, rng: np.random.Generator, longer: int) -> ReceivedStream:
    if stream.kind == "analog":
        return stream
    payload = tuple(rng.bytes(longer + len(p or b"")) for p in cast(Sequence[bytes | None], stream.payload))
    return replace(stream, payload=payload)


def _received(stream: Stream, a: float) -> ReceivedStream:
    if stream.kind == "analog":
        x = cast(Tensor, stream.payload)
        return ReceivedStream(stream.name, "analog", x_hat=a * x, a=torch.full(x.shape, a))
    payload = tuple(p if a else None for p in stream.payload)
    ok = tuple(bool(a) for _ in payload)
    return ReceivedStream(stream.name, "bits", payload=payload, ok=ok, blocks_ok=tuple((v,) for v in ok))


def in_fresh_process(codec: Any, *receptions: Reception) -> Tensor:
    """`codec.decode` of receptions, one behind the other, in a process that never saw the pictures."""
    check_pickles(codec)
    with fresh_process() as pool:
        return pool.submit(_decode, codec, receptions).result()


def check_pickles(codec: Any) -> None:
    """A codec travels to worker processes, so it must pickle; the line names the part that does not."""
    if not (why := _pickling(codec)):
        return
    parts = ((name, found) for name, part in vars(codec).items() if (found := _pickling(part)))
    name, why = next(parts, ("the codec itself", why))
    raise AssertionError(
        f"{type(codec).__name__} does not pickle: {name} ({why}); use functions and classes of a module in "
        f"place of lambdas and closures, or leave such parts out with __getstate__"
    )


def _pickling(part: Any) -> str:
    """What is wrong with pickling it, in a line; empty for nothing."""
    try:
        pickle.dumps(part)
    except Exception as error:  # noqa: BLE001 - what pickles raise depends on what they meet
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _decode(codec: Any, receptions: Sequence[Reception]) -> Tensor:
    with torch.no_grad():
        return torch.cat([codec.decode(reception) for reception in receptions])


def smooth_pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random smooth pictures, float32 `[count, 3, H, W]` in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def _image_of(sent: Transmission, i: int) -> Transmission:
    return Transmission(tuple(_stream_of(stream, i) for stream in sent.streams), sent.session)


def _stream_of(stream: Stream, i: int) -> Stream:
    uses = stream.uses[i : i + 1] if isinstance(stream.uses, tuple) else stream.uses
    mcs = stream.mcs[i : i + 1] if isinstance(stream.mcs, tuple) else stream.mcs
    return replace(
        stream, payload=stream.payload[i : i + 1], uses=uses, mcs=mcs, importance=None, importance_told_by=""
    )


def _uses(stream: Stream) -> int:
    """Channel uses of a stream in the first picture; 0 where each has what it needs."""
    if isinstance(stream.uses, tuple):
        return stream.uses[0]
    return stream.uses or 0 if stream.kind == "bits" else cast(Tensor, stream.payload).shape[1]


def _spent(stream: Stream) -> list[int]:
    """Channel uses of a stream in each picture as the link charges them."""
    coded = stream.kind == "bits" and not stream.ideal
    return (blocks_of(stream)[1] if coded else fixed_uses(stream)).tolist()


def _same(one: Transmission, other: Transmission, what: str) -> None:
    assert one.session == other.session, f"{what} changes the session constants"
    for s, t in zip(one.streams, other.streams, strict=True):
        if s.kind == "bits":
            assert list(s.payload) == list(t.payload), f"{what} changes the bits of {s.name}"
        else:
            x, y = cast(Tensor, s.payload), cast(Tensor, t.payload)
            assert torch.allclose(x, y, atol=1e-4), f"{what} changes the symbols of {s.name}"
