/* The eponymous table entitydb_entities: the rows of all tables, as entities.
 *
 *     SELECT type, id, created_at, updated_at, versions, content FROM entitydb_entities      at the statement's moment
 *     SELECT ... FROM entitydb_entities(moment)                                              as of a moment (nanoseconds)
 *
 * `created_at` and `updated_at` are the times (nanoseconds) of the commits that wrote the first and the newest version since the
 * row was last inserted, `versions` how many they were; what is not committed has none. `content` is the row as a JSON object, under
 * the columns its table has at the moment. It has a key and no row id, since ids repeat from table to table. idxStr is "entities", by
 * which the driver knows the plan in EXPLAIN QUERY PLAN; idxNum is the sum of: */
#include <stdlib.h>
#include <string.h>

#include "engine/entity/row_history.h"
#include "engine/vtab/row_results.h"
#include "engine/vtab/type_names.h"

enum { ENTITIES_TYPE, ENTITIES_ID, ENTITIES_CREATED, ENTITIES_UPDATED, ENTITIES_VERSIONS, ENTITIES_CONTENT,
       ENTITIES_MOMENT };
enum { PLAN_TYPE = 1, PLAN_ID = 2, PLAN_MOMENT = 4 };   /* of one table; of one row of each table; as of a moment, the last argument */
enum { TABLES_GUESS = 4, ROWS_GUESS = 10000 };  /* of a table, where nothing is known */

#define DECLARATION                                                                                                    \
    "CREATE TABLE x(type TEXT COLLATE NOCASE, id INTEGER, created_at INTEGER, updated_at INTEGER, versions INTEGER, "   \
    "content TEXT, \"entitydb moment\" BLOB HIDDEN, PRIMARY KEY(type, id)) WITHOUT ROWID"

typedef struct {
    sqlite3_vtab_cursor ens_base;
    edb_stmt *ens_stmt;             /* one user is ours; NULL: before xFilter */
    edb_table **ens_tables;         /* those walked, counted; malloc()ed */
    size_t ens_n, ens_i;
    edb_cursor ens_rows;            /* while ens_open: of table ens_i */
    bool ens_open;
    bool ens_one;                   /* only the row ens_id is wanted */
    int64_t ens_id;
    int64_t ens_moment;             /* as of it, with PLAN_MOMENT */
    bool ens_lived;                 /* ens_life is that of the row the scan stands on */
    row_life ens_life;
    table_buffer ens_buffer, ens_json;
} entities_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return typed_vtab_connect(db, aux, DECLARATION, out);
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    bool known = false;
    double rows = (double)TABLES_GUESS * ROWS_GUESS;
    int arguments = 0;
    (void)base;
    for (int column = ENTITIES_TYPE; column <= ENTITIES_ID; column++)
        for (int i = 0; i < info->nConstraint; i++) {
            if (!info->aConstraint[i].usable || info->aConstraint[i].iColumn != column
                || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ
                || (column == ENTITIES_TYPE && sqlite3_stricmp(sqlite3_vtab_collation(info, i), "NOCASE")))
                continue;
            info->idxNum |= column == ENTITIES_TYPE ? PLAN_TYPE : PLAN_ID;
            info->aConstraintUsage[i].argvIndex = ++arguments;
            /* What is compared with a number SQLite judges, as for tags (vtab_tags.c). */
            info->aConstraintUsage[i].omit = column == ENTITIES_TYPE && (known = known_text(info, i, NULL));
            rows /= column == ENTITIES_TYPE ? TABLES_GUESS : ROWS_GUESS;
            break;
        }
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn != ENTITIES_MOMENT || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!info->aConstraint[i].usable)
            return SQLITE_CONSTRAINT;
        info->idxNum |= PLAN_MOMENT;
        info->aConstraintUsage[i].argvIndex = ++arguments;
        info->aConstraintUsage[i].omit = 1;
        break;
    }
    info->idxStr = "entities";
    info->estimatedRows = rows < 1 ? 1 : (sqlite3_int64)rows;
    info->estimatedCost = 20 + 3 * rows;
    if ((info->idxNum & ~PLAN_MOMENT) == (PLAN_TYPE | PLAN_ID) && known)
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    return SQLITE_OK;
}

/* ---- scans ------------------------------------------------------------------------------------------------------------ */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(entities_scan), out);
}

static void leave(entities_scan *ens)
{
    if (ens->ens_open)
        cursor_close(&ens->ens_rows);
    for (size_t i = 0; i < ens->ens_n; i++)
        table_unref(ens->ens_tables[i]);
    free(ens->ens_tables);
    if (ens->ens_stmt)
        stmt_release(ens->ens_stmt);
    ens->ens_open = false;
    ens->ens_tables = NULL;
    ens->ens_stmt = NULL;
    ens->ens_n = ens->ens_i = 0;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    entities_scan *ens = (entities_scan *)base;
    leave(ens);
    buffer_free(&ens->ens_buffer);
    buffer_free(&ens->ens_json);
    free(ens);
    return SQLITE_OK;
}

/* From where the scan stands to the first row there is, in this table or in a later one. */
static int find_row(entities_scan *ens)
{
    uint8_t key[8];
    int rc = EDB_OK;
    ens->ens_lived = false;
    while (!rc && ens->ens_i < ens->ens_n) {
        const edb_cursor *cu = &ens->ens_rows;
        if (!ens->ens_open) {
            rowid_store(key, ens->ens_id);
            if (!(rc = cursor_open(ens->ens_stmt, ens->ens_tables[ens->ens_i]->et_id, &ens->ens_rows))) {
                ens->ens_open = true;
                rc = cursor_seek(&ens->ens_rows, ens->ens_one ? key : NULL, ens->ens_one ? sizeof key : 0);
            }
            if (rc)
                break;
        }
        if (cu->valid && cu->at.key_size != 8)
            rc = edb_fail(EDB_CORRUPT, "table %s has a key of %u bytes", ens->ens_tables[ens->ens_i]->et_name,
                          cu->at.key_size);
        else if (cu->valid && (!ens->ens_one || rowid_load(cu->at.key) == ens->ens_id))
            return EDB_OK;
        cursor_close(&ens->ens_rows);
        ens->ens_open = false;
        ens->ens_i++;
    }
    return rc;
}

