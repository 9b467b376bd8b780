"""What a shell completes: commands, their flags, and the names that flags take."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from typing import get_type_hints

from semlink.channels.base.names import did_you_mean
from semlink.simulator.plugins import package
from semlink.simulator.study.sheets import STYLES

SHELLS = ("bash", "zsh")
START = {"bash": "", "zsh": "autoload -U +X bashcompinit && bashcompinit\n"}
SCRIPT = """{start}_semlink() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} flag= words= i
  for ((i = COMP_CWORD - 1; i > 1; i--)); do
    if [[ ${{COMP_WORDS[i]}} == --* ]]; then flag=${{COMP_WORDS[i]}}; break; fi
  done
  if [[ $COMP_CWORD -eq 1 ]]; then words="{commands}"
  elif [[ $cur == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{flags}
    esac
  else
    case "${{COMP_WORDS[1]}} $flag" in
{values}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _semlink semlink
"""


def completion(shell: str, commands: Mapping[str, str]) -> str:
    """The script of a shell of SHELLS. commands: the experiments' files by what they are called."""
    known = {name: flags_of(script) for name, script in commands.items()}
    flags = "\n".join(_case(name, own) for name, own in known.items())
    values = "\n".join(_case(pattern, names) for pattern, names in _values().items())
    return SCRIPT.format(start=START[shell], commands=" ".join([*commands, "completion"]), flags=flags, values=values)


def flags_of(script: str) -> tuple[str, ...]:
    """The flags of an experiment, which loads no framework."""
    main = import_module(f"semlink.experiments.{script}").main
    kind = next(hint for name, hint in get_type_hints(main).items() if name != "return")
    return tuple(f"--{field.name.replace('_', '-')}" for field in fields(kind))


def _values() -> dict[str, Sequence[str]]:
    """Names by pattern of command and flag; the first pattern counts."""
    from semlink.simulator.data import NAMES

    codecs, video = package("codecs").names(), package("codecs.video").names()
    return {
        "video --codecs|video --versus": video,
        "* --codecs|* --codec|* --versus": codecs,
        "* --channels|* --train-channels": package("channels").names(),
        "* --data": NAMES,
        "* --style": STYLES,
    }


def _case(pattern: str, words: Sequence[str]) -> str:
    quoted = "|".join(_quoted(one) for one in pattern.split("|"))
    return f'      {quoted}) words="{" ".join(words)}" ;;'


def _quoted(pattern: str) -> str:
    """A pattern of `case` whose stars stay stars."""
    return "*".join(f'"{part}"' if part else "" for part in pattern.split("*"))


def print_completion(shell: str, commands: Mapping[str, str]) -> int:
    """Print the script, or what the known shells are; the exit code."""
    if shell not in SHELLS:
        meant = f"; {did_you_mean(shell, SHELLS).rstrip()}".rstrip("; ")
        print(f"error: semlink completion takes {' or '.join(SHELLS)}, not {shell!r}{meant}", file=sys.stderr)
        return 2
    print(completion(shell, commands), end="")
    return 0
