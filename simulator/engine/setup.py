"""What one compiled graph is made for: shapes and choices that XLA must know; everything else is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import RX_OVERSAMPLING
from semlink.simulator.engine.backend import tensorflow

Csi = Literal["perfect", "ls", "ls-nearest", "lmmse"]
CSI = ("perfect", "ls", "ls-nearest", "lmmse")
EQUALIZERS = ("lmmse", "zf", "mf")
SLOTS = 64  # slots per call of the graph; the last call is padded


@dataclass(frozen=True)
class Setup:
    """rx, tx: antennas. layers: streams per resource element. precoded: layers reach the antennas through a precoder.

    specular: some image has a line of sight that estimators must allow for. hardware: time-domain amplifier, phase,
    IQ and interference. taps: beyond the cyclic prefix, 0 for none. recalled: the receiver goes on from gains that it
    knows beside the channel: of perfect CSI that is old or behind a short prefix, or from an estimate it fed back.
    """

    grid: Grid = Grid()
    csi: Csi = "ls"
    equalizer: str = "lmmse"
    rx: int = 1
    tx: int = 1
    layers: int = 1
    precoded: bool = False
    specular: bool = False
    hardware: bool = False
    taps: int = 0
    recalled: bool = False

    @property
    def pilots(self) -> int:
        """Pilot resource elements of each transmit antenna."""
        return len(self.grid.pilot_symbols) * (self.grid.subcarriers // self.tx)


@cache
def arguments(setup: Setup) -> dict[str, Any]:
    """The graph's arguments in order, as tensor specifications by name.

    x, power `[SLOTS, layers, data]`: symbols and their allocation, mean 1.
    h `[SLOTS, rx, tx, symbols, subcarriers]`, noise `[SLOTS, rx, symbols, subcarriers]`, n0 `[SLOTS]`.
    local, specular `[SLOTS]`: local mean of |h|^2 as received, and its constant-modulus share.
    """
    tf, grid = tensorflow(), setup.grid
    slot = (grid.symbols, grid.subcarriers)
    data, air = (SLOTS, setup.layers, grid.data_symbols), (SLOTS, setup.rx, setup.tx, *slot)
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "x": (data, "complex64"),
        "power": (data, "float32"),
        "h": (air, "complex64"),
        "noise": ((SLOTS, setup.rx, *slot), "complex64"),
        "n0": ((SLOTS,), "float32"),
    }
    if setup.precoded:
        shapes["precoder"] = ((SLOTS, setup.tx, setup.layers, grid.subcarriers), "complex64")
    shapes |= _estimator(setup)
    if setup.hardware:
        shapes |= _hardware(setup)
    if setup.taps:
        shapes["tail"] = ((*air[:-1], setup.taps), "complex64")
    return {name: tf.TensorSpec(shape, dtype, name) for name, (shape, dtype) in shapes.items()}


def _estimator(setup: Setup) -> dict[str, tuple[tuple[int, ...], str]]:
    slot = (setup.grid.symbols, setup.grid.subcarriers)
    prior: dict[str, tuple[tuple[int, ...], str]] = {"local": ((SLOTS,), "float32"), "specular": ((SLOTS,), "float32")}
    prior |= {"known": ((SLOTS, setup.rx, setup.tx, *slot), "complex64")} if setup.recalled else {}
    ports = (setup.tx, *slot)
    if setup.csi == "perfect":
        return prior | {"memory": ((), "complex64")} if setup.recalled else {}
    if setup.csi == "lmmse":
        pilots, elements = setup.pilots, slot[0] * slot[1]
        return prior | {
            "basis": ((setup.tx, pilots, pilots), "complex64"),
            "spread": ((setup.tx, pilots, elements), "complex64"),
            "eigenvalues": ((setup.tx, pilots), "float32"),
            "whitening": ((setup.tx, pilots), "float32"),
        }
    told = dict.fromkeys(("cross", "line"), (ports, "complex64"))
    told |= dict.fromkeys(("signal", "noise_gain", *(["added_noise"] if setup.hardware else [])), (ports, "float32"))
    return prior | told


def _hardware(setup: Setup) -> dict[str, tuple[tuple[int, ...], str]]:
    slot = (setup.grid.symbols, setup.grid.subcarriers)
    scalars = {"saturation": "float32", "smoothness": "float32", "distortion": "float32", "overrun": "float32"}
    scalars |= dict.fromkeys(("tx_mu", "tx_nu", "rx_mu", "rx_nu", "gain"), "complex64")
    return {name: ((), dtype) for name, dtype in scalars.items()} | {
        "phasor": ((SLOTS, slot[0], RX_OVERSAMPLING * slot[1]), "complex64"),
        "interference": ((SLOTS, setup.rx, *slot), "complex64"),
        "profile": (slot, "float32"),
    }
