/* Tags on entities (tags.h). */
#include "engine/entity/tags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_text.h"
#include "engine/table/watch.h"
#include "engine/txn/txn_internal.h"

/* ---- one tagging --------------------------------------------------------------------------------------------------- */

/* value NULL: it goes. */
static int write_both(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, const char *value, uint64_t seen_from)
{
    uint8_t key[TAG_KEY];
    int rc;

    posting_store(key, tg);
    if ((rc = txn_put_agreed(stmt, trees->tt_postings, key, sizeof key, value, 0, seen_from)))
        return rc;
    reverse_store(key, tg);
    return txn_put_agreed(stmt, trees->tt_reverse, key, sizeof key, value, 0, seen_from);
}

static int look(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, uint64_t *seen_from, bool *there)
{
    uint8_t key[TAG_KEY];
    edb_entry entry;

    reverse_store(key, tg);
    int rc = now_get(stmt, trees->tt_reverse, key, sizeof key, &entry, there);
    *seen_from = entry.seen_from;
    return rc;
}

/* ---- promises ------------------------------------------------------------------------------------------------------ */

enum { PROMISE_KEY = 8 };

typedef struct {                    /* what a connection promised last; spares saying it for every row */
    uint64_t prl_stands;             /* txn_stands() then */
    uint32_t prl_table;
    bool prl_made;
} promise_last;

/* Rows of the table were tagged or deleted. */
static int promise(edb_stmt *stmt, uint32_t table);

/* Whether anybody else has changed the tree since what is promised was looked at. */
static int changed_by_others(edb_stmt *stmt, uint32_t tree, bool *out)
{
    const edb_conn *conn = stmt->st_conn;
    tree_state state;
    int rc = tree_state_get(conn->cn_pager, &stmt->st_root, tree, &state);

    *out = !rc && state.ts_changed > conn->cn_txn.tx_promised;
    return rc == EDB_NOSUCH ? EDB_OK : rc;
}

static const char *table_named(edb_stmt *stmt, uint32_t tree, char *out, size_t room)
{
    if (hooks_name_tree(stmt, tree, out, room))
        snprintf(out, room, "table %" PRIu32, tree);
    return out;
}

enum { NAME_ROOM = 300 };

static int row_is_there(edb_stmt *stmt, uint32_t table, int64_t entity, bool *there)
{
    uint8_t key[8];

    rowid_store(key, entity);
    return cursor_has(stmt, table, key, sizeof key, there);
}

/* Rows that this transaction tags. */
static int judge_tagged(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    uint8_t prefix[TAG_TYPE];
    char name[NAME_ROOM];
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
        if (memcmp(w->key, prefix, sizeof prefix))
            break;
        reverse_load(&tg, w->key);
        if (w->flags & WS_TOMBSTONE || (!first && tg.tg_entity == last))
            continue;
        first = false;
        last = tg.tg_entity;
        rc = row_is_there(stmt, table, last, &there);
        if (!rc && !there)
            rc = edb_fail(EDB_CONFLICT, "another transaction deleted row %" PRId64 " of %s, which this one tags; roll "
                          "back and retry", last, table_named(stmt, table, name, sizeof name));
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    ws_cursor_close(wc);
    return rc;
}

/* Rows that it deletes. */
static int judge_deleted(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    uint8_t prefix[TAG_TYPE + TAG_ENTITY];
    char name[NAME_ROOM];
    ws_cursor *wc = NULL;
    edb_cursor cu;
    int rc = cursor_open(stmt, trees->tt_reverse, &cu);

    if (rc)
        return rc;
    big32_store(prefix, table);
    rc = ws_cursor_open(stmt->st_conn->cn_txn.tx_writes, table, UINT64_MAX, &wc);
    for (bool more = !rc && ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (!(w->flags & WS_TOMBSTONE))
            continue;
        memcpy(prefix + TAG_TYPE, w->key, TAG_ENTITY);
        rc = cursor_seek(&cu, prefix, sizeof prefix);
        if (!rc && cu.valid && !memcmp(cu.at.key, prefix, sizeof prefix))
            rc = edb_fail(EDB_CONFLICT, "another transaction tagged row %" PRId64 " of %s, which this one deletes; roll "
                          "back and retry", rowid_load(w->key), table_named(stmt, table, name, sizeof name));
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing of it was done");
    }
    ws_cursor_close(wc);
    cursor_close(&cu);
    return rc;
}

