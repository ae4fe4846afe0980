/* What a statement's root says of trees, and which catalog it sees. */
#include <stdlib.h>

#include "native/hash.h"
#include "engine/txn/txn_internal.h"

/* Statements follow each other at the same root while nobody commits, and within a transaction that writes. */
void stmt_trees_begin(edb_stmt *st)
{
    const snapshot *root = &st->st_root;

    if (st->st_trees_number == root->sn_number && st->st_trees_page == root->sn_trees.ar_root.page)
        return;
    st->st_tree_known = 0;
    st->st_trees_number = root->sn_number;
    st->st_trees_page = root->sn_trees.ar_root.page;
}

int stmt_tree(edb_stmt *st, uint32_t tree, const tree_state **out)
{
    uint32_t at = tree % STMT_TREES;
    int rc;

    if (!(st->st_tree_known >> at & 1) || st->st_tree[at].ts_id != tree) {
        st->st_tree_known &= ~(1u << at);
        rc = tree_state_get(st->st_conn->cn_pager, &st->st_root, tree, &st->st_tree[at]);
        if (rc && rc != EDB_NOSUCH)
            return rc;
        st->st_tree[at].ts_id = tree;
        st->st_tree_exists[at] = !rc;
        st->st_tree_known |= 1u << at;
    }
    *out = st->st_tree_exists[at] ? &st->st_tree[at] : NULL;
    return EDB_OK;
}

int stmt_tree_born(edb_stmt *st, uint32_t tree, uint64_t *out)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    if (!rc)
        *out = !state ? FOREVER : state->ts_whole > state->ts_born ? state->ts_whole : state->ts_born;
    return rc;
}

int stmt_tree_unwritten(edb_stmt *st, uint32_t tree, bool *there, bool *unwritten)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    *there = !rc && state;
    *unwritten = !rc && (!state || (state->ts_changed == state->ts_born && !state->ts_live));
    return rc;
}

int stmt_tree_rows(edb_stmt *st, uint32_t tree, uint64_t *out)
{
    const tree_state *state;
    int rc = stmt_tree(st, tree, &state);

    if (!rc)
        *out = state ? state->ts_live : 0;
    return rc;
}

/* ---- schema ----------------------------------------------------------------------------------------------------- */

/* A hash over keys and commit numbers of the catalog at T. */
static int catalog_fingerprint(edb_stmt *st, uint64_t *out)
{
    const tree_state *state;
    tree_cursor tc;
    uint64_t fingerprint = 0;
    int rc;

    if ((rc = stmt_tree(st, TREE_CATALOG, &state)))
        return rc;
    if (state) {
        if ((rc = tree_cursor_open(&tc, st->st_conn->cn_pager, state, st->st_moment)))
            return rc;
        for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = tree_cursor_next(&tc)) {
            fingerprint = hash_fast(tc.tc_at.key, tc.tc_at.key_size, fingerprint);
            fingerprint = hash_fast(&tc.tc_at.from, sizeof tc.tc_at.from, fingerprint);
        }
        tree_cursor_close(&tc);
    }
    *out = fingerprint;
    return rc;
}

/* The number of a catalog that newer DDL has replaced: the same for the same content. Nothing on disk says when the
 * catalog changed last before T, so the content itself is recognised. */
static uint64_t schema_at(edb_stmt *st)
{
    edb *db = st->st_conn->cn_db;
    uint64_t fingerprint, number = st->st_moment;
    past_schema *more;

    if (st->st_moment >= st->st_root.sn_schema)
        return st->st_root.sn_schema;
    if (catalog_fingerprint(st, &fingerprint))
        return number;              /* unshared, but true: it names this moment's catalog */
    db_lock(db);
    for (size_t i = 0; i < db->db_n_past; i++)
        if (db->db_past[i].sc_fingerprint == fingerprint) {
            number = db->db_past[i].sc_number;
            goto known;
        }
    if ((more = realloc(db->db_past, (db->db_n_past + 1) * sizeof *more))) {
        db->db_past = more;
        db->db_past[db->db_n_past++] = (past_schema){ fingerprint, number };
    }
known:
    db_unlock(db);
    return number;
}

uint64_t stmt_schema(edb_stmt *st)
{
    ws_entry own;

    if (st->st_schema == UINT64_MAX)
        st->st_schema = schema_at(st);
    if (!st->st_past && st->st_writes && ws_has_tree(st->st_writes, TREE_META)
        && ws_get(st->st_writes, TREE_META, META_SCHEMA, 1, st->st_seq, &own))
        return load64(own.value) | SCHEMA_OWN;
    return st->st_schema;
}
