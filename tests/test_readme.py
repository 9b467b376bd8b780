"""What the README shows really runs."""

import re
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(example, names)  # noqa: S102 - it is our own README
    assert names["pictures"].shape == names["images"].shape
    error = (names["pictures"] - names["images"]).square().mean((1, 2, 3))
    assert bool(torch.isfinite(error).all()) and float(error.mean()) < 0.02


def test_every_experiment_and_target_that_it_names_exists() -> None:
    for name in set(re.findall(r"experiments/\w+\.py", README)):
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)`?", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_plugin_is_in_its_tables() -> None:
    from semlink import channels, codecs
    from semlink.channels import impairments

    for name in (*codecs.names(), *channels.names(), *impairments.names()):
        assert f"`{name}`" in README, name


def test_every_power_rule_is_named() -> None:
    from semlink.simulator import power

    for name in power.names():
        assert name in README, name


def test_every_channel_word_that_it_shows_makes_a_link() -> None:
    from semlink.simulator.plugins import make_link
    from semlink.simulator.words import parse

    lines = re.findall(r"--channels ((?:[a-z_]+\S*[^\S\n]?)+)", README)
    shown = {word.strip("`\\") for line in lines for word in line.split() if set(word) & set(":+")}
    assert len(shown) >= 6
    for word in shown:
        make_link(parse(word))
