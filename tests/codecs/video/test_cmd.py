"""Content and motion, with a network that has not learned: what its ends agree on, and training that resumes."""

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
from semlink.codecs.video._content_motion import ContentMotionNetwork, Split
from semlink.codecs.video.cmd import first_cut, heard_motion, motion_symbols, own_of, scenes_of
from semlink.simulator import check_video_codec
from semlink.simulator.conformance.video import check_damaged, lost
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import write_mp4
from semlink.simulator.link.link import Link
from semlink.simulator.live.session import Air, Session, Way
from semlink.simulator.training.run import save_weights
from semlink.simulator.video import Clip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cmd") / "weights.safetensors"
    save_weights(ContentMotionNetwork(latents=2, hidden=32, depth=1, heads=2), path, {})
    return path


@pytest.fixture(scope="module")
def network(weights):
    return video.create("cmd", weights=weights).network


@pytest.mark.slow
def test_it_passes_what_every_codec_must(weights):
    check_video_codec(video.create("cmd", rho=1 / 24, length=4, weights=weights), floor_db=10.0, long=16)


def test_a_group_of_which_nothing_is_heard_is_concealed(weights):
    codec = video.create("cmd", rho=1 / 24, length=4, weights=weights)
    check_damaged(codec, torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)), "all lost", lost)


def test_without_weights_it_says_how_to_get_them():
    with pytest.raises(SemlinkError, match="train_video.py"):
        video.create("cmd", weights="nowhere.safetensors").check(64, 64)


@pytest.mark.parametrize("settings", [{"length": 5}, {"repeat": 0}, {"rho": 0.0}])
def test_nonsense_is_refused(settings):
    with pytest.raises(SemlinkError):
        video.create("cmd", **settings)


def test_a_rate_without_room_for_content_is_refused_at_once(weights):
    with pytest.raises(SemlinkError, match="no room for content"):
        video.create("cmd", rho=1 / 2000, weights=weights).check(64, 64)


def test_content_is_a_weighted_mean_over_time_of_each_scene(network):
    clips = torch.rand(1, 4, 3, 16, 24)
    one = network.split(clips, scenes_of(0, 4)).content[0, 0] / 2 + 0.5
    assert (one <= clips[0].amax(0) + 1e-5).all() and (one >= clips[0].amin(0) - 1e-5).all()
    still = clips[:, :1].expand(-1, 4, -1, -1, -1)
    assert torch.allclose(network.split(still, scenes_of(0, 4)).content[0, 0] / 2 + 0.5, clips[0, 0], atol=1e-5)
    two = network.split(torch.cat([still, 1 - still], 1), scenes_of(4, 8)).content[0] / 2 + 0.5
    assert torch.allclose(two, torch.stack([clips[0, 0], 1 - clips[0, 0]]), atol=1e-5)


def test_motion_is_few_numbers_of_every_row_and_column(network):
    split = network.split(torch.rand(2, 4, 3, 16, 24), scenes_of(0, 4))
    assert split.motion.shape == (2, 2, 4, 2 + 3)


def test_reliability_and_motion_reach_every_frame(network):
    content, motion = torch.rand(1, 2, 3, 16, 16), torch.rand(1, 2, 4, 4)
    a = torch.full((1, 2), 0.9), torch.full(motion.shape, 0.9)
    torch.nn.init.normal_(network.shown.weight, std=0.1)  # it starts at zero, and content is shown as it is
    shown = network.join(Split(content, motion), a, scenes_of(2, 4))
    assert shown.shape == (1, 4, 3, 16, 16)
    other = network.join(Split(content, motion), (a[0], a[1] * 0.5), scenes_of(2, 4))
    assert not torch.allclose(shown, other)


