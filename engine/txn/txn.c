/* Writing: the states of a transaction, its write set, savepoints and row ids.
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

int array_room(void **array, size_t *room, size_t count, size_t each)
{
    size_t more = *room ? 2 * *room : 8;
    void *bigger;

    if (count < *room)
        return EDB_OK;
    if (!(bigger = realloc(*array, more * each)))
        return edb_fail(EDB_NOMEM, "memory is exhausted by a transaction");
    *array = bigger;
    *room = more;
    return EDB_OK;
}

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
    tx->tx_next_tree = 1;
    tx->tx_broken = EDB_OK;
}

void txn_end(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;

    for (size_t i = 0; i < tx->tx_n_unique; i++)
        free(tx->tx_unique[i].tu_what);
    tx->tx_n_unique = tx->tx_n_ids = tx->tx_n_marks = 0;
    tx->tx_unique_hint = tx->tx_ids_hint = 0;
    if (tx->tx_isolation == EDB_SERIALIZABLE) {
        for (edb_stmt *st = conn->cn_stmts; st; st = st->st_next)
            st->st_reads = NULL;
        watches_leave(&tx->tx_reads);
        reads_clear(&tx->tx_reads);
    }
    ws_unref(tx->tx_writes);
    tx->tx_writes = NULL;
    tx->tx_commit = NULL;
    tx->tx_state = TXN_NONE;
    tx->tx_serial++;
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
    if (conn->cn_db->db_read_only)
        return edb_fail(EDB_READONLY, "%s was opened for reading only", pager_name(conn->cn_pager));
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
    if ((conn->cn_host || conn->cn_guests) && tx->tx_state != TXN_WRITING && (rc = company_may_write(conn)))
        return rc;
    if (!tx->tx_writes && (rc = ws_new(conn->cn_db->db_spill_bytes, &tx->tx_writes)))
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

/* ---- writes ----------------------------------------------------------------------------------------------------- */

static inline int writable(edb_stmt *st)
{
    const txn *tx = &st->st_conn->cn_txn;

    if (tx->tx_state == TXN_WRITING && st->st_serial == tx->tx_serial && st->st_moment >= tx->tx_since
        && !st->st_past)
        return EDB_OK;
    return txn_begin_write(st);
}

/* The version visible at T, where the caller saw none now: somebody else may have deleted it since. */
static int seen_at_moment(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, uint64_t *seen_from)
{
    const tree_state *state;
    tree_version version;
    bool there;
    int rc;

    if ((rc = stmt_tree(st, tree, &state)) || !state || state->ts_key_size != 8 || state->ts_born > st->st_moment)
        return rc;
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

    if ((rc = writable(st)))
        return rc;
    if (key_size > key_max)
        return edb_fail(EDB_TOOBIG, "a key of %zu bytes is too large for an index: at most %u bytes fit", key_size,
                        key_max);
    if (value_size > INT32_MAX)
        return edb_fail(EDB_TOOBIG, "a row of %zu bytes is too large: at most 2 GiB fit", value_size);
    if (!seen_from && st->st_root.sn_number > st->st_moment
        && (rc = seen_at_moment(st, tree, key, key_size, &seen_from)))
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
    if ((rc = array_room((void **)&tx->tx_unique, &tx->tx_unique_room, tx->tx_n_unique, sizeof *tx->tx_unique)))
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
    if ((rc = writable(st)) || (rc = note_unique(tx, tree, code, what)))
        return rc;
    if (st->st_root.sn_number < tx->tx_judged)
        tx->tx_judged = st->st_root.sn_number;
    return put(st, tree, key, key_size, value ? value : "", value_size, WS_UNIQUE, 0);
}

static int note_of_tree(edb_stmt *st, char what, uint32_t tree, const void *value, size_t size)
{
    uint8_t key[META_KEY_SIZE];
    int rc;

    if ((rc = writable(st)))
        return rc;
    return ws_put(st->st_conn->cn_txn.tx_writes, TREE_META, meta_key(key, what, tree), sizeof key, value, size, 0, 0);
}

int txn_expect_unchanged(edb_stmt *st, uint32_t tree)
{
    uint8_t key[META_KEY_SIZE];
    ws_entry known;
    int rc;

    if ((rc = writable(st)))
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

/* ---- promises --------------------------------------------------------------------------------------------------- */

static int promise_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    ws_entry known;

    if (ws_has_tree(ws, tree) && ws_get(ws, tree, key, key_size, UINT64_MAX, &known)
        && !(known.flags & WS_TOMBSTONE) && known.value_size == value_size
        && !memcmp(known.value, value, value_size))
        return EDB_OK;
    return ws_put(ws, tree, key, key_size, value, value_size, 0, 0);
}

