"""The semantic video codec, with a network that has not learned: what its ends agree on, and training that resumes."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scripts import loaded

from semlink import channels
from semlink.codecs import video
from semlink.codecs.video._lack import Runs, choice, grown
from semlink.codecs.video._semantic import Held, SemanticNetwork, Side, cells, new_trust, normalised, placed, taken
from semlink.codecs.video._semantic_training import Frame, Way, seen_motion
from semlink.codecs.video._side import Told, level_of, uses_of
from semlink.simulator import check_video_codec
from semlink.simulator.conformance.video import check_damaged, lost
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import write_mp4
from semlink.simulator.link.link import Link
from semlink.simulator.live.session import Air, Session
from semlink.simulator.live.session import Way as Carried
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import save_weights
from semlink.simulator.video import Budget, Clip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("wvsc") / "weights.safetensors"
    network = SemanticNetwork(planes=8, width=16, blocks=(1, 1))
    frames = torch.nn.functional.avg_pool2d(torch.rand(64, 3, 68, 68), 5, 1)  # smooth, as pictures are
    network.start_linear(cells(frames).permute(0, 2, 3, 1).reshape(-1, 192))
    save_weights(network, path, {})
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


def test_a_rate_without_room_for_symbols_is_refused_at_once(weights):
    with pytest.raises(SemlinkError, match="too few"):
        video.create("wvsc", rho=1 / 192, weights=weights).check(64, 64)
    video.create("wvsc", rho=1 / 192, weights=weights).check(128, 128)


@pytest.mark.parametrize("settings", [{"gop": 0}, {"boost": 0.5}, {"boost": 99.0}, {"rho": 0.0}])
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


def side_of(start, intra=False, batch=1, scale=1.0):
    flow = torch.zeros(batch, 2, 1, 1)
    return Side(torch.full((batch,), start), torch.full((batch,), scale), torch.full((batch,), intra), flow)


def test_before_it_learns_it_is_a_linear_code_without_loss_of_what_it_keeps(network):
    """All planes, no noise: what is shown is the projection on the components that are kept."""
    frames = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 36, 36), 5, 1)
    z = network.encode(frames, torch.tensor([20.0]))
    symbols = taken(z, torch.tensor([0]), z.numel())
    a = torch.ones(symbols.shape)
    found = network.decode(symbols, a, side_of(0, intra=True), network.nothing(frames)).frame
    again = network.encode(found, torch.tensor([20.0]))
    assert (found - frames).square().mean() < 0.4 * (frames - 0.5).square().mean()
    assert torch.allclose(again, z, atol=2e-2)


def test_a_cue_keeps_the_planes_that_are_not_sent(network):
    frames = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 36, 36), 5, 1)
    z = network.encode(frames, torch.tensor([20.0]))
    held = network.nothing(frames)
    for start in (0, 4 * 16):
        symbols = taken(z, torch.tensor([start]), 4 * 16)
        found = network.decode(symbols, torch.ones(symbols.shape), side_of(start), held)
        held = Held(found.frame, found.features, torch.ones(1))
    again = network.encode(held.frame, torch.tensor([20.0]))
    assert (again - z).abs().square().mean() < 0.01 * z.abs().square().mean()


def test_a_frame_by_itself_does_not_look_at_what_is_held(network):
    symbols = torch.randn(1, 32, dtype=torch.complex64)

    def shown(intra, trust=1.0):
        held = Held(torch.rand(1, 3, 32, 32), torch.rand(1, 24, 4, 4), torch.full((1,), trust))
        return network.decode(symbols, torch.full((1, 32), 0.9), side_of(0, intra), held).frame

    assert torch.equal(shown(True), shown(True)) and torch.equal(shown(False, 0.0), shown(False, 0.0))
    assert not torch.allclose(shown(False), shown(False))


def passing(deaf):
    """What happens to receptions: blocks of frames for which `deaf` is true are lost; symbols always arrive."""

    def disturb(number, reception):
        side = reception.stream("side")
        gone = replace(side, payload=(None,), ok=(False,))
        return replace(reception, streams=(gone if deaf(number) else side, reception.stream("frame")))

    return disturb


def shown_of(weights, frames, deaf, **settings):
    codec = video.create("wvsc", rho=1 / 24, weights=weights, **settings)
    air = Air(Link(channels.create("awgn")), 8.0)
    session = Session(codec, Clip(64, 64, frames=len(frames)), air, disturb=passing(deaf))
    return [passed.shown for passed, _ in Carried(session, frames)]


def mse(shown, frames):
    return torch.tensor([float((s.frames[0] - f).square().mean()) for s, f in zip(shown, frames, strict=True)])


@pytest.fixture(scope="module")
def still():
    smooth = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 76, 76, generator=torch.Generator().manual_seed(1)), 13, 1)
    return (smooth - smooth.mean()).mul(4).add(0.5).clamp(0, 1).expand(8, -1, -1, -1)


@pytest.mark.parametrize("settings", [{}, {"intra": True}], ids=str)
def test_frames_are_decoded_without_their_block(weights, still, settings):
    """All blocks but the first are lost: as good as with them within 1 dB, and better from frame to frame."""
    heard = mse(shown_of(weights, still, lambda number: False, **settings), still)
    deaf = shown_of(weights, still, lambda number: number > 0, **settings)
    assert not any(shown.concealed[0] for shown in deaf)
    assert mse(deaf, still)[1:].mean() < 1.26 * heard[1:].mean()
    if not settings:
        assert mse(deaf, still)[-1] < mse(deaf, still)[0]


def test_without_any_block_the_first_frame_is_taken_for_a_usual_one(weights, still):
    deaf = shown_of(weights, still, lambda number: True)
    assert not deaf[0].concealed[0]
    assert mse(deaf, still)[0] < 0.5 * (still[0] - 0.5).square().mean()


@pytest.mark.parametrize("intra", [False, True])
def test_of_frames_of_which_nothing_is_heard_nothing_is_supposed(weights, still, intra):
    check_damaged(video.create("wvsc", rho=1 / 24, weights=weights, intra=intra), still[:3], "all lost", lost)


def test_a_new_scene_is_not_supposed(weights, still):
    """Its block lost, the frame is like nothing that is held, and the last one stands."""
    other = 1 - torch.roll(still[:1], (20, 31), (2, 3)).flip(2)
    shown = shown_of(weights, torch.cat([still[:3], other]), lambda number: number == 3)
    assert [own.concealed[0] for own in shown] == [False, False, False, True]
    assert torch.equal(shown[3].frames, shown[2].frames.mul(255).round().div(255))


def test_symbols_come_back_to_their_places():
    z = torch.randn(2, 4, 3, 5, dtype=torch.complex64)
    start = torch.tensor([0, 25])
    back = placed(taken(z, start, 20), start, 4, (3, 5)).flatten(1)
    assert torch.equal(back[0, :20], z[0].flatten()[:20]) and back[0, 20:].abs().sum() == 0
    assert torch.equal(back[1, 25:45], z[1].flatten()[25:45]) and back[1, :25].abs().sum() == 0


def test_symbols_are_normalised_to_unit_power():
    symbols, scale = normalised(torch.randn(3, 50, dtype=torch.complex64) * torch.tensor([[0.1], [1.0], [5.0]]))
    assert torch.allclose(symbols.abs().square().mean(1), torch.ones(3), atol=1e-5)
    assert scale[0] < scale[1] < scale[2]
    assert torch.isfinite(normalised(torch.zeros(1, 5, dtype=torch.complex64))[0]).all()


def test_runs_cover_all_planes():
    for uses in (7, 15, 22, 60, 100):
        runs = Runs(planes=4, count=15, uses=min(uses, 60))
        assert (runs.shares().amax(0) > 0).all()
        assert torch.allclose(runs.shares().sum(1), torch.tensor(min(uses, 60) / 15))


def test_what_is_lacked_most_is_sent_next():
    runs = Runs(planes=4, count=10, uses=10)
    own = torch.tensor([[8.0, 4.0, 2.0, 1.0]])
    a, none, lack, worth = torch.tensor([0.9]), torch.zeros(1, 4), None, torch.full((4,), 0.5)
    order = []
    for _ in range(4):
        lack = grown(lack, own, none, torch.tensor([False]))
        run, lack = choice(lack, own, worth, a, runs)
        order.append(int(run))
    assert order == [0, 1, 2, 3]  # a still picture is told ever more
    assert torch.allclose(lack, 0.1 * own)  # the error of an MMSE estimate, 1 - a
    run, lack = choice(lack, own, worth, a, runs)
    assert int(run) == 0 and lack[0, 0] == pytest.approx(8 / 19)  # and then again, whose noise it halves
    lack = grown(lack, own, own * 2, torch.tensor([False]))
    assert torch.equal(lack, own)  # never more than all of it
    moving = grown(torch.tensor([[0.8, 0.4, 2.0, 1.0]]), own, 0.5 * own, torch.tensor([False]))
    assert int(choice(moving, own, worth, a, runs)[0]) == 0
    assert torch.equal(grown(0.1 * own, own, none, torch.tensor([True])), own)


def test_what_is_told_of_a_frame_comes_back():
    told = Told(run=43, level=17, intra=True, mode=3, motion=b"xyz")
    assert Told.unpack(told.pack()) == told
    assert Told.unpack(b"") is None and Told.unpack(bytes([255, 255])) is None
    for scale in (0.02, 0.5, 1.0, 3.9):
        assert Told(0, level_of(scale), False).scale == pytest.approx(scale, rel=0.07)


def test_the_block_takes_an_eighth_at_most_where_it_can():
    from semlink.simulator.bits.mcs import get

    assert uses_of(1024, get("qpsk-0.50")) == 128
    assert uses_of(512, get("qpsk-0.38")) == 64 and uses_of(10, get("qpsk-0.25")) == 128


def test_trust_is_that_of_the_symbols_and_of_what_they_stand_on():
    a, yes, no = torch.full((1, 10), 0.8), torch.tensor([True]), torch.tensor([False])
    assert new_trust(torch.tensor([0.2]), a, yes) == pytest.approx(0.8)
    assert new_trust(torch.tensor([0.2]), a, no) == pytest.approx(0.5)
    assert new_trust(torch.tensor([0.6]), a[:, :0], yes) == 0


def test_of_a_lost_frame_the_last_one_is_shown_and_trusted_less(network):
    shots = torch.rand(2, 4, 3, 32, 32)
    way = Way(network, torch.tensor([5.0, 10.0]), Surrogate(), torch.Generator().manual_seed(0))
    plans = [Frame(64), Frame(64), Frame(64, lost=True), Frame(64, intra=True)]
    motions = seen_motion(shots)
    _, ends = way.carried(shots[:, :2], motions[:2], plans[:2])
    lost, after = way.carried(shots[:, 2:3], motions[2:3], plans[2:3], ends)
    assert torch.equal(lost[:, 0], ends.held.frame.clamp(0, 1)) and torch.equal(after.held.features, ends.held.features)
    assert (after.held.trust < ends.held.trust).all()
    found, _ = way.carried(shots[:, 3:], motions[3:], plans[3:], after)
    assert torch.isfinite(found).all()


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
