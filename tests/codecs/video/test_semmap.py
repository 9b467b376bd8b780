"""Maps and key frames, with a network that has not learned: what both ends hold, what a loss does, what is told."""

import tempfile
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scripts import loaded

from semlink.codecs import video
from semlink.codecs.video import _class_maps as maps
from semlink.codecs.video import _map_packet as packet
from semlink.codecs.video._generator import ABOUT, GRID, Generator, about, shares_of, told_of
from semlink.codecs.video._map_plan import Asked, planned
from semlink.codecs.video._packets import received
from semlink.codecs.video._scene import Map
from semlink.codecs.video.semmap import Drawn
from semlink.simulator import check_video_codec
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import write_mp4
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import ReceivedStream, Reception
from semlink.simulator.video import FEEDBACK_USES, Bucket, Budget, Clip, Feedback, Shown, VideoInfo

LENGTH = 40  # frames of a clip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("semmap") / "weights.safetensors"
    save_weights(Generator((8, 8, 8, 8)), path, {})
    return path


@pytest.fixture(scope="module")
def codec(weights):
    return video.create("semmap", rho=1 / 24, gop=4, share=0.4, maps="colour", weights=weights)


def scene(frames, height=64, width=64, cut=None, seed=0):
    """A smooth picture that moves by two pixels a frame, and another one from `cut` on."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 7, 7, generator=generator)
    large = torch.nn.functional.interpolate(coarse, (2 * height, 2 * width), mode="bicubic").clamp(0, 1)
    which = [0 if cut is None or t < cut else 1 for t in range(frames)]
    return torch.stack([large[w, :, t : t + height, 2 * t : 2 * t + width] for t, w in enumerate(which)])


@dataclass(frozen=True)
class Passed:
    """A frame after its way, and the note that was sent with it."""

    frames: torch.Tensor
    shown: Shown
    note: packet.Note | None


def passed(codec, frames, disturb=lambda frame, reception: reception):
    """Every frame's way over a link without errors, which knows nothing of itself; reports take two frames.

    They are the first of a longer clip.
    """
    clip = Clip(*frames.shape[2:], frames=LENGTH)
    sender, receiver, bucket = codec.sender(clip), codec.receiver(clip), Bucket.full(Budget.of(codec.rho, clip))
    found, told = [], {}
    for t, frame in enumerate(frames[:, None]):
        bucket = bucket.filled(1)
        sent = sender.send(frame, VideoInfo(20.0, bucket.uses, None, 0, t, tuple(told.get(t, ()))))
        arrived = [ReceivedStream(s.name, s.kind, payload=tuple(s.payload), ok=(True,)) for s in sent.streams]
        reception = Reception(tuple(arrived))
        shown = receiver.receive(disturb(t, reception))
        uses = sum(s.uses for s in sent.streams)
        assert uses <= bucket.uses
        bucket = bucket.spent(uses + (FEEDBACK_USES if shown.feedback else 0))
        told[t + 2] = [shown.feedback] if shown.feedback else []
        note = packet.unpack(received(reception) or b"")
        found.append(Passed(frame, shown, note))
    return found


def without(*names):
    """A reception without those streams."""

    def disturb(reception):
        gone = (s if s.name not in names else replace(s, payload=(None,), ok=(False,)) for s in reception.streams)
        return replace(reception, streams=tuple(gone))

    return disturb


@pytest.fixture(scope="module")
def whole(codec):
    """Of the usual scene, without a loss."""
    return passed(codec, scene(6))


def psnr(found):
    return [float(-10 * (p.shown.frames - p.frames).square().mean().log10()) for p in found]


def test_key_frames_come_every_gop_and_maps_and_motion_between(whole):
    notes = [one.note for one in whole]
    assert [note.step > 0 for note in notes] == [t in (0, 4) for t in range(6)]
    assert {note.origin for note in notes[1:4]} <= {packet.WITH_KEY, packet.WITH_LAST}
    assert notes[0].cut and not notes[4].cut and not any(one.shown.concealed[0] for one in whole)
    assert min(psnr(whole)) > 20  # the network adds nothing: this is the key frame, moved


def test_a_cut_renews_the_key_frame_or_at_least_the_palette(codec):
    found = passed(codec, scene(7, cut=4))
    assert found[4].note.cut and found[4].note.palette and found[4].note.origin == packet.ALONE
    assert psnr(found)[4] > 12 and any(one.note.step for one in found[4:7])


def test_a_lost_map_is_made_up_and_said_to_be(codec, whole):
    """Nothing of frame 2 arrives: the last frame stands; the next key frame mends all."""
    found = passed(codec, scene(5), lambda t, r: without("head", "packet")(r) if t == 2 else r)
    assert found[2].shown.concealed == (True,)
    assert torch.equal(found[2].shown.frames, (found[1].shown.frames * 255).round() / 255)
    assert psnr(found)[3] > 18 and found[4].note.step and not found[4].shown.concealed[0]


def test_a_map_told_from_one_that_is_lost_is_made_up_from_the_key_frame(codec):
    """The motion of that note is of use all the same."""
    note = packet.Note(2, 0, False, packet.WITH_LAST, 4, b"")
    receiver = codec.receiver(Clip(64, 64))
    one = passed(codec, scene(1))[0]
    own = replace(note, number=0, origin=packet.ALONE, palette=bytes(16))
    receiver.scene = receiver._begun(own, Reception(()))
    assert receiver._map(note, receiver.scene, torch.zeros(1, 2, 1, 1)) is None
    assert receiver._drawn(Drawn(receiver.scene, None, torch.zeros(1, 2, 1, 1), 1)).shape == one.frames.shape


def test_a_lost_key_frame_leaves_the_colours_of_the_map_or_the_last_frame(codec):
    """At first the map alone, not grey; later the last frame in its place. It is told back, and comes again."""
    first = passed(codec, scene(5), lambda t, r: without("key")(r) if t == 0 else r)
    assert first[0].shown.concealed == (True,) and 9 < psnr(first)[0] < 25
    assert first[0].shown.feedback.lost and any(one.note.step for one in first[1:5])
    later = passed(codec, scene(5), lambda t, r: without("key")(r) if t == 4 else r)
    assert later[4].note.step and later[4].shown.concealed == (True,) and psnr(later)[4] > 15


def test_without_the_note_of_a_scene_nothing_is_drawn_from_another_one(codec):
    found = passed(codec, scene(9, cut=4), lambda t, r: without("head", "packet", "key")(r) if t == 4 else r)
    assert found[5].shown.concealed == (True,) and found[5].shown.feedback.anew
    again = next(t for t in range(6, 9) if found[t].note and found[t].note.palette)
    assert found[again].note.cut and psnr(found)[again] > 12


def test_maps_reach_the_frame(codec):
    """Where the map says another class than the key frame's, another frame is drawn."""
    torch.manual_seed(1)
    network = Generator((8, 8, 8, 8)).eval()
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    own = copy(codec)
    own.__dict__["network"] = network
    receiver, flow = own.receiver(Clip(64, 64)), torch.zeros(1, 2, 1, 1)
    note = packet.Note(0, 0, False, packet.ALONE, 4, b"", palette=bytes(range(16)))
    known = replace(receiver._begun(note, Reception(())), picture=scene(1))
    shown = [receiver._drawn(Drawn(known, Map(np.full((16, 16), n, np.uint8), 4, 0), flow, 1)) for n in (0, 5)]
    assert not torch.allclose(*shown)