int txn_promise(edb_stmt *st, const void *key, size_t key_size, const void *value, size_t value_size, bool unmet,
                bool at_once)
{
    txn *tx = &st->st_conn->cn_txn;
    int rc;

    if ((rc = writable(st)))
        return rc;
    tx->tx_unmet |= unmet;
    if (st->st_moment < tx->tx_promised)
        tx->tx_promised = st->st_moment;
    rc = promise_put(tx->tx_writes, TREE_PROMISES, key, key_size, value, value_size);
    if (!rc && unmet && at_once)
        rc = promise_put(tx->tx_writes, TREE_AT_ONCE, key, key_size, value, value_size);
    return rc;
}

/* What was kept for the end of the statement holds, and need not be asked again. */
static int promises_done(writeset *ws)
{
    ws_cursor *wc;
    int rc = ws_cursor_open(ws, TREE_AT_ONCE, ws_seq(ws), &wc);

    if (rc)
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (!(w->flags & WS_TOMBSTONE))
            rc = ws_put(ws, TREE_AT_ONCE, w->key, w->key_size, NULL, 0, WS_TOMBSTONE, 0);
    }
    ws_cursor_close(wc);
    return rc;
}

int edb_stmt_judge(edb_stmt *st)
{
    txn *tx;
    stmt_view before;
    ws_cursor *wc;
    int rc;

    st = st->st_target;
    tx = &st->st_conn->cn_txn;
    if (tx->tx_state != TXN_WRITING || st->st_serial != tx->tx_serial || !tx->tx_unmet
        || !ws_has_tree(tx->tx_writes, TREE_AT_ONCE))
        return EDB_OK;
    if ((rc = ws_cursor_open(tx->tx_writes, TREE_AT_ONCE, UINT64_MAX, &wc)))
        return rc;
    stmt_view_widen(st, &before);
    rc = hooks_judge(st, wc, false);
    stmt_view_restore(st, &before);
    ws_cursor_close(wc);
    if (rc)
        ws_rollback(tx->tx_writes, st->st_seq);
    else
        rc = promises_done(tx->tx_writes);
    return rc;
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

    if ((rc = writable(st)))
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

    if ((rc = writable(st)))
        return rc;
    return ws_put(st->st_conn->cn_txn.tx_writes, TREE_META, META_SCHEMA, 1, &number, sizeof number, 0, 0);
}

/* ---- row ids ---------------------------------------------------------------------------------------------------- */
/* Ids come from a counter that all processes share, so that transactions side by side draw different ones. An id that a
 * statement writes out raises the counter, too, unless it is far beyond: a rollback does not lower the counter, and one
 * transaction that came to nothing must not use up all ids of a table. Ids far away are the transaction's own business
 * until it commits; two that choose the same conflict. */
#define IDS_FAR (UINT64_C(1) << 32)

static int ids_of(edb_stmt *st, uint32_t tree, txn_ids **out)
{
    txn *tx = &st->st_conn->cn_txn;
    const tree_state *state;
    int rc;

    if (tx->tx_ids_hint < tx->tx_n_ids && tx->tx_ids[tx->tx_ids_hint].ti_tree == tree) {
        *out = &tx->tx_ids[tx->tx_ids_hint];
        return EDB_OK;
    }
    for (size_t i = 0; i < tx->tx_n_ids; i++)
        if (tx->tx_ids[i].ti_tree == tree) {
            tx->tx_ids_hint = i;
            *out = &tx->tx_ids[i];
            return EDB_OK;
        }
    if ((rc = stmt_tree(st, tree, &state))
        || (rc = array_room((void **)&tx->tx_ids, &tx->tx_ids_room, tx->tx_n_ids, sizeof *tx->tx_ids)))
        return rc;
    tx->tx_ids_hint = tx->tx_n_ids;
    *out = &tx->tx_ids[tx->tx_n_ids++];
    **out = (txn_ids){ .ti_tree = tree, .ti_floor = state && state->ts_next_id ? state->ts_next_id : 1 };
    return EDB_OK;
}

