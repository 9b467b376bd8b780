"""A hub that is wanted and out of reach."""

from __future__ import annotations

import socket
import sys
from functools import cache

import pytest

from semlink.codecs._learned import hub

LOADING = "semlink.codecs._diffusion.loading"


def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is known, and whoever asks for one a second time fails the test."""
    asked: list[object] = []

    def lookup(*where: object, **settings: object) -> None:
        asked.append(where)
        assert len(asked) == 1, f"asked again: {where}"
        raise socket.gaierror(-2, "Name or service not known")

    anew = cache(hub.in_reach.__wrapped__)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(hub, "in_reach", anew)
    if LOADING in sys.modules:
        monkeypatch.setattr(f"{LOADING}.in_reach", anew)
