"""What each request gets: a session of now or of `?as_of=`, the name of who asks, and answers for what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from entitydb_dialect import (
    Change,
    HorizonError,
    PastWriteError,
    SerializationFailure,
    UndoConflict,
    at,
    transaction_info,
)

# What the database refuses, and the status that says so.
REFUSED: dict[type[Exception], int] = {
    HorizonError: 404,  # a moment from before the first commit
    PastWriteError: 409,  # a write under ?as_of=
    UndoConflict: 409,  # later transactions have changed the same
    IntegrityError: 409,  # a title that is taken
    SerializationFailure: 409,  # somebody else was first: read again and try again
}


async def refuse(_request: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in REFUSED.items() if isinstance(error, kind))
    told: dict[str, Any] = {"detail": str(getattr(error, "orig", None) or error)}  # without SQLAlchemy's SQL
    if isinstance(error, UndoConflict):
        told["writers"] = [as_json(change) for change in error.writers]
    return JSONResponse(told, status)


def as_json(change: Change) -> dict[str, Any]:
    when = change.committed.isoformat()
    told = {"token": change.token, "transaction": change.transaction_id, "when": when, "table": change.table}
    return {**told, "row": change.entity, "operation": change.operation, "changed": change.changed}


async def acting(x_forwarded_user: Annotated[str, Header()] = "") -> AsyncIterator[None]:
    """Says who makes the request's transactions: whom the proxy in front has let in; put your login here."""
    async with transaction_info(actor=x_forwarded_user or "anonymous"):
        yield


def engine_of(request: Request) -> AsyncEngine:
    engine: AsyncEngine = request.app.state.engine
    return engine


async def session_of(
    engine: Annotated[AsyncEngine, Depends(engine_of)], as_of: Annotated[str | None, Query()] = None
) -> AsyncIterator[AsyncSession]:
    """A session of now, or one that reads as of the moment `as_of`."""
    async with AsyncExitStack() as stack:
        if not as_of:
            yield await stack.enter_async_context(AsyncSession(engine, expire_on_commit=False))
            return
        try:
            past = await stack.enter_async_context(at(engine, as_of))
        except ArgumentError as error:
            raise HTTPException(400, str(error)) from None
        yield past


Engine = Annotated[AsyncEngine, Depends(engine_of)]
Session = Annotated[AsyncSession, Depends(session_of)]
