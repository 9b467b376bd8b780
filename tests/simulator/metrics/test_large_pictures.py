"""Metrics of large pictures in pieces are those of the whole within 1e-6; the pieces are made small here."""

import pytest
import torch

from semlink.simulator import SemlinkError
from semlink.simulator.metrics import lpips, psnr, ssim
from semlink.simulator.metrics._pictures import strips

SIZES = [(223, 301), (400, 130), (64, 420), (257, 256)]


def pair(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height)
    coarse = torch.rand(1, 3, 9, 11, generator=generator)
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    gradient = torch.linspace(0, 0.2, width)  # errors that differ from place to place
    return x, (x + gradient * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def whole_and_pieces(metric, monkeypatch: pytest.MonkeyPatch, height: int, width: int) -> tuple[float, float]:
    x, y = pair(height, width)
    whole = metric(x, y).item()
    for module in (lpips, psnr):
        monkeypatch.setattr(module, "LARGE", 1 << 12)
    monkeypatch.setattr(ssim, "PIXELS_AT_ONCE", 1 << 12)
    monkeypatch.setattr(lpips, "SIDES", {"alex": 64, "vgg": 64})
    return whole, metric(x, y).item()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("metric", [psnr.mse, ssim.ssim, ssim.ms_ssim, lpips.lpips_alex], ids=lambda m: m.__name__)
def test_pieces_give_the_whole(metric, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole, pieces = whole_and_pieces(metric, monkeypatch, *size)
    assert pieces == pytest.approx(whole, abs=1e-6) and 1e-3 < abs(whole) < 0.999


def test_vgg_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, pieces = whole_and_pieces(lpips.lpips_vgg, monkeypatch, 100, 140)
    assert pieces == pytest.approx(whole, abs=1e-6)


def test_lpips_sees_what_lies_beyond_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without surroundings the number is another: tiles are not just averaged."""
    monkeypatch.setattr(lpips, "REACH", 0)
    whole, pieces = whole_and_pieces(lpips.lpips_alex, monkeypatch, 223, 301)
    assert abs(pieces - whole) > 1e-4


def test_several_large_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [pair(150, 140), pair(150, 140)]
    pairs[1] = pairs[1][0], pairs[1][0]
    x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    monkeypatch.setattr(ssim, "PIXELS_AT_ONCE", 1 << 12)
    assert ssim.ssim(x, y).tolist() == pytest.approx([ssim.ssim(x[:1], y[:1]).item(), 1.0], abs=1e-6)


def test_values_are_checked_as_before() -> None:
    x, y = pair(70, 80)
    y[0, 1, 3, 4] = float("nan")
    for metric in (psnr.psnr, ssim.ssim, lpips.lpips_alex):
        with pytest.raises(SemlinkError, match="received image 0 of the batch has 1 NaN or infinite values"):
            metric(x, y)


@pytest.mark.parametrize(("height", "width", "pixels"), [(3000, 4000, 1 << 18), (7, 9000, 10), (50, 3, 60)])
def test_strips_cover_all_rows(height: int, width: int, pixels: int) -> None:
    found = list(strips(height, width, pixels))
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(height))