@pytest.mark.parametrize("repeat", [1, 3])
def test_repeated_symbols_are_put_together_as_they_are_worth(repeat):
    generator = torch.Generator().manual_seed(0)
    motion = torch.randn(1, 2, 50, 40, generator=generator)
    x = motion_symbols(motion, repeat)
    assert x.abs().square().mean() == pytest.approx(1, abs=1e-4)
    a = torch.rand(x.shape, generator=generator) * 0.8 + 0.1
    noise = torch.view_as_complex(torch.randn(*x.shape, 2, generator=generator))
    values, together = heard_motion(a * x + (a * (1 - a) / 2).sqrt() * noise, a, repeat, (2, 50, 40))
    sent = heard_motion(x[:, : x.shape[1] // repeat], torch.full((1, 2000), 1.0), 1, (2, 50, 40))[0]
    error = (values - sent).square()
    assert error.mean() == pytest.approx(float((1 - together).mean()), rel=0.1)  # the error of an MMSE estimate
    assert (values * sent).mean() == pytest.approx(float(together.mean()), rel=0.1)


def test_a_cut_is_found_where_it_is():
    generator = torch.Generator().manual_seed(0)
    scenes = torch.rand(2, 1, 3, 16, 16, generator=generator)
    large = torch.nn.functional.interpolate(scenes.flatten(0, 1), (64, 64), mode="bicubic").clamp(0, 1)
    frames = torch.cat([large[:1].roll(k, 3) for k in range(5)] + [large[1:].roll(k, 2) for k in range(3)])
    assert first_cut(frames) == 5
    assert first_cut(frames[:5]) == 0 and first_cut(frames[:1]) == 0
    assert scenes_of(5, 8).tolist() == [0] * 5 + [1] * 3 and scenes_of(0, 3).tolist() == [0, 0, 0]


def test_a_group_whose_head_is_lost_is_taken_for_one_without_a_cut(weights):
    """It is then what it would have been; one with a cut is not decoded."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(2, 3, 8, 8, generator=generator)
    large = torch.nn.functional.interpolate(drawn, (64, 64), mode="bicubic").clamp(0, 1)
    still = large[:1].expand(4, -1, -1, -1)
    frames = torch.cat([still, still[:2], large[1:].expand(2, -1, -1, -1)])
    codec = video.create("cmd", rho=1 / 24, length=4, weights=weights)

    def shown_of(lost):
        def disturb(frame, reception):
            head, *rest = reception.streams
            gone = replace(head, payload=(None,), ok=(False,))
            told = [replace(s, a=s.a * 0) if s.a is not None and frame == 4 else s for s in rest]  # as the link has it
            return replace(reception, streams=(gone, *told)) if lost else reception

        air = Air(Link(channels.create("awgn")), 12.0)
        session = Session(codec, Clip(64, 64, frames=8), air, disturb=disturb)
        return [passed.shown for passed, _ in Way(session, frames)]

    (whole, cut), (same, held) = shown_of(False), shown_of(True)
    assert torch.equal(whole.frames, same.frames) and not any(same.concealed)
    assert not any(cut.concealed) and all(held.concealed)


def test_both_ends_know_how_many_frames_the_last_group_has(weights):
    codec = video.create("cmd", length=8, weights=weights)
    assert [own_of(codec, Clip(64, 64, frames=21), count) for count in (0, 8, 16)] == [8, 8, 5]
    assert own_of(codec, Clip(64, 64), 16) == 8


def test_training_stops_and_goes_on_as_if_it_had_not():
    with tempfile.TemporaryDirectory(prefix="clips") as name:  # pytest's own folders look like test data
        folder = Path(name)
        shots = np.random.default_rng(0).integers(0, 255, (1, 128, 128, 3), dtype=np.uint8).repeat(16, 0)
        write_mp4(folder / "own.mp4", shots, 25.0)
        with loaded("train_video") as module:

            def run(out):
                own = str(folder / "own.mp4")
                return module.make_run(
                    module.TrainVideo(
                        network="cmd",
                        out=folder / out,
                        data=own,
                        photographs=(),
                        held_out=own,
                        latents=2,
                        hidden=32,
                        depth=1,
                        steps=4,
                        batch=1,
                        threads=1,
                    )  # fmt: skip
                )

            run("whole").complete()
            part = run("parts")
            part._step()
            part.save(part.levels(quick=True))
            run("parts").complete()
        whole, parts = (load_file(folder / out / "weights.safetensors") for out in ("whole", "parts"))
    assert all(torch.allclose(whole[key], parts[key], atol=1e-6) for key in whole)
