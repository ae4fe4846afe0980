/* The eponymous table entitydb_transactions: one row for each commit.
 *
 *     SELECT id, committed_at, actor, reason, metadata, label, rows_changed, tables_changed FROM entitydb_transactions
 *
 * `committed_at` is in nanoseconds. `actor`, `reason` and `metadata` (a JSON object) are what was said of the commit
 * (entity/transactions.h), `label` is the one it was given last. `rows_changed` and `tables_changed` (a JSON array of names) are looked
 * up when they are asked for (entity/commit_counts.h). As of a moment there are the commits up to it. Commit 0, which made the file, is no transaction. Commits
 * never change, so a SERIALIZABLE transaction that reads them has read nothing that others could change.
 *
 * Ids and times ascend together, so bounds of either are a range of ids. The plan, idxStr, is "transactions:" and one
 * character for each argument of xFilter:
 *
 *     'i' id =             'g' '>' id >=, >              'l' '<' id <=, <
 *     't' committed_at =   'b' 'B' committed_at >=, >    'e' 'E' committed_at <=, <
 *     'a' actor =
 *
 * idxNum is 1 when the newest comes first. EXPLAIN QUERY PLAN shows the string, and the driver makes words of it. Bounds
 * narrow what is read, and SQLite judges each row again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/commit_counts.h"
#include "engine/entity/label_list.h"
#include "engine/entity/transactions.h"
#include "engine/vtab/row_results.h"

enum { TRANSACTION_ID, TRANSACTION_TIME, TRANSACTION_ACTOR, TRANSACTION_REASON, TRANSACTION_METADATA, TRANSACTION_LABEL,
       TRANSACTION_ROWS, TRANSACTION_TABLES };
enum { PLAN_NEWEST_FIRST = 1 };

#define DECLARATION                                                                                                    \
    "CREATE TABLE x(id INTEGER NOT NULL PRIMARY KEY, committed_at INTEGER, actor TEXT, reason TEXT, metadata TEXT, "   \
    "label TEXT, rows_changed INTEGER, tables_changed TEXT)"

#define PLAN_NAME "transactions:"
enum { ARGUMENTS = 7, PLAN_NAME_SIZE = sizeof PLAN_NAME - 1 };

typedef struct {
    sqlite3_vtab_cursor trs_base;
    edb_stmt *trs_stmt;             /* one user is ours; NULL: before xFilter */
    uint64_t trs_low, trs_high;     /* the ids that the plan leaves; none if low > high */
    uint64_t trs_at;
    bool trs_descends, trs_eof;
    uint64_t *trs_only;             /* those of an actor, the newest first; owned, NULL: all */
    size_t trs_only_n, trs_only_i;
    bool trs_has_info;              /* trs_info is of trs_at */
    edb_value trs_info[INFO_COLUMNS];
    table_buffer trs_buffer;
    bool trs_has_labels;            /* trs_labels has those of the commits from low to high, which stay true whatever is read next */
    uint64_t trs_labels_low, trs_labels_high;
    label_list trs_labels;
    bool trs_has_tables;            /* trs_tables is filled */
    tables_ever trs_tables;
    bool trs_has_counts;            /* what follows is of trs_at */
    uint64_t trs_rows;
    table_buffer trs_names;
} transactions_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return vtab_any_connect(db, aux, DECLARATION, sizeof(vtab_any), out);
}

/* ---- plans -------------------------------------------------------------------------------------------------------- */

/* What a constraint is to a plan; 0: nothing. */
static char step_of(int column, int op)
{
    const char *steps = column == TRANSACTION_ID || column < 0 ? "ig>l<" : column == TRANSACTION_TIME ? "tbBeE" : NULL;
    if (column == TRANSACTION_ACTOR)
        return op == SQLITE_INDEX_CONSTRAINT_EQ ? 'a' : 0;
    switch (steps ? op : 0) {
    case SQLITE_INDEX_CONSTRAINT_EQ: return steps[0];
    case SQLITE_INDEX_CONSTRAINT_GE: return steps[1];
    case SQLITE_INDEX_CONSTRAINT_GT: return steps[2];
    case SQLITE_INDEX_CONSTRAINT_LE: return steps[3];
    case SQLITE_INDEX_CONSTRAINT_LT: return steps[4];
    default: return 0;
    }
}

