"""What tyro says in a box is told in a line; a value that source code names is checked without loading anything."""

import pytest

from semlink.simulator import SemlinkError
from semlink.simulator.study.checks import check_codec_words, check_file
from semlink.simulator.study.choices import check_choice
from semlink.simulator.study.cli import read
from semlink.simulator.study.command import overview
from semlink.simulator.study.training_flags import check_training


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--loss", "log_msee"], r"^--loss: unknown choice 'log_msee'; did you mean 'log_mse'\? known: log_mse, mse$"),
        (["--steps", "three"], r"^--steps: cannot read 'three'; it takes INT$"),
        (["--lr"], r"^--lr needs a value$"),
    ],
)
def test_a_value_that_no_flag_takes_is_told_in_a_line(arguments: list[str], told: str, capsys) -> None:
    from semlink.experiments.train import TrainFlags

    with pytest.raises(SemlinkError, match=told):
        read(TrainFlags(), arguments)
    assert capsys.readouterr() == ("", "")


def test_help_is_no_mistake(capsys) -> None:
    from semlink.experiments.train import TrainFlags

    with pytest.raises(SystemExit) as stop:
        read(TrainFlags(), ["--help"])
    assert not stop.value.code and "--loss" in capsys.readouterr().out and "train-level" in overview()


def test_truth_values_and_choices_are_those_of_the_annotation() -> None:
    check_choice("codec x", "mode", "hifi", "Literal['hifi', 'plain'] | None")
    check_choice("codec x", "flag", True, "bool")
    check_choice("codec x", "device", "cuda:1", "str | None")
    with pytest.raises(SemlinkError, match="codec x: unknown mode 'hify'; did you mean 'hifi'"):
        check_choice("codec x", "mode", "hify", "Literal['hifi', 'plain'] | None")
    with pytest.raises(SemlinkError, match="unknown flag 'ture'; did you mean 'true'"):
        check_choice("codec x", "flag", "ture", "bool")


@pytest.mark.parametrize(
    "word", ["ddnm:inner=adjscc", "roi_jscc:importance=box:x0=0.25;x1=0.5", "roi_jscc:importance=none"]
)
def test_words_within_words_that_are_right_pass(word: str) -> None:
    check_codec_words([word])


def test_a_file_that_is_nearly_called_so_is_named(tmp_path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"")
    with pytest.raises(SemlinkError, match=rf"did you mean '{tmp_path}/mine.safetensors'\?$"):
        check_file(tmp_path / "mien.safetensors")


def test_defaults_of_a_training_script_pass() -> None:
    from semlink.experiments.train import TrainFlags

    check_training(TrainFlags(data=("cifar10-train",), channels=("surrogate", "tdl:speed=10")))
