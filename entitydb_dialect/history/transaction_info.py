"""transaction_info(): who commits, and why, for all that is committed within a block."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Token
from typing import Any

from sqlalchemy import exc

from .._exceptions import ProgrammingError
from .._transaction_info import Members, current, members_of


class transaction_info(AbstractContextManager[None], AbstractAsyncContextManager[None]):  # used like a function
    """Says of every transaction committed within the block who made it and why.

    It counts for whatever is committed there: Sessions, Connections, bulk statements, autocommit, and connections of
    the driver. A transaction that changes nothing is no commit and keeps nothing. A block within a block adds to it; of
    one key the inner one counts. For asyncio `async with` is the same. Tasks that are started within the block have it
    too; threads have not (`asyncio.to_thread()` takes it along).

    Args:
        actor: who; a text of one character or more. None: the blocks around say it.
        reason: why, likewise.
        metadata: whatever else, as JSON has it: dict, list, str, int, float, bool, None.

    Raises:
        ArgumentError: a value that is not a text, or not JSON.

    Example:
        with transaction_info(actor="ann", reason="typo", ticket=4711):
            session.commit()
    """

    def __init__(self, actor: str | None = None, reason: str | None = None, **metadata: Any) -> None:
        said = {key: text for key, text in (("actor", actor), ("reason", reason)) if text is not None}
        try:
            self._members = members_of({**said, **metadata})
        except ProgrammingError as error:
            raise exc.ArgumentError(str(error)) from error
        self._tokens: list[Token[Members | None]] = []

    def __enter__(self) -> None:
        self._tokens.append(current.set({**(current.get() or {}), **self._members}))

    def __exit__(self, *_: object) -> None:
        try:
            current.reset(self._tokens.pop())
        except ValueError:
            raise exc.InvalidRequestError(
                "a block of transaction_info() was left in another task or thread than it was entered in, so what it"
                " said did not hold in between; enter it where the transaction is committed"
            ) from None

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


__all__ = ["transaction_info"]
