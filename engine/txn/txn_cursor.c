/* Reading for the virtual table: the tree at the statement's moment, and own writes merged over it.
 *
 * cursor_* and cursor_get read at T and see own writes up to the statement's beginning; now_* read the pinned root as
 * it is now and see all own writes. In both an own write hides the tree's version of its key, and an own tombstone
 * hides it without a trace. Where a transaction has not written to a tree, a cursor is the tree's cursor and nothing
 * else (the inline cursor_next of txn.h). */
#include <string.h>

#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

static void entry_from_write(const ws_entry *w, edb_entry *out)
{
    *out = (edb_entry){ .key = w->key, .value = w->value, .key_size = w->key_size, .value_size = w->value_size,
                        .seen_from = w->seen_from };
}

/* The own writes the statement may see of a tree; NULL: none. What it reads of them stays in place until it ends. */
static writeset *own_writes(edb_stmt *st, uint32_t tree)
{
    if (st->st_past || !st->st_writes || !st->st_seq || !ws_has_tree(st->st_writes, tree))
        return NULL;
    if (!st->st_held)
        st->st_held = ws_hold(st->st_writes);
    return st->st_writes;
}

/* All writes of the transaction the statement belongs to; NULL: none to the tree. */
static writeset *all_writes(edb_stmt *st, uint32_t tree)
{
    const txn *tx = &st->st_conn->cn_txn;

    if (st->st_past || st->st_serial != tx->tx_serial || !tx->tx_writes || !ws_has_tree(tx->tx_writes, tree))
        return NULL;
    return tx->tx_writes;
}

static int compare_sides(const tree_version *v, const ws_entry *w)
{
    return key_compare(v->key, v->key_size, w->key, w->key_size);
}

/* Whether reads of the tree are noted. Of the catalog's they need not be: COMMIT fails whenever it changed. Nor of own
 * trees. */
static inline readset *noted(const edb_stmt *st, uint32_t tree, const tree_state *state)
{
    return __builtin_expect(!st->st_reads, 1) || tree == TREE_CATALOG || !state ? NULL : st->st_reads;
}

/* ---- cursors ---------------------------------------------------------------------------------------------------- */

int cursor_open(edb_stmt *st, uint32_t tree, edb_cursor *out)
{
    const tree_state *state;
    writeset *own;
    int rc;

    memset(out, 0, offsetof(edb_cursor, cu_tree));
    out->cu_stmt = st;
    out->cu_writes = NULL;
    out->cu_private = NULL;
    out->cu_tree.tc_valid = false;
    out->cu_tree.tc_held = 0;
    if ((rc = stmt_tree(st, tree, &state)))
        return rc;
    out->cu_base = state && state->ts_born <= st->st_moment;
    if (out->cu_base && (rc = tree_cursor_open(&out->cu_tree, st->st_conn->cn_pager, state, st->st_moment))) {
        out->cu_base = false;
        return rc;
    }
    if ((own = own_writes(st, tree)) && (rc = ws_cursor_open(own, tree, st->st_seq, &out->cu_writes))) {
        cursor_close(out);
        return rc;
    }
    if (noted(st, tree, state))
        watch_new(out, tree, state->ts_key_size == 8);
    /* Without a tree every step takes the merging way, which knows how to do without; and it is the one that notices a
     * turn, which ends a walk. */
    out->cu_own = out->cu_writes || !out->cu_base || out->cu_watch;
    return EDB_OK;
}

int private_new(edb_stmt *st, private_entries **out)
{
    return private_make(st->st_conn->cn_db->db_spill_bytes, out);
}

int cursor_private(edb_stmt *st, private_entries *entries, edb_cursor *out)
{
    uint32_t tree;
    writeset *spilled = private_spilled(entries, &tree);
    int rc = spilled ? EDB_OK : private_ready(entries);

    if (rc)
        return rc;
    memset(out, 0, offsetof(edb_cursor, cu_tree));
    out->cu_stmt = st;
    out->cu_tree.tc_valid = false;
    out->cu_writes = NULL;
    out->cu_private = NULL;
    out->cu_own = true;
    if (spilled)
        return ws_cursor_open(spilled, tree, ws_seq(spilled), &out->cu_writes);
    out->cu_private = private_ref(entries);
    return EDB_OK;
}

