/* Commit: validation, net application, publishing. ARCHITECTURE.md, "Transactions", has the protocol and its reasons.
 *
 * txn_prepare takes the committer lock and, against the newest root (the *base*):
 *
 *   1  nobody changed the catalog since T, nor a tree that had to stay as it was;
 *   2  every row written is in the base what it was at T: the same version, or none in both. (Comparing with the newest
 *      version alone would miss a delete whose tombstone a time split has moved to history.)
 *   3  at SERIALIZABLE: every range read is in the base what it was at T;
 *   4  no unique entry collides, if the base is newer than what it was judged on;
 *   5  promises hold (foreign keys), if one was unmet or the base is newer than what they were judged on;
 *   6  the net writes are applied tree by tree, and the states of the changed trees go into the list of trees;
 *   7  the pager makes the record.
 *
 * *Net* means: of each key the newest write that was not rolled back, and of these only what differs from the base
 * (tree_apply drops the rest). A transaction whose net effect is nothing makes no commit. txn_publish then only draws
 * the time and publishes, because SQLite does not listen any more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shared/os.h"
#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

enum { CHANGES_FEW = 64, CHANGES_MANY = 16384 };    /* changes handed to a tree at once: few first, then many */

typedef struct {
    tree_state wt_state;
    bool wt_made;                   /* by this commit */
    bool wt_dirty;                  /* its state must be stored */
} written_tree;

typedef struct {
    edb_conn *cm_conn;
    txn *cm_txn;
    pager *cm_pager;
    pager_commit *cm_commit;
    const snapshot *cm_base;
    written_tree *cm_trees;         /* ascending by id */
    size_t cm_n_trees, cm_trees_room;
    bool cm_catalog;                /* the catalog changed, or a tree was made: nobody else may make one of that id */
} commit;

/* ---- trees of this commit ---------------------------------------------------------------------------------------- */

static size_t tree_place(const commit *cm, uint32_t id)
{
    size_t at = 0;

    while (at < cm->cm_n_trees && cm->cm_trees[at].wt_state.ts_id < id)
        at++;
    return at;
}

static int tree_add(commit *cm, const tree_state *state, bool made, written_tree **out)
{
    size_t at = tree_place(cm, state->ts_id);
    int rc = array_room((void **)&cm->cm_trees, &cm->cm_trees_room, cm->cm_n_trees, sizeof *cm->cm_trees);

    if (rc)
        return rc;
    memmove(cm->cm_trees + at + 1, cm->cm_trees + at, (cm->cm_n_trees - at) * sizeof *cm->cm_trees);
    cm->cm_trees[at] = (written_tree){ .wt_state = *state, .wt_made = made, .wt_dirty = made };
    cm->cm_n_trees++;
    *out = &cm->cm_trees[at];
    return EDB_OK;
}

static int tree_make(commit *cm, uint32_t id, uint8_t key_size, written_tree **out)
{
    tree_state state;
    int rc = tree_create(cm->cm_commit, id, key_size, &state);

    cm->cm_catalog = true;
    return rc ? rc : tree_add(cm, &state, true, out);
}

/* The tree as this commit leaves it so far; NULL when it does not exist. Valid until the next call. */
static int tree_of(commit *cm, uint32_t id, written_tree **out)
{
    size_t at = tree_place(cm, id);
    tree_state state;
    int rc;

    *out = NULL;
    if (at < cm->cm_n_trees && cm->cm_trees[at].wt_state.ts_id == id) {
        *out = &cm->cm_trees[at];
        return EDB_OK;
    }
    rc = tree_state_get(cm->cm_pager, cm->cm_base, id, &state);
    if (rc == EDB_NOSUCH)
        return EDB_OK;
    return rc ? rc : tree_add(cm, &state, false, out);
}

