/* Erasing: what a row was is taken out of every version, index and tagging, by one commit.
 *
 * A statement asks for it (erasure_put), and writes the receipt. The commit of its transaction does it, as a hook under the
 * committer lock, so that both are there or neither:
 *
 *     commits      those that changed the row, its entries and its taggings, by a walk over what commits did
 *     before       the contents of these, as the base has them
 *     rewriting    the row's versions in its table; its entries in indexes, where only the key tells whose they are; its taggings
 *     now          the contents again; where they differ, the commits are reduced (engine/entity/reduced.h)
 *
 * The row must not live any more (or its columns have become NULL): an ordinary transaction did that before, under all constraints. All
 * transactions under way conflict with this commit, since one of them might have seen the row, and write it again. Readers who
 * pinned pages before keep these.
 *
 * Of columns: older versions get NULL. Index entries that were made of an erased value go, and the index does not know of all rows at the
 * moments before (ts_whole), which are read from the table then.
 *
 * Memory: 72 bytes for each commit concerned; 230 for each of at most WINDOW commits that are compared at once. */
#include "engine/upkeep/erasures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/pager/cold.h"
#include "engine/shared/os.h"
#include "engine/entity/reduced.h"
#include "engine/entity/tag_trees.h"
#include "engine/table/ddl.h"
#include "engine/tree/tree_erase.h"
#include "engine/tree/tree_events.h"
#include "engine/txn/commit_trees.h"
#include "engine/txn/txn_internal.h"

#define WINDOW 32768
enum { COLUMNS_MOST = 64, RECEIPT_MOST = 65536 };

typedef struct {                    /* what a transaction is to erase */
    uint64_t toe_receipt;           /* by its key; it may have been rolled back: */
    uint64_t toe_serial, toe_seq;   /* the transaction, and its write that put the receipt */
    uint32_t toe_table;
    int64_t toe_row;
    uint32_t toe_n_columns;         /* 0: all of the row */
    uint32_t toe_columns[COLUMNS_MOST];     /* as places in the table */
} to_erase;

typedef struct {
    to_erase *tob_all;
    size_t tob_n, tob_room;
} to_be_erased;

static void list_free(void *data)
{
    to_be_erased *list = data;

    if (list)
        free(list->tob_all);
    free(list);
}

static int erase_at_commit(edb_conn *conn, struct commit *cm);

static txn_hooks erase_hooks = { .hk_name = "erasing", .hk_commit = erase_at_commit, .hk_conn_free = list_free };

__attribute__((constructor)) static void erase_register(void)
{
    hooks_register(&erase_hooks);
}

/* ---- receipts ------------------------------------------------------------------------------------------------------- */

int erasures_tree(edb_stmt *stmt, uint32_t *tree)
{
    return catalog_tree(stmt, ERASURES_NAME, tree);
}

static int receipt_load(pager *pg, const edb_entry *entry, table_buffer *buffer, const uint8_t **value, size_t *size)
{
    const tree_version version = { .value = entry->value, .value_size = entry->value_size, .overflow = true };

    *value = entry->value;
    *size = entry->value_size;
    if (!entry->overflow)
        return EDB_OK;
    *size = tree_overflow_size(&version);
    buffer_clear(buffer);
    uint8_t *room = *size <= RECEIPT_MOST ? buffer_reserve(buffer, *size) : NULL;
    *value = room;
    if (!room)
        return edb_fail(*size > RECEIPT_MOST ? EDB_CORRUPT : EDB_NOMEM, "a receipt of %zu bytes cannot be read", *size);
    return tree_overflow_read(pg, &version, 0, room, *size);
}

int erasure_read(pager *pg, const edb_entry *entry, table_buffer *buffer, edb_value out[ERASED_N])
{
    const uint8_t *value;
    row_view row;
    size_t size;
    int rc = receipt_load(pg, entry, buffer, &value, &size);

    if (rc)
        return rc;
    bool sound = entry->key_size == 8 && !row_open(&row, value, size) && row.rw_columns == ERASED_N;

    for (uint32_t i = 0; sound && i < ERASED_N; i++) {
        sound = !row_column(&row, i, &out[i]);
        if (sound && i == ERASED_VERSIONS)
            sound = out[i].type == VALUE_INTEGER;
        else if (sound && out[i].type != VALUE_NULL)
            sound = out[i].type == VALUE_TEXT && utf8_valid(out[i].bytes, out[i].size);
    }
    return sound ? EDB_OK : edb_fail(EDB_CORRUPT, "a receipt of what was erased cannot be read");
}

