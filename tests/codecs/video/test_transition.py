"""Scene transitions: what is new after motion and lighting, on clips whose cuts are known."""

import pytest
import torch
import torch.nn.functional as F

from semlink.codecs.video._motion import moved
from semlink.codecs.video._transition import doubt, flow_unless_cut, frame_shift, innovation, relit, transition
from semlink.simulator.data import clips


def frames_of(name, numbers):
    (clip,) = clips.load(f"synthetic/{name}@128x128")
    frames = [*clip.frames()]
    return torch.stack([frames[t] for t in numbers]), torch.stack([frames[t - 1] for t in numbers])


@pytest.mark.parametrize(("name", "numbers"), [("cut", (24,)), ("aba", (20, 26))])
def test_cuts_are_found(name, numbers):
    assert transition(*frames_of(name, numbers)).cut.all()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("still", (5,)), ("pan", (5,)), ("fast_pan", (3, 20)), ("zoom", (9,)), ("rotation", (9,)), ("noise", (7,)),
     ("flash", (24, 25)), ("dissolve", (20, 24)), ("scroll", (12, 24)), ("occluder", (20, 21)),
     ("fade_in", (2, 12)), ("whip_pan", (16, 20, 24)), ("ripple", (9, 20))],
)  # fmt: skip
def test_what_moves_is_lit_or_scrolls_is_no_cut(name, numbers):
    found = transition(*frames_of(name, numbers))
    assert not found.cut.any() and (found.innovation < 0.4).all()


def test_innovation_is_the_unexplained_share_of_variance():
    generator = torch.Generator().manual_seed(0)
    x, other = torch.rand(2, 1, 3, 64, 64, generator=generator)
    assert innovation(x, x) == pytest.approx(0, abs=1e-6)
    assert innovation(x, 0.5 * x + 0.2) == pytest.approx(0, abs=1e-6)  # lighting is not new
    assert innovation(x, other) == pytest.approx(1, abs=0.02)
    mixed = x + 0.5 * (other - other.mean())  # gain 1 / (1 + 1/4) leaves 1/4 / (1 + 1/4) of the variance
    assert innovation(x, mixed) == pytest.approx(0.2, abs=0.02)
    assert innovation(torch.full_like(x, 0.3), torch.full_like(x, 0.7)) == 0


def test_doubt_counts_cells_that_miss_or_come_from_outside():
    there = torch.zeros(1, 2, 4, 4)
    none = torch.zeros(1, 2, 1, 1)
    assert doubt(there, there, none) == 0
    lost = there.clone()
    lost[:, 0, 0] = 5.0
    assert doubt(there, lost, none) > 0.2
    away = torch.full((1, 2, 1, 1), -8.0)
    assert doubt(there, there, away) == pytest.approx(7 / 16)  # the first row and column


def test_the_shift_of_a_frame_is_found():
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    before = F.avg_pool2d(F.pad(noise, (2,) * 4, mode="circular"), 5, 1)
    now = before.roll((-30, 7), (2, 3))  # what is at p was at p + shift
    assert frame_shift(now, before).flatten().tolist() == [30, -7]


def test_a_frame_is_relit_like_another():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(relit(0.4 * x + 0.3, x), x, atol=1e-5)


@pytest.mark.parametrize(("name", "number", "cut"), [("cut", 24, True), ("pan", 5, False), ("scroll", 12, False)])
def test_the_quick_look_agrees(name, number, cut):
    now, before = frames_of(name, (number,))
    flow = flow_unless_cut(now, before)
    assert (flow is None) == cut
    assert cut or innovation(now, moved(before, flow)) < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "val"])
def test_on_the_clips_that_it_was_chosen_on_it_finds_the_cuts_and_nothing_else(part, data_root):
    for one in clips.load(f"video/{part}@128x128"):
        frames = [*one.frames()]
        found = [t for t in range(1, len(frames)) if flow_unless_cut(frames[t][None], frames[t - 1][None]) is None]
        assert found == list(one.cuts), one.source.name
