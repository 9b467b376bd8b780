"""The command line that all experiments share: flags from a typed dataclass, early checks, one-line errors.

Importing this module and printing `--help` load neither torch, TensorFlow, matplotlib nor h5py.
"""

from __future__ import annotations

import atexit
import faulthandler
import inspect
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args, get_type_hints

import tyro

from semlink.channels.base.names import did_you_mean, unknown
from semlink.channels.base.registry import UnknownName
from semlink.simulator.errors import SemlinkError
from semlink.simulator.plugins import LINK_SETTINGS, make_channel, package
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.recipes import with_recipe
from semlink.simulator.study.settings import check_settings
from semlink.simulator.study.stopping import Terminated, finish, sigterm_stops
from semlink.simulator.values import SNR_LIMITS_DB
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "GLOG_minloglevel": "3"}
LARGEST_SEED = 2**63 - 1  # what int64 holds, in rows.h5 and in the generators of the frameworks
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IWE]0000 00:00:|\d{4}-\d\d-\d\d [^ ]+ [IWE] )"
)


def read_rate(text: str) -> float:
    """A rate as a fraction, which is exact, or a number: `1/12`, `0.0833` and `0.08333` all mean 1/12.

    A number that is 1/n to four decimals, or to three or more significant digits of its own (0.167), means 1/n.
    """
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is no rate; write 1/12 or 0.0833") from None
    if "/" in text or not 0 < value <= 1:
        return value
    nearest = 1 / round(1 / value)
    return nearest if abs(nearest - value) < max(6e-5, _half_a_digit(text)) else value


def _half_a_digit(text: str) -> float:
    """How far a number may be from what it was rounded from; 0 when it has fewer than three significant digits."""
    told = Decimal(text).as_tuple()
    return 0.501 * 10.0 ** int(told.exponent) if len(told.digits) >= 3 else 0.0


Rate = Annotated[
    float,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="RHO",
        instance_from_str=lambda words: read_rate(words[0]),
        is_instance=lambda value: isinstance(value, (int, float)),
        str_from_instance=lambda value: [f"{value:.4g}"],
    ),
]


@dataclass(frozen=True)
class Flags:
    """The flags that all experiments know."""

    out: Path = Path("results/run")
    """Folder for rows.h5, summary.csv, run.json and figures. A run continues what the folder already holds."""
    data: str = "samples"
    """Pictures: samples, cifar10, kodak, or a folder or file of your own."""
    limit: int | None = None
    """Use only the first so many pictures."""
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
        _check_any(flags)
        if isinstance(flags, Flags):
            check(flags)
        with sigterm_stops():
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
    flags, others = tyro.cli(
        kind, default=default, args=list(arguments), description=_help(kind), return_unknown_args=True
    )
    if others:
        known = [f"--{field.name.replace('_', '-')}" for field in fields(kind)]
        what = "flag" if others[0].startswith("-") else "argument"
        meant = did_you_mean(others[0].partition("=")[0].replace("_", "-"), known)
        raise SemlinkError(f"unknown {what} {others[0]!r}; {meant}known flags: {' '.join(known)}")
    return flags


def _check_places(kind: type[DataclassInstance], arguments: Sequence[str]) -> None:
    """SemlinkError where a file, folder or data set is the empty text, which would be the working folder."""
    types = get_type_hints(kind)
    places = {
        f"--{field.name.replace('_', '-')}"
        for field in fields(kind)
        if field.name.endswith("data") or Path in (types[field.name], *get_args(types[field.name]))
    }
    for flag, value in zip(arguments, [*arguments[1:], None], strict=False):
        name, equals, own = flag.replace("_", "-").partition("=")
        if name in places and "" == (own if equals else value):
            raise SemlinkError(f"{name} is empty; name a folder or file, or . for the working folder")


