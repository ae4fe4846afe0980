"""edb_check: counts every page once, and names the invariant and the page of what was forged to break only it."""

from __future__ import annotations

import threading

import pytest

from ..bare_txn import Database, done, ffi, lib, raw

ROW = b"\4\0\0"                                 # a row of one column, NULL


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def table_payload(table, index=None):
    """A table t(c), with an index on c or without; docs/format.md, "Catalog"."""
    column = b"\0\1c\0\x41\0\0"
    part = b"\0\0\0"
    one = b"\0" if index is None else b"\1" + varint(index) + b"\1i\0\0\0\1" + part
    return b"\1\1" + varint(table) + b"\1t\0\0\0" + b"\1" + column + one + b"\0\0\0"


def null_key():
    value = ffi.new("test_value *", {"type": 0})
    out = ffi.new("uint8_t[16]")
    return bytes(out[0:lib.test_key_encode(out, value, 0, False)])


@pytest.fixture
def database(tmp_path, native):
    database = Database(tmp_path / "t.edb")
    yield database
    database.close()


@pytest.fixture
def conn(database):
    connection = database.connect()
    yield connection
    connection.close()


def make_table(conn, indexed=True):
    with conn.statement(writes=True) as statement:
        table = statement.make_tree()
        index = statement.make_tree(0) if indexed else None
        statement.put(0, table, table_payload(table, index))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    return table, index


def add_rows(conn, table, index, ids):
    with conn.statement(writes=True) as statement:
        for row in ids:
            statement.use_id(table, row)
            statement.put(table, row, ROW)
            if index is not None:
                statement.put(index, null_key() + raw(row), b"")
    conn.commit()


def root_of(breaches):
    (breach,) = breaches
    return breach


@pytest.mark.slow
def test_a_sound_file_is_sound_and_every_page_is_counted(database, conn, rng):
    stats, (_, counts) = database.stats(), database.check()
    reserved = stats.pages - counts.pages_live - counts.pages_history - counts.pages_free - counts.pages_other
    table, index = make_table(conn)
    for _ in range(60):
        add_rows(conn, table, index, [rng.randrange(1, 500) for _ in range(20)])
        with conn.statement(writes=True) as statement:
            for key in rng.sample(sorted(statement.scan(table)), 15):
                statement.put(table, key, None)
                statement.put(index, null_key() + key, None)
        conn.commit()
    add_rows(conn, table, index, range(500, 900))       # too much for a redo record: all goes to pages of the file
    breaches, counts = database.check()
    assert breaches == []
    stats = database.stats()
    counted = counts.pages_live + counts.pages_history + counts.pages_free + counts.pages_other
    assert stats.pages == reserved + counted        # header, mark and ring come before
    assert counts.pages_history > 0
    assert counts.pages_free > 0
    assert counts.versions >= 2 * 60 * 15


def test_checking_while_others_commit(database, conn):
    table, index = make_table(conn)
    stop = threading.Event()

    def write():
        connection = database.connect()
        row = 1
        while not stop.is_set():
            add_rows(connection, table, index, range(row, row + 3))
            row += 3
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(25):
            assert database.check()[0] == []
    finally:
        stop.set()
        thread.join()
    assert database.check()[0] == []


def test_a_state_from_the_future_is_i30(database, conn):
    table, _ = make_table(conn, indexed=False)
    done(lib.test_forge(database.db, 30, table, ffi.NULL, 0))
    breaches, _ = database.check()
    assert breaches[0][0] == "I30"
    assert f"tree {table}" in breaches[0][2]


def test_a_table_without_its_tree_is_i32(database, conn):
    with conn.statement(writes=True) as statement:
        statement.put(0, 77, table_payload(77))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    invariant, _, sentence = root_of(database.check()[0])
    assert invariant == "I32"
    assert "table t" in sentence
    assert "77" in sentence


def test_an_index_whose_tree_has_row_ids_is_i32(database, conn):
    table, _ = make_table(conn, indexed=False)
    with conn.statement(writes=True) as statement:
        index = statement.make_tree(8)
        statement.put(0, table, table_payload(table, index))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"


def test_a_row_without_index_entry_is_i33(database, conn):
    table, index = make_table(conn)
    add_rows(conn, table, index, [1, 2, 3])
    conn.delete(index, null_key() + raw(2))
    conn.commit()
    breaches, _ = database.check()
    assert {invariant for invariant, _, _ in breaches} == {"I33"}
    assert "row 2 of table t has no entry in index i" in breaches[0][2]
    assert breaches[0][1] >= 1


