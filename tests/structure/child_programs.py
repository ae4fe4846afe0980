"""Where the programs run that tests give to another interpreter.

`python -c` puts the current folder first on its path. In a checkout that is the folder of the sources, which have no
compiled library where the package is installed elsewhere (as tox does it). So each such call says in which folder it
runs.
"""

from __future__ import annotations

import ast
from pathlib import Path


def _is_program(call: ast.Call) -> bool:
    """A call whose first argument is a list with sys.executable and "-c"."""
    if not call.args or not isinstance(call.args[0], ast.List):
        return False
    words = [ast.unparse(word) for word in call.args[0].elts]
    return words[:1] == ["sys.executable"] and "'-c'" in words


def without_folder(tests: Path) -> list[str]:
    """The calls that do not say `cwd=`, as file:line."""
    return [
        f"{path.relative_to(tests)}:{node.lineno}"
        for path in sorted(tests.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_program(node) and "cwd" not in {word.arg for word in node.keywords}
    ]