/* One constraint of each kind is used. -> what is there of the kinds. */
static void use_constraints(sqlite3_index_info *info, char *plan)
{
    size_t n = PLAN_NAME_SIZE;
    memcpy(plan, PLAN_NAME, n + 1);
    for (int i = 0; i < info->nConstraint; i++) {
        char step = info->aConstraint[i].usable ? step_of(info->aConstraint[i].iColumn, info->aConstraint[i].op) : 0;
        if (!step || strchr(plan + PLAN_NAME_SIZE, step)
            || (step == 'a' && sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY")))
            continue;
        if (n == PLAN_NAME_SIZE + ARGUMENTS)
            break;
        plan[n++] = step;
        plan[n] = 0;
        info->aConstraintUsage[i].argvIndex = (int)(n - PLAN_NAME_SIZE);
    }
}

/* A range that is bounded on one side has a third of the commits, one bounded on both a tenth. */
static double estimate_rows(edb_conn *conn, const char *steps)
{
    double commits, actors;
    bool above = strpbrk(steps, "g>bB"), below = strpbrk(steps, "l<eE");
    transactions_counts(conn, &commits, &actors);
    if (strpbrk(steps, "it"))
        return 1;
    double rows = strchr(steps, 'a') ? commits / (actors > 1 ? actors : 1) : commits;
    rows *= above && below ? 0.1 : above || below ? 0.33 : 1;
    return rows < 1 ? 1 : rows;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    char *plan = sqlite3_malloc(PLAN_NAME_SIZE + ARGUMENTS + 1);
    if (!plan)
        return SQLITE_NOMEM;
    use_constraints(info, plan);
    const char *steps = plan + PLAN_NAME_SIZE;
    double rows = estimate_rows(((vtab_any *)base)->ay_binding->bd_conn, steps);
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    if (strpbrk(steps, "it"))
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    if (info->nOrderBy && info->aOrderBy[0].iColumn <= TRANSACTION_TIME) {     /* what comes behind decides nothing */
        info->orderByConsumed = 1;
        info->idxNum = info->aOrderBy[0].desc ? PLAN_NEWEST_FIRST : 0;
    }
    info->estimatedRows = (sqlite3_int64)rows;
    info->estimatedCost = 20 + 3 * rows;
    return SQLITE_OK;
}

/* ---- scans -------------------------------------------------------------------------------------------------------- */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    int rc = vtab_any_open(base, sizeof(transactions_scan), out);
    if (rc)
        return rc;
    transactions_scan *trs = (transactions_scan *)*out;
    label_list_init(&trs->trs_labels);
    trs->trs_eof = true;
    return SQLITE_OK;
}

static void leave(transactions_scan *trs)
{
    free(trs->trs_only);
    trs->trs_only = NULL;
    tables_ever_free(&trs->trs_tables);
    trs->trs_has_tables = trs->trs_has_counts = trs->trs_has_info = false;
    if (trs->trs_stmt)
        stmt_release(trs->trs_stmt);
    trs->trs_stmt = NULL;
    trs->trs_eof = true;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    transactions_scan *trs = (transactions_scan *)base;
    leave(trs);
    label_list_free(&trs->trs_labels);
    buffer_free(&trs->trs_buffer);
    buffer_free(&trs->trs_names);
    free(trs);
    return SQLITE_OK;
}

typedef struct {                    /* integers that a comparison with a value leaves; none if low > high */
    int64_t ibo_low, ibo_high;
} bounds;

/* What `column op value` leaves of integers, or more. step: as for ids. */
static bounds bounds_of(char step, sqlite3_value *value)
{
    bounds all = { INT64_MIN, INT64_MAX }, none = { INT64_MAX, INT64_MIN };
    int type = sqlite3_value_numeric_type(value);
    int64_t low, high;                              /* value, rounded up and down */
    if (type == SQLITE_NULL)
        return none;
    if (type == SQLITE_INTEGER) {
        low = high = sqlite3_value_int64(value);
    } else if (type == SQLITE_FLOAT) {
        double real = sqlite3_value_double(value);
        if (real >= 9.2e18 || real <= -9.2e18)
            return all;
        low = (int64_t)ceil(real);
        high = (int64_t)floor(real);
    } else {
        return step == 'i' ? none : all;            /* no number equals a text or a blob; all are less */
    }
    switch (step) {
    case 'i': return (bounds){ low, high };
    case 'g': return (bounds){ low, INT64_MAX };
    case '>': return high == INT64_MAX ? none : (bounds){ high + 1, INT64_MAX };
    case 'l': return (bounds){ INT64_MIN, high };
    default: return low == INT64_MIN ? none : (bounds){ INT64_MIN, low - 1 };
    }
}

static void narrow(transactions_scan *trs, uint64_t low, uint64_t high)
{
    if (low > trs->trs_low)
        trs->trs_low = low;
    if (high < trs->trs_high)
        trs->trs_high = high;
}

static void narrow_to_none(transactions_scan *trs)
{
    trs->trs_low = 1;
    trs->trs_high = 0;
}

static int narrow_by_time(transactions_scan *trs, bounds by)
{
    uint64_t low, behind;
    int rc = transactions_from(trs->trs_stmt, by.ibo_low, &low);
    if (!rc && by.ibo_high < INT64_MAX)
        rc = transactions_from(trs->trs_stmt, by.ibo_high + 1, &behind);
    else
        behind = transactions_newest(trs->trs_stmt) + 1;
    if (!rc && behind)
        narrow(trs, low, behind - 1);
    else if (!rc)
        narrow_to_none(trs);
    return rc;
}

static int narrow_by(transactions_scan *trs, char step, sqlite3_value *value)
{
    static const char times[] = "tbBeE", ids[] = "ig>l<";
    const char *time = strchr(times, step);
    bounds by = bounds_of(time ? ids[time - times] : step, value);
    if (by.ibo_low > by.ibo_high) {
        narrow_to_none(trs);
        return EDB_OK;
    }
    if (time)
        return narrow_by_time(trs, by);
    if (by.ibo_high < 1)
        narrow_to_none(trs);
    else
        narrow(trs, by.ibo_low < 1 ? 1 : (uint64_t)by.ibo_low, (uint64_t)by.ibo_high);
    return EDB_OK;
}

/* Only a text is looked up by. A number may be meant as the text of it or not, which SQLite knows. */
static int narrow_by_actor(transactions_scan *trs, sqlite3_value *actor)
{
    if (sqlite3_value_type(actor) == SQLITE_NULL)
        narrow_to_none(trs);
    if (sqlite3_value_type(actor) != SQLITE_TEXT || trs->trs_low > trs->trs_high)
        return EDB_OK;
    const char *text = (const char *)sqlite3_value_text(actor);
    size_t size = (size_t)sqlite3_value_bytes(actor);
    if (!text)
        return edb_fail(EDB_NOMEM, "no memory to look up an actor");
    int rc = EDB_OK;
    if (size)
        rc = transactions_of_actor(trs->trs_stmt, text, size, trs->trs_low, trs->trs_high, &trs->trs_only, &trs->trs_only_n);
    if (!rc && !trs->trs_only)
        narrow_to_none(trs);
    return rc;
}

static int start(transactions_scan *trs, int number, const char *steps, sqlite3_value **argv)
{
    sqlite3_value *actor = NULL;
    leave(trs);
    int rc = vtab_acquire(((vtab_any *)trs->trs_base.pVtab)->ay_binding, false, &trs->trs_stmt);
    if (rc)
        return rc;
    trs->trs_low = 1;
    trs->trs_high = transactions_newest(trs->trs_stmt);
    trs->trs_descends = number == PLAN_NEWEST_FIRST;
    for (int i = 0; steps[i] && !rc; i++)
        if (steps[i] == 'a')
            actor = argv[i];
        else
            rc = narrow_by(trs, steps[i], argv[i]);
    if (!rc && actor)
        rc = narrow_by_actor(trs, actor);
    trs->trs_eof = rc || trs->trs_low > trs->trs_high;
    if (trs->trs_only) {
        trs->trs_only_i = trs->trs_descends ? 0 : trs->trs_only_n - 1;
        trs->trs_at = trs->trs_only[trs->trs_only_i];
    } else {
        trs->trs_at = trs->trs_descends ? trs->trs_high : trs->trs_low;
    }
    return rc;
}

static void step(transactions_scan *trs)
{
    size_t *i = &trs->trs_only_i;
    trs->trs_has_info = trs->trs_has_counts = false;
    if (trs->trs_only) {
        trs->trs_eof = trs->trs_descends ? ++*i == trs->trs_only_n : (*i)-- == 0;
        if (!trs->trs_eof)
            trs->trs_at = trs->trs_only[*i];
    } else {
        trs->trs_eof = trs->trs_at == (trs->trs_descends ? trs->trs_low : trs->trs_high);
        trs->trs_at += trs->trs_descends ? -1ULL : 1;
    }
}

static int eof(sqlite3_vtab_cursor *base)
{
    return ((const transactions_scan *)base)->trs_eof;
}

static void visited(sqlite3_vtab_cursor *base)
{
    ((vtab_any *)base->pVtab)->ay_binding->bd_visited += !eof(base);
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)argc;
    int rc = start((transactions_scan *)base, number, plan + PLAN_NAME_SIZE, argv);
    visited(base);
    return vtab_result(base->pVtab, rc);
}

