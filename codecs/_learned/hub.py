"""Networks of codecs as folders, and on the Hugging Face hub: weights, the codec's settings, the card as model card.

A folder holds `model.safetensors` with the network's settings in its metadata, `config.json` with the codec's name and
settings, `card.json` as training left it, and `README.md`, the model card. Nothing in it is run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

from semlink.codecs._learned.foreign import first_line
from semlink.codecs._learned.trained import card_of
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here, read_json, reading, write_json

WEIGHTS, CONFIG, CARD, MODEL_CARD = "model.safetensors", "config.json", "card.json", "README.md"
WAIT = 3.0  # s until the hub is out of reach
LIBRARY = "semlink"


def save(codec: Any, weights: Path, folder: Path) -> None:
    """Write a codec's network, of that weight file, to a folder, which is made; SemlinkError without such weights."""
    if not is_here(weights):
        raise SemlinkError(f"{weights}: no such weights; train them with experiments/train.py first")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, folder / WEIGHTS)
    write_json(folder / CONFIG, {"library_name": LIBRARY, "codec": codec.name, "settings": settings_of(codec)})
    card = card_of(weights)
    said = read_json(card, "a card that is no JSON; mend it or remove it") if card else {}
    if card:
        write_json(folder / CARD, said)
    (folder / MODEL_CARD).write_text(model_card(codec, said), encoding="utf-8")


def settings_of(codec: Any) -> dict[str, Any]:
    """The settings of a codec's constructor that a file can hold, but for its weights."""
    own = {name: vars(codec).get(name) for name in signature(type(codec)).parameters if name != "weights"}
    return {name: value for name, value in own.items() if isinstance(value, bool | int | float | str)}


def model_card(codec: Any, card: Mapping[str, Any]) -> str:
    """What the hub shows: what it is, how it is used, and what the card of its training says."""
    settings = ", ".join(f"{name}={value!r}" for name, value in settings_of(codec).items())
    about = (type(codec).__doc__ or "").strip().partition("\n")[0]
    return "\n".join(
        [
            "---",
            f"library_name: {LIBRARY}",
            "tags: [semantic-communication, joint-source-channel-coding, image-transmission, pytorch]",
            "---",
            f"# {codec.name} of semlink ({settings})",
            "",
            about,
            "",
            "```python",
            "from semlink import codecs",
            "",
            f'codec = codecs.registry.get("{codec.name}").from_pretrained("THIS_REPOSITORY")',
            "```",
            "",
            *(["## Card of its training", "", "```json", json.dumps(card, indent=1), "```", ""] if card else []),
        ]
    )


def load(kind: Any, name: str | Path) -> Any:
    """The codec of a folder that `save` made, or of a repository of the hub with these files. kind: its class.

    SemlinkError for a folder of another codec, what is not there, and at once where the hub is out of reach.
    """
    folder = Path(name).expanduser()
    if not (is_here(folder) and folder.is_dir()):
        folder = fetched(str(name))
    said = read_json(folder / CONFIG, "no configuration of a codec") if is_here(folder / CONFIG) else {}
    if not isinstance(said, dict) or said.get("codec") != kind.name:
        held = str(said.get("codec") or "")[:60] if isinstance(said, dict) else ""
        raise SemlinkError(f"{name} holds {f'a network of {held}' if held else 'no codec'}, not one of {kind.name}")
    known = signature(kind).parameters.keys()
    with reading(folder / CONFIG, f"its settings are not those of {kind.name}; save the codec again"):
        settings = {key: value for key, value in said.get("settings", {}).items() if key in known and key != "weights"}
        return kind(**settings, weights=str(folder / WEIGHTS))


def fetched(name: str) -> Path:
    """The folder in the hub's cache that holds a repository's files, fetched where it is in reach."""
    from huggingface_hub import snapshot_download

    wanted = [WEIGHTS, CONFIG, CARD, MODEL_CARD]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=not in_reach()))
    except Exception as error:  # noqa: BLE001 - the hub raises many kinds
        why = first_line(error) if in_reach() else "which is out of reach"
        raise SemlinkError(
            f"{name!r} is neither a folder nor in the cache of the hub, nor on the hub ({why})"
        ) from error


def push(codec: Any, weights: Path, repository: str, private: bool = False) -> str:
    """Save and upload to a repository of the hub, which is made; its address. SemlinkError says what went wrong."""
    from huggingface_hub import HfApi

    if not in_reach():
        raise SemlinkError(f"{repository}: the hub is out of reach; save_pretrained(FOLDER) and upload it later")
    with tempfile.TemporaryDirectory() as folder:
        save(codec, weights, Path(folder))
        try:
            api = HfApi()
            made = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(folder_path=folder, repo_id=made.repo_id)
        except Exception as error:  # noqa: BLE001 - the hub raises many kinds
            raise SemlinkError(f"{repository}: {first_line(error)}") from error
    return str(made)


@cache
def in_reach() -> bool:
    """Whether the hub answers, asked once a process: libraries would try again for a minute before they say so."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=WAIT)
    except Exception:  # noqa: BLE001 - which kinds depends on the library's version
        return False
    return True