static int judge_table(edb_stmt *stmt, const tag_trees *trees, uint32_t table)
{
    bool rows, tags;
    int rc = changed_by_others(stmt, table, &rows);

    if (!rc)
        rc = changed_by_others(stmt, trees->tt_reverse, &tags);
    if (!rc && rows)
        rc = judge_tagged(stmt, trees, table);
    if (!rc && tags)
        rc = judge_deleted(stmt, trees, table);
    return rc;
}

static int judge_promises(edb_stmt *stmt, ws_cursor *promises, bool at_commit)
{
    const uint32_t whose = PROMISE_OF_TAGS;
    tag_trees trees;
    int rc = EDB_OK;

    if (!at_commit || !ws_cursor_seek(promises, &whose, sizeof whose) || (rc = tag_trees_find(stmt, &trees)))
        return rc;
    for (bool more = true; more && !rc; more = ws_cursor_next(promises))
        if (!(ws_cursor_at(promises)->flags & WS_TOMBSTONE))
            rc = judge_table(stmt, &trees, big32_load(ws_cursor_at(promises)->key + sizeof whose));
    return rc;
}

/* ---- names for errors ---------------------------------------------------------------------------------------------- */

static int name_tagging(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, char *out, size_t room)
{
    uint8_t bytes[TAG_MOST];
    char shown[TAG_SHOWN], table[NAME_ROOM];
    const uint8_t *text;
    uint32_t size;
    int rc = tag_text(stmt, trees, tg->tg_id, bytes, &text, &size);

    if (!rc)
        snprintf(out, room, "the tag \"%s\" of row %" PRId64 " of %s", tag_shown(text, size, shown), tg->tg_entity,
                 table_named(stmt, tg->tg_type, table, sizeof table));
    return rc;
}

static int name_entry(edb_stmt *stmt, uint32_t tree, const uint8_t *key, size_t key_size, char *out, size_t room)
{
    char shown[TAG_SHOWN];
    tag_trees trees;
    tagging tg;
    int rc = tag_trees_find(stmt, &trees);

    if (rc || !trees.tt_dictionary)
        return EDB_NOSUCH;
    if (tree == trees.tt_dictionary)
        snprintf(out, room, "the tag \"%s\" of the dictionary", tag_shown(key, key_size, shown));
    else if (tree == trees.tt_names)
        snprintf(out, room, "the tag of number %" PRId64 " of the dictionary", rowid_load(key));
    else if (tree != trees.tt_postings && tree != trees.tt_reverse)
        return EDB_NOSUCH;
    if (tree == trees.tt_dictionary || tree == trees.tt_names)
        return EDB_OK;
    if (tree == trees.tt_postings)
        posting_load(&tg, key);
    else
        reverse_load(&tg, key);
    return name_tagging(stmt, &trees, &tg, out, room);
}

static const txn_hooks tags_hooks = {
    .hk_name = "tags", .hk_judge = judge_promises, .hk_name_entry = name_entry, .hk_conn_free = free
};

__attribute__((constructor)) static void tags_register(void)
{
    hooks_register(&tags_hooks);
}

static int promise(edb_stmt *stmt, uint32_t table)
{
    edb_conn *conn = stmt_conn(stmt);
    promise_last *last = conn_data(conn, &tags_hooks);
    uint8_t key[PROMISE_KEY];
    int rc;

    if (last && last->prl_made && last->prl_table == table && last->prl_stands == txn_stands(conn))
        return EDB_OK;
    store32(key, PROMISE_OF_TAGS);
    big32_store(key + 4, table);
    if ((rc = txn_promise(stmt, key, sizeof key, "", 0, false, false)))
        return rc;
    if (!last && (last = calloc(1, sizeof *last)))
        conn_data_set(conn, &tags_hooks, last);
    if (last)
        *last = (promise_last){ txn_stands(conn), table, true };
    return EDB_OK;
}

/* ---- giving and taking --------------------------------------------------------------------------------------------- */

static int judge_text(edb_stmt *stmt, const void *text, size_t size)
{
    return tag_judge(text, size, tree_key_max(pager_page_size(stmt->st_conn->cn_pager)));
}

int tag_put_id(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, uint32_t id, bool fresh,
               bool *added)
{
    const tagging tg = { .tg_id = id, .tg_type = table->et_id, .tg_entity = entity };
    uint64_t seen_from = 0;
    bool there = false;
    int rc = fresh ? EDB_OK : look(stmt, trees, &tg, &seen_from, &there);

    if (rc || (rc = write_both(stmt, trees, &tg, "", seen_from)))
        return rc;
    *added = !there;
    return promise(stmt, table->et_id);
}

