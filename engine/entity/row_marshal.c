/* A row for Python (row_marshal.h). */
#include "engine/entity/row_marshal.h"

#include <string.h>

#include "native/arena.h"
#include "engine/eval/evaluator.h"

static bool write_names(const edb_table *table, size_t n, marshal_writer *out)
{
    bool written = marshal_write_tuple(out, n);

    for (uint32_t i = 0; written && i < table->et_n_columns; i++) {
        const char *name = table->et_columns[i].name;
        const edb_value value = { .type = VALUE_TEXT, .bytes = (const uint8_t *)name, .size = strlen(name) };
        written = table->et_columns[i].hidden || marshal_write(out, &value);
    }
    return written;
}

int row_marshal(edb_stmt *stmt, const edb_table *table, const row_view *row, int64_t id, marshal_writer *out)
{
    arena memory;
    size_t n = 0;
    int rc = EDB_OK;

    for (uint32_t i = 0; i < table->et_n_columns; i++)
        n += !table->et_columns[i].hidden;
    bool written = marshal_write_tuple(out, 2) && write_names(table, n, out) && marshal_write_tuple(out, n);
    arena_init(&memory);
    for (uint32_t i = 0; written && !rc && i < table->et_n_columns; i++) {
        edb_value value;
        if (table->et_columns[i].hidden)
            continue;
        rc = evaluate_column(stmt_conn(stmt), table, row, id, i, &memory, &value);
        written = !rc && marshal_write(out, &value);
    }
    arena_free(&memory);
    return rc || written ? rc : edb_fail(EDB_NOMEM, "no memory for a row of table %s", table->et_name);
}
