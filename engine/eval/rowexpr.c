/* Expressions over one row (rowexpr.h): a module a row, a prepared statement over it. */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/declare.h"
#include "engine/eval/rowexpr.h"
#include "engine/eval/value.h"

typedef struct {                    /* what a module shows; counted by the module and its virtual tables */
    int so_refs;
    edb_table *so_table;            /* counted */
    uint64_t so_used;               /* columns that a plan asked for */
    const rowexpr_row *so_row;      /* NULL: none laid */
} row_source;

struct rowexpr {
    sqlite3 *rx_db;
    edb_table *rx_table;            /* counted */
    char *rx_list, *rx_tail, *rx_alias;
    bool rx_excluded, rx_running;
    char rx_module[2][48];          /* names of the modules; "" none */
    row_source *rx_source[2];       /* the row, excluded */
    rowexpr_row rx_row[2];
    sqlite3_stmt *rx_stmt;
    rowexpr *rx_nested;             /* the run inside a run, made when first needed; owned */
};

/* ---- the table of one row ------------------------------------------------------------------------------------- */

typedef struct {
    sqlite3_vtab_cursor xc_base;
    bool xc_over, xc_taken;
} row_cursor;

typedef struct {
    sqlite3_vtab xt_base;
    row_source *xt_source;          /* counted */
    row_cursor xt_cursor;           /* the first one open: most expressions have no other */
} row_table;

static int no_memory(const edb_table *table)
{
    return edb_fail(EDB_NOMEM, "no memory for an expression over table %s", table->et_name);
}

static void source_unref(void *arg)
{
    row_source *so = arg;
    if (--so->so_refs)
        return;
    table_unref(so->so_table);
    free(so);
}

static int row_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    row_source *so = aux;
    row_table *xt = calloc(1, sizeof *xt);
    (void)argc, (void)argv, (void)error;
    if (!xt)
        return SQLITE_NOMEM;
    int rc = declare_table(db, so->so_table, NULL);
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    if (rc) {
        free(xt);
        return rc;
    }
    xt->xt_source = so;
    so->so_refs++;
    *out = &xt->xt_base;
    return SQLITE_OK;
}

static int row_disconnect(sqlite3_vtab *base)
{
    source_unref(((row_table *)base)->xt_source);
    free(base);
    return SQLITE_OK;
}

static int row_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    ((row_table *)base)->xt_source->so_used |= info->colUsed;
    info->estimatedCost = 1;
    info->estimatedRows = 1;
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    return SQLITE_OK;
}

/* Hands the engine's message on. SQLITE_NOMEM would roll back the transaction under the write that asks; what the engine
 * itself lacked, failed() reads from the message. */
static int row_failed(sqlite3_vtab *base)
{
    sqlite3_free(base->zErrMsg);
    base->zErrMsg = sqlite3_mprintf("%s", edb_message());
    return SQLITE_ERROR;
}

static int row_open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    row_table *xt = (row_table *)base;
    row_cursor *xc = xt->xt_cursor.xc_taken ? calloc(1, sizeof *xc) : &xt->xt_cursor;
    if (!xc) {
        no_memory(xt->xt_source->so_table);
        return row_failed(base);
    }
    xc->xc_taken = true;
    *out = &xc->xc_base;
    return SQLITE_OK;
}

static int row_close(sqlite3_vtab_cursor *base)
{
    row_cursor *xc = (row_cursor *)base;
    if (xc == &((row_table *)base->pVtab)->xt_cursor)
        xc->xc_taken = false;
    else
        free(xc);
    return SQLITE_OK;
}

static const rowexpr_row *cursor_row(sqlite3_vtab_cursor *base)
{
    return ((row_table *)base->pVtab)->xt_source->so_row;
}

static int row_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)number, (void)plan, (void)argc, (void)argv;
    ((row_cursor *)base)->xc_over = !cursor_row(base);
    return SQLITE_OK;
}

static int row_next(sqlite3_vtab_cursor *base)
{
    ((row_cursor *)base)->xc_over = true;
    return SQLITE_OK;
}

static int row_eof(sqlite3_vtab_cursor *base)
{
    return ((row_cursor *)base)->xc_over;
}

