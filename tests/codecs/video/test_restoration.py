"""Short chains from moved anchors: what a network that knows nothing leaves alone, deadlines, reuse of states."""

import copy

import pytest
import torch
from tiny_models import save_all
from torch import Generator

from semlink.codecs import video
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs.video._anchored_receiver import Held
from semlink.codecs.video._clock import Price
from semlink.codecs.video._restoration_pipeline import RestorationPipeline
from semlink.codecs.video._restorers import Chain, pipeline_of
from semlink.codecs.video._reuse import Reuse, moved_noise, moved_state
from semlink.codecs.video._reuse_networks import MOST, MotionTransform, ReuseNetworks, features
from semlink.codecs.video._reuse_training import fit
from semlink.codecs.video._start import PLANES, Start
from semlink.codecs.video._timing import Timing
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.live.session import Air, Session, Way
from semlink.simulator.plugins import make_link
from semlink.simulator.training.run import save_weights
from semlink.simulator.words import parse

SETTINGS = {"classes": PLANES, "patch": 4, "widths": [16, 16], "map_width": 16}


def smooth(height=32, width=40, seed=0):
    drawn = torch.rand(1, 3, height + 8, width + 8, generator=Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(drawn, 9, 1).sub(0.5).mul(3).add(0.5).clamp(0, 1)


def start(innovation=0.2, flow=0.0):
    return Start(smooth(), torch.zeros(1, 3, 4, 5), torch.full((1, 2, 1, 1), flow), innovation, 0.9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that has drawn its numbers, with settings to rebuild it."""
    torch.manual_seed(0)
    network = SpadeUNet(PLANES, 4, (16, 16), 16)
    torch.nn.init.normal_(network.leave.weight, std=0.02)
    network.settings = SETTINGS
    path = tmp_path_factory.mktemp("cvsc") / "cvsc.safetensors"
    save_weights(network, path, {})
    return path


def watch(profile="none", step_ms=0.0):
    timing = Timing(profile, "simulated", Price.of(step_ms, 0.0))
    return timing.watch(timing.pace(), timing.clock(), 0, 25.0)


def test_a_network_that_adds_nothing_leaves_the_moved_anchor():
    """The start has no noise for the network to take for detail, whatever the level."""
    network = SpadeUNet(PLANES, 4, (16, 16), 16)
    torch.nn.init.zeros_(network.leave.bias)
    pipeline = RestorationPipeline(network, make_scheduler("sample"))
    for innovation in (0.05, 1.5):
        found = pipeline([start(innovation)], num_inference_steps=1, generator=Generator().manual_seed(0))
        assert torch.allclose(found.frames, start().guess, atol=1e-5) and found.steps == 1


def test_steps_that_may_not_go_are_not_made(weights):
    asked = iter([True, True, False])
    made = pipeline_of(str(weights))
    found = made([start()], 0.5, 8, Generator().manual_seed(0), may_go=lambda: next(asked))
    assert found.steps == 2 and len(found.states) == 2
    none = made([start()], 0.5, 8, Generator().manual_seed(0), may_go=lambda: False)
    assert none.steps == 0 and torch.allclose(none.frames, start().guess, atol=1e-6)


def test_the_pipeline_is_kept_and_comes_back(weights, tmp_path):
    made = pipeline_of(str(weights))
    made.save_pretrained(tmp_path)
    again = pipeline_of(str(tmp_path))
    frames = [each([start()], None, 2, Generator().manual_seed(1)).frames for each in (made, again)]
    assert torch.equal(*frames)


def test_settings_and_weights_that_are_wrong_are_refused(tmp_path):
    with pytest.raises(SemlinkError, match="known starts"):
        video.create("cvsc", start="slow")
    with pytest.raises(SemlinkError, match="steps=0"):
        video.create("cvsc", weights=tmp_path / "none.safetensors").check(64, 64)
    with pytest.raises(SemlinkError, match="warp"):
        video.create("denoising_reuse", transform="magic")
    with pytest.raises(SemlinkError, match="profile"):
        video.create("cvsc", profile="lazy")


def test_calls_follow_the_error_and_the_time(weights):
    chain, anchor = Chain(weights, 4, False, 0), Held(1, smooth(), 0.9)
    needs = [chain.needed(start(v)) for v in (0.001, 0.05, 0.2, 1.0, 1.5)]
    assert needs == sorted(needs) and needs[0] < needs[-1] <= 4
    assert Chain(weights, 4, False, 0).needed(Start(smooth(), *start_parts(), 0.001, 1.0)) == 0
    _, slow = chain.restored(start(1.5), anchor, watch("interactive", 30.0))
    _, fast = chain.restored(start(1.5), anchor, watch("none", 30.0))
    assert slow == 1 and fast == needs[-1]


def start_parts():
    return torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 1, 1)


def test_a_few_step_model_generates_within_its_time(tmp_path):
    codec = video.create("cvsc", generator=str(save_all(tmp_path) / "sd"), enlarged=1, steps=2)
    codec.check(64, 64)
    held, off = Held(1, smooth(64, 64), 1.0), Start(smooth(64, 64), *start_parts(), 1.5, 1.0)
    shown, steps = codec.restorer.restored(off, held, watch())
    assert steps == 2 and shown.shape == (1, 3, 64, 64) and not torch.equal(shown, off.guess)
    assert codec.restorer.restored(off, held, watch("interactive", 200.0))[1] <= 1
    with pytest.raises(SemlinkError, match="1 to 8"):
        video.create("cvsc", generator="sd_turbo", steps=0)


def test_moved_noise_stays_white_and_of_unit_variance():
    """Between pixels, bilinear weights leave a quarter of the variance; new noise brings it back."""
    noise = torch.randn(1, 3, 128, 128, generator=Generator().manual_seed(0))
    for flow in (0.0, 0.5, 0.25):
        found = moved_noise(noise, torch.full((1, 2, 1, 1), flow), Generator().manual_seed(1))
        assert float(found.var()) == pytest.approx(1, abs=0.03)
    assert torch.equal(moved_noise(noise, torch.zeros(1, 2, 1, 1), Generator()), noise)


def test_a_state_that_does_not_move_is_the_anchors():
    own, shown = start(flow=0.0), smooth(seed=1)
    state = torch.randn(shown.shape, generator=Generator().manual_seed(2))
    assert torch.allclose(moved_state(own, state, shown, 0.7, Generator()), state, atol=1e-5)


def test_the_later_a_frame_goes_on_the_less_is_off(weights):
    reuse = Reuse(weights, None, 16, 0)
    picture, steps, anchor = reuse.begun(start(0.0), Held(1, smooth(), 0.9), watch())
    assert steps == 16 == len(anchor.states) and picture.shape == smooth().shape
    grid = sorted(anchor.states)
    calls = [reuse.calls(start(v), anchor, grid) for v in (0.03, 0.1, 0.4, 1.5)]
    assert calls == sorted(calls) and 1 <= calls[0] < calls[-1] <= 6
    shown, made = reuse.restored(start(0.1, flow=1.5), anchor, watch())
    assert made == calls[1] and bool(torch.isfinite(shown).all())


def test_without_states_a_frame_is_the_moved_anchor(weights):
    held = Held(1, smooth(), 0.9)
    shown, made = Reuse(weights, None, 16, 0).restored(start(), held, watch())
    assert made == 0 and torch.equal(shown, start().of(held.picture))


def test_a_transform_begins_as_nothing_and_learns_the_frame(tmp_path):
    transform = MotionTransform(16, 1)
    state = torch.randn(1, 3, 32, 40, generator=Generator().manual_seed(0))
    same = transform(state, 2 * smooth() - 1, start().planes(), torch.tensor([0.5]))
    assert torch.equal(same, state)
    networks = copy.deepcopy(ReuseNetworks(16, 1))
    told = torch.cat([features(start(v)) for v in (0.02, 0.03, 0.8, 1.2)])
    assert fit(networks, told, torch.tensor([0, 0, MOST, MOST])) == 1.0
    assert [networks.selector.chosen(one[None]) for one in told] == [0, 0, MOST, MOST]


@pytest.mark.parametrize("word", ["cvsc", "denoising_reuse"])
def test_frames_arrive_through_a_link_and_say_their_steps(word, weights):
    codec = video.create(word, rho=1 / 12, controller="fixed", gop=4, weights=weights)
    (clip,) = clips.load("synthetic/pan@64x64x6")
    session = Session(codec, clip.clip, Air(make_link(parse("awgn")), 15.0))
    shown = [passed.shown for passed, _ in Way(session, clip.frames())]
    steps = [one.steps for one in shown]
    assert max(steps) == (16 if word == "denoising_reuse" else 1)
    assert all(one.frames.shape == (1, 3, 64, 64) for one in shown)
