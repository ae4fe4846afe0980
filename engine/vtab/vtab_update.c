/* INSERT, UPDATE and DELETE of one row: values, defaults, row ids; the change itself is table/constraints.c's.
 *
 * SQLite hands over one value a column, NULL for those an INSERT did not name; stmt_supplied() tells those from a
 * NULL that was written. Conflicts: IGNORE, FAIL and ROLLBACK are SQLite's to act on once it has the constraint's
 * code; REPLACE is done here.
 *
 * The INTEGER PRIMARY KEY is a plain column to SQLite and the row id to us, so a row id can come in two places. */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/evaluator.h"
#include "engine/vtab/vtab_set.h"

typedef struct {                    /* one call */
    vtab_entity *up_vt;
    sqlite3_vtab *up_told;          /* of an error */
    sqlite3 *up_db;
    row_scratch *up_row;
    value_scratch *up_values;       /* what the values of up_row point into */
    const edb_table *up_table;
    edb_stmt *up_stmt;
    sqlite3_value **up_columns;     /* of argv */
    bool up_replace;
} update;

static constraints *constraints_of(const update *up)
{
    return &up->up_vt->vt_any.ay_binding->bd_constraints;
}

static int mismatch(void)
{
    return edb_fail(EDB_MISMATCH, "datatype mismatch");
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static int column_value(const update *up, uint32_t i, sqlite3_value *in, bool inserting, edb_value *out)
{
    const edb_column *column = &up->up_table->et_columns[i];
    int rc = value_convert(up->up_values, in, column->affinity, out);
    if (rc)
        return rc;
    /* Left out, or, under REPLACE, a NULL where none may be: the default. */
    if (out->type == VALUE_NULL && column->has_default
        && ((inserting && !stmt_supplied(up->up_stmt, i)) || (up->up_replace && column->not_null)))
        rc = evaluate_default(stmt_conn(up->up_stmt), up->up_table, i, &up->up_row->sw_computed, out);
    return rc;
}

/* A row id as SQLite takes one: integers, and what INTEGER affinity makes one. */
static int read_rowid(const update *up, sqlite3_value *in, bool *given, int64_t *out)
{
    edb_value v;
    int rc = value_convert(up->up_values, in, AFFINITY_INTEGER, &v);
    if (rc)
        return rc;
    *given = v.type != VALUE_NULL;
    if (*given && v.type != VALUE_INTEGER)
        return mismatch();
    if (*given)
        *out = v.integer;
    return EDB_OK;
}

/* ---- the three changes ---------------------------------------------------------------------------------------- */

static int insert_rowid(const update *up, sqlite3_value *rowid, int64_t *out, bool *fresh)
{
    const edb_table *table = up->up_table;
    int column = table->et_rowid_column;
    bool given = false;
    int rc = EDB_OK;
    if (column >= 0)
        rc = read_rowid(up, up->up_columns[column], &given, out);
    if (!rc && !given)
        rc = read_rowid(up, rowid, &given, out);
    *fresh = !given;
    if (rc || given)
        return rc;
    rc = txn_id_next(up->up_stmt, table->et_id, out);
    return rc == EDB_FULL && !table->et_autoincrement ? txn_id_random(up->up_stmt, table->et_id, out) : rc;
}

static void *arena_zeroed(arena *a, size_t size)
{
    void *bytes = arena_alloc(a, size);
    return bytes ? memset(bytes, 0, size) : NULL;
}

/* DO UPDATE of the row in the way; sw_values hold the row that was to be inserted. */
static int do_conflict(const update *up, upsert_clause *clause, int64_t other, int64_t excluded_rowid)
{
    const edb_table *table = up->up_table;
    row_scratch *sw = up->up_row;
    const uint32_t *sets;
    uint32_t columns = table->et_n_columns, n = upsert_sets(clause, &sets);
    edb_value *values, *results;
    bool *changed;
    table_row old;
    int64_t rowid = other;
    bool found, applies = false;
    int rc = table_row_load(sw, up->up_stmt, table, other, &old, &found);
    if (rc || !found)
        return rc;
    values = arena_alloc(&sw->sw_computed, columns * sizeof *values);
    changed = arena_zeroed(&sw->sw_computed, columns * sizeof *changed);
    results = arena_alloc(&sw->sw_computed, n * sizeof *results);
    if (!values || !changed || !results)
        rc = edb_fail(EDB_NOMEM, "no memory for a row of table %s", table->et_name);
    if (!rc)
        rc = table_values(sw, up->up_stmt, table, &old.rd_view, other, true, values);
    if (!rc)
        rc = upsert_evaluate(up->up_vt, up->up_values, &sw->sw_computed, clause, values, other, sw->sw_values,
                             excluded_rowid, &applies, results);
    for (uint32_t i = 0; !rc && applies && i < n; i++) {
        values[sets[i]] = results[i];
        changed[sets[i]] = true;
        if ((int)sets[i] == table->et_rowid_column && results[i].type != VALUE_INTEGER)
            rc = mismatch();
        else if ((int)sets[i] == table->et_rowid_column)
            rowid = results[i].integer;
    }
    if (!rc && applies)
        rc = constraints_update(constraints_of(up), sw, up->up_stmt, table, &old, rowid, values, changed, false);
    if (!rc && applies) {
        if (rowid != other)
            txn_id_used(up->up_stmt, table->et_id, rowid);
        stmt_count(up->up_stmt, 1);
    }
    return rc;
}

/* Under ON CONFLICT: does a clause take care of the row? Else it is inserted, and what is in its way is an error. */
static int conflict_resolve(const update *up, const upsert *us, int64_t rowid, bool fresh, bool *done)
{
    upsert_clause *clause;
    int64_t other;
    int rc = table_judge(up->up_stmt, up->up_table, rowid, up->up_row->sw_values, false);
    if (!rc)
        rc = upsert_find(us, up->up_row, up->up_stmt, up->up_table, rowid, fresh, up->up_row->sw_values,
                         &clause, &other);
    if (!rc && !(clause && !fresh && other == rowid))
        rc = table_judge_types(up->up_table, up->up_row->sw_values);   /* before unique keys, behind the row id */
    if (rc)
        return rc;
    *done = clause;
    return clause && upsert_updates(clause) ? do_conflict(up, clause, other, rowid) : EDB_OK;
}

static int do_insert(const update *up, sqlite3_value *given, sqlite3_int64 *out)
{
    const edb_table *table = up->up_table;
    row_scratch *sw = up->up_row;
    int64_t rowid;
    bool fresh;
    int rc = insert_rowid(up, given, &rowid, &fresh);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if ((int)i != table->et_rowid_column && !table->et_columns[i].computed)
            rc = column_value(up, i, up->up_columns[i], true, &sw->sw_values[i]);
    if (rc)
        return rc;
    if (table->et_rowid_column >= 0) {
        sw->sw_values[table->et_rowid_column].type = VALUE_INTEGER;
        sw->sw_values[table->et_rowid_column].integer = rowid;
    }
    if (table->et_has_computed)
        rc = evaluate_generated(stmt_conn(up->up_stmt), table, rowid, &sw->sw_computed, sw->sw_values);
    if (rc)
        return rc;
    const upsert *us = upsert_of(up->up_stmt, table);
    if (unlikely(us)) {
        bool done;
        rc = conflict_resolve(up, us, rowid, fresh, &done);
        if (rc || done) {
            *out = rowid;
            return rc;
        }
    }
    rc = constraints_insert(constraints_of(up), sw, up->up_stmt, table, rowid, fresh, sw->sw_values, up->up_replace);
    if (rc)
        return rc;
    if (!fresh)
        txn_id_used(up->up_stmt, table->et_id, rowid);
    if (!table->et_without_rowid)
        stmt_last_id(up->up_stmt, rowid);
    stmt_count(up->up_stmt, 1);
    *out = rowid;
    return EDB_OK;
}

/* UPDATE sets the row id by its name or by the primary key's; whichever differs from the old one was meant. */
static int update_rowid(const update *up, int64_t old, sqlite3_value *rowid, int64_t *out)
{
    int column = up->up_table->et_rowid_column;
    bool given;
    *out = old;
    if (column >= 0 && !sqlite3_value_nochange(up->up_columns[column])) {
        int rc = read_rowid(up, up->up_columns[column], &given, out);
        if (rc || !given || *out != old)
            return rc || given ? rc : mismatch();
    }
    int rc = read_rowid(up, rowid, &given, out);
    return rc || given ? rc : mismatch();
}

/* The values that stay. */
static int old_values(const update *up, const table_row *old)
{
    const edb_table *table = up->up_table;
    row_scratch *sw = up->up_row;
    int rc = EDB_OK;
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if (!sw->sw_changed[i] && (int)i != table->et_rowid_column)
            rc = evaluate_column(stmt_conn(up->up_stmt), table, &old->rd_view, old->rd_rowid, i, &sw->sw_computed,
                                 &sw->sw_values[i]);
    return rc;
}

/* sw_values and sw_changed are there, but for the values that stay. */
static int change_row(const update *up, const table_row *old, int64_t rowid)
{
    row_scratch *sw = up->up_row;
    bool alone = false;
    int rc = EDB_OK;
    if (rowid == old->rd_rowid && !up->up_replace)
        rc = constraints_alone(constraints_of(up), up->up_stmt, up->up_table, old, sw->sw_changed, &alone);
    if (!rc && alone)
        return table_update_alone(sw, up->up_stmt, up->up_table, old, sw->sw_values, sw->sw_changed);
    if (!rc)
        rc = old_values(up, old);
    return rc ? rc : constraints_update(constraints_of(up), sw, up->up_stmt, up->up_table, old, rowid, sw->sw_values,
                                        sw->sw_changed, up->up_replace);
}

static int do_update(const update *up, int64_t old_rowid, sqlite3_value *new_rowid)
{
    const edb_table *table = up->up_table;
    row_scratch *sw = up->up_row;
    table_row old;
    int64_t rowid;
    bool found;
    int rc = table_row_load(sw, up->up_stmt, table, old_rowid, &old, &found);
    if (rc || !found)
        return rc;                  /* REPLACE of an earlier row of this statement took it away */
    rc = update_rowid(up, old_rowid, new_rowid, &rowid);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++) {
        edb_value *v = &sw->sw_values[i];
        sw->sw_changed[i] = true;
        if ((int)i == table->et_rowid_column) {
            v->type = VALUE_INTEGER;
            v->integer = rowid;
            sw->sw_changed[i] = rowid != old_rowid;
        } else if (table->et_columns[i].computed) {
            v->type = VALUE_NULL;   /* constraints_update() has them computed */
        } else if (sqlite3_value_nochange(up->up_columns[i])) {
            sw->sw_changed[i] = false;
        } else {
            rc = column_value(up, i, up->up_columns[i], false, v);
        }
    }
    if (!rc)
        rc = change_row(up, &old, rowid);
    if (rc)
        return rc;
    if (rowid != old_rowid)
        txn_id_used(up->up_stmt, table->et_id, rowid);
    stmt_count(up->up_stmt, !sw->sw_gone);
    return EDB_OK;
}

