/* Many rows put into a table (put_many.h). */
#include "engine/entity/put_many.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/marshal.h"
#include "engine/catalog/affinity.h"
#include "engine/entity/tag_batch.h"
#include "engine/eval/evaluator.h"
#include "engine/filters/filters.h"

enum { INTERRUPT_EVERY = 256 };     /* rows */

typedef struct {
    edb_stmt *pm_stmt;
    constraints *pm_constraints;
    row_scratch *pm_row;
    edb_put *pm_put;
    edb_table *pm_table;            /* counted */
    uint32_t *pm_columns;           /* of place i of a row: the column */
    bool *pm_given;                 /* by column */
    const edb_index *pm_key;        /* the primary key's index; NULL: the row id is the key, or there is none */
    filter_view *pm_filter;         /* of the table's row ids; NULL: they are not given, or there is none */
    tag_batch *pm_tags;             /* NULL: none are given */
    marshal_reader pm_rows, pm_row_tags;
    arena pm_memory;                /* of the row at hand */
} putting;

static int column_of(const edb_table *table, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (!table->et_columns[i].hidden && name_same(table->et_columns[i].name, name)) {
            *out = i;
            return table->et_columns[i].computed
                       ? edb_fail(EDB_MISUSE, "%s.%s is a generated column and cannot be put", table->et_name, name)
                       : EDB_OK;
        }
    return edb_fail(EDB_NOSUCH, "table %s has no column named %s", table->et_name, name);
}

static int find_columns(putting *pm)
{
    const edb_put *put = pm->pm_put;
    const edb_table *table = pm->pm_table;
    int rc = EDB_OK;

    pm->pm_columns = calloc(put->n_columns + 1, sizeof *pm->pm_columns);
    pm->pm_given = calloc(table->et_n_columns + 1, sizeof *pm->pm_given);
    if (!pm->pm_columns || !pm->pm_given)
        return edb_fail(EDB_NOMEM, "no memory to put rows into table %s", table->et_name);
    for (uint32_t i = 0; i < put->n_columns && !rc; i++) {
        rc = column_of(table, put->columns[i], &pm->pm_columns[i]);
        if (!rc && pm->pm_given[pm->pm_columns[i]])
            rc = edb_fail(EDB_MISUSE, "the column %s.%s is given twice", table->et_name, put->columns[i]);
        if (!rc)
            pm->pm_given[pm->pm_columns[i]] = true;
    }
    return rc;
}

/* The primary key, if rows can be found by what is given. */
static void find_key(putting *pm)
{
    const edb_table *table = pm->pm_table;

    for (uint32_t i = 0; table->et_rowid_column < 0 && i < table->et_n_indexes; i++) {
        const edb_index *index = &table->et_indexes[i];
        bool whole = index->primary_key;
        for (uint32_t k = 0; k < index->n_parts; k++)
            whole &= pm->pm_given[index->parts[k].column];
        if (whole)
            pm->pm_key = index;
    }
}

/* ---- one row ------------------------------------------------------------------------------------------------------- */

static int bad_value(const putting *pm, uint32_t column, int code)
{
    const char *name = pm->pm_table->et_columns[column].name, *table = pm->pm_table->et_name;

    if (code == MARSHAL_TOO_BIG)
        return edb_fail(EDB_TOOBIG, "the integer for %s.%s does not fit in 64 bits", table, name);
    return edb_fail(EDB_MISUSE, "the value for %s.%s is no None, int, float, str or bytes", table, name);
}

/* The values that are given, under the affinities of their columns. */
static int read_values(putting *pm)
{
    edb_value *values = pm->pm_row->sw_values;
    size_t n;
    int code = marshal_read_list(&pm->pm_rows, &n), rc = EDB_OK;

    if (code || n != pm->pm_put->n_columns)
        return code ? edb_fail(EDB_MISUSE, "it is no tuple of values")
                    : edb_fail(EDB_MISUSE, "it has %zu values for %u columns", n, pm->pm_put->n_columns);
    for (size_t i = 0; i < n && !rc; i++) {
        uint32_t column = pm->pm_columns[i];
        edb_value value;
        if ((code = marshal_read(&pm->pm_rows, &value)))
            return bad_value(pm, column, code);
        rc = affinity_apply(&value, pm->pm_table->et_columns[column].affinity, &pm->pm_memory, &values[column]);
    }
    return rc;
}

static int fill_defaults(putting *pm)
{
    const edb_table *table = pm->pm_table;
    edb_value *values = pm->pm_row->sw_values;
    int rc = EDB_OK;

    for (uint32_t i = 0; i < table->et_n_columns && !rc; i++) {
        if (pm->pm_given[i] || table->et_columns[i].computed)
            continue;
        values[i].type = VALUE_NULL;
        if (table->et_columns[i].has_default && (int)i != table->et_rowid_column)
            rc = evaluate_default(stmt_conn(pm->pm_stmt), table, i, &pm->pm_row->sw_computed, &values[i]);
    }
    return rc;
}

