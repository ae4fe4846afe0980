/* The catalog's part of edb_check: what it says of trees, and rows against index entries.
 *
 *   I32  every table and index of the catalog has its tree, of the right kind, and the header knows of columns without history
 *   I33  every living row has exactly one entry in each index of its table, and an index has no others
 *   I34  no catalog entry is younger than the record's schema number
 *   I35  no living row has an id that is still to be given out
 *   I37  every label is a text, and its value a number
 *   I38  statistics are as many numbers as there should be, none negative
 *
 * For I33 every row's key is built and looked up; since keys end in the row id they differ, so equal counts (I21 has
 * counted both) then mean that there are no other entries. A partial index need not have an entry of each row, and SQL
 * is not understood here: its entries must be as many as rows have one, so that none is left over; whether they are
 * those of the rows its WHERE is true of, the driver asks SQLite (driver/rewrite/partial_indexes.py). Only what lives now is
 * compared: earlier moments were judged by the checks of their time, and cannot have changed since. Virtual columns are
 * computed by SQLite, whose functions are there as soon as any connection has loaded the library; before, of an index
 * over one only the number of entries is judged. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/upkeep/check_internal.h"
#include "engine/upkeep/erasures.h"
#include "engine/eval/generate.h"
#include "engine/entity/labels.h"
#include "engine/entity/reduced.h"
#include "engine/entity/transactions.h"
#include "engine/stats/statistics.h"

typedef struct {
    uint8_t *ky_bytes;
    size_t ky_room;
} key_buffer;

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "memory is exhausted while the file is checked");
}

/* All bytes of a value; *owned must be freed. */
static int load_value(check *ck, const tree_version *v, const uint8_t **bytes, size_t *size, uint8_t **owned)
{
    int rc;

    *owned = NULL;
    *bytes = v->value;
    *size = v->value_size;
    if (!v->overflow)
        return EDB_OK;
    *size = tree_overflow_size(v);
    if (!(*owned = malloc(*size + 1)))
        return no_memory();
    if ((rc = tree_overflow_read(ck->ck_pager, v, 0, *owned, *size))) {
        free(*owned);
        *owned = NULL;
    }
    *bytes = *owned;
    return rc;
}

/* I32. *exists: there is such a tree, and it can be looked into. */
static int check_tree_of(check *ck, const edb_table *table, const char *what, uint32_t tree, uint8_t key_size,
                         tree_state *state, bool *exists)
{
    int rc = tree_state_get(ck->ck_pager, &ck->ck_root, tree, state);

    *exists = !rc && state->ts_key_size == key_size;
    if (rc && rc != EDB_NOSUCH)
        return rc;
    if (rc)
        check_breach(ck, "I32", 0, "table %s: %s has no tree %" PRIu32, table->et_name, what, tree);
    else if (!*exists)
        check_breach(ck, "I32", state->ts_root.page, "tree %" PRIu32 " of table %s has keys of the wrong kind", tree,
                     table->et_name);
    return EDB_OK;
}

/* An indexed column of the row, computed where the row lacks it. */
static int key_value(check *ck, const edb_table *table, const row_view *row, int64_t id, uint32_t column,
                     edb_value *value)
{
    if (column_lacks(&table->et_columns[column], row->rw_columns))
        return generate_get(ck->ck_generator, column, value);
    return row_value(table, row, id, column, value) ? row_damaged(table, id) : EDB_OK;
}

/* Whether the index cannot be judged: where SQLite is not loaded, columns that rows lack cannot be computed. */
static bool index_opaque(const edb_table *table, const edb_index *index)
{
    for (uint32_t i = 0; i < index->n_parts; i++)
        if (table->et_columns[index->parts[i].column].lazy)
            return !generate_possible();
    return false;
}

