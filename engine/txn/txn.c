/* Writing: the states of a transaction, its write set and savepoints.
 *
 *     NONE     no moment fixed
 *     OPEN     T is fixed; nothing written
 *     WRITING  a write was announced; the write set may hold something
 *     PREPARED validated, pages written, the record complete but for its time; the committer lock is held
 *
 * Nothing before PREPARED touches what others can see. Whatever must vanish with ROLLBACK TO is a write: also the fact
 * that the catalog changed and the trees that were made stand in the write set, under TREE_META. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

/* ---- beginning and ending --------------------------------------------------------------------------------------- */

void txn_begin(edb_conn *conn, uint64_t moment, uint64_t schema)
{
    txn *tx = &conn->cn_txn;

    tx->tx_state = TXN_OPEN;
    tx->tx_isolation = conn->cn_isolation;
    tx->tx_moment = moment;
    tx->tx_since = tx->tx_isolation == EDB_READ_COMMITTED ? UINT64_MAX : moment;
    tx->tx_schema = schema;
    tx->tx_judged = tx->tx_promised = UINT64_MAX;
    tx->tx_unmet = false;
    tx->tx_needs = 0;
    tx->tx_next_tree = 1;
    tx->tx_broken = EDB_OK;
}

/* The write set of the connection's next transaction; a small one is used again. */
static int writes_take(edb_conn *conn, writeset **out)
{
    *out = conn->cn_spare_writes;
    conn->cn_spare_writes = NULL;
    return *out ? EDB_OK : ws_new(conn->cn_db->db_spill_bytes, out);
}

void conn_writes_give(edb_conn *conn, writeset *writes)
{
    if (writes && !conn->cn_spare_writes && ws_renew(writes))
        conn->cn_spare_writes = writes;
    else
        ws_unref(writes);
}

void txn_end(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;

    for (size_t i = 0; i < tx->tx_n_unique; i++)
        free(tx->tx_unique[i].tu_what);
    tx->tx_n_unique = tx->tx_n_ids = tx->tx_n_marks = tx->tx_n_agreed = 0;
    tx->tx_unique_hint = tx->tx_ids_hint = 0;
    if (tx->tx_isolation == EDB_SERIALIZABLE) {
        for (edb_stmt *st = conn->cn_stmts; st; st = st->st_next)
            st->st_reads = NULL;
        watches_leave(&tx->tx_reads);
        reads_clear(&tx->tx_reads);
    }
    conn_writes_give(conn, tx->tx_writes);
    tx->tx_writes = NULL;
    tx->tx_commit = NULL;
    tx->tx_state = TXN_NONE;
    tx->tx_serial++;
    conn->cn_undone++;
    conn_announce(conn);
}

/* Whether the statement may write; makes its transaction a writing one. */
int txn_begin_write(edb_stmt *st)
{
    edb_conn *conn = st->st_conn;
    txn *tx = &conn->cn_txn;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (st->st_past)
        return edb_fail(EDB_PAST_WRITE, "a statement that reads as of a moment cannot write; the past does not change");
    if ((rc = pager_writable(conn->cn_pager)))
        return rc;
    if (tx->tx_state == TXN_PREPARED)
        return edb_fail(EDB_MISUSE, "the connection is committing; it can write again afterwards");
    if (tx->tx_state == TXN_NONE && !st->st_serial) {
        /* A statement begun as a reader outside a transaction writes after all: its moment becomes T. */
        txn_begin(conn, st->st_moment, st->st_schema);
        st->st_serial = tx->tx_serial;
        tx->tx_reads.rs_everything = tx->tx_isolation == EDB_SERIALIZABLE;   /* what it read was not noted */
        conn_announce(conn);
    }
    if (st->st_serial != tx->tx_serial)
        return edb_fail(EDB_MISUSE, "the statement began in another transaction, which has ended; it cannot write");
    if (conn->cn_may_write && tx->tx_state != TXN_WRITING && (rc = conn->cn_may_write(conn)))
        return rc;
    if (!tx->tx_writes && (rc = writes_take(conn, &tx->tx_writes)))
        return rc;
    tx->tx_state = TXN_WRITING;
    if (st->st_moment < tx->tx_since)
        tx->tx_since = st->st_moment;
    return EDB_OK;
}

