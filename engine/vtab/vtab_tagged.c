/* The table-valued function entitydb_tagged(type, expression): the entities that a tag expression means.
 *
 *     SELECT * FROM article WHERE id IN (SELECT entity FROM entitydb_tagged('article', 'status:live & !draft'))
 *
 * Entities come in ascending order, each once. entity/tag_expression.h has the grammar. idxStr is "tagged", by which the
 * driver knows the plan in EXPLAIN QUERY PLAN; idxNum is the sum of: */
#include <stdlib.h>

#include "engine/entity/tag_set.h"
#include "engine/vtab/type_names.h"

enum { TAGGED_ENTITY, TAGGED_TYPE, TAGGED_EXPRESSION };
enum { PLAN_ENTITY = 1, PLAN_FROM = 2 };    /* the third argument: the entity itself; the first one that is wanted */

#define DECLARATION "CREATE TABLE x(entity INTEGER, type TEXT HIDDEN, expression TEXT HIDDEN)"

typedef struct {
    sqlite3_vtab_cursor tds_base;
    edb_stmt *tds_stmt;             /* one user is ours; NULL: before xFilter */
    tag_set *tds_set;               /* NULL: nothing is meant */
    sqlite3_value *tds_type, *tds_expression;   /* the arguments, to be shown; copies, NULL: before xFilter */
    bool tds_only;                  /* one entity was asked for */
    int64_t tds_entity;
} tagged_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return typed_vtab_connect(db, aux, DECLARATION, out);
}

/* ---- plans ------------------------------------------------------------------------------------------------------------ */

enum { GUESS = 1000 };              /* entities, where nothing is known */

static double estimate_rows(typed_vtab *vt, sqlite3_index_info *info, int type, int expression)
{
    size_t name_size, size;
    const char *name = known_text(info, type, &name_size), *text = known_text(info, expression, &size);
    const edb_table *table = NULL;
    double rows = -1;
    edb_stmt *stmt;
    if (!name || !text || vtab_acquire_aside(vt->tyv_any.ay_binding, false, &stmt))
        return GUESS;
    if (!type_by_name(&vt->tyv_types, stmt, name, name_size, &table) && table)
        rows = tag_set_estimate(stmt, table->et_id, text, size);
    stmt_release(stmt);
    return rows < 0 ? GUESS : rows;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    int at[3] = { -1, -1, -1 }, from = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        int column = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
        if (column < 0)
            column = TAGGED_ENTITY;
        if (!info->aConstraint[i].usable || column > TAGGED_EXPRESSION)
            continue;
        if (op == SQLITE_INDEX_CONSTRAINT_EQ && at[column] < 0)
            at[column] = i;
        else if (column == TAGGED_ENTITY && (op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE))
            from = i;
    }
    /* The arguments come from a table that is read later. */
    if (at[TAGGED_TYPE] < 0 || at[TAGGED_EXPRESSION] < 0)
        return SQLITE_CONSTRAINT;
    double rows = estimate_rows((typed_vtab *)base, info, at[TAGGED_TYPE], at[TAGGED_EXPRESSION]);
    for (int i = TAGGED_TYPE; i <= TAGGED_EXPRESSION; i++) {
        info->aConstraintUsage[at[i]].argvIndex = i;
        info->aConstraintUsage[at[i]].omit = 1;
    }
    int third = at[TAGGED_ENTITY] >= 0 ? at[TAGGED_ENTITY] : from;
    if (third >= 0)
        info->aConstraintUsage[third].argvIndex = TAGGED_EXPRESSION + 1;
    if (at[TAGGED_ENTITY] >= 0) {
        info->idxNum = PLAN_ENTITY;
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
        rows = 1;
    } else if (from >= 0) {
        info->idxNum = PLAN_FROM;
        rows /= 2;
    }
    info->idxStr = "tagged";
    info->estimatedRows = rows < 1 ? 1 : rows > 1e15 ? (sqlite3_int64)1e15 : (sqlite3_int64)rows;
    info->estimatedCost = 20 + rows;
    info->orderByConsumed = info->nOrderBy == 1 && !info->aOrderBy[0].desc && info->aOrderBy[0].iColumn <= TAGGED_ENTITY;
    return SQLITE_OK;
}

/* ---- scans ------------------------------------------------------------------------------------------------------------ */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(tagged_scan), out);
}

static void leave(tagged_scan *tds)
{
    tag_set_close(tds->tds_set);
    tds->tds_set = NULL;
    sqlite3_value_free(tds->tds_type);
    sqlite3_value_free(tds->tds_expression);
    tds->tds_type = tds->tds_expression = NULL;
    if (tds->tds_stmt)
        stmt_release(tds->tds_stmt);
    tds->tds_stmt = NULL;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    leave((tagged_scan *)base);
    free(base);
    return SQLITE_OK;
}

