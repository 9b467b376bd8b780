"""Frames restored by few-step models: tiny ones as the hub's are saved, and an exact one whose answer is known."""

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline, LCMScheduler
from tiny_models import NOISE, exact_receiver, go_offline, save_all, tiny_autoencoder, unet

from semlink.codecs._diffusion import latents
from semlink.codecs._diffusion.latent_receiver import LatentReceiverPipeline, guidance_told
from semlink.codecs._diffusion.pretrained import Pretrained
from semlink.codecs._diffusion.restorer import MODELS, Restorer
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.errors import SemlinkError

FRAME = smooth_pictures(1, 64, 72)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def turbo(models):
    return Restorer.of(str(models / "sd"))


def asked(monkeypatch):
    """Steps at which the network is asked, as they come."""
    found = []
    own = LatentReceiverPipeline._ask

    def ask(self, seen, step, *more):
        found.append(step)
        return own(self, seen, step, *more)

    monkeypatch.setattr(LatentReceiverPipeline, "_ask", ask)
    return found


def test_names_are_those_of_the_hub_and_what_diffusers_lacks_is_said():
    turbo, lcm = Restorer.of("sd_turbo", vae="taesd"), Restorer.of("lcm")
    assert turbo.pretrained == Pretrained("stabilityai/sd-turbo", "madebyollin/taesd") and turbo.guidance == 1
    assert lcm.pretrained == Pretrained(MODELS["lcm"]) and lcm.guidance == 8
    with pytest.raises(SemlinkError, match="give vae=taesd"):
        Restorer.of("sd_turbo", vae="taehv")
    with pytest.raises(SemlinkError, match="whole number"):
        Restorer.of("lcm", enlarged=0)
    assert turbo.at("cuda").pretrained.device == "cuda"


def test_without_the_hub_it_says_what_to_fetch(monkeypatch):
    go_offline(monkeypatch)
    with pytest.raises(SemlinkError, match="hf download"):
        Restorer.of("nobody/nothing").check()


def test_frames_of_any_size_come_back_as_large(turbo):
    for size in ((64, 72), (50, 61)):
        frame = FRAME[..., : size[0], : size[1]]
        found = turbo.restored(frame, 0.3, 2)
        assert found.shape == frame.shape and 0 <= found.min() and found.max() <= 1
        assert not torch.equal(found, frame)


def test_the_seed_alone_decides_of_one_model_and_view(turbo, models):
    found = [turbo.restored(FRAME, 0.3, 2, seed) for seed in (7, 7, 8)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    for more in ({"enlarged": 2}, {"vae": str(models / "taesd")}):
        other = Restorer.of(str(models / "sd"), **more).restored(FRAME, 0.3, 2, 7)
        assert other.shape == FRAME.shape and not torch.equal(other, found[0])


def test_steps_are_calls_of_the_network_from_its_level_down(turbo, monkeypatch):
    steps = asked(monkeypatch)
    turbo.restored(FRAME, 0.5, 3)
    assert len(steps) == 3 and steps == sorted(steps, reverse=True)
    high = steps[0]
    steps.clear()
    turbo.restored(FRAME, 0.2, 1)
    assert len(steps) == 1 and steps[0] < high


@pytest.mark.parametrize(("level", "steps"), [(0.0, 4), (0.3, 0)])
def test_a_chain_without_a_step_is_not_begun(turbo, monkeypatch, level, steps):
    taken = asked(monkeypatch)
    assert torch.equal(turbo.restored(FRAME, level, steps), FRAME) and not taken


def test_each_step_asks_first_and_no_ends_the_chain(turbo, monkeypatch):
    taken = asked(monkeypatch)
    answers = iter([True, True, False])
    stopped = turbo.restored(FRAME, 0.5, 4, may_go=lambda: next(answers))
    assert len(taken) == 2 and next(answers, None) is None
    assert not torch.equal(stopped, FRAME)
    assert torch.equal(turbo.restored(FRAME, 0.5, 4, may_go=lambda: False), FRAME) and len(taken) == 2


def test_an_exact_network_takes_off_what_it_should(tmp_path, monkeypatch):
    """Latents N(m, s^2): one step from level b gives m + s^2 (1 - b) / (s^2 (1 - b) + b) (z + noise - m)."""
    vae = tiny_autoencoder()
    z = latents.to_latents(vae, FRAME)
    mean, spread, level = z.mean((2, 3), keepdim=True), 0.5, 0.6
    receiver = exact_receiver(tmp_path, mean, spread)
    receiver.register_modules(vae=vae)
    monkeypatch.setattr(Pretrained, "receiver", lambda self, device: receiver)
    monkeypatch.setattr(Pretrained, "autoencoder", lambda self, device: vae)
    shown = {}
    monkeypatch.setattr(latents, "to_pictures", lambda vae, found: shown.setdefault("z", found) * 0 + 0.5)
    Restorer(Pretrained()).restored(FRAME, level, 1, seed=3)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))
    signal = (1 - level) * spread**2
    wiener = mean + signal / (signal + level) * (z + (level / (1 - level)) ** 0.5 * noise - mean)
    assert torch.allclose(shown["z"], wiener, atol=0.02)


def test_a_consistency_model_is_told_its_guidance_and_asked_once(models, monkeypatch):
    network = unet(time_cond_proj_dim=33)
    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([7.0, 7.0]), 33)
    assert torch.allclose(guidance_told(network, 8.0, 2), theirs, atol=1e-3)  # angles of thousands, in float32
    assert guidance_told(unet(), 8.0, 2) is None
    pipeline = LatentReceiverPipeline.from_pretrained(
        models / "sd", unet=network, scheduler=LCMScheduler(**NOISE), safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    taken = asked(monkeypatch)
    states, alpha = torch.zeros(1, 4, 8, 8), torch.full((1, 1, 1, 1), 0.4)
    found = [
        pipeline(
            states, alpha, "cat", None, 4, w, generator=torch.Generator().manual_seed(0), output_type="latent"
        ).images
        for w in (8.0, 2.0)
    ]
    assert len(taken) == 8 and not torch.equal(*found)