static int find_tables(entities_scan *ens, sqlite3_value *name)
{
    typed_vtab *vt = (typed_vtab *)ens->ens_base.pVtab;
    const edb_table *only = NULL;
    int kind = name ? sqlite3_value_type(name) : SQLITE_INTEGER;
    if (kind == SQLITE_INTEGER || kind == SQLITE_FLOAT)
        return catalog_tables(ens->ens_stmt, &ens->ens_tables, &ens->ens_n);
    if (kind != SQLITE_TEXT)
        return EDB_OK;
    const char *text = (const char *)sqlite3_value_text(name);
    size_t size = (size_t)sqlite3_value_bytes(name);
    int rc = text ? type_by_name(&vt->tyv_types, ens->ens_stmt, text, size, &only) : EDB_OK;
    if (rc || !only)
        return rc;
    if (!(ens->ens_tables = malloc(sizeof *ens->ens_tables)))
        return edb_fail(EDB_NOMEM, "no memory to read entities");
    ens->ens_tables[ens->ens_n++] = table_ref(only);
    return EDB_OK;
}

/* The past shows nothing of columns without history. */
static int tables_then(entities_scan *ens)
{
    int rc = EDB_OK;
    for (size_t i = 0; !rc && i < ens->ens_n && stmt_is_past(ens->ens_stmt); i++) {
        edb_table *bare, *table = ens->ens_tables[i];
        if (!table->et_unversioned.rmk_n)
            continue;
        if ((rc = table_unversioned(table, &bare)))
            break;
        table_unref(table);
        ens->ens_tables[i] = bare;
    }
    return rc;
}

static int start(entities_scan *ens, int plan, int argc, sqlite3_value **argv)
{
    leave(ens);
    sqlite3_value *id = plan & PLAN_ID ? argv[(plan & PLAN_TYPE) != 0] : NULL;
    ens->ens_one = id;
    if (id && !value_is_entity(id, &ens->ens_id))
        return EDB_OK;
    bool nothing = false;
    int rc = vtab_acquire(((vtab_any *)ens->ens_base.pVtab)->ay_binding, false, &ens->ens_stmt);
    if (!rc && plan & PLAN_MOMENT)
        rc = vtab_as_of("entitydb_entities", argv[argc - 1], &ens->ens_stmt, &ens->ens_moment, &nothing);
    if (!rc && !nothing)
        rc = find_tables(ens, plan & PLAN_TYPE ? argv[0] : NULL);
    if (!rc)
        rc = tables_then(ens);
    return rc ? rc : find_row(ens);
}

static int eof(sqlite3_vtab_cursor *base)
{
    return !((const entities_scan *)base)->ens_open;
}

static void visited(sqlite3_vtab_cursor *base)
{
    ((vtab_any *)base->pVtab)->ay_binding->bd_visited += !eof(base);
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *string, int argc, sqlite3_value **argv)
{
    (void)string;
    int rc = start((entities_scan *)base, plan, argc, argv);
    visited(base);
    return vtab_result(base->pVtab, rc);
}

static int next(sqlite3_vtab_cursor *base)
{
    entities_scan *ens = (entities_scan *)base;
    int rc = cursor_next(&ens->ens_rows);
    if (!rc)
        rc = find_row(ens);
    visited(base);
    return vtab_result(base->pVtab, rc);
}

/* ---- columns ---------------------------------------------------------------------------------------------------------- */

static int life_column(entities_scan *ens, sqlite3_context *context, int column, int64_t id)
{
    const edb_entry *at = &ens->ens_rows.at;
    int rc = EDB_OK;
    if (!ens->ens_lived)
        rc = row_life_find(ens->ens_stmt, ens->ens_tables[ens->ens_i]->et_id, id, &ens->ens_life);
    if (rc)
        return rc;
    ens->ens_lived = true;
    if (column == ENTITIES_VERSIONS) {
        sqlite3_result_int64(context, (int64_t)ens->ens_life.rl_versions);
        return EDB_OK;
    }
    return result_commit_time(context, ens->ens_stmt, column == ENTITIES_CREATED ? ens->ens_life.rl_created
                                                   : at->from                 ? ens->ens_life.rl_updated : 0);
}

static int column_value(entities_scan *ens, sqlite3_context *context, int column)
{
    int64_t id = rowid_load(ens->ens_rows.at.key);
    switch (column) {
    case ENTITIES_TYPE:
        sqlite3_result_text(context, ens->ens_tables[ens->ens_i]->et_name, -1, SQLITE_TRANSIENT);
        return EDB_OK;
    case ENTITIES_ID:
        sqlite3_result_int64(context, id);
        return EDB_OK;
    case ENTITIES_MOMENT:
        sqlite3_result_int64(context, ens->ens_moment);
        return EDB_OK;
    case ENTITIES_CONTENT:
        return result_row_json(context, ens->ens_stmt, ens->ens_tables[ens->ens_i], &ens->ens_rows.at, id, &ens->ens_buffer,
                               &ens->ens_json);
    default:
        return life_column(ens, context, column, id);
    }
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, column_value((entities_scan *)base, context, column));
}

const sqlite3_module vtab_entities_module = {
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
};
