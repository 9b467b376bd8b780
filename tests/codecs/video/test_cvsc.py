"""Anchors and motion: offers find what moves, ends agree, and a lost anchor is mended."""

import pytest
import torch
import torch.nn.functional as F

from semlink.codecs import video
from semlink.codecs.video import _motion_code as motion_code
from semlink.codecs.video import _offers
from semlink.codecs.video._offers import Anchor, best_flow, offers, quantised, unpack
from semlink.simulator import check_video_codec
from semlink.simulator.conformance.video import lost
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.live.session import Air, Session, Way
from semlink.simulator.plugins import make_link
from semlink.simulator.words import parse


def texture(side=96):
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    smooth = F.avg_pool2d(F.pad(noise, (3,) * 4, mode="circular"), 7, stride=1)
    return 0.5 + 0.2 * (smooth - smooth.mean()) / smooth.std()


@pytest.mark.slow
@pytest.mark.parametrize("controller", ["fixed", "regret2"])
def test_it_passes_what_every_codec_must(controller):
    check_video_codec(video.create("cvsc", rho=1 / 24, controller=controller, gop=4, steps=0), long=40)


def test_rates_without_room_for_an_anchor_are_refused_at_once():
    with pytest.raises(SemlinkError, match="anchor_rho"):
        video.create("cvsc", rho=1 / 500).check(128, 128)


def test_a_pan_is_one_motion_of_the_whole_frame():
    before = texture()
    now = before.roll((-4, 6), (2, 3))
    found = {offer.mode: offer for offer in offers(now, Anchor.of(before, 1))}
    assert sorted(found) == [*range(_offers.MODES)]
    assert found[_offers.HOLD].innovation > 0.5 and found[_offers.GLOBAL].innovation < 0.15
    assert len(found[_offers.GLOBAL].motion) <= 6 <= len(found[4].motion)


def test_zoom_and_turn_come_back_from_few_bytes():
    rows, columns = torch.meshgrid(*((torch.arange(12) + 0.5) / 6 - 1 for _ in range(2)), indexing="ij")
    flow = torch.stack([1 + 5 * rows + 3 * columns, -2 + 5 * columns - 3 * rows])[None]
    data = motion_code.pack(quantised(flow, _offers.GLOBAL))
    assert len(data) <= 7
    assert torch.allclose(unpack(data, _offers.GLOBAL, 96, 96), flow, atol=0.8)


def test_accumulated_motion_reaches_farther_than_a_search():
    scene = texture(160)
    frames = [scene[..., :96, 8 * k : 8 * k + 96] for k in range(6)]  # 8 px a frame, 40 in the end
    anchor = Anchor.of(frames[0], 1)
    for _ in range(5):
        step = torch.zeros(1, 2, 12, 12)
        step[:, 1] = 8
        anchor = anchor.seen(step)
    assert best_flow(frames[5], anchor)[0, 1, 3:9, 1:6].mean() == pytest.approx(40, abs=2)


def sent(codec, name, disturb=None, frames=32):
    (clip,) = clips.load(f"synthetic/{name}@64x64x{frames}")
    air = Air(make_link(parse("awgn")), 15.0)
    session = Session(codec, clip.clip, air, disturb=disturb or (lambda frame, reception: reception))
    return [passed for passed, _ in Way(session, clip.frames())]


def psnr(passed):
    return float(-10 * (passed.shown.frames - passed.frames).square().mean().log10())


@pytest.mark.slow
def test_a_lost_anchor_is_told_back_and_mended():
    first = []

    def lose(frame, reception):
        renewed = any(stream.name.startswith("anchor-") for stream in reception.streams)
        if renewed and frame and not first:
            first.append(frame)
            return lost(frame, reception)
        return reception

    passed = sent(video.create("cvsc", rho=1 / 12, controller="cut"), "cut", lose)
    (number,) = first
    assert number == 24
    assert psnr(passed[number]) < 15 < psnr(passed[-1])  # the feedback takes two frames
    first.clear()
    alone = sent(video.create("cvsc", rho=1 / 12, controller="cut", nack=False), "cut", lose)
    assert psnr(alone[-1]) < 15
