"""at(): whatever a past Session loads, and however it loads it, is of its moment."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, delete, event, exc, func, select, text, update
from sqlalchemy.orm import (
    Session,
    defer,
    immediateload,
    joinedload,
    lazyload,
    raiseload,
    scoped_session,
    selectin_polymorphic,
    selectinload,
    sessionmaker,
    subqueryload,
    undefer,
    with_parent,
    with_polymorphic,
)
from sqlalchemy.orm.exc import DetachedInstanceError

from entitydb_dialect import PastWriteError, at, commit_moment

from .models import Badge, Base, Department, Employee, Engineer, Manager, Room, Shift, Skill
from .test_crud import fill


@pytest.fixture
def then(engine: Engine) -> int:
    """A company as of the moment returned, and everything of it changed since."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session)
        moment = commit_moment(session)
        for employee in session.scalars(select(Employee)):
            employee.name += " now"
            employee.pay += 1000
            employee.notes = "now"
        for kind in (Department, Skill, Room):
            for thing in session.scalars(select(kind)):
                thing.name += " now"
        session.commit()
        eng = session.scalars(select(Engineer)).one()
        eng.language = "now"
        eng.skills = [Skill(name="new now")]
        eng.shifts.clear()
        eng.badge = None
        session.flush()
        eng.badge = Badge(code="now")
        eng.department = session.scalars(select(Department).where(Department.name == "shop now")).one()
        manager = session.scalars(select(Manager)).one()
        manager.budget = None
        session.commit()
    return moment


def watch(engine: Engine) -> list[int | None]:
    """The moment of every statement executed from now on."""
    seen: list[int | None] = []

    def after(connection: object, cursor: object, sql: str, *rest: object) -> None:
        if not sql.startswith(("SAVEPOINT", "RELEASE")):
            seen.append(cursor.as_of)  # type: ignore[attr-defined]

    event.listen(engine, "after_cursor_execute", after)
    return seen


def is_then(past: Session, engineer: Employee) -> None:
    """Walks the whole graph from one object and finds nothing of now."""
    assert isinstance(engineer, Engineer)
    assert (engineer.name, engineer.pay, engineer.language, engineer.notes) == ("Bob", 50, "C", "deferred")
    assert engineer.department is not None
    assert engineer.department.name == "lab"
    assert [e.name for e in engineer.department.employees] == ["Ada", "Bob"]
    assert engineer.boss is not None
    assert engineer.boss.name == "Ada"
    assert isinstance(engineer.boss, Manager)
    assert engineer.boss.budget == 7
    assert [e.name for e in engineer.boss.team] == ["Bob", "Cy"]
    assert [s.name for s in engineer.skills] == ["SQL", "C"]
    assert [p.name for p in engineer.skills[0].people] == ["Ada", "Bob"]
    assert [(s.room.name, s.hours) for s in engineer.shifts] == [("r1", 3), ("r2", 4)]
    assert engineer.badge is not None
    assert engineer.badge.code == "B-1"


LOADERS = {
    "lazy": [],
    "lazyload": [lazyload("*")],
    "joined": [
        joinedload(Employee.department),
        joinedload(Employee.boss),
        joinedload(Employee.skills),
        joinedload(Employee.shifts).joinedload(Shift.room),
        joinedload(Employee.badge),
    ],
    "selectin": [
        selectinload(Employee.department).selectinload(Department.employees),
        selectinload(Employee.boss),
        selectinload(Employee.skills).selectinload(Skill.people),
        selectinload(Employee.shifts).selectinload(Shift.room),
        selectinload(Employee.badge),
    ],
    "subquery": [
        subqueryload(Employee.department).subqueryload(Department.employees),
        subqueryload(Employee.boss),
        subqueryload(Employee.skills),
        subqueryload(Employee.shifts).subqueryload(Shift.room),
    ],
    "immediate": [immediateload(Employee.department), immediateload(Employee.skills), immediateload(Employee.shifts)],
    "deferred": [defer(Employee.pay), defer(Employee.name)],
    "undeferred": [undefer(Employee.notes)],
    "polymorphic": [selectin_polymorphic(Employee, [Engineer, Manager])],
    "raise": [raiseload(Employee.team)],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["session", "engine", "connection"])
@pytest.mark.parametrize("loader", list(LOADERS))
def test_every_loading_strategy_keeps_the_moment(engine: Engine, then: int, loader: str, kind: str) -> None:
    with Session(engine) as session, engine.connect() as connection:
        source = {"session": session, "engine": engine, "connection": connection}[kind]
        seen = watch(engine)
        with at(source, then) as past:  # type: ignore[arg-type]
            found = (
                past.scalars(select(Employee).where(Employee.name == "Bob").options(*LOADERS[loader])).unique().one()
            )
            is_then(past, found)
        assert seen
        assert set(seen) == {then}


def test_get_refresh_expire_and_query(engine: Engine, then: int) -> None:
    with Session(engine) as session, at(session, then) as past:
        seen = watch(engine)
        bob = past.get(Employee, 2)
        assert bob is not None
        count = len(seen)
        assert past.get(Employee, 2) is bob
        assert len(seen) == count, "found in the identity map"
        assert past.get(Employee, 99) is None
        past.expire(bob)
        is_then(past, bob)
        past.refresh(bob)
        assert bob.name == "Bob"
        assert past.query(Employee).filter_by(name="Cy").one().pay == 40
        assert past.execute(text("SELECT name FROM employee WHERE id = 2")).scalar() == "Bob"
        assert past.scalar(select(func.sum(Employee.pay))) == 190
        assert (
            past.scalars(select(Skill).where(with_parent(bob, Employee.skills)).order_by(Skill.id)).all() == bob.skills
        )
        every = with_polymorphic(Employee, "*")
        assert {e.name for e in past.scalars(select(every))} == {"Ada", "Bob", "Cy"}
        assert set(seen) == {then}


