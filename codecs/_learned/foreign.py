"""Models that others made: no code of theirs runs, and what their readers raise on damaged files."""

from __future__ import annotations

from safetensors import SafetensorError

DAMAGED = (OSError, ValueError, AttributeError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError)
NO_CODE = {"trust_remote_code": False}  # said, not left out: else transformers asks at the terminal and "y" runs it


def first_line(error: Exception) -> str:
    """What an error says, without the advice that follows."""
    return str(error).strip().partition("\n")[0]
