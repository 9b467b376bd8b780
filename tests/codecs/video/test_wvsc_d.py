"""Decoupled diffusion behind the semantic video codec: its algebra, its pipeline, and what its receiver keeps."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Generator

from semlink import channels
from semlink.codecs import video
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs.video._compensation import (
    CompensationNetwork,
    noise_in,
    noisy,
    semantics,
    shares,
    without_base,
)
from semlink.codecs.video._compensation_pipeline import CompensationPipeline
from semlink.codecs.video._compensation_training import Decoded, losses
from semlink.codecs.video._semantic import SemanticNetwork, cells
from semlink.simulator import check_video_codec
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.link import Link
from semlink.simulator.live.session import Air, Session, Way
from semlink.simulator.training.run import save_weights
from semlink.simulator.video import Clip


def smooth(count, side, seed=0):
    drawn = torch.rand(count, 3, side + 12, side + 12, generator=Generator().manual_seed(seed))
    frames = torch.nn.functional.avg_pool2d(drawn, 13, 1)
    return (frames - frames.mean()).mul(4).add(0.5).clamp(0, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of a semantic network that has not learned, and of a compensation that has drawn its numbers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("wvsc_d")
    network = SemanticNetwork(planes=8, width=16, blocks=(1, 1))
    network.start_linear(cells(smooth(64, 32)).permute(0, 2, 3, 1).reshape(-1, 192))
    save_weights(network, folder / "wvsc.safetensors", {})
    made = CompensationNetwork(16, 16, 1, 16)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.03)
    save_weights(made, folder / "wvsc_d.safetensors", {})
    return {"weights": folder / "wvsc.safetensors", "compensation": folder / "wvsc_d.safetensors"}


def codec_of(files, **settings):
    return video.create("wvsc_d", rho=1 / 24, **files, **settings)


def shown_of(codec, frames, snr_db=5.0):
    session = Session(codec, Clip(*frames.shape[2:], frames=len(frames)), Air(Link(channels.create("awgn")), snr_db))
    return [passed.shown for passed, _ in Way(session, frames)]


# The decoupled noise


def test_noise_of_a_state_is_what_was_put_in():
    x0, noise, alpha = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5), torch.tensor([0.1, 0.5, 0.95])
    assert torch.allclose(noise_in(noisy(x0, alpha, noise), x0, alpha), noise, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_less_the_base_a_state_has_the_residual_alone(share):
    x0, base, own = torch.randn(3, 2, 4, 8, 8).unbind(0)
    alpha = torch.tensor([0.3, 0.9])
    state = noisy(x0, alpha, share**0.5 * base + (1 - share) ** 0.5 * own)
    left, power = without_base(state, base, alpha, share)
    assert torch.allclose(power, (1 - share) * (1 - alpha))
    expected = alpha.sqrt()[:, None, None, None] * x0 + power.sqrt()[:, None, None, None] * own
    assert torch.allclose(left, expected, atol=1e-5)


def test_what_is_kept_of_the_surroundings_is_the_estimate_of_least_squares():
    sigma = torch.tensor([0.0, 0.5, 5.0])
    keep, take, scale = shares(sigma)
    assert keep[0] == 1 and take[0] == 0 and keep[1] == pytest.approx(0.5)
    off, noise = 0.5 * torch.randn(3, 200000), torch.randn(3, 200000)
    around = off + sigma[:, None] * noise
    left = (off - keep[:, None] * around).square().mean(1).sqrt()
    assert torch.allclose(left, take, rtol=0.02)  # what is for the network to answer, of unit variance times `take`
    assert torch.allclose((scale[:, None] * around).square().mean(1), torch.ones(3), rtol=0.02)


# The pipeline


class Knows(torch.nn.Module):
    """A network that knows the clean frames; which one it is asked for is told by the decoded one."""

    def __init__(self, pairs):
        super().__init__()
        self.pairs = pairs

    def forward(self, state, alpha, noise, decoded, heard):
        return next(clean for held, clean in self.pairs if torch.equal(held, decoded))


@pytest.mark.parametrize(("steps", "share"), [(1, 0.7), (2, 0.0), (4, 1.0)])
def test_networks_that_know_the_frames_give_them(steps, share):
    made = CompensationNetwork(4, 16, 1, 16)
    pipeline = CompensationPipeline(made.base, made.residual, made.synthesis, make_scheduler("sample"))
    pipeline.set_progress_bar_config(disable=True)
    clean, decoded = torch.randn(2, 3, 4, 4, 4).unbind(0)
    knows = Knows([(held[None], own[None]) for held, own in zip(decoded, clean, strict=True)])
    pipeline.base = pipeline.residual = knows
    found = pipeline(torch.rand(3, 3, 32, 32), decoded, torch.full((3,), 0.6), steps, share, Generator().manual_seed(0))
    assert torch.allclose(found.semantic, clean, atol=1e-5)
    assert found.frames.shape == (3, 3, 32, 32)


def test_a_still_scene_gets_what_its_reference_got_by_the_base_alone():
    """share 1: all frames have the reference's noise, so what it is off by comes off them all."""
    torch.manual_seed(1)
    made = CompensationNetwork(4, 16, 1, 16)
    for value in made.base.parameters():
        torch.nn.init.normal_(value, std=0.2)
    pipeline = CompensationPipeline(made.base, made.residual, made.synthesis, make_scheduler("sample"))
    decoded = torch.randn(1, 4, 4, 4).repeat(3, 1, 1, 1)
    frames, heard = torch.rand(3, 3, 32, 32), torch.full((3,), 0.6)
    found = pipeline(frames, decoded, heard, 2, 1.0, Generator().manual_seed(0)).semantic
    assert torch.allclose(found[1], found[0], atol=1e-4) and torch.allclose(found[2], found[0], atol=1e-4)
    assert not torch.allclose(found[0], decoded[0], atol=1e-2)


