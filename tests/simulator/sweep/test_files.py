"""What plug-ins read is declared: all that ships is somebody's, and what has changed continues no rows of before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sweep_fakes import PARTS, FakeCodec

from semlink import channels, codecs
from semlink.channels.recorded import write_cir_file
from semlink.codecs import importance, video
from semlink.codecs._learned.shipped import TABLES, WEIGHTS, local
from semlink.codecs._regions.pyramid import SCORER
from semlink.simulator.bits.success import BLER
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import digest
from semlink.simulator.records.store import Condition, Record, check_same
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import plan, runner
from semlink.simulator.words import Word

RATES = {"sgd_jscc": (1 / 24,), "ddnm": (1 / 24, 1 / 48), "latent_diffusion": (1 / 96,)}
WORDS = {
    **{name: ({},) for name in codecs.names()},
    "deepjscc": ({}, {"train_snr": 10}),
    "roi_jscc": ({}, {"domain": "street"}, {"importance": "segmentation:classes=car"}),
    "sgd_jscc": ({}, {"level": "blind"}),
}


def test_a_prompt_of_any_length_is_no_file():
    prompt = "a quiet street at dawn " * 30
    assert local(prompt) == () and not plan.declared(Word("img2img", (("prompt", prompt),)), dict.fromkeys)


def declared(name: str) -> set[Path]:
    """All that a codec declares, over rates and settings."""
    made = [
        codecs.create(name, rho=rho, **settings)
        for rho in RATES.get(name, (1 / 6, 1 / 12, 1 / 24))
        for settings in WORDS[name]
    ]
    return {path for codec in made for path in codec.files()}


def asked(word: str, channel: str = "awgn", rho: float = 1 / 6) -> Sweep:
    return Sweep((word,), (channel,), (0.0,), (rho,), ("psnr",), data="fake", limit=3)


def changed(path: Path) -> None:
    """Turn the last byte of a file around."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def refuses(sweep: Sweep, path: Path, name: str) -> None:
    """Rows of `sweep` are continued, until a byte of the file at `path` is another: one line that names it."""
    before = plan.identity_of(sweep)
    record = Record(before, Condition(sweep.codecs[0], sweep.rho[0], sweep.channels[0], 0.0), 0, (), (), ())
    check_same(plan.identity_of(sweep), [record], "out")
    changed(path)
    with pytest.raises(SemlinkError) as told:
        check_same(plan.identity_of(sweep), [record], "out")
    assert f"{name} with other contents" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("name", codecs.names())
def test_files_are_there(name: str) -> None:
    found = declared(name)
    assert all(path.exists() for path in found)
    assert all(path.is_relative_to(WEIGHTS) or path.parent in (TABLES, BLER.parent) for path in found)


def test_all_that_ships_is_declared() -> None:
    shipped = {path for path in WEIGHTS.iterdir() if path.suffix != ".json"} | set(TABLES.iterdir()) | {BLER}
    found = {path for name in codecs.names() for path in declared(name)}
    found |= {path for name in video.names() for path in video.create(name).files()}
    found |= set(video.create("denoising_reuse", transform="learned").files())
    cards = {path for path in found if path.parent == WEIGHTS and path.suffix == ".json"}
    assert SCORER not in found, "the network that scores has no part in any codec"
    assert shipped == found - cards | {SCORER} and all(path.with_suffix(".safetensors") in shipped for path in cards)


def test_a_rate_has_its_own_files() -> None:
    names = [path.name for path in codecs.create("adjscc", rho=1 / 12).files()]
    assert names[:2] == ["adjscc-natural-m4.safetensors", "adjscc-small-m4.safetensors"]
    assert names[2:] == ["adjscc-natural-m4.json", "adjscc-small-m4.json"], "their cards tell the SNRs of training"
    assert codecs.create("digital", mcs="qpsk-0.25").files() == ()
    assert codecs.create("digital_capacity").files() == (TABLES / "rate_quality.json",)
    assert codecs.create("ddnm", inner="digital", sigma_y=0.1).files()[:2] == codecs.create("digital").files()