int erasure_of_entry(edb_stmt *stmt, const edb_entry *entry, table_buffer *buffer, edb_value out[ERASED_N])
{
    return erasure_read(stmt->st_conn->cn_pager, entry, buffer, out);
}

/* Versions of the row at all moments that are kept; *lives: there is one now. */
static int versions_of(edb_stmt *stmt, uint32_t table, int64_t id, uint64_t *n, bool *lives)
{
    const tree_state *known;
    uint64_t at = stmt->st_root.sn_number, begun = at;
    uint8_t key[8];
    int rc = stmt_tree(stmt, table, &known);

    *n = 0;
    *lives = false;
    rowid_store(key, id);
    if (rc || !known)
        return rc;
    tree_state state = *known;
    while (!rc && at && at >= state.ts_born && at >= state.ts_horizon) {
        tree_version version;
        bool found;
        rc = tree_version_at(stmt->st_conn->cn_pager, &state, at, key, sizeof key, &version, &found, &begun);
        *lives = *lives || (!rc && found && at == stmt->st_root.sn_number);
        *n += !rc && found;
        at = begun ? begun - 1 : 0;
    }
    return rc;
}

static int column_of(const edb_table *table, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (!table->et_columns[i].hidden && name_same(table->et_columns[i].name, name)) {
            *out = i;
            if ((int)i != table->et_rowid_column && !table->et_columns[i].computed && !table->et_columns[i].tag)
                return EDB_OK;
            return edb_fail(EDB_CANNOT, "column %s of table %s cannot be erased alone: it is the row's key, generated, or its values are "
                            "tags; erase the whole row", name, table->et_name);
        }
    return edb_fail(EDB_NOSUCH, "table %s has no column %s", table->et_name, name);
}

static int columns_of(const edb_table *table, const erasure_request *request, to_erase *out)
{
    int rc = EDB_OK;

    if (request->rqs_n_columns > COLUMNS_MOST)
        return edb_fail(EDB_TOOBIG, "at most %d columns are erased at once", COLUMNS_MOST);
    for (size_t i = 0; !rc && i < request->rqs_n_columns; i++)
        rc = column_of(table, request->rqs_columns[i], &out->toe_columns[out->toe_n_columns++]);
    for (uint32_t i = 0; !rc && request->rqs_n_columns && i < table->et_n_columns; i++)
        if (table->et_columns[i].computed && table->et_columns[i].stored)
            rc = edb_fail(EDB_CANNOT, "table %s keeps generated columns, which may tell of what they are made of; erase the whole "
                          "row", table->et_name);
    return rc;
}

static int receipt_put(edb_stmt *stmt, const erasure_request *request, uint64_t versions, uint64_t *receipt)
{
    edb_value said[ERASED_N];
    uint8_t key[8];
    uint32_t tree;
    int64_t id;
    int rc = erasures_tree(stmt, &tree);

    if (!rc && !tree)
        rc = ddl_create_tree(stmt, ERASURES_NAME, 8, &tree);
    if (rc || (rc = txn_id_next(stmt, tree, &id)))
        return rc;
    memcpy(said, request->rqs_said, sizeof said);
    said[ERASED_VERSIONS] = (edb_value){ .type = VALUE_INTEGER, .integer = (int64_t)versions };
    uint8_t *row = malloc(row_encode_bound(said, ERASED_N));
    if (!row)
        return edb_fail(EDB_NOMEM, "no memory for a receipt");
    size_t size = row_encode(row, said, ERASED_N);
    rowid_store(key, id);
    *receipt = (uint64_t)id;
    if (size > RECEIPT_MOST)
        rc = edb_fail(EDB_TOOBIG, "what is said of an erasure is too long: the receipt has %zu bytes, at most %d fit", size,
                      RECEIPT_MOST);
    if (!rc)
        rc = txn_put(stmt, tree, key, sizeof key, row, size, 0);
    free(row);
    return rc;
}

