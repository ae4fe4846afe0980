"""history(), blame(), previous() and next_version() of every kind of object."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, event, exc, insert, select, update
from sqlalchemy.orm import Session

from entitydb_dialect import (
    PastWriteError,
    TemporalSession,
    Transaction,
    at,
    blame,
    commit_moment,
    history,
    next_version,
    previous,
    temporal,
    transaction_info,
)  # fmt: skip

from .conftest import made
from .models import Base, Label, Product, Review, Size


@pytest.fixture
def engine() -> Any:
    yield from made(Base.metadata)


def changed_by_everything(engine: Engine) -> list[int]:
    """A product's life, by every kind of write; the moments of its commits."""
    moments = []
    with Session(engine) as session:

        def commit(**info: Any) -> None:
            with transaction_info(**info):
                session.commit()
            moments.append(commit_moment(session))

        session.add(Product(id=1, title="lamp", price=10, size=Size(1, 2)))
        commit(actor="ann", reason="new")
        session.execute(update(Product).values(price=Product.price + 1))
        commit(actor="bob")
        session.get_one(Product, 1, populate_existing=True).title = "LAMP"
        commit(actor="ann", reason="louder")
        session.execute(delete(Product))
        commit(actor="eve")
        session.expunge_all()
        session.execute(insert(Product), [{"id": 1, "title": "back", "price": 1}])
        commit()
    return moments


def test_bulk_and_core_writes_are_in_the_history_and_who_made_them(engine: Engine) -> None:
    moments = changed_by_everything(engine)
    with Session(engine) as session:
        entries = list(history(session, (Product, 1)))
    assert [(e.operation, e.valid_from, e.valid_to) for e in entries] == [
        ("insert", moments[0], moments[1]), ("update", moments[1], moments[2]), ("update", moments[2], moments[3]),
        ("delete", moments[3], moments[3]), ("insert", moments[4], None),
    ]  # fmt: skip
    assert [(e.object.title, e.object.price) for e in entries] == [
        ("lamp", 10), ("lamp", 11), ("LAMP", 11), ("LAMP", 11), ("back", 1)
    ]  # fmt: skip
    assert [e.changed for e in entries[1:3]] == [{"price": (10, 11)}, {"title": ("lamp", "LAMP")}]
    assert entries[3].changed["title"] == ("LAMP", None)
    assert entries[4].changed["title"] == (None, "back")
    assert [(e.transaction.actor, e.transaction.reason) for e in entries] == [
        ("ann", "new"), ("bob", None), ("ann", "louder"), ("eve", None), (None, None)
    ]  # fmt: skip
    assert [e.transaction.committed_at for e in entries] == moments


@pytest.mark.slow
def test_it_is_one_query_read_as_it_goes(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Product(id=1, title="x", price=0))
        session.commit()
        for n in range(300):
            session.execute(update(Product).values(price=n + 1))
            session.commit()
        said: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
        entries = history(session, (Product, 1))
        first = next(entries)
        assert first.object.price == 0
        assert [entry.object.price for entry in entries] == list(range(1, 301))
        assert len([sql for sql in said if sql.startswith("SELECT")]) == 1


def test_nothing_is_read_before_the_first_entry_is_asked_for(engine: Engine) -> None:
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    with Session(engine) as session:
        entries = history(session, (Product, 1))
        assert said == []
        with pytest.raises(exc.NoResultFound, match="never there"):
            next(entries)
    assert said


def test_entries_tell_the_same_when_the_session_is_closed(engine: Engine) -> None:
    changed_by_everything(engine)
    with Session(engine) as session:
        entries = list(history(session, (Product, 1)))
    told = [(e.transaction.actor, e.transaction.reason, e.transaction.metadata, e.changed) for e in entries[:3]]
    assert told[1:] == [("bob", None, {}, {"price": (10, 11)}), ("ann", "louder", {}, {"title": ("lamp", "LAMP")})]
    assert told[0][:3] == ("ann", "new", {})


def test_metadata_are_read_as_the_engine_reads_json() -> None:
    engine = create_engine("entitydb://", json_deserializer=lambda text: {"text": text})
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Product(id=1, title="lamp", price=10))
        with transaction_info(ticket=7):
            session.commit()
        (entry,) = history(session, (Product, 1))
        assert entry.transaction.metadata == {"text": '{"ticket":7}'}
        session.expunge_all()
        assert session.get_one(Transaction, entry.transaction_id).metadata == {"text": '{"ticket":7}'}
    engine.dispose()


