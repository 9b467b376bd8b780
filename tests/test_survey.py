"""The survey's table in docs/survey.md: every codec has a column, every mark a line, and what a line cites exists."""

import ast
import re

import pytest
from pages import DOCS, ROOT

from semlink.codecs import video
from semlink.simulator.study.command import COMMANDS

TEXT = (DOCS / "survey.md").read_text()


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def marks():
    """Property: codecs with a mark, of the first table."""
    head, _, *lines = [cells(line) for line in re.findall(r"^\|.*\|$", TEXT.partition("##")[0], re.M)]
    names = [name.strip("`") for name in head[1:]]
    return names, {row[0]: {name for name, mark in zip(names, row[1:], strict=True) if mark} for row in lines}


def evidence():
    """Property: the line of each codec, of the tables below."""
    found = {}
    for name, body in re.findall(r"^\*\*(.+?)\*\*:(.*?)(?=^\*\*|\Z)", TEXT, re.M | re.S):
        lines = [cells(line) for line in re.findall(r"^\| `.*\|$", body, re.M)]
        found[name] = {codec: line[2] for line in lines for codec in re.findall(r"`(\w+)`", line[0])}
    return found


def test_every_codec_has_a_column():
    assert set(video.names()) <= set(marks()[0])


def test_every_mark_has_its_line_and_every_line_its_mark():
    assert {name: set(lines) for name, lines in evidence().items()} == marks()[1]


def test_what_is_no_codec_here_has_no_mark():
    for name, codecs in marks()[1].items():
        assert codecs <= set(video.names()), name


@pytest.mark.parametrize(("name", "codec"), [(name, codec) for name, lines in evidence().items() for codec in lines])
def test_what_a_line_cites_exists(name, codec):
    line = evidence()[name][codec]
    cited = re.findall(r"`(tests/\S+?\.py)::(\w+)`", line)
    commands = re.findall(r"`semlink ([\w-]+)", line)
    assert cited or commands
    assert set(commands) <= set(COMMANDS)
    for path, function in cited:
        tree = ast.parse((ROOT / path).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (path, function)
