"""Forged files in which what is said of transactions breaks I43 or I44, and `check` names it.

As in test_forged.py, what is forged has whole checksums all the way up, and what reads and writes the file meanwhile
gets rows or an error and does not crash. What is broken in older versions is in tests/engine/upkeep/test_check.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import Forger
from .test_forged_tags import add, change, put_in_chain, row, survived

Forge = Callable[[Forger], None]
FORGERIES: list[tuple[str, str, Forge]] = []
INFO, ACTORS = "transaction info", "transactions of actors"
ANN = b"\x0c\5\0\0\3\3\3ann"  # a row: the actor ann, no reason, no metadata
ALL = "SELECT * FROM entitydb_transactions"
QUERIES = (
    ALL, f"{ALL} WHERE id = 5", f"{ALL} WHERE actor = 'ann'", f"{ALL} WHERE actor = 'bob' ORDER BY id DESC",
    "SELECT id, label FROM entitydb_transactions", "SELECT count(*) FROM entitydb_transactions",
)  # fmt: skip
WRITES = ("INSERT INTO t(v) VALUES ('more')", "CREATE TABLE more(a)", "UPDATE t SET v = 'changed'")


def breaks(invariant: str, said: str) -> Callable[[Forge], Forge]:
    """Marks a function that forges, with what check says of it."""
    def add(forge: Forge) -> Forge:
        FORGERIES.append((invariant, said, forge))
        return forge
    return add


def make(path: Path) -> None:
    """Commit 1 says nothing, 2 and 4 are ann's, 3 and 5 bob's, 6 is ann's."""
    db = driver.connect(path, page_size=1024, synchronous="normal")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.commit()
    for actor in ("ann", "bob", "ann", "bob", "ann"):
        db.execute("INSERT INTO t(v) VALUES (?)", ("v" * 900,))
        db.execute("UPDATE t SET v = v || 'x'")
        db.execute("SELECT entitydb_label('of ' || ?)", (actor,))
        db.execute("SELECT entitydb_transaction_info(?)", (json.dumps({"actor": actor, "reason": "r", "n": 1}),))
        db.commit()
    db.close()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, native: Any) -> bytes:
    path = tmp_path_factory.mktemp("said") / "said.edb"
    make(path)
    return path.read_bytes()


def tree_id(f: Forger, name: str) -> int:
    tree = f.file.tree_named(name)
    assert tree is not None
    return tree.id


@breaks("I43", "transaction 6 cannot be read")
def nothing_is_said(f: Forger) -> None:
    change(f, tree_id(f, INFO), b"info", b"")


@breaks("I43", "transaction 6 cannot be read")
def what_is_said_ends_early(f: Forger) -> None:
    change(f, tree_id(f, INFO), b"info", ANN[:-1])


@breaks("I43", "transaction 6 cannot be read")
def a_number_is_said(f: Forger) -> None:
    change(f, tree_id(f, INFO), b"info", b"\x0c\5\2\0\3\3\3ann")


@breaks("I43", "transaction 6 cannot be read")
def what_is_said_is_not_utf8(f: Forger) -> None:
    change(f, tree_id(f, INFO), b"info", ANN.replace(b"ann", b"a\xffn"))


@breaks("I43", "under another key")
def something_is_said_under_another_key(f: Forger) -> None:
    add(f, tree_id(f, INFO), b"more", ANN)


@breaks("I44", "transaction 6 is not among those of its actor")
def an_actor_has_no_transactions(f: Forger) -> None:
    change(f, tree_id(f, ACTORS), b"ann", None)


@breaks("I44", "stand under actors")
def an_actor_has_a_transaction_that_is_not_said_to_be_his(f: Forger) -> None:
    add(f, tree_id(f, ACTORS), b"eve")


@breaks("I44", "transaction 6 is not among those of its actor")
def another_is_said_to_have_made_it(f: Forger) -> None:
    change(f, tree_id(f, INFO), b"info", ANN.replace(b"ann", b"eve"))


@breaks("I44", "is not among those of its actor")
def the_tree_of_actors_is_not_in_the_catalog(f: Forger) -> None:
    change(f, 0, row(tree_id(f, ACTORS)), None)


def asked(ask: Any, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = ask(path, moments=[], queries=QUERIES, writes=WRITES)
    survived(found)
    return found


def test_the_file_is_sound_before_it_is_forged(said: bytes, ask: Any, tmp_path: Path) -> None:
    (tmp_path / "t.edb").write_bytes(Forger(said).sealed())
    answer = asked(ask, tmp_path / "t.edb")
    assert answer["check"] == []
    assert all(isinstance(result, list) for result in [*answer["rows"][0], *answer["writes"]])


@pytest.mark.parametrize(("invariant", "sentence", "forge"), FORGERIES, ids=[f[2].__name__ for f in FORGERIES])
def test_what_is_forged_is_named(
    said: bytes, ask: Any, tmp_path: Path, invariant: str, sentence: str, forge: Forge
) -> None:
    f = Forger(said)
    forge(f)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    answer = asked(ask, tmp_path / "t.edb")
    assert {found for found, _, _ in answer["check"]} == {invariant}, answer["check"]
    assert any(sentence in told for _, _, told in answer["check"]), answer["check"]


def test_what_cannot_be_read_is_damage_to_who_asks_for_it_alone(said: bytes, ask: Any, tmp_path: Path) -> None:
    f = Forger(said)
    nothing_is_said(f)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    queries = [f"{ALL} WHERE id = 6", f"{ALL} WHERE id = 5", "SELECT count(*) FROM entitydb_transactions"]
    answer = ask(tmp_path / "t.edb", moments=[], queries=queries)
    bad, good, count = answer["rows"][0]
    assert bad["error"][0] == "DamageError"
    assert good[0][2:5] == ["bob", "r", '{"n":1}']
    assert count == [[6]]


def test_what_stands_in_a_chain_is_read_from_there(said: bytes, ask: Any, tmp_path: Path) -> None:
    f = Forger(said)
    put_in_chain(f, tree_id(f, INFO), b"info", ANN)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    answer = ask(tmp_path / "t.edb", moments=[], queries=[f"{ALL} WHERE id = 6"])
    assert answer["check"] == []
    assert answer["rows"][0][0][0][2:5] == ["ann", None, None]


@pytest.mark.slow
@pytest.mark.parametrize("key", [b"", b"\0", b"\xff", b"inf", b"infos", bytes(100), b"\xff" * 88])
@pytest.mark.parametrize("tree", [INFO, ACTORS])
def test_keys_of_any_kind_are_rows_or_damage(said: bytes, ask: Any, tmp_path: Path, tree: str, key: bytes) -> None:
    f = Forger(said)
    add(f, tree_id(f, tree), key, ANN)
    (tmp_path / "t.edb").write_bytes(f.sealed())
    assert asked(ask, tmp_path / "t.edb")["check"]
