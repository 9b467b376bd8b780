"""PSNR, SSIM and MS-SSIM against scikit-image and closed forms; names, units and refusals."""

import math
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from semlink.simulator import metrics
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics.psnr import CAP_DB, mse, psnr, psnr_of_mean_mse, psnr_roi, psnr_roni, theta_psnr
from semlink.simulator.metrics.ssim import WEIGHTS, ms_ssim, scales, ssim


def photographs(height: int, width: int) -> torch.Tensor:
    """Two crops of photographs, `[2, 3, height, width]`."""
    crops = [picture[100 : 100 + height, 120 : 120 + width] for picture in (data.astronaut(), data.coffee())]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def noisy(x: torch.Tensor, sigma: float = 0.08, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + sigma * noise).clamp(0, 1)


def arrays(x: torch.Tensor) -> list[np.ndarray]:
    return [picture.permute(1, 2, 0).double().numpy() for picture in x]


def skimage_ssim(a: np.ndarray, b: np.ndarray) -> float:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return float(structural_similarity(a, b, channel_axis=2, **settings))


def test_psnr_and_mse_are_scikit_images() -> None:
    x = photographs(61, 90)
    y = noisy(x)
    pairs = list(zip(arrays(x), arrays(y), strict=True))
    assert psnr(x, y).tolist() == pytest.approx(
        [peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs], abs=1e-5
    )
    assert mse(x, y).tolist() == pytest.approx([mean_squared_error(a, b) for a, b in pairs], rel=1e-6)


def test_psnr_of_a_known_error_and_of_identical_pictures() -> None:
    x = torch.full((2, 3, 4, 5), 0.25)
    y = torch.stack([x[0] + 0.1, x[1]])
    assert psnr(x, y).tolist() == pytest.approx([20.0, CAP_DB], abs=1e-5)


def test_psnr_of_mean_mse_is_below_the_mean_psnr() -> None:
    x = torch.zeros(2, 3, 8, 8)
    y = torch.stack([x[0] + 0.1, x[1] + 0.01])
    assert psnr_of_mean_mse(mse(x, y)).item() == pytest.approx(-10 * math.log10((1e-2 + 1e-4) / 2), abs=1e-5)
    assert psnr(x, y).mean().item() == pytest.approx(30.0, abs=1e-5)


def test_psnr_keeps_the_precision_of_bfloat16_pictures() -> None:
    x = photographs(32, 32).bfloat16()
    y = noisy(x.float()).bfloat16()
    assert torch.equal(psnr(x, y), psnr(x.float(), y.float()))


def test_theta_psnr_at_the_share_of_the_region_is_psnr() -> None:
    x = photographs(40, 56)
    y = noisy(x)
    mask = torch.zeros(2, 40, 56, dtype=torch.bool)
    mask[0, 5:20, 7:30] = True
    mask[1, :, :3] = True
    share = mask.double().mean((1, 2))
    assert torch.allclose(theta_psnr(x, y, mask, share), psnr(x, y), atol=1e-9)
    assert torch.allclose(theta_psnr(x, y, mask[:, None].float(), 1.0), psnr_roi(x, y, mask))
    assert torch.allclose(theta_psnr(x, y, mask, 0.0), psnr_roni(x, y, mask))


def test_region_psnr_sees_its_own_region_only() -> None:
    x = torch.zeros(1, 3, 8, 8)
    y = x.clone()
    y[..., :4, :], y[..., 4:, :] = 0.1, 0.01
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    assert psnr_roi(x, y, mask).item() == pytest.approx(20, abs=1e-5)
    assert psnr_roni(x, y, mask).item() == pytest.approx(40, abs=1e-5)
    assert theta_psnr(x, y, mask, 0.3).item() == pytest.approx(-10 * math.log10(0.3 * 1e-2 + 0.7 * 1e-4), abs=1e-5)


def test_an_empty_region_has_no_psnr_and_the_other_stands_alone() -> None:
    x = photographs(16, 16)
    y = noisy(x)
    empty = torch.zeros(2, 16, 16)
    assert psnr_roi(x, y, empty).isnan().all()
    assert torch.allclose(psnr_roni(x, y, empty), psnr(x, y))
    assert torch.allclose(theta_psnr(x, y, empty, 0.8), psnr(x, y))


