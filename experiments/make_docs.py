"""What stands between markers in docs/: plug-ins from their docstrings, tables of roi and diffusion from their CSV."""

from __future__ import annotations

import csv
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semlink.simulator import quiet
from semlink.simulator.files import read_json
from semlink.simulator.plugins import describe_metric, package
from semlink.simulator.study import cli
from semlink.simulator.study.markdown import rewrite, table

ROOT = Path(__file__).parent.parent
KINDS = {  # markers: where the plug-ins are registered
    "codecs": "codecs",
    "video": "codecs.video",
    "channels": "channels",
    "impairments": "channels.impairments",
    "power": "simulator.power",
    "importance": "codecs.importance",
}
DEPENDS = {"nothing": "nothing", "snr": "nominal SNR", "link": "link statistics"}
DERIVED = ("psnr_of_mean_mse", "theta_psnr", "psnr_roi", "psnr_roni", "miou_truth", "miou_sent")  # of masks or sets
STREET = "roi_jscc:domain=street,importance=segmentation"
BOXES = {16: ("0.375", "0.625"), 4: ("0.25", "0.75")}  # share of the picture: edges of the box
DECODERS = ("adjscc", "digital", "cddm", "ddnm", "ddnm:mode=paper", "sgd_jscc:steps=0", "sgd_jscc")
GUIDES = {"edges": "sgd_jscc:guidance=edges", "tag": "sgd_jscc:guidance=tag", "both": "sgd_jscc"}
Find = Callable[..., Mapping[str, str]]


@dataclass(frozen=True)
class MakeDocs:
    """Write the pages of docs/ anew where docstrings and committed results say what stands there."""

    docs: Path = ROOT / "docs"
    """Folder of the pages; what stands between markers is replaced."""
    results: Path = ROOT / "results" / "reference"
    """Folder of the results of `make roi` and `make diffusion`."""


def main(flags: MakeDocs) -> int:
    """Make everything and say what changed."""
    changed = rewrite(flags.docs, {**plugins(), **results(flags.results)})
    print(f"changed pages: {', '.join(path.name for path in changed) or 'none'}")
    return 0


def plugins() -> dict[str, str]:
    """The parts made from registries and docstrings, by the name of their markers."""
    quiet.silence()
    found = {name: kind(package(home).registry) for name, home in KINDS.items()}
    return {**found, "metrics": metrics(), "zoo": zoo(ROOT / "codecs" / "weights")}


def zoo(weights: Path) -> str:
    """A line for each shipped network: size, where it was trained and what its card says of its quality."""
    rows = []
    for path in sorted((*weights.glob("*.safetensors"), *(p.parent for p in weights.glob("*/card.json")))):
        card = read_json(path / "card.json" if path.is_dir() else path.with_suffix(".json"), "no card")
        size = sum(f.stat().st_size for f in path.rglob("*.safetensors")) if path.is_dir() else path.stat().st_size
        rows.append((f"`{path.name.removesuffix('.safetensors')}`", f"{size / 1e6:.1f}", snrs(card), quality(card)))
    return table(("weights", "MB", "trained at, dB", "what its card says of it"), rows)


def snrs(card: Mapping[str, Any]) -> str:
    """The SNRs of a network's training, as its card has them."""
    found = card.get("trained_snr_db", [])
    return " to ".join(f"{snr:g}" for snr in dict.fromkeys(found))


def quality(card: Mapping[str, Any]) -> str:
    """Where and how good, in the card's own names."""
    measured = card.get("measured_psnr_db")
    if isinstance(measured, Mapping):
        levels = ", ".join(f"{name} {value:g}" for name, value in measured.items() if isinstance(value, float))
        return f"{measured['set']}: PSNR {levels}".replace("PSNR rho", "rho")
    if "validation_psnr_db_awgn" in card:
        levels = ", ".join(f"{snr} {value:g}" for snr, value in card["validation_psnr_db_awgn"].items())
        return f"held-out training pictures, AWGN: PSNR {levels}"
    return ""


def kind(registry: Any) -> str:
    """All plug-ins of a kind: a table of one line each, then what each one's docstrings say and its settings."""
    found = {name: registry.get(name) for name in registry.names()}
    rows = [(f"[`{name}`](#{name})", first_sentence(plugin), *depends(plugin)) for name, plugin in found.items()]
    head = (registry.kind, "what it is", *(["depends on"] if any(map(depends, found.values())) else []))
    sections = (section(name, plugin) for name, plugin in found.items())
    return linked("\n".join([table(head, rows), *sections]), [place for one in found.values() for place in places(one)])


def section(name: str, plugin: Any) -> str:
    """What the docstrings of a plug-in's module and class say, and its settings with their defaults."""
    settings = ", ".join(f"`{parameter(p)}`" for p in inspect.signature(plugin).parameters.values())
    parts = (f"### {name}", module_doc(plugin), inspect.getdoc(plugin) or "", f"Settings: {settings or 'none'}.\n")
    return "\n\n".join(parts)


def linked(text: str, known: Iterable[Mapping[str, Any]]) -> str:
    """The text with a section for every class of ours that a docstring sends the reader to ("see `Drops`")."""
    merged = {name: value for names in known for name, value in names.items()}
    told = [name for name in dict.fromkeys(re.findall(r"see `(\w+)`", text)) if inspect.isclass(merged.get(name))]
    for name in told:
        text = text.replace(f"see `{name}`", f"see [`{name}`](#{name.lower()})")
    return "\n".join([text, *(f"### {name}\n\n{inspect.getdoc(merged[name])}\n" for name in told)])


def places(plugin: Any) -> list[Mapping[str, Any]]:
    """Where the names that a plug-in's docstrings mention may be found: its module, and its base classes."""
    return [vars(sys.modules[plugin.__module__]), {base.__name__: base for base in plugin.__mro__}]


