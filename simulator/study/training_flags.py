"""What training scripts are asked for by name, checked before a framework loads; each has some of these flags."""

from __future__ import annotations

from typing import Any

from semlink.simulator.study import checks
from semlink.simulator.study.choices import check_device

PICTURES = ("data", "small_data", "photographs", "streets", "validation", "train_data")
CLIPS = ("data", "held_out")  # of a script that holds clips out
FILES = ("init", "evaluate")
NONE = ("", "none")


def check_training(flags: object) -> None:
    """SemlinkError for pictures, clips, channels, files and devices that are not there."""
    own = {name: value for name, value in vars(flags).items() if value is not None}
    clips = CLIPS if "held_out" in own else ()
    for name in PICTURES:
        if name in own and name not in clips:
            checks.check_pictures(*_texts(own[name]))
    for name in clips:
        checks.check_clip_set(*_texts(own[name]))
    if "channels" in own:
        checks.check_training_channels(own["channels"])
    for name in FILES:
        if name in own:
            checks.check_file(own[name])
    check_device(own.get("device", ""))


def _texts(value: Any) -> list[str]:
    return [text for text in ((value,) if isinstance(value, str) else value) if text not in NONE]