static int list_add(edb_conn *conn, const to_erase *one)
{
    to_be_erased *list = conn_data(conn, &erase_hooks);

    if (!list) {
        if (!(list = calloc(1, sizeof *list)))
            return edb_fail(EDB_NOMEM, "no memory to erase a row");
        conn_data_set(conn, &erase_hooks, list);
    }
    int rc = list_room((void **)&list->tob_all, &list->tob_room, list->tob_n, sizeof *one);
    if (!rc)
        list->tob_all[list->tob_n++] = *one;
    return rc;
}

int erasure_put(edb_stmt *stmt, const erasure_request *request)
{
    to_erase one = { .toe_row = request->rqs_row };
    edb_table *table;
    uint64_t versions;
    bool lives;
    char name[300];
    int rc = txn_begin_write(stmt);

    if (!rc && request->rqs_said[ERASED_TABLE].size >= sizeof name)
        rc = edb_fail(EDB_NOSUCH, "there is no table of so long a name");
    snprintf(name, sizeof name, "%.*s", (int)request->rqs_said[ERASED_TABLE].size, (const char *)request->rqs_said[ERASED_TABLE].bytes);
    if (rc || (rc = catalog_find(stmt, name, &table)))
        return rc;
    one.toe_table = table->et_id;
    if (!(rc = columns_of(table, request, &one)))
        rc = versions_of(stmt, table->et_id, request->rqs_row, &versions, &lives);
    if (!rc && !versions)
        rc = edb_fail(EDB_NOSUCH, "table %s has no version of such a row at any moment that is kept", table->et_name);
    if (!rc && lives && !one.toe_n_columns)
        rc = edb_fail(EDB_MISUSE, "the row of table %s lives: delete it, commit, and erase it then", table->et_name);
    table_unref(table);
    if (!rc)
        rc = receipt_put(stmt, request, versions, &one.toe_receipt);
    if (!rc) {
        one.toe_serial = stmt->st_conn->cn_txn.tx_serial;
        one.toe_seq = ws_seq(stmt->st_conn->cn_txn.tx_writes);
    }
    return rc ? rc : list_add(stmt->st_conn, &one);
}

/* ---- at COMMIT: what is asked for -------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t eco_number;
    uint8_t eco_before[SHA256_SIZE], eco_now[SHA256_SIZE];
} erased_commit;

typedef struct {
    edb_conn *erw_conn;
    struct commit *erw_cm;
    edb_stmt *erw_stmt;
    pager *erw_pager;
    uint64_t erw_own;               /* the number of this commit */
    const to_erase *erw_one;        /* the first of those done together */
    edb_table *erw_table;
    uint8_t (*erw_keys)[8];         /* of the rows, ascending */
    size_t erw_n;
    uint32_t erw_index;             /* the tree of taggings or the index at hand */
    uint8_t *erw_stays;             /* the key of its entry that stays */
    uint32_t erw_stays_size;
    erased_commit *erw_commits;     /* ascending, when they are sorted */
    size_t erw_n_commits, erw_commits_room;
    tree_masks erw_masks;           /* columns that count as NULL in contents */
    tag_trees erw_tags;
} erasing;

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static bool has_row(const erasing *er, const uint8_t *row_key)
{
    return bsearch(row_key, er->erw_keys, er->erw_n, 8, by_key) != NULL;
}

/* Whether the key of the index at hand is one of the row's, and not that which stays. */
static bool is_entry(void *arg, const uint8_t *key, uint32_t key_size)
{
    const erasing *er = arg;

    return key_size >= 8 && has_row(er, key + key_size - 8)
           && !(er->erw_stays && key_size == er->erw_stays_size && !memcmp(key, er->erw_stays, key_size));
}

static bool is_tagging(void *arg, const uint8_t *key, uint32_t key_size)
{
    const erasing *er = arg;
    uint8_t row[8];
    tagging tg;

    if (!(er->erw_index == er->erw_tags.tt_reverse ? reverse_load : posting_load)(&er->erw_tags, &tg, key, key_size)
        || tg.tg_type != er->erw_table->et_id)
        return false;
    rowid_store(row, tg.tg_entity);
    return has_row(er, row);
}

static bool is_row(void *arg, const uint8_t *key, uint32_t key_size)
{
    return key_size == 8 && has_row(arg, key);
}