static int row_show(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const rowexpr_row *row = cursor_row(base);
    const edb_table *table = ((row_table *)base->pVtab)->xt_source->so_table;
    edb_value asked;
    if (row && row->ro_get && column < (int)table->et_n_columns) {
        if (row->ro_get(row->ro_arg, (uint32_t)column, &asked))
            return row_failed(base->pVtab);
        value_result(context, &asked, false);
        return SQLITE_OK;
    }
    if (row && row->ro_values && column < (int)table->et_n_columns)
        value_result(context, &row->ro_values[column], false);
    else
        sqlite3_result_null(context);
    return SQLITE_OK;
}

static int row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    const rowexpr_row *row = cursor_row(base);
    *rowid = row ? row->ro_rowid : 0;
    return SQLITE_OK;
}

/* Without xCreate: eponymous, and in no schema. */
static const sqlite3_module row_module = {
    .iVersion = 2,
    .xConnect = row_connect,
    .xBestIndex = row_best_index,
    .xDisconnect = row_disconnect,
    .xOpen = row_open_cursor,
    .xClose = row_close,
    .xFilter = row_filter,
    .xNext = row_next,
    .xEof = row_eof,
    .xColumn = row_show,
    .xRowid = row_id,
};

/* ---- making and freeing --------------------------------------------------------------------------------------- */

/* Names are never used twice, so a statement that outlives its module cannot meet another's. */
static int add_module(rowexpr *rx, int which)
{
    static _Atomic uint64_t made;
    row_source *so = calloc(1, sizeof *so);
    if (!so)
        return no_memory(rx->rx_table);
    so->so_refs = 2;                /* the module's and ours */
    so->so_table = table_ref(rx->rx_table);
    sqlite3_snprintf(sizeof rx->rx_module[which], rx->rx_module[which], "entitydb_row_%llu",
                     (unsigned long long)++made);
    int rc = sqlite3_create_module_v2(rx->rx_db, rx->rx_module[which], &row_module, so, source_unref);
    if (rc) {                       /* SQLite has called source_unref */
        rx->rx_module[which][0] = 0;
        source_unref(so);
        return no_memory(rx->rx_table);
    }
    rx->rx_source[which] = so;
    return EDB_OK;
}

/* What the engine itself lacked is told as such, and ends the statement. result: SQLite's. */
static int failed(const rowexpr *rx, int result)
{
    int code = edb_last_code();
    bool lacks = code == EDB_NOMEM || code == EDB_IO || code == EDB_FULL || code == EDB_POISONED
                 || code == EDB_INTERRUPT;
    if (lacks && !strcmp(sqlite3_errmsg(rx->rx_db), edb_message()))
        return code;
    if ((result & 0xff) == SQLITE_NOMEM)
        return no_memory(rx->rx_table);
    return edb_fail(EDB_EXPRESSION, "%s", sqlite3_errmsg(rx->rx_db));
}

/* The text, with the row's module in place of ROWEXPR_ROW. */
static void append_naming(sqlite3_str *sql, const rowexpr *rx, const char *text)
{
    for (const char *at; rx->rx_excluded && (at = strstr(text, ROWEXPR_ROW)); text = at + strlen(ROWEXPR_ROW)) {
        sqlite3_str_append(sql, text, (int)(at - text));
        sqlite3_str_appendall(sql, rx->rx_module[0]);
    }
    sqlite3_str_appendall(sql, text);
}

static int prepare(rowexpr *rx)
{
    sqlite3_str *sql = sqlite3_str_new(rx->rx_db);
    sqlite3_str_appendall(sql, "SELECT ");
    append_naming(sql, rx, rx->rx_list);
    if (rx->rx_excluded)
        sqlite3_str_appendf(sql, "\nFROM %s AS excluded\n", rx->rx_module[1]);
    else
        sqlite3_str_appendf(sql, "\nFROM %s AS \"%w\"\n", rx->rx_module[0], rx->rx_alias);
    if (rx->rx_tail)
        append_naming(sql, rx, rx->rx_tail);
    char *text = sqlite3_str_finish(sql);
    if (!text)
        return no_memory(rx->rx_table);
    int rc = sqlite3_prepare_v3(rx->rx_db, text, -1, SQLITE_PREPARE_PERSISTENT, &rx->rx_stmt, NULL);
    sqlite3_free(text);
    return rc ? failed(rx, rc) : EDB_OK;
}

