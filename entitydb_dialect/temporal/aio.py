"""TemporalSession for asyncio. Not imported by the package itself: it needs greenlet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util.concurrency import greenlet_spawn

from ..history import Moment
from .session import TemporalSession

if TYPE_CHECKING:
    from sqlalchemy.orm.session import _EntityBindKey

T = TypeVar("T")


class AsyncTemporalSession(AsyncSession):
    """An AsyncSession over a TemporalSession. For `async_sessionmaker(class_=AsyncTemporalSession)`."""

    sync_session_class = TemporalSession

    async def get(
        self, entity: _EntityBindKey[T], ident: Any, *, as_of: Moment | None = None, **kw: Any
    ) -> T | None:
        """The object with a key, as of a moment; see `AsyncSession.get`."""
        return await greenlet_spawn(self.sync_session.get, entity, ident, as_of=as_of, **kw)

    async def get_one(self, entity: _EntityBindKey[T], ident: Any, *, as_of: Moment | None = None, **kw: Any) -> T:
        """The object with a key, as of a moment; see `AsyncSession.get_one`."""
        return await greenlet_spawn(self.sync_session.get_one, entity, ident, as_of=as_of, **kw)


__all__ = ["AsyncTemporalSession"]