static bool column_meant(const erasing *er, uint32_t id)
{
    for (uint32_t i = 0; i < er->erw_one->toe_n_columns; i++) {
        const edb_column *column = &er->erw_table->et_columns[er->erw_one->toe_columns[i]];
        if (column->id == id)
            return true;
        for (uint32_t k = 0; k < column->n_earlier; k++)
            if (column->earlier[k] == id)
                return true;
    }
    return false;
}

/* The row with NULL in the columns meant. */
static int row_reduce(void *arg, const uint8_t *value, size_t size, uint8_t *out, size_t *out_size)
{
    const erasing *er = arg;
    row_view view;
    int rc = EDB_OK;

    if (row_open(&view, value, size))
        return edb_fail(EDB_CORRUPT, "a version of a row of table %s cannot be read: its bytes are damaged", er->erw_table->et_name);
    edb_value *values = malloc((view.rw_columns + 1) * sizeof *values);
    if (!values)
        return edb_fail(EDB_NOMEM, "no memory to erase a row");
    for (uint32_t i = 0; !rc && i < view.rw_columns; i++) {
        values[i].type = VALUE_NULL;
        if (!column_meant(er, i) && row_column(&view, i, &values[i]))
            rc = edb_fail(EDB_CORRUPT, "a version of a row of table %s cannot be read: its bytes are damaged", er->erw_table->et_name);
    }
    uint8_t *row = rc ? NULL : malloc(row_encode_bound(values, view.rw_columns));
    if (!rc && !row)
        rc = edb_fail(EDB_NOMEM, "no memory to erase a row");
    if (!rc) {
        *out_size = row_encode(row, values, view.rw_columns);
        if (*out_size > size)
            rc = edb_fail(EDB_CORRUPT, "a version of a row of table %s is not written as rows are", er->erw_table->et_name);
        else
            memcpy(out, row, *out_size);
    }
    free(row);
    free(values);
    return rc;
}

/* Whether an index holds what is erased. One whose parts or WHERE are computed may. */
static bool index_meant(const erasing *er, const edb_index *index)
{
    if (!er->erw_one->toe_n_columns || index->computes || index->where)
        return true;
    for (uint32_t i = 0; i < index->n_parts; i++)
        if (er->erw_table->et_columns[index->parts[i].column].computed || column_meant(er, er->erw_table->et_columns[index->parts[i].column].id))
            return true;
    return false;
}

/* ---- each tree that holds something -------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t etr_tree;
    bool (*etr_is_key)(void *arg, const uint8_t *key, uint32_t key_size);
    bool etr_index;
} erased_tree;

typedef int (*tree_fn)(erasing *er, const erased_tree *what);

/* The living entry of a row in an index: it stays, with its key at all moments, since nothing erased is in it. */
static int find_what_stays(erasing *er, uint32_t tree)
{
    tree_state state;
    tree_cursor tc;
    int rc = tree_state_get(er->erw_pager, commit_base(er->erw_cm), tree, &state);

    free(er->erw_stays);
    er->erw_stays = NULL;
    if (rc || !er->erw_one->toe_n_columns)
        return rc == EDB_NOSUCH ? EDB_OK : rc;
    if ((rc = tree_cursor_open(&tc, er->erw_pager, &state, FOREVER)))
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid && !er->erw_stays; rc = rc ? rc : tree_cursor_next(&tc)) {
        if (!is_entry(er, tc.tc_at.key, tc.tc_at.key_size))
            continue;
        if (!(er->erw_stays = malloc(tc.tc_at.key_size)))
            rc = edb_fail(EDB_NOMEM, "no memory to erase a row");
        else
            memcpy(er->erw_stays, tc.tc_at.key, er->erw_stays_size = tc.tc_at.key_size);
    }
    tree_cursor_close(&tc);
    return rc;
}

static int each_tree(erasing *er, tree_fn fn)
{
    const edb_table *table = er->erw_table;
    const uint32_t tags[] = { er->erw_tags.tt_postings, er->erw_tags.tt_reverse };
    int rc = fn(er, &(erased_tree){ table->et_id, is_row, false });

    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++) {
        er->erw_index = table->et_indexes[i].tree;
        if (index_meant(er, &table->et_indexes[i]) && !(rc = find_what_stays(er, er->erw_index)))
            rc = fn(er, &(erased_tree){ er->erw_index, is_entry, true });
    }
    for (int i = 0; !rc && i < 2 && tags[0] && !er->erw_one->toe_n_columns; i++) {
        er->erw_index = tags[i];
        rc = fn(er, &(erased_tree){ tags[i], is_tagging, false });
    }
    return rc;
}