int tag_put(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, const void *text,
            size_t size, bool *added)
{
    uint32_t id;
    int rc;

    if ((rc = judge_text(stmt, text, size)) || (rc = tag_id_make(stmt, trees, text, size, &id)))
        return rc;
    return tag_put_id(stmt, trees, table, entity, id, false, added);
}

int tag_take(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, const void *text,
             size_t size, bool *removed)
{
    tagging tg = { .tg_type = table->et_id, .tg_entity = entity };
    uint64_t seen_from;
    bool known;
    int rc = tag_id_now(stmt, trees, text, size, &tg.tg_id, &known);

    *removed = false;
    if (rc || !known || (rc = look(stmt, trees, &tg, &seen_from, removed)) || !*removed)
        return rc;
    return write_both(stmt, trees, &tg, NULL, seen_from);
}

/* G6 */
static int judge_namespace(const edb_table *table, const uint8_t *text, size_t size)
{
    char shown[TAG_SHOWN];
    size_t n = tag_namespace_size(text, size);

    for (uint32_t i = 0; table->et_has_tags && i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        if (column->tag && strlen(column->tag) == n && !memcmp(column->tag, text, n))
            return edb_fail(EDB_MISUSE, "the tag \"%s\" is a value of the column %s.%s; it changes with the column",
                            tag_shown(text, size, shown), table->et_name, column->name);
    }
    return EDB_OK;
}

int tag_judge_by_hand(edb_stmt *stmt, const edb_table *table, const void *text, size_t size)
{
    int rc = judge_text(stmt, text, size);

    return rc ? rc : judge_namespace(table, text, size);
}

static int judge_entity(edb_stmt *stmt, const edb_table *table, int64_t entity)
{
    stmt_view before;
    bool there;

    stmt_view_widen(stmt, &before);
    int rc = row_is_there(stmt, table->et_id, entity, &there);
    stmt_view_restore(stmt, &before);
    if (!rc && !there)
        rc = edb_fail(EDB_FOREIGNKEY, "there is no row %" PRId64 " in table %s to be tagged", entity, table->et_name);
    return rc;
}

int tag_add(edb_stmt *stmt, const edb_table *table, int64_t entity, const void *text, size_t size, bool *added)
{
    uint64_t mark = txn_mark(stmt_conn(stmt));
    tag_trees trees;
    int rc = tag_judge_by_hand(stmt, table, text, size);

    if (!rc)
        rc = txn_begin_write(stmt);
    if (!rc)
        rc = judge_entity(stmt, table, entity);
    if (!rc)
        rc = tag_trees_make(stmt, &trees);
    if (!rc)
        rc = tag_put(stmt, &trees, table, entity, text, size, added);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    return rc;
}

int tag_remove(edb_stmt *stmt, const edb_table *table, int64_t entity, const void *text, size_t size, bool *removed)
{
    uint64_t mark = txn_mark(stmt_conn(stmt));
    tag_trees trees;
    int rc = judge_namespace(table, text, size);

    *removed = false;
    if (!rc)
        rc = txn_begin_write(stmt);
    if (!rc)
        rc = tag_trees_find(stmt, &trees);
    if (rc || !trees.tt_dictionary)
        return rc;
    rc = tag_take(stmt, &trees, table, entity, text, size, removed);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    return rc;
}

/* ---- rows that go --------------------------------------------------------------------------------------------------- */

typedef struct {
    tagging mt_tagging;
    uint64_t mt_seen_from;
} met_tag;

typedef struct {
    met_tag *mts_tags;               /* malloc()ed */
    size_t mts_n, mts_room;
} met_tags;

/* The tags that begin with a prefix of reverse's keys, by all own writes. They are all read before the first is written. */
static int meet(edb_stmt *stmt, const tag_trees *trees, const uint8_t *prefix, size_t size, met_tags *out)
{
    stmt_view before;
    edb_cursor cu;

    stmt_view_widen(stmt, &before);
    int rc = cursor_open(stmt, trees->tt_reverse, &cu);
    if (!rc) {
        for (rc = cursor_seek(&cu, prefix, size); !rc && cu.valid && !memcmp(cu.at.key, prefix, size);
             rc = cursor_next(&cu)) {
            if ((rc = array_room((void **)&out->mts_tags, &out->mts_room, out->mts_n, sizeof *out->mts_tags)))
                break;
            met_tag *met = &out->mts_tags[out->mts_n++];
            reverse_load(&met->mt_tagging, cu.at.key);
            met->mt_seen_from = cu.at.seen_from;
        }
        cursor_close(&cu);
    }
    stmt_view_restore(stmt, &before);
    return rc;
}

