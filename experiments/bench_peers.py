"""Time the same work by semlink, by Kaira and by plain Sionna, alternating in one run; `make bench-peers`.

A sweep of the Bourtsoulatze codec with equal weights over AWGN, and over Rayleigh fading that the receiver knows,
beside Kaira (`pykaira`, in an environment of its own); the OFDM link over TDL beside plain Sionna. Every process has
one thread, float32. Ratios are those of one round, by CPU seconds; seconds on the clock are beside them. Both must
measure the same PSNR, or the exit code is 1: what does other work is not compared.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.study.cli import start
from semlink.simulator.study.link_variants import BASE, OWN
from semlink.simulator.study.peer import Peer
from semlink.simulator.study.rounds import Difference, Spread, alternate, difference, speeds

HERE = Path(__file__).parent / "peers"
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)
WHOLE, CALLS = "Kaira", "semlink, calls"
WAYS = {  # side: its process, and what that calls it
    WHOLE: ("kaira", "model"),
    "Kaira, encoded once": ("kaira", "once"),
    "Kaira, decoder alone": ("kaira", "decoder"),
    CALLS: ("semlink", "calls"),
    "semlink, sweep": ("semlink", "sweep"),
    "semlink, decoder alone": ("semlink", "decoder"),
}
LINKS = ("Sionna eager", "Sionna tf.function", BASE, OWN)
ALLOWED_DB = 0.01  # of the difference of two implementations of one network

Answer = dict[str, Any]
Side = Callable[[int], Answer]
Peers = Mapping[str, Sequence[Peer]]


@dataclass(frozen=True)
class BenchPeersFlags:
    """Time semlink beside Kaira and plain Sionna; writes peers.json and a figure, and prints tables."""

    out: Path = Path("results/bench")
    """Folder for peers.json and its figure."""
    kaira: Path = Path(".venv-peers/bin/python")
    """The Python of an environment that has Kaira."""
    rounds: int = 15
    """Rounds of each comparison."""
    pictures: int = 64
    """Crops of the sample photographs, 32 px."""
    snr: tuple[float, ...] = tuple(float(snr) for snr in range(0, 20, 2))
    """SNRs of the sweep in dB."""
    channels: tuple[str, ...] = ("awgn", "rayleigh:csi=perfect")
    """Channels of the sweep; Kaira's side knows these two."""
    more_pictures: tuple[int, ...] = (16, 64, 256)
    """Numbers of pictures in the plot of costs."""
    more_snr: tuple[int, ...] = (1, 3, 10)
    """Numbers of SNRs in that plot, the first of --snr."""
    more_workers: tuple[int, ...] = (1, 2)
    """Numbers of processes in that plot, which share the largest number of pictures."""


def main(flags: BenchPeersFlags) -> int:
    """Measure, write and tell; 1 where Kaira and semlink do not measure the same."""
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, running(flags, Path(folder)) as peers:
        found = {"link": link(peers, flags.rounds), "codec": {}, "psnr": {}, "costs": {}}
        if "kaira" in peers:
            found |= beside_kaira(peers, flags)
        versions = {name: value for (first, *_) in peers.values() for name, value in first.versions.items()}
    found["machine"] = {"cores": os.cpu_count(), "load": [before, os.getloadavg()[0]], **versions}
    write(found, flags.out)
    return tell(found)


@contextmanager
def running(flags: BenchPeersFlags, folder: Path) -> Iterator[Peers]:
    """Processes of each side, as many as workers are asked for; Kaira's where there is one."""
    network = folder / "network.npz"
    save_network(network, max(flags.pictures, *flags.more_pictures))
    pythons = {"semlink": Path(sys.executable), "kaira": flags.kaira}
    if not flags.kaira.exists():
        print(f"Kaira is left out: no {flags.kaira}; make bench-peers makes it")
        del pythons["kaira"]
    started: dict[str, list[Peer]] = {name: [] for name in pythons}
    try:
        for name, python in pythons.items():
            command = (str(python), str(HERE / f"{name}_side.py"), str(network))
            started[name] += [Peer(name, command, ONE_THREAD) for _ in range(max(flags.more_workers))]
        yield started
    finally:
        for peer in (peer for several in started.values() for peer in several):
            peer.close()


def save_network(path: Path, pictures: int) -> None:
    """Pictures and the weights of the shipped network of 32 px, for every side."""
    from semlink.simulator.plugins import make_codec
    from semlink.simulator.study.crops import SIDE, Crops
    from semlink.simulator.words import parse

    codec: Any = make_codec(parse("deepjscc"), 1 / 6)
    weights = {name: tensor.numpy() for name, tensor in codec.network(SIDE, SIDE).state_dict().items()}
    np.savez(path, pictures=Crops(pictures).batch(range(pictures)).numpy(), **weights)


def link(peers: Peers, rounds: int) -> dict[str, Any]:
    """Speeds of the OFDM link of every side over Sionna's XLA graph."""
    (first, *_) = peers["semlink"]
    return compared({name: partial(_variant, first, name) for name in LINKS}, BASE, rounds)[0]


def _variant(peer: Peer, name: str, turn: int) -> Answer:
    return peer.ask({"variant": name})


