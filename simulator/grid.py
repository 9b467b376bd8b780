"""The resource grid (defined beside the channels, which need it too)."""

from semlink.channels._grid import Grid

__all__ = ["Grid"]