void cursor_close(edb_cursor *cu)
{
    if (cursor_watched(cu))
        watch_free(cu);
    if (cu->cu_base)
        tree_cursor_close(&cu->cu_tree);
    ws_cursor_close(cu->cu_writes);
    private_unref(cu->cu_private);
    cu->cu_base = false;
    cu->cu_writes = NULL;
    cu->cu_private = NULL;
    cu->valid = false;
}

int cursor_count(edb_stmt *st, uint32_t tree, uint64_t *out)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    if (rc)
        return rc;
    if (own_writes(st, tree)) {
        edb_cursor cu;
        uint64_t n = 0;
        if ((rc = cursor_open(st, tree, &cu)))
            return rc;
        for (rc = cursor_seek(&cu, NULL, 0); !rc && cu.valid; rc = cursor_next(&cu))
            n++;
        cursor_close(&cu);
        *out = n;
        return rc;
    }
    *out = 0;
    if (noted(st, tree, state))
        reads_tree(st->st_reads, tree, state->ts_key_size == 8);
    if (!state || state->ts_born > st->st_moment)
        return EDB_OK;
    return tree_count(st->st_conn->cn_pager, state, st->st_moment == st->st_root.sn_number ? FOREVER : st->st_moment, out);
}

static bool base_valid(const edb_cursor *cu)
{
    return cu->cu_base && cu->cu_tree.tc_valid;
}

static const ws_entry *own_at(const edb_cursor *cu)
{
    return cu->cu_writes ? ws_cursor_refresh(cu->cu_writes) : NULL;
}

/* Moves the sides that stand on the current key one step in the cursor's direction. */
static int step_sides(edb_cursor *cu)
{
    int rc = EDB_OK;

    if (cu->cu_at_base)
        rc = cu->cu_forward ? tree_cursor_next(&cu->cu_tree) : tree_cursor_prev(&cu->cu_tree);
    if (cu->cu_at_own)
        (void)(cu->cu_forward ? ws_cursor_next(cu->cu_writes) : ws_cursor_prev(cu->cu_writes));
    return rc;
}

/* Chooses the side that comes first, own writes where both have the key; passes keys that own writes deleted. */
static int merge(edb_cursor *cu)
{
    int rc = EDB_OK;

    for (;;) {
        const ws_entry *own = own_at(cu);
        bool base = base_valid(cu);
        int order = base && own ? compare_sides(&cu->cu_tree.tc_at, own) : 0;

        if (!cu->cu_forward)
            order = -order;
        cu->cu_at_base = base && (!own || order <= 0);
        cu->cu_at_own = own && (!base || order >= 0);
        cu->valid = cu->cu_at_base || cu->cu_at_own;
        if (!cu->valid)
            return EDB_OK;
        if (!cu->cu_at_own) {
            entry_from_version(&cu->cu_tree.tc_at, &cu->at);
            return EDB_OK;
        }
        if (!(own->flags & WS_TOMBSTONE)) {
            entry_from_write(own, &cu->at);
            return EDB_OK;
        }
        if ((rc = step_sides(cu))) {
            cu->valid = false;
            return rc;
        }
    }
}

/* Before the first, the place wraps to one that is behind the last. */
static int stand_private(edb_cursor *cu, size_t place)
{
    const keyed_bytes *kv = private_at(cu->cu_private, place);

    cu->cu_place = place;
    cu->valid = kv != NULL;
    if (kv)
        cu->at = (edb_entry){ .key = kv->kv_key, .value = keyed_value(kv), .key_size = kv->kv_key_size,
                              .value_size = kv->kv_value_size };
    return EDB_OK;
}

static int seek_private(edb_cursor *cu, bool forward, const void *key, size_t key_size)
{
    if (forward)
        return stand_private(cu, key ? private_rank(cu->cu_private, key, key_size, false) : 0);
    return stand_private(cu, (key ? private_rank(cu->cu_private, key, key_size, true) : private_count(cu->cu_private)) - 1);
}

