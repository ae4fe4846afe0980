"""The repository keeps its own order: what is checked, and how, is said by the modules beside this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import c_code, c_fields, child_programs, cited_files, private_names, python_code
from .layers import DRIVER, PRIVATE_NAMES

ROOT = Path(__file__).resolve().parents[2]
Uses = dict[tuple[str, str], list[str]]


@pytest.fixture(scope="module")
def uses(tmp_path_factory: pytest.TempPathFactory) -> Uses:
    return c_code.symbol_uses(c_code.compile_all(ROOT, tmp_path_factory.mktemp("objects")))


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return python_code.arrows(ROOT)


def test_every_folder_of_c_files_has_its_layer() -> None:
    assert c_code.c_files(ROOT, "*.c")
    assert c_code.without_layer(ROOT) == []


def test_includes_go_downward() -> None:
    assert c_code.climbing_includes(ROOT) == []


@pytest.mark.slow
def test_calls_go_downward(uses: Uses) -> None:
    assert len(uses) > 100
    assert c_code.climbing_symbols(uses) == []


@pytest.mark.slow
def test_objects_have_no_circle_but_the_known_one(uses: Uses) -> None:
    assert c_code.object_circles(uses) == []


def test_a_prefix_of_fields_belongs_to_one_struct() -> None:
    assert c_fields.shared_prefixes(ROOT) == []


@pytest.mark.slow
def test_every_module_has_its_layer(graph: dict[str, set[str]]) -> None:
    assert len(graph) > 40
    assert python_code.without_layer(graph) == []


def test_imports_go_downward(graph: dict[str, set[str]]) -> None:
    assert python_code.climbing_imports(graph) == []


def test_modules_import_only_the_packages_they_may(graph: dict[str, set[str]]) -> None:
    assert python_code.foreign_imports(graph) == []


def test_imports_have_no_circle(graph: dict[str, set[str]]) -> None:
    assert python_code.import_circles(graph) == []


@pytest.mark.slow
def test_modules_of_the_driver_hardly_use_private_names_of_each_other() -> None:
    names = private_names.shared_private_names(ROOT / DRIVER.replace(".", "/"))
    assert len(names) <= PRIVATE_NAMES, names


@pytest.mark.slow
def test_every_file_that_a_text_names_exists() -> None:
    assert cited_files.dead_citations(ROOT) == []


@pytest.mark.slow
def test_programs_of_tests_do_not_run_in_the_folder_of_the_sources() -> None:
    assert child_programs.without_folder(ROOT / "tests") == []
