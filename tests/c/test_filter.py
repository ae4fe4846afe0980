"""The filter of what was written: never a wrong "no", few needless "perhaps"."""

from __future__ import annotations

import pytest

LEVELS = 1024 + 4096 + 16384 + 65536  # strings that the first four levels take


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 5120, 5121, 50_000, LEVELS + 1])
def test_what_was_added_is_never_denied_and_little_else_is_allowed(native, n: int) -> None:
    needless = native.lib.test_filter(n)
    assert 0 <= needless <= 3 + n // 500


@pytest.mark.slow
def test_a_filter_that_is_full_allows_everything(native) -> None:
    n = LEVELS + 262_144 + 1_048_576
    assert native.lib.test_filter(n) < n // 500
    assert native.lib.test_filter(n + 1) == n + 1


@pytest.mark.parametrize("allocation", [1, 2, 3])
def test_a_filter_without_memory_allows_everything(native, allocation: int) -> None:
    native.lib.test_alloc_fail(allocation, True)
    try:
        assert native.lib.test_filter(40_000) == 40_000
    finally:
        native.lib.test_alloc_fail(0, False)
    assert native.lib.test_alloc_live() >= 0