@pytest.mark.parametrize("note", [
    packet.Note(13, 5, True, packet.ALONE, 8, b"map", palette=bytes(range(16)), cut=True, step=200),
    packet.Note(2, 0, False, packet.WITH_LAST, 4, b"", 2, b"motion"),
    packet.Note(15, 7, False, packet.WITH_KEY, 32, b"m"),
])  # fmt: skip
def test_a_note_comes_back(note):
    assert packet.unpack(note.pack()) == note
    assert packet.unpack(note.pack()[:1]) is None


def test_any_bytes_are_a_note_or_none():
    rng = np.random.default_rng(0)
    for size in range(0, 30):
        note = packet.unpack(rng.bytes(size))
        assert note is None or packet.unpack(note.pack()) == note


def test_a_palette_costs_two_bytes_a_colour_and_errs_by_half_a_step():
    palette = np.random.default_rng(0).integers(0, 256, (8, 3)).astype(np.uint8)
    told = maps.unpack_palette(maps.pack_palette(palette))
    assert len(maps.pack_palette(palette)) == packet.PALETTE
    assert (np.abs(told.astype(int) - palette) <= (5, 3, 5)).all()


def test_colours_of_a_picture_are_those_that_it_has():
    """Eight flat stripes: every colour is found, and each pixel is of its own."""
    colours = np.array([[k * 30 + 20, 255 - k * 30, (k * 97) % 256] for k in range(8)], np.uint8)
    frame = torch.from_numpy(colours).float().T.reshape(1, 3, 8, 1).repeat_interleave(8, 2).repeat(1, 1, 1, 64) / 255
    palette = maps.colours_of(frame)
    shares = maps.colour_shares(frame, palette)
    painted = torch.einsum("khw,kc->chw", shares, torch.from_numpy(palette).float() / 255)
    assert (painted - frame[0]).abs().max() < 6 / 255


