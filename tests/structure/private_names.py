"""The private names that modules of a package use of each other.

A private name is `_name`, not `__name__`. It is used across modules when it is imported by its name, or read as an
attribute of anything but `self` and `cls`, in a module that does not define it while another one does. The name of a
module is not a private name. Names are counted, not places: `lock._owner` is one, wherever it stands.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _is_own(node: ast.Attribute) -> bool:
    return getattr(node.value, "id", None) in ("self", "cls")


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def _names_of_target(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _names_of_target(element)
    elif isinstance(target, ast.Starred):
        yield from _names_of_target(target.value)


def _bodies(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of the module and of its classes, which make names that others can reach."""
    work: list[ast.stmt] = list(tree.body)
    while work:
        node = work.pop()
        yield node
        if isinstance(node, ast.ClassDef):
            work += node.body
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            work += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def _slots(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == "__slots__" for target in node.targets):
        for part in ast.walk(node.value):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def defined(tree: ast.Module) -> set[str]:
    """The private names that a module defines: of the module, of its classes, and what is assigned to self and cls."""
    found: set[str] = set()
    for node in _bodies(tree):
        found.update(_slots(node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        found.update(name for target in _targets(node) for name in _names_of_target(target))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


def used(tree: ast.Module) -> dict[str, int]:
    """The private names that a module takes from elsewhere or reads of something not itself, and the first line."""
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and not _is_own(node):
            names = [node.attr]
        else:
            continue
        for name in names:
            if is_private(name):
                found.setdefault(name, node.lineno)
    return found


def shared_private_names(folder: Path) -> dict[str, list[str]]:
    """Each private name that crosses a border in the package, and the places that use it."""
    paths = sorted(folder.rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    own = {path: defined(tree) for path, tree in trees.items()}
    modules = {path.stem for path in paths} | {path.name for path in folder.rglob("*") if path.is_dir()}
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        for name, line in used(tree).items():
            if name in own[path] or name in modules:
                continue
            if any(name in names for names in own.values()):
                found[name].append(f"{path.relative_to(folder)}:{line}")
    return dict(sorted(found.items()))