def test_regions_refuse_soft_masks_wrong_shapes_and_wrong_weights() -> None:
    x = torch.zeros(2, 3, 8, 8)
    with pytest.raises(SemlinkError, match="0 and 1"):
        psnr_roi(x, x, torch.full((2, 8, 8), 0.5))
    with pytest.raises(SemlinkError, match="mask is"):
        psnr_roi(x, x, torch.zeros(8, 8))
    with pytest.raises(SemlinkError, match="theta"):
        theta_psnr(x, x, torch.ones(2, 8, 8), 1.5)
    with pytest.raises(SemlinkError, match="theta"):
        theta_psnr(x, x, torch.ones(2, 8, 8), torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("size", [(32, 32), (61, 90), (11, 200)])
@pytest.mark.parametrize("sigma", [0.01, 0.3])
def test_ssim_is_scikit_images(size: tuple[int, int], sigma: float) -> None:
    x = photographs(*size)
    y = noisy(x, sigma)
    expected = [skimage_ssim(a, b) for a, b in zip(arrays(x), arrays(y), strict=True)]
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=2e-5)


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    x, y = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.7)
    expected = (2 * 0.35 + 1e-4) / (0.25 + 0.49 + 1e-4)
    for height, width in ((1, 1), (3, 1), (7, 40), (64, 64)):
        pair = x.expand(1, 3, height, width), y.expand(1, 3, height, width)
        assert ssim(*pair).item() == pytest.approx(expected, abs=1e-5)
    assert ms_ssim(x, y).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (23, 31), (180, 200)])