def test_a_map_moves_as_a_picture_does_and_stays_where_another_class_is_hardly_larger():
    labels = np.random.default_rng(0).integers(0, 8, (8, 8)).astype(np.uint8)
    moved = Map(labels, 8, 0).moved(np.array([[[0]], [[16 * 8]]]), 8, 64, 64)  # 8 px to the right
    assert np.array_equal(moved[:, :-1], labels[:, 1:]) and np.array_equal(moved[:, -1], labels[:, -1])
    assert np.array_equal(Map(labels, 8, 0).at(4, 64, 64), labels.repeat(2, 0).repeat(2, 1))
    shares = torch.zeros(8, 1, 1)
    shares[2], shares[3] = 0.48, 0.52
    assert maps.map_of(shares)[0, 0] == 3 and maps.map_of(shares, np.full((1, 1), 2, np.uint8))[0, 0] == 2


def test_a_network_that_has_not_learned_shows_the_moved_key_frame_or_the_painted_map():
    network = Generator((8, 8, 8, 8)).eval()
    key, labels = torch.rand(1, 3, 40, 56), torch.randint(8, (1, 10, 14), dtype=torch.uint8)
    palette = torch.randint(256, (8, 3), dtype=torch.uint8)
    flow = torch.zeros(1, 2, 1, 1)
    there, gone = (
        told_of(key, flow, (labels, labels), (4, 4), palette, [about(k, True, 4, 0, 0.2)]) for k in (True, False)
    )
    assert torch.allclose(network(there), key, atol=1e-4)
    middle = network(gone)[0, :, 18, 22]  # within the cell of row 4, column 5
    assert network(gone).shape == key.shape
    assert (middle - palette[labels[0, 4, 5].long()].float() / 255).abs().max() < 0.9
    assert there.about.shape == (1, ABOUT)


