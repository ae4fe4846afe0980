/* Validation: whether a transaction may become the next commit.
 *
 * It is judged under the committer lock against the newest root, the *base*. commit.c lists the steps; these are 1 to 5.
 * README.md of this folder has the reasons. Nothing here changes anything but the error message. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

typedef struct {
    edb_conn *va_conn;
    txn *va_txn;
    pager *va_pager;
    const snapshot *ay_base;
} validation;

/* Whether anybody changed the tree after a moment. */
static int changed_since(validation *va, uint32_t id, uint64_t moment, bool *out)
{
    tree_state state;
    int rc = tree_state_get(va->va_pager, va->ay_base, id, &state);

    *out = !rc && state.ts_changed > moment;
    return rc == EDB_NOSUCH ? EDB_OK : rc;
}

int base_statement(edb_conn *conn, const snapshot *base, edb_stmt **out)
{
    txn *tx = &conn->cn_txn;
    edb_stmt *st = calloc(1, sizeof *st);

    if (!st)
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    st->st_conn = conn;
    st->st_root = *base;
    st->st_moment = st->st_now = base->sn_number;
    st->st_schema = tx->tx_schema;
    st->st_serial = tx->tx_serial;
    st->st_writes = tx->tx_writes;
    st->st_seq = UINT64_MAX;
    *out = st;
    return EDB_OK;
}

void base_statement_free(edb_stmt *st)
{
    if (st->st_now_open)
        tree_cursor_close(&st->st_now_cursor);
    hooks_stmt_free(&st->st_data);
    ws_release(st->st_held);
    free(st);
}

enum { TREE_NAME = 300 };           /* room for a tree's name in a sentence */

/* "table t", or "table 3" where nobody knows its name. */
static const char *tree_named(validation *va, uint32_t tree, char out[TREE_NAME])
{
    edb_stmt *st;
    int rc = base_statement(va->va_conn, va->ay_base, &st);

    if (!rc) {
        rc = hooks_name_tree(st, tree, out, TREE_NAME);
        base_statement_free(st);
    }
    if (rc)
        snprintf(out, TREE_NAME, "table %" PRIu32, tree);
    return out;
}

static int conflict_in_row(validation *va, const ws_entry *w, uint64_t living)
{
    char name[TREE_NAME];
    const char *was = !w->seen_from ? "did not exist" : "existed";
    const char *is = !living ? "does not any more" : !w->seen_from ? "does now" : "was changed since";

    if (w->tree == TREE_CATALOG)
        return edb_fail(EDB_CONFLICT, "the definition of table %" PRId64 " was changed by another transaction; "
                        "roll back and retry", rowid_load(w->key));
    return edb_fail(EDB_CONFLICT, "another transaction changed the same data: row %" PRId64 " of %s %s when this "
                    "transaction looked (commit %" PRIu64 " or later) and %s (commit %" PRIu64 "); roll back and retry",
                    rowid_load(w->key), tree_named(va, w->tree, name), was, va->va_txn->tx_since, is,
                    living ? living : va->ay_base->sn_number);
}

static bool is_agreed(const validation *va, uint32_t tree)
{
    for (size_t i = 0; i < va->va_txn->tx_n_agreed; i++)
        if (va->va_txn->tx_agreed[i] == tree)
            return true;
    return false;
}

/* Whether what the write leaves is what the base has. */
static bool agrees(const ws_entry *w, const tree_version *version, bool living)
{
    if (!(w->flags & WS_AGREES))
        return false;
    if (w->flags & WS_TOMBSTONE || !living)
        return (w->flags & WS_TOMBSTONE) && !living;
    return version_has(version, w);
}

static int conflict_in_entry(validation *va, const ws_entry *w)
{
    char name[TREE_NAME];
    edb_stmt *st;
    int rc = base_statement(va->va_conn, va->ay_base, &st);

    if (!rc) {
        rc = hooks_name_entry(st, w->tree, w->key, w->key_size, name, sizeof name);
        base_statement_free(st);
    }
    if (rc)
        snprintf(name, sizeof name, "an entry of tree %" PRIu32, w->tree);
    return edb_fail(EDB_CONFLICT, "another transaction changed %s after this one looked (commit %" PRIu64
                    " or later); roll back and retry", name, va->va_txn->tx_since);
}

