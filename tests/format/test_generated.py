"""Generated columns in a file: what docs/format.md says of them."""

from __future__ import annotations

from pathlib import Path

from entitydb_dialect import driver

from .reader import File, decode_key


def test_rows_have_stored_columns_and_indexes_have_both(tmp_path: Path) -> None:
    path = tmp_path / "generated.edb"
    db = driver.connect(path, page_size=512)
    db.execute("CREATE TABLE t(a, v TEXT AS (a || '!'), s TEXT AS (a || '?') STORED, b)")
    db.execute("CREATE INDEX tv ON t(v)")
    db.execute("INSERT INTO t VALUES ('x', 1), ('y', 2)")
    db.commit()
    db.close()
    file = File(path.read_bytes())
    table = file.catalog()["t"]
    assert [(c.name, c.expression, c.stored, c.hidden) for c in table.columns] == [
        ("a", None, False, False), ("v", "a || '!'", False, False), ("s", "a || '?'", True, False),
        ("b", None, False, False),
    ]  # fmt: skip
    assert [values for _, values in file.rows(table)] == [["x", None, "x?", 1], ["y", None, "y?", 2]]
    (index,) = table.indexes
    keys = [decode_key(key, [False])[0][0] for key, _, _ in file.scan(file.tree(index.tree))]
    assert keys == ["x!", "y!"]