def test_what_is_not_used_is_not_declared() -> None:
    assert {p.name for p in codecs.create("sgd_jscc", rho=1 / 24, steps=0, guidance="none").files()} == {
        "sgd_jscc-natural-m7.safetensors",
        "sgd_jscc-natural-m7.json",
    }
    assert TABLES / "ddnm_sigma.json" not in codecs.create("ddnm", rho=1 / 24, mode="paper").files()
    assert codecs.create("semlink", base="none").files() == (WEIGHTS / "semlink.safetensors", WEIGHTS / "semlink.json")
    assert codecs.create("img2img", rho=1 / 6, sigma_y=0.1).files() == codecs.create("adjscc", rho=1 / 6).files()


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "mine.safetensors"
    shutil.copy(WEIGHTS / "adjscc-small-m8.safetensors", own)
    refuses(asked(f"adjscc:weights={own}"), own, f"adjscc:weights={own} {own}")


def test_changed_weights_of_an_inner_codec_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "mine.safetensors"
    shutil.copy(WEIGHTS / "adjscc-small-m8.safetensors", own)
    for word in (f"ddnm:inner=adjscc:weights={own},pool=1,sigma_y=0.1", f"posterior:inner=adjscc:weights={own}"):
        refuses(asked(word), own, "mine.safetensors")


@pytest.mark.parametrize("setting", ["cddm:denoiser", "ddnm:prior", "posterior:prior", "latent_diffusion:model"])
def test_a_changed_folder_is_refused(tmp_path: Path, setting: str) -> None:
    folder = tmp_path / "denoiser"
    shutil.copytree(WEIGHTS / "cddm-denoiser-m2", folder)
    changed_file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    refuses(asked(f"{setting}={folder}", rho=1 / 24), changed_file, f"{setting}={folder} {folder}")


@pytest.mark.parametrize(
    ("word", "module", "constant"),
    [
        ("digital", "semlink.codecs.digital", "BLER"),
        ("semlink", "semlink.codecs.semlink.codec", "BLER"),
        ("semlink", "semlink.codecs.semlink.codec", "QUALITY"),
        ("digital_capacity", "semlink.codecs._sources.separated", "CURVES"),
        ("ddnm:pool=1", "semlink.codecs._diffusion.inner", "TABLE"),
    ],
)
def test_a_changed_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, module: str, constant: str
) -> None:
    shipped = getattr(__import__(module, fromlist=[constant]), constant)
    copy = tmp_path / shipped.name
    shutil.copy(shipped, copy)
    monkeypatch.setattr(f"{module}.{constant}", copy)
    refuses(asked(word), copy, f"{word} {shipped.name}")


def test_changed_shipped_denoiser_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(WEIGHTS / "cddm-denoiser-m2", tmp_path / "cddm-denoiser-m2")
    monkeypatch.setattr("semlink.codecs.cddm.WEIGHTS", tmp_path)
    refuses(asked("cddm", rho=1 / 24), tmp_path / "cddm-denoiser-m2" / "card.json", "cddm cddm-denoiser-m2")


def test_changed_captions_and_masks_are_refused(tmp_path: Path) -> None:
    captions, mask = tmp_path / "captions.json", tmp_path / "mask.png"
    captions.write_text("{}")
    mask.write_bytes(b"no picture yet")
    refuses(asked(f"latent_diffusion:caption={captions}", rho=1 / 96), captions, str(captions))
    refuses(asked(f"roi_jscc:importance=file:path={mask}", rho=1 / 12), mask, "mask.png")


