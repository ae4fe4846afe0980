/* Generated columns (generate.h): for each table and column an expression over a row (rowexpr.h), kept.
 *
 * Tables are told apart by their columns, not by where they lie in memory, because the past of a table with added
 * columns is decoded anew for each moment. */
#include "engine/eval/generate.h"

#include <stdlib.h>
#include <string.h>

#include "engine/eval/rowexpr.h"
#include "engine/eval/value.h"

#define TABLES_MOST 32              /* whose expressions are kept */
#define DEPTH_MOST 250              /* columns that are computed for one another; each takes some of the C stack */

enum { UNKNOWN, RUNNING, KNOWN };

typedef struct generated_table {
    struct generated_table *gt_next;
    edb_table *gt_table;            /* counted */
    rowexpr **gt_expressions;       /* by column, prepared when first asked for */
    rowexpr **gt_runs;              /* to be ended with the row */
    edb_value *gt_values;           /* by column, when KNOWN */
    uint8_t *gt_states;
} generated_table;

struct generator {
    edb_conn *ge_conn;              /* NULL: of a check */
    sqlite3 *ge_db;
    sqlite3 *ge_clock;              /* with SQLite's own date functions; NULL: not asked for yet */
    generated_table *ge_tables;     /* most recently used first */
    generated_table *ge_now;        /* of the row begun */
    generate_row ge_row;
    value_scratch ge_scratch;         /* what affinity makes of results */
    uint32_t ge_depth;              /* of columns being computed for one another */
    uint32_t ge_selects;            /* met while a text is prepared */
    int ge_failed;                  /* why a column inside an expression could not be had; EDB_OK */
    bool ge_hidden;                 /* the column computed is an index's */
};

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to compute a generated column");
}

/* ---- the private connection ----------------------------------------------------------------------------------- */

bool generate_possible(void)
{
    return sqlite3_api != NULL;
}

static int heed_interrupt(void *arg)
{
    generator *ge = arg;
    return ge->ge_conn && conn_interrupted(ge->ge_conn);
}

/* An expression has no subquery; one in a forged catalog might not end, or look where it has no business. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
    generator *ge = arg;
    (void)a, (void)b, (void)c, (void)d;
    if (action == SQLITE_SELECT)
        return ge->ge_selects++ ? SQLITE_DENY : SQLITE_OK;
    return action == SQLITE_READ || action == SQLITE_FUNCTION ? SQLITE_OK : SQLITE_DENY;
}

static bool text_is(sqlite3_value *value, const char *word)
{
    return sqlite3_value_type(value) == SQLITE_TEXT
           && sqlite3_stricmp((const char *)sqlite3_value_text(value), word) == 0;
}

/* No time at all, 'now' for one, or a modifier that depends on where the machine stands. `at`: where the time is. */
static bool asks_clock(int argc, sqlite3_value **argv, int at, int times)
{
    for (int i = at; i < at + times; i++)
        if (i >= argc || text_is(argv[i], "now") || text_is(argv[i], "subsec") || text_is(argv[i], "subsecond"))
            return true;
    for (int i = at + times; i < argc; i++)
        if (text_is(argv[i], "localtime") || text_is(argv[i], "utc"))
            return true;
    return false;
}

static const struct { const char *name; int at, times; } clocks[] = {
    {"date", 0, 1}, {"time", 0, 1}, {"datetime", 0, 1}, {"julianday", 0, 1}, {"unixepoch", 0, 1}, {"strftime", 1, 1},
    {"timediff", 0, 2}, {"current_timestamp", 0, 1}, {"current_date", 0, 1}, {"current_time", 0, 1},
};

