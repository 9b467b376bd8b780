"""Parts of Markdown pages that commands write: tables, and what stands between a pair of markers, replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from semlink.simulator.errors import SemlinkError


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, a line for the head and one for each row; bars within cells are escaped."""
    lines = [_line(head), "| --- " * len(head) + "|", *map(_line, rows)]
    return "\n".join([*lines, ""])


def rewrite(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Put each content between the markers of its name, `<!-- name begin -->` and `<!-- name end -->`.

    The pages are all .md files under `folder`; returns those that changed. SemlinkError when no page has the markers.
    """
    before = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))}
    after = dict(before)
    for name, content in contents.items():
        path = _home(after, name, folder)
        after[path] = replaced(after[path], name, content)
    changed = [path for path in before if before[path] != after[path]]
    for path in changed:
        path.write_text(after[path], encoding="utf-8")
    return changed


def replaced(text: str, name: str, content: str) -> str:
    """The text with `content`, which ends with a new line, between the markers of that name."""
    begin, end = _markers(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}{end}{rest.split(end)[1]}"


def _home(pages: Mapping[Path, str], name: str, folder: Path) -> Path:
    begin, end = _markers(name)
    for path, text in pages.items():
        if begin in text and end in text:
            return path
    raise SemlinkError(f"no page under {folder.name} has the markers {begin} ... {end}; add them where it belongs")


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name} begin -->", f"<!-- {name} end -->"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