def test_an_index_entry_without_row_is_i33(database, conn):
    table, index = make_table(conn)
    add_rows(conn, table, index, [1, 2, 3])
    conn.delete(table, 2)
    conn.commit()
    invariant, page, sentence = root_of(database.check()[0])
    assert (invariant, sentence) == ("I33", "index i has 3 entries for the 2 rows of table t")
    assert page >= 1


def test_a_catalog_younger_than_the_schema_number_is_i34(database, conn):
    make_table(conn, indexed=False)
    spare, _ = make_table(conn, indexed=False)
    entry = table_payload(spare)
    done(lib.test_forge(database.db, 34, 0, entry, len(entry)))
    assert root_of(database.check()[0])[0] == "I34"


def test_a_row_id_yet_to_be_given_out_is_i35(database, conn):
    table, index = make_table(conn)
    add_rows(conn, table, index, [5])
    conn.put(table, 6, ROW)
    conn.put(index, null_key() + raw(6), b"")
    conn.commit()
    invariant, _, sentence = root_of(database.check()[0])
    assert invariant == "I35"
    assert "row 6" in sentence


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\0" * 8, b"\0" * 24), (b"\0" * 8, b"\0" * 33),
        (b"\0\0\0\1\xff\xff\xff\xff", b"\0" * 32), (b"\0" * 8, b"\0" * 31 + b"\xbf"),
        (b"\0" * 8, b"\0" * 30 + b"\xf8\x7f"),
    ],
    ids=["two numbers", "no whole number", "three for an index", "negative", "not a number"],
)  # fmt: skip
def test_what_are_no_statistics_is_i38(database, conn, key, value):
    with conn.statement(writes=True) as statement:
        tree = statement.make_tree(8)
        statement.put(0, tree, labels_payload(tree, b"statistics"))
        statement.put(tree, key, value)
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I38"


def labels_payload(tree, name=b"labels"):
    """docs/format.md, "Labels"."""
    return b"\1\4" + varint(tree) + varint(len(name)) + name + b"\0"


@pytest.mark.parametrize(
    ("key", "value"), [(b"\xff", b"\1"), (b"a\0b", b"\1"), (b"a", b""), (b"a", b"\x80"), (b"a", b"\1\1")]
)
def test_what_is_no_label_is_i37(database, conn, key, value):
    with conn.statement(writes=True) as statement:
        tree = statement.make_tree(0)
        statement.put(0, tree, labels_payload(tree))
        statement.put(tree, b"fine", b"\3")
        statement.put(tree, key, value)
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I37"


def test_labels_without_their_tree_or_with_row_ids_are_i32(database, conn):
    with conn.statement(writes=True) as statement:
        statement.put(0, 77, labels_payload(77))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"
    with conn.statement(writes=True) as statement:
        statement.put(0, 77, None)
        tree = statement.make_tree(8)
        statement.put(0, tree, labels_payload(tree))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"


ANN = b"\x0c\5\0\0\3\3\3ann"                       # a row: the actor ann, no reason, no metadata

TYPO = b"\x0c\5\5\0\3\7\7anntypo"                  # the same, for a reason


def forge_info(conn, infos, actors):
    """Transactions that say `infos`, one each, by key and value, and that enter `actors`."""
    trees = {}
    with conn.statement(writes=True) as statement:
        for name, entries in ((b"transaction info", infos), (b"transactions of actors", actors)):
            if entries is not None:
                trees[name] = statement.make_tree(0)
                statement.put(0, trees[name], labels_payload(trees[name], name))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    for i in range(max(len(infos or ()), len(actors or ()))):
        with conn.statement(writes=True) as statement:
            for name, entries in ((b"transaction info", infos), (b"transactions of actors", actors)):
                if entries is not None and i < len(entries) and entries[i] is not None:
                    statement.put(trees[name], *entries[i])
        conn.commit()


def test_what_is_said_of_transactions_is_checked_in_every_version(database, conn):
    other = ANN.replace(b"ann", b"bob")
    forge_info(conn, [(b"info", ANN), (b"info", other), (b"info", ANN)], [(b"ann", b""), (b"bob", b""), (b"ann", b"1")])
    assert database.check()[0] == []


