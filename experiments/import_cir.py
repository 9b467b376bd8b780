"""Make the file of channel `recorded` from impulse responses of Sionna, DeepMIMO or QuaDRiGa (`.npz`, `.mat`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semlink.simulator import SemlinkError
from semlink.simulator.study import cli


@dataclass(frozen=True)
class ImportCir:
    """Arrays are known by their names: a, tau (Sionna); power, phase, delay (DeepMIMO); coeff, delay (QuaDRiGa).

    Every receiver becomes a route, of each of the files; see docs/channels.md.
    """

    files: tuple[Path, ...] = ()
    """The .npz or .mat files, all of one program."""
    out: Path = Path("cir.h5")
    """The file to write."""
    carrier_frequency: float = 3.5e9
    """Hz, at which they were computed."""
    snapshot_interval: float = 1e-3
    """Seconds between the snapshots of a route; of no matter where there is one."""
    spacing: float = 10e-9
    """Seconds between the taps where there are more than 64 different delays."""


def main(flags: ImportCir) -> int:
    """Write the file and say what it holds and how to use it."""
    from semlink.channels._cir_import import import_cir

    if not flags.files:
        raise SemlinkError("no files given; say --files my.npz")
    try:
        made = import_cir(flags.files, flags.out, flags.snapshot_interval, flags.carrier_frequency, flags.spacing)
    except (ValueError, OSError) as error:
        raise SemlinkError(str(error)) from error
    routes, snapshots, rx, tx, taps = made.shape
    without = f", {made.without} without any path left out" if made.without else ""
    print(
        f"{flags.out}: {routes} routes of {snapshots} snapshots{without}; {rx} x {tx} antennas, {taps} taps within "
        f"{made.delays.max() * 1e6:.2f} us"
    )
    antennas = f",rx_antennas={rx},tx_antennas={tx}" if (rx, tx) != (1, 1) else ""
    print(f"semlink sweep --channels recorded:path={flags.out}{antennas}")
    return 0


if __name__ == "__main__":
    cli.start(main, ImportCir())