static int do_delete(const update *up, int64_t rowid)
{
    bool existed;
    int rc = constraints_delete(constraints_of(up), up->up_row, up->up_stmt, up->up_table, rowid, &existed);
    if (!rc && existed)
        stmt_count(up->up_stmt, 1);
    return rc;
}

typedef struct {                    /* columns of the row that a scan stands on */
    scan *sng_scan;
    const uint32_t *sng_columns;
    uint32_t sng_n;
    sqlite3_value **sng_values;
} setting;

static int do_set(const update *up, const setting *sng)
{
    const edb_table *table = up->up_table;
    row_scratch *sw = up->up_row;
    table_row old;
    int64_t rowid;
    bool found;
    int rc = scan_rowid(sng->sng_scan, &rowid);
    if (rc)
        return rc;
    if (!sng->sng_scan->cu_index && sng->sng_scan->cu_stmt == up->up_stmt)
        stmt_row_met(up->up_stmt, table->et_id, sng->sng_scan->cu_at);
    rc = table_row_load(sw, up->up_stmt, table, rowid, &old, &found);
    if (rc || !found)
        return rc;
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        sw->sw_changed[i] = table->et_columns[i].computed;
        sw->sw_values[i].type = VALUE_NULL;
    }
    if (table->et_rowid_column >= 0)
        sw->sw_values[table->et_rowid_column] = (edb_value){ .type = VALUE_INTEGER, .integer = rowid };
    for (uint32_t k = 0; !rc && k < sng->sng_n; k++) {
        uint32_t i = sng->sng_columns[k];
        if (i >= table->et_n_columns || (int)i == table->et_rowid_column || table->et_columns[i].computed)
            return edb_fail(EDB_MISUSE, "entitydb_set: column %u of table %s cannot be set", i, table->et_name);
        sw->sw_changed[i] = true;
        rc = column_value(up, i, sng->sng_values[k], false, &sw->sw_values[i]);
    }
    if (!rc)
        rc = change_row(up, &old, rowid);
    if (!rc)
        stmt_count(up->up_stmt, !sw->sw_gone);
    return rc;
}

