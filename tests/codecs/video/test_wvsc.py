"""The semantic video codec, with a network that has not learned: what its ends agree on, and training that resumes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scripts import loaded

from semlink.codecs import video
from semlink.codecs.video._semantic import Held, Motion, SemanticNetwork, new_trust, phase_of, unit_power
from semlink.codecs.video._semantic_training import Frame, Way, misled, seen_motion
from semlink.simulator import check_video_codec
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import write_mp4
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import save_weights
from semlink.simulator.video import Budget, Clip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wvsc") / "weights.safetensors"
    save_weights(SemanticNetwork(planes=8, width=16, blocks=(1, 1)), path, {})
    return path


@pytest.fixture(scope="module")
def network(weights):
    return video.create("wvsc", weights=weights).network


@pytest.mark.slow
def test_it_passes_what_every_codec_must(weights):
    check_video_codec(video.create("wvsc", rho=1 / 24, weights=weights), floor_db=3.0, long=24)


def test_without_weights_it_says_how_to_get_them():
    with pytest.raises(SemlinkError, match="train_video.py"):
        video.create("wvsc", weights="nowhere.safetensors").check(64, 64)


@pytest.mark.parametrize("settings", [{"gop": 0}, {"boost": 0.5}, {"boost": 9.0}, {"rho": 0.0}])
def test_nonsense_is_refused(settings):
    with pytest.raises(SemlinkError):
        video.create("wvsc", **settings)


def test_a_group_spends_its_rate(weights):
    clip = Clip(128, 128, frames=80)
    for gop, boost in ((8, 2.0), (4, 3.0), (1, 1.0)):
        codec = video.create("wvsc", rho=1 / 96, weights=weights, gop=gop, boost=boost)
        spent = codec.uses(clip, True) + (gop - 1) * codec.uses(clip, False)
        mean = Budget.of(1 / 96, clip).per_frame
        assert gop * mean - gop <= spent <= gop * mean
        assert codec.uses(clip, True) >= codec.uses(clip, False)


def test_a_frame_before_that_is_not_trusted_changes_nothing(network):
    frame, snr = torch.rand(1, 3, 32, 32), torch.tensor([10.0])
    symbols = network.encode(frame, None, 0, 64, snr)
    a = torch.full(symbols.shape, 0.9)

    def shown(trust):
        held = Held(torch.rand(1, 3, 32, 32), torch.rand(1, 24, 4, 4), torch.full((1,), trust))
        return network.decode(0.9 * symbols, a, held, 0).frame

    assert torch.equal(shown(0.0), shown(0.0))
    assert not torch.allclose(shown(1.0), shown(1.0))


def test_a_reference_says_nothing_of_the_frame_before_but_motion(network):
    frame, snr = torch.rand(1, 3, 32, 32), torch.tensor([10.0])
    motions = [Motion(torch.rand(1, 3, 32, 32), torch.zeros(1, 2, 4, 4)) for _ in range(2)]
    one, other = (network.encode(frame, motion, 0, 64, snr) for motion in motions)
    assert torch.equal(one, other)
    one, other = (network.encode(frame, motion, 1, 64, snr) for motion in motions)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("uses", [1, 50, 64, 128])
def test_symbols_have_unit_power_and_as_many_as_asked(network, uses):
    symbols = network.encode(torch.rand(2, 3, 32, 32), None, 0, uses, torch.tensor([10.0, 0.0]))
    assert symbols.shape == (2, uses)
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(2), atol=1e-5)
    found = network.decode(symbols, torch.ones(symbols.shape), network.nothing(torch.rand(2, 3, 32, 32)), 0)
    assert found.frame.shape == (2, 3, 32, 32) and torch.isfinite(found.frame).all()


def test_unit_power_of_silence_is_silence():
    assert torch.equal(unit_power(torch.zeros(1, 4, dtype=torch.complex64)), torch.zeros(1, 4, dtype=torch.complex64))


def test_changes_take_turns_and_references_are_apart():
    phases = [phase_of(age) for age in range(16)]
    assert phases[0] == 0 and 0 not in phases[1:]
    assert phases[1:8] == phases[8:15] == [*range(1, 8)]


def test_trust_is_that_of_the_symbols_and_of_what_they_stand_on():
    a = torch.full((1, 10), 0.8)
    assert new_trust(torch.tensor([0.2]), a, True) == pytest.approx(0.8)
    assert new_trust(torch.tensor([0.2]), a, False) == pytest.approx(0.5)
    assert new_trust(torch.tensor([0.6]), a[:, :0], True) == 0


def test_of_a_lost_frame_the_last_one_is_shown_and_trusted_less(network):
    shots = torch.rand(2, 4, 3, 32, 32)
    way = Way(network, torch.tensor([5.0, 10.0]), Surrogate(), torch.Generator().manual_seed(0))
    plans = [Frame(0, 64), Frame(1, 64), Frame(2, 64, lost=True), Frame(0, 64)]
    motions = seen_motion(shots)
    shown, held = way.carried(shots[:, :2], motions[:2], plans[:2])
    lost, after = way.carried(shots[:, 2:3], motions[2:3], plans[2:3], held)
    assert torch.equal(lost[0].frame, held.frame) and torch.equal(after.features, held.features)
    assert (after.trust < held.trust).all()
    found, _ = way.carried(shots[:, 3:], motions[3:], plans[3:], after)
    assert torch.isfinite(found[0].frame).all()


def test_motion_costs_only_where_it_is_wrong_and_matters():
    now = torch.rand(1, 3, 32, 32)
    before = now.roll(-2, 3)
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 1] = -2
    motion = Motion(before, flow)
    assert float(misled(flow, now, motion)) == 0
    assert float(misled(torch.zeros_like(flow), now, motion)) > 0.01
    still = Motion(now, torch.zeros_like(flow))
    assert float(misled(flow, now, still)) == 0


@pytest.fixture
def folder():
    """One whose path does not say that it is for tests: those are refused."""
    with tempfile.TemporaryDirectory(prefix="clips") as name:
        yield Path(name)


def test_training_stops_and_goes_on_as_if_it_had_not(folder):
    shots = np.random.default_rng(0).integers(0, 255, (1, 48, 64, 3), dtype=np.uint8).repeat(8, 0)
    write_mp4(folder / "own.mp4", shots, 25.0)
    assert len([*clips.load(f"{folder / 'own.mp4'}@32")[0].levels()]) == 8
    with loaded("train_video") as module:

        def flags(out, steps):
            own = str(folder / "own.mp4")
            return module.TrainVideo(
                out=folder / out, data=own, photographs=(), held_out=own, side=16, frames=3, planes=4, width=16,
                steps=steps, batch=2, threads=1,
            )  # fmt: skip

        module.make_run(flags("whole", 4)).complete()
        part = module.make_run(flags("parts", 4))
        for _ in range(2):
            part._step()
        part.save(part.levels(quick=True))
        module.make_run(flags("parts", 4)).complete()
        with pytest.raises(SemlinkError, match="test set"):
            module.make_run(module.TrainVideo(data="video/test"))

    whole, parts = (load_file(folder / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.allclose(whole[key], parts[key], atol=1e-6) for key in whole)


def test_test_clips_are_refused_under_any_name(data_root):
    assert clips.held_out("video/montage_aba+carphone") == ("montage_aba",)
    assert clips.held_out("video/foreman+bikes") == ("foreman",)
