"""What the README and the pages show really runs, and the README is a page that one reads."""

import re
from pathlib import Path

import pytest
import torch
from pages import DOCS, EVERYTHING, PAGES, README, ROOT, TEXT, example

SEARCHED = ("CBR", "bandwidth ratio", "BPG", "LDPC", "DeepJSCC", "3GPP", "GPU", "OFDM", "Sionna", "LPIPS")


def test_it_is_a_page_that_begins_with_a_picture() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert any("](docs/story.png)" in line for line in lines[:20])
    assert (DOCS / "story.png").stat().st_size <= 400_000
    assert "](docs/still.png)" in README and (DOCS / "still.png").stat().st_size <= 150_000


@pytest.mark.parametrize("word", SEARCHED)
def test_it_has_the_words_that_people_search_for(word: str) -> None:
    assert word in README


def test_the_python_example_runs() -> None:
    longer = example((DOCS / "python.md").read_text())
    assert longer.startswith(example(README).rstrip())
    names: dict = {}
    exec(longer, names)  # noqa: S102 - it is our own page
    for pictures in (names["pictures"], names["better"]):
        assert pictures.shape == names["images"].shape
        error = (pictures - names["images"]).square().mean((1, 2, 3))
        assert bool(torch.isfinite(error).all()) and float(error.mean()) < 0.02


def test_every_experiment_and_target_that_pages_name_exists() -> None:
    for name in set(re.findall(r"experiments/[a-z_/-]+\.(?:py|json)", EVERYTHING)):
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^ {4})make\s(\w+)", EVERYTHING, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_plugin_is_in_it() -> None:
    from semlink import channels, codecs

    for name in (*codecs.names(), *channels.names()):
        assert f"`{name}`" in README or f"`{name}:" in README, name


def test_every_setting_of_the_link_is_on_its_page() -> None:
    from semlink.simulator import power
    from semlink.simulator.plugins import LINK_SETTINGS

    text = (DOCS / "link.md").read_text()
    for name in (*LINK_SETTINGS, *power.names()):
        assert f"`{name}`" in text, name


def test_every_channel_word_that_pages_show_makes_a_link() -> None:
    from semlink import channels
    from semlink.simulator.plugins import make_link
    from semlink.simulator.words import parse

    shown = {word for word in behind("channels") if set(word) & set(":+")}
    inline = {word for word in words() if parse(word).name in channels.names()}
    assert len(shown) >= 6 and len(inline) >= 3
    for word in shown | inline:
        if "path=" not in word:  # a file of the reader's
            make_link(parse(word))


def test_every_codec_word_that_pages_show_has_settings_of_that_codec() -> None:
    from inspect import signature

    from semlink import codecs
    from semlink.codecs import video
    from semlink.simulator.words import parse

    inline = {word for word in words() if parse(word).name in codecs.names()}
    assert len(inline) >= 5 and len(behind("codecs")) >= 8
    for word in map(parse, inline | behind("codecs") | behind("codec")):
        registry = video.registry if word.name in video.names() else codecs.registry
        unknown = {name for name, _ in word.settings} - signature(registry.get(word.name)).parameters.keys()
        assert not unknown, word


def behind(flag: str) -> set[str]:
    """Words behind that flag in commands."""
    lines = re.findall(rf"--{flag} ((?:[a-z_]+\S*[^\S\n]?)+)", EVERYTHING)
    return {word.strip("`\\") for line in lines for word in line.split()}


def words() -> set[str]:
    """Words with settings between backticks."""
    return set(re.findall(r"`([a-z_]+[:+][a-z_]\w*[=:][^`\s]+)`", EVERYTHING))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", TEXT[page]):
        if target.startswith(("http://", "https://")):
            continue
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), f"{page.name}: {target}"
        assert not anchor or anchor[1:] in anchors(TEXT[other]), f"{page.name}: {anchor}"


def anchors(text: str) -> set[str]:
    """Those that GitHub gives the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}
