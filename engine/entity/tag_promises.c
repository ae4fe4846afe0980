/* Promises about tags (tag_promises.h). A key has PROMISE_OF_TAGS, the table, the kind, and the row of one that returned. */
#include "engine/entity/tag_promises.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/tag_messages.h"
#include "engine/txn/txn_internal.h"

enum { ROWS = 'r', ALONE = 'a', RETURNED = 'n' };
enum { PROMISE_HEAD = 4, PROMISE_KIND = PROMISE_HEAD + TAG_TYPE, PROMISE_KEY = PROMISE_KIND + 1 };

static int interrupted(edb_stmt *stmt)
{
    return conn_interrupted(stmt->st_conn) ? edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done")
                                           : EDB_OK;
}

/* The tree's state; *changed: somebody else has committed to it since what is promised was looked at. */
static int changed_by_others(edb_stmt *stmt, uint32_t tree, tree_state *state, bool *changed)
{
    const edb_conn *conn = stmt->st_conn;
    int rc = tree_state_get(conn->cn_pager, &stmt->st_root, tree, state);

    *changed = !rc && state->ts_changed > conn->cn_txn.tx_promised;
    return rc == EDB_NOSUCH ? EDB_OK : rc;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static int judge_tagged(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    uint8_t prefix[TAG_TYPE], row[8];
    char name[TABLE_NAME_ROOM];
    bool there = true, first = true;
    int64_t last = 0;
    ws_cursor *wc;
    int rc = ws_cursor_open(stmt->st_conn->cn_txn.tx_writes, trees->tt_reverse, UINT64_MAX, &wc);

    if (rc)
        return rc;
    big32_store(prefix, table);
    for (bool more = ws_cursor_seek(wc, prefix, sizeof prefix); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        tagging tg;
        if (memcmp(w->key, prefix, sizeof prefix) || !reverse_load(trees, &tg, w->key, w->key_size))
            break;                  /* it wrote no others */
        if (w->flags & WS_TOMBSTONE || (!first && tg.tg_entity == last))
            continue;
        first = false;
        last = tg.tg_entity;
        rowid_store(row, last);
        rc = cursor_has(stmt, table, row, sizeof row, &there);
        if (!rc && !there)
            rc = edb_fail(EDB_CONFLICT, "another transaction deleted row %" PRId64 " of %s, which this one tags; roll "
                          "back and retry", last, table_named(stmt, table, name));
        rc = rc ? rc : interrupted(stmt);
    }
    ws_cursor_close(wc);
    return rc;
}

static int judge_deleted(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    uint8_t prefix[TAG_TYPE + TAG_ENTITY_MOST];
    char name[TABLE_NAME_ROOM];
    bool tagged = false;
    ws_cursor *wc = NULL;
    edb_cursor cu;
    int rc = cursor_open(stmt, trees->tt_reverse, &cu);

    if (rc)
        return rc;
    rc = ws_cursor_open(stmt->st_conn->cn_txn.tx_writes, table, UINT64_MAX, &wc);
    for (bool more = !rc && ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (!(w->flags & WS_TOMBSTONE))
            continue;
        size_t size = entity_prefix(trees, prefix, table, rowid_load(w->key));
        if (!(rc = cursor_seek(&cu, prefix, size)))
            rc = taggings_stand(&cu, prefix, size, &tagged);
        if (!rc && tagged)
            rc = edb_fail(EDB_CONFLICT, "another transaction tagged row %" PRId64 " of %s, which this one deletes; roll "
                          "back and retry", rowid_load(w->key), table_named(stmt, table, name));
        rc = rc ? rc : interrupted(stmt);
    }
    ws_cursor_close(wc);
    cursor_close(&cu);
    return rc;
}

static int judge_rows(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    tree_state state;
    bool rows, tags;
    int rc = changed_by_others(stmt, table, &state, &rows);

    if (!rc)
        rc = changed_by_others(stmt, trees->tt_reverse, &state, &tags);
    if (!rc && rows)
        rc = judge_tagged(stmt, trees, table);
    if (!rc && tags)
        rc = judge_deleted(stmt, trees, table);
    return rc;
}

/* ---- returned ------------------------------------------------------------------------------------------------------ */

/* Shows the statement what others have committed, without what this transaction has written. */
static stmt_view view_of_others(edb_stmt *stmt)
{
    const stmt_view own = { .vi_writes = stmt->st_writes, .vi_seq = stmt->st_seq };

    stmt->st_writes = NULL;
    return own;
}

/* Of the row's tags that others have committed, whether there is one that this transaction neither takes nor gives. */
static int tagged_by_others(edb_stmt *stmt, const tag_trees *trees, const uint8_t *prefix, size_t size, bool *out)
{
    const stmt_view own = view_of_others(stmt);
    bool more = false;
    edb_cursor cu;
    int rc = cursor_open(stmt, trees->tt_reverse, &cu);

    *out = false;
    if (!rc) {
        if (!(rc = cursor_seek(&cu, prefix, size)))
            rc = taggings_stand(&cu, prefix, size, &more);
        while (!rc && more && !*out) {
            ws_entry w;
            *out = !ws_get(stmt->st_conn->cn_txn.tx_writes, trees->tt_reverse, cu.at.key, cu.at.key_size, UINT64_MAX, &w);
            if (!(rc = cursor_next(&cu)))
                rc = taggings_stand(&cu, prefix, size, &more);
        }
        cursor_close(&cu);
    }
    stmt_view_restore(stmt, &own);
    return rc;
}

static int judge_returned(edb_stmt *stmt, const tag_trees *trees, const uint8_t *key)
{
    uint32_t table = big32_load(key + PROMISE_HEAD);
    int64_t row = rowid_load(key + PROMISE_KEY);
    uint8_t prefix[TAG_TYPE + TAG_ENTITY_MOST];
    char name[TABLE_NAME_ROOM];
    bool tagged = false;
    tree_state state;
    int rc = changed_by_others(stmt, trees->tt_reverse, &state, &tagged);

    if (rc || !tagged)
        return rc;
    rc = tagged_by_others(stmt, trees, prefix, entity_prefix(trees, prefix, table, row), &tagged);
    if (!rc && tagged)
        rc = edb_fail(EDB_CONFLICT, "another transaction tagged row %" PRId64 " of %s, which this one has deleted and made "
                      "again; roll back and retry", row, table_named(stmt, table, name));
    return rc ? rc : interrupted(stmt);
}

/* ---- alone --------------------------------------------------------------------------------------------------------- */

/* The table's name in what others have committed: this transaction may have dropped it. */
static const char *named_by_others(edb_stmt *stmt, uint32_t table, char out[TABLE_NAME_ROOM])
{
    const stmt_view own = view_of_others(stmt);

    table_named(stmt, table, out);
    stmt_view_restore(stmt, &own);
    return out;
}

static int judge_alone(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    uint8_t low[TAG_TYPE], high[TAG_TYPE];
    char name[TABLE_NAME_ROOM];
    tree_state state;
    bool changed;
    int rc = changed_by_others(stmt, trees->tt_reverse, &state, &changed);

    if (rc || !changed)
        return rc;
    big32_store(low, table);
    memcpy(high, low, sizeof high);
    size_t size = key_behind(high, sizeof high);
    rc = tree_changed(stmt->st_conn->cn_pager, &state, stmt->st_conn->cn_txn.tx_promised, low, sizeof low,
                      size ? high : NULL, size, true, &changed);
    if (!rc && changed)
        rc = edb_fail(EDB_CONFLICT, "another transaction changed tags of rows of %s, while this one dropped it or changed its "
                      "tag columns; roll back and retry", named_by_others(stmt, table, name));
    return rc;
}

/* ---- promising and judging ----------------------------------------------------------------------------------------- */

static int judge_one(edb_stmt *stmt, const tag_trees *trees, const uint8_t *key)
{
    uint32_t table = big32_load(key + PROMISE_HEAD);

    switch (key[PROMISE_KIND]) {
    case ROWS:
        return judge_rows(stmt, trees, table);
    case ALONE:
        return judge_alone(stmt, trees, table);
    default:
        return judge_returned(stmt, trees, key);
    }
}

static int judge(edb_stmt *stmt, ws_cursor *promises, bool at_commit)
{
    const uint32_t whose = PROMISE_OF_TAGS;
    tag_trees trees;
    int rc = EDB_OK;

    if (!at_commit || !ws_cursor_seek(promises, &whose, sizeof whose) || (rc = tag_trees_find(stmt, &trees)))
        return rc;
    for (bool more = true; more && !rc; more = ws_cursor_next(promises)) {
        const ws_entry *w = ws_cursor_at(promises);
        if (!(w->flags & WS_TOMBSTONE))
            rc = judge_one(stmt, &trees, w->key);
    }
    return rc;
}

static txn_hooks promises_hooks = { .hk_name = "promises of tags", .hk_judge = judge, .hk_conn_free = free };

__attribute__((constructor)) static void promises_register(void)
{
    hooks_register(&promises_hooks);
}

static void promise_key(uint8_t key[PROMISE_KEY], uint32_t table, uint8_t kind)
{
    store32(key, PROMISE_OF_TAGS);
    big32_store(key + PROMISE_HEAD, table);
    key[PROMISE_KIND] = kind;
}

static int promise(edb_stmt *stmt, uint32_t table, uint8_t kind)
{
    uint8_t key[PROMISE_KEY];

    promise_key(key, table, kind);
    return txn_promise(stmt, key, sizeof key, "", 0, false, false);
}

typedef struct {                    /* what a connection promised last of rows; spares saying it for each */
    uint64_t prl_stands;            /* txn_stands() then */
    uint32_t prl_table;
    bool prl_made;
} promise_last;

int tag_promise_rows(edb_stmt *stmt, uint32_t table)
{
    edb_conn *conn = stmt_conn(stmt);
    promise_last *last = conn_data(conn, &promises_hooks);
    int rc;

    if (last && last->prl_made && last->prl_table == table && last->prl_stands == txn_stands(conn))
        return EDB_OK;
    if ((rc = promise(stmt, table, ROWS)))
        return rc;
    if (!last && (last = calloc(1, sizeof *last)))
        conn_data_set(conn, &promises_hooks, last);
    if (last)
        *last = (promise_last){ txn_stands(conn), table, true };
    return EDB_OK;
}

int tag_promise_alone(edb_stmt *stmt, uint32_t table)
{
    return promise(stmt, table, ALONE);
}

int tag_promise_returned(edb_stmt *stmt, uint32_t table, int64_t rowid)
{
    uint8_t key[PROMISE_KEY + 8];

    promise_key(key, table, RETURNED);
    rowid_store(key + PROMISE_KEY, rowid);
    return txn_promise(stmt, key, sizeof key, "", 0, false, false);
}
