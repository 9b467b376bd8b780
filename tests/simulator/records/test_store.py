"""Block files survive kills, damage and full disks, and belong to one configuration."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import random
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import aside_of, is_left_over, lock, slug, write_aside
from semlink.simulator.records.store import Condition, Identity, Record, Store, check_same

HOST = socket.gethostname()
IDENTITY = Identity("kodak", 0, 32, "0.1.0", {"adjscc weights": "ab"})
RECORD = Record(
    IDENTITY,
    Condition("adjscc", 1 / 12, "tdl:model=C,speed=30", -5.0),
    3,
    ("a", "b"),
    (0, 7),
    ("psnr",),
    "ls",
    {"psnr": (math.pi, 1e-300), "snr_realised_db": (-math.inf, 3.0)},
    {"mcs": "header qpsk"},
)


def test_a_record_comes_back_exactly(tmp_path):
    store = Store(tmp_path)
    store.write(RECORD)
    assert list(Store(tmp_path).records()) == [RECORD]


def test_a_record_with_the_right_checksum_is_read(tmp_path):
    store = Store(tmp_path)
    store.write(RECORD)
    assert store.path(RECORD).read_text() == with_checksum(PLAIN)


def test_block_files_are_plain_json_with_a_checksum(tmp_path):
    store = Store(tmp_path)
    store.write(RECORD)
    content = json.loads(store.path(RECORD).read_text())
    assert (
        content["sha256"]
        == hashlib.sha256(json.dumps(content["record"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )
    assert content["record"]["condition"]["channel"] == "tdl:model=C,speed=30"


def test_cut_at_any_byte_a_file_is_left_out(tmp_path):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    path = store.path(RECORD)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert list(Store(tmp_path, said.append).records()) == [] and store.find(RECORD) is None
    assert len(said) == len(whole) + 1
    path.write_bytes(whole)
    assert store.find(RECORD) == RECORD


def test_a_record_of_a_failure_is_no_answer(tmp_path):
    store = Store(tmp_path)
    assert store.find(RECORD) is None
    store.write(replace(RECORD, error="ValueError: no"))
    assert store.find(RECORD) is None


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_truncated_files_are_reported_once_and_left_out(tmp_path, length):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    other = replace(RECORD, block=4)
    store.write(other)
    path = store.path(RECORD)
    path.write_bytes(path.read_bytes()[:length])
    assert list(store.records()) == [other]
    assert list(store.records()) == [other]
    assert len(said) == 1 and str(path) in said[0]


def with_checksum(plain: object) -> str:
    """A block file that says what it should not, with the right checksum."""
    told = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return f'{{"record":{told},"sha256":"{hashlib.sha256(told.encode()).hexdigest()}"}}'


PLAIN = {"format": 1, **json.loads(json.dumps(asdict(RECORD)))}
FOREIGN = {
    "deep": "[" * 100_000,
    "deep objects": '{"record":' * 100_000,
    "a list": "[]",
    "a number": "3",
    "a text for a record": with_checksum("record"),
    "no format": with_checksum({"codec": "adjscc"}),
    "values in a list": with_checksum({**PLAIN, "values": []}),
    "a text for a number": with_checksum({**PLAIN, "values": {"psnr": ["a", 1.0]}}),
    "numbers of one image": with_checksum({**PLAIN, "values": {"psnr": [1.0]}}),
    "a column that is a number": with_checksum({**PLAIN, "values": {"psnr": 7}}),
    "places of one image": with_checksum({**PLAIN, "positions": [0]}),
    "images that are numbers": with_checksum({**PLAIN, "images": [1, 2]}),
    "an identity in a list": with_checksum({**PLAIN, "identity": []}),
    "more than a record": with_checksum({**PLAIN, "colour": "red"}),
    "bytes": b"\xff\xfe{}",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_any_content_is_left_out(tmp_path, content):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    path = store.path(RECORD).with_name("000009-foreign.json")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert list(store.records()) == [RECORD]
    assert len(said) == 1 and str(path) in said[0]


def test_a_pipe_among_the_block_files_is_not_waited_for(tmp_path):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    os.mkfifo(store.path(RECORD).with_name("pipe.json"))
    assert list(store.records()) == [RECORD] and len(said) == 1


def test_any_damage_is_reported_or_changes_nothing(tmp_path):
    rng = random.Random(0)
    store = Store(tmp_path, lambda text: None)
    store.write(RECORD)
    whole = store.path(RECORD).read_bytes()
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        store.path(RECORD).write_bytes(data)
        assert list(store.records()) in ([], [RECORD])


def test_a_changed_digit_is_found(tmp_path):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    path = store.path(RECORD)
    text = path.read_text()
    path.write_text(text.replace("3.141592653589793", "3.141592653589794"))
    assert path.read_text() != text
    assert list(store.records()) == [] and len(said) == 1


@pytest.mark.parametrize("content", ["[]", "7", '{"sha256": "x"}', '{"sha256": "x", "record": 3}', "\x00\xff"])
def test_foreign_files_are_reported_not_trusted(tmp_path, content):
    said = []
    store = Store(tmp_path, said.append)
    store.write(RECORD)
    store.path(RECORD).write_text(content)
    assert list(store.records()) == [] and len(said) == 1


def test_key_depends_on_everything_the_result_depends_on():
    changes = [
        {"identity": replace(IDENTITY, seed=1)},
        {"identity": replace(IDENTITY, files={"adjscc weights": "cd"})},
        {"condition": replace(RECORD.condition, snr_db=0.0)},
        {"condition": replace(RECORD.condition, codec="adjscc:weights=x")},
        {"block": 4},
        {"images": ("a", "c")},
        {"metrics": ("psnr", "ssim")},
    ]
    keys = {replace(RECORD, **change).key() for change in changes} | {RECORD.key()}
    assert len(keys) == len(changes) + 1
    assert replace(RECORD, values={}, csi="", error="x").key() == RECORD.key()


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (replace(IDENTITY, seed=1), "seed 0, now 1"),
        (replace(IDENTITY, data="cifar10"), "data 'kodak', now 'cifar10'"),
        (replace(IDENTITY, files={"adjscc weights": "new"}), "adjscc weights with other contents"),
    ],
)
def test_other_configurations_are_named(mine, said):
    with pytest.raises(SemlinkError, match=said):
        check_same(mine, [RECORD], "out")


def test_more_plug_in_files_are_no_difference():
    check_same(replace(IDENTITY, files={"digital tables": "x"}), [RECORD], "out")


def test_full_disk_keeps_what_is_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write(RECORD)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SemlinkError, match="No space left.*kept") as caught:
        store.write(replace(RECORD, block=4))
    assert "\n" not in str(caught.value)
    assert list(store.records()) == [RECORD]
    assert not list(tmp_path.rglob("*aside*"))


def test_out_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SemlinkError, match="cannot write"):
        Store(tmp_path / "file" / "out")


def test_write_aside_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "rows.h5"
    path.write_text("old")

    def broken(aside):
        aside.write_text("half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_aside(path, broken)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["rows.h5"]


@pytest.mark.parametrize("place", ["blocks/a", "features/inception/original", "pictures", "weights", "."])
def test_clean_removes_half_written_files_only(tmp_path, place):
    store = Store(tmp_path)
    store.write(RECORD)
    half, whole = (tmp_path / place / name for name in ("000009-x.aside-123", "000009-x"))
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_text("half")
    whole.write_text("whole")
    store.clean()
    assert not half.exists() and whole.exists() and list(store.records()) == [RECORD]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("x.aside-123", True),
        (f"x.aside-{HOST}-{os.getpid()}", True),
        (f"x.aside-{HOST}-{os.getppid()}", False),
        (f"x.aside-{HOST}-999999999", True),
        ("x.aside-other-host-7", False),
    ],
    ids=("no-host", "this-process", "living-process", "dead-process", "other-host"),
)
def test_what_another_process_still_writes_is_not_left_over(tmp_path, name, left):
    (tmp_path / name).write_text("half")
    assert is_left_over(tmp_path / name) == left
    os.utime(tmp_path / name, (0, 0))
    assert is_left_over(tmp_path / name) == (left or "other" in name)


def test_two_machines_and_two_processes_write_under_different_names(monkeypatch):
    names = set()
    for host, process in (("a", 1), ("a", 2), ("b", 1)):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        names.add(aside_of(Path("x.json")).name)
    assert len(names) == 3 and all(name.startswith("x.json.aside-") for name in names)


def test_a_second_run_is_kept_out_until_the_first_dies(tmp_path):
    code = (
        f"from semlink.simulator.files import lock; held = lock({str(tmp_path)!r}); print('held', flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(SemlinkError, match="another run"):
        lock(tmp_path)
    child.kill()
    child.communicate()
    lock(tmp_path).close()
    lock(tmp_path).close()


def test_slugs_are_short_file_names():
    assert slug("tdl:model=C,speed=30") == "tdl_model=C_speed=30"
    long = {slug("a" * 300 + end) for end in "xy"}
    assert len(long) == 2 and all(len(name) < 130 for name in long)


def test_no_two_texts_share_a_slug():
    alike = ["a:b=c/d", "a:b=c;d", "a:b=c_d", "a:b=c//d", "a:b=c d"]
    assert len({slug(text) for text in alike}) == len(alike)