def test_importance_maps_declare_what_they_read(tmp_path: Path) -> None:
    shipped = WEIGHTS / "unet-camvid.safetensors"
    assert importance.create("segmentation").files() == importance.create("gradient").files() == (shipped,)
    assert importance.create("segmentation", model=str(tmp_path)).files() == (tmp_path,)
    assert importance.create("segmentation", model="nvidia/segformer").files() == ()
    asked_codec = importance.create("gradient", codec="adjscc", rho=1 / 12)
    assert asked_codec.files() == codecs.create("adjscc", rho=1 / 12).files()
    assert importance.create("file", path=str(tmp_path), pictures="kodak").files() == (tmp_path,)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    assert importance.create("file", path=str(tmp_path), pictures=str(pictures)).files() == (tmp_path, pictures)


def test_a_changed_measurement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cir.h5"
    write_cir_file(path, np.ones((1, 4, 1, 1, 1), np.complex64), np.zeros(1), 1e-3, 3.5e9)
    for channel in (f"recorded:path={path}", f"recorded:path={path}+cfo:hertz=10"):
        refuses(asked("plain", channel), path, f"{channel} {path}")


def test_the_shipped_paths_are_declared_where_they_are_used() -> None:
    (found,) = channels.create("ray_traced").files()
    assert found.name == "ray_traced-simple_street_canyon.npz"
    assert channels.create("ray_traced", users=7).files() == ()


def test_names_of_rows_of_before_are_kept() -> None:
    """So that they still continue."""
    found = plan.identity_of(Sweep(("adjscc", "semlink"), ("ray_traced",), (0.0,), (1 / 6,), ("psnr",))).files
    assert {
        "adjscc adjscc-small-m8.safetensors",
        "semlink semlink-hybrid.safetensors",
        "semlink semlink-quality.json",
        "ray_traced ray_traced-simple_street_canyon.npz",
    } <= found.keys()


def test_what_cannot_be_made_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"one")
    words = (f"adjscc:weights={path},typo=1", "jpeg9000", f"mine:of={path}", "adjscc")
    found = plan.identity_of(Sweep(words, ("marsh", "awgn"), (0.0,), (1 / 6, 0.05), ("psnr",))).files
    assert {name.rsplit(" ", 1)[1] for name in found} == {
        str(path),
        "adjscc-small-m8.safetensors",
        "adjscc-natural-m8.safetensors",
        "adjscc-small-m8.json",
        "adjscc-natural-m8.json",
    }


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.bin").write_text(folder)
    paths = (tmp_path / "a" / "w.bin", tmp_path / "b" / "w.bin")
    found = plan.identity_of(asked("x"), codec=lambda word, rho: _Reads(rho, paths)).files
    assert found == {f"x {path}": digest(path) for path in paths}


class _Reads(FakeCodec):
    """A codec of one's own that declares files."""

    def __init__(self, rho: float, paths: tuple[Path, ...]) -> None:
        super().__init__(rho)
        self.paths = paths

    def files(self) -> tuple[Path, ...]:
        return self.paths


def test_a_sweep_with_parts_of_its_own_refuses_what_they_read(tmp_path: Path) -> None:
    path, made = tmp_path / "weights", []
    path.write_text("one")

    def make(word: object, rho: float) -> FakeCodec:
        made.append(rho)
        return _Reads(rho, (path,))

    parts: runner.Parts = replace(PARTS, codec=make)
    sweep = replace(asked("mine", rho=0.5), metrics=("psnr",))
    runner.run(sweep, tmp_path / "out", 1, parts)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["files"] == {"mine weights": digest(path)}
    runner.run(sweep, tmp_path / "out", 1, parts)
    path.write_text("two")
    with pytest.raises(SemlinkError, match="mine weights with other contents"):
        runner.run(sweep, tmp_path / "out", 1, parts)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new").write_text(""),
        lambda folder: (folder / "b" / "c").write_text("2"),
        lambda folder: (folder / "a").rename(folder / "z"),
        lambda folder: (folder / "a").unlink(),
    ],
    ids=["more", "other", "renamed", "fewer"],
)
def test_digest_of_a_folder(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_text("1")
    (tmp_path / "b" / "c").write_text("1")
    before = digest(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "when").write_text("now")
    assert digest(tmp_path) == before
    change(tmp_path)
    assert digest(tmp_path) != before
