"""Clips by name, file, folder and picture; the synthetic suite; moving crops of photographs."""

import json
import random

import av
import numpy as np
import pytest
from PIL import Image

from semlink.simulator.data import clips, synthetic
from semlink.simulator.data.moving import Photograph, View, random_clip
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import write_mp4


def textured(height=120, width=160, seed=0):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "own.mp4"
    write_mp4(path, (np.roll(textured(), 2 * t, axis=1) for t in range(12)), 12.5)
    return path


def test_a_file_tells_its_length_and_rate(video):
    found = clips.load(f"{video}@32")
    assert found.ids == ("own.mp4",)
    assert (found[0].clip.frames, found[0].clip.fps) == (12, 12.5)
    frames = [*found[0].levels()]
    assert len(frames) == 12 and frames[0].shape == (32, 32, 3) and frames[0].dtype == np.uint8


def test_fewer_frames_are_the_first_ones(video):
    few, all_ = ([*clips.load(f"{video}@{size}")[0].levels()] for size in ("16x24x5", "16x24"))
    assert len(few) == 5
    assert all(np.array_equal(a, b) for a, b in zip(few, all_, strict=False))


def test_at_fewer_frames_per_second_those_before_each_moment_are_left(video):
    slow, whole = (clips.load(f"{video}@32{rate}")[0] for rate in (",5fps", ""))
    every = [*whole.levels()]
    assert (slow.clip.frames, slow.clip.fps) == (5, 5.0)
    assert all(np.array_equal(a, every[k]) for a, k in zip(slow.levels(), (0, 2, 5, 7, 10), strict=True))
    assert clips.load(f"{video}@32,50fps")[0].clip.fps == 12.5  # none are made up
    assert len([*clips.load(f"{video}@32x32x2,5fps")[0].levels()]) == 2
    with pytest.raises(SemlinkError, match="128,10fps"):
        clips.load(f"{video}@32,0fps")


def test_a_cut_is_where_its_scene_is_first_seen():
    found = clips.load("synthetic/cut@32,10fps")[0]
    frames = [frame.astype(float) for frame in found.levels()]
    changes = [np.abs(b - a).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert found.cuts == (10,) == (int(np.argmax(changes)) + 1,)  # frame 24 of 25 a second, so the one at 1.0 s


def test_frames_are_read_anew_each_time(video):
    one = clips.load(f"{video}@32")[0]
    assert np.array_equal(next(one.levels()), next(one.levels()))
    tensor = next(one.frames())
    assert tensor.shape == (3, 32, 32) and 0 <= tensor.min() and tensor.max() <= 1


def test_a_folder_holds_clips_or_the_frames_of_one(video, tmp_path):
    assert clips.load(f"{video.parent}@32").ids == ("own.mp4",)
    for t in range(3):
        Image.fromarray(np.full((20, 30, 3), 40 * t, np.uint8)).save(tmp_path / f"{t:03d}.png")
    one = clips.load(f"{tmp_path}@16")[0]
    assert [int(frame.mean()) for frame in one.levels()] == [0, 40, 80]


def test_the_crop_is_the_largest_centred_one():
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 50:150] = 200
    assert clips.scaled(Image.fromarray(image), 50, 50).min() == 200
    assert clips.scaled(Image.fromarray(image), 50, 100)[:, 0].max() < 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nowhere@128", "no such file"),
        ("synthetic/cu@64", "known: still"),
        ("synthetic@0", "behind @ follows a size"),
        ("synthetic@axb", "behind @ follows a size"),
    ],
)
def test_what_is_not_there_is_told(text, told):
    with pytest.raises(SemlinkError, match=told):
        clips.load(text)


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(SemlinkError, match="not a readable video"):
        clips.load(str(tmp_path / "broken.mp4"))


