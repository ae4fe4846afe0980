"""Joined, single-table and polymorphic models: every table is read at the object's moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, exc, func, select
from sqlalchemy.orm import Session, defer, joinedload, selectin_polymorphic, selectinload, subqueryload, undefer

from entitydb_dialect import commit_moment
from entitydb_dialect.temporal import past_class, temporal, versions

from ..models import Base, Department, Employee, Engineer, Manager, Shift
from ..test_at import is_then
from ..test_crud import fill
from .conftest import made


class Company(NamedTuple):
    engine: Engine
    then: int
    later: int  # the engineer's own table changed


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    for engine in made(Base.metadata):
        with Session(engine) as session:
            fill(session)
            then = commit_moment(session)
            for employee in session.scalars(select(Employee)):
                employee.pay += 1000
                employee.notes = "now"
            session.scalars(select(Engineer)).one().name += " now"
            for department in session.scalars(select(Department)):
                department.name += " now"
            session.commit()
            engineer = session.scalars(select(Engineer)).one()
            engineer.language = "now"
            engineer.skills.clear()
            session.scalars(select(Manager)).one().budget = None
            session.commit()
            later = commit_moment(session)
            session.delete(engineer)
            session.commit()
        yield Company(engine, then, later)


PastEmployee, PastEngineer, PastManager = past_class(Employee), past_class(Engineer), past_class(Manager)

LOADERS = {
    "lazy": lambda e: [],
    "joined": lambda e: [joinedload(e.department), joinedload(e.boss), joinedload(e.skills), joinedload(e.shifts)],
    "selectin": lambda e: [
        selectinload(e.department).selectinload(past_class(Department).employees),
        selectinload(e.boss),
        selectinload(e.skills),
        selectinload(e.shifts).selectinload(past_class(Shift).room),
        selectinload(e.badge),
    ],
    "subquery": lambda e: [subqueryload(e.department).subqueryload(past_class(Department).employees)],
    "deferred": lambda e: [defer(e.pay), defer(e.name)],
    "undeferred": lambda e: [undefer(e.notes)],
    "polymorphic": lambda e: [selectin_polymorphic(e, [PastEngineer, PastManager])],
}


@pytest.mark.slow
@pytest.mark.parametrize("loader", list(LOADERS))
@pytest.mark.parametrize("model", [Employee, Engineer])
def test_every_loading_strategy_keeps_the_moment(company: Company, model: type[Employee], loader: str) -> None:
    then = temporal(model, as_of=company.then)
    with Session(company.engine) as session:
        query = select(then).where(then.name == "Bob").options(*LOADERS[loader](then))
        found = session.scalars(query).unique().one()
        is_then(session, found)
        session.expire_all()
        is_then(session, found)


def test_past_objects_are_of_the_models_classes(company: Company) -> None:
    then = temporal(Employee, as_of=company.then)
    with Session(company.engine) as session:
        found = session.scalars(select(then).order_by(then.id)).all()
        assert [type(e).__mro__[1:4] for e in found][1] == (PastEmployee, past_class(Employee).__mro__[1], Engineer)
        assert [(isinstance(e, Manager), isinstance(e, Engineer)) for e in found] == [
            (True, False), (False, True), (False, False),
        ]  # fmt: skip


def test_single_table_inheritance(company: Company) -> None:
    then = temporal(Manager, as_of=company.then)
    with Session(company.engine) as session:
        manager = session.scalars(select(then)).one()
        assert (manager.name, manager.budget) == ("Ada", 7)
        assert [e.name for e in manager.team] == ["Bob", "Cy"]
        later = temporal(Manager, as_of=company.later)
        assert session.execute(select(then.budget, later.budget).join(later, later.id == then.id)).all() == [(7, None)]


@pytest.mark.slow
def test_types_in_relationships(company: Company) -> None:
    departments = temporal(Department, as_of=company.then)
    with Session(company.engine) as session:
        query = select(departments.name).where(departments.employees.of_type(Engineer).any(Engineer.language == "C"))
        assert session.scalars(query).all() == ["lab"]
        engineers = temporal(Engineer, as_of=company.then)
        query = select(departments.name, engineers.language).join(departments.employees.of_type(engineers))
        assert session.execute(query).all() == [("lab", "C")]
        query = select(departments).options(selectinload(departments.employees.of_type(Engineer)))
        lab = session.scalars(query.order_by(departments.id)).all()[0]
        assert [e.name for e in lab.employees] == ["Ada", "Bob"]


def test_two_moments_of_a_joined_model(company: Company) -> None:
    then, later = temporal(Engineer, as_of=company.then), temporal(Engineer, as_of=company.later)
    with Session(company.engine) as session:
        query = select(then.language, later.language, then.pay, later.pay).join(later, later.id == then.id)
        assert session.execute(query).all() == [("C", "now", 50, 1050)]
        one, two = session.execute(select(then, later).join(later, later.id == then.id)).one()
        assert (one.language, two.language) == ("C", "now")


@pytest.mark.parametrize("model", [Employee, Engineer])
def test_versions_of_joined_models_are_of_all_tables(company: Company, model: type[Employee]) -> None:
    """Tied by equal moments of their rows, versions would be lost: the tables change at different times."""
    v = versions(model)
    with Session(company.engine) as session:
        query = select(v.entity, v.valid_from, v.valid_to, v.operation).where(v.entity.id == 2).order_by(v.valid_from)
        found = session.execute(query).all()
        assert [(e.name, e.language, e.pay, operation) for e, _, _, operation in found] == [  # type: ignore[attr-defined]
            ("Bob", "C", 50, "insert"),
            ("Bob now", "C", 1050, "update"),
            ("Bob now", "now", 1050, "update"),
            ("Bob now", "now", 1050, "delete"),
        ]
        assert len({id(e) for e, *_ in found}) == 4
        begun, ended = [row[1] for row in found], [row[2] for row in found]
        assert (begun[0], begun[2]) == (company.then, company.later)
        assert ended == [*begun[1:], begun[3]]
        assert [[s.name for s in e.skills] for e, *_ in found] == [["SQL", "C"], ["SQL", "C"], [], []]
        assert [e.department.name for e, *_ in found[:2]] == ["lab", "lab now"]  # type: ignore[union-attr]


def test_versions_of_a_joined_model_work_in_statements(company: Company) -> None:
    v = versions(Engineer)
    with Session(company.engine) as session:
        assert session.scalar(select(func.count()).select_from(v.entity)) == 4
        assert session.scalars(select(v.entity.language).where(v.operation == "delete")).all() == ["now"]
        query = select(v.entity).options(selectinload(v.entity.skills)).where(v.valid_from == company.then)
        assert [s.name for s in session.scalars(query).one().skills] == ["SQL", "C"]


def test_intervals_of_joined_models(company: Company) -> None:
    engineers = temporal(Engineer)
    with Session(company.engine) as session:

        def languages(entity: type[Engineer]) -> list[tuple[str, int]]:
            return sorted((language, pay) for language, pay in session.execute(select(entity.language, entity.pay)))

        assert languages(engineers.all()) == [("C", 50), ("C", 1050), ("now", 1050)]
        assert languages(engineers.from_to(company.then, company.later)) == [("C", 50), ("C", 1050)]
        assert languages(engineers.between(company.then, company.later)) == [("C", 50), ("C", 1050), ("now", 1050)]
        assert languages(engineers.between(company.later, company.later)) == [("now", 1050)]
        assert languages(engineers.contained_in(company.then, company.later)) == [("C", 50), ("C", 1050)]
        assert languages(engineers.from_to(company.later, company.later)) == []
        assert languages(engineers.from_to(company.later + 1, company.later + 1)) == []
        assert languages(engineers.between(company.later + 1, company.later + 1)) == [("now", 1050)]


def test_a_moment_of_several_tables_is_of_no_one_version(company: Company) -> None:
    with pytest.raises(exc.ArgumentError, match="no columns of versions"):
        versions(temporal(Engineer, as_of=company.then))