/* The key a row has in an index. -> its size in *size. */
static int index_key(check *ck, const edb_table *table, const edb_index *index, const row_view *row, int64_t id,
                     key_buffer *key, size_t *size)
{
    edb_value value;
    uint8_t *bigger;
    size_t at = 0;
    int rc;

    for (uint32_t i = 0; i <= index->n_parts; i++) {
        size_t bound = 8;
        if (i < index->n_parts) {
            if ((rc = key_value(ck, table, row, id, index->parts[i].column, &value)))
                return rc;
            bound = key_encode_bound(&value);
        }
        if (!key->ky_bytes || at + bound > key->ky_room) {
            if (!(bigger = realloc(key->ky_bytes, 2 * (at + bound))))
                return no_memory();
            key->ky_bytes = bigger;
            key->ky_room = 2 * (at + bound);
        }
        if (i < index->n_parts)
            at += key_encode(key->ky_bytes + at, &value, index->parts[i].collation, index->parts[i].descending);
    }
    rowid_store(key->ky_bytes + at, id);
    *size = at + 8;
    return EDB_OK;
}

/* I33 and I41 for one row. entries[i]: rows so far with an entry in index i; behind them: values that are tags. */
static int check_row(check *ck, const edb_table *table, const tree_state *indexes, const bool *exists,
                     uint64_t *entries, const tree_version *v, key_buffer *key)
{
    int64_t id = rowid_load(v->key);
    tree_version entry;
    const uint8_t *bytes;
    uint8_t *owned;
    row_view row = { 0 };
    size_t size;
    bool found, began = false;
    int rc;

    if ((rc = load_value(ck, v, &bytes, &size, &owned)))
        return rc;
    if (row_open(&row, bytes, size))
        rc = row_damaged(table, id);
    const generate_row computed = { .gr_table = table, .gr_stored = &row, .gr_rowid = id };
    if (!rc && table->et_has_lazy && generate_possible()) {
        if (!ck->ck_generator)
            rc = generator_new(NULL, &ck->ck_generator);
        if (!rc)
            rc = generate_begin(ck->ck_generator, &computed);
        began = !rc;
    }
    for (uint32_t i = 0; i < table->et_n_indexes && !rc; i++) {
        const edb_index *index = &table->et_indexes[i];
        if (!exists[i] || index_opaque(table, index))
            continue;
        rc = index_key(ck, table, index, &row, id, key, &size);
        if (rc == EDB_EXPRESSION && index->where) {     /* of a row that it does not cover */
            generate_end(ck->ck_generator);
            rc = generate_begin(ck->ck_generator, &computed);
            began = !rc;
            continue;
        }
        if (rc)
            break;
        rc = tree_get(ck->ck_pager, &indexes[i], ck->ck_root.sn_number, key->ky_bytes, size, &entry, &found);
        if (!rc && found)
            entries[i]++;
        else if (!rc && !index->where)
            check_breach(ck, "I33", indexes[i].ts_root.page, "row %" PRId64 " of table %s has no entry in index %s",
                         id, table->et_name, index->name);
    }
    for (uint32_t i = 0; table->et_has_tags && i < table->et_n_columns && !rc; i++) {
        edb_value value;
        if (table->et_columns[i].tag && !(rc = key_value(ck, table, &row, id, i, &value)))
            rc = check_tag_value(ck, table, id, i, &value, &entries[table->et_n_indexes]);
    }
    if (began)
        generate_end(ck->ck_generator);
    /* An expression that fails is the catalog's fault, or of bytes that it does not expect. */
    if (rc == EDB_EXPRESSION) {
        check_breach(ck, "I33", 0, "a generated column of row %" PRId64 " of table %s cannot be "
                     "computed: %s", id, table->et_name, edb_message());
        rc = EDB_OK;
    }
    free(owned);
    return rc;
}

