"""H.265 and H.264 frame by frame: packets, losses, feedback, what is expected of a scheme."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink.codecs import video
from semlink.codecs._sources.stream import CODERS, Decoder, Encoder, parameter_sets
from semlink.codecs.video import _expected as told
from semlink.codecs.video._expected import Pattern
from semlink.codecs.video._packets import BODY, HEAD, Packets, received
from semlink.codecs.video._plan import planned
from semlink.codecs.video._units import Packed, joined, parted
from semlink.simulator.bits.mcs import get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream, Reception
from semlink.simulator.video import Bucket, Budget, Clip, Feedback, VideoInfo

SIDE = 64


def frames(count, seed=0):
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(coarse, (2 * SIDE, 2 * SIDE), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([large[:, t % SIDE : t % SIDE + SIDE, :SIDE] for t in range(count)])


def arrived(transmission):
    """A reception with everything."""
    streams = tuple(
        ReceivedStream(s.name, "bits", payload=tuple(s.payload), ok=(True,) * len(s.payload))
        for s in transmission.streams
    )
    return Reception(streams)


def gone(transmission):
    streams = tuple(replace(s, payload=(None,), ok=(False,)) for s in arrived(transmission).streams)
    return Reception(streams)


def carry(codec, clip, lost=(), feedback=None):
    """Frames shown without a link; `lost` frames do not arrive. feedback: by frame number."""
    sender, receiver, bucket = codec.sender(clip), codec.receiver(clip), Bucket.full(Budget.of(codec.rho, clip))
    shown, sizes = [], []
    for t, frame in enumerate(frames(clip.frames)):
        bucket = bucket.filled(1)
        tx = VideoInfo(snr_db=20.0, uses=bucket.uses, frame=t, feedback=(feedback or {}).get(t, ()))
        sent = sender.send(frame[None], tx)
        uses = sum(s.uses for s in sent.streams)
        assert uses <= bucket.uses
        bucket = bucket.spent(uses)
        sizes.append(uses)
        shown.append(receiver.receive(gone(sent) if t in lost else arrived(sent)))
    return shown, sizes


@pytest.mark.parametrize("name", ["h265", "h264"])
@pytest.mark.parametrize("size", [(64, 64), (36, 50)])
def test_a_decoder_shows_what_was_coded_at_any_rate(name, size):
    picture = frames(4).mul(255).round().byte().permute(0, 2, 3, 1).numpy()[:, : size[0], : size[1]]
    for bits in (400, 1700, 12345):  # parameter sets are those of another rate
        encoder, decoder = Encoder(CODERS[name], *size, bits, 10 * bits), Decoder(CODERS[name], *size)
        for frame in picture:
            found = decoder.decode(encoder.encode(np.ascontiguousarray(frame)))
            assert found is not None and found.shape == (*size, 3)
        assert 10 * np.log10(255**2 / np.square(found.astype(float) - frame).mean()) > 25


def test_more_bits_are_better_and_kept_to():
    picture = [np.ascontiguousarray(f) for f in frames(40).mul(255).round().byte().permute(0, 2, 3, 1).numpy()]
    for bits in (300, 1000):
        encoder = Encoder(CODERS["h265"], SIDE, SIDE, bits, 10 * bits)
        sizes = [8 * len(encoder.encode(frame)) for frame in picture]
        assert np.mean(sizes) < 1.3 * bits


@pytest.mark.parametrize("name", ["h265", "h264"])
@pytest.mark.parametrize("size", [(16, 16), (24, 33), (32, 32), (48, 48), (64, 64), (64, 80)])
def test_coding_twice_gives_the_same_bytes_at_any_size(name, size):
    picture = frames(8).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    picture = np.pad(picture, ((0, 0), (0, 0), (0, 32), (0, 0)), mode="edge")[:, : size[0], : size[1]]
    coded = []
    for _ in range(3):
        encoder = Encoder(CODERS[name], *size, 900, 9000)
        coded.append([encoder.encode(np.ascontiguousarray(frame)) for frame in picture])
    assert coded[0] == coded[1] == coded[2]


@pytest.mark.parametrize("junk", [b"", b"\x26", b"\x02" + b"\0" * 9, b"\x26\x01\xff\xff\xff", bytes(range(1, 200))])
def test_bytes_that_are_no_slice_are_none(junk):
    decoder = Decoder(CODERS["h265"], SIDE, SIDE)
    assert decoder.decode(junk) is None


def test_a_decoder_that_moves_goes_on_the_same():
    picture = frames(6).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    encoder, here = Encoder(CODERS["h265"], SIDE, SIDE, 1000, 10000), Decoder(CODERS["h265"], SIDE, SIDE)
    coded = [encoder.encode(np.ascontiguousarray(frame)) for frame in picture]
    for sent in coded[:3]:
        here.decode(sent)
    moved = pickle.loads(pickle.dumps(here))
    for sent in coded[3:]:
        assert np.array_equal(here.decode(sent), moved.decode(sent))


def test_packets_hold_what_they_are_chosen_for_and_tell_it_in_a_byte():
    packets = Packets.of(Budget.of(1 / 48, Clip(128, 128, frames=300)), get("16qam-0.50"))
    for size in (1, 17, 255, 256, 900, 2000):
        step = packets.step(size)
        assert packets.holds(step) >= size and (step == 0 or packets.holds(step - 1) < size)
        sent = packets.sent(b"x" * size, 10**6)
        assert sum(s.uses for s in sent.streams) == packets.cost(size)
        assert received(arrived(sent)) == b"x" * size
    assert packets.uses(255) >= 11 * 1024  # the largest that there may ever be: ten frames ahead, and its own
    assert received(arrived(packets.sent(b"", 10**6))) == b""


def test_no_packet_waits_for_more_than_there_ever_is():
    budget = Budget.of(1 / 48, Clip(128, 128, frames=96))
    packets = Packets.of(budget, get("qpsk-0.50"))
    assert packets.most == int(budget.ahead + budget.refill)
    cost = packets.cost(900)
    assert replace(packets, most=cost).cost(900) == cost and replace(packets, most=cost - 1).cost(900) is None


def test_a_packet_is_lost_with_its_head_or_its_body():
    packets = Packets.of(Budget.of(1 / 48, Clip(128, 128)), get("qpsk-0.50"))
    whole = arrived(packets.sent(b"payload" * 20, 10**6))
    for name in (HEAD, BODY):
        streams = tuple(replace(s, payload=(None,)) if s.name == name else s for s in whole.streams)
        assert received(Reception(streams)) is None


@pytest.mark.parametrize("scheme", ["qpsk-0.25x2", "qpsk-0.50", "64qam-0.85"])
@pytest.mark.parametrize("rho", [1 / 48, 1 / 96, 1 / 1000])
def test_no_block_of_a_packet_is_much_shorter_than_the_packet(scheme, rho):
    """A short block at the same rate is lost first, and all else with it."""
    budget = Budget.of(rho, Clip(128, 128))
    packets = Packets.of(budget, get(scheme))
    assert packets.head >= budget.per_frame / 8 and packets.first >= 0
    few = packets.sent(b"x" * packets.first, 10**6)
    assert [s.name for s in few.streams] == [HEAD] and received(arrived(few)) == b"x" * packets.first


def test_a_clean_way_shows_every_frame_within_the_budget():
    codec = video.create("h265", rho=1 / 12)
    shown, sizes = carry(codec, Clip(SIDE, SIDE, frames=24))
    assert [s.concealed[0] for s in shown].count(True) <= 2
    assert sum(sizes) <= 24 * 1024
    error = torch.stack([(s.frames[0] - f).square().mean() for s, f in zip(shown, frames(24), strict=True)])
    assert -10 * torch.log10(error).mean() > 30


def test_after_a_loss_all_is_concealed_until_the_next_intra_frame():
    codec = video.create("h265", rho=1 / 12, gop=8, nack=False)
    shown, _ = carry(codec, Clip(SIDE, SIDE, frames=24), lost={3})
    concealed = [s.concealed[0] for s in shown]
    assert concealed[3:8] == [True] * 5 and not any(concealed[:3]) and not concealed[8]


@pytest.mark.parametrize("name", ["h265", "h264"])
def test_what_is_told_lost_comes_again_and_is_the_same_as_if_it_had_never_been_lost(name):
    codec = video.create(name, rho=1 / 12, gop=256)
    clip = Clip(SIDE, SIDE, frames=24)
    without, sizes = carry(codec, clip, lost={3})
    assert all(s.concealed[0] for s in without[3:15]) and without[3].feedback == Feedback(3, lost=True)
    again, uses = carry(codec, clip, lost={3}, feedback={5: (Feedback(3, lost=True),)})
    clean, _ = carry(codec, clip)
    assert [s.concealed[0] for s in again[3:7]] == [True, True, False, False]
    assert all(torch.equal(a.frames, c.frames) for a, c in zip(again[5:], clean[5:], strict=True))
    packets = planned(codec.sender(clip).asked, clip, VideoInfo(snr_db=20.0)).packets
    assert uses[5] <= sizes[3] + sizes[5] + packets.fine  # and no intra frame


def test_what_is_lost_again_comes_again():
    codec = video.create("h265", rho=1 / 12, gop=256)
    told_back = {5: (Feedback(3, lost=True),), 7: (Feedback(5, lost=True),)}
    shown, _ = carry(codec, Clip(SIDE, SIDE, frames=12), lost={3, 5}, feedback=told_back)
    assert [s.concealed[0] for s in shown[2:9]] == [False, True, True, True, True, False, False]


def test_a_lost_intra_frame_is_not_sent_again_but_made_anew():
    codec = video.create("h265", rho=1 / 6, gop=256)
    shown, _ = carry(codec, Clip(SIDE, SIDE, frames=8), lost={0}, feedback={2: (Feedback(0, lost=True),)})
    error = (shown[2].frames[0] - frames(8)[2]).square().mean()
    assert not shown[2].concealed[0] and -10 * torch.log10(error) > 28


def test_waiting_that_does_not_help_asks_for_an_intra_frame_and_gets_it():
    codec = video.create("h265", rho=1 / 6, gop=256)
    shown, _ = carry(codec, Clip(SIDE, SIDE, frames=24), lost={3})
    asked = [s.feedback.frame for s in shown if s.feedback and s.feedback.anew]
    assert asked and asked[0] > 8
    heard = {asked[0] + 2: (Feedback(asked[0], anew=True),)}
    mended, _ = carry(codec, Clip(SIDE, SIDE, frames=24), lost={3}, feedback=heard)
    assert not any(s.concealed[0] for s in mended[asked[0] + 2 :])


def test_several_coded_frames_in_a_packet_are_told_apart():
    units = (b"\x02" + b"a" * 3, b"\x26" + b"b" * 300, b"\x02c")
    for packed in (Packed(units), Packed(units, late=True), Packed(units[:1]), Packed(units[:1], late=True)):
        assert parted(joined(packed)) == packed
    assert joined(Packed(units[:1])) == units[0]  # mostly, for no byte at all


@pytest.mark.parametrize("junk", [b"\x80", b"\x81", b"\x82\x00", b"\x83\x09abc", b"\xff" * 9, b"\x82\xff\xff\xff\xff"])
def test_junk_is_no_packet(junk):
    assert parted(junk) is None


@pytest.mark.parametrize("name", ["h265", "h264"])
def test_following_frames_are_told_apart_by_their_own_header(name):
    coder = CODERS[name]
    picture = frames(20).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    encoder = Encoder(coder, SIDE, SIDE, 1500, 15000)
    coded = [encoder.encode(np.ascontiguousarray(frame), intra=t == 0) for t, frame in enumerate(picture)]
    assert [coder.number_of(sent) for sent in coded[1:]] == [t % coder.numbers for t in range(1, 20)]


def test_quality_grows_with_the_rate_and_small_rates_are_for_small_pictures():
    levels = [told.quality("h265", bpp)[0] for bpp in (0.004, 0.02, 0.1, 0.5, 2.0)]
    assert levels == sorted(levels)
    assert told.quality("h265", 0.5)[1] == 1.0
    assert told.quality("h265", 0.012)[1] < 1.0


def test_without_losses_what_is_expected_is_the_quality_of_a_long_period():
    sure = np.ones(4)
    long, short = (told.expected("h265", 0.1, sure, Pattern(period)) for period in (256, 8))
    assert short < long < told.quality("h265", 0.1)[0] + 1e-9
    assert told.quality("h265", 0.1)[0] - long < 0.1


def test_losses_call_for_short_periods_and_feedback_for_long_ones():
    losses = np.full(4, 0.95)

    def best(delay):
        return max((4, 8, 16, 32, 256), key=lambda p: told.expected("h265", 0.1, losses, Pattern(p, delay)))

    assert best(None) <= 16
    assert best(3) > best(None)
    assert told.expected("h265", 0.1, losses, Pattern(best(3), 3)) > told.expected("h265", 0.1, losses, Pattern(8))


def test_the_share_of_frames_that_stand_is_that_of_a_renewal():
    q, delay = 0.1, 4  # a loss, then intra attempts 4, 8, ... frames later
    ages = told._ages((1 - q,), Pattern(256, delay))
    down = delay / (1 - q)  # frames that stand, on average, per loss
    assert ages[0] == pytest.approx(1 / (1 + down * q / (1 - 0)), rel=0.08)
    assert ages.sum() == pytest.approx(1)


@pytest.mark.parametrize("settings", [{"rho": 0}, {"gop": 0}, {"gop": 1000}, {"scale": 0.6}, {"mcs": "none"}])
def test_nonsense_is_refused(settings):
    with pytest.raises(SemlinkError):
        video.create("h265", **settings)


def test_parameter_sets_do_not_depend_on_which_copy_of_the_coder_asks():
    copy = pickle.loads(pickle.dumps(CODERS["h265"]))
    parameter_sets.cache_clear()
    first = parameter_sets(copy, SIDE, SIDE)
    parameter_sets.cache_clear()
    assert parameter_sets(CODERS["h265"], SIDE, SIDE) == first
