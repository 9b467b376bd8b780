"""Decisions of the controller: what each rule does, and that the adaptive ones keep a budget."""

import numpy as np
import pytest

from semlink.codecs import video
from semlink.codecs.video._controller import OLD, RULES, YOUNG, Controller, Seen
from semlink.codecs.video._offers import HOLD, Offer
from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import parse

ANCHOR, HEADER, MEAN = 4096, 64, 900.0


def seen(left=0.05, uses=HEADER, cut=False, fresh=0.02, may=10 * MEAN, offers=True):
    found = [(Offer(HOLD, b"", left), uses, 0)] if offers else []
    return Seen(cut, fresh, found, ANCHOR, HEADER, int(may), MEAN)


def run(controller, frames):
    """Decisions on what is seen, frame by frame; the frames that got an anchor."""
    renewed = []
    for number, frame in enumerate(frames):
        decision, controller = controller.decide(frame)
        if decision.refresh:
            renewed.append(number)
    return renewed, controller


def test_unknown_rules_and_nonsense_are_refused():
    with pytest.raises(SemlinkError, match="known: fixed"):
        Controller("best")
    with pytest.raises(SemlinkError):
        Controller("fixed", gop=0)


def test_none_of_a_word_is_the_rule_of_that_name():
    word = parse("cvsc:controller=none,steps=0,profile=none")
    assert video.create(word.name, **dict(word.settings)).settings.rule == Controller("none")


@pytest.mark.parametrize("rule", RULES)
def test_without_an_anchor_there_is_one_first(rule):
    decision, _ = Controller(rule).decide(seen(offers=False, cut=True))
    assert decision.refresh


def test_fixed_renews_every_so_many_frames_whatever_is_seen():
    renewed, _ = run(Controller("fixed", gop=4), [seen(cut=k == 2) for k in range(12)])
    assert renewed == [3, 7, 11]


def test_cut_renews_at_cuts_and_when_old():
    frames = [seen(cut=k in (5, 40)) for k in range(40 + OLD + 1)]
    assert run(Controller("cut"), frames)[0] == [5, 40, 40 + OLD]


def test_none_never_renews():
    assert run(Controller("none"), [seen(left=1.2, cut=k == 5) for k in range(99)])[0] == []


@pytest.mark.parametrize("rule", ["regret", "regret2"])
def test_a_cut_is_renewed_at_once_where_uses_are_there(rule):
    calm = seen(left=0.02)
    frames = [calm] * 20 + [seen(left=1.1, cut=True, fresh=1.1)] + [calm] * 5
    assert run(Controller(rule), frames)[0] == [20]
    frames[20] = seen(left=1.1, cut=True, fresh=1.1, may=ANCHOR - 1)
    frames[21] = seen(left=1.1, fresh=0.02, may=ANCHOR - 1)
    frames[22] = seen(left=1.1, fresh=0.02)
    assert run(Controller(rule), frames)[0] == [22]


def test_faster_ageing_renews_more_often():
    """With a cost of c a at age a and nothing else the best period is sqrt(2 price / c)."""
    for slope in (0.002, 0.02):
        controller, age, periods = Controller("regret"), 0, []
        for _ in range(400):
            decision, after = controller.decide(seen(left=slope * age, fresh=0.0, uses=0))
            controller = Controller("regret", price=0.3, age=after.age, regret=after.regret, total=after.total)
            if decision.refresh:
                periods.append(age)
            age = 0 if decision.refresh else age + 1
        best = np.sqrt(2 * 0.3 / slope)
        assert 0.6 * best < np.mean(periods[1:]) < 1.5 * best


def test_never_younger_than_it_must_be_without_a_cut():
    renewed, _ = run(Controller("regret"), [seen(left=1.5, fresh=1.5) for _ in range(30)])
    assert min(np.diff(renewed)) >= YOUNG


def test_motion_becomes_dearer_when_too_much_is_spent():
    dear, cheap = Controller("regret"), Controller("regret")
    for _ in range(50):
        _, dear = dear.decide(seen(uses=3 * int(MEAN)))
        _, cheap = cheap.decide(seen(uses=HEADER))
    assert dear.price > 1.5 * cheap.price


def test_of_two_offers_the_dear_one_must_be_worth_it():
    cheap, good = (Offer(0, b"", 0.2), HEADER, 0), (Offer(4, b"x", 0.15), 1500, 1)
    decision, _ = Controller("none").decide(Seen(False, 0.1, [cheap, good], ANCHOR, HEADER, 9000, MEAN))
    assert decision.offer is cheap[0]
    better = (Offer(4, b"x", 0.01), 1500, 1)
    decision, _ = Controller("none").decide(Seen(False, 0.1, [cheap, better], ANCHOR, HEADER, 9000, MEAN))
    assert decision.offer is better[0] and decision.slot == 1
    decision, _ = Controller("none").decide(Seen(False, 0.1, [cheap, better], ANCHOR, HEADER, 1000, MEAN))
    assert decision.offer is cheap[0]


def test_while_an_anchor_waits_for_room_motion_is_modest():
    """But where only dear motion shows anything of a new scene it is sent."""
    dear, cheap = (Offer(4, b"x", 0.3), int(MEAN), 0), (Offer(0, b"", 0.5), HEADER, 0)
    waits = Seen(False, 0.05, [dear, cheap], ANCHOR, HEADER, ANCHOR - 1, MEAN)
    decision, _ = Controller("fixed", gop=1).decide(waits)
    assert not decision.refresh and decision.offer is cheap[0]
    assert Controller("none").decide(waits)[0].offer is dear[0]
    blind = Seen(True, 1.2, [dear, (Offer(0, b"", 1.3), HEADER, 0)], ANCHOR, HEADER, ANCHOR - 1, MEAN)
    assert Controller("fixed", gop=1).decide(blind)[0].offer is dear[0]


def test_nothing_is_sent_where_nothing_fits():
    decision, after = Controller("regret").decide(seen(may=10))
    assert not decision.refresh and decision.offer is None and after.age == 1


def test_the_same_sight_twice_gives_the_same_decisions():
    rng = np.random.default_rng(0)
    frames = [seen(left=float(rng.random()), cut=bool(rng.random() < 0.05)) for _ in range(60)]
    assert run(Controller("regret2"), frames) == run(Controller("regret2"), frames)