/* ---- commits concerned ------------------------------------------------------------------------------------------------------ */

static int note_commit(erasing *er, uint64_t number)
{
    int rc = list_room((void **)&er->erw_commits, &er->erw_commits_room, er->erw_n_commits, sizeof *er->erw_commits);

    if (!rc)
        er->erw_commits[er->erw_n_commits++].eco_number = number;
    return rc;
}

static int note_range(erasing *er, tree_events *tes, const erased_tree *what, const uint8_t *low, size_t low_size, const uint8_t *high,
                      size_t high_size)
{
    const tree_event *te;
    int rc = tree_events_start(tes, low, low_size, high, high_size);

    while (!rc && !(rc = tree_events_next(tes, &te)) && te)
        if (what->etr_is_key(er, te->key, te->key_size))
            rc = note_commit(er, te->at);
    return rc;
}

/* Those that changed an entry of the tree which is to go. */
static int note_commits(erasing *er, const erased_tree *what)
{
    const snapshot *base = commit_base(er->erw_cm);
    tree_events tes;
    tree_state state;
    int rc = tree_state_get(er->erw_pager, base, what->etr_tree, &state);

    if (rc)
        return rc == EDB_NOSUCH ? EDB_OK : rc;
    if ((rc = tree_events_open(&tes, er->erw_pager, &state, 0, base->sn_number)))
        return rc;
    if (!state.ts_key_size)
        rc = note_range(er, &tes, what, NULL, 0, NULL, 0);
    for (size_t i = 0; !rc && state.ts_key_size && i < er->erw_n; i++) {
        uint8_t high[8];
        size_t size = 8;
        memcpy(high, er->erw_keys[i], 8);
        while (size && high[size - 1] == 0xff)
            size--;
        if (size)
            high[size - 1]++;
        rc = note_range(er, &tes, what, er->erw_keys[i], 8, size ? high : NULL, size);
    }
    tree_events_close(&tes);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const erased_commit *)a)->eco_number, y = ((const erased_commit *)b)->eco_number;

    return (x > y) - (x < y);
}

static void sort_commits(erasing *er)
{
    size_t kept = 0;

    if (er->erw_n_commits)
        qsort(er->erw_commits, er->erw_n_commits, sizeof *er->erw_commits, by_number);
    for (size_t i = 0; i < er->erw_n_commits; i++)
        if (!kept || er->erw_commits[kept - 1].eco_number != er->erw_commits[i].eco_number)
            er->erw_commits[kept++] = er->erw_commits[i];
    er->erw_n_commits = kept;
}

/* The contents of the commits concerned, as the trees have them. */
static int contents(erasing *er, const contents_source *source, bool before)
{
    int rc = EDB_OK;

    for (size_t first = 0, end; !rc && first < er->erw_n_commits; first = end) {
        uint64_t low = er->erw_commits[first].eco_number;
        for (end = first + 1; end < er->erw_n_commits && er->erw_commits[end].eco_number - low < WINDOW; end++)
            ;
        uint64_t n = er->erw_commits[end - 1].eco_number - low + 1;
        uint8_t (*hashes)[SHA256_SIZE] = malloc(n * sizeof *hashes);
        rc = hashes ? contents_of(er->erw_pager, source, low - 1, low + n - 1, NULL, hashes)
                    : edb_fail(EDB_NOMEM, "no memory for the contents of %" PRIu64 " commits", n);
        for (size_t i = first; !rc && i < end; i++)
            memcpy(before ? er->erw_commits[i].eco_before : er->erw_commits[i].eco_now, hashes[er->erw_commits[i].eco_number - low],
                   SHA256_SIZE);
        free(hashes);
    }
    return rc;
}

/* ---- rewriting ----------------------------------------------------------------------------------------------------------------- */

static int written_meanwhile(const erasing *er)
{
    return edb_fail(EDB_CONFLICT, "a row of table %s that is to be erased was written by another transaction; roll back, and delete it "
                    "again", er->erw_table->et_name);
}