static int seek(edb_cursor *cu, bool forward, const void *key, size_t key_size)
{
    int rc = EDB_OK;

    if (cu->cu_private)
        return seek_private(cu, forward, key, key_size);

    if (cursor_watched(cu)) {
        watch_end(cu);
        watch_begin(cu, forward, key, key_size);
    }
    cu->valid = false;
    cu->cu_forward = forward;
    if (cu->cu_base)
        rc = forward ? tree_cursor_seek(&cu->cu_tree, key, key_size) : tree_cursor_seek_last(&cu->cu_tree, key, key_size);
    if (rc)
        return rc;
    if (!cu->cu_own) {
        cursor_from_tree(cu);
        return EDB_OK;
    }
    if (cu->cu_writes)
        (void)(forward ? ws_cursor_seek(cu->cu_writes, key, key_size) : ws_cursor_seek_last(cu->cu_writes, key, key_size));
    return merge(cu);
}

int cursor_seek(edb_cursor *cu, const void *key, size_t key_size)
{
    return seek(cu, true, key, key_size);
}

int cursor_seek_last(edb_cursor *cu, const void *key, size_t key_size)
{
    return seek(cu, false, key, key_size);
}

static int step(edb_cursor *cu, bool forward)
{
    int rc;

    if (!cu->valid)
        return EDB_OK;
    if (cu->cu_private)
        return stand_private(cu, forward ? cu->cu_place + 1 : cu->cu_place - 1);
    /* Turning round: the side that did not give the current key stands beyond it. Start again from the key. */
    if (cu->cu_forward != forward && (rc = seek(cu, forward, cu->at.key, cu->at.key_size)))
        return rc;
    if ((rc = step_sides(cu))) {
        cu->valid = false;
        return rc;
    }
    return merge(cu);
}

int cursor_next_merged(edb_cursor *cu)
{
    return step(cu, true);
}

int cursor_prev_merged(edb_cursor *cu)
{
    return step(cu, false);
}

/* ---- single keys ------------------------------------------------------------------------------------------------ */

/* The tree's version at a moment. near: NULL, or of lookups in this tree at this moment. */
static int base_get(edb_stmt *st, uint32_t tree, uint64_t moment, const void *key, size_t key_size, tree_near *near,
                    tree_version *out, bool *found)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    *found = false;
    if (!rc && noted(st, tree, state))
        reads_point(st->st_reads, tree, state->ts_key_size == 8, key, key_size);
    if (rc || !state || state->ts_born > moment)
        return rc;
    /* A row that is changed is looked at by the scan that finds it and by the change. */
    if (key_size == sizeof st->st_got_key && st->st_got && st->st_got_tree == tree
        && (st->st_got_moment == moment || st->st_got_moment == FOREVER) && load64(key) == st->st_got_key) {
        *out = st->st_got_version;
        *found = st->st_got_found;
        return EDB_OK;
    }
    if (near)
        rc = tree_get_near(st->st_conn->cn_pager, state, moment, key, key_size, near, out, found);
    else
        rc = tree_get(st->st_conn->cn_pager, state, moment, key, key_size, out, found);
    if (!rc && key_size == sizeof st->st_got_key) {
        st->st_got = true;
        st->st_got_found = *found;
        st->st_got_tree = tree;
        st->st_got_moment = moment;
        st->st_got_key = load64(key);
        if (*found)
            st->st_got_version = *out;
    }
    return rc;
}

void stmt_row_absent(edb_stmt *st, uint32_t tree, const uint8_t key[8])
{
    st->st_got = true;
    st->st_got_found = false;
    st->st_got_tree = tree;
    st->st_got_moment = FOREVER;
    st->st_got_key = load64(key);
}