/* Trees made by the transaction and not rolled back. */
static int make_trees(commit *cm)
{
    writeset *ws = cm->cm_txn->tx_writes;
    written_tree *made;
    ws_cursor *wc;
    int rc = EDB_OK;

    if (!ws_has_tree(ws, TREE_META))
        return EDB_OK;
    if ((rc = ws_cursor_open(ws, TREE_META, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->key_size == META_KEY_SIZE && w->key[0] == META_TREE)
            rc = tree_make(cm, meta_tree(w->key), w->value[0], &made);
    }
    ws_cursor_close(wc);
    return rc;
}

/* ---- validation --------------------------------------------------------------------------------------------------- */

/* Whether anybody changed the tree after a moment. */
static int changed_since(commit *cm, uint32_t id, uint64_t moment, bool *out)
{
    tree_state state;
    int rc = tree_state_get(cm->cm_pager, cm->cm_base, id, &state);

    *out = !rc && state.ts_changed > moment;
    return rc == EDB_NOSUCH ? EDB_OK : rc;
}

/* A statement that reads the base with all own writes: it pins nothing, the committer lock keeps the base where it is. */
static int base_statement(commit *cm, edb_stmt **out)
{
    txn *tx = cm->cm_txn;
    edb_stmt *st = calloc(1, sizeof *st);

    if (!st)
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    st->st_conn = cm->cm_conn;
    st->st_root = *cm->cm_base;
    st->st_moment = st->st_now = cm->cm_base->sn_number;
    st->st_schema = tx->tx_schema;
    st->st_serial = tx->tx_serial;
    st->st_writes = tx->tx_writes;
    st->st_seq = UINT64_MAX;
    *out = st;
    return EDB_OK;
}

static void base_statement_free(edb_stmt *st)
{
    if (st->st_now_open)
        tree_cursor_close(&st->st_now_cursor);
    hooks_stmt_free(&st->st_data);
    ws_release(st->st_held);
    free(st);
}

enum { TREE_NAME = 300 };           /* room for a tree's name in a sentence */

/* "table t", or "table 3" where nobody knows its name. */
static const char *tree_named(commit *cm, uint32_t tree, char out[TREE_NAME])
{
    edb_stmt *st;
    int rc = base_statement(cm, &st);

    if (!rc) {
        rc = hooks_name_tree(st, tree, out, TREE_NAME);
        base_statement_free(st);
    }
    if (rc)
        snprintf(out, TREE_NAME, "table %" PRIu32, tree);
    return out;
}

static int conflict_in_row(commit *cm, const ws_entry *w, uint64_t living)
{
    char name[TREE_NAME];
    const char *was = !w->seen_from ? "did not exist" : "existed";
    const char *is = !living ? "does not any more" : !w->seen_from ? "does now" : "was changed since";

    if (w->tree == TREE_CATALOG)
        return edb_fail(EDB_CONFLICT, "the definition of table %" PRId64 " was changed by another transaction; "
                        "roll back and retry", rowid_load(w->key));
    return edb_fail(EDB_CONFLICT, "another transaction changed the same data: row %" PRId64 " of %s %s when this "
                    "transaction looked (commit %" PRIu64 " or later) and %s (commit %" PRIu64 "); roll back and retry",
                    rowid_load(w->key), tree_named(cm, w->tree, name), was, cm->cm_txn->tx_since, is,
                    living ? living : cm->cm_base->sn_number);
}

static int validate_rows(commit *cm, uint32_t id)
{
    tree_version version;
    tree_state state;
    ws_cursor *wc;
    bool changed, living;
    int rc;

    if ((rc = changed_since(cm, id, cm->cm_txn->tx_since, &changed)) || !changed)
        return rc;
    if ((rc = tree_state_get(cm->cm_pager, cm->cm_base, id, &state)) || state.ts_key_size != 8)
        return rc;
    if ((rc = ws_cursor_open(cm->cm_txn->tx_writes, id, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        uint64_t from;
        if ((rc = tree_get(cm->cm_pager, &state, cm->cm_base->sn_number, w->key, w->key_size, &version, &living)))
            break;
        from = living ? version.from : 0;
        if (from != w->seen_from)
            rc = conflict_in_row(cm, w, from);
        else if (conn_interrupted(cm->cm_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    ws_cursor_close(wc);
    return rc;
}

static int conflict_in_read(commit *cm, uint32_t tree)
{
    char name[TREE_NAME];

    return edb_fail(EDB_CONFLICT, "another transaction changed what this one has read in %s (between commits %" PRIu64
                    " and %" PRIu64 "); roll back and retry", tree_named(cm, tree, name), cm->cm_txn->tx_moment,
                    cm->cm_base->sn_number);
}

static int validate_tree(commit *cm, const tree_reads *tr)
{
    bool changed = false;
    tree_state state;
    int rc = tree_state_get(cm->cm_pager, cm->cm_base, tr->tr_tree, &state);

    if (rc || state.ts_changed <= cm->cm_txn->tx_moment)
        return rc;
    if (tr->tr_whole)
        return conflict_in_read(cm, tr->tr_tree);
    for (uint32_t i = 0; i < tr->tr_n && !rc && !changed; i++) {
        const read_range *r = &tr->tr_ranges[i];
        bool open = r->rr_high_size == RANGE_OPEN;
        rc = tree_changed(cm->cm_pager, &state, cm->cm_txn->tx_moment, tr->tr_bytes + r->rr_low, r->rr_low_size,
                          open ? NULL : tr->tr_bytes + r->rr_high, open ? 0 : r->rr_high_size, tr->tr_existence,
                          &changed);
        if (!rc && conn_interrupted(cm->cm_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    return rc || !changed ? rc : conflict_in_read(cm, tr->tr_tree);
}

/* SERIALIZABLE: what was read at T must be so in the base too. Then the transaction could have done all it did at
 * once, behind the base (Kung and Robinson 1981: backward validation). */
static int validate_reads(commit *cm)
{
    const readset *rs = &cm->cm_txn->tx_reads;
    int rc = EDB_OK;

    if (rs->rs_everything)
        return edb_fail(EDB_CONFLICT, "another transaction committed, and memory was too short to note what this one has "
                        "read; roll back and retry");
    for (size_t i = 0; i < rs->rs_n && !rc; i++)
        rc = validate_tree(cm, &rs->rs_trees[i]);
    return rc;
}

static bool same_prefix(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && memcmp(a, b, a_size - 8) == 0;
}

/* Whether the base holds another entry with the prefix that this transaction does not delete. */
static int base_collides(commit *cm, tree_cursor *tc, const ws_entry *w, bool *out)
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
        if (!ws_get(cm->cm_txn->tx_writes, w->tree, v->key, v->key_size, UINT64_MAX, &own)) {
            *out = true;
            break;
        }
    }
    return rc;
}

static int validate_unique(commit *cm, const txn_unique *unique)
{
    writeset *ws = cm->cm_txn->tx_writes;
    bool has_base, collides = false;
    const uint8_t *last = NULL;         /* key of the flagged entry before */
    size_t last_size = 0;
    tree_state state;
    tree_cursor tc;
    ws_cursor *wc;
    int rc;

    rc = tree_state_get(cm->cm_pager, cm->cm_base, unique->tu_tree, &state);
    if (rc && rc != EDB_NOSUCH)
        return rc;
    has_base = !rc;
    if (has_base && (rc = tree_cursor_open(&tc, cm->cm_pager, &state, cm->cm_base->sn_number)))
        return rc;
    if ((rc = ws_cursor_open(ws, unique->tu_tree, UINT64_MAX, &wc)))
        goto close_base;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->flags != WS_UNIQUE)
            continue;
        collides = last && same_prefix(last, last_size, w->key, w->key_size);
        if (!collides && has_base)
            rc = base_collides(cm, &tc, w, &collides);
        if (!rc && collides)
            rc = edb_fail(unique->tu_code, "UNIQUE constraint failed: %s", unique->tu_what);
        else if (!rc && conn_interrupted(cm->cm_conn))
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

static int validate_promises(commit *cm)
{
    txn *tx = cm->cm_txn;
    edb_stmt *st;
    ws_cursor *wc;
    int rc;

    if ((rc = base_statement(cm, &st)))
        return rc;
    if (!(rc = ws_cursor_open(tx->tx_writes, TREE_PROMISES, UINT64_MAX, &wc))) {
        rc = hooks_judge(st, wc, true);
        ws_cursor_close(wc);
    }
    base_statement_free(st);
    return rc;
}

/* A table or index that the transaction dropped: what is in it concerns nobody any more. */
static bool is_dropped(const commit *cm, uint32_t tree)
{
    uint8_t key[META_KEY_SIZE];
    ws_entry known;

    return ws_has_tree(cm->cm_txn->tx_writes, TREE_META)
           && ws_get(cm->cm_txn->tx_writes, TREE_META, meta_key(key, META_DROPPED, tree), sizeof key, UINT64_MAX, &known);
}

/* Trees that had to stay as they were at T. */
static int validate_unchanged(commit *cm)
{
    writeset *ws = cm->cm_txn->tx_writes;
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
        if (!(rc = changed_since(cm, tree, load64(w->value), &changed)) && changed)
            rc = edb_fail(EDB_CONFLICT, "another transaction changed %s while this one altered it or made an index over "
                          "it; roll back and retry", tree_named(cm, tree, name));
    }
    ws_cursor_close(wc);
    return rc;
}

static int validate(commit *cm, const uint32_t *trees, size_t n)
{
    const txn *tx = cm->cm_txn;
    int rc = EDB_OK;

    if (cm->cm_base->sn_schema != tx->tx_schema)
        return edb_fail(EDB_CONFLICT, "another transaction changed the schema (commit %" PRIu64 ") after this one "
                        "began (commit %" PRIu64 "); roll back and retry", cm->cm_base->sn_schema, tx->tx_since);
    if (cm->cm_base->sn_number > tx->tx_since) {
        rc = validate_unchanged(cm);
        for (size_t i = 0; i < n && !rc; i++)
            if (tree_is_real(trees[i]) && !is_dropped(cm, trees[i]))
                rc = validate_rows(cm, trees[i]);
        if (!rc && tx->tx_isolation == EDB_SERIALIZABLE)
            rc = validate_reads(cm);
    }
    if (cm->cm_base->sn_number > tx->tx_judged)
        for (size_t i = 0; i < tx->tx_n_unique && !rc; i++)
            if (!is_dropped(cm, tx->tx_unique[i].tu_tree))
                rc = validate_unique(cm, &tx->tx_unique[i]);
    if (!rc && (tx->tx_unmet || cm->cm_base->sn_number > tx->tx_promised))
        rc = validate_promises(cm);
    return rc;
}

/* ---- net application ---------------------------------------------------------------------------------------------- */

static int changes_room(edb_conn *conn, size_t n)
{
    tree_change *bigger;

    if (conn->cn_changes_room >= n)
        return EDB_OK;
    if (!(bigger = realloc(conn->cn_changes, n * sizeof *bigger)))
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    conn->cn_changes = bigger;
    conn->cn_changes_room = n;
    return EDB_OK;
}

/* The next `room` changes at the write set's cursor. -> how many. */
static size_t take_changes(tree_change *out, size_t room, ws_cursor *wc)
{
    size_t n = 0;

    for (const ws_entry *w; n < room && (w = ws_cursor_at(wc)); ws_cursor_next(wc))
        out[n++] = (tree_change){ .key = w->key, .value = w->value, .key_size = w->key_size,
                                  .value_size = w->value_size, .tombstone = w->flags & WS_TOMBSTONE,
                                .always = w->flags & WS_ALWAYS };
    return n;
}

static int apply_tree(commit *cm, uint32_t id)
{
    edb_conn *conn = cm->cm_conn;
    size_t room = CHANGES_FEW, n;
    written_tree *tree = NULL;
    uint64_t now = pager_commit_number(cm->cm_commit);
    ws_cursor *wc;
    int rc;

    if ((rc = ws_cursor_open(cm->cm_txn->tx_writes, id, UINT64_MAX, &wc)))
        return rc;
    if (!ws_cursor_seek(wc, NULL, 0))
        goto done;                  /* all rolled back */
    if ((rc = tree_of(cm, id, &tree)))
        goto done;
    if (!tree && id == TREE_CATALOG)
        rc = tree_make(cm, id, 8, &tree);
    else if (!tree)
        rc = edb_fail(EDB_MISUSE, "something was written to tree %" PRIu32 ", which does not exist", id);
    if (rc)
        goto done;
    do {
        if ((rc = changes_room(conn, room)))
            goto done;
        if (!(n = take_changes(conn->cn_changes, room, wc)))
            break;
        if ((rc = tree_apply(cm->cm_commit, &tree->wt_state, conn->cn_changes, n)))
            goto done;
        if (conn_interrupted(conn) && (rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing was done")))
            goto done;
        room = CHANGES_MANY;
    } while (n >= CHANGES_FEW);
    tree->wt_dirty |= tree->wt_state.ts_changed == now;
    cm->cm_catalog |= id == TREE_CATALOG && tree->wt_dirty;
done:
    ws_cursor_close(wc);
    return rc;
}

/* Row ids given out stay given out. Alone they are no reason to commit. */
static int apply_ids(commit *cm)
{
    txn *tx = cm->cm_txn;
    written_tree *tree;
    int rc;

    for (size_t i = 0; i < tx->tx_n_ids; i++) {
        const txn_ids *ids = &tx->tx_ids[i];
        uint64_t used = ids->ti_used, far = 0, seq;
        if (ids->ti_has_far && (rc = txn_largest_id(tx, ids->ti_tree, &far, &seq)))
            return rc;
        if (far > used)
            used = far;
        if (!used)
            continue;
        if ((rc = tree_of(cm, ids->ti_tree, &tree)))
            return rc;
        if (tree && tree->wt_state.ts_next_id <= used) {
            tree->wt_state.ts_next_id = used + 1;
            tree->wt_dirty = true;
        }
    }
    return EDB_OK;
}

static bool anything_changed(const commit *cm)
{
    for (size_t i = 0; i < cm->cm_n_trees; i++)
        if (cm->cm_trees[i].wt_dirty)
            return true;
    return false;
}

enum { STATES_RUN = 16 };           /* states stored at once */

typedef struct {                    /* a run of neighbouring elements of the list of trees */
    uint64_t sr_first;
    size_t sr_n;
    uint8_t sr_bytes[STATES_RUN * TREE_STATE_SIZE];
} state_run;

static int run_store(commit *cm, array_state *list, state_run *run)
{
    int rc = EDB_OK;

    if (run->sr_n)
        rc = array_set(cm->cm_commit, list, 0, TREE_STATE_SIZE, run->sr_first, run->sr_bytes, run->sr_n);
    run->sr_first += run->sr_n;
    run->sr_n = 0;
    return rc;
}

/* NULL: a tree that does not exist. */
static int run_add(commit *cm, array_state *list, state_run *run, uint64_t id, const tree_state *state)
{
    uint8_t *element;
    int rc;

    if ((id != run->sr_first + run->sr_n || run->sr_n == STATES_RUN) && (rc = run_store(cm, list, run)))
        return rc;
    if (!run->sr_n)
        run->sr_first = id;
    element = run->sr_bytes + TREE_STATE_SIZE * run->sr_n++;
    memset(element, 0, TREE_STATE_SIZE);
    if (state)
        tree_state_store(element, state);
    return EDB_OK;
}

/* The states of changed trees into the list of trees; ids that nobody got (a tree made and rolled back) become trees
 * that do not exist. */
static int store_states(commit *cm, array_state *list)
{
    state_run run = { .sr_n = 0 };
    uint64_t end = list->ar_count;
    int rc = EDB_OK;

    for (size_t i = 0; i < cm->cm_n_trees && !rc; i++) {
        const written_tree *tree = &cm->cm_trees[i];
        if (!tree->wt_dirty)
            continue;
        for (; end < tree->wt_state.ts_id && !rc; end++)
            rc = run_add(cm, list, &run, end, NULL);
        if (!rc)
            rc = run_add(cm, list, &run, tree->wt_state.ts_id, &tree->wt_state);
        end += end == tree->wt_state.ts_id;
    }
    return rc ? rc : run_store(cm, list, &run);
}

static int apply(commit *cm, const uint32_t *trees, size_t n)
{
    int rc = make_trees(cm);

    for (size_t i = 0; i < n && !rc; i++)
        if (tree_is_real(trees[i]))
            rc = apply_tree(cm, trees[i]);
    if (!rc && anything_changed(cm))
        rc = apply_ids(cm);
    return rc;
}

/* ---- the steps ---------------------------------------------------------------------------------------------------- */

/* Under the committer lock. *publish: there is something to publish, and the record is ready. */
static int prepare_locked(commit *cm, const uint32_t *trees, size_t n, bool *publish)
{
    array_state list = cm->cm_base->sn_trees;
    int rc;

    *publish = false;
    if ((rc = FAILPOINT("txn:locked")) || (rc = validate(cm, trees, n)) || (rc = FAILPOINT("txn:validated"))
        || (rc = apply(cm, trees, n)) || (rc = FAILPOINT("txn:applied")))
        return rc;
    if (!anything_changed(cm))
        return EDB_OK;
    if (cm->cm_conn->cn_commit_ns && (rc = pager_commit_check_time(cm->cm_commit, cm->cm_conn->cn_commit_ns))) {
        cm->cm_conn->cn_commit_ns = 0;
        return rc;
    }
    if ((rc = store_states(cm, &list)) || (rc = pager_commit_prepare(cm->cm_commit, &list, cm->cm_catalog))
        || (rc = FAILPOINT("txn:prepared")))
        return rc;
    *publish = true;
    return EDB_OK;
}

/* Whether any write was not rolled back. */
static int has_writes(writeset *ws, const uint32_t *trees, size_t n, bool *out)
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

static int prepare(edb_conn *conn)
{
    commit cm = { .cm_conn = conn, .cm_txn = &conn->cn_txn, .cm_pager = conn->cn_pager };
    txn *tx = &conn->cn_txn;
    size_t n = ws_trees(tx->tx_writes, NULL, 0);
    uint32_t *trees = malloc(n * sizeof *trees);
    bool publish, any;
    int rc;

    if (!trees)
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    ws_trees(tx->tx_writes, trees, n);
    if ((rc = has_writes(tx->tx_writes, trees, n, &any)))
        goto done;
    if (!any) {
        tx->tx_state = TXN_PREPARED;
        goto done;
    }
    if (tx->tx_isolation == EDB_SERIALIZABLE) {
        watches_note(&tx->tx_reads);
        reads_merge(&tx->tx_reads);
    }
    if ((rc = pager_commit_begin(conn->cn_pager, &conn->cn_interrupted, &cm.cm_commit)))
        goto done;
    cm.cm_base = pager_commit_base(cm.cm_commit);
    rc = prepare_locked(&cm, trees, n, &publish);
    if (rc || !publish) {
        pager_commit_abort(cm.cm_commit);
        cm.cm_commit = NULL;
    } else {
        tx->tx_number = pager_commit_number(cm.cm_commit);
    }
    if (!rc) {
        tx->tx_commit = cm.cm_commit;
        tx->tx_state = TXN_PREPARED;
    }
done:
    if (conn->cn_changes_room > CHANGES_FEW) {
        free(conn->cn_changes);
        conn->cn_changes = NULL;
        conn->cn_changes_room = 0;
    }
    free(cm.cm_trees);
    free(trees);
    return rc;
}

int txn_prepare_alone(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (tx->tx_state != TXN_WRITING)
        return EDB_OK;              /* nothing to do, or done */
    if (!conn->cn_stmts)            /* an interrupt that came when nothing was running */
        atomic_store_explicit(&conn->cn_interrupted, false, memory_order_relaxed);
    if (tx->tx_broken)
        return edb_fail(tx->tx_broken, "memory ran out when a savepoint was set; roll the transaction back");
    if (ws_is_empty(tx->tx_writes)) {
        tx->tx_state = TXN_PREPARED;
        return EDB_OK;
    }
    return prepare(conn);
}

int txn_prepare(edb_conn *conn)
{
    return conn->cn_host || conn->cn_guests ? company_prepare(conn) : txn_prepare_alone(conn);
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
    rc = has_writes(ws, trees, n, out);
    free(trees);
    return rc;
}

/* Keeps what went wrong for edb_conn_wait: SQLite ignores what its xCommit answers. known: nothing was done. */
static void note_lost(edb_conn *conn, int rc, bool known)
{
    conn->cn_lost_code = rc;
    conn->cn_lost_known = known;
    free(conn->cn_lost_message);
    conn->cn_lost_message = strdup(edb_message());
}

void txn_publish(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;
    int64_t ns;
    int rc;

    if (tx->tx_state == TXN_NONE || pager_alive(conn->cn_pager))
        return;
    /* SQLite calls xSync first, but not for a table that was made and dropped in between. */
    if (tx->tx_state == TXN_WRITING && (rc = txn_prepare(conn))) {
        note_lost(conn, rc, true);
        txn_rollback(conn);
        return;
    }
    if (tx->tx_state == TXN_PREPARED && tx->tx_commit) {
        if ((rc = pager_commit_publish(tx->tx_commit, conn->cn_commit_ns, &ns))) {
            note_lost(conn, rc, rc == EDB_COMMIT_TIME);     /* somebody asked about that time meanwhile */
            if (rc == EDB_COMMIT_TIME)
                conn->cn_commit_ns = 0;
        } else {
            conn->cn_last_number = tx->tx_number;
            conn->cn_last_ns = ns;
            conn->cn_commit_ns = 0;
            company_published(conn);
        }
    }
    txn_end(conn);
}
