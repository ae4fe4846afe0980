/* Calls of the driver that come together, as one.
 *
 * Each call through cffi gives up Python's global lock and takes it again, which costs several times what such a call
 * does. So a text that is executed again and again is begun by one call and ended by one. */
#include "engine/txn/txn_internal.h"

edb_stmt *edb_stmt_start(const edb_start *start)
{
    edb_stmt *st;
    int rc = edb_stmt_begin(start->conn, &start->options, &st);

    if (rc)
        return NULL;
    if (start->compares)
        edb_stmt_compares(st, start->compares);
    if (start->supplied)
        rc = edb_stmt_supplied(st, start->supplied, start->columns);
    if (!rc && start->captured)
        rc = edb_stmt_capture(st, start->captured);
    if (rc) {
        edb_stmt_end(st);
        return NULL;
    }
    edb_stmt_enter(st);
    return st;
}

const edb_outcome *edb_conn_outcome(edb_conn *conn)
{
    return &conn->cn_outcome;
}

/* The step of a statement that writes is over: what it has done. */
static int note_outcome(edb_stmt *st)
{
    edb_outcome *outcome = &st->st_conn->cn_outcome;
    bool has_last_id;
    int rc;

    edb_stmt_restore(st->st_conn, NULL);
    if ((rc = edb_stmt_judge(st)))
        return rc;
    edb_stmt_counts(st, &outcome->changes, &outcome->last_id, &has_last_id);
    outcome->has_last_id = has_last_id;
    return EDB_OK;
}

int edb_stmt_finish(edb_stmt *st)
{
    edb_outcome *outcome = &st->st_conn->cn_outcome;
    int rc = note_outcome(st);

    if (!rc)
        outcome->outgrown = edb_stmt_end(st);
    return rc;
}

edb_stmt *edb_stmt_list(edb_stmt *st)
{
    const edb_stmt_options options = { .in_transaction = true };
    edb_stmt *list;

    if (note_outcome(st) || edb_stmt_begin(st->st_conn, &options, &list))
        return NULL;
    edb_stmt_returned(list, st);
    edb_stmt_compares(list, st->st_compares);
    list->st_lists = st;
    edb_stmt_enter(list);
    return list;
}

void edb_stmt_finish_list(edb_stmt *list)
{
    edb_outcome *outcome = &list->st_conn->cn_outcome;
    edb_stmt *st = list->st_lists;

    edb_stmt_restore(list->st_conn, NULL);
    outcome->outgrown = edb_stmt_end(list);
    outcome->outgrown |= edb_stmt_end(st);
}