void stmt_row_met(edb_stmt *st, uint32_t tree, const edb_entry *entry)
{
    if (!entry->from || entry->key_size != sizeof st->st_got_key || st->st_root.sn_number != st->st_moment)
        return;                     /* an own write, or there may be a younger version */
    st->st_got = st->st_got_found = true;
    st->st_got_tree = tree;
    st->st_got_moment = st->st_moment;
    st->st_got_key = load64(entry->key);
    st->st_got_version = (tree_version){ .key = entry->key, .value = entry->value, .key_size = entry->key_size,
                                         .value_size = entry->value_size, .from = entry->from, .overflow = entry->overflow };
}

bool stmt_row_stands(edb_stmt *st, uint32_t tree, const edb_entry *entry)
{
    writeset *own = all_writes(st, tree);
    ws_entry write;

    return entry->from && st->st_root.sn_number == st->st_moment
           && !(own && ws_get(own, tree, entry->key, entry->key_size, UINT64_MAX, &write));
}

/* What an own write says of its key; -> false: there is none. */
static bool own_get(writeset *own, uint32_t tree, const void *key, size_t key_size, uint64_t seq, edb_entry *out,
                    bool *found)
{
    ws_entry write;

    if (!own || !ws_get(own, tree, key, key_size, seq, &write))
        return false;
    entry_from_write(&write, out);
    *found = !(write.flags & WS_TOMBSTONE);
    return true;
}

int cursor_has(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, bool *found)
{
    readset *reads = st->st_reads;
    const tree_state *state;
    edb_entry entry;
    int rc;

    if (!reads)
        return cursor_get(st, tree, key, key_size, &entry, found);
    st->st_reads = NULL;
    rc = cursor_get(st, tree, key, key_size, &entry, found);
    st->st_reads = reads;
    if (!rc && !(rc = stmt_tree(st, tree, &state)) && noted(st, tree, state))
        reads_existence(reads, tree, state->ts_key_size == 8, key, key_size);
    return rc;
}

int cursor_which(edb_stmt *st, uint32_t tree, const uint8_t *keys, size_t key_size, size_t n, bool *found)
{
    writeset *own = own_writes(st, tree);
    const tree_state *state;
    edb_entry entry;
    int rc = stmt_tree(st, tree, &state);

    if (rc || noted(st, tree, state)) {
        for (size_t i = 0; i < n && !rc; i++)
            rc = cursor_has(st, tree, keys + i * key_size, key_size, &found[i]);
        return rc;
    }
    memset(found, 0, n * sizeof *found);
    if (state && state->ts_born <= st->st_moment)
        rc = tree_which(st->st_conn->cn_pager, state, st->st_moment, keys, key_size, n, found);
    for (size_t i = 0; own && i < n && !rc; i++)
        (void)own_get(own, tree, keys + i * key_size, key_size, st->st_seq, &entry, &found[i]);
    return rc;
}

int cursor_get_near(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, tree_near *near, edb_entry *out,
                    bool *found)
{
    tree_version version;
    bool there;
    int rc;

    if (own_get(own_writes(st, tree), tree, key, key_size, st->st_seq, out, found))
        return EDB_OK;
    if ((rc = base_get(st, tree, st->st_moment, key, key_size, near, &version, &there)))
        return rc;
    if (there)
        entry_from_version(&version, out);
    else
        out->seen_from = 0;
    *found = there;
    return EDB_OK;
}

int cursor_get(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    return cursor_get_near(st, tree, key, key_size, NULL, out, found);
}

int cursor_get_absent(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    const tree_state *state;
    int rc;

    if (own_get(own_writes(st, tree), tree, key, key_size, st->st_seq, out, found))
        return EDB_OK;
    *found = false;
    out->seen_from = 0;
    if (__builtin_expect(!st->st_reads, 1))
        return EDB_OK;
    if (!(rc = stmt_tree(st, tree, &state)) && noted(st, tree, state))
        reads_point(st->st_reads, tree, state->ts_key_size == 8, key, key_size);
    return rc;
}

bool cursor_may_have_own(edb_stmt *st, uint32_t tree)
{
    return st->st_reads || own_writes(st, tree);
}

