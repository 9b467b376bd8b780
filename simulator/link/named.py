"""Settings of the link that are one of a few names, known without loading a framework."""

from __future__ import annotations

from semlink.channels.base.names import unknown
from semlink.simulator import power as rules
from semlink.simulator.engine.setup import CSI, EQUALIZERS
from semlink.simulator.errors import SemlinkError

CSIT = ("none", "perfect", "delayed", "quantised")
PRECODING = ("none", "svd")
PLACEMENT = ("order", "importance")
NAMED = ("csi", "equalizer", "power", "csit", "precoding", "placement")


def check_name(setting: str, value: object) -> None:
    """SemlinkError that lists the known values when a setting of `NAMED` has another one."""
    fixed = {"csi": CSI, "equalizer": EQUALIZERS, "csit": CSIT, "precoding": PRECODING, "placement": PLACEMENT}
    known = fixed[setting] if setting in fixed else rules.names()  # looked for among all installed packages
    if value not in known:
        raise SemlinkError(unknown(setting, str(value), known))
