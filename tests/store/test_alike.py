"""Histories of tags through the ORM, SQL and Database in turn: one database, one answer, at every past moment."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import Database, Tagged, at, driver, tag_values, tagged_expression
from entitydb_dialect.history.moments import Nanoseconds


class Base(DeclarativeBase):
    pass


class Article(Tagged, Base):
    __tablename__ = "article"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str | None] = mapped_column(info={"tag": "status"})


IDS, TAGS, STATES = range(1, 6), ["a", "b:1", "b:2", 'q"&|', "long:" + "x" * 300], [None, "live", "draft"]
EXPRESSIONS = {
    "a": lambda tags: "a" in tags,
    "b:* & !status:live": lambda tags: any(t.startswith("b:") for t in tags) and "status:live" not in tags,
    'status:draft | "q""&|"': lambda tags: bool(tags & {"status:draft", 'q"&|'}),
}
change = st.tuples(
    st.sampled_from(["put", "put", "add", "add", "remove", "delete", "status"]),
    st.sampled_from(IDS),
    st.sampled_from(TAGS),
    st.sampled_from(STATES),
)
ways = st.sampled_from(["orm", "sql", "database"])
transaction = st.tuples(ways, st.lists(change, min_size=1, max_size=5), st.booleans())
State = dict[int, tuple["str | None", set[str]]]  # status and tags given by hand, by id


def by_orm(session: Session, what: str, id_: int, tag: str, status: str | None) -> None:
    article = session.get(Article, id_)
    if what == "put" and article is None:
        session.add(Article(id=id_, status=status, tags={tag}))
    elif what == "put":
        article.status = status
        article.tags.add(tag)
    elif article is None:
        return
    elif what == "delete":
        session.delete(article)
        session.flush()  # get() gives an object that is only marked
    elif what == "status":
        article.status = status
    elif what == "add":
        article.tags.add(tag)
    else:
        article.tags.discard(tag)


def by_sql(session: Session, what: str, id_: int, tag: str, status: str | None) -> None:
    values = {"id": id_, "tag": tag, "status": status}
    give = "INSERT INTO entitydb_tags(type, entity, tag) SELECT 'article', id, :tag FROM article WHERE id = :id"
    sql = {
        "put": [
            "INSERT INTO article VALUES (:id, :status) ON CONFLICT DO UPDATE SET status = excluded.status", give,
        ],
        "add": [give],
        "remove": ["DELETE FROM entitydb_tags WHERE type = 'article' AND entity = :id AND tag = :tag"],
        "delete": ["DELETE FROM article WHERE id = :id"],
        "status": ["UPDATE article SET status = :status WHERE id = :id"],
    }[what]  # fmt: skip
    for statement in sql:
        session.execute(text(statement), values)


def by_database(db: Database, what: str, id_: int, tag: str, status: str | None) -> None:
    if what == "put":
        db.put_many("article", [{"id": id_, "status": status}], tags=[tag])
    elif db.get("article", id_) is None:
        return
    elif what == "delete":
        db.delete_many("article", [id_])
    elif what == "status":
        db.put_many("article", [{"id": id_, "status": status}])
    elif what == "add":
        db.add_tags("article", [id_], [tag])
    else:
        db.remove_tags("article", [id_], [tag])


def in_model(state: State, what: str, id_: int, tag: str, status: str | None) -> None:
    if what == "put":
        state[id_] = status, state.get(id_, (None, set()))[1] | {tag}
    elif id_ not in state:
        return
    elif what == "delete":
        del state[id_]
    elif what == "status":
        state[id_] = status, state[id_][1]
    elif what == "add":
        state[id_] = state[id_][0], state[id_][1] | {tag}
    else:
        state[id_] = state[id_][0], state[id_][1] - {tag}


def tags_of(state: State) -> dict[int, set[str]]:
    return {i: tags | ({f"status:{s}"} if s is not None else set()) for i, (s, tags) in state.items()}


def values_of(expected: dict[int, set[str]], namespace: str) -> dict[str, int]:
    every = sorted(t.partition(":")[2] for tags in expected.values() for t in tags if t.startswith(f"{namespace}:"))
    return {value: len(list(same)) for value, same in itertools.groupby(every)}


def compare(session: Session, db: Database, state: State, moment: int | None) -> None:
    expected = tags_of(state)
    options: Any = {} if moment is None else {"as_of": Nanoseconds(moment)}
    rows = session.execute(text("SELECT entity, tag FROM entitydb_tags"), execution_options=options).all()
    assert sorted(map(tuple, rows)) == sorted((i, t) for i, tags in expected.items() for t in tags)
    for expression, holds in EXPRESSIONS.items():
        ids = sorted(i for i, tags in expected.items() if holds(tags))
        query = select(Article.id).where(tagged_expression(Article, expression)).order_by(Article.id)
        assert list(session.scalars(query, execution_options=options)) == ids
        assert db.by_tag(expression, type="article", as_of=options.get("as_of")) == ids
    for namespace in ("b", "status"):
        assert db.tag_values(namespace, as_of=options.get("as_of")) == values_of(expected, namespace)
    for id_ in IDS:
        assert db.tags("article", id_, as_of=options.get("as_of")) == expected.get(id_, set())


def compare_objects(session: Session, state: State) -> None:
    expected = tags_of(state)
    assert {a.id: set(a.tags) for a in session.scalars(select(Article))} == expected
    assert tag_values(session, "b", Article) == values_of(expected, "b")


@pytest.mark.slow
@given(st.lists(transaction, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_one_history_of_tags_whichever_way_it_is_written_and_read(history: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.edb"
        engine = create_engine(f"entitydb:///{path}")
        Base.metadata.create_all(engine)
        state: State = {}
        past: list[tuple[int, State]] = []
        with Database(path) as db, Session(engine) as session:
            for way, changes, commits in history:
                after = {i: (s, set(tags)) for i, (s, tags) in state.items()}
                if way == "database":
                    with db.transaction():
                        for one in changes:
                            by_database(db, *one)
                            in_model(after, *one)
                    state = after
                else:
                    for one in changes:
                        (by_orm if way == "orm" else by_sql)(session, *one)
                        in_model(after, *one)
                    if commits:
                        session.commit()
                        state = after
                    else:
                        session.rollback()
                compare(session, db, state, None)
                compare_objects(session, state)
                session.rollback()
                past.append((db.connection.database.resolve(2**63 - 1)[1], state))
            for moment, then in past:
                compare(session, db, then, moment)
                with at(session, Nanoseconds(moment)) as of_then:
                    compare_objects(of_then, then)
                session.rollback()
        engine.dispose()
        file = driver.Database(path)
        breaches, _ = file.check()
        file.close()
        assert breaches == []
