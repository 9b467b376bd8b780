"""The semantic video codec, with a network that has not learned: what its ends agree on, and training that resumes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scripts import loaded

from semlink.codecs import video
from semlink.codecs.video._semantic import SemanticNetwork, new_trust, unit_power
from semlink.codecs.video._semantic_training import carried
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


def test_a_cue_that_is_not_trusted_changes_nothing(network):
    frame, snr = torch.rand(1, 3, 32, 32), torch.tensor([10.0])
    symbols = unit_power(network.encode(frame, None, snr))
    a = torch.full(symbols.shape, 0.9)
    cues = [torch.rand(1, 3, 32, 32) for _ in range(2)]
    one, other = (network.decode(0.9 * symbols, a, cue, torch.zeros(1)) for cue in cues)
    assert torch.equal(one, other)
    one, other = (network.decode(0.9 * symbols, a, cue, torch.ones(1)) for cue in cues)
    assert not torch.allclose(one, other)


def test_any_beginning_of_the_symbols_decodes_as_the_rest_lost(network):
    frame = torch.rand(1, 3, 32, 32)
    symbols = network.encode(frame, None, torch.tensor([10.0]))
    a = torch.full(symbols.shape, 0.9)
    short = network.decode(symbols[:, :50], a[:, :50], frame, torch.ones(1))
    lost = a.clone()
    lost[:, 50:] = 0
    padded = symbols * (lost > 0)
    snr_alike = network._planes(lost, 4, 4)
    assert torch.equal(network._planes(a[:, :50], 4, 4), snr_alike)
    assert torch.isfinite(short).all() and torch.isfinite(network.decode(padded, lost, frame, torch.ones(1))).all()


def test_trust_is_that_of_the_symbols_and_of_what_they_stand_on():
    a = torch.full((1, 10), 0.8)
    assert new_trust(torch.tensor([0.2]), a, True) == pytest.approx(0.8)
    assert new_trust(torch.tensor([0.2]), a, False) == pytest.approx(0.5)
    assert new_trust(torch.tensor([0.6]), a[:, :0], True) == 0


def test_a_lost_frame_leaves_the_later_ones_finite(network):
    shots = torch.rand(2, 5, 3, 32, 32)
    kinds = np.array([0.5, 0.97, 0.5, 0.1, 0.5])  # the second lost, the fourth a reference
    shown = carried(
        network, shots, torch.tensor([5.0, 10.0]), 1 / 24, kinds, Surrogate(), torch.Generator().manual_seed(0)
    )
    assert shown.shape == shots.shape and torch.isfinite(shown).all()


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