/* The row of a given id. */
static int load_row(putting *pm, int64_t rowid, table_row *old, bool *found)
{
    const edb_table *table = pm->pm_table;
    uint64_t touched = tree_touched;
    uint8_t key[8];

    rowid_store(key, rowid);
    if (filter_denies(pm->pm_filter, key, sizeof key)) {
        stmt_row_absent(pm->pm_stmt, table->et_id, key);
        return table_row_load(pm->pm_row, pm->pm_stmt, table, rowid, old, found);
    }
    int rc = table_row_load(pm->pm_row, pm->pm_stmt, table, rowid, old, found);
    if (!rc)
        filter_looked(pm->pm_filter, 1, !*found, tree_touched - touched, false);
    return rc;
}

/* The row that has the key of the one at hand; *fresh: none can have. */
static int find_row(putting *pm, int64_t *rowid, bool *fresh, table_row *old, bool *found)
{
    const edb_table *table = pm->pm_table;
    row_scratch *sw = pm->pm_row;
    const edb_value *id = table->et_rowid_column < 0 ? NULL : &sw->sw_values[table->et_rowid_column];
    int rc = EDB_OK;

    *fresh = *found = false;
    if (id && pm->pm_given[table->et_rowid_column] && id->type != VALUE_NULL) {
        if (id->type != VALUE_INTEGER)
            return edb_fail(EDB_MISMATCH, "datatype mismatch");
        *rowid = id->integer;
        return load_row(pm, *rowid, old, found);
    }
    if (pm->pm_key && !(rc = table_conflict(sw, pm->pm_stmt, table, pm->pm_key, 0, sw->sw_values, found, rowid)) && *found)
        rc = table_row_load(sw, pm->pm_stmt, table, *rowid, old, found);
    if (rc || *found)
        return rc;
    *fresh = true;
    rc = txn_id_next(pm->pm_stmt, table->et_id, rowid);
    return rc == EDB_FULL && !table->et_autoincrement ? txn_id_random(pm->pm_stmt, table->et_id, rowid) : rc;
}

static int insert_row(putting *pm, int64_t rowid, bool fresh)
{
    const edb_table *table = pm->pm_table;
    row_scratch *sw = pm->pm_row;
    int rc = fill_defaults(pm);

    if (table->et_rowid_column >= 0)
        sw->sw_values[table->et_rowid_column] = (edb_value){ .type = VALUE_INTEGER, .integer = rowid };
    if (!rc && table->et_has_computed)
        rc = evaluate_generated(stmt_conn(pm->pm_stmt), table, rowid, &sw->sw_computed, sw->sw_values);
    if (!rc)
        rc = constraints_insert(pm->pm_constraints, sw, pm->pm_stmt, table, rowid, fresh, sw->sw_values, false);
    if (!rc && !fresh)
        txn_id_used(pm->pm_stmt, table->et_id, rowid);
    return rc;
}

static int change_row(putting *pm, const table_row *old)
{
    const edb_table *table = pm->pm_table;
    row_scratch *sw = pm->pm_row;
    int rc = EDB_OK;

    for (uint32_t i = 0; i < table->et_n_columns && !rc; i++) {
        sw->sw_changed[i] = pm->pm_given[i] && (int)i != table->et_rowid_column;
        if (table->et_columns[i].computed)
            sw->sw_values[i].type = VALUE_NULL;     /* constraints_update() has them computed */
        else if (!pm->pm_given[i])
            rc = evaluate_column(stmt_conn(pm->pm_stmt), table, &old->rd_view, old->rd_rowid, i, &sw->sw_computed,
                                 &sw->sw_values[i]);
    }
    if (!rc && table->et_rowid_column >= 0)
        sw->sw_values[table->et_rowid_column] = (edb_value){ .type = VALUE_INTEGER, .integer = old->rd_rowid };
    if (rc)
        return rc;
    return constraints_update(pm->pm_constraints, sw, pm->pm_stmt, table, old, old->rd_rowid, sw->sw_values,
                              sw->sw_changed, false);
}

static int note_tags(putting *pm)
{
    edb_value text;
    size_t n;
    int rc = EDB_OK;

    tag_batch_forget(pm->pm_tags);
    if (marshal_read_list(&pm->pm_row_tags, &n))
        return edb_fail(EDB_TAG, "its tags are no list of texts");
    for (size_t i = 0; i < n && !rc; i++) {
        if (marshal_read(&pm->pm_row_tags, &text) || text.type != VALUE_TEXT)
            return edb_fail(EDB_TAG, "one of its tags is no text");
        rc = tag_batch_note(pm->pm_tags, text.bytes, text.size);
    }
    return rc;
}

