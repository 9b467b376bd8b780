"""Packets with a head of their own: they hold what they are chosen for, and are lost with either part."""

from dataclasses import replace

from semlink.codecs.video._headed import LONG, SHORT, Packets, head_of
from semlink.codecs.video._packets import BODY, HEAD, received
from semlink.simulator.bits.mcs import get
from semlink.simulator.values import LinkStatistics, ReceivedStream, Reception
from semlink.simulator.video import Budget, Clip


def arrived(transmission):
    """A reception with everything."""
    streams = tuple(
        ReceivedStream(s.name, "bits", payload=tuple(s.payload), ok=(True,) * len(s.payload))
        for s in transmission.streams
    )
    return Reception(streams)


def test_packets_hold_what_they_are_chosen_for_and_tell_it_in_a_byte():
    packets = Packets.of(Budget.of(1 / 48, Clip(128, 128, frames=300)), get("16qam-0.50"))
    for size in (1, 17, 255, 256, 900, 2000):
        step = packets.step(size)
        assert packets.holds(step) >= size and (step == 1 or packets.holds(step - 1) < size)
        sent = packets.sent(b"x" * size, 10**6)
        assert sum(s.uses for s in sent.streams) == packets.cost(size)
        assert received(arrived(sent)) == b"x" * size
    assert packets.uses(255) >= 11 * 1024  # the largest that there may ever be: ten frames ahead, and its own
    assert received(arrived(packets.sent(b"", 10**6))) == b""


def test_a_packet_is_lost_with_its_head_or_its_body():
    packets = Packets.of(Budget.of(1 / 48, Clip(128, 128)), get("qpsk-0.50"))
    whole = arrived(packets.sent(b"payload", 10**6))
    for name in (HEAD, BODY):
        streams = tuple(replace(s, payload=(None,)) if s.name == name else s for s in whole.streams)
        assert received(Reception(streams)) is None


def test_the_short_head_is_for_links_on_which_it_surely_arrives():
    def statistics(chance):
        return LinkStatistics(100, (1.0,), (0.5,), {64: {"qpsk-0.65": (chance,)}})

    assert head_of(statistics(1.0)) == SHORT
    assert head_of(statistics(0.99)) == LONG
    assert head_of(None) == LONG
