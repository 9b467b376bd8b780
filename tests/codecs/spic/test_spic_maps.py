"""Maps: merging, cells, lossless coders and the payload that holds the most detail."""

import shutil
import stat
import sys

import numpy as np
import pytest
import torch

from semlink.codecs._regions.classes import CLASSES
from semlink.codecs.spic import maps
from semlink.codecs.spic.map_coders import CODERS, map_coder
from semlink.codecs.spic.map_stream import known, map_format, mergings_of
from semlink.simulator.errors import SemlinkError

HERE = ("jpegxl", "webp", "png")


def street(height: int = 48, width: int = 64, seed: int = 0) -> torch.Tensor:
    """A map of blobs of eleven classes and of pixels of none."""
    noise = torch.rand(1, 12, 6, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")[0].argmax(0).to(torch.uint8)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("size", [(48, 64), (31, 7), (1, 1)])
def test_coders_lose_nothing(name, size):
    labels = street(*size).numpy()
    assert np.array_equal(CODERS[name].decode(CODERS[name].encode(labels), *size), labels)


def test_map_bytes_are_what_was_measured_on_other_maps_of_this_size():
    """Data README: label maps 256x192 take JPEG XL 0.88 of WebP's and 0.56 of PNG's bytes; blobs take less alike."""
    sizes = {name: len(CODERS[name].encode(street(192, 256).numpy())) for name in HERE}
    assert sizes["jpegxl"] < sizes["png"] and sizes["webp"] < sizes["png"]


@pytest.mark.parametrize("name", HERE)
def test_bytes_of_another_size_are_refused(name):
    data = CODERS[name].encode(street(48, 64).numpy())
    if name != "png":  # whose size is the session's
        with pytest.raises(SemlinkError):
            CODERS[name].decode(data, 64, 48)
    with pytest.raises(SemlinkError):
        CODERS[name].decode(data[: len(data) // 3], 48, 64)


def test_flif_is_run_where_it_is_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SemlinkError, match="no program flif"):
        map_coder("flif")
    program = tmp_path / "flif"  # stores the pixels behind a FLIF header; what is tested is how it is called
    program.write_text(f"""#!{sys.executable}
import sys
*_, source, target = sys.argv
data = open(source, "rb").read()
def side(n):
    return bytes([n - 1]) if n <= 128 else bytes([128 | (n - 1) >> 7, (n - 1) & 127])
if "--encode" in sys.argv:
    _, sides, _, pixels = data.split(b"\\n", 0)[0].partition(b"\\n")[0], *data.split(b" ", 3)[1:3], data
    width, height = int(data.split()[1]), int(data.split()[2])
    open(target, "wb").write(b"FLIF11" + side(width) + side(height) + data)
else:
    open(target, "wb").write(data[data.index(b"P5"):])
""")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    coder, labels = map_coder("flif"), street(150, 40).numpy()
    data = coder.encode(labels)
    assert not data.startswith(b"FLIF") and np.array_equal(coder.decode(data, 150, 40), labels)
    with pytest.raises(SemlinkError, match="another size"):
        coder.decode(data, 40, 150)


@pytest.mark.skipif(shutil.which("flif") is None, reason="no program flif on the PATH")
def test_flif_loses_nothing():
    labels = street().numpy()
    assert np.array_equal(CODERS["flif"].decode(CODERS["flif"].encode(labels), 48, 64), labels)


def test_a_cell_holds_its_most_frequent_class():
    labels = torch.tensor([[1, 1, 3], [2, 1, 3], [4, 4, 4]], dtype=torch.uint8)
    small = maps.shrink(labels, 2, 11)
    assert small.tolist() == [[1, 3], [4, 4]]
    assert maps.grow(small, 2, 3, 3).tolist() == [[1, 1, 3], [1, 1, 3], [4, 4, 4]]


def test_shares_sum_to_one_but_where_nothing_is_known():
    groups = maps.groups_of(CLASSES, maps.MERGED[7])
    labels = street()
    found = maps.shares(maps.merge(labels, groups), groups, 11)
    assert torch.allclose(found.sum(0), (labels < 11).float())
    assert torch.allclose(found[CLASSES.index("pole")][labels == CLASSES.index("fence")], torch.tensor(0.25))


def test_merging_needs_names_that_are_classes():
    assert [len(groups) for groups in mergings_of(CLASSES, "auto")] == [11, 7, 4]
    assert len(mergings_of(("water", "land"), "auto")) == 1  # those of streets do not fit
    assert [len(groups) for groups in mergings_of(CLASSES, "car/bicyclist;road/pavement")] == [9]
    for wrong in ("car/ship", "car/road;road/sky"):
        with pytest.raises(SemlinkError, match="merged class"):
            mergings_of(CLASSES, wrong)


def test_more_room_never_tells_the_receiver_less():
    labels, told = street(), map_format(CLASSES, "auto", None, CODERS["jpegxl"])
    levels = []
    for room in (0, 30, 60, 90, 120, 200, 400, 4000):
        data = told.encode(labels, room)
        assert len(data) <= room
        levels.append(known(labels, *told.decode(data, 48, 64)) if data else 0.0)
    assert levels == sorted(levels) and levels[0] == 0 and levels[-1] == 1
    assert len(set(levels)) > 4


def test_a_full_map_arrives_as_it_is():
    told = map_format(CLASSES, "none", 1, CODERS["jpegxl"])
    received, groups = told.decode(told.encode(street(), 10_000), 48, 64)
    assert torch.equal(received, street()) and groups == [[i] for i in range(11)]


def test_a_coder_says_how_many_classes_it_can():
    with pytest.raises(SemlinkError, match="fewer than 16"):
        map_format([f"class{i}" for i in range(19)], "none", None, CODERS["png"])