int txn_largest_id(txn *tx, uint32_t tree, uint64_t *id, uint64_t *seq)
{
    const ws_entry *w;
    ws_cursor *wc;
    int rc;

    *id = *seq = 0;
    if (!tx->tx_writes)
        return EDB_OK;
    if ((rc = ws_cursor_open(tx->tx_writes, tree, UINT64_MAX, &wc)))
        return rc;
    ws_cursor_seek_last(wc, NULL, 0);
    while ((w = ws_cursor_at(wc)) && w->flags & WS_TOMBSTONE)
        ws_cursor_prev(wc);
    if (w && w->key_size == 8 && rowid_load(w->key) > 0) {
        *id = (uint64_t)rowid_load(w->key);
        *seq = w->seq;
    }
    ws_cursor_close(wc);
    return EDB_OK;
}

static bool id_is_far(const txn_ids *ids, uint64_t id)
{
    uint64_t known = ids->ti_used > ids->ti_floor ? ids->ti_used : ids->ti_floor;

    return id > known && id - known > IDS_FAR;
}

static int ids_full(void)
{
    return edb_fail(EDB_FULL, "the table has no more row ids: the largest possible one has been used");
}

/* The id behind the largest written far beyond the others; *next 0: there are none such. */
static int far_id_next(txn *tx, txn_ids *ids, uint64_t *next)
{
    int rc;

    *next = 0;
    if (ids->ti_far == IDS_UNKNOWN) {
        if ((rc = txn_largest_id(tx, ids->ti_tree, &ids->ti_far, &ids->ti_far_seq)))
            return rc;
        if (!id_is_far(ids, ids->ti_far))
            ids->ti_far = 0;
    }
    if (!ids->ti_far)
        return EDB_OK;
    if (ids->ti_far == INT64_MAX)
        return ids_full();
    *next = ++ids->ti_far;
    ids->ti_far_seq = ws_seq(tx->tx_writes) + 1;    /* of the write that follows */
    return EDB_OK;
}

int txn_id_next(edb_stmt *st, uint32_t tree, int64_t *id)
{
    txn_ids *ids;
    uint64_t next = 0;
    int rc;

    if ((rc = writable(st)) || (rc = ids_of(st, tree, &ids)))
        return rc;
    if (ids->ti_has_far && (rc = far_id_next(&st->st_conn->cn_txn, ids, &next)))
        return rc;
    if (!next) {
        /* INT64_MAX is the last id there is; the floor passes it when it has been used. */
        if (ids->ti_floor > INT64_MAX || ids->ti_used == INT64_MAX
            || (next = pager_id_next(st->st_conn->cn_pager, tree, ids->ti_floor)) > INT64_MAX)
            return ids_full();
        if (next > ids->ti_used)
            ids->ti_used = next;
    }
    *id = (int64_t)next;
    return EDB_OK;
}

void txn_id_used(edb_stmt *st, uint32_t tree, int64_t id)
{
    txn_ids *ids;

    if (id <= 0 || writable(st) || ids_of(st, tree, &ids))
        return;                     /* the write that follows meets and reports the same error */
    if (id_is_far(ids, (uint64_t)id)) {
        ids->ti_has_far = true;
        if ((uint64_t)id > ids->ti_far) {       /* what is unknown stays so */
            ids->ti_far = (uint64_t)id;
            ids->ti_far_seq = ws_seq(st->st_conn->cn_txn.tx_writes);
        }
    } else if ((uint64_t)id > ids->ti_used && (uint64_t)id >= ids->ti_floor) {
        pager_id_raise(st->st_conn->cn_pager, tree, (uint64_t)id);
        ids->ti_used = (uint64_t)id;
    }
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
    ws_rollback(tx->tx_writes, mark);
    for (size_t i = 0; i < tx->tx_n_ids; i++)
        if (tx->tx_ids[i].ti_far && tx->tx_ids[i].ti_far_seq > mark)
            tx->tx_ids[i].ti_far = IDS_UNKNOWN;
}

/* SQLite calls these once a table, at times that depend on when the table was first written. Marks 0..n are set as one
 * and unset from the top, so the set ones are always the first tx_n_marks. */
void txn_savepoint(edb_conn *conn, int n)
{
    txn *tx = &conn->cn_txn;

    while (n >= 0 && tx->tx_n_marks <= (size_t)n) {
        if (array_room((void **)&tx->tx_marks, &tx->tx_marks_room, tx->tx_n_marks, sizeof *tx->tx_marks)) {
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
