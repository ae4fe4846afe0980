/* Tags on entities (tags.h). */
#include "engine/entity/tags.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_promises.h"
#include "engine/entity/tag_text.h"
#include "engine/table/watch.h"
#include "engine/txn/txn_internal.h"

/* ---- one tagging --------------------------------------------------------------------------------------------------- */

/* value NULL: it goes. */
static int write_both(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, const char *value, uint64_t seen_from)
{
    uint8_t key[TAG_KEY_MOST];
    size_t size = posting_store(trees, key, tg);
    int rc;

    if ((rc = txn_put_agreed(stmt, trees->tt_postings, key, size, value, 0, seen_from)))
        return rc;
    size = reverse_store(trees, key, tg);
    return txn_put_agreed(stmt, trees->tt_reverse, key, size, value, 0, seen_from);
}

static int look(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, uint64_t *seen_from, bool *there)
{
    uint8_t key[TAG_KEY_MOST];
    edb_entry entry;
    size_t size = reverse_store(trees, key, tg);
    int rc = now_get(stmt, trees->tt_reverse, key, size, &entry, there);
    *seen_from = entry.seen_from;
    return rc;
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
    return tag_promise_rows(stmt, table->et_id);
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
    uint8_t key[8];
    stmt_view before;
    bool there;

    stmt_view_widen(stmt, &before);
    rowid_store(key, entity);
    int rc = cursor_has(stmt, table->et_id, key, sizeof key, &there);
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

static int interrupted(edb_stmt *stmt)
{
    return conn_interrupted(stmt->st_conn) ? edb_fail(EDB_INTERRUPT, "taking tags away was interrupted") : EDB_OK;
}

static int meet_one(edb_stmt *stmt, const tag_trees *trees, const edb_cursor *cu, met_tags *out)
{
    const edb_entry *at = &cu->at;
    int rc = list_room((void **)&out->mts_tags, &out->mts_room, out->mts_n, sizeof *out->mts_tags);

    if (rc)
        return rc;
    met_tag *met = &out->mts_tags[out->mts_n++];
    if (!reverse_load(trees, &met->mt_tagging, at->key, at->key_size))
        return tagging_forged(cu);
    met->mt_seen_from = at->seen_from;
    return interrupted(stmt);
}

/* The tags that begin with a prefix of reverse's keys, by all own writes. They are all read before the first is written. */
static int meet(edb_stmt *stmt, const tag_trees *trees, const uint8_t *prefix, size_t size, met_tags *out)
{
    bool more = false;
    stmt_view before;
    edb_cursor cu;

    stmt_view_widen(stmt, &before);
    int rc = cursor_open(stmt, trees->tt_reverse, &cu);
    if (!rc) {
        if (!(rc = taggings_seek(&cu, prefix, size, size)))
            rc = taggings_stand(&cu, prefix, size, &more);
        while (!rc && more && !(rc = meet_one(stmt, trees, &cu, out)) && !(rc = cursor_next(&cu)))
            rc = taggings_stand(&cu, prefix, size, &more);
        cursor_close(&cu);
    }
    stmt_view_restore(stmt, &before);
    return rc;
}

/* Takes those that were met away, if rc says that this went well. */
static int take_met(edb_stmt *stmt, const tag_trees *trees, met_tags *met, int rc)
{
    for (size_t i = 0; !rc && i < met->mts_n; i++)
        if (!(rc = write_both(stmt, trees, &met->mts_tags[i].mt_tagging, NULL, met->mts_tags[i].mt_seen_from)))
            rc = interrupted(stmt);
    free(met->mts_tags);
    return rc;
}

static int rows_tags(edb_stmt *stmt, const edb_table *table, int64_t rowid, tag_trees *trees, met_tags *met)
{
    uint8_t prefix[TAG_TYPE + TAG_ENTITY_MOST];
    int rc = tag_trees_find(stmt, trees);

    if (rc || !trees->tt_dictionary || (rc = tag_promise_rows(stmt, table->et_id)))
        return rc;
    return meet(stmt, trees, prefix, entity_prefix(trees, prefix, table->et_id, rowid), met);
}

int tags_row_deleted(edb_stmt *stmt, const edb_table *table, int64_t rowid)
{
    met_tags met = { NULL, 0, 0 };
    tag_trees trees;
    int rc = rows_tags(stmt, table, rowid, &trees, &met);

    return take_met(stmt, &trees, &met, rc);
}

int tags_row_returned(edb_stmt *stmt, const edb_table *table, int64_t rowid)
{
    tag_trees trees;
    int rc = tag_trees_find(stmt, &trees);

    return rc || !trees.tt_dictionary ? rc : tag_promise_returned(stmt, table->et_id, rowid);
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
        rc = rc ? rc : interrupted(stmt);
        if (!rc && size > n && text[n] == ':' && !memcmp(text, ns, n))
            met->mts_tags[kept++] = met->mts_tags[i];
    }
    stmt_view_restore(stmt, &before);
    met->mts_n = kept;
    return rc;
}

/* What follows from it holds only if nobody else gives or takes tags of the table. */
static int meet_of_table(edb_stmt *stmt, uint32_t table, const char *ns, tag_trees *trees, met_tags *met)
{
    uint8_t prefix[TAG_TYPE];
    int rc = tag_trees_find(stmt, trees);

    if (rc || !trees->tt_dictionary || (rc = tag_promise_alone(stmt, table)))
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

    return take_met(stmt, &trees, &met, rc);
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