def check(flags: Flags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured; what is heavy is loaded last."""
    check_words("codec", flags.codecs, package("codecs").names())
    check_channels(flags.channels)
    low, high = SNR_LIMITS_DB
    for snr in flags.snr:
        if not low <= snr <= high:
            raise SemlinkError(f"--snr {snr:g}: give values in dB between {low:g} and {high:g}")
    for rho in flags.rho:
        if not 0 < rho <= 4:
            raise SemlinkError(f"--rho {rho:g}: give channel uses per source dimension, such as 1/12")
    for name, least in (("limit", 1), ("seed", 0), ("workers", 1)):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise SemlinkError(f"--{name} {value}: give a whole number of at least {least}")
    for name in ("codecs", "channels", "snr", "rho"):
        if not getattr(flags, name):
            raise SemlinkError(f"--{name} needs at least one value")
    check_codecs(flags.codecs)


def _check_any(flags: object) -> None:
    """SemlinkError for a seed that nothing holds and a codec that nobody knows, of scripts with other flags too."""
    seed, codec = getattr(flags, "seed", 0), getattr(flags, "codec", "")
    if seed > LARGEST_SEED:
        raise SemlinkError(f"--seed {seed}: give a whole number of at most 2^63 - 1")
    if codec:
        check_codecs((codec,))


def check_codecs(words: Sequence[str]) -> None:
    """SemlinkError when a codec's word is misspelt or names an unknown codec or setting; loads the codec's module."""
    kinds = package("codecs")
    check_words("codec", words, kinds.names())
    for word in map(parse, words):
        check_settings("codec", kinds.registry, word, given=("rho",))


def check_channels(words: Sequence[str]) -> None:
    """SemlinkError when a channel's word is misspelt, or names an unknown channel, impairment or setting.

    So it is when the channel refuses the value of a setting. Settings of the link are known by name only.
    """
    kinds, others = package("channels"), package("channels.impairments")
    check_words("channel", words, kinds.names(), others.names())
    for word in map(parse, words):
        check_settings("channel", kinds.registry, word, more=LINK_SETTINGS)
        for added in word.added:
            check_settings("impairment", others.registry, added)
        _try_channel(word)


def _try_channel(word: Word) -> None:
    try:
        make_channel(word.split(LINK_SETTINGS)[0])
    except (SemlinkError, OSError):
        raise
    except Exception:  # noqa: BLE001 - a plug-in may raise anything; what it is will be told where it is measured
        return


def check_words(kind: str, words: Sequence[str], known: Sequence[str], added: Sequence[str] = ()) -> None:
    """SemlinkError when a word is misspelt or names an unknown plug-in; lists the known ones.

    added: plug-ins that may follow behind a plus sign.
    """
    for word in map(parse, words):
        if word.name not in known:
            raise SemlinkError(unknown(kind, word.name, known))
        for other in word.added:
            if other.name not in added:
                expected = (
                    f"{did_you_mean(other.name, added)}known: {', '.join(added)}" if added else f"a {kind} takes none"
                )
                raise SemlinkError(f"unknown impairment {other.name!r} in {word}; {expected}")


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
    )


def silence() -> None:
    """Keep framework log noise off the screen, here and in child processes; errors of Python are not touched.

    TensorFlow's environment variables do not reach what XLA and CUDA stubs print before absl is set up, so standard
    error's file descriptor is filtered line by line, while Python itself keeps writing to the real one.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    warnings.formatwarning = _plain_warning  # type: ignore[assignment]
    _filter_stderr()


def _plain_warning(message: Warning | str, *where: object) -> str:
    """A warning without the place in our code that it comes from."""
    return f"warning: {message}\n"


def _filter_stderr() -> None:
    if getattr(sys.stderr, "fileno", None) is None or sys.stderr is not sys.__stderr__:
        return  # somebody captures it already
    sys.stderr.flush()
    real = os.dup(2)
    sys.stderr = os.fdopen(real, "w", buffering=1, errors="backslashreplace")
    faulthandler.enable(sys.stderr)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)
    reader = threading.Thread(target=_pass_on, args=(source, real), daemon=True)
    reader.start()
    atexit.register(_restore, real, reader)


def _pass_on(source: int, target: int) -> None:
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if not _NOISE.match(line):
                os.write(target, line)


def _restore(real: int, reader: threading.Thread) -> None:
    sys.stderr.flush()
    os.dup2(real, 2)
    reader.join(timeout=0.5)


def _help(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "")
    if not issubclass(kind, Flags):
        return text
    known = {"codecs": "codecs", "channels": "channels", "impairments": "channels.impairments"}
    lines = (f"Known {kind}: {', '.join(package(home).names())}." for kind, home in known.items())
    return "\n".join([text, "", *lines])


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
