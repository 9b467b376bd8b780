"""What cannot be measured is told before anything is: weights, rates, links that cannot be."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from far_hub import nobody_answers
from sweep_fakes import PARTS

from semlink import codecs
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import beforehand, study
from semlink.simulator.sweep.trial import Parts

ASKED = Sweep(("adjscc",), ("awgn",), (10.0,), (1 / 12,), ("psnr",), data="samples", limit=1)


def refusal(**asked) -> str:
    with pytest.raises(SemlinkError) as caught:
        beforehand.check_questions([replace(ASKED, **asked)], Parts())
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"codecs": ("swinjscc",)}, "codec swinjscc at rho 1/12: swinjscc comes without weights; train them with "),
        ({"rho": (1 / 16,)}, "adjscc has no weights for rho 1/16; shipped: 1/24, 1/12, 1/6; choose one, or train"),
        (
            {"rho": (1 / 7,)},
            "codec adjscc: rho 0.142857 is not a multiple of 1/48 within 2 %; shipped: 1/24, 1/12, 1/6",
        ),
        pytest.param(
            {"data": "cifar10", "rho": (1 / 24,)},
            "adjscc has no weights for rho 1/24; shipped: 1/12, 1/6; choose one",
            marks=pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="needs CIFAR-10 under SEMLINK_DATA"),
        ),
        (
            {"codecs": ("deepjscc:train_snr=5",)},
            "comes without deepjscc-natural-m4-snr5; shipped: deepjscc-natural-m4-",
        ),
        ({"codecs": ("sgd_jscc",)}, "sgd_jscc has no weights for rho 1/12; shipped: 1/24; choose one"),
        ({"codecs": ("roi_jscc",), "rho": (1 / 24,)}, "roi_jscc has no weights for rho 1/24; shipped: 1/12; choose"),
        ({"codecs": ("ddnm",)}, "codec ddnm at rho 1/12: adjscc has no weights for rho 1/3; shipped: 1/24, 1/12, 1/6"),
        (
            {"codecs": (f"deepjscc:weights={WEIGHTS / 'adjscc-natural-m4.safetensors'}",)},
            "adjscc-natural-m4.safetensors: weights of adjscc, not of deepjscc; give adjscc:weights= that file, or",
        ),
        ({"codecs": (f"semlink:weights={WEIGHTS / 'roi_jscc-natural-m4.safetensors'}",)}, "roi_jscc, not of semlink"),
        ({"codecs": ("adjscc:weights=mine",)}, "mine: no such weights; train them with experiments/train.py"),
        ({"codecs": ("roi_jscc:importance=boxx",)}, "unknown importance map 'boxx'; did you mean 'box'? known: box, "),
        ({"codecs": ("ddnm:inner=adjsc",), "rho": (1 / 24,)}, "unknown codec 'adjsc'; did you mean 'adjscc'? known: "),
        (
            {"codecs": ("ddnm:inner=digital:sorce=webp",)},
            "unknown setting of codec digital: 'sorce'; did you mean 'source'? known: rho, source, mcs",
        ),
        ({"codecs": ("digital:source=hecv",)}, "codec digital:source=hecv: "),
        ({"channels": ("tdl:precoding=svd",)}, "link tdl:precoding=svd: precoding="),
        ({"channels": ("tdl:layers=3",)}, "link tdl:layers=3: layers=3 over 1 receive"),
    ],
)
def test_what_is_missing_or_cannot_be_is_one_line_with_what_is_known(asked, said):
    found = refusal(**asked)
    assert said in found and "\n" not in found


def test_every_listed_codec_meets_its_own_rate_or_says_that_it_has_no_weights():
    without, hub = {"swinjscc", "checkpoint"}, {"latent_diffusion", "img2img"}
    for name in codecs.names():
        made = codecs.create(name)
        if name not in without | hub and hasattr(made, "check"):
            made.check(256, 256)
    for name in without:
        with pytest.raises(SemlinkError, match="weights"):
            codecs.create(name).check(256, 256)


@pytest.mark.parametrize("codec", ["latent_diffusion", "img2img:model=me/sd", "latent_diffusion:vae=me/vae"])
def test_models_that_are_nowhere_are_told_at_once(codec, monkeypatch, tmp_path):
    nobody_answers(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "is neither a folder nor on the hub or in its cache (the hub is out of reach)" in refusal(codecs=(codec,))
    here = codec if "vae" in codec else codec.replace("me/sd", str(tmp_path))
    if "model" in codec:
        beforehand.check_questions([replace(ASKED, codecs=(here,))], Parts())


def test_what_is_here_passes(tmp_path):
    words = ("adjscc", "semlink", "digital", "ddnm:inner=digital,sigma_y=0.1", "sgd_jscc", "cddm")
    for word in words:
        beforehand.check_questions([replace(ASKED, codecs=(word,), rho=(1 / 24,))], Parts())


def test_nothing_is_measured_before(tmp_path):
    asked = study.Study([ASKED, replace(ASKED, codecs=("swinjscc",))], lambda rows: pytest.fail("must not answer"))
    with pytest.raises(SemlinkError, match="comes without weights"):
        study.run(asked, tmp_path, 1)
    assert not list(tmp_path.iterdir())


def test_what_a_plugin_raises_else_is_told_where_it_is_measured():
    beforehand.check_questions([replace(ASKED, codecs=("absent", "leaves"))], PARTS)
