"""Columns of models without history: info={"versioned": False}. tests/engine/upkeep has the random ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, func, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import (
    Database,
    TemporalSession,
    at,
    blame,
    changes,
    check,
    commit_moment,
    diff,
    history,
    pack,
    previous,
    restore,
    temporal,
    transaction,
    undo,
    verify,
    versions,
)


class Base(DeclarativeBase):
    pass


class Page(Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    views: Mapped[int] = mapped_column(default=0, info={"versioned": False})
    seen: Mapped[str | None] = mapped_column(info={"versioned": False})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"entitydb:///{tmp_path / 'a.edb'}?packing=off")
    Base.metadata.create_all(made)
    yield made
    assert not check(made)
    verify(made).require()
    made.dispose()


def viewed(engine: Engine, times: int) -> list[int]:
    """One transaction for each view; their moments."""
    found = []
    for time in range(times):
        with Session(engine) as session:
            session.get_one(Page, 1).views += 1
            session.get_one(Page, 1).seen = f"t{time}"
            session.commit()
            found.append(commit_moment(session))
    return found


def titled(engine: Engine, title: str) -> int:
    with Session(engine) as session:
        page = session.get(Page, 1)
        if page is None:
            session.add(Page(id=1, title=title, seen="first"))
        else:
            page.title = title
        session.commit()
        return commit_moment(session)


def test_every_way_to_read_the_past_gives_null_and_now_is_as_it_is(engine: Engine) -> None:
    made = titled(engine, "a")
    moments = [made, *viewed(engine, 3)]
    for moment in moments:
        with at(engine, moment) as past:
            page = past.get(Page, 1)
            assert (page.title, page.views, page.seen) == ("a", None, None)
            assert past.scalars(select(Page).where(Page.views > 0)).all() == []
            assert past.scalars(select(Page.id).where(Page.views.is_(None))).all() == [1]
            assert past.execute(select(func.count(Page.views), func.max(Page.seen))).one() == (0, None)
        with Session(engine) as session:
            then = temporal(Page, as_of=moment)
            assert session.execute(select(then.views, Page.views).join(Page, Page.id == then.id)).one() == (None, 3)
        with TemporalSession(engine) as session:
            assert (session.get(Page, 1, as_of=moment).views, session.get(Page, 1).views) == (None, 3)
        with engine.connect() as connection:
            sql = text(f"SELECT views, seen FROM page FOR SYSTEM_TIME AS OF {moment}")
            assert connection.execute(sql).one() == (None, None)
            sql = text("SELECT views FROM page")
            assert connection.execute(sql, execution_options={"as_of": moment}).scalar() is None
            told = connection.execute(text("SELECT content FROM entitydb_entities(:m)"), {"m": moment}).scalar_one()
            assert told == '{"id":1,"title":"a","views":null,"seen":null}'
            told = connection.execute(text("SELECT content FROM entitydb_entities")).scalar_one()
            assert told == '{"id":1,"title":"a","views":3,"seen":"t2"}'


def test_what_differs_in_such_columns_alone_is_one_version(engine: Engine) -> None:
    first = titled(engine, "a")
    viewed(engine, 4)
    second = titled(engine, "b")
    viewed(engine, 4)
    with Session(engine) as session:
        told = list(history(session, (Page, 1)))
        assert [(e.operation, e.valid_from, e.valid_to) for e in told] == [
            ("insert", first, second), ("update", second, None),
        ]  # fmt: skip
        assert [e.changed for e in told] == [{"id": (None, 1), "title": (None, "a")}, {"title": ("a", "b")}]
        assert [e.object.views for e in told] == [None, None]
        assert {name: b.valid_from for name, b in blame(session, (Page, 1)).items()} == {"id": first, "title": second}
        before = previous(session.get(Page, 1))
        assert before is not None
        assert (before.title, before.views) == ("a", None)
        v = versions(Page)
        spans = session.execute(select(v.valid_from, v.valid_to, v.entity).order_by(v.valid_from)).all()
        assert [(low, high, page.title) for low, high, page in spans] == [(first, second, "a"), (second, None, "b")]
        between = session.scalars(select(temporal(Page).between(second + 1, second + 2))).all()
        assert [(page.title, page.views) for page in between] == [("b", None)]
        assert [(c.operation, c.changed.keys()) for c in changes(session) if c.table == "page"][1:] == [
            ("update", {"title"})
        ]
        assert [row.changed for row in diff(session, Page, first, commit_moment(engine))] == [{"title": ("a", "b")}]
        assert diff(session, Page, second, commit_moment(engine)) == []
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT valid_from, valid_to FROM entitydb_versions ORDER BY 1")).all()
        assert rows == [(first, second), (second, None)]
        life = connection.execute(text("SELECT created_at, updated_at, versions FROM entitydb_entities")).one()
        assert life == (first, second, 2)


def test_a_deletion_ends_the_version_and_a_return_begins_another(engine: Engine) -> None:
    first = titled(engine, "a")
    viewed(engine, 2)
    with Session(engine) as session:
        session.delete(session.get_one(Page, 1))
        session.commit()
        gone = commit_moment(session)
    again = titled(engine, "a")
    viewed(engine, 2)
    with Session(engine) as session:
        told = [(e.operation, e.valid_from, e.valid_to) for e in history(session, (Page, 1))]
    assert told == [("insert", first, gone), ("delete", gone, gone), ("insert", again, None)]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_sees_the_values_of_its_snapshot_whatever_is_packed(engine: Engine, level: Any) -> None:
    with Session(engine) as session:
        session.add_all(Page(id=i, title="x" * 200, views=0, seen="s" * 100) for i in range(1, 200))
        session.commit()
    reader = engine.connect().execution_options(isolation_level=level)
    sql = text("SELECT id, views, seen FROM page ORDER BY id")
    before = reader.execute(sql).all()
    for n in range(40):
        with engine.begin() as connection:
            connection.execute(update(Page).values(views=Page.views + 1, seen=str(n)))
        if n % 10 == 0:
            pack(engine)
    pack(engine)
    assert reader.execute(sql).all() == before
    reader.close()
    assert pack(engine).pages > 0
    with engine.connect() as connection:
        assert set(connection.execute(text("SELECT views, seen FROM page")).all()) == {(40, "39")}


def test_counters_conflict_as_any_column_does(engine: Engine) -> None:
    titled(engine, "a")
    with Session(engine) as one, Session(engine) as other:
        one.get_one(Page, 1).views += 1
        other.get_one(Page, 1).views += 1
        one.commit()
        with pytest.raises(exc.OperationalError, match="transaction"):
            other.commit()


def test_restore_and_undo_leave_them_as_they_are(engine: Engine) -> None:
    first = titled(engine, "a")
    viewed(engine, 3)
    titled(engine, "b")
    with Session(engine) as session:
        renamed = list(changes(session))[-1].transaction_id
        viewed(engine, 1)
        assert [s.changes for s in restore(session, (Page, 1), to=first, dry_run=True)] == [{"title": ("b", "a")}]
        restore(session, (Page, 1), to=first)
        session.commit()
        page = session.get_one(Page, 1)
        assert (page.title, page.views, page.seen) == ("a", 4, "t0")
        undo(session, list(changes(session))[-1].transaction_id)
        undo(session, renamed)
        session.commit()
        assert (page.title, page.views) == ("a", 4)
        session.delete(page)
        session.commit()
        restore(session, (Page, 1), to=first)
        session.commit()
        assert (session.get_one(Page, 1).views, session.get_one(Page, 1).seen) == (0, None)
    with Session(engine) as session:
        session.execute(text("UPDATE page SET views = 7"))
        session.commit()
        made = [c.transaction_id for c in changes(session) if c.operation == "insert"][-1]
        undo(session, transaction(made))  # what was counted since is no conflict
        session.commit()
        assert session.get(Page, 1) is None


def test_what_transactions_count_is_not_among_their_changes(engine: Engine) -> None:
    titled(engine, "a")
    viewed(engine, 1)
    with engine.connect() as connection:
        sql = text("SELECT rows_changed FROM entitydb_transactions ORDER BY id DESC LIMIT 2")
        assert connection.execute(sql).scalars().all() == [0, 1]


def test_a_database_object_reads_the_past_without_them(tmp_path: Path) -> None:
    with Database(tmp_path / "a.edb") as db:
        db.execute("CREATE TABLE page(id INTEGER PRIMARY KEY, title TEXT, views INTEGER UNVERSIONED)")
        (made,) = db.put_many("page", [{"title": "a", "views": 1}])
        moment = db.execute("SELECT max(committed_at) FROM entitydb_transactions")[0][0]
        for views in range(2, 5):
            db.execute("UPDATE page SET views = ?", (views,))
        assert db.get_many("page", [made]) == [{"id": made, "title": "a", "views": 4}]
        assert db.get_many("page", [made], as_of=moment) == [{"id": made, "title": "a", "views": None}]
        assert db.get_many("page", [made], as_of=moment, columns=["views"], tuples=True) == [(None,)]
        assert len(db.history("page", made)) == 1