static int do_change(update *up, const setting *sng, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    edb_conn *conn = stmt_conn(up->up_stmt);
    int rc = values_prepare(up->up_values, up->up_table->et_n_columns);
    if (!rc)
        rc = scratch_prepare(up->up_row, up->up_table, conn);
    if (rc)
        return rc;
    capture *cp = stmt_capture(up->up_stmt, up->up_table->et_id);
    size_t kept = cp ? capture_count(cp) : 0;
    up->up_row->sw_capture = cp;
    if (sng)
        rc = do_set(up, sng);
    else if (argc == 1)
        rc = do_delete(up, sqlite3_value_int64(argv[0]));
    else if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
        rc = do_insert(up, argv[1], rowid);
    else
        rc = do_update(up, sqlite3_value_int64(argv[0]), argv[1]);
    up->up_row->sw_capture = NULL;
    if (unlikely(rc && cp))
        capture_drop(cp, kept);
    return rc;
}

/* IGNORE, FAIL and ROLLBACK are for the row's own NOT NULL, CHECK and unique keys. What else fails ends the statement
 * and undoes it, as in SQLite; and SQLite must not see a constraint's code then, for it would act on it. The driver
 * knows the code from edb_last_code(). */
static int failure(const update *up, int rc)
{
    bool aborts = rc == EDB_DATATYPE || rc == EDB_FOREIGNKEY || up->up_vt->vt_any.ay_binding->bd_constraints.cs_aborts;
    int clause = sqlite3_vtab_on_conflict(up->up_db);
    int result = vtab_result(up->up_told, rc);
    if (!aborts || clause == SQLITE_ABORT || clause == SQLITE_REPLACE || (result & 0xff) != SQLITE_CONSTRAINT)
        return result;
    return SQLITE_ERROR;
}

