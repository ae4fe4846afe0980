/* The eponymous table entitydb_set: an UPDATE as SQLite can run it in one walk.
 *
 *     UPDATE t SET b = b + 1, a = ? WHERE c < 5
 *     INSERT INTO entitydb_set(stands, columns, v0, v1)
 *     SELECT "entitydb returned", columns, b + 1, ? FROM t WHERE c < 5
 *
 * An UPDATE of a virtual table goes through all rows twice: SQLite copies every column of every row that it finds into
 * a table in memory, and then changes row after row. Here the row that the walk stands on is changed at once. That is
 * the same, because a statement does not see what it writes itself (txn/README.md): neither the walk nor a subquery
 * meets a row that was changed before.
 *
 * Which row that is, the hidden column says: asked for it, a scan notes itself in the binding (scan_column.c), and is
 * forgotten when it was used or is closed. So what is changed is where a scan stands, and nothing a program can make up.
 *
 * columns: which columns the values are for, a byte each from the lowest on: the column's position and one. */
#include "engine/vtab/control_table.h"

#include "engine/vtab/vtab_set.h"

enum { SET_STANDS, SET_COLUMNS, SET_VALUES };

static int set_row(sqlite3_vtab *told, scan *cu, uint64_t packed, sqlite3_value **values)
{
    set_course *course = set_course_of(cu, packed);
    bool done = false;
    int rc = course ? set_alone(course, cu, values, &done) : EDB_OK;
    if (rc || done)
        return vtab_result(told, rc);
    uint32_t columns[SET_MOST];
    return vtab_set(told, cu, columns, set_columns(packed, columns), values);
}

static int set_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    vtab_binding *bd = ((vtab_any *)base)->ay_binding;
    scan *cu = bd->bd_stands;
    if (argc == 1 || sqlite3_value_type(argv[0]) != SQLITE_NULL || !cu || cu->cu_eof || cu->cu_dated)
        return vtab_result(base, edb_fail(EDB_MISUSE, "entitydb_set is for UPDATEs that the driver makes INSERTs"));
    bd->bd_stands = NULL;
    *rowid = sqlite3_last_insert_rowid(bd->bd_db);      /* SQLite takes it for the id of a new row */
    return set_row(base, cu, (uint64_t)sqlite3_value_int64(argv[2 + SET_COLUMNS]), argv + 2 + SET_VALUES);
}

static int set_column(control_scan *cts, sqlite3_context *context, int column)
{
    (void)cts, (void)column;
    sqlite3_result_null(context);
    return EDB_OK;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(stands, columns, v0, v1, v2, v3, v4, v5, v6)",
    .ctl_rows = 1,
    .ctl_column = set_column,
};

CONTROL_MODULE(vtab_set_module, control, set_update);