static int next(sqlite3_vtab_cursor *base)
{
    step((transactions_scan *)base);
    visited(base);
    return SQLITE_OK;
}

/* ---- columns ------------------------------------------------------------------------------------------------------ */

static int info_column(transactions_scan *trs, sqlite3_context *context, int column)
{
    int rc = EDB_OK;
    if (!trs->trs_has_info)
        rc = transaction_info(trs->trs_stmt, trs->trs_at, &trs->trs_buffer, trs->trs_info);
    if (rc)
        return rc;
    trs->trs_has_info = true;
    const edb_value *value = &trs->trs_info[column - TRANSACTION_ACTOR + INFO_ACTOR];
    if (value->type == VALUE_TEXT)
        sqlite3_result_text64(context, value->bytes, value->size, SQLITE_TRANSIENT, SQLITE_UTF8);
    return EDB_OK;
}

/* The labels of the range that is read. A scan that begins again and again, as a join makes it, gets those of all commits the second
 * time: finding those of one is a walk over all labels, too. */
static int find_labels(transactions_scan *trs)
{
    bool all = trs->trs_has_labels;
    if (trs->trs_has_labels && trs->trs_at >= trs->trs_labels_low && trs->trs_at <= trs->trs_labels_high)
        return EDB_OK;
    label_list_free(&trs->trs_labels);
    trs->trs_labels_low = all ? 1 : trs->trs_low;
    trs->trs_labels_high = all ? transactions_newest(trs->trs_stmt) : trs->trs_high;
    int rc = label_list_fill(&trs->trs_labels, trs->trs_stmt, trs->trs_labels_low, trs->trs_labels_high);
    trs->trs_has_labels = !rc;
    ((vtab_any *)trs->trs_base.pVtab)->ay_binding->bd_visited += trs->trs_labels.ll_walked;
    return rc;
}