def test_shares_know_cells_that_do_not_divide_the_frame():
    labels = torch.arange(6, dtype=torch.uint8).reshape(1, 3, 2)
    shares = shares_of(labels, 32, 72, 40)
    assert shares.shape == (1, 8, 72 // GRID, 40 // GRID)
    assert shares.argmax(1)[0, :, 0].tolist() == [0] * 8 + [2] * 8 + [4] * 2


def test_key_frames_share_evenly_what_maps_leave():
    asked = Asked(1 / 100, "auto", 16, 0.4, video.create("semmap").coder, None, None)
    short, long = (planned(asked, Clip(128, 128, frames=frames), None) for frames in (38, None))
    assert (short.period, long.period) == (19, 16) and short.key == 10 * 491  # all that may be ahead
    assert long.key == pytest.approx(16 * 491 * 0.6, rel=0.01)
    few = planned(asked, Clip(128, 128, frames=20), None)
    assert few.period == 20 and few.key == 10 * 491
    assert short.packets.holds(0) <= short.note < short.packets.holds(6)


def test_the_receiver_tells_a_loss_once_and_the_sender_heeds_what_is_of_its_scene(codec):
    receiver = codec.receiver(Clip(64, 64))
    receiver.shower.count = 3
    assert receiver._report(2) == Feedback(3, lost=True, anchor=2) and receiver._report(2) is None


@pytest.mark.parametrize("settings", [{"maps": "grey"}, {"share": 1.0}, {"gop": 0}, {"rho": 0.0}])
def test_nonsense_is_refused(settings):
    with pytest.raises(SemlinkError, match="give 0 < rho"):
        video.create("semmap", **settings)


def test_without_weights_or_room_it_says_what_to_do(weights):
    with pytest.raises(SemlinkError, match="train_video.py"):
        video.create("semmap", weights="nowhere.safetensors").check(64, 64)
    with pytest.raises(SemlinkError, match="higher rate"):
        video.create("semmap", rho=1 / 1000, weights=weights).check(64, 64)


@pytest.mark.slow
def test_it_passes_what_every_codec_must(weights):
    check_video_codec(video.create("semmap", rho=1 / 32, weights=weights), long=24)
    check_video_codec(video.create("semmap", rho=1 / 32, weights=weights, maps="street"), side=72, long=24)


@pytest.mark.slow
def test_shipped_weights_draw_better_than_what_they_add_to():
    """From a key frame by LPIPS, from the map alone by PSNR too; by how much is little so far."""
    frames = torch.stack([*clips.load("synthetic/zoom@128x128x6")[0].frames()])
    for disturb in (lambda t, r: r, lambda t, r: without("key")(r)):
        own, plain = (
            passed(video.create("semmap", rho=1 / 128, **given), frames, disturb)
            for given in ({}, {"weights": _plain()})
        )
        seen = [lpips_loss(torch.cat([p.shown.frames for p in found]), frames, "alex").mean() for found in (own, plain)]
        assert seen[0] < seen[1]
    assert np.mean(psnr(own)) > np.mean(psnr(plain))


def _plain():
    path = Path(tempfile.mkdtemp()) / "plain.safetensors"
    save_weights(Generator((8, 8, 8, 8)), path, {})
    return path


@pytest.mark.slow
def test_training_stops_and_goes_on_as_if_it_had_not():
    with tempfile.TemporaryDirectory(prefix="clips") as name:  # pytest's own folders look like test data
        folder = Path(name)
        shots = np.random.default_rng(0).integers(0, 255, (18, 20, 20, 3), dtype=np.uint8)
        write_mp4(folder / "own.mp4", shots, 25.0)
        with loaded("train_video") as module:

            def run(out):
                own = str(folder / "own.mp4")
                return module.make_run(
                    module.TrainVideo(
                        network="semmap",
                        out=folder / out,
                        data=own,
                        photographs=(),
                        streets=(),
                        held_out=own,
                        examples=1,
                        steps=3,
                        batch=2,
                        threads=1,
                    )  # fmt: skip
                )

            run("whole").complete()
            (folder / "parts").mkdir()
            for file in ("examples.safetensors", "held.safetensors"):
                (folder / "parts" / file).write_bytes((folder / "whole" / file).read_bytes())
            part = run("parts")
            part._step()
            part.save(part.levels(quick=True))
            run("parts").complete()
        whole, parts = (load_file(folder / out / "weights.safetensors") for out in ("whole", "parts"))
    assert all(torch.allclose(whole[key], parts[key], atol=1e-6) for key in whole)