def module_doc(plugin: Any) -> str:
    """The docstring of the module that defines it."""
    return inspect.getdoc(sys.modules[plugin.__module__]) or ""


def first_sentence(plugin: Any) -> str:
    """The line that a module opens with."""
    return module_doc(plugin).partition("\n")[0]


def depends(plugin: Any) -> tuple[str, ...]:
    """What a codec's encoder reads, in words; nothing for other kinds."""
    declared = getattr(plugin, "encodes_on", None)
    within = next((name for name in ("inner", "codec") if name in inspect.signature(plugin).parameters), "inner")
    return () if declared is None else (DEPENDS[declared] if isinstance(declared, str) else f"as `{within}`",)


def parameter(found: inspect.Parameter) -> str:
    """A setting as a word spells it, with its default: `speed=3`, `rho=1/12`."""
    value = found.default
    if found.name == "rho":
        return f"rho=1/{1 / value:g}"
    if value is None or isinstance(value, bool):
        return f"{found.name}={str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"{found.name}={value:g}"
    return f"{found.name}={value}" if isinstance(value, str) and value else found.name


def metrics() -> str:
    """A table of the metrics that experiments measure, and of those that they derive."""
    names = (*package("simulator.metrics").names(), *DERIVED)
    described = {name: describe_metric(name) for name in names}
    rows = [(f"`{name}`", v.label, "" if v.units == "1" else v.units, v.better) for name, v in described.items()]
    return table(("name in rows", "what it is", "unit", "better"), rows)


def results(folder: Path) -> dict[str, str]:
    """The tables made from the CSV files of roi.py and diffusion.py, by the name of their markers."""
    return {
        "roi_box": boxes({share: finder(folder / f"roi_box_{share}" / "roi.csv") for share in BOXES}),
        "roi_miou": seen(finder(folder / "roi" / "roi.csv")),
        "diffusion": decoders(finder(folder / "diffusion" / "diffusion.csv")),
        "diffusion_guides": guides(finder(folder / "diffusion_guides" / "diffusion.csv")),
    }


def finder(path: Path) -> Find:
    """A function from (label, metric, SNR in dB) to the line of an experiment's CSV file, empty where it has none."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = {(x["label"], x["metric"], float(x["snr_db"])): x for x in csv.DictReader(file)}
    return lambda label, metric, snr_db: lines.get((label, metric, float(snr_db)), {})


def minus(line: Mapping[str, str], baseline: str, digits: int) -> str:
    """Paired difference to a baseline with the longer side of its 95 % interval, which is lopsided for mIoU."""
    mean, low, high = (float(line[f"minus_{baseline}{end}"]) for end in ("", "_ci95_low", "_ci95_high"))
    return f"{mean:+.{digits}f} ± {max(high - mean, mean - low):.{digits}f}"


def boxes(found: Mapping[int, Find]) -> str:
    """What a region brings inside and costs over all."""
    rows = []
    for share, find in found.items():
        low, high = BOXES[share]
        label = f"roi_jscc:importance=box:x0={low};x1={high};y0={low};y1={high}"
        for snr in (1, 10):
            gains = (minus(find(label, metric, snr), "uniform", 2) for metric in ("psnr_roi", "psnr"))
            rows.append((f"central box of 1/{share}" if snr == 1 else "", f"{snr} dB", *gains))
    return table(("region", "SNR", "PSNR in it", "PSNR of the picture"), rows)


def seen(find: Find) -> str:
    """What a segmenter still sees."""
    snrs, rows = (-2, 1, 4, 7, 10), []
    judged = (("annotation", "miou_truth"), ("annotation, its classes alone", "miou_region"), ("original", "miou_sent"))
    for against, metric in ((against, f"{name}_of_set") for against, name in judged):
        own = [line for snr in snrs if (line := find(STREET, metric, snr))]
        if not own:  # rows from before that was measured
            continue
        rows.append(("`roi_jscc:domain=street`", against, *(f"{float(x['mean']):.3f}" for x in own)))
        for label, baseline in (("digital", "digital"), ("roi_jscc:importance=none", "uniform")):
            rows.append((f"minus `{label}`", "", *(minus(x, baseline, 3) for x in own)))
    return table(("", "against", *columns(snrs)), rows)


def decoders(find: Find) -> str:
    """LPIPS and PSNR of receivers with and without diffusion."""

    def cell(codec: str, snr: float) -> str:
        lpips, psnr = (float(find(codec, metric, snr)["mean"]) for metric in ("lpips_alex", "psnr"))
        return f"{lpips:.3f} ({psnr:.1f} dB)"

    snrs = (-5, 0, 5, 10)
    note = {"sgd_jscc:steps=0": ", no diffusion"}
    rows = [(f"`{name}`{note.get(name, '')}", *(cell(name, snr) for snr in snrs)) for name in DECODERS]
    return table(("LPIPS (PSNR)", *columns(snrs)), rows)


def guides(find: Find) -> str:
    """What guides bring over none."""
    snrs, rows = (-5, -3, 0), []
    for name, codec in GUIDES.items():
        for metric, label, digits in (("lpips_alex", "LPIPS", 4), ("psnr", "PSNR in dB", 3)):
            own = [find(codec, metric, snr) for snr in snrs]
            total = f"{float(own[0]['rho_total']):.4f}"
            rows.append((f"{name}, {label}", total, *(minus(x, "sgd_jscc:guidance=none", digits) for x in own)))
    return table(("", "rho_total", *columns(snrs)), rows)


def columns(snrs: Iterable[float]) -> Sequence[str]:
    """Heads of columns."""
    return [f"{snr:g} dB" for snr in snrs]


if __name__ == "__main__":
    cli.start(main, MakeDocs())