static int check_rows(check *ck, const edb_table *table, const tree_state *state, const tree_state *indexes,
                      const bool *exists, uint64_t *entries)
{
    key_buffer key = { 0 };
    int64_t last = 0;
    tree_cursor tc;
    int rc;

    if ((rc = tree_cursor_open(&tc, ck->ck_pager, state, ck->ck_root.sn_number)))
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = rc ? rc : tree_cursor_next(&tc)) {
        last = rowid_load(tc.tc_at.key);
        rc = check_row(ck, table, indexes, exists, entries, &tc.tc_at, &key);
    }
    tree_cursor_close(&tc);
    free(key.ky_bytes);
    if (!rc && last > 0 && (uint64_t)last >= state->ts_next_id)
        check_breach(ck, "I35", state->ts_root.page, "row %" PRId64 " of table %s has an id that is yet to be given out",
                     last, table->et_name);
    for (uint32_t i = 0; i < table->et_n_indexes && !rc; i++) {
        bool partial = table->et_indexes[i].where;
        uint64_t due = partial ? entries[i] : state->ts_live;
        if (exists[i] && indexes[i].ts_live != due)
            check_breach(ck, "I33", indexes[i].ts_root.page, "index %s has %" PRIu64 " entries for %s%" PRIu64
                         " rows of table %s", table->et_indexes[i].name, indexes[i].ts_live,
                         partial ? "" : "the ", due, table->et_name);
    }
    if (!rc && table->et_has_tags)
        rc = check_tag_columns(ck, table, entries[table->et_n_indexes]);
    return rc;
}

/* I37 */
static void check_label(check *ck, const tree_state *state, const tree_version *v)
{
    const edb_entry entry = { .key_size = v->key_size, .value = v->value, .value_size = v->value_size,
                              .overflow = v->overflow };
    uint64_t place;

    if (!v->key_size || memchr(v->key, 0, v->key_size) || !utf8_valid(v->key, v->key_size)
        || label_place(&entry, &place))
        check_breach(ck, "I37", state->ts_root.page, "a label of %" PRIu32 " bytes, given by commit %" PRIu64
                     ", is none", v->key_size, v->from);
}

/* I49 */
static void check_erasure(check *ck, const tree_state *state, const tree_version *v)
{
    table_buffer buffer = { .bf_bytes = NULL };
    edb_value said[ERASED_N];
    edb_entry entry;

    entry_from_version(v, &entry);
    int rc = erasure_read(ck->ck_pager, &entry, &buffer, said);
    buffer_free(&buffer);
    if (rc)
        check_breach(ck, "I49", state->ts_root.page, "a receipt of %" PRIu32 " bytes, of what commit %" PRIu64 " erased, is none",
                     v->value_size, v->from);
}

/* I38 */
static void check_statistics(check *ck, const tree_state *state, const tree_version *v)
{
    if (v->overflow || !stats_kept_valid(v->key, v->key_size, v->value, v->value_size))
        check_breach(ck, "I38", state->ts_root.page, "statistics of %" PRIu32 " bytes, kept by commit %" PRIu64
                     ", are none", v->value_size, v->from);
}

static int check_entries(check *ck, const tree_state *state,
                         void (*judge)(check *ck, const tree_state *state, const tree_version *v))
{
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, ck->ck_pager, state, ck->ck_root.sn_number);

    if (rc)
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = tree_cursor_next(&tc))
        judge(ck, state, &tc.tc_at);
    tree_cursor_close(&tc);
    return rc;
}

static int check_own_tree(check *ck, const edb_table *tree)
{
    tree_state state;
    bool here;
    int rc;

    bool labels = !strcmp(tree->et_name, LABELS_NAME), statistics = !strcmp(tree->et_name, STATISTICS_NAME);

    if (tag_tree_named(tree->et_name, &(tag_trees){ 0 }))
        return EDB_OK;              /* check_tags.c */
    bool info = !strcmp(tree->et_name, INFO_NAME), actors = !strcmp(tree->et_name, ACTORS_NAME);
    if (info || actors) {           /* check_transactions.c */
        tree_state *place = info ? &ck->ck_info.cki_info : &ck->ck_info.cki_actors;
        rc = check_tree_of(ck, tree, "it", tree->et_id, 0, place, &here);
        *(info ? &ck->ck_info.cki_info_there : &ck->ck_info.cki_actors_there) = !rc && here;
        return rc;
    }
    if (!strcmp(tree->et_name, REDUCED_NAME))       /* verify.c judges what it says */
        return check_tree_of(ck, tree, "it", tree->et_id, 8, &state, &here);
    bool erasures = !strcmp(tree->et_name, ERASURES_NAME);
    if (!labels && !statistics && !erasures) {
        check_breach(ck, "I32", 0, "the catalog has a tree %s that nobody knows", tree->et_name);
        return EDB_OK;
    }
    rc = check_tree_of(ck, tree, "it", tree->et_id, labels ? 0 : 8, &state, &here);
    if (rc || !here)
        return rc;
    return check_entries(ck, &state, labels ? check_label : erasures ? check_erasure : check_statistics);
}

