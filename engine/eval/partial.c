/* WHERE of partial indexes over a row (sqlite_evaluator.h).
 *
 * An index with a WHERE has entries of those rows alone for which it is true. SQLite evaluates it over the row in hand
 * (rowexpr.h), on the private connection of generated columns: the program's own may have functions with the names of
 * SQLite's. Each is evaluated by itself, since it may fail for a row that an index before it has refused. Which queries
 * may use such an index is vtab/partial_plan.c's. */
#include "engine/eval/sqlite_evaluator.h"

#include <stdlib.h>

static int where_prepare(sqlite_evaluator *se, const edb_table *table, const edb_index *index, rowexpr **out)
{
    char *text = sqlite3_mprintf("CASE WHEN (%s\n) THEN 1 END", index->where);
    if (!text)
        return edb_fail(EDB_NOMEM, "no memory for the partial indexes of table %s", table->et_name);
    generator *ge;
    rowexpr *where = NULL;
    int rc = sqlite_evaluator_generator(se, &ge);
    if (!rc)
        rc = rowexpr_new(generator_lend(ge), table, table->et_name, false, text, NULL, &where);
    sqlite3_free(text);
    if (!rc && rowexpr_columns(where) != 1) {
        rowexpr_free(where);
        rc = edb_fail(EDB_CORRUPT, "the WHERE of index %s of table %s is no expression", index->name, table->et_name);
    }
    if (!rc)
        *out = where;
    return rc;
}

static int prepare(sqlite_evaluator *se, const edb_table *table, uint32_t index, prepared_table **table_out,
                   prepared_index **out)
{
    prepared_table *pd;
    int rc = prepared_find(se, table, &pd);
    if (rc)
        return rc;
    if (!pd->pd_indexes && !(pd->pd_indexes = calloc(table->et_n_indexes, sizeof *pd->pd_indexes)))
        return edb_fail(EDB_NOMEM, "no memory for the indexes of table %s", table->et_name);
    *table_out = pd;
    *out = &pd->pd_indexes[index];
    if (table->et_indexes[index].where && !(*out)->pi_where)
        rc = where_prepare(se, table, &table->et_indexes[index], &(*out)->pi_where);
    return rc;
}

typedef struct {                    /* a stored row, of which a WHERE asks for columns */
    sqlite_evaluator *lr_evaluator;
    const generate_row *lr_row;
    arena *lr_memory;
} stored_row;

static int stored_column(void *arg, uint32_t column, edb_value *out)
{
    const stored_row *lr = arg;
    return evaluate_column(lr->lr_evaluator->se_conn, lr->lr_row->gr_table, lr->lr_row->gr_stored, lr->lr_row->gr_rowid,
                           column, lr->lr_memory, out);
}

int partial_covers(void *arg, const generate_row *over, uint32_t index, arena *memory, bool *covered)
{
    const edb_table *table = over->gr_table;
    stored_row stored = {.lr_evaluator = arg, .lr_row = over, .lr_memory = memory};
    const rowexpr_row row = {.ro_values = over->gr_stored ? NULL : over->gr_values,
                             .ro_get = over->gr_stored ? stored_column : NULL, .ro_arg = &stored,
                             .ro_rowid = over->gr_rowid};
    prepared_table *pd;
    prepared_index *pi;
    rowexpr *run;
    bool found = false;
    int rc = prepare(arg, table, index, &pd, &pi);
    if (!rc)
        rc = rowexpr_begin(pi->pi_where, &row, NULL, &run);
    if (rc)
        return rc;
    pd->pd_running++;
    rc = rowexpr_step(run, &found);
    *covered = !rc && sqlite3_value_int(rowexpr_value(run, 0));
    rowexpr_end(run);
    pd->pd_running--;
    return rc;
}

int partial_looks_at(void *arg, const edb_table *table, uint32_t index, uint64_t *columns)
{
    sqlite_evaluator *se = arg;
    const edb_index *of = &table->et_indexes[index];
    prepared_table *pd;
    prepared_index *pi;
    generator *ge;
    int rc = prepare(se, table, index, &pd, &pi);
    if (!rc && pi->pi_known) {
        *columns = pi->pi_looks_at;
        return EDB_OK;
    }
    if (!rc)
        rc = sqlite_evaluator_generator(se, &ge);
    uint64_t looks_at = !rc && pi->pi_where ? rowexpr_used(pi->pi_where) : 0;
    for (uint32_t i = 0; !rc && i < of->n_parts; i++) {
        uint64_t more = 0;
        if (table->et_columns[of->parts[i].column].hidden)
            rc = generate_looks_at(ge, table, of->parts[i].column, &more);
        looks_at |= more;
    }
    if (rc)
        return rc;
    *columns = pi->pi_looks_at = looks_at;
    pi->pi_known = true;
    return EDB_OK;
}