static int rows_tags(edb_stmt *stmt, const edb_table *table, int64_t rowid, tag_trees *trees, met_tags *met)
{
    uint8_t prefix[TAG_TYPE + TAG_ENTITY];
    int rc = tag_trees_find(stmt, trees);

    if (rc || !trees->tt_dictionary || (rc = promise(stmt, table->et_id)))
        return rc;
    big32_store(prefix, table->et_id);
    rowid_store(prefix + TAG_TYPE, rowid);
    return meet(stmt, trees, prefix, sizeof prefix, met);
}

int tags_row_deleted(edb_stmt *stmt, const edb_table *table, int64_t rowid)
{
    met_tags met = { NULL, 0, 0 };
    tag_trees trees;
    int rc = rows_tags(stmt, table, rowid, &trees, &met);

    for (size_t i = 0; !rc && i < met.mts_n; i++)
        rc = write_both(stmt, &trees, &met.mts_tags[i].mt_tagging, NULL, met.mts_tags[i].mt_seen_from);
    free(met.mts_tags);
    return rc;
}

int tags_row_moved(edb_stmt *stmt, const edb_table *table, int64_t from, int64_t to)
{
    met_tags met = { NULL, 0, 0 };
    tag_trees trees;
    uint64_t seen_from;
    bool there;
    int rc = rows_tags(stmt, table, from, &trees, &met);

    for (size_t i = 0; !rc && i < met.mts_n; i++) {
        tagging *tg = &met.mts_tags[i].mt_tagging;
        rc = write_both(stmt, &trees, tg, NULL, met.mts_tags[i].mt_seen_from);
        tg->tg_entity = to;
        if (!rc)
            rc = look(stmt, &trees, tg, &seen_from, &there);
        if (!rc)
            rc = write_both(stmt, &trees, tg, "", seen_from);
    }
    free(met.mts_tags);
    return rc;
}

/* ---- namespaces ------------------------------------------------------------------------------------------------------ */

/* Of the tags met, those of a namespace. */
static int keep_namespace(edb_stmt *stmt, const tag_trees *trees, const char *ns, met_tags *met)
{
    uint8_t room[TAG_MOST];
    size_t kept = 0, n = strlen(ns);
    const uint8_t *text;
    stmt_view before;
    uint32_t size;
    int rc = EDB_OK;

    stmt_view_widen(stmt, &before);
    for (size_t i = 0; !rc && i < met->mts_n; i++) {
        rc = tag_text(stmt, trees, met->mts_tags[i].mt_tagging.tg_id, room, &text, &size);
        if (!rc && size > n && text[n] == ':' && !memcmp(text, ns, n))
            met->mts_tags[kept++] = met->mts_tags[i];
    }
    stmt_view_restore(stmt, &before);
    met->mts_n = kept;
    return rc;
}

static int meet_of_table(edb_stmt *stmt, uint32_t table, const char *ns, tag_trees *trees, met_tags *met)
{
    uint8_t prefix[TAG_TYPE];
    int rc = tag_trees_find(stmt, trees);

    if (rc || !trees->tt_dictionary)
        return rc;
    big32_store(prefix, table);
    rc = meet(stmt, trees, prefix, sizeof prefix, met);
    return rc || !ns ? rc : keep_namespace(stmt, trees, ns, met);
}

int tags_drop(edb_stmt *stmt, uint32_t table, const char *ns)
{
    met_tags met = { NULL, 0, 0 };
    tag_trees trees;
    int rc = meet_of_table(stmt, table, ns, &trees, &met);

    for (size_t i = 0; !rc && i < met.mts_n; i++)
        rc = write_both(stmt, &trees, &met.mts_tags[i].mt_tagging, NULL, met.mts_tags[i].mt_seen_from);
    free(met.mts_tags);
    return rc;
}

int tags_in_namespace(edb_stmt *stmt, uint32_t table, const char *ns, bool *any)
{
    met_tags met = { NULL, 0, 0 };
    tag_trees trees;
    int rc = meet_of_table(stmt, table, ns, &trees, &met);

    *any = !rc && met.mts_n;
    free(met.mts_tags);
    return rc;
}