/* What txn_put wants to know of an entry found living now: the version of it visible at T. */
static int seen_at_moment(edb_stmt *st, uint32_t tree, edb_entry *entry, const void *key, size_t key_size)
{
    tree_version version;
    bool there;
    int rc;

    if (entry->from && entry->from <= st->st_moment)
        return EDB_OK;              /* living now and not younger than T: it is the one */
    entry->seen_from = 0;
    if (st->st_root.sn_number == st->st_moment)
        return EDB_OK;
    if (!(rc = base_get(st, tree, st->st_moment, key, key_size, NULL, &version, &there)) && there)
        entry->seen_from = version.from;
    return rc;
}

static int get_at(edb_stmt *st, uint64_t moment, uint32_t tree, const void *key, size_t key_size, edb_entry *out,
                  bool *found)
{
    tree_version version;
    bool there;
    int rc;

    if (own_get(all_writes(st, tree), tree, key, key_size, UINT64_MAX, out, found))
        return EDB_OK;
    if ((rc = base_get(st, tree, moment, key, key_size, NULL, &version, &there)))
        return rc;
    if (there)
        entry_from_version(&version, out);
    else
        out->from = 0;
    if ((rc = seen_at_moment(st, tree, out, key, key_size)))
        return rc;
    *found = there;
    return EDB_OK;
}

int now_get(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    return get_at(st, st->st_now, tree, key, key_size, out, found);
}

int now_peek(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    readset *reads = st->st_reads;
    int rc;

    st->st_reads = NULL;
    rc = now_get(st, tree, key, key_size, out, found);
    st->st_reads = reads;
    return rc;
}

int now_peek_absent(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    if (own_get(all_writes(st, tree), tree, key, key_size, UINT64_MAX, out, found))
        return EDB_OK;
    out->from = out->seen_from = 0;
    *found = false;
    return EDB_OK;
}

int newest_get(edb_stmt *st, uint32_t tree, const void *key, size_t key_size, edb_entry *out, bool *found)
{
    return get_at(st, st->st_root.sn_number, tree, key, key_size, out, found);
}

/* ---- prefixes --------------------------------------------------------------------------------------------------- */

static bool has_prefix(const uint8_t *key, uint32_t key_size, const void *prefix, size_t size)
{
    return key_size >= size && memcmp(key, prefix, size) == 0;
}

/* The statement's cursor over what is now; kept for the next question about the same tree. NULL: the tree is not in it. */
static int now_cursor(edb_stmt *st, uint32_t tree, tree_cursor **out)
{
    const tree_state *state;
    int rc;

    *out = &st->st_now_cursor;
    if (st->st_now_open && st->st_now_tree == tree)
        return EDB_OK;
    if (st->st_now_open)
        tree_cursor_close(&st->st_now_cursor);
    st->st_now_open = false;
    *out = NULL;
    if ((rc = stmt_tree(st, tree, &state)) || !state || state->ts_born > st->st_now)
        return rc;
    if ((rc = tree_cursor_open(&st->st_now_cursor, st->st_conn->cn_pager, state, st->st_now)))
        return rc;
    st->st_now_open = true;
    st->st_now_tree = tree;
    *out = &st->st_now_cursor;
    return EDB_OK;
}

static int note_prefix(edb_stmt *st, uint32_t tree, const void *prefix, size_t size)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    if (!rc && noted(st, tree, state))
        reads_prefix(st->st_reads, tree, state->ts_key_size == 8, prefix, size);
    return rc;
}

/* The first key of the tree with the prefix that own writes do not hide, and that is before `own` if that is given. */
static int base_prefix(edb_stmt *st, uint32_t tree, writeset *hiding, const void *prefix, size_t size,
                       const ws_entry *own, tree_version *out, bool *found)
{
    tree_cursor *tc;
    ws_entry write;
    int rc;

    *found = false;
    if (__builtin_expect(st->st_reads != NULL, 0) && (rc = note_prefix(st, tree, prefix, size)))
        return rc;
    if ((rc = now_cursor(st, tree, &tc)) || !tc)
        return rc;
    for (rc = tree_cursor_seek(tc, prefix, size); !rc && tc->tc_valid; rc = tree_cursor_next(tc)) {
        const tree_version *v = &tc->tc_at;
        if (!has_prefix(v->key, v->key_size, prefix, size) || (own && compare_sides(v, own) > 0))
            return EDB_OK;
        if (!hiding || !ws_get(hiding, tree, v->key, v->key_size, UINT64_MAX, &write)) {
            *out = *v;
            *found = true;
            return EDB_OK;
        }
    }
    return rc;
}