int rowexpr_new(sqlite3 *db, const edb_table *table, const char *alias, bool excluded, const char *list,
                const char *tail, rowexpr **out)
{
    rowexpr *rx = calloc(1, sizeof *rx);
    if (!rx)
        return no_memory(table);
    rx->rx_db = db;
    rx->rx_table = table_ref(table);
    rx->rx_excluded = excluded;
    rx->rx_alias = strdup(alias);
    rx->rx_list = strdup(list);
    rx->rx_tail = tail ? strdup(tail) : NULL;
    int rc = rx->rx_alias && rx->rx_list && (rx->rx_tail || !tail) ? EDB_OK : no_memory(table);
    for (int i = 0; !rc && i <= excluded; i++)
        rc = add_module(rx, i);
    if (!rc)
        rc = prepare(rx);
    if (rc)
        rowexpr_free(rx);
    else
        *out = rx;
    return rc;
}

void rowexpr_free(rowexpr *rx)
{
    if (!rx)
        return;
    rowexpr_free(rx->rx_nested);
    sqlite3_finalize(rx->rx_stmt);
    for (int i = 0; i < 2; i++) {
        if (rx->rx_module[i][0])
            sqlite3_create_module_v2(rx->rx_db, rx->rx_module[i], NULL, NULL, NULL);
        if (rx->rx_source[i])
            source_unref(rx->rx_source[i]);
    }
    table_unref(rx->rx_table);
    free(rx->rx_alias);
    free(rx->rx_list);
    free(rx->rx_tail);
    free(rx);
}

int rowexpr_columns(const rowexpr *rx) { return sqlite3_column_count(rx->rx_stmt); }
const char *rowexpr_name(const rowexpr *rx, int i) { return sqlite3_column_name(rx->rx_stmt, i); }
const edb_table *rowexpr_table(const rowexpr *rx) { return rx->rx_table; }
uint64_t rowexpr_used(const rowexpr *rx) { return rx->rx_source[0]->so_used; }

/* ---- running -------------------------------------------------------------------------------------------------- */

int rowexpr_begin(rowexpr *rx, const rowexpr_row *row, const rowexpr_row *excluded, rowexpr **run)
{
    while (rx->rx_running) {
        if (!rx->rx_nested) {
            int rc = rowexpr_new(rx->rx_db, rx->rx_table, rx->rx_alias, rx->rx_excluded, rx->rx_list, rx->rx_tail,
                                 &rx->rx_nested);
            if (rc)
                return rc;
        }
        rx = rx->rx_nested;
    }
    rx->rx_running = true;
    rx->rx_row[0] = *row;
    rx->rx_source[0]->so_row = &rx->rx_row[0];
    if (rx->rx_excluded) {
        rx->rx_row[1] = excluded ? *excluded : (rowexpr_row){ .ro_values = NULL };
        rx->rx_source[1]->so_row = &rx->rx_row[1];
    }
    *run = rx;
    return EDB_OK;
}

int rowexpr_bind(rowexpr *run, int parameter, const edb_value *value)
{
    int rc = value_bind(run->rx_stmt, parameter, value);
    return rc ? failed(run, rc) : EDB_OK;
}

int rowexpr_step(rowexpr *run, bool *found)
{
    int rc = sqlite3_step(run->rx_stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return failed(run, rc);
    *found = rc == SQLITE_ROW;
    return EDB_OK;
}

sqlite3_value *rowexpr_value(rowexpr *run, int i)
{
    return sqlite3_column_value(run->rx_stmt, i);
}

void rowexpr_end(rowexpr *run)
{
    sqlite3_reset(run->rx_stmt);
    sqlite3_clear_bindings(run->rx_stmt);
    for (int i = 0; i < 2; i++)
        if (run->rx_source[i])
            run->rx_source[i]->so_row = NULL;
    run->rx_running = false;
}
