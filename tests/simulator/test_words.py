"""Words such as `tdl:model=C,speed=30`."""

import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import Word, labels, parse, short, with_settings


def test_settings_get_their_types():
    word = parse("tdl:model=C,speed=30,delay_spread=1e-7,los=true,k=none,x=-2.5,y=nan")
    assert word.name == "tdl"
    settings = dict(word.settings)
    assert settings == {"model": "C", "speed": 30, "delay_spread": 1e-7, "los": True, "k": None, "x": -2.5, "y": "nan"}
    assert isinstance(settings["speed"], int)


@pytest.mark.parametrize("text", ["awgn", "tdl:model=C,speed=30", "x:a=1e-07,b=true,c=none,d=hub/model:v1"])
def test_canonical_words_stay_as_they_are(text):
    assert str(parse(text)) == text and parse(str(parse(text))) == parse(text)


def test_spelling_does_not_matter():
    assert str(parse("tdl:speed=30.0,model=C")) == str(parse("tdl:model=C,speed=30"))


def test_split_takes_the_links_settings():
    assert parse("tdl:csi=ls,speed=3").split(("csi",)) == (Word("tdl", (("speed", 3),)), {"csi": "ls"})


@pytest.mark.parametrize("text", ["", ":a=1", "tdl:", "tdl:model", "tdl:=3", "tdl:a=", "tdl:a=1,a=2"])
def test_bad_words(text):
    with pytest.raises(SemlinkError):
        parse(text)


def test_settings_are_replaced_or_added():
    assert with_settings("ddnm:mode=paper,steps=4", steps=50) == "ddnm:mode=paper,steps=50"
    assert with_settings("ddnm", scheduler=None, eta=0.5) == "ddnm:eta=0.5,scheduler=none"
    assert with_settings("tdl:speed=3+clipping:ratio_db=3", speed=30) == "tdl:speed=30+clipping:ratio_db=3"


def test_short_words_drop_folders():
    assert short("adjscc:hub=a/b,weights=/x/y z/mine.safetensors") == "adjscc:hub=a/b,weights=mine.safetensors"
    assert short("ddnm:model=~/models/prior/") == "ddnm:model=prior" and short("x:model=./sd") == "x:model=sd"
    assert short("roi:importance=file:path=/a/b.png;margin=2,weights=c/d.st") == (
        "roi:importance=file:path=b.png;margin=2,weights=d.st"
    )
    assert short("tdl:model=C,speed=30") == "tdl:model=C,speed=30"


@pytest.mark.parametrize(
    "text", ["sgd_jscc:guidance=edges/tag", "roi:importance=segmentation:classes=car/pole", "x:a=1/2"]
)
def test_lists_with_slashes_are_no_paths(text):
    assert short(text) == text


@pytest.mark.parametrize(
    "words",
    [
        ["adjscc:weights=/one/mine.st", "adjscc:weights=/two/mine.st", "adjscc"],
        ["x:w=/a/b/m.st", "x:w=/c/b/m.st", "x:w=b/m.st", "x:w=m.st"],
        ["x:w=/a/m/", "x:w=/a/m", "x:w=/m"],
        ["a+b:path=~/x/c.h5", "a+b:path=~/y/c.h5"],
    ],
)
def test_labels_tell_words_apart_and_stay_short(words):
    found = labels([*words, words[0]])
    assert found.keys() == set(words)
    assert len(set(found.values())) == len(words)
    assert all(len(label) <= len(word) for word, label in found.items())
    assert labels(words[:1]) == {words[0]: short(words[0])}


def test_only_words_that_are_alike_get_longer_labels():
    words = ["adjscc:weights=/one/mine.st", "adjscc:weights=/two/mine.st", "adjscc:weights=/two/yours.st"]
    assert list(labels(words).values()) == [
        "adjscc:weights=one/mine.st",
        "adjscc:weights=two/mine.st",
        "adjscc:weights=yours.st",
    ]