/* The first own entry with the prefix. */
static int own_prefix(writeset *own, uint32_t tree, const void *prefix, size_t size, bool whole, ws_entry *out,
                      bool *found)
{
    ws_cursor *wc;
    int rc;

    *found = false;
    if (!own || (whole && !ws_may_have_unique(own, tree, prefix, size)))
        return EDB_OK;
    if (!ws_runs(own)) {
        *found = ws_first_in_list(own, tree, prefix, size, out);
        return EDB_OK;
    }
    if (!ws_has_prefix(own, tree, prefix, size))
        return EDB_OK;
    if ((rc = ws_cursor_open(own, tree, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, prefix, size); more; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (!has_prefix(w->key, w->key_size, prefix, size))
            break;
        if (!(w->flags & WS_TOMBSTONE)) {
            *out = *w;
            *found = true;
            break;
        }
    }
    ws_cursor_close(wc);
    return EDB_OK;
}

int now_prefix(edb_stmt *st, uint32_t tree, const void *prefix, size_t size, bool whole, edb_entry *out, bool *found)
{
    writeset *own = all_writes(st, tree);
    tree_version version;
    ws_entry write;
    bool own_found, base_found;
    int rc;

    if ((rc = own_prefix(own, tree, prefix, size, whole, &write, &own_found)))
        return rc;
    if ((rc = base_prefix(st, tree, own, prefix, size, own_found ? &write : NULL, &version, &base_found)))
        return rc;
    *found = own_found || base_found;
    if (base_found) {
        entry_from_version(&version, out);
        return seen_at_moment(st, tree, out, out->key, out->key_size);
    }
    if (own_found)
        entry_from_write(&write, out);
    return EDB_OK;
}

/* ---- values and figures ----------------------------------------------------------------------------------------- */

static tree_version version_of(const edb_entry *entry)
{
    return (tree_version){ .key = entry->key, .value = entry->value, .key_size = entry->key_size,
                           .value_size = entry->value_size, .from = entry->from, .overflow = entry->overflow };
}

uint64_t entry_size(const edb_entry *entry)
{
    const tree_version version = version_of(entry);

    return entry->overflow ? tree_overflow_size(&version) : entry->value_size;
}

int entry_load(edb_stmt *st, const edb_entry *entry, void *out)
{
    const tree_version version = version_of(entry);

    if (entry->overflow)
        return tree_overflow_read(st->st_conn->cn_pager, &version, 0, out, tree_overflow_size(&version));
    if (entry->value_size)
        memcpy(out, entry->value, entry->value_size);
    return EDB_OK;
}

bool conn_look(edb_conn *conn, uint32_t tree, tree_look *out)
{
    const edb_stmt *open = conn->cn_stmts;
    snapshot root;

    if (conn_check(conn))
        return false;
    out->lo_pager = conn->cn_pager;
    if (!open && pager_pin(conn->cn_pager, conn->cn_slot, PIN_PUBLISHED, &root))
        return false;
    if (!tree_state_get(conn->cn_pager, open ? &open->st_root : &root, tree, &out->lo_tree))
        return true;
    conn_looked(conn);
    return false;
}

bool stmt_look(edb_stmt *st, uint32_t tree, tree_look *out)
{
    const tree_state *state;

    if (stmt_tree(st, tree, &state) || !state)
        return false;
    *out = (tree_look){ .lo_pager = st->st_conn->cn_pager, .lo_tree = *state };
    return true;
}

void conn_looked(edb_conn *conn)
{
    conn_announce(conn);
}

uint64_t conn_tree_rows(edb_conn *conn, uint32_t tree)
{
    tree_look look;
    uint64_t rows;

    if (!conn_look(conn, tree, &look))
        return 0;
    rows = look.lo_tree.ts_live;
    conn_looked(conn);
    return rows;
}