/* The row does not live, or has NULL where it is to have it. */
static int judge_living(erasing *er)
{
    tree_state state;
    int rc = tree_state_get(er->erw_pager, commit_base(er->erw_cm), er->erw_table->et_id, &state);

    for (size_t i = 0; !rc && i < er->erw_n; i++) {
        tree_version version;
        row_view view;
        bool found;
        rc = tree_get(er->erw_pager, &state, FOREVER, er->erw_keys[i], 8, &version, &found);
        if (rc || !found)
            continue;
        if (!er->erw_one->toe_n_columns)
            return written_meanwhile(er);
        size_t size = version.overflow ? tree_overflow_size(&version) : version.value_size;
        uint8_t *row = malloc(size + 1);
        if (!row)
            return edb_fail(EDB_NOMEM, "no memory to erase a row");
        if (version.overflow)
            rc = tree_overflow_read(er->erw_pager, &version, 0, row, size);
        else
            memcpy(row, version.value, size);
        if (!rc && row_open(&view, row, size))
            rc = row_damaged(er->erw_table, er->erw_one->toe_row);
        for (uint32_t k = 0; !rc && k < view.rw_columns; k++)
            if (column_meant(er, k) && view.rw_types[k] != ROW_NULL)
                rc = edb_fail(EDB_CONFLICT, "a column of table %s that is to be erased has a value in the living row; set it to NULL, "
                              "commit, and erase it then", er->erw_table->et_name);
        free(row);
    }
    return rc;
}

static int rewrite(erasing *er, const erased_tree *what)
{
    commit_trees *trees;
    written_tree *tree;
    int rc = commit_rewrite(er->erw_cm, &trees);

    if (!rc)
        rc = commit_tree(trees, what->etr_tree, &tree);
    if (rc || !tree)
        return rc;
    if (tree->wn_state.ts_changed == er->erw_own)
        return edb_fail(EDB_MISUSE, "table %s was changed by the transaction that erases a row of it; erase in a transaction of its own",
                        er->erw_table->et_name);
    const tree_erasing te = { .ter_keys = (const uint8_t (*)[8])er->erw_keys, .ter_n_keys = er->erw_n, .ter_is_key = what->etr_is_key,
                              .ter_value = what->etr_tree == er->erw_table->et_id && er->erw_one->toe_n_columns ? row_reduce : NULL,
                              .ter_arg = er };
    rc = tree_erase(trees->cmt_commit, &tree->wn_state, &te);
    if (what->etr_index && er->erw_one->toe_n_columns)
        tree->wn_state.ts_whole = er->erw_own;
    commit_tree_dirty(trees, tree);
    return rc;
}

static int reduce(erasing *er)
{
    commit_trees *trees;
    uint32_t tree = 0;
    int rc = commit_rewrite(er->erw_cm, &trees);

    if (!rc)
        rc = commit_trees_store(trees);
    if (!rc)
        rc = contents(er, &(contents_source){ &trees->cmt_list, pager_commit_cold(trees->cmt_commit), commit_base(er->erw_cm)->sn_horizon,
                                            &er->erw_masks }, false);
    for (size_t i = 0; !rc && i < er->erw_n_commits; i++) {
        const erased_commit *one = &er->erw_commits[i];
        if (memcmp(one->eco_before, one->eco_now, SHA256_SIZE))
            rc = reduced_add(er->erw_cm, er->erw_stmt, &tree, one->eco_number, one->eco_before, one->eco_now);
    }
    return rc;
}

/* ---- one table ------------------------------------------------------------------------------------------------------------------- */

static int look_at(erasing *er)
{
    int rc = catalog_table(er->erw_stmt, er->erw_one->toe_table, &er->erw_table);

    if (!rc)
        rc = tag_trees_find(er->erw_stmt, &er->erw_tags);
    if (!rc)
        rc = judge_living(er);
    return rc ? rc : each_tree(er, note_commits);
}