static int validate_rows(validation *va, uint32_t id)
{
    tree_version version;
    tree_state state;
    ws_cursor *wc;
    bool changed, living;
    int rc;

    if ((rc = changed_since(va, id, va->va_txn->tx_since, &changed)) || !changed)
        return rc;
    if ((rc = tree_state_get(va->va_pager, va->ay_base, id, &state)) || (state.ts_key_size != 8 && !is_agreed(va, id)))
        return rc;
    if ((rc = ws_cursor_open(va->va_txn->tx_writes, id, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        uint64_t from;
        if ((rc = tree_get(va->va_pager, &state, va->ay_base->sn_number, w->key, w->key_size, &version, &living)))
            break;
        from = living ? version.from : 0;
        if (from != w->seen_from && !agrees(w, &version, living))
            rc = is_agreed(va, id) ? conflict_in_entry(va, w) : conflict_in_row(va, w, from);
        else if (conn_interrupted(va->va_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    ws_cursor_close(wc);
    return rc;
}

static int conflict_in_read(validation *va, uint32_t tree)
{
    char name[TREE_NAME];

    return edb_fail(EDB_CONFLICT, "another transaction changed what this one has read in %s (between commits %" PRIu64
                    " and %" PRIu64 "); roll back and retry", tree_named(va, tree, name), va->va_txn->tx_moment,
                    va->ay_base->sn_number);
}

static int validate_tree(validation *va, const tree_reads *tr)
{
    bool changed = false;
    tree_state state;
    int rc = tree_state_get(va->va_pager, va->ay_base, tr->tr_tree, &state);

    if (rc || state.ts_changed <= va->va_txn->tx_moment)
        return rc;
    if (tr->tr_whole)
        return conflict_in_read(va, tr->tr_tree);
    for (uint32_t i = 0; i < tr->tr_n && !rc && !changed; i++) {
        const read_range *r = &tr->tr_ranges[i];
        bool open = r->rr_high_size == RANGE_OPEN;
        rc = tree_changed(va->va_pager, &state, va->va_txn->tx_moment, tr->tr_bytes + r->rr_low, r->rr_low_size,
                          open ? NULL : tr->tr_bytes + r->rr_high, open ? 0 : r->rr_high_size, tr->tr_existence,
                          &changed);
        if (!rc && conn_interrupted(va->va_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    return rc || !changed ? rc : conflict_in_read(va, tr->tr_tree);
}

/* SERIALIZABLE: what was read at T must be so in the base too. Then the transaction could have done all it did at
 * once, behind the base (Kung and Robinson 1981: backward validation). */
static int validate_reads(validation *va)
{
    const readset *rs = &va->va_txn->tx_reads;
    int rc = EDB_OK;

    if (rs->rs_everything)
        return edb_fail(EDB_CONFLICT, "another transaction committed, and memory was too short to note what this one has "
                        "read; roll back and retry");
    for (size_t i = 0; i < rs->rs_n && !rc; i++)
        rc = validate_tree(va, &rs->rs_trees[i]);
    return rc;
}

static bool same_prefix(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && memcmp(a, b, a_size - 8) == 0;
}

/* Whether the base holds another entry with the prefix that this transaction does not delete. */
static int base_collides(validation *va, tree_cursor *tc, const ws_entry *w, bool *out)
{
    ws_entry own;
    int rc;

    *out = false;
    for (rc = tree_cursor_seek(tc, w->key, w->key_size - 8); !rc && tc->tc_valid; rc = tree_cursor_next(tc)) {
        const tree_version *v = &tc->tc_at;
        if (v->key_size < w->key_size || memcmp(v->key, w->key, w->key_size - 8))
            break;
        if (!same_prefix(v->key, v->key_size, w->key, w->key_size))
            continue;
        /* An own write of the same key replaces or deletes it; replaced ones are looked at as own entries. */
        if (!ws_get(va->va_txn->tx_writes, w->tree, v->key, v->key_size, UINT64_MAX, &own)) {
            *out = true;
            break;
        }
    }
    return rc;
}

static int validate_unique(validation *va, const txn_unique *unique)
{
    writeset *ws = va->va_txn->tx_writes;
    bool has_base, collides = false;
    const uint8_t *last = NULL;         /* key of the flagged entry before */
    size_t last_size = 0;
    tree_state state;
    tree_cursor tc;
    ws_cursor *wc;
    int rc;

    rc = tree_state_get(va->va_pager, va->ay_base, unique->tu_tree, &state);
    if (rc && rc != EDB_NOSUCH)
        return rc;
    has_base = !rc;
    if (has_base && (rc = tree_cursor_open(&tc, va->va_pager, &state, va->ay_base->sn_number)))
        return rc;
    if ((rc = ws_cursor_open(ws, unique->tu_tree, UINT64_MAX, &wc)))
        goto close_base;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->flags != WS_UNIQUE)
            continue;
        collides = last && same_prefix(last, last_size, w->key, w->key_size);
        if (!collides && has_base)
            rc = base_collides(va, &tc, w, &collides);
        if (!rc && collides)
            rc = edb_fail(unique->tu_code, "UNIQUE constraint failed: %s", unique->tu_what);
        else if (!rc && conn_interrupted(va->va_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
        last = w->key;
        last_size = w->key_size;
    }
    ws_cursor_close(wc);
close_base:
    if (has_base)
        tree_cursor_close(&tc);
    return rc;
}

static int validate_promises(validation *va)
{
    txn *tx = va->va_txn;
    edb_stmt *st;
    ws_cursor *wc;
    int rc;

    if ((rc = base_statement(va->va_conn, va->ay_base, &st)))
        return rc;
    if (!(rc = ws_cursor_open(tx->tx_writes, TREE_PROMISES, UINT64_MAX, &wc))) {
        rc = hooks_judge(st, wc, true);
        ws_cursor_close(wc);
    }
    base_statement_free(st);
    return rc;
}

/* A table or index that the transaction dropped: what is in it concerns nobody any more. */
static bool is_dropped(const validation *va, uint32_t tree)
{
    uint8_t key[META_KEY_SIZE];
    ws_entry known;

    return ws_has_tree(va->va_txn->tx_writes, TREE_META)
           && ws_get(va->va_txn->tx_writes, TREE_META, meta_key(key, META_DROPPED, tree), sizeof key, UINT64_MAX, &known);
}

/* Trees that had to stay as they were at T. */
static int validate_unchanged(validation *va)
{
    writeset *ws = va->va_txn->tx_writes;
    char name[TREE_NAME];
    bool changed;
    ws_cursor *wc;
    int rc;

    if (!ws_has_tree(ws, TREE_META))
        return EDB_OK;
    if ((rc = ws_cursor_open(ws, TREE_META, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->key_size != META_KEY_SIZE || w->key[0] != META_UNCHANGED)
            continue;
        uint32_t tree = meta_tree(w->key);
        if (!(rc = changed_since(va, tree, load64(w->value), &changed)) && changed)
            rc = edb_fail(EDB_CONFLICT, "another transaction changed %s while this one altered it or made an index over "
                          "it; roll back and retry", tree_named(va, tree, name));
    }
    ws_cursor_close(wc);
    return rc;
}

int txn_validate(edb_conn *conn, const snapshot *base, const uint32_t *trees, size_t n)
{
    validation *va = &(validation){ .va_conn = conn, .va_txn = &conn->cn_txn, .va_pager = conn->cn_pager,
                                    .ay_base = base };
    const txn *tx = va->va_txn;
    int rc = EDB_OK;

    if (va->ay_base->sn_schema != tx->tx_schema)
        return edb_fail(EDB_CONFLICT, "another transaction changed the schema (commit %" PRIu64 ") after this one "
                        "began (commit %" PRIu64 "); roll back and retry", va->ay_base->sn_schema, tx->tx_since);
    if (tx->tx_since < va->ay_base->sn_horizon)
        return edb_fail(EDB_HORIZON, "the history this transaction reads was pruned meanwhile; roll it back and retry");
    if (va->ay_base->sn_number > tx->tx_since) {
        rc = validate_unchanged(va);
        for (size_t i = 0; i < n && !rc; i++)
            if (tree_is_real(trees[i]) && !is_dropped(va, trees[i]))
                rc = validate_rows(va, trees[i]);
        if (!rc && tx->tx_isolation == EDB_SERIALIZABLE)
            rc = validate_reads(va);
    }
    if (va->ay_base->sn_number > tx->tx_judged)
        for (size_t i = 0; i < tx->tx_n_unique && !rc; i++)
            if (!is_dropped(va, tx->tx_unique[i].tu_tree))
                rc = validate_unique(va, &tx->tx_unique[i]);
    if (!rc && (tx->tx_unmet || va->ay_base->sn_number > tx->tx_promised))
        rc = validate_promises(va);
    return rc;
}
