"""What Python modules import of each other and of other packages.

An import in a function counts as one at the head of the file: it only hides the arrow. One for the type checker alone
(`if TYPE_CHECKING`) does not count.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .graphs import circles
from .layers import PACKAGES, PYTHON_LAYERS, STRANGERS

# Each package and its folder.
FOLDERS = {"entitydb_dialect": "entitydb_dialect", "entitydb_migrations": "migrations"}
# Made by the build.
BUILT = "entitydb_dialect._native"

Layers = Sequence[Sequence[str]]


def modules(root: Path) -> dict[str, Path]:
    """The modules and their files."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def is_in(module: str, name: str) -> bool:
    """Whether `module` is `name` or lies in it; a name that begins with = is only itself."""
    return module == name.removeprefix("=") or (not name.startswith("=") and module.startswith(f"{name}."))


def longest(module: str, names: Iterator[str]) -> str | None:
    return max((name for name in names if is_in(module, name)), key=lambda name: len(name.lstrip("=")), default=None)


def layer(module: str, layers: Layers = PYTHON_LAYERS) -> int | None:
    name = longest(module, (name for names in layers for name in names))
    return next((at for at, names in enumerate(layers) if name in names), None)


def _is_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _imports(nodes: Sequence[ast.stmt] | Iterator[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and _is_for_types(node.test):
            yield from _imports(node.orelse)
        else:
            yield from _imports(ast.iter_child_nodes(node))


def imports(module: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The full names of what a module imports: `from a import b` is a.b if that is a module, else a."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _imports(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        source = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            name = f"{source}.{alias.name}"
            yield name if name in known or name == BUILT else source


def arrows(root: Path) -> dict[str, set[str]]:
    """Which module imports which: ours by their full names, others by that of their package."""
    known = modules(root)
    found: dict[str, set[str]] = {module: set() for module in known}
    for module, path in known.items():
        for name in imports(module, path, known):
            ours = name.partition(".")[0] in FOLDERS
            found[module].add(name if ours else name.partition(".")[0])
        found[module] -= {module}
    return found


def without_layer(graph: Mapping[str, set[str]], layers: Layers = PYTHON_LAYERS) -> list[str]:
    return [f"{module} is not in PYTHON_LAYERS" for module in sorted(graph) if layer(module, layers) is None]


def climbing_imports(graph: Mapping[str, set[str]], layers: Layers = PYTHON_LAYERS) -> list[str]:
    """Imports of a layer above, and of strangers."""
    found = []
    for module, names in sorted(graph.items()):
        for name in sorted(names):
            below, above = layer(module, layers), layer(name, layers)
            if below is not None and above is not None and below < above:
                found.append(f"{module} imports {name}, which is above it")
            if any(is_in(module, one) and is_in(name, other) for one, other in STRANGERS):
                found.append(f"{module} imports {name}, which it must not know")
    return found


def foreign_imports(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports of packages that PACKAGES does not give to the module."""
    found = []
    for module, names in sorted(graph.items()):
        allowed = PACKAGES.get(longest(module, iter(PACKAGES)) or "", set())
        foreign = {name for name in names if name.partition(".")[0] not in FOLDERS} - set(sys.stdlib_module_names)
        found += [f"{module} imports {name}" for name in sorted(foreign - allowed)]
    return found


def import_circles(graph: Mapping[str, set[str]]) -> list[str]:
    ours: dict[str, set[str]] = defaultdict(set)
    for module, names in graph.items():
        ours[module] = {name for name in names if name in graph}
    return [" <-> ".join(circle) for circle in circles(ours)]