/* Those of the list from `first` on that erase whole rows of one table, or the one that erases columns. -> how many */
static size_t keys_of(erasing *er, const to_erase *all, size_t first, size_t n)
{
    size_t end = first;

    while (end < n && (end == first || (all[end].toe_table == all[first].toe_table && !all[first].toe_n_columns
                                        && !all[end].toe_n_columns))) {
        rowid_store(er->erw_keys[end - first], all[end].toe_row);
        end++;
    }
    er->erw_one = &all[first];
    er->erw_n = end - first;
    qsort(er->erw_keys, er->erw_n, 8, by_key);
    return er->erw_n;
}

typedef int (*rows_fn)(erasing *er);

static int do_rewrite(erasing *er)
{
    int rc = catalog_table(er->erw_stmt, er->erw_one->toe_table, &er->erw_table);

    return rc ? rc : each_tree(er, rewrite);
}

static int each_table(erasing *er, const to_erase *all, size_t n, rows_fn fn)
{
    int rc = EDB_OK;

    for (size_t first = 0; !rc && first < n;) {
        first += keys_of(er, all, first, n);
        rc = fn(er);
        table_unref(er->erw_table);
        er->erw_table = NULL;
    }
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------------- */

/* Takes off the list what was rolled back. */
static int what_stands(erasing *er, to_be_erased *list)
{
    ws_cursor *wc = NULL;
    size_t kept = 0;
    uint32_t tree;
    int rc = erasures_tree(er->erw_stmt, &tree);

    if (!rc && tree)
        rc = ws_cursor_open(er->erw_conn->cn_txn.tx_writes, tree, UINT64_MAX, &wc);
    for (size_t i = 0; !rc && wc && i < list->tob_n; i++) {
        const to_erase *one = &list->tob_all[i];
        uint8_t key[8];
        rowid_store(key, (int64_t)one->toe_receipt);
        const ws_entry *w = ws_cursor_seek(wc, key, sizeof key) ? ws_cursor_at(wc) : NULL;
        if (w && w->key_size == 8 && !memcmp(w->key, key, 8) && w->seq == one->toe_seq
            && er->erw_conn->cn_txn.tx_serial == one->toe_serial)
            list->tob_all[kept++] = *one;
    }
    if (wc)
        ws_cursor_close(wc);
    list->tob_n = kept;
    return rc;
}

static int by_table(const void *a, const void *b)
{
    const to_erase *x = a, *y = b;

    if (x->toe_table != y->toe_table)
        return x->toe_table < y->toe_table ? -1 : 1;
    return (x->toe_n_columns > y->toe_n_columns) - (x->toe_n_columns < y->toe_n_columns);
}

static int erase_all(erasing *er, to_be_erased *list)
{
    const snapshot *base = commit_base(er->erw_cm);
    int rc = what_stands(er, list);

    if (rc || !list->tob_n)
        return rc;
    qsort(list->tob_all, list->tob_n, sizeof *list->tob_all, by_table);
    if (!(er->erw_keys = malloc(list->tob_n * sizeof *er->erw_keys)))
        return edb_fail(EDB_NOMEM, "no memory to erase %zu rows", list->tob_n);
    if ((rc = each_table(er, list->tob_all, list->tob_n, look_at)))
        return rc;
    sort_commits(er);
    rc = masks_of(er->erw_pager, base, &er->erw_masks);
    if (!rc)
        rc = contents(er, &(contents_source){ &base->sn_trees, &base->sn_cold, base->sn_horizon, &er->erw_masks }, true);
    if (!rc)
        rc = FAILPOINT("erase:looked");
    if (!rc)
        rc = each_table(er, list->tob_all, list->tob_n, do_rewrite);
    if (!rc)
        rc = FAILPOINT("erase:rewritten");
    return rc ? rc : reduce(er);
}

static int erase_at_commit(edb_conn *conn, struct commit *cm)
{
    to_be_erased *list = conn_data(conn, &erase_hooks);
    erasing er = { .erw_conn = conn, .erw_cm = cm, .erw_pager = conn->cn_pager, .erw_own = commit_base(cm)->sn_number + 1 };

    if (!list || !list->tob_n)
        return EDB_OK;
    int rc = commit_statement(cm, &er.erw_stmt);
    if (!rc) {
        rc = erase_all(&er, list);
        base_statement_free(er.erw_stmt);
    }
    tree_masks_free(&er.erw_masks);
    free(er.erw_keys);
    free(er.erw_stays);
    free(er.erw_commits);
    return rc;
}