@pytest.mark.parametrize(
    "broken",
    [(b"info", b""), (b"info", b"\x08\0\0"), (b"info", ANN[:-1]), (b"info", b"\x0c\2\0\0\0\0\0"),
     (b"info", ANN.replace(b"\5", b"\6", 1)), (b"info", ANN.replace(b"ann", b"a\xffn")), (b"inf", ANN)],
    ids=["empty", "two columns", "cut off", "a number", "a blob", "no text", "another key"],
)  # fmt: skip
@pytest.mark.parametrize("last", [True, False])
def test_what_cannot_be_said_of_a_transaction_is_i43(database, conn, broken, last):
    infos = [(b"info", ANN), broken] if last else [broken, (b"info", ANN)]
    actors = [(b"ann", b""), None] if last else [None, (b"ann", b"")]
    forge_info(conn, infos, actors)
    assert [breach[0] for breach in database.check()[0]] == ["I43"]


@pytest.mark.parametrize(
    ("infos", "actors"),
    [([(b"info", ANN)], None), ([(b"info", ANN)], [(b"bob", b"")]), ([(b"info", ANN)], []),
     ([(b"info", ANN), (b"info", TYPO)], [(b"ann", b""), None]),
     ([None, (b"info", ANN)], [(b"ann", b""), (b"ann", b"1")]),
     (None, [(b"ann", b"")])],
    ids=["no tree", "another actor", "nobody", "one missing", "one too many", "nothing said"],
)  # fmt: skip
def test_actors_without_their_transactions_are_i44(database, conn, infos, actors):
    forge_info(conn, infos, actors)
    assert {breach[0] for breach in database.check()[0]} == {"I44"}


@pytest.mark.parametrize("name", [b"transaction info", b"transactions of actors"])
def test_trees_of_transactions_without_their_tree_or_with_row_ids_are_i32(database, conn, name):
    with conn.statement(writes=True) as statement:
        statement.put(0, 77, labels_payload(77, name))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"
    with conn.statement(writes=True) as statement:
        statement.put(0, 77, None)
        tree = statement.make_tree(8)
        statement.put(0, tree, labels_payload(tree, name))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"


def test_a_tree_that_nobody_knows_is_i32(database, conn):
    with conn.statement(writes=True) as statement:
        tree = statement.make_tree(0)
        statement.put(0, tree, labels_payload(tree, b"marks"))
        done(lib.txn_schema_changed(statement.stmt))
    conn.commit()
    assert root_of(database.check()[0])[0] == "I32"


def test_a_lost_page_is_i36(database, conn):
    table, _ = make_table(conn, indexed=False)
    done(lib.test_forge(database.db, 36, table, ffi.NULL, 0))
    invariant, page, sentence = root_of(database.check()[0])
    assert invariant == "I36"
    assert sentence == f"page {page} is neither in use nor free"


def test_a_page_in_use_and_free_is_i36(database, conn):
    table, _ = make_table(conn, indexed=False)
    done(lib.test_forge(database.db, 37, table, ffi.NULL, 0))
    invariant, page, sentence = root_of(database.check()[0])
    assert invariant == "I36"
    assert sentence == f"page {page} is free and current at once"


def test_a_damaged_page_is_named_and_the_check_goes_on(tmp_path, native):
    database = Database(tmp_path / "t.edb")
    conn = database.connect()
    table, index = make_table(conn)
    add_rows(conn, table, index, range(1, 200))
    _, before = database.check()
    page_size, pages = database.stats().page_size, database.stats().pages
    conn.close()
    database.close()
    data = (tmp_path / "t.edb").read_bytes()
    damaged = 0
    for page in range(pages):
        at = page * page_size
        kind, owner = data[at + 4], int.from_bytes(data[at + 24:at + 28], "little")
        if kind not in (1, 2) or owner not in (table, index) or int.from_bytes(data[at + 8:at + 16], "little") != page:
            continue
        copy = bytearray(data)
        copy[at + page_size - 3] ^= 0x10
        (tmp_path / "copy.edb").write_bytes(copy)
        other = Database(tmp_path / "copy.edb", create=False)
        breaches, _ = other.check()
        other.close()
        if breaches:                                # else a free page
            damaged += 1
            assert page in [page for invariant, page, _ in breaches if invariant == "I9"]
            assert {invariant for invariant, _, _ in breaches} <= {"I9", "I36"}     # what is below it is not reached
    assert damaged == before.pages_live + before.pages_history - 1      # the catalog has one
