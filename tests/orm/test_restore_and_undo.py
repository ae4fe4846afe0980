"""restore() and undo(): objects as they were, and transactions taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Computed, Engine, ForeignKey, Table, create_engine, event, exc, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from entitydb_dialect import (
    Tagged,
    Transaction,
    UndoConflict,
    blame,
    changes,
    commit_moment,
    diff,
    restore,
    transaction,
    undo,
)


class Base(DeclarativeBase):
    pass


labelled = Table(
    "labelled", Base.metadata,
    Column("article_id", ForeignKey("article.id"), primary_key=True),
    Column("word_id", ForeignKey("word.id"), primary_key=True),
)  # fmt: skip


class Article(Tagged, Base):
    __tablename__ = "article"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="draft", info={"tag": "status"})
    shout: Mapped[str] = mapped_column(Computed("upper(title)"))
    comments: Mapped[list[Comment]] = relationship(back_populates="article", cascade="all, delete-orphan")
    words: Mapped[list[Word]] = relationship(secondary=labelled)

    def __init__(self, *, title: str, status: str = "draft") -> None:
        """Takes fewer arguments than there are columns, as classes do."""
        self.title = title
        self.status = status


class Comment(Base):
    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id"))
    article: Mapped[Article] = relationship(back_populates="comments")


class Box(Base):
    """Boxes in boxes, with things in them, which have marks."""

    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str]
    within_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    boxes: Mapped[list[Box]] = relationship(order_by="Box.id", cascade="all, delete-orphan")
    things: Mapped[list[Thing]] = relationship(order_by="Thing.id", cascade="all, delete-orphan")


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    box_id: Mapped[int] = mapped_column(ForeignKey("box.id"))
    mark_id: Mapped[int | None] = mapped_column(ForeignKey("mark.id"))
    mark: Mapped[Mark | None] = relationship()


class Mark(Base):
    __tablename__ = "mark"
    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[str]


class Word(Base):
    __tablename__ = "word"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = create_engine(f"entitydb:///{tmp_path / 'test.edb'}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def then(session: Session) -> int:
    """An article with two comments and two words, changed since in every way; the moment before."""
    article = Article(title="one")
    article.comments = [Comment(body="a"), Comment(body="b")]
    article.words = [Word(text="x"), Word(text="y")]
    session.add(article)
    session.commit()
    moment = commit_moment(session)
    article.title, article.status = "changed", "live"
    session.delete(article.comments[0])
    article.comments[1].body = "edited"
    article.comments.append(Comment(body="late"))
    article.words = [article.words[1], Word(text="z")]
    session.commit()
    return moment


def graph(session: Session) -> Any:
    article = session.get(Article, 1)
    if article is None:
        return None
    comments = sorted((comment.id, comment.body) for comment in article.comments)
    return article.title, article.status, comments, sorted(word.text for word in article.words)


def test_own_columns_alone(session: Session, then: int) -> None:
    steps = restore(session, (Article, 1), to=then)
    session.commit()
    assert [(step.operation, step.changes) for step in steps] == [
        ("update", {"title": ("changed", "one"), "status": ("live", "draft")})
    ]
    assert graph(session) == ("one", "draft", [(2, "edited"), (3, "late")], ["y", "z"])
    assert restore(session, session.get_one(Article, 1), to=then) == []


def test_an_object_graph_as_it_was(session: Session, then: int) -> None:
    restore(session, (Article, 1), to=then, cascade=[Article.comments, "words"])
    session.commit()
    assert graph(session) == ("one", "draft", [(1, "a"), (2, "b")], ["x", "y"])
    assert session.get(Comment, 3) is None  # delete-orphan
    assert session.get(Word, 3) is not None


def boxes(session: Session, colours: bool = True) -> Any:
    """The first box and all in it."""
    def told(box: Box) -> Any:
        things = [(t.name, t.mark.colour if t.mark and colours else None) for t in box.things]
        return box.label, things, [told(one) for one in box.boxes]

    session.expire_all()
    box = session.get(Box, 1)
    return box and told(box)


@pytest.fixture
def packed(session: Session) -> tuple[int, Any]:
    """The moment before all boxes changed, and what they were then."""
    red, blue = Mark(id=1, colour="red"), Mark(id=2, colour="blue")
    inner = Box(id=3, label="inner", things=[Thing(id=3, name="ring", mark=red)])
    middle = Box(id=2, label="middle", boxes=[inner], things=[Thing(id=2, name="cup", mark=blue)])
    outer = Box(id=1, label="outer", boxes=[middle], things=[Thing(id=1, name="hat", mark=red)])
    session.add(outer)
    session.commit()
    before = commit_moment(session), boxes(session)
    outer.label, red.colour, blue.colour = "OUTER", "RED", "BLUE"
    outer.things[0].name = "HAT"
    middle.things[0].mark = None
    middle.things.append(Thing(id=4, name="late"))
    session.delete(inner)
    middle.boxes.remove(inner)
    session.commit()
    return before


def test_a_graph_of_several_levels(session: Session, packed: tuple[int, Any]) -> None:
    """A relationship of a class to itself goes all the way down; others go on from the objects that are met."""
    moment, wanted = packed
    now = boxes(session)
    for cascade, colours in (
        ([Box.boxes, Box.things, Thing.mark], True), ([Thing.mark, Box.things, Box.boxes], True),
        (["boxes", "things"], False),
    ):  # fmt: skip
        plan = restore(session, (Box, 1), to=moment, cascade=cascade, dry_run=True)
        assert boxes(session) == now
        steps = restore(session, (Box, 1), to=moment, cascade=cascade)
        assert {(s.operation, s.model, s.key) for s in plan} == {(s.operation, s.model, s.key) for s in steps}
        assert len(steps) == len({(s.operation, s.model, s.key) for s in steps})
        if colours:
            assert boxes(session) == wanted
        else:
            assert [(s.model, s.operation) for s in steps if s.model is Mark] == []
            session.get_one(Mark, 1).colour, session.get_one(Mark, 2).colour = "red", "blue"
            session.flush()
            assert boxes(session) == wanted
        session.rollback()
        assert boxes(session) == now
    restore(session, (Box, 2), to=moment, cascade=[Box.boxes])
    assert [box.label for box in session.get_one(Box, 2).boxes] == ["inner"]
    assert session.get(Thing, 3) is None
    assert session.get_one(Box, 1).label == "OUTER"
    session.rollback()
    for cascade in ([Thing.mark], [Box.boxes, Article.words], [Mark.colour]):
        with pytest.raises(exc.ArgumentError, match="is not a relationship of Box"):
            restore(session, (Box, 1), to=moment, cascade=cascade)


def test_a_deleted_object_comes_back(session: Session, then: int) -> None:
    session.delete(session.get_one(Article, 1))
    session.commit()
    steps = restore(session, (Article, 1), to=then, cascade=[Article.comments, Article.words])
    assert [step.operation for step in steps] == ["insert", "insert", "insert"]
    session.commit()
    session.expire_all()
    assert graph(session) == ("one", "draft", [(1, "a"), (2, "b")], ["x", "y"])
    assert session.get_one(Article, 1).shout == "ONE"


def test_a_dry_run_changes_nothing_and_tells_what_would_be_done(session: Session, then: int) -> None:
    before = graph(session)
    plan = restore(session, (Article, 1), to=then, cascade=[Article.comments, Article.words], dry_run=True)
    assert not session.dirty
    assert not session.new
    assert not session.deleted
    assert graph(session) == before
    done = restore(session, (Article, 1), to=then, cascade=[Article.comments, Article.words])
    assert [step[:4] for step in plan] == [step[:4] for step in done]
    assert sorted((step.operation, step.model.__name__, step.key) for step in plan) == [
        ("insert", "Comment", (1,)), ("remove", "Comment", (3,)), ("remove", "Word", (3,)),
        ("update", "Article", (1,)), ("update", "Comment", (2,)),
    ]  # fmt: skip


def test_restore_over_a_unique_conflict_does_nothing(session: Session, then: int) -> None:
    session.add(Article(title="one"))
    session.commit()
    before = graph(session)
    with pytest.raises(exc.IntegrityError, match="UNIQUE"):
        restore(session, (Article, 1), to=then, cascade=[Article.comments])
    session.commit()
    session.expire_all()
    assert graph(session) == before


def test_restore_refuses_bad_input(session: Session, then: int) -> None:
    for target, options in [
        (Article, {}),
        (5, {}),
        ((Article, (1, 2)), {}),
        ((Article, 1), {"cascade": ["title"]}),
        ((Article, 1), {"cascade": [Comment.article]}),
        ((Article, 1), {"to": 1_700_000_000}),
    ]:
        with pytest.raises(exc.ArgumentError):
            restore(session, target, **{"to": then, **options})
    with pytest.raises(exc.OperationalError, match="first commit"):
        restore(session, (Article, 1), to="1999-01-01")


def test_what_is_not_there_is_another_error_than_bad_input(session: Session, then: int) -> None:
    with pytest.raises(exc.NoResultFound, match="was not there"):
        restore(session, (Article, 77), to=then)
    with pytest.raises(exc.NoResultFound, match="was not there"):
        restore(session, (Article, 77), to=then, dry_run=True)
    with pytest.raises(exc.NoResultFound, match="not there"):
        blame(session, (Article, 77))
    assert not issubclass(exc.NoResultFound, exc.ArgumentError)


# ---- undo ----


def last(session: Session) -> int:
    return list(changes(session))[-1].transaction_id


def test_undo_of_a_transaction_of_every_kind_of_change(session: Session, then: int) -> None:
    undo(session, last(session))
    session.commit()
    assert graph(session) == ("one", "draft", [(1, "a"), (2, "b")], ["x", "y"])
    assert session.get(Word, 3) is None
    assert diff(session, None, then, commit_moment(session)) == []


def test_undo_of_tags(session: Session, then: int) -> None:
    article = session.get_one(Article, 1)
    article.tags |= {"topic:a", "topic:b"}
    session.commit()
    first = last(session)
    article.tags.discard("topic:a")
    session.delete(session.get_one(Comment, 3))
    session.commit()
    undo(session, last(session))
    session.commit()
    assert set(article.tags) == {"status:live", "topic:a", "topic:b"}
    undo(session, first)
    session.commit()
    assert set(article.tags) == {"status:live"}


def test_undo_is_refused_with_the_later_writers(session: Session, then: int) -> None:
    number = last(session)
    session.get_one(Comment, 2).body = "again"
    session.commit()
    with pytest.raises(UndoConflict, match=f"transaction {number + 1} \\(update of comment 2\\)") as caught:
        undo(session, number)
    assert [(one.transaction_id, one.table, one.entity) for one in caught.value.writers] == [(number + 1, "comment", 2)]
    before = graph(session)
    session.commit()
    assert graph(session) == before


def test_other_columns_of_a_row_do_not_conflict(session: Session, then: int) -> None:
    article = session.get_one(Article, 1)
    article.title = "second"
    session.commit()
    number = last(session)
    article.status = "gone"
    session.commit()
    undo(session, number)
    session.commit()
    assert (article.title, article.status) == ("changed", "gone")


def test_undo_refuses_what_the_running_transaction_has_changed(session: Session, then: int) -> None:
    session.get_one(Comment, 2).body = "pending"
    with pytest.raises(UndoConflict, match="not been committed"):
        undo(session, last(session))


def test_undo_of_what_a_foreign_key_needs_is_refused(session: Session) -> None:
    session.add(Article(title="parent"))
    session.commit()
    number = last(session)
    session.add(Comment(body="child", article_id=1))
    session.commit()
    undo(session, number)
    with pytest.raises(exc.IntegrityError, match="FOREIGN KEY"):
        session.commit()
    session.rollback()
    assert session.get_one(Article, 1).title == "parent"


def test_undo_takes_what_names_a_transaction(session: Session, then: int) -> None:
    """Its number, the object of it that a history gives, and its name as a moment."""
    article = session.scalars(select(Article).order_by(Article.id)).first()
    assert article is not None
    was = article.title
    for name in (int, lambda number: session.get_one(Transaction, number), transaction):
        article.title = "undone at once"
        session.commit()
        undo(session, name(last(session)))
        session.commit()
        assert article.title == was
    for number in ("transaction:", "transaction:x", "label:1"):
        with pytest.raises(exc.ArgumentError, match="not the number of a transaction"):
            undo(session, number)


def test_undo_of_an_unknown_transaction(session: Session, then: int) -> None:
    for number in (0, -1, 10_000):
        with pytest.raises(exc.NoResultFound, match="no transaction"):
            undo(session, number)
    for other in ("5", None, True):
        with pytest.raises(exc.ArgumentError, match="not the number of a transaction"):
            undo(session, other)  # type: ignore[arg-type]
    with pytest.raises(exc.NoResultFound, match="nothing to undo"):
        undo(session, 1)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"entitydb:///{tmp_path / 'plain.edb'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY, x, y)")
        connection.exec_driver_sql("CREATE TABLE b (name TEXT PRIMARY KEY, rowid BLOB, z GENERATED ALWAYS AS (rowid))")
    yield engine
    engine.dispose()


@pytest.mark.slow
def test_undoing_random_transactions_from_the_last_on_gives_every_state_back(plain: Engine, rng: random.Random) -> None:
    states: list[tuple[int, Any]] = []

    def state(session: Session) -> Any:
        return [session.execute(text(f"SELECT * FROM {table} ORDER BY 1")).all() for table in "ab"]

    with Session(plain) as session:
        for _ in range(30):
            before = state(session)
            for _ in range(rng.choice([1, 3])):
                key, value = rng.randrange(6), rng.choice([None, 1, 2.5, "t", b"\\x00"])
                session.execute(text(rng.choice([
                    "INSERT INTO a VALUES (:k, :v, 1) ON CONFLICT DO UPDATE SET x = :v",
                    "UPDATE a SET y = :v WHERE id >= :k",
                    "DELETE FROM a WHERE id = :k",
                    "INSERT OR REPLACE INTO b(name, rowid) VALUES ('n' || :k, :v)",
                    "DELETE FROM b WHERE name > 'n' || :k OR :v IS NULL",
                    "UPDATE OR IGNORE a SET id = id + 10 WHERE id = :k AND :v IS NOT NULL",
                ])), {"k": key, "v": value})  # fmt: skip
            if state(session) != before:
                session.commit()
                states.append((last(session), before))
            else:
                session.rollback()  # a row may have another row id
        for number, before in reversed(states):
            undo(session, number)
            assert state(session) == before
            session.commit()


SEAT = (
    "CREATE TABLE seat (id {}, place INTEGER NOT NULL UNIQUE, name TEXT UNIQUE COLLATE NOCASE, a BLOB, b REAL NOT NULL,"
    " UNIQUE (a, b))"
)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
def test_rows_that_exchanged_unique_values_exchange_them_back(plain: Engine, rng: random.Random, key: str) -> None:
    """Two or more, in circles and in rows, in columns of several types and in a key of two columns."""
    def seats(session: Session) -> list[Any]:
        return list(session.execute(text("SELECT * FROM seat ORDER BY id")).all())

    with Session(plain) as session:
        session.execute(text(SEAT.format(key)))
        for n in range(9):
            values = {"n": n, "name": f"n{n}", "a": bytes([n // 3]), "b": n % 3 + 0.5}
            session.execute(text("INSERT INTO seat VALUES (:n, :n, :name, :a, :b)"), values)
        session.commit()
        states = []
        for _ in range(20):
            before = seats(session)
            ids = rng.sample(range(9), rng.randrange(2, 7))
            names = rng.choice((["place"], ["name"], ["a", "b"], ["place", "name", "a", "b"]))
            held = {n: before[n]._mapping for n in ids}
            for n, other in [*((n, None) for n in ids), *zip(ids, rng.sample(ids, len(ids)), strict=True)]:
                free = {"place": -n - 1, "name": f"free {n}", "a": b"free", "b": n}
                new = free if other is None else held[other]
                sets = ", ".join(f"{name} = :{name}" for name in names)
                session.execute(text(f"UPDATE seat SET {sets} WHERE id = :id"), {**new, "id": n})
            if seats(session) != before:
                session.commit()
                states.append((last(session), before))
        for number, before in reversed(states):
            assert {change.operation for change in undo(session, number)} == {"update"}
            assert seats(session) == before
            session.commit()
        session.execute(text("UPDATE seat SET place = 100 WHERE id = 3"))
        session.commit()
        moved = last(session)
        session.execute(text("UPDATE seat SET place = 3 WHERE id = 4"))  # taken by a row that is not to be undone
        session.commit()
        now = seats(session)
        with pytest.raises(exc.IntegrityError, match=r"UNIQUE constraint failed: seat\.place"):
            undo(session, moved)
        assert seats(session) == now


@pytest.mark.slow
@pytest.mark.parametrize("moved", ["pairs", "around", "up", "down"])
def test_undoing_moves_of_unique_values_takes_few_statements(plain: Engine, moved: str) -> None:
    """In proportion to the rows. Where no row has to give up its value for another one, a CHECK allows only few."""
    n = 300
    to = {"pairs": lambda i: i ^ 1, "around": lambda i: (i + 1) % n, "up": lambda i: i + 1, "down": lambda i: i - 1}
    check = "" if moved in ("pairs", "around") else f"CHECK (place BETWEEN 0 AND {4 * n})"
    with Session(plain) as session:
        session.execute(text(f"CREATE TABLE spot (id INTEGER PRIMARY KEY, place INTEGER UNIQUE {check})"))
        rows = [{"id": i, "place": 1 + i, "free": 2 * n + i, "to": 1 + to[moved](i)} for i in range(n)]
        session.execute(text("INSERT INTO spot VALUES (:id, :place)"), rows)
        session.commit()
        session.execute(text("UPDATE spot SET place = :free WHERE id = :id"), rows)
        session.execute(text("UPDATE spot SET place = :to WHERE id = :id"), rows)
        session.commit()
        said: list[str] = []
        event.listen(plain, "before_cursor_execute", lambda *args: said.append(args[2]))
        undo(session, last(session))
        assert len([sql for sql in said if sql.startswith("UPDATE")]) <= 4 * n
        places = session.execute(text("SELECT place FROM spot ORDER BY id")).scalars().all()
        assert places == [row["place"] for row in rows]


def test_undo_needs_a_session(plain: Engine) -> None:
    with pytest.raises(exc.ArgumentError, match="Session"):
        undo(plain, 1)  # type: ignore[arg-type]
    assert select(Article) is not None
