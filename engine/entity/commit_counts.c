/* How much one commit changed (commit_counts.h). */
#include "engine/entity/commit_counts.h"

#include "engine/entity/commit_changes.h"
#include "engine/entity/row_json.h"

static int add_name(table_buffer *names, const edb_table *table, bool first)
{
    uint8_t *at = buffer_reserve(names, 1);

    if (!at)
        return edb_fail(EDB_NOMEM, "no memory for the names of tables");
    *at = first ? '[' : ',';
    names->bf_size++;
    return json_text(names, table->et_name);
}

int commit_counts(edb_stmt *stmt, const tables_ever *tables, uint64_t number, uint64_t *rows, table_buffer *names)
{
    const changes_wanted wanted = { .cx_after = number - 1, .cx_upto = number, .cx_tables = tables };
    const commit_change *change;
    const edb_table *last = NULL;
    commit_changes changes;
    int rc = changes_begin(&changes, stmt, &wanted);

    *rows = 0;
    if (rc)
        return rc;
    while (!(rc = changes_next(&changes, &change)) && change) {
        if (change->cc_tagging)
            continue;
        ++*rows;
        if (change->cc_table != last && (rc = add_name(names, change->cc_table, !last)))
            break;
        last = change->cc_table;
    }
    changes_end(&changes);
    uint8_t *end = rc ? NULL : buffer_reserve(names, 2);
    if (!rc && !end)
        rc = edb_fail(EDB_NOMEM, "no memory for the names of tables");
    if (rc)
        return rc;
    if (!last)
        *end++ = '[';
    *end = ']';
    names->bf_size += last ? 1 : 2;
    return EDB_OK;
}