/* SQLite's own function of the same name, asked on a connection that still has it. */
static int ask_clock(generator *ge, const char *name, int argc, sqlite3_value **argv, sqlite3_context *context)
{
    sqlite3_stmt *stmt = NULL;
    if (!ge->ge_clock && sqlite3_open_v2(":memory:", &ge->ge_clock,
                                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        return SQLITE_NOMEM;
    sqlite3_str *sql = sqlite3_str_new(ge->ge_clock);
    sqlite3_str_appendf(sql, "SELECT %s(", name);
    for (int i = 0; i < argc; i++)
        sqlite3_str_appendf(sql, "%s?", i ? ", " : "");
    sqlite3_str_appendall(sql, ")");
    char *text = sqlite3_str_finish(sql);
    int rc = text ? sqlite3_prepare_v2(ge->ge_clock, text, -1, &stmt, NULL) : SQLITE_NOMEM;
    sqlite3_free(text);
    for (int i = 0; !rc && i < argc; i++)
        rc = sqlite3_bind_value(stmt, i + 1, argv[i]);
    if (!rc && sqlite3_step(stmt) == SQLITE_ROW)
        sqlite3_result_value(context, sqlite3_column_value(stmt, 0));
    else
        sqlite3_result_error(context, sqlite3_errmsg(ge->ge_clock), -1);
    sqlite3_finalize(stmt);
    return SQLITE_OK;
}

typedef struct {
    generator *cf_generator;
    int cf_clock;                   /* index into clocks */
} clock_function;

static void function_clock(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const clock_function *cf = sqlite3_user_data(context);
    const char *name = clocks[cf->cf_clock].name;
    if (asks_clock(argc, argv, clocks[cf->cf_clock].at, clocks[cf->cf_clock].times)) {
        char *text = sqlite3_mprintf("non-deterministic use of %s() in %s", name,
                                     cf->cf_generator->ge_hidden ? "an index" : "a generated column");
        sqlite3_result_error(context, text ? text : "out of memory", -1);
        sqlite3_free(text);
    } else if (ask_clock(cf->cf_generator, name, argc, argv, context)) {
        sqlite3_result_error_nomem(context);
    }
}

static int add_clocks(generator *ge)
{
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        clock_function *cf = malloc(sizeof *cf);
        if (!cf)
            return no_memory();
        *cf = (clock_function){ .cf_generator = ge, .cf_clock = (int)i };
        /* On failure SQLite frees it. */
        if (sqlite3_create_function_v2(ge->ge_db, clocks[i].name, -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, cf,
                                       function_clock, NULL, NULL, free))
            return no_memory();
    }
    return EDB_OK;
}

int generator_new(edb_conn *conn, generator **out)
{
    if (!generate_possible())
        return edb_fail(EDB_MISUSE, "a generated column can be computed only where SQLite has loaded the library");
    generator *ge = calloc(1, sizeof *ge);
    if (!ge)
        return no_memory();
    ge->ge_conn = conn;
    int rc = sqlite3_open_v2(":memory:", &ge->ge_db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
                 ? edb_fail(EDB_NOMEM, "no memory for the SQLite connection that computes generated columns")
                 : add_clocks(ge);
    if (rc) {
        generator_free(ge);
        return rc;
    }
    sqlite3_progress_handler(ge->ge_db, 10000, heed_interrupt, ge);
    sqlite3_set_authorizer(ge->ge_db, authorize, ge);
    *out = ge;
    return EDB_OK;
}

static void table_free(generated_table *gt)
{
    for (uint32_t i = 0; gt->gt_expressions && i < gt->gt_table->et_n_columns; i++)
        rowexpr_free(gt->gt_expressions[i]);
    table_unref(gt->gt_table);
    free(gt->gt_expressions);
    free(gt->gt_runs);
    free(gt->gt_values);
    free(gt->gt_states);
    free(gt);
}

void generator_free(generator *ge)
{
    if (!ge)
        return;
    while (ge->ge_tables) {
        generated_table *next = ge->ge_tables->gt_next;
        table_free(ge->ge_tables);
        ge->ge_tables = next;
    }
    sqlite3_close(ge->ge_db);
    sqlite3_close(ge->ge_clock);
    values_free(&ge->ge_scratch);
    free(ge);
}

sqlite3 *generator_lend(generator *ge)
{
    ge->ge_selects = 0;
    return ge->ge_db;
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

static int table_new(generator *ge, const edb_table *table)
{
    uint32_t n = table->et_n_columns;
    generated_table *gt = calloc(1, sizeof *gt);
    if (!gt)
        return no_memory();
    gt->gt_table = table_ref(table);
    gt->gt_expressions = calloc(n, sizeof(*gt->gt_expressions));
    gt->gt_runs = calloc(n, sizeof(*gt->gt_runs));
    gt->gt_values = calloc(n, sizeof *gt->gt_values);
    gt->gt_states = calloc(n, sizeof *gt->gt_states);
    if (!gt->gt_expressions || !gt->gt_runs || !gt->gt_values || !gt->gt_states) {
        table_free(gt);
        return no_memory();
    }
    gt->gt_next = ge->ge_tables;
    ge->ge_tables = gt;
    generated_table **at = &ge->ge_tables;
    for (int i = 0; *at && i < TABLES_MOST; i++)
        at = &(*at)->gt_next;
    if (*at) {
        table_free(*at);            /* the last one: there was no room for more before */
        *at = NULL;
    }
    return EDB_OK;
}

static bool is_of(const generated_table *gt, const edb_table *table)
{
    return gt->gt_table == table
           || (gt->gt_table->et_id == table->et_id && !strcmp(gt->gt_table->et_name, table->et_name)
               && table_same_columns(gt->gt_table, table));
}

/* Puts the table's expressions at the front. */
static int table_find(generator *ge, const edb_table *table)
{
    for (generated_table **at = &ge->ge_tables, *gt; (gt = *at); at = &gt->gt_next)
        if (is_of(gt, table)) {
            *at = gt->gt_next;
            gt->gt_next = ge->ge_tables;
            ge->ge_tables = gt;
            return EDB_OK;
        }
    return table_new(ge, table);
}

/* ---- computing ------------------------------------------------------------------------------------------------ */

int generate_begin(generator *ge, const generate_row *row)
{
    int rc = values_prepare(&ge->ge_scratch, 2 * row->gr_table->et_n_columns);
    if (!rc)
        rc = table_find(ge, row->gr_table);
    if (rc)
        return rc;
    ge->ge_now = ge->ge_tables;
    ge->ge_row = *row;
    ge->ge_failed = EDB_OK;
    return EDB_OK;
}

void generate_end(generator *ge)
{
    generated_table *gt = ge->ge_now;
    for (uint32_t i = 0; gt && i < gt->gt_table->et_n_columns; i++) {
        if (gt->gt_runs[i])
            rowexpr_end(gt->gt_runs[i]);
        gt->gt_runs[i] = NULL;
        gt->gt_states[i] = UNKNOWN;
    }
    ge->ge_now = NULL;
    values_drop(&ge->ge_scratch);
}

/* What a column is to an expression. One that is only converted asks for itself, and means what the row has. */
static int column_of_row(void *arg, uint32_t i, edb_value *out)
{
    generator *ge = arg;
    const generate_row *row = &ge->ge_row;
    const edb_column *column = &row->gr_table->et_columns[i];
    bool made = row->gr_stored ? column_lacks(column, row->gr_stored->rw_columns) : column->computed && !row->gr_whole;
    int rc = EDB_OK;
    if (made && (column->computed || ge->ge_now->gt_states[i] != RUNNING))
        rc = generate_get(ge, i, out);
    else if (!row->gr_stored)
        *out = row->gr_values[i];
    else if (row_value(row->gr_table, row->gr_stored, row->gr_rowid, i, out))
        rc = row_damaged(row->gr_table, row->gr_rowid);
    if (rc)
        ge->ge_failed = rc;
    return rc;
}

static int prepare(generator *ge, uint32_t i)
{
    generated_table *gt = ge->ge_now;
    if (gt->gt_expressions[i])
        return EDB_OK;
    const edb_column *column = &gt->gt_table->et_columns[i];
    char *list = column->computed ? sqlite3_mprintf("(%s\n)", column->expression)
                                  : sqlite3_mprintf("\"%w\"", column->name);
    if (!list)
        return no_memory();
    ge->ge_selects = 0;
    int rc = rowexpr_new(ge->ge_db, gt->gt_table, gt->gt_table->et_name, false, list, NULL, &gt->gt_expressions[i]);
    sqlite3_free(list);
    return rc;
}

int generate_looks_at(generator *ge, const edb_table *table, uint32_t column, uint64_t *columns)
{
    generated_table *before = ge->ge_now;
    int rc = table_find(ge, table);
    if (rc)
        return rc;
    ge->ge_now = ge->ge_tables;
    rc = prepare(ge, column);
    if (!rc)
        *columns = rowexpr_used(ge->ge_now->gt_expressions[column]);
    ge->ge_now = before;
    return rc;
}

/* A value as a column of another affinity has had it, for one of this affinity. */
static int convert_on(generator *ge, const edb_value *value, int affinity, edb_value *out)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3_value *copy = NULL;
    ge->ge_selects = 0;
    int rc = sqlite3_prepare_v2(ge->ge_db, "SELECT ?1", -1, &stmt, NULL);
    if (!rc)
        rc = value_bind(stmt, 1, value);
    if (!rc && sqlite3_step(stmt) == SQLITE_ROW)
        copy = sqlite3_value_dup(sqlite3_column_value(stmt, 0));
    sqlite3_finalize(stmt);
    if (!copy)
        return no_memory();
    rc = value_hold(&ge->ge_scratch, copy);
    return rc ? rc : value_convert(&ge->ge_scratch, copy, affinity, out);
}

/* The result of a column's expression as the column has it. */
static int take_result(generator *ge, const edb_column *column, sqlite3_value *result, edb_value *out)
{
    const row_view *stored = ge->ge_row.gr_stored;
    edb_value then;
    if (!column->then_affinity || column->computed || !stored || column->then_id < stored->rw_columns)
        return value_convert(&ge->ge_scratch, result, column->affinity, out);
    int rc = value_convert(&ge->ge_scratch, result, column->then_affinity, &then);
    return rc ? rc : convert_on(ge, &then, column->affinity, out);
}

/* Evaluates into gt_values. */
static int compute(generator *ge, uint32_t i)
{
    generated_table *gt = ge->ge_now;
    const rowexpr_row row = { .ro_get = column_of_row, .ro_arg = ge, .ro_rowid = ge->ge_row.gr_rowid };
    bool found;
    int rc = prepare(ge, i);
    if (!rc)
        rc = rowexpr_begin(gt->gt_expressions[i], &row, NULL, &gt->gt_runs[i]);
    if (rc)
        return rc;
    ge->ge_hidden = gt->gt_table->et_columns[i].hidden;
    rc = rowexpr_step(gt->gt_runs[i], &found);
    if (rc && ge->ge_failed)
        rc = ge->ge_failed;         /* the sentence went through SQLite, which does not know our results */
    return rc ? rc : take_result(ge, &ge->ge_row.gr_table->et_columns[i], rowexpr_value(gt->gt_runs[i], 0),
                                 &gt->gt_values[i]);
}

int generate_get(generator *ge, uint32_t column, edb_value *out)
{
    generated_table *gt = ge->ge_now;
    if (gt->gt_states[column] == RUNNING)
        return edb_fail(EDB_CORRUPT, "generated column loop on \"%s\"", gt->gt_table->et_columns[column].name);
    if (gt->gt_states[column] == UNKNOWN) {
        if (ge->ge_depth == DEPTH_MOST)
            return edb_fail(EDB_EXPRESSION, "more than %d generated columns of table %s are computed for one another",
                            DEPTH_MOST, gt->gt_table->et_name);
        gt->gt_states[column] = RUNNING;
        ge->ge_depth++;
        int rc = compute(ge, column);
        ge->ge_depth--;
        if (rc)
            return rc;
        gt->gt_states[column] = KNOWN;
    }
    *out = gt->gt_values[column];
    return EDB_OK;
}