static int label_column(transactions_scan *trs, sqlite3_context *context)
{
    int rc = find_labels(trs);
    if (rc)
        return rc;
    const commit_label *label = label_list_newest(&trs->trs_labels, trs->trs_at);
    if (label)
        sqlite3_result_text64(context, label->clb_text, label->clb_size, SQLITE_TRANSIENT, SQLITE_UTF8);
    return EDB_OK;
}

static int counts_column(transactions_scan *trs, sqlite3_context *context, int column)
{
    int rc = EDB_OK;
    if (!trs->trs_has_tables) {
        rc = tables_ever_find(trs->trs_stmt, NULL, &trs->trs_tables);
        trs->trs_has_tables = !rc;
    }
    if (!rc && !trs->trs_has_counts) {
        buffer_clear(&trs->trs_names);
        rc = commit_counts(trs->trs_stmt, &trs->trs_tables, trs->trs_at, &trs->trs_rows, &trs->trs_names);
        trs->trs_has_counts = !rc;
    }
    if (rc)
        return rc;
    if (column == TRANSACTION_ROWS)
        sqlite3_result_int64(context, (int64_t)trs->trs_rows);
    else
        sqlite3_result_text64(context, (const char *)trs->trs_names.bf_bytes, trs->trs_names.bf_size, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
    return EDB_OK;
}

static int column_value(transactions_scan *trs, sqlite3_context *context, int column)
{
    switch (column) {
    case TRANSACTION_ID:
        sqlite3_result_int64(context, (int64_t)trs->trs_at);
        return EDB_OK;
    case TRANSACTION_TIME:
        return result_commit_time(context, trs->trs_stmt, trs->trs_at);
    case TRANSACTION_LABEL:
        return label_column(trs, context);
    case TRANSACTION_ROWS:
    case TRANSACTION_TABLES:
        return counts_column(trs, context, column);
    default:
        return info_column(trs, context, column);
    }
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, column_value((transactions_scan *)base, context, column));
}

static int rowid_of(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    *rowid = (sqlite3_int64)((const transactions_scan *)base)->trs_at;
    return SQLITE_OK;
}

const sqlite3_module vtab_transactions_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = vtab_any_disconnect,
    .xDestroy = vtab_any_disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column_of,
    .xRowid = rowid_of,
};

void function_transaction_info(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc, (void)argv;
    sqlite3_result_error(context, "entitydb_transaction_info() is a statement: SELECT entitydb_transaction_info(json), with "
                         "no other column", -1);
}