static int check_table(check *ck, const edb_table *table)
{
    tree_state *indexes = calloc(table->et_n_indexes + 1, sizeof *indexes);
    bool *exists = calloc(table->et_n_indexes + 1, sizeof *exists), here;
    uint64_t *entries = calloc(table->et_n_indexes + 1, sizeof *entries);
    tree_state state;
    int rc = indexes && exists && entries ? EDB_OK : no_memory();

    for (uint32_t i = 0; i < table->et_n_indexes && !rc; i++)
        rc = check_tree_of(ck, table, table->et_indexes[i].name, table->et_indexes[i].tree, 0, &indexes[i], &exists[i]);
    if (table->et_unversioned.rmk_n && !pager_has(ck->ck_pager, PAGER_UNVERSIONED))
        check_breach(ck, "I32", 0, "table %s has columns without history, of which the file's header says nothing", table->et_name);
    if (!rc && !(rc = check_tree_of(ck, table, "the table", table->et_id, 8, &state, &here)) && here)
        rc = check_rows(ck, table, &state, indexes, exists, entries);
    free(entries);
    free(exists);
    free(indexes);
    return rc;
}

typedef int (*entry_fn)(check *ck, const tree_state *state, uint64_t from, const edb_table *table, void *arg);

/* Calls fn for every entry of the catalog, with the commit it is of. What is damaged is reported and passed. */
static int each_entry(check *ck, const tree_state *state, entry_fn fn, void *arg)
{
    edb_table *table;
    tree_cursor tc;
    const uint8_t *bytes;
    uint8_t *owned;
    size_t size;
    int rc = tree_cursor_open(&tc, ck->ck_pager, state, ck->ck_root.sn_number);

    if (rc)
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = rc ? rc : tree_cursor_next(&tc)) {
        if ((rc = load_value(ck, &tc.tc_at, &bytes, &size, &owned)))
            break;
        if (!(rc = table_decode(bytes, size, &table))) {
            rc = fn(ck, state, tc.tc_at.from, table, arg);
            table_unref(table);
        }
        rc = arg && rc == EDB_CORRUPT ? EDB_OK : check_damage(ck, rc);     /* the first time round it is not said */
        free(owned);
    }
    tree_cursor_close(&tc);
    return rc;
}

static int find_tags(check *ck, const tree_state *state, uint64_t from, const edb_table *table, void *arg)
{
    uint32_t *place = table->et_kind == CATALOG_TREE ? tag_tree_named(table->et_name, arg) : NULL;

    (void)ck, (void)state, (void)from;
    if (place)
        *place = table->et_id;
    return EDB_OK;
}

static int check_entry(check *ck, const tree_state *state, uint64_t from, const edb_table *table, void *arg)
{
    (void)arg;
    if (from > ck->ck_root.sn_schema)
        check_breach(ck, "I34", state->ts_root.page, "the catalog was changed by commit %" PRIu64 " after schema number %"
                     PRIu64, from, ck->ck_root.sn_schema);
    return table->et_kind == CATALOG_TREE ? check_own_tree(ck, table) : check_table(ck, table);
}

int check_catalog(check *ck)
{
    tag_trees tags = { 0 };
    tree_state state;
    int rc = tree_state_get(ck->ck_pager, &ck->ck_root, TREE_CATALOG, &state);

    if (rc)
        return rc == EDB_NOSUCH ? EDB_OK : rc;      /* no table was ever made */
    if (ck->ck_root.sn_schema > ck->ck_root.sn_number)
        check_breach(ck, "I34", 0, "the schema number is that of a commit that does not exist");
    if (!(rc = each_entry(ck, &state, find_tags, &tags)) && !(rc = check_tags_find(ck, &tags)))
        rc = each_entry(ck, &state, check_entry, NULL);
    if (!rc)
        rc = check_damage(ck, check_tags(ck));
    if (!rc)
        rc = check_transactions(ck);
    return rc;
}
