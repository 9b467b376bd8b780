"""Who imports whom, read from the syntax tree: imports for types and within functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("simulator", "codecs", "channels")
GROUND = "ground"  # the files at the top of simulator/, which everyone may import, and the contract of channels
CONTRACT = "channels.base"
# room: what it may import besides itself, the ground and the contract of channels
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    room: frozenset(others.split())
    for room, others in {
        CONTRACT: "",
        GROUND: "",
        "package": "study",
        "channels": "",
        "bits": "",
        "power": "",
        "data": "",
        "metrics": "",
        "executors": "",
        "engine": "bits channels",
        "link": "bits power engine channels",
        "live": "link",
        "records": "",
        "analysis": "records metrics",
        "plugins": "link metrics data channels",
        "conformance": "bits link live channels plugins",
        "sweep": "records analysis plugins live executors",
        "figures": "records analysis data",
        "training": "bits data link plugins executors",
        "study": "bits power data metrics executors engine link live records analysis plugins conformance sweep "
        "figures training channels",
        "codecs": "bits metrics data training executors",
    }.items()
}


@dataclass(frozen=True)
class Import:
    """One name that a file imports. name: `semlink.simulator.bits.mcs.TABLE`, or a module's."""

    path: Path
    line: int
    name: str

    @property
    def importer(self) -> str:
        """The importing module."""
        return module_of(self.path)

    @property
    def module(self) -> str:
        """The module that is imported, or that holds what is."""
        return self.name if self.name in modules() else self.name.rpartition(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.name.removeprefix('semlink.')}"


@cache
def modules() -> Mapping[str, Path]:
    """All modules of the package with their files."""
    files = (path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py")))
    return {module_of(path): path for path in files}


def module_of(path: Path) -> str:
    """Import name of a file of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("semlink", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def room_of(module: str) -> str:
    """The room of a module of the package."""
    _, package, *rest = module.split(".")
    if package == "channels":
        return CONTRACT if rest[:1] == ["base"] else "channels"
    if package == "codecs" or not rest:
        return package if package == "codecs" else GROUND
    inside = (ROOT / "simulator" / rest[0]).is_dir()
    return rest[0] if inside or rest[0] in MAY_IMPORT else GROUND


def imports_of(path: Path) -> Iterator[Import]:
    """Everything of ours that a file imports."""
    for name, line in _imported(path):
        if name.partition(".")[0] in ("semlink", "experiments"):
            yield Import(path, line, name)


def _imported(path: Path) -> Iterator[tuple[str, int]]:
    """Full names of all that a file imports, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@cache
def all_imports() -> tuple[Import, ...]:
    """Of every file of the package."""
    return tuple(found for path in modules().values() for found in imports_of(path))


def importers(wanted: set[str]) -> Iterator[Path]:
    """Files of the package and of experiments that import one of those modules of others, or something below it."""
    for path in (*modules().values(), *sorted((ROOT / "experiments").glob("*.py"))):
        if any(name.partition(".")[0] in wanted for name, _ in _imported(path)):
            yield path


def wrong(found: Import) -> str:
    """Why an import goes where it may not, and where the name should live; empty when it may."""
    if found.name.startswith("experiments"):
        return f"{found}: the package never imports experiments; what it needs belongs in simulator/study"
    own, other = room_of(found.importer), room_of(found.module)
    allowed = MAY_IMPORT[own] | {own, CONTRACT} | ({GROUND} if own not in ("channels", CONTRACT) else set())
    if other in allowed:
        return ""
    above = sorted(room for room, others in MAY_IMPORT.items() if {own, other} <= others | {room})
    remedy = f"or {found.path.name} in one that may import both ({', '.join(above)})" if above else ""
    return (
        f"{found}: room {own!r} may import {', '.join(sorted(allowed - {own}))}, not {other!r}; what both "
        f"need should live in one of these, {remedy}"
    ).rstrip(", ")


def private(found: Import) -> str:
    """Why an import takes what is private to another room; empty when it does not.

    A room of codecs is its folder or file: names that begin with an underscore within it are its own.
    """
    here, there = place(found.importer), place(found.module)
    inner = found.name.removeprefix(".".join(there)).split(".")
    if here == there or not any(part.startswith("_") for part in inner):
        return ""
    return f"{found}: private to {'.'.join(there[1:])}; make it public there, or move it to a room that both may import"


def codec_to_codec(found: Import) -> str:
    """Why an import takes from a codec's file what is not the importer's own; empty when it does not.

    Rooms of codecs, whose names begin with an underscore, and importance maps are there for all codecs.
    """
    here, there = place(found.importer), place(found.module)
    is_codec = there[1:2] == ("codecs",) and len(there) == 3 and not there[2].startswith("_")
    if here[1:2] != ("codecs",) or here == there or not is_codec or there[2] == "importance":
        return ""
    return f"{found}: {there[2]} is a codec; what others need of it should live in a room of codecs, such as _learned"


def place(module: str) -> tuple[str, ...]:
    """Whose private names a module may use: its room's, in codecs those of its folder or file."""
    parts = tuple(module.split("."))
    if parts[1] == "simulator":
        return parts[:3] if room_of(module) != GROUND else parts[:2]
    return parts[:3] if parts[1] == "codecs" or parts[2:3] in (("base",), ("impairments",)) else parts[:2]


def circles() -> list[list[str]]:
    """Modules that import each other, directly or through others: strongly connected parts of more than one module."""
    edges: dict[str, set[str]] = {module: set() for module in modules()}
    for found in all_imports():
        edges[found.importer].add(found.module)
    reach = {module: _reachable(module, edges) for module in edges}
    groups = {frozenset(o for o in reach[m] if m in reach.get(o, ())) for m in edges if m in reach[m]}
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [*edges[start]]
    while todo:
        module = todo.pop()
        if module not in found and module != start:
            found.add(module)
            todo += edges.get(module, ())
        elif module == start:
            found.add(start)
    return found
