"""The command line that all experiments share: flags from a typed dataclass, early checks, one-line errors.

Importing this module and printing `--help` load neither torch, TensorFlow, matplotlib nor h5py.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args, get_type_hints

import tyro

from semlink.channels.base.names import did_you_mean
from semlink.channels.base.registry import UnknownName
from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import Executor, choose
from semlink.simulator.plugins import package
from semlink.simulator.quiet import silence
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.checks import check_channels, check_codec_words, check_codecs, check_data
from semlink.simulator.study.flag_errors import in_a_line
from semlink.simulator.study.rates import Rate
from semlink.simulator.study.recipes import with_recipe
from semlink.simulator.study.sheets import STYLES, check_style, drawn_as
from semlink.simulator.study.stopping import Terminated, finish, sigterm_stops
from semlink.simulator.study.training_flags import check_training
from semlink.simulator.values import SNR_LIMITS_DB

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CALLED = "SEMLINK_COMMAND"  # environment: by what words the experiment was called, where not by its file
LARGEST_SEED = 2**63 - 1  # what int64 holds, in rows.h5 and in the generators of the frameworks


@dataclass(frozen=True)
class Flags:
    """The flags that all experiments know. kind: package of the codecs that --codecs names."""

    kind: ClassVar[str] = "codecs"

    out: Path = Path("results/run")
    """Folder for rows.h5, summary.csv, run.json and figures. A run continues what the folder already holds."""
    data: str = "samples"
    """Pictures: samples, cifar10, kodak, or a folder or file of your own."""
    limit: int | None = None
    """Use only so many pictures, spread over the set."""
    seed: int = 0
    """Seed of fades, noise and decoders; the same seed gives the same rows."""
    codecs: tuple[str, ...] = ("semlink",)
    """Codecs, each a name or name:setting=value,... such as adjscc:weights=mine.safetensors."""
    channels: tuple[str, ...] = ("awgn",)
    """Channels, each a name or name:setting=value,... such as tdl:model=C,speed=30. The settings csi, equalizer, power,
    layers, precoding, csit, csit_delay, csit_bits and placement are the link's: tdl:csi=perfect. Impairments follow
    behind a plus sign: tdl+clipping:ratio_db=3+cfo:hertz=100."""
    snr: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0, 15.0)
    """Es/N0 in dB per complex symbol at the receiver, averaged over fading."""
    rho: tuple[Rate, ...] = (1 / 12,)
    """Channel uses per source dimension (3 H W of a picture): 1/12 or 0.0833."""
    workers: int = 1
    """Processes that share the work; the rows do not depend on it."""
    scheduler: str = ""
    """Address (tcp://host:port) or file of a Dask scheduler whose workers share the work, in place of --workers."""
    target_ci: float | None = None
    """Stop a point once half of the 95 % interval of each metric is at most this: in dB for metrics in dB, for others
    as a share of the mean. Decided at 64 pictures and then every quarter more; --limit or the set is the end."""
    target_lost: int | None = None
    """Go on with a point that sends bits until so many of its pictures have lost some, at most to the end of the set;
    alone or with --target-ci."""
    style: str = "screen"
    """How figures look: screen, ieee for papers (3.5 in wide, 8 pt, TrueType), or ieee-pgf, which also leaves a .pgf
    beside each and needs a LaTeX."""

    def check_names(self) -> None:
        """SemlinkError for what an experiment sees to be wrong in its own flags without loading a framework."""


AnyFlags = TypeVar("AnyFlags", bound="DataclassInstance")


def start(main: Callable[[AnyFlags], int], default: AnyFlags) -> None:
    """Run an experiment and exit: 0 done, 1 some conditions failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM.

    main takes the flags and returns the exit code; default holds the experiment's own defaults, and its class's
    docstring is the help text.
    """
    sys.exit(run(main, default, sys.argv[1:]))


def run(main: Callable[[AnyFlags], int], default: AnyFlags, arguments: Sequence[str]) -> int:
    """`start` with given arguments, returning the exit code."""
    try:
        flags = read(default, arguments)
        silence()
        check_style(getattr(flags, "style", STYLES[0]))
        _check_any(flags)
        if isinstance(flags, Flags):
            check(flags)
        with sigterm_stops(), drawn_as(getattr(flags, "style", STYLES[0])):
            return finish(main, flags)
    except (SemlinkError, UnknownName, OSError) as error:
        return _say(f"error: {_one_line(error)}", 2)
    except KeyboardInterrupt as stop:
        code = 143 if isinstance(stop, Terminated) else 130
        return _say("stopped; what was measured is kept: give the same command again to continue", code)


def read(default: AnyFlags, arguments: Sequence[str]) -> AnyFlags:
    """Flags from arguments; --help prints and exits. SemlinkError names unknown flags and lists the known ones."""
    kind = type(default)
    _check_places(kind, arguments)
    default = with_recipe(default, arguments)
    with in_a_line():
        flags, others = tyro.cli(
            kind,
            prog=os.environ.get(CALLED),
            default=default,
            args=list(arguments),
            description=_help(kind),
            return_unknown_args=True,
        )
    if others:
        known = [f"--{field.name.replace('_', '-')}" for field in fields(kind)]
        what = "flag" if others[0].startswith("-") else "argument"
        meant = did_you_mean(others[0].partition("=")[0].replace("_", "-"), known)
        raise SemlinkError(f"unknown {what} {others[0]!r}; {meant}known flags: {' '.join(known)}")
    return replace(flags, **{name: _from_home(getattr(flags, name)) for name in _places(kind)})


def _places(kind: type[DataclassInstance]) -> tuple[str, ...]:
    """The flags that are files, folders or data sets."""
    types = get_type_hints(kind)
    return tuple(
        field.name
        for field in fields(kind)
        if field.name.endswith("data") or Path in (types[field.name], *get_args(types[field.name]))
    )


def _from_home(value: Any) -> Any:
    """A path, a text or several, with the home folder in place of ~."""
    if isinstance(value, tuple):
        return tuple(map(_from_home, value))
    if isinstance(value, Path):
        return value.expanduser()
    return os.path.expanduser(value) if isinstance(value, str) else value


def _check_places(kind: type[DataclassInstance], arguments: Sequence[str]) -> None:
    """SemlinkError where a file, folder or data set is the empty text, which would be the working folder."""
    places = {f"--{name.replace('_', '-')}" for name in _places(kind)}
    for flag, value in zip(arguments, [*arguments[1:], None], strict=False):
        name, equals, own = flag.replace("_", "-").partition("=")
        if name in places and "" == (own if equals else value):
            raise SemlinkError(f"{name} is empty; name a folder or file, or . for the working folder")


def check(flags: Flags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured; what is heavy is loaded last."""
    check_codec_words(flags.codecs, flags.kind)
    flags.check_names()
    if flags.kind == "codecs":
        check_data(flags.data)
    check_channels(flags.channels)
    low, high = SNR_LIMITS_DB
    for snr in flags.snr:
        if not low <= snr <= high:
            raise SemlinkError(f"--snr {snr:g}: give values in dB between {low:g} and {high:g}")
    for rho in flags.rho:
        if not 0 < rho <= 4:
            raise SemlinkError(f"--rho {rho:g}: give channel uses per source dimension, such as 1/12")
    for name, least in (("limit", 1), ("seed", 0), ("workers", 1), ("target_lost", 1)):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise SemlinkError(f"--{name.replace('_', '-')} {value}: give a whole number of at least {least}")
    if flags.target_ci is not None and not 0 < flags.target_ci < math.inf:
        raise SemlinkError(f"--target-ci {flags.target_ci:g}: give half of an interval, such as 0.05")
    where(flags)
    for name in ("codecs", "channels", "snr", "rho"):
        if not getattr(flags, name):
            raise SemlinkError(f"--{name} needs at least one value")
    check_codecs(flags.codecs, flags.kind)


def _check_any(flags: object) -> None:
    """SemlinkError for a seed that nothing holds and a codec that nobody knows, of scripts with other flags too."""
    seed, codec = getattr(flags, "seed", 0), getattr(flags, "codec", "")
    if seed > LARGEST_SEED:
        raise SemlinkError(f"--seed {seed}: give a whole number of at most 2^63 - 1")
    if hasattr(flags, "minutes") and not isinstance(flags, Flags):
        check_training(flags)
    if codec and isinstance(codec, str):
        check_codecs((codec,))


def sweep_of(flags: Flags, metrics: Sequence[str]) -> Sweep:
    """The sweep that the common flags ask for."""
    return Sweep(
        codecs=tuple(dict.fromkeys(flags.codecs)),
        channels=tuple(dict.fromkeys(flags.channels)),
        snr_db=tuple(dict.fromkeys(flags.snr)),
        rho=tuple(dict.fromkeys(flags.rho)),
        metrics=tuple(dict.fromkeys(metrics)),
        data=flags.data,
        limit=flags.limit,
        seed=flags.seed,
        target_ci=flags.target_ci,
        target_lost=flags.target_lost,
    )


def where(flags: Flags) -> Executor:
    """Where the work is done. SemlinkError for a scheduler that cannot be one."""
    return choose(flags.workers, flags.scheduler)


def _help(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "")
    if not issubclass(kind, Flags):
        return text
    known = {
        f"{package(kind.kind).registry.kind}s": kind.kind,
        "channels": "channels",
        "impairments": "channels.impairments",
    }
    lines = (f"Known {what}: {', '.join(package(home).names())}." for what, home in known.items())
    return "\n".join([text, "", *lines])


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