/* Where the walk begins; *none: no entity can be meant. A lower bound that is no integer is SQLite's to judge. */
static int64_t first_entity(tagged_scan *tds, int plan, sqlite3_value *value, bool *none)
{
    int64_t entity = INT64_MIN;
    bool is_integer = value && value_is_entity(value, &entity);
    tds->tds_only = plan == PLAN_ENTITY;
    tds->tds_entity = entity;
    *none = tds->tds_only && !is_integer;
    return is_integer ? entity : INT64_MIN;
}

static int keep_arguments(tagged_scan *tds, sqlite3_value **argv)
{
    tds->tds_type = sqlite3_value_dup(argv[0]);
    tds->tds_expression = sqlite3_value_dup(argv[1]);
    return tds->tds_type && tds->tds_expression ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to look for entities by tags");
}

typedef struct {
    const char *au_text;
    size_t au_size;
} argument_text;

/* *is_null: then nothing is meant. */
static int text_argument(sqlite3_value *value, const char *what, argument_text *out, bool *is_null)
{
    int type = sqlite3_value_type(value);
    if (type == SQLITE_NULL) {
        *is_null = true;
        return EDB_OK;
    }
    if (type == SQLITE_BLOB)
        return edb_fail(EDB_MISUSE, "entitydb_tagged: %s is a text, and no blob", what);
    if (!(out->au_text = (const char *)sqlite3_value_text(value)))
        return edb_fail(EDB_NOMEM, "no memory to look for entities by tags");
    out->au_size = (size_t)sqlite3_value_bytes(value);
    return EDB_OK;
}

static int start(tagged_scan *tds, int plan, int argc, sqlite3_value **argv)
{
    typed_vtab *vt = (typed_vtab *)tds->tds_base.pVtab;
    argument_text name, expression;
    const edb_table *type = NULL;
    bool none, is_null = false;
    leave(tds);
    int64_t first = first_entity(tds, plan, argc > 2 ? argv[2] : NULL, &none);
    int rc = vtab_acquire(vt->tyv_any.ay_binding, false, &tds->tds_stmt);
    if (!rc)
        rc = keep_arguments(tds, argv);
    if (!rc)
        rc = text_argument(argv[0], "the type", &name, &is_null);
    if (!rc)
        rc = text_argument(argv[1], "the expression", &expression, &is_null);
    if (rc || is_null)
        return rc;
    rc = type_by_name(&vt->tyv_types, tds->tds_stmt, name.au_text, name.au_size, &type);
    if (!rc && !type)
        rc = edb_fail(EDB_NOSUCH, "entitydb_tagged: there is no table %s", name.au_text);
    if (!rc)
        rc = tag_set_open(tds->tds_stmt, type->et_id, expression.au_text, expression.au_size, &tds->tds_set);
    if (rc || none)
        return rc;
    return tag_set_seek(tds->tds_set, first);
}

static int eof(sqlite3_vtab_cursor *base)
{
    const tagged_scan *tds = (tagged_scan *)base;
    return !tds->tds_set || !tag_set_valid(tds->tds_set)
           || (tds->tds_only && tag_set_at(tds->tds_set) != tds->tds_entity);
}

static void visited(sqlite3_vtab_cursor *base)
{
    ((vtab_any *)base->pVtab)->ay_binding->bd_visited += !eof(base);
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *string, int argc, sqlite3_value **argv)
{
    (void)string;
    int rc = start((tagged_scan *)base, plan, argc, argv);
    visited(base);
    return vtab_result(base->pVtab, rc);
}

static int next(sqlite3_vtab_cursor *base)
{
    tagged_scan *tds = (tagged_scan *)base;
    int rc = EDB_OK;
    if (conn_interrupted(stmt_conn(tds->tds_stmt)))
        rc = edb_fail(EDB_INTERRUPT, "looking for entities by tags was interrupted");
    else
        rc = tag_set_next(tds->tds_set);
    visited(base);
    return vtab_result(base->pVtab, rc);
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const tagged_scan *tds = (tagged_scan *)base;
    if (column == TAGGED_ENTITY)
        sqlite3_result_int64(context, tag_set_at(tds->tds_set));
    else
        sqlite3_result_value(context, column == TAGGED_TYPE ? tds->tds_type : tds->tds_expression);
    return SQLITE_OK;
}

static int rowid_of(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    *rowid = tag_set_at(((tagged_scan *)base)->tds_set);
    return SQLITE_OK;
}

const sqlite3_module vtab_tagged_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = typed_vtab_disconnect,
    .xDestroy = typed_vtab_disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column_of,
    .xRowid = rowid_of,
};
