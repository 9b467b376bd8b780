"""report.html: what was asked, what came out, what was lost and by what it was measured, in one file.

Figures and strips are inside as PNG; a click shows one at full size. Nothing in it comes from elsewhere.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.analysis.tables import rate
from semlink.simulator.files import write_aside
from semlink.simulator.records.rows import UNDECODED, Measurement
from semlink.simulator.study.command import COMMANDS
from semlink.simulator.words import short

NAME = "report.html"
FILMS = ("*.mp4", "show_*/*.mp4")  # where a clip is shown, below the folder of a run
UNSAID: tuple[Any, ...] = (None, "", [])  # what a table and a command leave out
FLAGS = {"snr_db": "snr"}  # names in run.json by names on a command line, where they differ
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
pre.command { white-space: pre-wrap; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.35; }
table { border-collapse: collapse; font-size: .9rem; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
figure { margin: 1rem 0; } figcaption { color: #555; font-size: .9rem; }
img, video { max-width: 100%; } img { cursor: zoom-in; } img.whole { max-width: none; cursor: zoom-out; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
.wide { overflow-x: auto; }
"""
SCRIPT = """
for (const image of document.images) image.addEventListener('click', () => image.classList.toggle('whole'));
"""


def write(
    out: Path, run: Mapping[str, Any], texts: Sequence[str], figures: Sequence[Path], measured: Sequence[Measurement]
) -> Path:
    """`out`/report.html. run: what run.json says. texts: tables for a screen. figures: files, PNG ones are shown."""
    name = str(run.get("experiment", out.name)).removesuffix(".py")
    shown = [path for path in figures if path.suffix == ".png"]
    strips = [path for path in shown if path.stem.startswith("pictures")]
    parts = [
        f"<h1>{escape(name.replace('_', ' '))}</h1>",
        *_section("What was asked", _question(run)),
        *_section("What came out", _grid([path for path in shown if path not in strips])),
        *_section("In numbers", [f"<pre>{escape(text)}</pre>" for text in texts]),
        *_section("Pictures", [f'<div class="wide">{_figure(path)}</div>' for path in strips]),
        *_section("Clips", [_film(path) for pattern in FILMS for path in sorted(out.glob(pattern))]),
        *_section("What was lost", _losses(measured)),
        *_section("How it was measured", _measured(run)),
    ]
    head = f'<meta charset="utf-8"><title>semlink: {escape(name)}</title><style>{STYLE}</style>'
    body = f"{''.join(parts)}<script>{SCRIPT}</script>"
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    write_aside(out / NAME, lambda aside: aside.write_text(page, encoding="utf-8"))
    return out / NAME


def _question(run: Mapping[str, Any]) -> list[str]:
    """As a table and as a command; nothing for a folder that is part of a run, such as that of a clip."""
    return [_table(_asked(run)), f'<pre class="command">{escape(command(run))}</pre>'] if run else []


def command(run: Mapping[str, Any]) -> str:
    """The command that asks for the same again, but for where it writes: as of the package where that has it."""
    script = str(run.get("experiment", "snr_sweep.py"))
    called = next((name for name, own in COMMANDS.items() if f"{own}.py" == script), "")
    words = ["semlink", called] if called else ["python", f"experiments/{script}"]
    for name, value in run.get("configuration", {}).items():
        values = value if isinstance(value, list) else [value]
        if value not in UNSAID:
            words += [f"--{FLAGS.get(name, name).replace('_', '-')}", *(_word(name, one) for one in values)]
    return shlex.join(words)


def _word(name: str, value: Any) -> str:
    if name == "rho" and abs(value * round(1 / value) - 1) < 1e-6:
        return f"1/{round(1 / value)}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _asked(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in run.get("configuration", {}).items():
        values = value if isinstance(value, list) else [value]
        if value not in UNSAID:
            yield name.replace("_", " "), ", ".join(short(_word(name, one)) for one in values)


def _measured(run: Mapping[str, Any]) -> list[str]:
    versions = ((name, str(version)) for name, version in run.get("versions", {}).items())
    files = ((name, str(digest)[:16]) for name, digest in run.get("files", {}).items())
    seconds = [f"<p>{run['duration_s']:.0f} s.</p>"] if "duration_s" in run else []
    return [
        *seconds,
        _table(versions),
        f"<details><summary>Files that results depend on (sha256)</summary>{_table(files)}</details>",
    ]


def _losses(measured: Iterable[Measurement]) -> list[str]:
    """Conditions that failed, and those in which pictures lost code blocks or could not be decoded."""
    lines = []
    for own in measured:
        asked = own.condition
        where = f"{short(asked.codec)}, rho {rate(asked.rho)}, {short(asked.channel)}, {asked.snr_db:g} dB"
        lost, undecoded = (
            int(np.count_nonzero(own.values.get(name, np.zeros(0)) > 0)) for name in ("block_errors", UNDECODED)
        )
        said = [f"{lost} of {len(own.images)} pictures lost code blocks"] if lost else []
        said += [f"{undecoded} of {len(own.images)} pictures arrived and could not be decoded"] if undecoded else []
        if own.error:
            lines.append((where, f"failed: {own.error}"))
        elif said:
            lines.append((where, ", ".join(said)))
    return [_table(lines)] if lines else ["<p>No code block, and no condition failed.</p>"]


def _section(title: str, parts: Sequence[str]) -> list[str]:
    return [f"<h2>{title}</h2>", *parts] if parts else []


def _grid(figures: Sequence[Path]) -> list[str]:
    return [f'<div class="figures">{"".join(map(_figure, figures))}</div>'] if figures else []


def _figure(path: Path) -> str:
    words = path.stem.replace("_", " ")
    inside = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{escape(words)}" src="data:image/png;base64,{inside}">'
    beside = path.with_suffix(".txt")
    said = beside.read_text(encoding="utf-8").strip() if beside.exists() else words
    return f"<figure>{image}<figcaption>{escape(said)}</figcaption></figure>"


def _film(path: Path) -> str:
    """A clip, in the page; beside it lies what its frames cost."""
    inside = base64.b64encode(path.read_bytes()).decode()
    name = path.parent.name.removeprefix("show_").replace("_", " ")
    words = f"{name}: {path.stem.replace('_', ' ')}, with what each frame cost"
    film = f'<video controls loop muted src="data:video/mp4;base64,{inside}"></video>'
    return f"<figure>{film}<figcaption>{escape(words)}</figcaption></figure>"


def _table(lines: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return f"<table>{rows}</table>"
