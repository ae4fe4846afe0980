/* The eponymous table entitydb_erasures: what was erased (upkeep/erasures.h).
 *
 *     INSERT INTO entitydb_erasures(subject_table, key_hash, columns, reason, actor, row_id) VALUES ...
 *         erases the row with the commit of the running transaction; columns: NULL, or a text of names, each behind a line feed
 *     SELECT subject_table, key_hash, columns, versions, reason, actor, number, moment FROM entitydb_erasures
 *         the receipts at the statement's moment; number and moment are those of the commit that erased, NULL while it is an own write */
#include <stdlib.h>
#include <string.h>

#include "engine/upkeep/erasures.h"
#include "engine/vtab/control_table.h"

enum { ERASURE_NUMBER = ERASED_N, ERASURE_MOMENT, ERASURE_ROW };
enum { NAMES_MOST = 64 };

static int erasures_shown(edb_stmt *stmt, uint32_t *tree, bool *found)
{
    int rc = erasures_tree(stmt, tree);
    *found = !rc && *tree;
    return rc;
}

static int erasure_column(control_scan *cts, sqlite3_context *context, int column)
{
    const edb_entry *at = &cts->cts_entries.at;
    edb_value said[ERASED_N];
    int64_t ns;
    int rc = erasure_of_entry(cts->cts_stmt, at, &cts->cts_only, said);
    if (rc || column == ERASURE_ROW || (column >= ERASED_N && !at->from))
        return rc;
    if (column == ERASURE_NUMBER)
        sqlite3_result_int64(context, (int64_t)at->from);
    else if (column == ERASURE_MOMENT && !(rc = commit_time(cts->cts_stmt, at->from, &ns)))
        sqlite3_result_int64(context, ns);
    else if (column == ERASED_VERSIONS)
        sqlite3_result_int64(context, said[column].integer);
    else if (column < ERASED_N && said[column].type == VALUE_TEXT)
        sqlite3_result_text(context, said[column].bytes, (int)said[column].size, SQLITE_TRANSIENT);
    return rc;
}

static bool take_text(sqlite3_value *value, bool wanted, edb_value *out)
{
    out->type = VALUE_NULL;
    if (sqlite3_value_type(value) == SQLITE_NULL)
        return !wanted;
    if (sqlite3_value_type(value) != SQLITE_TEXT)
        return false;
    out->type = VALUE_TEXT;
    out->bytes = sqlite3_value_text(value);
    out->size = (size_t)sqlite3_value_bytes(value);
    return out->bytes != NULL;
}

/* The names, each behind a line feed, as texts in `room`. */
static size_t take_names(const edb_value *text, char *room, const char *out[NAMES_MOST + 1])
{
    size_t n = 0;
    memcpy(room, text->bytes, text->size);
    room[text->size] = 0;
    for (char *at = room, *next; at && *at && n <= NAMES_MOST; at = next) {
        if ((next = strchr(at, '\n')))
            *next++ = 0;
        if (*at)
            out[n++] = at;
    }
    return n;
}

static int erasure_insert(vtab_binding *bd, edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid)
{
    erasure_request request = { .rqs_row = sqlite3_value_int64(columns[ERASURE_ROW]) };
    const char *names[NAMES_MOST + 1];
    edb_value *said = request.rqs_said;
    (void)bd;
    if (!take_text(columns[ERASED_TABLE], true, &said[ERASED_TABLE]) || !take_text(columns[ERASED_HASH], true, &said[ERASED_HASH])
        || !take_text(columns[ERASED_COLUMNS], false, &said[ERASED_COLUMNS])
        || !take_text(columns[ERASED_REASON], false, &said[ERASED_REASON]) || !take_text(columns[ERASED_ACTOR], false, &said[ERASED_ACTOR])
        || sqlite3_value_type(columns[ERASURE_ROW]) != SQLITE_INTEGER || sqlite3_value_type(columns[ERASED_VERSIONS]) != SQLITE_NULL
        || sqlite3_value_type(columns[ERASURE_NUMBER]) != SQLITE_NULL || sqlite3_value_type(columns[ERASURE_MOMENT]) != SQLITE_NULL)
        return edb_fail(EDB_MISUSE, "an erasure is of a table, a text, and a row_id, an integer, and has a key_hash, a text; columns, reason "
                        "and actor are texts or NULL; the rest is not given");
    char *room = malloc(said[ERASED_COLUMNS].type == VALUE_TEXT ? said[ERASED_COLUMNS].size + 1 : 1);
    if (!room)
        return edb_fail(EDB_NOMEM, "no memory to erase a row");
    if (said[ERASED_COLUMNS].type == VALUE_TEXT) {
        request.rqs_n_columns = take_names(&said[ERASED_COLUMNS], room, names);
        request.rqs_columns = names;
    }
    int rc = said[ERASED_COLUMNS].type == VALUE_TEXT && !request.rqs_n_columns
             ? edb_fail(EDB_MISUSE, "columns names none: NULL erases the whole row") : erasure_put(stmt, &request);
    free(room);
    if (!rc)
        stmt_count(stmt, 1);
    *rowid = 0;
    return rc;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(subject_table TEXT, key_hash TEXT, columns TEXT, versions INTEGER, reason TEXT, actor TEXT, "
                       "number INTEGER, moment INTEGER, row_id INTEGER)",
    .ctl_rows = 100,
    .ctl_tree = erasures_shown,
    .ctl_column = erasure_column,
    .ctl_insert = erasure_insert,
    .ctl_only_insert = "a receipt stays: it cannot be changed or deleted",
};

CONTROL_MODULE(vtab_erasures_module, control, control_update);
