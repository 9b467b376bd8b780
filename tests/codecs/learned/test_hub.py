"""Networks as folders of the hub: the same codec comes back, and out of reach is said at once."""

import json

import pytest
import torch
from far_hub import nobody_answers

from semlink import codecs
from semlink.codecs._learned import hub
from semlink.simulator import SemlinkError
from semlink.simulator.conformance.codec import noiseless, smooth_pictures


def test_a_codec_comes_back_from_its_folder(tmp_path) -> None:
    codec = codecs.create("adjscc", rho=1 / 12)
    codec.save_pretrained(tmp_path / "mine", 32, 32)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [
        "README.md", "card.json", "config.json", "model.safetensors",
    ]  # fmt: skip
    same = type(codec).from_pretrained(tmp_path / "mine")
    assert same.rho == codec.rho
    images = smooth_pictures(2, 32, 32)
    sent = codec.encode(images)
    assert torch.equal(sent.streams[0].payload, same.encode(images).streams[0].payload)
    assert torch.equal(codec.decode(noiseless(sent)), same.decode(noiseless(sent)))


def test_its_card_and_settings_go_with_it(tmp_path) -> None:
    codec = codecs.create("deepjscc", rho=1 / 6)
    codec.save_pretrained(tmp_path, 32, 32)
    told = json.loads((tmp_path / "config.json").read_text())
    assert told == {"library_name": "semlink", "codec": "deepjscc", "settings": {"rho": 1 / 6, "train_snr": 10}}
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: semlink") and "deepjscc of semlink (rho=0.1667" in card.replace(
        repr(1 / 6), "0.1667"
    )
    assert '"measured_psnr_db"' in card and json.loads((tmp_path / "card.json").read_text())["measured_psnr_db"]


def test_a_folder_of_another_codec_is_told(tmp_path) -> None:
    codecs.create("deepjscc", rho=1 / 6).save_pretrained(tmp_path, 32, 32)
    with pytest.raises(SemlinkError, match="holds a network of deepjscc, not one of adjscc"):
        type(codecs.create("adjscc")).from_pretrained(tmp_path)
    with pytest.raises(SemlinkError, match="no such weights"):
        codecs.create("adjscc", weights=str(tmp_path / "none.safetensors")).save_pretrained(tmp_path / "other")


@pytest.mark.parametrize(
    "settings", ["[]", "3", '"rho"', '{"rho": "x"}', '{"rho": NaN}', '{"rho": [1]}', '{"rho": Infinity}']
)
def test_settings_of_no_codec_are_a_line(tmp_path, settings) -> None:
    codec = codecs.create("adjscc", rho=1 / 12)
    codec.save_pretrained(tmp_path, 32, 32)
    (tmp_path / "config.json").write_text(f'{{"codec": "adjscc", "settings": {settings}}}')
    with pytest.raises(SemlinkError, match="config.json: its settings are not those of adjscc") as caught:
        type(codec).from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_hub_is_asked_once_and_not_again_where_it_is_out_of_reach(monkeypatch) -> None:
    nobody_answers(monkeypatch)
    with pytest.raises(SemlinkError, match="'me/mine' is neither a folder .* nor on the hub .which is out of reach"):
        type(codecs.create("adjscc")).from_pretrained("me/mine")
    with pytest.raises(SemlinkError, match="me/mine: the hub is out of reach; save_pretrained"):
        codecs.create("adjscc").push_to_hub("me/mine")


def test_what_is_uploaded_is_what_is_saved(monkeypatch) -> None:
    seen = {}

    class Api:
        def create_repo(self, name, private, exist_ok):
            return type("Made", (), {"repo_id": name, "__str__": lambda self: f"https://hub/{name}"})()

        def upload_folder(self, folder_path, repo_id):
            from pathlib import Path

            seen[repo_id] = sorted(p.name for p in Path(folder_path).iterdir())

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr(hub, "in_reach", lambda: True)
    assert codecs.create("adjscc").push_to_hub("me/mine", height=32, width=32) == "https://hub/me/mine"
    assert seen == {"me/mine": ["README.md", "card.json", "config.json", "model.safetensors"]}