def test_identical_pictures_score_one(size: tuple[int, int]) -> None:
    x = photographs(*size)
    assert ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-6)
    assert ms_ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_scales_follow_the_smaller_side() -> None:
    assert [scales(side) for side in (1, 21, 22, 43, 44, 87, 88, 175, 176, 512)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert sum(WEIGHTS) == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("size", [(180, 200), (93, 120), (32, 32)])
def test_ms_ssim_is_the_published_formula(size: tuple[int, int]) -> None:
    """Against float64 with SciPy's Gaussian filter, cut to the places inside the picture."""
    x = photographs(*size)
    y = noisy(x, 0.1)
    expected = [reference_ms_ssim(a, b, scales(min(size))) for a, b in zip(arrays(x), arrays(y), strict=True)]
    assert ms_ssim(x, y).tolist() == pytest.approx(expected, abs=2e-5)


def reference_ms_ssim(a: np.ndarray, b: np.ndarray, count: int) -> float:
    weights = np.array(WEIGHTS[:count]) / sum(WEIGHTS[:count])
    product = np.ones(3)
    for scale, weight in enumerate(weights):
        whole, structure = reference_terms(a, b)
        product *= (whole if scale == count - 1 else structure).clip(0) ** weight
        a, b = halved(a), halved(b)
    return float(product.mean())


def reference_terms(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.ndimage import gaussian_filter

    def blurred(z: np.ndarray) -> np.ndarray:
        return gaussian_filter(z, 1.5, radius=5, axes=(0, 1))[5:-5, 5:-5]

    ma, mb = blurred(a), blurred(b)
    va, vb, cab = blurred(a * a) - ma**2, blurred(b * b) - mb**2, blurred(a * b) - ma * mb
    structure = (2 * cab + 0.03**2) / (va + vb + 0.03**2)
    luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
    return (luminance * structure).mean((0, 1)), structure.mean((0, 1))


def halved(a: np.ndarray) -> np.ndarray:
    """2 x 2 means; an odd side repeats its last line."""
    height, width, _ = a.shape
    even = np.pad(a, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean((1, 3))


def test_ms_ssim_of_opposite_structure_is_zero_not_nan() -> None:
    x = noisy(torch.full((1, 3, 48, 48), 0.5), 0.2)
    assert ms_ssim(x, 1 - x).item() == 0
    assert ssim(x, 1 - x).item() < 0


def test_a_picture_scores_the_same_in_any_batch() -> None:
    x = photographs(48, 64).repeat(200, 1, 1, 1)[:399]
    y = noisy(x)
    for metric in (mse, psnr, ssim, ms_ssim):
        whole, alone = metric(x, y), metric(x[380:382], y[380:382])
        assert whole.shape == (399,)
        assert torch.allclose(whole[380:382], alone, atol=1e-5)


def test_ssim_is_differentiable() -> None:
    x = photographs(48, 48)
    y = noisy(x).requires_grad_()
    ms_ssim(x, y).sum().backward()
    assert y.grad is not None and torch.isfinite(y.grad).all() and y.grad.abs().sum() > 0


@pytest.mark.parametrize("metric", [mse, psnr, ssim, ms_ssim])
def test_pictures_that_cannot_be_measured_are_refused_with_the_numbers(metric: Callable[..., torch.Tensor]) -> None:
    x = torch.full((3, 3, 16, 16), 0.5)
    holed = x.clone()
    holed[1, 0, 2, :5] = float("nan")
    holed[2, 0, 0, 0] = float("inf")
    with pytest.raises(SemlinkError, match=r"received image 1 .* 5 NaN .* of 768 \(2 of 3 images"):
        metric(x, holed)
    with pytest.raises(SemlinkError, match="original image 1"):
        metric(holed, x)
    with pytest.raises(SemlinkError, match="shape"):
        metric(x, x[:, :, :8])
    with pytest.raises(SemlinkError, match=r"span .* to 127\.5"):
        metric(x, x * 255)
    with pytest.raises(SemlinkError, match="uint8"):
        metric(x, x.to(torch.uint8))
    with pytest.raises(SemlinkError, match=r"\[batch, 3, H, W\]"):
        metric(x[:, :1], x[:, :1])
    with pytest.raises(SemlinkError, match="empty"):
        metric(x[:0], x[:0])


def test_measure_by_name() -> None:
    x = photographs(70, 66)
    y = noisy(x)
    found = metrics.measure(["psnr", "ms_ssim"], x, y)
    assert list(found) == ["psnr", "ms_ssim"]
    assert torch.equal(found["psnr"], psnr(x, y))
    assert found["ms_ssim"].dtype == torch.float64
    with pytest.raises(
        SemlinkError,
        match=r"unknown metric 'pnsr'; did you mean 'psnr'\? known: psnr, mse, ssim, ms_ssim, lpips_alex, lpips_vgg",
    ):
        metrics.measure(["psnr", "pnsr"], x, y)


def test_every_name_is_described_and_names_its_size() -> None:
    assert metrics.names()[:6] == ("psnr", "mse", "ssim", "ms_ssim", "lpips_alex", "lpips_vgg")
    assert [metrics.describe(name).units for name in ("psnr", "psnr_of_mean_mse", "theta_psnr", "ssim")] == [
        "dB",
        "dB",
        "dB",
        "1",
    ]
    assert [metrics.describe(name).better for name in ("psnr", "ssim", "mse", "lpips_vgg_up64")] == [
        "higher",
        "higher",
        "lower",
        "lower",
    ]
    assert metrics.describe("lpips_alex_up64").label == "LPIPS (AlexNet), upsampled to 64 px"
    assert metrics.row_names(["psnr", "lpips_alex"], 32, 500) == ("psnr", "lpips_alex_up64")
    assert metrics.row_names(["psnr", "lpips_vgg"], 64, 64) == ("psnr", "lpips_vgg")
    with pytest.raises(SemlinkError, match="unknown metric"):
        metrics.describe("vmaf")


def test_names_need_neither_torch_nor_tensorflow() -> None:
    program = (
        "import sys; from semlink.simulator import metrics; metrics.names(); metrics.describe('psnr').label;"
        "print(sorted({'torch', 'tensorflow', 'matplotlib', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_third_parties_add_metrics_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("worst", f"{__name__}:WORST", metrics.GROUP)
    monkeypatch.setattr(metrics, "installed", lambda group: tuple(EntryPoints([point]).select(group=group)))
    x = photographs(16, 16)
    assert metrics.names()[-1] == "worst" and metrics.describe("worst").label == "largest error"
    assert metrics.measure(["worst"], x, noisy(x))["worst"].tolist() == worst(x, noisy(x)).tolist()
    monkeypatch.setitem(globals(), "WORST", worst)
    with pytest.raises(SemlinkError, match="is not a"):
        metrics.describe("worst")


def worst(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x - y).abs().amax((1, 2, 3))


WORST = metrics.Metric(f"{__name__}:worst", "1", "lower", "largest error")