void txn_rollback(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;

    if (tx->tx_state == TXN_NONE)
        return;
    if (tx->tx_state == TXN_PREPARED && tx->tx_commit)
        pager_commit_abort(tx->tx_commit);
    if (tx->tx_writes)
        ws_rollback(tx->tx_writes, 0);      /* cursors still open must not go on seeing them */
    txn_end(conn);
}

void txn_settle(edb_conn *conn)
{
    const txn *tx = &conn->cn_txn;

    if (tx->tx_state == TXN_NONE || conn_check(conn))
        return;
    if (tx->tx_state == TXN_PREPARED || (tx->tx_writes && !ws_is_empty(tx->tx_writes)))
        return;
    /* A statement nested in an autocommit write must not end that write's transaction. */
    for (const edb_stmt *st = conn->cn_stmts; st; st = st->st_next)
        if (st->st_writing && st->st_serial == tx->tx_serial)
            return;
    txn_end(conn);
}

void txn_unprepare(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;

    if (tx->tx_state != TXN_PREPARED)
        return;
    if (tx->tx_commit)
        pager_commit_abort(tx->tx_commit);
    tx->tx_commit = NULL;
    tx->tx_state = TXN_WRITING;
}

/* ---- writes ----------------------------------------------------------------------------------------------------- */

int txn_any_stands(writeset *ws, const uint32_t *trees, size_t n, bool *out)
{
    ws_cursor *wc;
    int rc;

    *out = false;
    for (size_t i = 0; i < n && !*out; i++) {
        if ((rc = ws_cursor_open(ws, trees[i], UINT64_MAX, &wc)))
            return rc;
        *out = ws_cursor_seek(wc, NULL, 0);
        ws_cursor_close(wc);
    }
    return EDB_OK;
}

int txn_has_writes(edb_conn *conn, bool *out)
{
    writeset *ws = conn->cn_txn.tx_writes;
    uint32_t *trees;
    size_t n;
    int rc;

    *out = false;
    if (!ws || ws_is_empty(ws))
        return EDB_OK;
    n = ws_trees(ws, NULL, 0);
    if (!(trees = malloc((n ? n : 1) * sizeof *trees)))
        return edb_fail(EDB_NOMEM, "memory is exhausted by a transaction");
    ws_trees(ws, trees, n);
    rc = txn_any_stands(ws, trees, n, out);
    free(trees);
    return rc;
}

/* The version visible at T, where the caller saw none now: somebody else may have deleted it since. */
static int seen_at_moment(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, unsigned flags,
                          uint64_t *seen_from)
{
    const tree_state *state;
    tree_version version;
    bool there;
    int rc;

    if ((rc = stmt_tree(st, tree, &state)) || !state || state->ts_born > st->st_moment)
        return rc;
    if (state->ts_key_size != 8 && !(flags & WS_AGREES))
        return EDB_OK;              /* COMMIT does not ask what was seen */
    rc = tree_get(st->st_conn->cn_pager, state, st->st_moment, key, key_size, &version, &there);
    if (!rc && there)
        *seen_from = version.from;
    return rc;
}

static int put(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
               unsigned flags, uint64_t seen_from)
{
    uint32_t key_max = tree_key_max(pager_page_size(st->st_conn->cn_pager));
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    if (key_size > key_max)
        return edb_fail(EDB_TOOBIG, "a key of %zu bytes is too large for an index: at most %u bytes fit", key_size,
                        key_max);
    if (value_size > INT32_MAX)
        return edb_fail(EDB_TOOBIG, "a row of %zu bytes is too large: at most 2 GiB fit", value_size);
    if (!seen_from && st->st_root.sn_number > st->st_moment
        && (rc = seen_at_moment(st, tree, key, key_size, flags, &seen_from)))
        return rc;
    return ws_put(st->st_conn->cn_txn.tx_writes, tree, key, key_size, value, value_size, flags, seen_from);
}

int txn_put(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
            uint64_t seen_from)
{
    return put(st, tree, key, key_size, value, value ? value_size : 0, value ? 0 : WS_TOMBSTONE, seen_from);
}