static int change(vtab_entity *vt, sqlite3_vtab *told, const setting *sng, int argc, sqlite3_value **argv,
                  sqlite3_int64 *rowid)
{
    vtab_binding *bd = vt->vt_any.ay_binding;
    row_scratch own_row = {.sw_values = NULL};
    value_scratch own_values = {.vs_held = NULL};
    update up = {.up_vt = vt, .up_told = told, .up_db = bd->bd_db, .up_columns = argv ? argv + 2 : NULL};
    bool nested = bd->bd_writing;
    /* A table made in this transaction got no xBegin: every write begins. */
    int rc = vtab_acquire(bd, true, &up.up_stmt);
    if (rc)
        return vtab_result(told, rc);
    rc = txn_begin_write(up.up_stmt);
    if (!rc)
        rc = vtab_current(vt, up.up_stmt);
    up.up_table = vt->vt_table;
    up.up_replace = sqlite3_vtab_on_conflict(bd->bd_db) == SQLITE_REPLACE;
    up.up_row = nested ? &own_row : &bd->bd_row;
    up.up_values = nested ? &own_values : &bd->bd_values;
    bd->bd_writing = true;
    bd->bd_constraints.cs_aborts = false;
    vt->vt_writing++;
    if (!rc)
        rc = do_change(&up, sng, argc, argv, rowid);
    vt->vt_writing--;
    bd->bd_writing = nested;
    if (nested) {
        scratch_free(&own_row);
        values_free(&own_values);
    } else {
        scratch_drop(&bd->bd_row);
        values_drop(&bd->bd_values);
    }
    stmt_release(up.up_stmt);
    return likely(!rc) ? SQLITE_OK : failure(&up, rc);
}

int vtab_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    return change((vtab_entity *)base, base, NULL, argc, argv, rowid);
}

int vtab_set(sqlite3_vtab *told, scan *cu, const uint32_t *columns, uint32_t n, sqlite3_value **values)
{
    const setting sng = {.sng_scan = cu, .sng_columns = columns, .sng_n = n, .sng_values = values};
    return change((vtab_entity *)cu->cu_base.pVtab, told, &sng, 0, NULL, NULL);
}
