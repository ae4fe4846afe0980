"""Tag columns under the virtual table alone: what a payload may not say, though no CREATE TABLE would."""

from __future__ import annotations

from typing import Any

import apsw
import pytest

from entitydb_dialect.driver import _catalog
from entitydb_dialect.driver.ddl import create as _ddl

from .helpers import Raw

SQL = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT TAG 'ns', b TEXT, v AS (a), s AS (a) STORED)"
GOOD = b"\x01\x01\x02ns"                # one: column 1, "ns"


def payload(tags: bytes = GOOD) -> bytes:
    """Of the table, with these bytes where the tag columns stand."""
    good = _catalog.encode(_ddl.parse_table(SQL, "t"))
    assert good.count(GOOD) == 1
    return good.replace(GOOD, tags)


def run(raw: Raw, op: str, what: bytes) -> None:
    with raw.savepoint():
        raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES (?, ?)", (op, what))


@pytest.mark.parametrize(
    "tags",
    [GOOD, b"\x02\x01\x02ns\x02\x03ns2", b"\x01\x04\x02\xc3\xbc", b"\x01\x00\x02id", b"\x01\x01\x03a b"],
)
def test_columns_that_can_be_tag_columns_are_taken(raw: Raw, tags: bytes) -> None:
    raw.run("SAVEPOINT s")
    run(raw, "create", payload(tags))
    raw.run("ROLLBACK TO s")
    raw.run("RELEASE s")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (b"\x00", "number of tag columns"),
        (b"\x06" + b"\x01\x02ns" * 6, "number of tag columns"),
        (b"\xff\xff\xff\xff\x0f\x01\x02ns", "number of tag columns"),
        (b"\x01\x05\x02ns", "tag column"),
        (b"\x01\xff\xff\xff\xff\x0f\x02ns", "tag column"),
        (b"\x01\x03\x02ns", "tag column"),                              # VIRTUAL
        (b"\x02\x01\x02ns\x01\x02xx", "tag column"),                    # one column twice
        (b"\x02\x01\x02ns\x02\x02ns", "namespace of a tag column"),     # one namespace twice
        (b"\x01\x01\x00", "namespace of a tag column"),
        (b"\x01\x01\x02n:", "namespace of a tag column"),
        (b"\x01\x01\x02n\x00", "namespace of a tag column"),
        (b"\x01\x01\x02n\x1f", "namespace of a tag column"),
        (b"\x01\x01\x02n\x7f", "namespace of a tag column"),
        (b"\x01\x01\x03n\xc2\x85", "namespace of a tag column"),
        (b"\x01\x01\x02n\xff", "namespace of a tag column"),
        (b"\x01\x01\x7fns", "namespace of a tag column"),
        (b"\x02\x01\x02ns", "namespace of a tag column"),               # one is missing: what follows is "extra"
        (b"", "extra|length|number of tag columns"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("op", ["create", "replace"])
def test_impossible_tag_columns_are_refused(raw: Raw, op: str, tags: bytes, said: str) -> None:
    raw.create_table("CREATE TABLE other(a)", "other")
    with pytest.raises(apsw.CorruptError, match=f"impossible ({said})"):
        run(raw, op, payload(tags))
    raw.drop_table("other")


def test_a_payload_without_the_flag_has_no_tag_columns(raw: Raw) -> None:
    """What would be their number is then the size of `extra`."""
    plain = _catalog.encode(_ddl.parse_table(SQL.replace(" TAG 'ns'", ""), "t"))
    flags = next(i for i, (a, b) in enumerate(zip(plain, _with_flag(), strict=False)) if a != b)
    assert (plain[flags], payload()[flags]) == (0, 8)
    for what in (plain[:flags] + b"\x08" + plain[flags + 1 :], payload()[:flags] + b"\x00" + payload()[flags + 1 :]):
        with pytest.raises(apsw.CorruptError, match="impossible"):
            run(raw, "create", what)


def _with_flag() -> Any:
    return payload()
