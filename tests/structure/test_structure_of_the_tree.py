"""The repository keeps its own order: what is checked, and how, is said by the modules beside this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import c_code, python_code

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return python_code.arrows(ROOT)


def test_every_folder_of_c_files_has_its_layer() -> None:
    assert c_code.c_files(ROOT, "*.c")
    assert c_code.without_layer(ROOT) == []


def test_every_module_has_its_layer(graph: dict[str, set[str]]) -> None:
    assert len(graph) > 40
    assert python_code.without_layer(graph) == []


def test_modules_import_only_the_packages_they_may(graph: dict[str, set[str]]) -> None:
    assert python_code.foreign_imports(graph) == []
