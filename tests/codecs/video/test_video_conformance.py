"""Our own video codecs pass what every one must."""

from dataclasses import replace

import pytest
import torch

from semlink.codecs import video
from semlink.simulator import check_video_codec
from semlink.simulator.conformance.codec import noiseless
from semlink.simulator.conformance.video import DAMAGES, check_bounded, check_damaged, moving_pattern
from semlink.simulator.plugins import make_video_codec
from semlink.simulator.values import Stream, Transmission
from semlink.simulator.video import Clip, Shown
from semlink.simulator.words import parse


def test_names_are_listed_and_a_word_makes_one():
    assert {"h264", "h265", "intra"} <= set(video.names())
    assert make_video_codec(parse("intra:codec=digital"), 1 / 12).codec.rho == 1 / 12


def test_intra_shows_the_last_frame_where_what_arrives_is_no_picture():
    codec = make_video_codec(parse("intra:codec=digital"), 1 / 12)
    clip = Clip(32, 32)
    receiver, frames = codec.receiver(clip), moving_pattern(1, 32)
    whole = noiseless(codec.codec.encode(frames))
    wrong = replace(whole, streams=(replace(whole.streams[0], payload=(bytes([255] * 20),)),))
    first, second = receiver.receive(whole), receiver.receive(wrong)
    assert second.concealed == (True,) and first.concealed == (False,) and torch.equal(first.frames, second.frames)


@pytest.mark.slow
def test_intra_of_a_learned_codec_passes():
    check_video_codec(video.create("intra", rho=1 / 24, codec="adjscc"), long=40)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["h265", "h264", "intra:codec=semlink", "intra:codec=digital", "intra:codec=adjscc"])
def test_every_codec_passes_over_three_hundred_frames(word):
    check_video_codec(make_video_codec(parse(word), 1 / 12))


class Growing:
    """Remembers every frame, and may lie about what it shows."""

    rho, group, encodes_on, feedback = 1 / 12, 1, "nothing", False

    def __init__(self, lies=False):
        self.lies = lies

    def files(self):
        return ()

    def sender(self, clip):
        return Remembering(self.lies)

    def receiver(self, clip):
        return Remembering(self.lies)


class Remembering:
    def __init__(self, lies):
        self.lies, self.held = lies, []

    def send(self, frames, tx):
        self.held.append(frames)
        x = frames.flatten()[: 3 * 64 * 64 // 12]
        import torch

        x = torch.complex(x, x + 0.01)
        return Transmission((Stream("x", "analog", (x / x.abs().square().mean().sqrt())[None]),))

    def receive(self, reception):
        import torch

        shown = torch.full((1, 3, 64, 64), 0.5)
        self.held.append(reception)
        return Shown(shown, (self.lies,))


def test_a_codec_whose_state_grows_is_told():
    frames = moving_pattern(3, 64)
    with pytest.raises(AssertionError, match="not said to be concealed"):
        check_damaged(Growing(), frames, "all lost", DAMAGES["all lost"]())
    check_damaged(Growing(lies=True), frames, "all lost", DAMAGES["all lost"]())
    with pytest.raises(AssertionError, match="holds .* bytes after"):
        check_bounded(Growing(lies=True), 64, 120)


def test_the_pattern_moves():
    frames = moving_pattern(4, 32)
    assert frames.shape == (4, 3, 32, 32) and (frames[1:] - frames[:-1]).abs().mean() > 0.01