int txn_put_always(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size)
{
    return put(st, tree, key, key_size, value, value_size, WS_ALWAYS, 0);
}

static int note_agreed(txn *tx, uint32_t tree)
{
    int rc;

    for (size_t i = 0; i < tx->tx_n_agreed; i++)
        if (tx->tx_agreed[i] == tree)
            return EDB_OK;
    if (!(rc = list_room((void **)&tx->tx_agreed, &tx->tx_agreed_room, tx->tx_n_agreed, sizeof *tx->tx_agreed)))
        tx->tx_agreed[tx->tx_n_agreed++] = tree;
    return rc;
}

int txn_put_agreed(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
                   uint64_t seen_from)
{
    int rc;

    if ((rc = txn_writable(st)) || (rc = note_agreed(&st->st_conn->cn_txn, tree)))
        return rc;
    return put(st, tree, key, key_size, value, value ? value_size : 0, WS_AGREES | (value ? 0 : WS_TOMBSTONE), seen_from);
}

/* Notes once that the tree's flagged entries must be unique, and how to say so. */
static int note_unique(txn *tx, uint32_t tree, int code, const char *what)
{
    char *copy;
    int rc;

    if (tx->tx_unique_hint < tx->tx_n_unique && tx->tx_unique[tx->tx_unique_hint].tu_tree == tree)
        return EDB_OK;
    for (size_t i = 0; i < tx->tx_n_unique; i++)
        if (tx->tx_unique[i].tu_tree == tree) {
            tx->tx_unique_hint = i;
            return EDB_OK;
        }
    if ((rc = list_room((void **)&tx->tx_unique, &tx->tx_unique_room, tx->tx_n_unique, sizeof *tx->tx_unique)))
        return rc;
    if (!(copy = strdup(what)))
        return edb_fail(EDB_NOMEM, "memory is exhausted by a transaction");
    tx->tx_unique_hint = tx->tx_n_unique;
    tx->tx_unique[tx->tx_n_unique++] = (txn_unique){ .tu_tree = tree, .tu_code = code, .tu_what = copy };
    return EDB_OK;
}

int txn_put_unique(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, const void *value,
                   size_t value_size, int code, const char *what)
{
    txn *tx = &st->st_conn->cn_txn;
    int rc;

    if (key_size < 8)
        return edb_fail(EDB_MISUSE, "the key of a unique index ends in a row id of 8 bytes; this one has %zu", key_size);
    if ((rc = txn_writable(st)) || (rc = note_unique(tx, tree, code, what)))
        return rc;
    if (st->st_root.sn_number < tx->tx_judged)
        tx->tx_judged = st->st_root.sn_number;
    return put(st, tree, key, key_size, value ? value : "", value_size, WS_UNIQUE, 0);
}

