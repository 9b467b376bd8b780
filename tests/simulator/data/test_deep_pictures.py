"""More than 8 bits a sample arrive whole, whatever the format; what is not known is refused in one line."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from semlink.simulator import data
from semlink.simulator.data import pictures
from semlink.simulator.errors import SemlinkError

RNG = np.random.default_rng(13)


def samples(bits: int, channels: int = 3) -> np.ndarray:
    """Noise `[32, 48, channels]` of that depth; alpha is full."""
    found = RNG.integers(0, 1 << bits, (32, 48, channels), dtype=np.uint16 if bits > 8 else np.uint8)
    if channels in (2, 4):
        found[..., -1] = (1 << bits) - 1
    return found


def agrees(path: Path, content: bytes, stored: np.ndarray, bits: int) -> None:
    path.write_bytes(content)
    dataset = data.load(path)
    colour = stored[..., :3] if stored.shape[2] > 2 else stored[..., :1].repeat(3, 2)
    np.testing.assert_allclose(dataset[0].numpy().transpose(1, 2, 0), colour / ((1 << bits) - 1), atol=1e-6)
    assert dataset.sizes() == (stored.shape[:2],)


def refused(path: Path, content: bytes, reason: str = "mend it or take it away") -> None:
    path.write_bytes(content)
    with pytest.raises(SemlinkError, match=rf"{path.name}: .*{reason}") as caught:
        data.load(path)[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [4, 8, 10, 12, 16])
@pytest.mark.parametrize("codec", ["jp2", "j2k"])
def test_jpeg2000(tmp_path: Path, bits: int, channels: int, codec: str) -> None:
    stored = samples(bits, channels)
    options = {"level": 0, "bitspersample": bits, "codecformat": codec}
    agrees(tmp_path / f"a.{codec}", imagecodecs.jpeg2k_encode(stored.squeeze(), **options), stored, bits)


def test_signed_and_cut_jpeg2000(tmp_path: Path) -> None:
    content = imagecodecs.jpeg2k_encode(samples(12), level=0, bitspersample=12)
    refused(tmp_path / "a.jp2", content[: len(content) // 2])
    at = content.index(b"\xff\x4f\xff\x51") + 42
    refused(tmp_path / "a.jp2", content[:at] + bytes([content[at] | 0x80]) + content[at + 1 :], "signed")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif(tmp_path: Path, bits: int, channels: int) -> None:
    stored = samples(bits, channels)
    content = imagecodecs.avif_encode(stored.squeeze(), level=100, bitspersample=bits)
    agrees(tmp_path / "a.avif", content, stored, bits)
    refused(tmp_path / "cut.avif", content[: len(content) // 2])


def test_animations(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((32, 48, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], quality=100)
    np.testing.assert_allclose(data.load(tmp_path / "a.avif")[0].numpy(), 10 / 255, atol=1e-6)
    deep = np.stack([samples(10), samples(10)])
    refused(tmp_path / "b.avif", imagecodecs.avif_encode(deep, level=100, bitspersample=10), "an animation")


def heif(stored: np.ndarray, bits: int) -> bytes:
    """Lossless HEVC in HEIF, as .heic files are."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[stored.shape[2]] + (";16" if bits > 8 else "")
    shifted = stored.astype(np.uint16) << (16 - bits) if bits > 8 else stored
    image, file = pillow_heif.from_bytes(mode, stored.shape[1::-1], shifted.tobytes()), io.BytesIO()
    before, pillow_heif.options.SAVE_HDR_TO_12_BIT = pillow_heif.options.SAVE_HDR_TO_12_BIT, bits == 12
    try:
        image.save(file, quality=-1, chroma=444, matrix_coefficients=0)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = before
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_heif(tmp_path: Path, bits: int, channels: int) -> None:
    stored = samples(bits, channels)
    content = heif(stored, bits)
    agrees(tmp_path / "a.heic", content, stored, bits)
    refused(tmp_path / "cut.heif", content[: len(content) // 2])


def test_heif_is_found_in_folders_under_both_names(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIF"):
        (tmp_path / name).write_bytes(heif(samples(8), 8))
    assert data.load(tmp_path).ids == ("a.heic", "b.HEIF")


@pytest.mark.parametrize("bits", [8, 10])
def test_heif_is_turned_as_it_says(tmp_path: Path, bits: int) -> None:
    stored, file = samples(8), io.BytesIO()
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    deep = (stored.astype(np.uint16) * 257).tobytes()
    made = (
        pillow_heif.from_bytes("RGB;16", (48, 32), deep)
        if bits > 8
        else pillow_heif.from_bytes("RGB", (48, 32), stored.tobytes())
    )
    made.save(file, quality=-1, chroma=444, matrix_coefficients=0, exif=exif.tobytes())
    path = tmp_path / "a.heic"
    path.write_bytes(file.getvalue())
    dataset = data.load(path)
    assert dataset.sizes() == ((48, 32),)
    expected = stored.transpose(1, 0, 2)[:, ::-1] / 255  # a quarter turn to the right
    np.testing.assert_allclose(dataset[0].numpy().transpose(1, 2, 0), expected, atol=2e-3)


@pytest.mark.parametrize("white", [255, 256, 1023, 4095, 65535])
def test_ppm_and_pgm(tmp_path: Path, white: int) -> None:
    stored = RNG.integers(0, white + 1, (32, 48, 3)).astype(">u2" if white > 255 else "u1")
    for name, kind, pixels in (("a.ppm", 6, stored), ("a.pgm", 5, stored[..., :1])):
        head = b"P%d # made\n# here\n48 32\n%d\n" % (kind, white)
        (tmp_path / name).write_bytes(head + pixels.tobytes())
        got = data.load(tmp_path / name)[0].numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(got, np.broadcast_to(pixels / white, (32, 48, 3)), atol=1e-5)
    text = b"P3\n48 32\n%d\n" % white + b" ".join(b"%d" % value for value in stored.ravel())
    (tmp_path / "b.ppm").write_bytes(text)
    got = data.load(tmp_path / "b.ppm")[0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(got, stored / white, atol=1e-6)


def test_damaged_ppm(tmp_path: Path) -> None:
    refused(tmp_path / "a.ppm", b"P6\n4 4\n65535\n" + bytes(50))
    refused(tmp_path / "a.ppm", b"P6\n4 4\n1023\n" + b"\xff" * 96, "samples beyond 1023")
    refused(tmp_path / "a.ppm", b"P3\n1 1\n1000\n5 5 x\n")


@pytest.mark.filterwarnings("ignore:IM image format")
def test_what_pillow_would_cut_is_refused(tmp_path: Path) -> None:
    sgi = bytes([1, 0xDA, 0, 2, 0, 3]) + b"".join(n.to_bytes(2, "big") for n in (4, 4, 3)) + bytes(500) + bytes(96)
    refused(tmp_path / "a.sgi", sgi, "16-bit SGI")
    twelve = imagecodecs.jpeg_encode(samples(12), bitspersample=12)
    refused(tmp_path / "a.jpg", twelve)
    Image.fromarray(samples(16, 1)[..., 0]).save(tmp_path / "b.im")
    refused(tmp_path / "b.im", (tmp_path / "b.im").read_bytes(), "IM of more than 8 bits")
