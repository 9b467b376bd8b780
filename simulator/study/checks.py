"""Words of codecs and channels, checked before anything is measured: names, settings and what a channel refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semlink.channels.base.names import did_you_mean, near_path, unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.plugins import LINK_SETTINGS, make_channel, package
from semlink.simulator.study.settings import check_setting_names, check_settings
from semlink.simulator.study.sources import names_in
from semlink.simulator.words import Word, parse

WITHIN = {  # settings that are words themselves, with the package that knows them
    "importance": "codecs.importance",
    "segmenter": "codecs.importance",
    "inner": "codecs",
    "anchor": "codecs",
    "codec": "codecs",
}


def check_codecs(words: Sequence[str], home: str = "codecs") -> None:
    """SemlinkError when a codec's word is misspelt or names an unknown codec or setting; loads the codec's module.

    home: the registry, "codecs" of pictures or "codecs.video".
    """
    check_codec_words(words, home)
    kinds = package(home)
    for word in map(parse, words):
        check_settings(kinds.registry.kind, kinds.registry, word, given=("rho",))


def check_codec_words(words: Sequence[str], home: str = "codecs") -> None:
    """As `check_codecs`, as far as the sources of built-in codecs tell; loads nothing."""
    kinds = package(home)
    check_words(kinds.registry.kind, words, kinds.names())
    for word in map(parse, words):
        check_setting_names(kinds.registry.kind, kinds.registry, word, given=("rho",))
        _check_within(word)


def _check_within(word: Word) -> None:
    """SemlinkError for words within a word of a built-in codec, such as that of an inner codec; loads nothing."""
    for setting, value in word.settings:
        home = WITHIN.get(setting)
        if home and isinstance(value, str) and not word.file:
            inner = value.replace(";", ",")
            if home == "codecs.importance":
                check_importance([inner])
                continue
            kinds = package(home)
            check_words(kinds.registry.kind, (inner,), kinds.names())
            check_setting_names(kinds.registry.kind, kinds.registry, parse(inner), given=("rho",))


def check_channels(words: Sequence[str]) -> None:
    """SemlinkError when a channel's word is misspelt, or names an unknown channel, impairment or setting.

    So it is when the channel refuses the value of a setting, and when one of the link that has a name has an unknown
    one; what they are together is told where the link is made (`beforehand`).
    """
    kinds, others = package("channels"), package("channels.impairments")
    check_words("channel", words, kinds.names(), others.names())
    for word in map(parse, words):
        check_settings("channel", kinds.registry, word, more=LINK_SETTINGS)
        for added in word.added:
            check_settings("impairment", others.registry, added)
        _check_link_names(word)
        _try_channel(word)


def _check_link_names(word: Word) -> None:
    from semlink.simulator.link.named import NAMED, check_name

    for setting, value in word.settings:
        if setting in NAMED and value is not None:
            check_name(setting, value)


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
        if word.file and not Path(word.file).expanduser().is_file():
            raise SemlinkError(f"{kind} {word}: there is no file {word.file}")
        if word.file:
            _check_class(kind, word)
        if not word.file and word.name not in known:
            raise SemlinkError(unknown(kind, word.name, known))
        for other in word.added:
            if other.name not in added:
                expected = (
                    f"{did_you_mean(other.name, added)}known: {', '.join(added)}" if added else f"a {kind} takes none"
                )
                raise SemlinkError(f"unknown impairment {other.name!r} in {word}; {expected}")


def _check_class(kind: str, word: Word) -> None:
    """SemlinkError for a class that the file of a word does not have; the file does not run."""
    wanted = word.name.rpartition(":")[2]
    classes, names = names_in(Path(word.file).expanduser())
    if names and wanted not in names and "*" not in names:
        raise SemlinkError(f"{kind} {word}: {unknown('class', wanted, classes)}")


def check_data(data: str) -> None:
    """SemlinkError for what is neither a set of pictures nor a place; nothing is read."""
    from semlink.simulator.data import NAMES, no_such_data

    if data not in NAMES and not Path(data).expanduser().exists():
        raise SemlinkError(no_such_data(data))


def check_metrics(names: Sequence[str], more: Sequence[str] = ()) -> None:
    """SemlinkError for a metric of pictures that nobody knows. more: names of others that the experiment takes."""
    from semlink.simulator.metrics import describe

    for name in names:
        if name not in more:
            describe(name)


def check_importance(words: Sequence[str]) -> None:
    """SemlinkError when the word of an importance map is misspelt, or names an unknown kind or setting of one."""
    kinds = package("codecs.importance")
    for word in map(parse, words):
        if word.added:
            raise SemlinkError(f"{word}: separate classes by slashes")
    check_words(kinds.registry.kind, words, kinds.names())
    for word in map(parse, words):
        check_setting_names(kinds.registry.kind, kinds.registry, word)
        kinds.check_classes(word.name, dict(word.settings))


def check_pictures(*names: str) -> None:
    """SemlinkError for training pictures that are neither a set nor a place; nothing is read."""
    for name in names:
        check_data(name)


def check_clip_set(*names: str) -> None:
    """SemlinkError for training clips that are neither a set nor a place."""
    from semlink.simulator.data import clips

    for name in names:
        clips.load(name, None)


def check_training_channels(words: Sequence[str]) -> None:
    """As `check_channels`, of channels to train on, of which `surrogate` is the cheap one."""
    known = ("surrogate", *package("channels").names())
    check_words("channel", words, known, package("channels.impairments").names())
    check_channels([word for word in words if word != "surrogate"])


def check_file(path: Path | None) -> None:
    """SemlinkError for a file or folder that is not there; names one beside it that is nearly called so."""
    if path and not path.expanduser().exists():
        raise SemlinkError(f"{path}: no such file; {near_path(path)}".rstrip("; "))


def check_clips(text: str, limit: int | None, metrics: Sequence[str], show: str) -> None:
    """SemlinkError for clips that are not there, a metric of clips that nobody knows, and a clip to show of others."""
    from semlink.simulator.analysis import clips as numbers
    from semlink.simulator.data import clips

    found = clips.load(text, limit)
    numbers.check(metrics, found.height, found.width)
    if show and show not in found.ids:
        meant = did_you_mean(show, found.ids)
        raise SemlinkError(f"--show {show}: {meant}not among the clips {', '.join(found.ids)}")


def reference_of(codecs: Sequence[str], versus: str) -> str:
    """The canonical word of --versus, or none. SemlinkError unless it and another are among the codecs."""
    if not versus:
        return ""
    known, word = {str(parse(codec)) for codec in codecs}, str(parse(versus))
    if word not in known:
        meant = did_you_mean(versus, codecs)
        raise SemlinkError(f"--versus {versus}: not among --codecs {' '.join(codecs)}; {meant}give it there, too")
    if len(known) == 1:
        raise SemlinkError(f"--versus {versus}: there is no other codec among --codecs to compare with it")
    return word