def test_no_damage_of_a_video_escapes(tmp_path):
    path, dice = tmp_path / "clip.mp4", random.Random(4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        at, other = dice.randrange(len(whole) - 8), dice.randrange(len(whole) - 32)
        path.write_bytes(whole[:at] + dice.choice([b"\xff" * 8, whole[other : other + 32]]) + whole[at + 8 :])
        try:
            list(clips.load(str(path))[0].frames())
        except SemlinkError as error:
            assert "clip.mp4" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "told", ["[]", "3", "{}", '{"clips": 3, "montages": {}}', '{"clips": {"a": {}}, "montages": {}}']
)
def test_a_list_of_clips_that_is_none_is_a_line(tmp_path, monkeypatch, told):
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "clips.json").write_text(told)
    clips._described.cache_clear()
    for name in ("video/test", "video/a"):
        with pytest.raises(SemlinkError, match=r"clips.json|known: ") as caught:
            clips.load(name)
        assert "\n" not in str(caught.value)


def test_a_limit_takes_clips_spread_over_the_set():
    assert len(clips.load("synthetic@16", limit=3)) == 3
    few, more = (clips.load("synthetic@16", limit=n).ids for n in (3, 5))
    assert more[:3] == few


@pytest.fixture(scope="module")
def suite():
    found = clips.load("synthetic@48")
    return {name: np.stack([*found[i].levels()]).astype(float) for i, name in enumerate(found.ids)}


def change(frames):
    return np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))


def test_every_scene_has_its_frames(suite):
    assert set(suite) == set(synthetic.SCENES)
    assert all(frames.shape == (synthetic.FRAMES, 48, 48, 3) for frames in suite.values())


def test_what_stands_stands_and_what_moves_moves(suite):
    assert change(suite["still"]).max() == 0
    for name in ("pan", "fast_pan", "zoom", "rotation", "noise"):
        assert change(suite[name]).min() > 1, name
    assert change(suite["fast_pan"]).mean() > change(suite["pan"]).mean()


def test_cuts_are_where_they_are_said_to_be(suite):
    for name in ("cut", "aba"):
        moved = change(suite[name])
        assert sorted((np.argsort(moved)[-len(synthetic.SCENES[name].cuts) :] + 1).tolist()) == list(
            synthetic.SCENES[name].cuts
        )


def test_a_flash_is_one_frame_and_a_dissolve_is_none_alone(suite):
    assert np.argsort(change(suite["flash"]))[-2:].tolist() in ([23, 24], [24, 23])
    assert change(suite["dissolve"]).max() < 0.5 * change(suite["cut"]).max()


def test_a_pan_shows_what_lies_beside():
    photograph = Photograph(textured(200, 200))
    still, moved = (photograph.seen(View(0.5, 0.5, 0.5).moved(x=x), 64, 64).astype(float) for x in (0.0, 0.25))
    shifted = np.abs(still[:, 16:] - moved[:, :-16]).mean()
    assert shifted < 2 < np.abs(still - moved).mean()


def test_a_turn_by_a_quarter_is_one():
    photograph = Photograph(textured(200, 200))
    still, turned = (photograph.seen(View(turn=turn), 64, 64).astype(float) for turn in (0.0, 90.0))
    assert np.abs(np.rot90(still, -1)[1:-1, 1:-1] - turned[1:-1, 1:-1]).mean() < 6 or (
        np.abs(np.rot90(still)[1:-1, 1:-1] - turned[1:-1, 1:-1]).mean() < 6
    )


def test_random_clips_are_keyed_and_differ():
    photographs = (textured(seed=1), textured(seed=2), textured(seed=3))
    one, same, other = (random_clip(np.random.default_rng(seed), photographs, 32, 6) for seed in (0, 0, 5))
    assert one.shape == (6, 32, 32, 3) and one.dtype == np.uint8
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_named_clips_have_the_frames_and_cuts_that_are_told(data_root):
    told = json.loads((data_root / "video" / "clips.json").read_text())
    found = clips.load("video/cuts+pdf@32")
    assert [sum(1 for _ in found[i].levels()) for i in range(2)] == [62, 50]
    assert found[0].cuts == tuple(told["clips"]["cuts"]["cuts"])
    montage = clips.load("video/montage_aba@32")[0]
    assert montage.cuts == tuple(told["montages"]["montage_aba"]["cuts"])
    frames = np.stack([*montage.levels()]).astype(float)
    assert set((np.argsort(change(frames))[-4:] + 1).tolist()) == set(montage.cuts)
