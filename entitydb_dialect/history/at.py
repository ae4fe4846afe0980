"""at(): a read-only Session of one moment, for whatever kind of Session it is asked of."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, overload

from sqlalchemy import exc
from sqlalchemy.orm import Session

from .as_of import Schema
from .moments import Moment
from .past import past_session
from .sources import Source, is_async

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from .sources import AsyncSource


class _AsyncBlock(AbstractAsyncContextManager["AsyncSession"]):
    """The block of an async source. `with` instead of `async with` is told so."""

    def __init__(self, block: AbstractAsyncContextManager[AsyncSession]) -> None:
        self._block = block

    async def __aenter__(self) -> AsyncSession:
        return await self._block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(kind, error, trace)

    def __enter__(self) -> NoReturn:
        raise exc.ArgumentError("at() of an async source: write `async with at(...) as past:`")

    def __exit__(self, *_: object) -> None:
        """Never reached; `with` looks for it before it enters."""


@overload
def at(source: Source, moment: Moment, *, schema: Schema = "today") -> AbstractContextManager[Session]: ...
@overload
def at(
    source: AsyncSource, moment: Moment, *, schema: Schema = "today"
) -> AbstractAsyncContextManager[AsyncSession]: ...
def at(source: Any, moment: Moment, *, schema: Schema = "today") -> Any:
    """A read-only Session that sees the database as of a moment, whatever and whenever it loads.

    Args:
        source: an Engine; or a Session (or scoped_session, or Connection), whose transaction is then shared. What that
            has written but not committed is not seen. Or what SQLAlchemy's asyncio extension has for them: then it is
            `async with`, and an AsyncSession.
        moment: see `entitydb_dialect.resolve`; included. Resolved once, at entry.
        schema: "then": tables have the names and columns that they had at the moment; for SQL and Core, and models that
            fit them. "today": they have those of today.

    Returns:
        A context manager that gives a Session. Its objects are detached at the end of the block.

    Raises:
        ArgumentError: it is not a moment, or no such schema.
        PastWriteError: a change of its objects, at flush or at the end of the block.
        HorizonError (as OperationalError): the moment lies before the kept history.

    Example:
        with at(engine, yesterday) as past:
            print(past.get(Account, 1).balance)
    """
    if is_async(source):
        from .aio import at as async_at  # who has such a source has imported what that needs

        return _AsyncBlock(async_at(source, moment, schema=schema))
    return past_session(source, moment, schema)


__all__ = ["at"]
