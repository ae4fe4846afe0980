"""Interrupting a connection that waits for another's commit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from engine.bare_pager import failpoint
from entitydb_dialect import driver


def test_a_wait_for_the_committer_lock_ends_when_interrupted(connect: Callable[..., driver.Connection]) -> None:
    holder, waiter = connect(timeout=60), connect()
    holder.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    holder.commit()
    holder.execute("INSERT INTO t VALUES (1)")
    waiter.execute("INSERT INTO t VALUES (2)")
    held, let_go, raised = threading.Event(), threading.Event(), []

    def at_failpoint(name: str) -> None:
        if name == "txn:applied" and not held.is_set():
            held.set()
            let_go.wait()

    def commit_waiting() -> None:
        try:
            waiter.commit()
        except driver.Error as error:
            raised.append(error)

    with failpoint(at_failpoint):
        first = threading.Thread(target=holder.commit)
        first.start()
        held.wait()
        second = threading.Thread(target=commit_waiting)
        second.start()
        while second.is_alive():        # the commit may not have begun to wait yet: say it until it is heard
            waiter.interrupt()
            second.join(0.01)
        let_go.set()
        first.join()
    with pytest.raises(driver.OperationalError, match="interrupted"):
        raise raised[0]
    waiter.rollback()
    waiter.execute("INSERT INTO t VALUES (3)")
    waiter.commit()
    assert waiter.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (3,)]