def test_a_time_is_cut_out_with_what_changed_at_its_begin(engine: Engine) -> None:
    moments = changed_by_everything(engine)
    with Session(engine) as session:
        whole = list(history(session, (Product, 1)))
        for low in range(5):
            for high in range(low, 5):
                found = list(history(session, (Product, 1), since=moments[low], until=moments[high]))
                assert found == whole[low : high + 1]


def test_a_past_session_tells_the_history_as_it_was_then(engine: Engine) -> None:
    moments = changed_by_everything(engine)
    with Session(engine) as session:
        for source in (engine, session):
            with at(source, moments[2]) as past:
                entries = list(history(past, (Product, 1)))
                assert [(e.valid_from, e.valid_to) for e in entries] == [
                    (moments[0], moments[1]), (moments[1], moments[2]), (moments[2], None)
                ]  # fmt: skip
                assert [(e.transaction.actor, e.transaction.reason) for e in entries] == [
                    ("ann", "new"), ("bob", None), ("ann", "louder")
                ]  # fmt: skip
                assert blame(past, (Product, 1))["price"].transaction.actor == "bob"


def test_the_history_of_a_key_that_never_was_is_an_error(engine: Engine) -> None:
    """An empty trail would look like an object that nobody has changed. A time of which nothing is told is none."""
    with Session(engine) as session:
        session.add(Product(id=1, title="lamp", price=1))
        session.commit()
        moment = commit_moment(session)
        session.delete(session.get_one(Product, 1))
        session.commit()
        assert [entry.operation for entry in history(session, (Product, 1))] == ["insert", "delete"]
        with pytest.raises(exc.NoResultFound, match=r"Product 99 was never there.*select\(\), or since="):
            list(history(session, (Product, 99)))
        assert list(history(session, (Product, 99), until=moment)) == []
        assert list(history(session, select(Product).where(Product.id == 99))) == []
        new = Product(id=2, title="not committed", price=1)
        session.add(new)
        session.flush()
        assert list(history(session, new)) == []