def beside_kaira(peers: Peers, flags: BenchPeersFlags) -> dict[str, Any]:
    """Speeds of the sweep of every side over Kaira's, PSNR of semlink minus Kaira's at each SNR, and costs."""
    found: dict[str, Any] = {"codec": {}, "psnr": {}}
    for channel in flags.channels:
        asked = {"channel": channel, "snrs": flags.snr, "pictures": (0, flags.pictures)}
        sides = {name: partial(one, peers, name, asked) for name in WAYS}
        found["codec"][channel], told = compared(sides, WHOLE, flags.rounds)
        gaps = psnr_gaps(told[CALLS], told[WHOLE])
        found["psnr"][channel] = [
            {"snr_db": snr, **asdict(gap), "same": gap.by_chance(ALLOWED_DB)}
            for snr, gap in zip(flags.snr, gaps, strict=True)
        ]
    return {**found, "costs": costs(peers, flags)}


def one(peers: Peers, name: str, asked: Mapping[str, Any], turn: int) -> Answer:
    """What the first process of a side tells; the round is the seed."""
    process, way = WAYS[name]
    return peers[process][0].ask({"way": way, "seed": turn, **asked})


def compared(sides: Mapping[str, Side], base: str, rounds: int) -> tuple[dict[str, Any], dict[str, list[Answer]]]:
    """Milliseconds and speeds over `base` of every side, and all that was told; a round before is not counted."""
    alternate(sides, 1)
    told = alternate(sides, rounds)
    cpu, clock = ({name: [a[key] for a in answers] for name, answers in told.items()} for key in ("cpu_s", "clock_s"))
    speed, on_clock = speeds(cpu, base), speeds(clock, base)
    table = {
        name: {
            "cpu_ms": 1e3 * Spread.of(cpu[name]).median,
            "clock_ms": 1e3 * Spread.of(clock[name]).median,
            "speed": asdict(speed[name]),
            "speed_on_clock": asdict(on_clock[name]),
        }
        for name in sides
    }
    return table, told


def psnr_gaps(own: Sequence[Answer], other: Sequence[Answer]) -> list[Difference]:
    """For each SNR: own minus other, picture by picture and round by round; each draws its own noise and fades."""
    values = [np.array([answer["psnr"] for answer in answers]) for answers in (own, other)]  # [rounds, SNRs, pictures]
    mine, theirs = (v.swapaxes(0, 1).reshape(v.shape[1], -1) for v in values)
    return [difference(a, b) for a, b in zip(mine, theirs, strict=True)]


def costs(peers: Peers, flags: BenchPeersFlags) -> dict[str, dict[str, list[tuple[float, ...]]]]:
    """Seconds over AWGN against pictures and SNRs (CPU), and against processes that share them (clock)."""
    most, rounds = max(flags.more_pictures), max(3, flags.rounds // 3)

    def against(amounts: Sequence[int], key: str, ask: Callable[[str, int, int], Answer]) -> dict[str, Any]:
        sides = {(name, n): partial(ask, name, n) for n in amounts for name in (WHOLE, CALLS)}
        named = {f"{name}|{n}": side for (name, n), side in sides.items()}
        alternate(named, 1)  # processes that have done nothing yet compile
        told = alternate(named, rounds)
        spreads = {pair: Spread.of([a[key] for a in told[f"{pair[0]}|{pair[1]}"]]) for pair in sides}
        return {
            name: [(n, s.least, s.median, s.most) for (own, n), s in spreads.items() if own == name]
            for name in (WHOLE, CALLS)
        }

    def asked(pictures: int, snrs: int) -> dict[str, Any]:
        return {"channel": "awgn", "snrs": flags.snr[:snrs], "pictures": (0, pictures)}

    every = len(flags.snr)
    return {
        "pictures": against(
            flags.more_pictures, "cpu_s", lambda name, n, turn: one(peers, name, asked(n, every), turn)
        ),
        "SNRs": against(
            flags.more_snr, "cpu_s", lambda name, n, turn: one(peers, name, asked(flags.pictures, n), turn)
        ),
        "processes": against(
            flags.more_workers, "clock_s", lambda name, n, turn: together(peers, name, asked(most, every), n, turn)
        ),
    }


def together(peers: Peers, name: str, asked: Mapping[str, Any], workers: int, turn: int) -> Answer:
    """Work shared by so many processes of a side: the seconds on the clock of the one that takes longest."""
    process, way = WAYS[name]
    cuts = np.linspace(0, asked["pictures"][1], workers + 1).astype(int).tolist()
    for peer, low, high in zip(peers[process], cuts[:-1], cuts[1:], strict=False):
        peer.send({**asked, "way": way, "seed": turn, "pictures": (low, high - low)})
    return {"clock_s": max(peer.receive()["clock_s"] for peer in peers[process][:workers])}


def write(found: Mapping[str, Any], out: Path) -> None:
    """peers.json, and the figure of costs where they were measured."""
    from semlink.simulator.figures.costs import costs as drawn
    from semlink.simulator.figures.style import save

    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(found, indent=1) + "\n")
    if found["costs"]:
        save(drawn(found["costs"], "seconds"), out / "peers_costs")


def tell(found: Mapping[str, Any]) -> int:
    """Print the tables; 1 where PSNRs differ, with where."""
    from semlink.simulator.study.peer_tables import peer_tables

    print(peer_tables(found))
    wrong = [
        f"{channel} {row['snr_db']:g} dB" for channel, rows in found["psnr"].items() for row in rows if not row["same"]
    ]
    if wrong:
        print(f"not the same PSNR, so the comparison says nothing: {', '.join(wrong)}")
    return int(bool(wrong))


if __name__ == "__main__":
    start(main, BenchPeersFlags())
