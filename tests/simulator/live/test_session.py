"""A clip over one link: fade and noise go on, budgets are kept, feedback is late and charged."""

import math

import pytest
import torch

from semlink.simulator.errors import SemlinkError
from semlink.simulator.live.session import Air, Session, Way
from semlink.simulator.plugins import make_link
from semlink.simulator.values import Stream, Transmission
from semlink.simulator.video import FEEDBACK_USES, Clip, Feedback, Shown
from semlink.simulator.words import parse

SIDE = 32
FRAMES = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


class Toy:
    """Sends the same unit symbols for every group; shows grey. spends: symbols, or what it may with None."""

    encodes_on = "snr"
    feedback = True

    def __init__(self, rho=1 / 12, group=1, spends=None):
        self.rho, self.group, self.spends = rho, group, spends
        self.told, self.heard = [], []

    def sender(self, clip):
        return self

    def receiver(self, clip):
        return self

    def send(self, frames, tx):
        self.told.append(tx)
        count = int(self.rho * frames.numel()) if self.spends is None else self.spends
        return Transmission((Stream("x", "analog", torch.ones(1, count, dtype=torch.complex64)),))

    def receive(self, reception):
        self.heard.append(reception.streams[0].x_hat)
        frame = len(self.heard) - 1
        shown = torch.full((self.group, 3, SIDE, SIDE), 0.5)
        return Shown(shown, (False,) * self.group, Feedback(frame, lost=True) if frame == 1 else None)


@pytest.fixture(scope="module")
def link():
    return make_link(parse("rayleigh:coherence=image,csi=perfect"))


def session(codec, link, frames=6, fps=25.0, number=0, **more):
    return Session(codec, Clip(SIDE, SIDE, fps, frames), Air(link, 10.0, number=number, **more))


def test_noise_never_repeats_and_the_fade_goes_on(link):
    codec = Toy(spends=100)
    list(Way(session(codec, link), FRAMES))
    heard = torch.stack(codec.heard)
    assert (heard[0] - heard[1]).abs().min() > 0
    means = heard.mean(2).squeeze()
    assert (means - means.mean()).abs().max() < 0.15  # one gain for the whole clip


def test_a_clip_without_gaps_is_one_transmission(link):
    codec, places = Toy(rho=1.0, spends=link.places), link.places
    one = session(codec, link, frames=3, fps=1e6)
    list(Way(one, FRAMES[:3]))
    whole = Transmission((Stream("x", "analog", torch.ones(1, 3 * places, dtype=torch.complex64)),))
    found = link.run(whole, 10.0, seed=0, first_image=0, fade=one.air.fade()).reception.streams[0].x_hat
    assert torch.equal(found, torch.cat(codec.heard, 1))


def test_clips_have_fades_of_their_own_and_codecs_the_same(link):
    heard = {}
    for number, spends in ((0, 100), (0, 50), (1, 100)):
        codec = Toy(spends=spends)
        list(Way(session(codec, link, number=number), FRAMES[:1]))
        heard[number, spends] = codec.heard[0]
    assert torch.equal(heard[0, 100][:, :50], heard[0, 50])
    assert (heard[0, 100] - heard[1, 100]).abs().max() > 0.1


def test_frames_are_sent_when_they_come(link):
    one = session(Toy(spends=10), link, fps=25.0)
    starts = []
    for passed, _ in Way(one, FRAMES):
        starts.append(one.slot - one.slots_of(passed.report))
    slot_time = link.grid.slot_time
    assert starts == [math.ceil(t / 25 / slot_time - 1e-9) for t in range(6)]


def test_a_busy_air_makes_frames_late(link):
    one = session(Toy(rho=1.0, spends=3 * link.places), link, fps=0.9 / link.grid.slot_time)
    late = [passed.late_s for passed, _ in Way(one, FRAMES[:3])]
    assert late[0] == 0 and late[1] > 0 and late[2] > late[1]


def test_feedback_comes_two_frames_later_and_is_charged(link):
    codec = Toy(spends=10)
    one = session(codec, link)
    found = [passed for passed, _ in Way(one, FRAMES)]
    assert [len(tx.feedback) for tx in codec.told] == [0, 0, 0, 1, 0, 0]
    assert codec.told[3].feedback[0] == Feedback(1, lost=True)
    assert [p.feedback for p in found] == [0, FEEDBACK_USES, 0, 0, 0, 0]
    assert one.account.uses == 6 * 10 + FEEDBACK_USES


def test_who_spends_more_than_there_is_is_refused(link):
    one = session(Toy(spends=int(SIDE * SIDE * 3 / 12 * 10)), link)
    with pytest.raises(SemlinkError, match="it may spend"):
        list(Way(one, FRAMES))


def test_the_last_group_is_filled_and_only_its_own_frames_count(link):
    codec = Toy(group=4, spends=40)
    one = session(codec, link)
    assert [own for _, own in Way(one, FRAMES)] == [4, 2]
    assert (one.account.frames, one.frame) == (6, 6)


def test_a_receiver_that_shows_nothing_is_refused(link):
    codec = Toy(spends=10)
    codec.receive = lambda reception: Shown(torch.zeros(0, 3, SIDE, SIDE), ())
    with pytest.raises(SemlinkError, match="a receiver showed"):
        list(Way(session(codec, link), FRAMES))