def test_several_objects_and_a_select(engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([Product(id=n, title="abc"[n], price=n) for n in range(3)])
        session.commit()
        session.execute(update(Product).where(Product.id != 1).values(price=9))
        session.commit()
        expected = [((0,), 0), ((0,), 9), ((1,), 1), ((2,), 2), ((2,), 9)]
        assert [(e.key, e.object.price) for e in history(session, Product)] == expected
        found = history(session, select(Product).where(Product.price == 9))
        assert [(e.key, e.object.price) for e in found] == [row for row in expected if row[0] != (1,)]


def test_past_objects_in_it_lead_to_their_moment_and_refuse_changes(engine: Engine) -> None:
    with Session(engine) as session:
        lamp = Product(id=1, title="lamp", price=1, labels=[Label(id=1, text="new")], reviews=[Review(id=1, stars=5)])
        session.add(lamp)
        session.commit()
        lamp.price, lamp.labels, lamp.reviews[0].stars = 2, [], 1
        session.commit()
        lamp.price = 3
        session.commit()
        first, second, third = (entry.object for entry in history(session, lamp))
        assert [[label.text for label in past.labels] for past in (first, second, third)] == [["new"], [], []]
        assert [past.reviews[0].stars for past in (first, second, third)] == [5, 1, 1]
        first.price = 7
        with pytest.raises(PastWriteError):
            session.flush()
        session.rollback()


def test_blame(engine: Engine) -> None:
    moments = changed_by_everything(engine)
    with Session(engine) as session:
        found = blame(session, (Product, 1))
        assert {found[name].valid_from for name in ("title", "price")} == {moments[4]}
        with at(session, moments[2]) as past:
            assert past.get_one(Product, 1).title == "LAMP"
        before = session.scalars(select(temporal(Product, as_of=moments[2]))).one()
        found = blame(session, before)
        assert {name: (found[name].value, found[name].transaction.actor) for name in ("id", "title", "price")} == {
            "id": (1, "ann"), "title": ("LAMP", "ann"), "price": (11, "bob"),
        }  # fmt: skip
        assert found["title"].transaction.reason == "louder"
        with pytest.raises(exc.NoResultFound, match="not there"):
            blame(session, (Product, 99))


def test_neighbours(engine: Engine) -> None:
    moments = changed_by_everything(engine)
    with Session(engine) as session:
        present = session.get_one(Product, 1)
        walk, back = [], previous(present)
        while back is not None:
            walk.append((back.title, back.price))
            back = previous(back)
        assert walk == [("LAMP", 11), ("lamp", 11), ("lamp", 10)]
        forth = session.scalars(select(temporal(Product, as_of=moments[0]))).one()
        walk = []
        while (forth := next_version(forth)) is not None:
            walk.append((forth.title, forth.price))
        assert walk == [("lamp", 11), ("LAMP", 11), ("back", 1)]
        assert next_version(present) is None
        for bad in (Product(id=5), 7):
            with pytest.raises(exc.ArgumentError, match="not in a Session"):
                previous(bad)


@pytest.mark.parametrize("kind", [Session, TemporalSession])
def test_past_objects_of_the_models_have_them_too(engine: Engine, kind: type[Session]) -> None:
    moments = changed_by_everything(engine)
    with kind(engine) as session:
        query = select(Product).execution_options(as_of=moments[1])
        lamp = session.scalars(query).one()
        before, after = previous(lamp), next_version(lamp)
        assert [(p.title, p.price) for p in (before, lamp, after) if p] == [("lamp", 10), ("lamp", 11), ("LAMP", 11)]
        found = blame(session, lamp)
        assert (found["title"].transaction.reason, found["price"].transaction.actor) == ("new", "bob")
        assert [entry.valid_from for entry in history(session, lamp)][:3] == moments[:3]


def test_random_histories_tell_the_states_they_went_through(engine: Engine, rng: random.Random) -> None:
    states: list[tuple[int, dict[int, int]]] = []
    with Session(engine) as session:
        for _ in range(40):
            key, price = rng.randrange(4), rng.randrange(3)
            if rng.random() < 0.3:
                session.execute(delete(Product).where(Product.id == key))
            elif session.get(Product, key):
                session.execute(update(Product).where(Product.id == key).values(price=price))
            else:
                session.execute(insert(Product), [{"id": key, "title": "t", "price": price}])
            session.commit()
            session.expunge_all()
            now = dict(session.execute(select(Product.id, Product.price)).all())
            if (states[-1][1] if states else {}) != now:
                states.append((commit_moment(session), now))
        told: dict[int, list[Any]] = {}
        for entry in history(session, Product):
            told.setdefault(entry.key[0], []).append(entry)
        for moment, state in states:
            seen = {
                key: entry.object.price
                for key, entries in told.items()
                for entry in entries
                if entry.valid_from <= moment and (entry.valid_to is None or moment < entry.valid_to)
            }
            assert seen == state


def test_bad_input(engine: Engine) -> None:
    with Session(engine) as session:
        for target, options in [
            (5, {}), ((Product, (1, 2)), {}), (select(Product.id), {}), (Product(), {}),
            (Product, {"since": "2024-02-01", "until": "2024-01-01"}), (Product, {"since": 1_700_000_000}),
        ]:  # fmt: skip
            with pytest.raises(exc.ArgumentError):
                list(history(session, target, **options))
    with pytest.raises(exc.ArgumentError, match="through a Session"):
        list(history(engine, Product))  # type: ignore[arg-type]


def test_transactions_join_versions(engine: Engine) -> None:
    changed_by_everything(engine)
    with Session(engine) as session:
        assert session.scalars(select(Transaction.actor).where(Transaction.actor == "eve")).all() == ["eve"]


LATE = """
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, Session, mapped_column

def listeners():
    return {
        (kind.__name__, name): len(getattr(kind.dispatch, name)._clslevel.get(kind, ()))
        for kind in (Session, Mapper) for name in dir(kind.dispatch) if name.startswith(("before_", "after_", "do_"))
    }

class Base(DeclarativeBase):
    pass

class Page(Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]

before = listeners()
engine = create_engine("entitydb://")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Page(id=1, text="a"))
    session.commit()
    session.execute(update(Page).values(text="b"))
    session.commit()
    from entitydb_dialect import history, versions
    v = versions(Page)
    assert session.scalars(select(v.operation).order_by(v.valid_from)).all() == ["insert", "update"]
    assert [entry.object.text for entry in history(session, (Page, 1))] == ["a", "b"]
# All that is listened to: that a transaction begins, by which commit_moment() tells Sessions apart; and that an object
# is added, which may be a past one, from a pickle too, and the Session anybody's.
changed = {name for name, count in listeners().items() if count != before[name]}
assert changed <= {("Session", "after_begin"), ("Session", "before_attach")}, changed
print("done")
"""


@pytest.mark.slow
def test_nothing_listens_to_everybodys_flushes_and_the_order_of_imports_does_not_matter(tmp_path: Path) -> None:
    """The versions of a model are there though nothing of ours was imported when it was mapped and written."""
    done = subprocess.run([sys.executable, "-c", LATE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")
