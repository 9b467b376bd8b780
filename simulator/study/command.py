"""The command `semlink`: one experiment by its short name, as `python experiments/NAME.py` runs it."""

from __future__ import annotations

import ast
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from semlink.channels.base.names import unknown
from semlink.simulator.study.cli import CALLED
from semlink.simulator.study.completion import print_completion

COMMANDS: Mapping[str, str] = {
    "sweep": "snr_sweep",
    "roi": "roi",
    "diffusion": "diffusion",
    "spic": "spic",
    "power": "power",
    "mimo": "mimo",
    "robustness": "robustness",
    "video": "video",
    "realtime": "realtime",
    "train": "train",
    "train-diffusion": "train_diffusion",
    "train-hybrid": "train_hybrid",
    "train-level": "train_level",
    "train-segmenter": "train_segmenter",
    "train-spic": "train_spic",
    "train-video": "train_video",
    "redraw": "redraw",
    "report": "report",
    "import-cir": "import_cir",
}
WIDTH = max(map(len, COMMANDS)) + 2


def main() -> None:
    """Run what the shell asked for and exit with its code; 2 for a command that nobody knows."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """A command with its flags. Without one, or with --help, the list of them; --version tells the version."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"semlink {version('semlink')}")
        return 0
    if arguments[0] == "completion":
        return print_completion(" ".join(arguments[1:]), COMMANDS)
    if arguments[0] not in COMMANDS:
        print(f"error: {unknown('command', arguments[0], (*COMMANDS, 'completion'))}", file=sys.stderr)
        return 2
    script = _folder() / f"{COMMANDS[arguments[0]]}.py"
    os.environ[CALLED] = f"semlink {arguments[0]}"  # runpy puts the file's name into sys.argv
    sys.argv[1:] = arguments[1:]
    runpy.run_path(str(script), run_name="__main__")  # exits itself
    return 0


def overview() -> str:
    """All commands with the first line of their text."""
    lines = (f"  {name:{WIDTH}}{_about(_folder() / f'{script}.py')}" for name, script in COMMANDS.items())
    usage = "usage: semlink COMMAND [flags]; semlink COMMAND --help tells the flags"
    return "\n".join([usage, "", *lines, f"  {'completion':{WIDTH}}What bash or zsh complete: a script on the screen."])


def _about(script: Path) -> str:
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _folder() -> Path:
    found = find_spec("semlink.experiments")
    assert found is not None and found.submodule_search_locations, "experiments are part of the package"
    return Path(next(iter(found.submodule_search_locations)))