int txn_collides(edb_stmt *st, uint32_t tree, bool *out)
{
    writeset *ws = st->st_conn->cn_txn.tx_writes;
    const uint8_t *last = NULL;
    uint32_t last_size = 0;
    ws_cursor *wc;
    int rc;

    *out = false;
    if (!ws || !ws_has_tree(ws, tree))
        return EDB_OK;
    if ((rc = ws_cursor_open(ws, tree, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !*out && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->flags != WS_UNIQUE)
            continue;
        *out = last && last_size == w->key_size && !memcmp(last, w->key, last_size - 8);
        last = w->key;
        last_size = w->key_size;
        if (conn_interrupted(st->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "judging a new unique index was interrupted");
    }
    ws_cursor_close(wc);
    return rc;
}

static int note_of_tree(edb_stmt *st, char what, uint32_t tree, const void *value, size_t size)
{
    uint8_t key[META_KEY_SIZE];
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    return ws_put(st->st_conn->cn_txn.tx_writes, TREE_META, meta_key(key, what, tree), sizeof key, value, size, 0, 0);
}

int txn_expect_unchanged(edb_stmt *st, uint32_t tree)
{
    uint8_t key[META_KEY_SIZE];
    ws_entry known;
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    /* The first to say so has the earliest moment. */
    if (ws_get(st->st_conn->cn_txn.tx_writes, TREE_META, meta_key(key, META_UNCHANGED, tree), sizeof key, UINT64_MAX,
               &known))
        return EDB_OK;
    return note_of_tree(st, META_UNCHANGED, tree, &st->st_moment, sizeof st->st_moment);
}

int txn_tree_dropped(edb_stmt *st, uint32_t tree)
{
    return note_of_tree(st, META_DROPPED, tree, "", 0);
}

#define COUNTERS_TRIED 4096         /* there are no more counters: see pager_id_next */

/* ---- schema ----------------------------------------------------------------------------------------------------- */

/* A table that was rolled back left its row id counter behind. Its number is passed over, so that ids begin at 1; once
 * all counters are used, ids begin where one of them stands. */
static uint32_t fresh_counter(pager *pg, uint32_t first)
{
    for (uint32_t tree = first; tree < first + COUNTERS_TRIED; tree++)
        if (!pager_id_drawn(pg, tree))
            return tree;
    return first;
}

int txn_tree_new(edb_stmt *st, uint8_t key_size, uint32_t *id)
{
    txn *tx = &st->st_conn->cn_txn;
    uint32_t next;
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    /* If somebody makes trees meanwhile, the schema has changed and this transaction will not commit. */
    next = tx->tx_next_tree;
    if (next < st->st_root.sn_trees.ar_count)
        next = (uint32_t)st->st_root.sn_trees.ar_count;
    if (key_size)
        next = fresh_counter(st->st_conn->cn_pager, next);
    if ((rc = note_of_tree(st, META_TREE, next, &key_size, 1)))
        return rc;
    tx->tx_next_tree = next + 1;
    *id = next;
    return EDB_OK;
}

int txn_schema_changed(edb_stmt *st)
{
    static atomic_uint_fast64_t changes;
    uint64_t number = atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed) + 1;
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    return ws_put(st->st_conn->cn_txn.tx_writes, TREE_META, META_SCHEMA, 1, &number, sizeof number, 0, 0);
}

/* ---- savepoints -------------------------------------------------------------------------------------------------- */

uint64_t txn_mark(edb_conn *conn)
{
    return conn->cn_txn.tx_writes ? ws_seq(conn->cn_txn.tx_writes) : 0;
}

void txn_rollback_to(edb_conn *conn, uint64_t mark)
{
    txn *tx = &conn->cn_txn;

    if (!tx->tx_writes || tx->tx_state != TXN_WRITING)
        return;
    conn->cn_undone += ws_seq(tx->tx_writes) > mark;
    ws_rollback(tx->tx_writes, mark);
    for (size_t i = 0; i < tx->tx_n_ids; i++)
        if (tx->tx_ids[i].ti_far && tx->tx_ids[i].ti_far_seq > mark)
            tx->tx_ids[i].ti_far = IDS_UNKNOWN;
}

uint64_t txn_stands(const edb_conn *conn)
{
    return conn->cn_undone;
}

/* SQLite calls these once a table, at times that depend on when the table was first written. Marks 0..n are set as one
 * and unset from the top, so the set ones are always the first tx_n_marks. */
void txn_savepoint(edb_conn *conn, int n)
{
    txn *tx = &conn->cn_txn;

    while (n >= 0 && tx->tx_n_marks <= (size_t)n) {
        if (list_room((void **)&tx->tx_marks, &tx->tx_marks_room, tx->tx_n_marks, sizeof *tx->tx_marks)) {
            tx->tx_broken = EDB_NOMEM;
            return;
        }
        tx->tx_marks[tx->tx_n_marks++] = txn_mark(conn);
    }
}

void txn_release(edb_conn *conn, int n)
{
    txn *tx = &conn->cn_txn;

    if (n >= 0 && tx->tx_n_marks > (size_t)n)
        tx->tx_n_marks = (size_t)n;
}

void txn_rollback_savepoint(edb_conn *conn, int n)
{
    txn *tx = &conn->cn_txn;

    if (n < 0 || (size_t)n >= tx->tx_n_marks)
        return;                     /* nothing was written since that savepoint, or it would have been noted */
    txn_rollback_to(conn, tx->tx_marks[n]);
    tx->tx_n_marks = (size_t)n + 1;
}
