"""Notes that remember, as a JSON API: FastAPI and asyncio over EntityDB.

    uvicorn --app-dir examples/fastapi_app --factory app:create_app

Every request takes `?as_of=2026-11-01T12:00` and then reads as of that moment (sessions.py). `/notes/1/audit` is a page
with a note's history: when, who and what changed, with buttons that restore a version or undo a transaction. `/changes`
is the feed of all changes, `/changes/stream` the same as server-sent events, which go on where a client left off. The
database is notes.edb, or what the variable DATABASE_URL says.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict, Field
from sessions import REFUSED, Engine, Session, acting, as_json, refuse
from sqlalchemy import select
from sqlalchemy.exc import ArgumentError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from entitydb_dialect import HistoryEntry, changes, follow_changes, history, restore, undo


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    body: Mapped[str]


class NoteIn(BaseModel):
    title: str = Field(min_length=1)
    body: str = ""


class NoteOut(NoteIn):
    model_config = ConfigDict(from_attributes=True)
    id: int


def create_app(url: str | None = None) -> FastAPI:
    engine = create_async_engine(url or os.environ.get("DATABASE_URL", "entitydb+aio:///notes.edb"))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Notes", lifespan=lifespan, dependencies=[Depends(acting)])
    app.state.engine = engine
    for kind in REFUSED:
        app.add_exception_handler(kind, refuse)
    app.include_router(router)
    return app


# ---- the API ----

router = APIRouter()
Key = Annotated[int, Path(le=2**63 - 1)]
templates = Jinja2Templates(FilePath(__file__).parent / "templates")


async def note_of(session: AsyncSession, key: int) -> Note:
    note = await session.get(Note, key)
    if note is None:
        raise HTTPException(404, f"there is no note {key}")
    return note


async def history_of(session: AsyncSession, key: int) -> list[HistoryEntry[Note]]:
    """The history of a note, which stays when it is deleted."""
    try:
        return await session.run_sync(lambda sync: list(history(sync, (Note, key))))
    except NoResultFound:
        raise HTTPException(404, f"there is no note {key}, and there was none") from None


@router.get("/notes")
async def all_notes(session: Session) -> list[NoteOut]:
    return [NoteOut.model_validate(note) for note in await session.scalars(select(Note).order_by(Note.title))]


@router.post("/notes", status_code=201)
async def create(session: Session, given: NoteIn) -> NoteOut:
    note = Note(**given.model_dump())
    session.add(note)
    await session.commit()
    return NoteOut.model_validate(note)


@router.get("/notes/{key}")
async def show(session: Session, key: Key) -> NoteOut:
    return NoteOut.model_validate(await note_of(session, key))


@router.put("/notes/{key}")
async def update(session: Session, key: Key, given: NoteIn) -> NoteOut:
    note = await note_of(session, key)
    for name, value in given.model_dump().items():
        setattr(note, name, value)
    await session.commit()
    return NoteOut.model_validate(note)


@router.delete("/notes/{key}", status_code=204)
async def delete(session: Session, key: Key) -> None:
    await session.delete(await note_of(session, key))
    await session.commit()


@router.get("/notes/{key}/audit")
async def audit(request: Request, session: Session, key: Key) -> HTMLResponse:
    entries = await history_of(session, key)
    return templates.TemplateResponse(request, "audit.html", {"entries": entries[::-1], "key": key})


@router.post("/notes/{key}/restore", status_code=204)
async def restore_note(session: Session, key: Key, to: str) -> None:
    try:
        await session.run_sync(restore, (Note, key), to=to)
    except NoResultFound as error:  # it was not there then
        raise HTTPException(404, str(error)) from None
    except ArgumentError as error:
        raise HTTPException(400, str(error)) from None
    await session.commit()


@router.post("/transactions/{number}/undo", status_code=204)
async def undo_transaction(session: Session, number: int) -> None:
    try:
        await session.run_sync(undo, number)
    except NoResultFound as error:
        raise HTTPException(404, str(error)) from None
    await session.commit()


@router.get("/changes")
async def feed(
    session: Session, since: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """`since` goes on behind the `next` of the last answer."""
    try:
        found = await session.run_sync(lambda sync: list(changes(sync, since, limit=limit)))
    except ArgumentError as error:
        raise HTTPException(400, str(error)) from None
    return {"changes": [as_json(one) for one in found], "next": found[-1].token if found else since}


@router.get("/changes/stream")
async def stream(engine: Engine, last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
    """All changes and then each new one. A browser that lost the connection goes on where it was, by its header."""
    try:
        found = follow_changes(engine, last_event_id)
    except ArgumentError as error:
        raise HTTPException(400, str(error)) from None
    events = (f"id: {one.token}\ndata: {json.dumps(as_json(one))}\n\n" async for one in found)
    return StreamingResponse(events, media_type="text/event-stream")