def test_past_and_present_stand_side_by_side(engine: Engine, then: int) -> None:
    with Session(engine) as session:
        now = session.get(Employee, 2)
        assert now is not None
        with at(session, then) as past:
            before = past.get(Employee, 2)
            assert before is not None
            assert before is not now
            assert (before.name, now.name) == ("Bob", "Bob now")
            assert [s.name for s in now.skills] == ["new now"]
            assert [s.name for s in before.skills] == ["SQL", "C"]
            now.pay = 1
            session.commit()
            assert before.pay == 50
            assert (before.department.name, now.department.name) == ("lab", "shop now")  # type: ignore[union-attr]
        assert session.scalars(select(Employee).where(Employee.id == 2)).one() is now


@pytest.mark.slow
@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_lazy_loads_work_after_the_parents_transaction(engine: Engine, then: int, end: str) -> None:
    with Session(engine) as session, at(session, then) as past:
        bob = past.scalars(select(Engineer)).one()
        session.add(Skill(name="written beside"))
        session.flush()
        assert past.scalars(select(Skill.name)).all() == ["SQL", "C"]
        getattr(session, end)()
        is_then(past, bob)
        session.execute(select(Skill)).all()
        getattr(session, end)()
        assert past.scalars(select(Skill.name)).all() == ["SQL", "C"]
    with Session(engine) as session:
        kept = session.scalars(select(Skill.name).where(Skill.name == "written beside")).all()
        assert len(kept) == (1 if end == "commit" else 0)


def test_reading_the_past_leaves_the_parents_transaction_alone(engine: Engine, then: int) -> None:
    with Session(engine) as session:
        session.add(Skill(name="mine"))
        session.flush()
        with at(session, then) as past:
            assert len(past.scalars(select(Skill)).all()) == 2
        session.commit()
        assert session.scalars(select(Skill.name).where(Skill.name == "mine")).all() == ["mine"]


def test_several_moments_nest(engine: Engine, then: int) -> None:
    with Session(engine) as session, at(session, then) as one, at(session, then - 1) as two, at(engine, then) as three:
        assert one.get(Employee, 1).name == three.get(Employee, 1).name == "Ada"  # type: ignore[union-attr]
        assert two.scalar(select(func.count()).select_from(Employee)) == 0
        assert session.get(Employee, 1).name == "Ada now"  # type: ignore[union-attr]


def test_scoped_session_and_sessionmaker(engine: Engine, then: int) -> None:
    scoped = scoped_session(sessionmaker(engine))
    with at(scoped, then) as past:
        assert past.get(Employee, 1).name == "Ada"  # type: ignore[union-attr]
    scoped.remove()
    with pytest.raises(exc.ArgumentError), at(object(), then):  # type: ignore[arg-type]
        pass


def test_every_write_in_the_past_raises(engine: Engine, then: int) -> None:
    with Session(engine) as session, at(session, then) as past:
        bob = past.get(Employee, 2)
        assert bob is not None
        for call in (
            lambda: past.add(Skill(name="x")),
            lambda: past.add_all([Skill(name="x")]),
            lambda: past.delete(bob),
            lambda: past.merge(Skill(id=1, name="x")),
            lambda: past.bulk_save_objects([bob]),
            lambda: past.bulk_insert_mappings(Skill, [{"name": "x"}]),
            lambda: past.execute(update(Employee).values(pay=0)),
            lambda: past.execute(delete(Employee)),
            lambda: past.begin_nested(),
        ):
            with pytest.raises(PastWriteError):
                call()
        with pytest.raises(exc.ProgrammingError) as caught:
            past.execute(text("DELETE FROM employee"))
        assert isinstance(caught.value.orig, PastWriteError)
        assert bob.pay == 50
    with Session(engine) as session:
        assert session.scalar(select(func.min(Employee.pay))) == 1040


@pytest.mark.slow
def test_changed_past_object_raises_at_flush_and_at_the_end(engine: Engine, then: int) -> None:
    with Session(engine) as session:
        with at(session, then) as past:
            bob = past.get(Employee, 2)
            assert bob is not None
            bob.pay = 0
            with pytest.raises(PastWriteError):
                past.flush()
            with pytest.raises(PastWriteError):
                past.commit()
            past.expire(bob)
        with pytest.raises(PastWriteError), at(session, then) as past:
            past.get(Employee, 2).pay = 0  # type: ignore[union-attr]
        with pytest.raises(PastWriteError), at(session, then) as past:  # noqa: PT012
            past.get(Employee, 2).pay = 0  # type: ignore[union-attr]
            session.commit()
        assert session.get(Employee, 2).pay == 1050  # type: ignore[union-attr]


def test_past_object_does_not_join_the_present(engine: Engine, then: int) -> None:
    with Session(engine) as session, at(session, then) as past:
        lab = past.scalars(select(Department).where(Department.name == "lab")).one()
        with pytest.raises(exc.InvalidRequestError):
            session.add(lab)


def test_objects_are_detached_at_the_end(engine: Engine, then: int) -> None:
    with at(engine, then) as past:
        bob = past.get(Employee, 2)
        assert bob is not None
    assert bob.name == "Bob"
    with pytest.raises(DetachedInstanceError):
        assert bob.skills


def test_connection_of_a_past_child_is_not_given_away(engine: Engine, then: int) -> None:
    with Session(engine) as session, at(session, then) as past, pytest.raises(exc.InvalidRequestError):
        past.connection()
    with at(engine, then) as past:
        assert past.connection().scalar(select(Employee.name).where(Employee.id == 1)) == "Ada"
