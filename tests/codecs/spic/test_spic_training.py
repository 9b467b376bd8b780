"""Training: examples are what the receiver meets, a network learns, and a stopped run goes on as if it had not been."""

import pytest
import torch

from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs._learned.weights import read_weights
from semlink.codecs._regions.unet_training import Frames
from semlink.codecs.spic import receiver
from semlink.codecs.spic.examples import Street, prepare
from semlink.codecs.spic.training import START, SpicRun, samples, steps_of
from semlink.simulator.training.run import Budget


@pytest.fixture(scope="module")
def street() -> Street:
    """Two frames of two classes, sky above road, with a blob in it."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    labels[:, 30:] = 3
    pictures = torch.where(labels[:, None] == 3, 70.0, 220.0) + 12 * torch.randn(2, 3, 64, 64, generator=draws)
    return prepare(Frames(pictures.clamp(0, 255).to(torch.uint8), labels), seed=0)


def test_examples_are_pictures_with_their_coarse_ones_and_maps(street):
    batch = street.draw(64, 48, torch.Generator().manual_seed(1))
    there, mapped = batch.told[:, 0] > 0, batch.shares.sum((1, 2, 3)) > 0
    assert 0 < (~there).sum() < 20 and 0 < (~mapped).sum() < 20
    assert batch.coarse[~there].abs().max() == 0 and batch.shares[~mapped].abs().max() == 0
    error = (batch.pictures - batch.coarse).square().mean((1, 2, 3))
    power = (batch.pictures - batch.pictures.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3))
    assert (error[there] < power[there]).float().mean() > 0.9  # same crop, mirror and colours
    whole = batch.shares.sum(1)
    assert (((whole - 1).abs() < 1e-5) | (whole == 0)).all()


def test_steps_are_those_that_the_receiver_takes():
    told = torch.tensor([[1.0, 0, 0], [0.0, 0, 0]]).repeat_interleave(2000, 0)
    found = steps_of(told, 1000, torch.Generator().manual_seed(0))
    assert (found[:2000] <= START).float().mean() == pytest.approx(0.92, abs=0.03)
    assert found[2000:].float().mean() == pytest.approx(500, abs=25)


def run_of(street: Street, folder, steps: int) -> SpicRun:
    torch.manual_seed(0)
    network = SpadeUNet(widths=(16, 16, 32), map_width=8)
    return SpicRun(network, street, street, 48, Budget(steps=steps, batch=2, lr=5e-3, warm_up=1, ema=0.5), folder)


def test_a_stopped_run_goes_on_and_learns(street, tmp_path, monkeypatch):
    monkeypatch.setattr("semlink.codecs.spic.training.HELD", 24)
    monkeypatch.setattr("semlink.codecs.spic.training.HELD_CROP", 48)
    whole = run_of(street, tmp_path / "whole", 8)
    before = whole.levels(quick=True)
    after = whole.complete()
    assert after["error"] < before["error"] and after["lpips"] < before["lpips_of_coarse"]
    first = run_of(street, tmp_path / "parts", 8)
    for _ in range(3):
        first._step()
    first.save(first.levels(quick=True))
    rest = run_of(street, tmp_path / "parts", 8)
    rest.spend()
    for mine, other in zip(rest.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)
    assert samples(whole.average, whole.held).shape[1:] == (3, 48, 48)
    _, settings = read_weights(tmp_path / "whole" / "weights.safetensors")
    assert settings == {"classes": 11, "patch": 4, "widths": [16, 16, 32], "map_width": 8}
    made = receiver.from_weights(tmp_path / "whole" / "weights.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(made.unet.parameters(), whole.average.parameters(), strict=True))