def test_a_pipeline_is_saved_loaded_and_takes_other_solvers(files, tmp_path):
    codec = codec_of(files)
    codec.pipeline.save_pretrained(tmp_path / "own")
    again = codec_of(files | {"compensation": tmp_path / "own"})
    frames = smooth(3, 32)
    one, other = (torch.cat([s.frames for s in shown_of(own, frames)]) for own in (codec, again))
    assert torch.equal(one, other)
    for name in ("dpm", "lcm"):
        found = shown_of(codec_of(files, scheduler=name, steps=3), frames[:1])
        assert torch.isfinite(found[0].frames).all() and not torch.equal(found[0].frames, one[:1])


# The codec


@pytest.mark.slow
def test_it_passes_what_every_codec_must(files):
    check_video_codec(codec_of(files), floor_db=3.0, long=24)


def test_without_strength_it_is_wvsc(files):
    frames = smooth(3, 32)
    plain = video.create("wvsc", rho=1 / 24, weights=files["weights"])
    ways = {"plain": plain} | {
        name: codec_of(files, **own)
        for name, own in {
            "off": {"strength": 0.0},
            "half": {"strength": 0.5},
            "whole": {"strength": 1.0},
            "synthesis": {"steps": 0},
        }.items()
    }
    shown = {name: torch.cat([s.frames for s in shown_of(own, frames)]) for name, own in ways.items()}
    assert torch.equal(shown["plain"], shown["off"])
    assert torch.allclose(shown["half"], (shown["plain"] + shown["whole"]) / 2, atol=0.02)  # but for what is clamped
    assert not torch.equal(shown["synthesis"], shown["plain"]) and not torch.equal(shown["synthesis"], shown["half"])


def test_a_base_lasts_for_its_span_and_ends_with_its_scene(files, monkeypatch):
    begun = []
    whole = CompensationPipeline.reference

    def counted(self, *rest):
        begun.append(len(begun))
        return whole(self, *rest)

    monkeypatch.setattr(CompensationPipeline, "reference", counted)
    one, other = smooth(1, 32).repeat(5, 1, 1, 1), 1 - smooth(1, 32, seed=5).repeat(2, 1, 1, 1)
    shown_of(codec_of(files, span=3), one)
    assert len(begun) == 2
    begun.clear()
    shown_of(codec_of(files, span=100), torch.cat([one, other]), 15.0)
    assert len(begun) == 2


def test_a_receiver_moved_to_another_process_goes_on_alike(files):
    codec, frames = codec_of(files), smooth(4, 32)
    session = Session(codec, Clip(32, 32, frames=4), Air(Link(channels.create("awgn")), 5.0))
    with torch.no_grad():
        for frame in frames[:2]:
            session.step(frame[None])
        session.receiver = pickle.loads(pickle.dumps(session.receiver))
        rest = [session.step(frame[None]).shown.frames for frame in frames[2:]]
    assert torch.equal(torch.cat(rest), torch.cat([s.frames for s in shown_of(codec, frames)[2:]]))


def test_what_does_not_fit_is_said_in_a_line(files, tmp_path):
    other = tmp_path / "other.safetensors"
    save_weights(CompensationNetwork(8, 16, 1, 16), other, {})
    with pytest.raises(SemlinkError, match="made for semantic frames of 4 planes, wvsc.safetensors has 8"):
        codec_of(files | {"compensation": other}).check(64, 64)
    with pytest.raises(SemlinkError, match="--network wvsc_d"):
        codec_of(files | {"compensation": Path("nowhere.safetensors")}).check(64, 64)
    for wrong in ({"steps": -1}, {"share": 2.0}, {"span": 0}, {"strength": 1.5}):
        with pytest.raises(SemlinkError, match="0 to 1000 steps"):
            codec_of(files, **wrong)


def test_the_losses_lead_to_the_clean_frames(files):
    """A few steps of Adam on one batch: the networks find more of what was lost."""
    codec = codec_of(files).network
    torch.manual_seed(0)
    clips = smooth(6, 32).unflatten(0, (2, 3))
    frames = (clips + 0.1 * torch.nn.functional.avg_pool2d(torch.randn(6, 3, 36, 36), 5, 1).unflatten(0, (2, 3))).clamp(
        0, 1
    )
    seen, network = Decoded(clips, frames, torch.full((2, 3), 0.6)), CompensationNetwork(16, 16, 1, 16)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    found = []
    for _ in range(16):
        loss = losses(network, codec, seen, 0.7, Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert found[-1] < 0.8 * found[0]


def test_semantic_frames_are_of_about_unit_variance(files):
    with torch.no_grad():
        own = semantics(codec_of(files).network, smooth(32, 32, seed=3))
    assert own.shape == (32, 16, 4, 4)
    assert 0.4 < float(own.square().mean().sqrt()) < 2.5
