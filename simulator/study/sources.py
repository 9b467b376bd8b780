"""The settings of a built-in plug-in as its source has them: a misspelt one is told before a framework loads."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

DEEPEST = 6  # modules that hand a class on, and bases


def settings_in(package: str, name: str) -> tuple[str, ...] | None:
    """Names of the parameters of its class, in order; None where the source does not say them plainly."""
    found = annotations_in(package, name)
    return None if found is None else tuple(found)


def annotations_in(package: str, name: str) -> Mapping[str, str] | None:
    """The parameters of its class with their annotations as text; None as of `settings_in`."""
    try:
        return _parameters(f"{package}.{name}", "PLUGIN", DEEPEST)
    except (OSError, SyntaxError, ImportError, ValueError):
        return None


def names_in(path: Path) -> tuple[list[str], list[str]]:
    """The classes of a Python file, and all names that it has at its top; none where it is no Python."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return [], []
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    brought = [own for node in body if isinstance(node, ast.Import | ast.ImportFrom) for own in node.names]
    assigned = [t.id for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    return classes, [*classes, *assigned, *(own.asname or own.name for own in brought)]


def _parameters(module: str, wanted: str, depth: int) -> dict[str, str] | None:
    tree = _tree(module)
    if tree is None or not depth:
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_name(node.targets[0], wanted) and isinstance(node.value, ast.Name):
            return _parameters(module, node.value.id, depth - 1)
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            return _of_constructor(node) or _of_dataclass(node) or _of_base(module, node, depth)
        if isinstance(node, ast.ImportFrom) and node.module and wanted in [name.name for name in node.names]:
            return _parameters(node.module, wanted, depth - 1)
    return None


def _tree(module: str) -> ast.Module | None:
    package, _, name = module.rpartition(".")
    found = find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in (Path(folder, f"{name}.py"), Path(folder, name, "__init__.py")):
            if path.is_file():
                return ast.parse(path.read_text(encoding="utf-8"))
    return None


def _is_name(node: ast.expr, wanted: str) -> bool:
    return isinstance(node, ast.Name) and node.id == wanted


def _of_constructor(node: ast.ClassDef) -> dict[str, str] | None:
    """Those of `__init__`, or of `__new__`, unless it takes anything; None without one of its own."""
    for inside in node.body:
        if isinstance(inside, ast.FunctionDef) and inside.name in ("__init__", "__new__"):
            said = inside.args
            if said.vararg or said.kwarg:
                return None
            return {one.arg: _text(one.annotation) for one in (*said.args[1:], *said.kwonlyargs)}
    return None


def _of_base(module: str, node: ast.ClassDef, depth: int) -> dict[str, str] | None:
    """Those of the only base of a class that says nothing itself."""
    own = [inside.name for inside in node.body if isinstance(inside, ast.FunctionDef)]
    plain = not node.decorator_list and len(node.bases) == 1 and not {"__init__", "__new__"} & {*own}
    base = node.bases[0] if plain else None
    return _parameters(module, base.id, depth - 1) if isinstance(base, ast.Name) else None


def _of_dataclass(node: ast.ClassDef) -> dict[str, str] | None:
    """The fields of a dataclass without bases; None of another class."""
    said = [ast.unparse(one) for one in node.decorator_list]
    if node.bases or not any(text.partition("(")[0] == "dataclass" for text in said):
        return None
    own = [inside for inside in node.body if isinstance(inside, ast.AnnAssign) and isinstance(inside.target, ast.Name)]
    if any(word in ast.unparse(one) for one in own for word in ("field(", "KW_ONLY", "InitVar")):
        return None
    fields = [one for one in own if "ClassVar" not in ast.unparse(one.annotation)]
    return {one.target.id: _text(one.annotation) for one in fields if isinstance(one.target, ast.Name)}


def _text(node: ast.expr | None) -> str:
    return ast.unparse(node) if node else ""