/* Tags that are the same for every row are read with the first. */
static int put_tags(putting *pm, size_t i, int64_t rowid, bool fresh)
{
    int rc = pm->pm_put->tags_apart || i == 0 ? note_tags(pm) : EDB_OK;

    return rc ? rc : tag_batch_give(pm->pm_tags, rowid, fresh);
}

static int put_row(putting *pm, size_t i)
{
    row_scratch *sw = pm->pm_row;
    table_row old;
    int64_t rowid = 0;
    bool fresh, found;
    int rc = read_values(pm);

    if (!rc)
        rc = find_row(pm, &rowid, &fresh, &old, &found);
    if (!rc)
        rc = found ? change_row(pm, &old) : insert_row(pm, rowid, fresh);
    if (!rc && pm->pm_tags)
        rc = put_tags(pm, i, rowid, fresh);
    scratch_drop(sw);
    arena_reset(&pm->pm_memory);
    if (rc)
        return rc;
    pm->pm_put->ids[i] = rowid;
    *(found ? &pm->pm_put->changed : &pm->pm_put->inserted) += 1;
    return EDB_OK;
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

/* The sentence of what failed, with the row in front. */
static int in_row(size_t i, const edb_table *table, int rc)
{
    char sentence[512];

    snprintf(sentence, sizeof sentence, "%s", edb_message());
    return edb_fail(rc, "row %zu of those put into %s: %s", i, table->et_name, sentence);
}

static int put_rows(putting *pm)
{
    edb_put *put = pm->pm_put;
    size_t n, n_tags;
    int rc = EDB_OK;

    pm->pm_rows = (marshal_reader){ put->rows, put->rows + put->rows_size };
    pm->pm_row_tags = (marshal_reader){ put->tags, put->tags + put->tags_size };
    if (marshal_read_list(&pm->pm_rows, &n) || n > put->ids_room)
        return edb_fail(EDB_MISUSE, "the rows for table %s are no list of tuples", pm->pm_table->et_name);
    if (put->tags_apart && (marshal_read_list(&pm->pm_row_tags, &n_tags) || n_tags != n))
        return edb_fail(EDB_MISUSE, "the tags for %zu rows of table %s are no list of as many lists", n,
                        pm->pm_table->et_name);
    if (pm->pm_table->et_rowid_column >= 0 && pm->pm_given[pm->pm_table->et_rowid_column])
        pm->pm_filter = filters_of(pm->pm_stmt, pm->pm_table->et_id, n, true);
    for (size_t i = 0; i < n && !rc; i++) {
        if (i % INTERRUPT_EVERY == 0 && conn_interrupted(stmt_conn(pm->pm_stmt)))
            return edb_fail(EDB_INTERRUPT, "putting rows into table %s was interrupted", pm->pm_table->et_name);
        if ((rc = put_row(pm, i)))
            rc = in_row(i, pm->pm_table, rc);
    }
    return rc;
}

static int put_given(putting *pm)
{
    int rc = find_columns(pm);

    if (!rc && pm->pm_put->tags)
        rc = tag_batch_new(pm->pm_stmt, pm->pm_table, &pm->pm_tags);
    if (rc)
        return rc;
    find_key(pm);
    return put_rows(pm);
}

static int delete_rows(putting *pm)
{
    edb_put *put = pm->pm_put;
    bool existed;
    int rc = EDB_OK;

    for (size_t i = 0; i < put->ids_room && !rc; i++) {
        if (i % INTERRUPT_EVERY == 0 && conn_interrupted(stmt_conn(pm->pm_stmt)))
            return edb_fail(EDB_INTERRUPT, "deleting rows of table %s was interrupted", pm->pm_table->et_name);
        rc = constraints_delete(pm->pm_constraints, pm->pm_row, pm->pm_stmt, pm->pm_table, put->ids[i], &existed);
        put->changed += !rc && existed;
        scratch_drop(pm->pm_row);
    }
    return rc;
}

int put_many(edb_stmt *stmt, constraints *cs, row_scratch *sw, edb_put *put)
{
    putting pm = { .pm_stmt = stmt, .pm_constraints = cs, .pm_row = sw, .pm_put = put };
    int rc = txn_begin_write(stmt);

    arena_init(&pm.pm_memory);
    put->inserted = put->changed = 0;
    if (!rc)
        rc = catalog_find(stmt, put->table, &pm.pm_table);
    if (!rc && pm.pm_table->et_kind != CATALOG_TABLE)
        rc = edb_fail(EDB_NOSUCH, "%s is a view", put->table);
    if (!rc)
        rc = scratch_prepare(sw, pm.pm_table, stmt_conn(stmt));
    if (!rc && put->deletes)
        rc = delete_rows(&pm);
    else if (!rc)
        rc = put_given(&pm);
    tag_batch_free(pm.pm_tags);
    arena_free(&pm.pm_memory);
    free(pm.pm_columns);
    free(pm.pm_given);
    table_unref(pm.pm_table);
    return rc;
}
