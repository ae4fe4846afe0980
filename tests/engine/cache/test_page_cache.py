"""The cache of unpacked pages: what it keeps, what it evicts, that it stays within its bound, threads, and fork()."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from entitydb_dialect._native import ffi, lib

SIZE = 4096
Page = Any


@pytest.fixture
def file(native: Any) -> Iterator[int]:
    """A number of a file, and room for ten pages."""
    before = counts()
    assert before["pages"] == 0
    lib.cache_limit(10 * SIZE)
    number = int(lib.cache_file())
    yield number
    lib.cache_drop_file(number)
    after = counts()
    assert (after["pages"], after["bytes"]) == (0, 0)
    lib.cache_limit(before["limit"])


def counts() -> dict[str, int]:
    out = ffi.new("test_cache_counts *")
    lib.test_cache_count(out)
    return {name: int(getattr(out, name)) for name, _ in ffi.typeof(out).item.fields}


def find(file: int, id: int, version: int = 0) -> Page | None:
    out = ffi.new("cached_page **")
    return out[0] if lib.test_cache_find(file, id, version, out) else None


def there(file: int, id: int, version: int = 0) -> bool:
    page = find(file, id, version)
    lib.cache_unpin(page or ffi.NULL)
    return page is not None


def made(file: int, id: int, content: bytes = b"x", size: int = SIZE, version: int = 0) -> Page:
    """Pinned."""
    page = lib.cache_page_new(size)
    assert page
    ffi.memmove(lib.cached_bytes(page), content, len(content))
    return lib.test_cache_put(page, file, id, version)


def content(page: Page, size: int) -> bytes:
    return bytes(ffi.buffer(lib.cached_bytes(page), size))


def test_what_was_put_is_found_with_its_bytes(file: int) -> None:
    assert find(file, 7) is None
    page = made(file, 7, b"seven")
    again = find(file, 7)
    assert again == page
    assert content(again, 5) == b"seven"
    lib.cache_unpin(page)
    lib.cache_unpin(again)
    assert there(file, 7)


def test_another_file_has_other_pages(file: int) -> None:
    other = int(lib.cache_file())
    assert other != file
    lib.cache_unpin(made(file, 1, b"ours"))
    lib.cache_unpin(made(other, 1, b"theirs"))
    page = find(file, 1)
    assert content(page, 4) == b"ours"
    lib.cache_unpin(page)
    lib.cache_drop_file(other)
    assert not there(other, 1)
    assert there(file, 1)


def test_a_version_of_a_page_is_another_page(file: int) -> None:
    lib.cache_unpin(made(file, 1, b"old", version=4))
    assert not there(file, 1)
    assert not there(file, 1, 5)
    assert there(file, 1, 4)


def test_who_comes_second_gets_the_first_ones_page(file: int) -> None:
    first, late = made(file, 3, b"first"), lib.cache_page_new(SIZE)
    got = lib.test_cache_put(late, file, 3, 0)
    assert got == first
    assert content(got, 5) == b"first"
    lib.cache_unpin(first)
    lib.cache_unpin(got)
    assert counts()["bytes"] == SIZE


def test_it_stays_within_its_bound(file: int) -> None:
    for id in range(100):
        lib.cache_unpin(made(file, id))
        assert counts()["bytes"] <= 10 * SIZE
    assert counts()["pages"] == 10
    lib.cache_limit(3 * SIZE)
    assert counts()["bytes"] == 3 * SIZE


def test_pages_of_other_sizes_share_the_bound(file: int) -> None:
    for id in range(200):
        lib.cache_unpin(made(file, id, size=(512, 8192, 32768)[id % 3]))
        assert counts()["bytes"] <= 10 * SIZE


def test_what_is_used_outlives_what_is_not(file: int) -> None:
    for id in range(200):
        lib.cache_unpin(made(file, id))
        assert there(file, 0)
    assert not there(file, 100)


def test_what_is_pinned_is_never_evicted(file: int) -> None:
    pages = [made(file, id, bytes([id])) for id in range(5)]
    for id in range(5, 100):
        lib.cache_unpin(made(file, id))
    for id, page in enumerate(pages):
        assert content(page, 1) == bytes([id])
        assert find(file, id) == page
        lib.cache_unpin(page)
        lib.cache_unpin(page)


def test_when_all_is_pinned_there_are_pages_beyond_the_bound_until_they_are_given_back(file: int) -> None:
    before = counts()["beyond"]
    pages = [made(file, id) for id in range(15)]
    assert counts()["bytes"] == 15 * SIZE
    assert counts()["beyond"] == before + 5
    for page in pages:
        lib.cache_unpin(page)
    assert counts()["bytes"] == 10 * SIZE


def test_a_page_that_is_dropped_is_read_to_the_end(file: int) -> None:
    page = made(file, 1, b"still")
    lib.test_cache_drop(file, 1, 0)
    lib.test_cache_drop(file, 2, 0)
    assert not there(file, 1)
    assert content(page, 5) == b"still"
    lib.cache_unpin(page)
    assert counts()["bytes"] == 0


def test_a_page_that_is_never_put_is_gone_with_its_pin(file: int) -> None:
    lib.cache_unpin(lib.cache_page_new(SIZE))
    lib.cache_unpin(ffi.NULL)
    assert counts()["bytes"] == 0


def test_a_cache_of_nothing_serves_readers_all_the_same(file: int) -> None:
    lib.cache_limit(0)
    page = made(file, 1, b"read")
    assert content(page, 4) == b"read"
    lib.cache_unpin(page)
    assert counts()["bytes"] == 0


def test_steady_work_takes_no_memory(file: int) -> None:
    for id in range(20):
        lib.cache_unpin(made(file, id))
    passed = lib.test_alloc_passed()
    for id in range(20, 500):
        lib.cache_unpin(made(file, id))
    assert lib.test_alloc_passed() == passed


def test_without_memory_there_is_no_page(file: int) -> None:
    lib.test_alloc_fail(1, True)
    page = lib.cache_page_new(SIZE)
    lib.test_alloc_fail(0, False)
    assert page == ffi.NULL
    assert counts()["bytes"] == 0


def test_counts_are_true(file: int) -> None:
    before = counts()
    for id in range(12):
        assert find(file, id) is None
        lib.cache_unpin(made(file, id))
    assert there(file, 11)
    after = counts()
    assert after["misses"] - before["misses"] == 12
    assert after["hits"] - before["hits"] == 1
    assert after["evictions"] - before["evictions"] == 2


def test_a_forked_child_begins_with_an_empty_one(file: int) -> None:
    page = made(file, 1, b"parent")
    child = os.fork()
    if child == 0:
        fine = counts()["bytes"] == 0 and not there(file, 1) and content(page, 6) == b"parent"
        lib.cache_unpin(page)
        lib.cache_unpin(made(file, 1))
        os._exit(0 if fine and there(file, 1) and int(lib.cache_file()) > file else 1)
    assert os.waitpid(child, 0)[1] == 0
    lib.cache_unpin(page)
    assert there(file, 1)


@pytest.mark.parametrize("limit", [0, 64 << 10, 1 << 20])
def test_threads_read_what_belongs_to_their_key(native: Any, seed: int, limit: int) -> None:
    assert lib.test_cache_threads(6, 4000, limit, seed) == 0


def test_buffers_are_used_again(native: Any) -> None:
    out, room = ffi.new("test_buffer_counts *"), ffi.new("size_t *")
    lib.buffers_forget()
    for size, full in ((1, 1 << 10), (1025, 64 << 10), (65537, 1 << 20)):
        buffer = lib.buffer_take(size, room)
        assert room[0] == full
        lib.buffer_give(buffer, room[0])
        assert lib.buffer_take(full, room) == buffer
        lib.buffer_give(buffer, room[0])
    huge = lib.buffer_take((1 << 20) + 1, room)
    assert room[0] > 1 << 20
    lib.buffer_give(huge, room[0])
    lib.test_buffers(out)
    assert out.kept_bytes == (1 << 10) + (64 << 10) + (1 << 20)
    many = []
    for _ in range(40):
        many.append(lib.buffer_take(1 << 20, room))
    for buffer in many:
        lib.buffer_give(buffer, room[0])
    lib.test_buffers(out)
    assert out.kept_bytes <= 16 << 20
    lib.buffers_forget()
    lib.test_buffers(out)
    assert out.kept_bytes == 0
