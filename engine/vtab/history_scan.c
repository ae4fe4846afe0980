/* Scans of history tables (history.h).
 *
 * AS OF is the table's own scan over a statement at the moment. Versions are walked where the table's plan has bounds: in its
 * own tree they are bounds of row ids; in an index they give the rows that had such an entry at any time, whose versions are
 * walked row by row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/eval/evaluator.h"
#include "engine/vtab/history.h"

static vtab_entity *entity_of(history_scan *hs)
{
    return (vtab_entity *)hs->hs_scan.cu_base.pVtab;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

static int bad_argument(const vtab_entity *vt, const char *what)
{
    return edb_fail(EDB_MISUSE, "the history of table %s: %s", vt->vt_table->et_name, what);
}

static int read_moment(const vtab_entity *vt, sqlite3_value *value, int64_t *ns, bool *is_null)
{
    char what[160];
    snprintf(what, sizeof what, "the history of table %s", vt->vt_table->et_name);
    return vtab_moment(what, value, ns, is_null);
}

/* The kind that a text names; NULL: none. */
static const char *kind_of(sqlite3_value *value)
{
    static const char *const kinds[] = {"all", "changes", "from to", "between", "contained in"};
    const char *text = (const char *)sqlite3_value_text(value);
    for (size_t i = 0; text && i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(text, kinds[i]))
            return kinds[i];
    return NULL;
}

/* The newest commit before a time. */
static int commit_before(edb_stmt *stmt, int64_t ns, uint64_t *number)
{
    *number = 0;
    return ns == INT64_MIN ? EDB_OK : stmt_commit_upto(stmt, ns - 1, number);
}

/* Commits for the times of a kind. *nothing: no version can be meant. */
static int read_kind(history_scan *hs, sqlite3_value **argv, versions_wanted *out, bool *nothing)
{
    const vtab_entity *vt = entity_of(hs);
    edb_stmt *stmt = hs->hs_scan.cu_stmt;
    bool no_low, no_high;
    int rc = read_moment(vt, argv[0], &hs->hs_moment, &no_low);
    if (!rc)
        rc = read_moment(vt, argv[1], &hs->hs_until, &no_high);
    const int64_t low = hs->hs_moment, high = hs->hs_until;
    hs->hs_kind = kind_of(argv[2]);
    *out = (versions_wanted){ .vw_begun_upto = FOREVER, .vw_ended_upto = FOREVER };
    *nothing = false;
    if (rc)
        return rc;
    if (!hs->hs_kind)
        return bad_argument(vt, "the kind is 'from to', 'between', 'contained in', 'all' or 'changes'");
    out->vw_deletions = *hs->hs_kind == 'c' && hs->hs_kind[1] == 'h';
    if (out->vw_deletions || *hs->hs_kind == 'a')
        return EDB_OK;
    *nothing = no_low || no_high;
    if (*nothing)
        return EDB_OK;
    if (low > high)
        return bad_argument(vt, "the first moment of the interval is later than the second");
    if (*hs->hs_kind == 'f') {
        *nothing = low == high;
        rc = commit_before(stmt, high, &out->vw_begun_upto);
        return rc ? rc : stmt_commit_upto(stmt, low, &out->vw_ended_after);
    }
    if (*hs->hs_kind == 'b') {
        rc = stmt_commit_upto(stmt, high, &out->vw_begun_upto);
        return rc ? rc : stmt_commit_upto(stmt, low, &out->vw_ended_after);
    }
    rc = commit_before(stmt, low, &out->vw_begun_after);
    out->vw_ended_after = out->vw_begun_after;
    return rc ? rc : stmt_commit_upto(stmt, high, &out->vw_ended_upto);
}

/* ---- the walk over versions ------------------------------------------------------------------------------------------- */

static void leave(history_scan *hs)
{
    if (hs->hs_open)
        versions_close(&hs->hs_walk);
    free(hs->hs_ids);
    table_unref(hs->hs_then);
    table_unref(hs->hs_bare);
    buffer_clear(&hs->hs_buffer);
    hs->hs_open = hs->hs_by_rows = hs->hs_row_ready = false;
    hs->hs_over = true;
    hs->hs_ids = NULL;
    hs->hs_then = hs->hs_bare = NULL;
    hs->hs_n_ids = hs->hs_id = 0;
}

static int start_range(history_scan *hs)
{
    const key_range *kr = &hs->hs_scan.cu_range;
    int rc = range_make(&hs->hs_scan.cu_range);
    const table_buffer *low = &kr->kr_low, *end = &kr->kr_end;
    if (rc)
        return rc;
    return versions_start(&hs->hs_walk, low->bf_size ? low->bf_bytes : NULL, low->bf_size,
                          kr->kr_has_end ? end->bf_bytes : NULL, end->bf_size);
}

static int start_row(history_scan *hs)
{
    return versions_start_row(&hs->hs_walk, hs->hs_ids[hs->hs_id++]);
}

/* To the next version there is, in this range or in a later one. */
static int find_version(history_scan *hs)
{
    bool found;
    int rc = versions_next(&hs->hs_walk, &hs->hs_at, &found);
    while (!rc && !found) {
        bool more = hs->hs_by_rows ? hs->hs_id < hs->hs_n_ids : range_turn(&hs->hs_scan.cu_range);
        if (!more) {
            hs->hs_over = true;
            return EDB_OK;
        }
        rc = hs->hs_by_rows ? start_row(hs) : start_range(hs);
        if (!rc)
            rc = versions_next(&hs->hs_walk, &hs->hs_at, &found);
    }
    hs->hs_row_ready = false;
    hs->hs_over = rc != 0;
    hs->hs_scan.cu_visited++;
    return rc;
}

/* The rows that ever had an entry between the bounds, of all ranges. */
static int find_rows(history_scan *hs)
{
    key_range *kr = &hs->hs_scan.cu_range;
    bool more = true;
    int rc = EDB_OK;
    hs->hs_by_rows = true;
    for (range_first(kr); more && !rc; more = range_turn(kr)) {
        int64_t *ids, *all;
        size_t n;
        if ((rc = range_make(kr)))
            break;
        rc = versions_of_index(hs->hs_scan.cu_stmt, kr->kr_index->tree, kr->kr_low.bf_size ? kr->kr_low.bf_bytes : NULL,
                               kr->kr_low.bf_size, kr->kr_has_end ? kr->kr_end.bf_bytes : NULL, kr->kr_end.bf_size, &ids, &n);
        if (rc)
            break;
        if ((all = realloc(hs->hs_ids, (hs->hs_n_ids + n + 1) * sizeof *all))) {
            memcpy(all + hs->hs_n_ids, ids, n * sizeof *ids);
            hs->hs_ids = all;
            hs->hs_n_ids += n;
        } else {
            rc = edb_fail(EDB_NOMEM, "no memory for the rows of an index");
        }
        free(ids);
    }
    if (!rc)
        hs->hs_n_ids = ids_unique(hs->hs_ids, hs->hs_n_ids);
    return rc;
}

/* What was current in a table that was dropped or renamed ended with it. */
static void end_with_table(const history_scan *hs, versions_wanted *out)
{
    const int64_t end = entity_of((history_scan *)hs)->vt_last_ns + 1;
    if (*hs->hs_kind == 'c' && hs->hs_kind[1] == 'o')
        out->vw_ended_upto = end <= hs->hs_until ? FOREVER : out->vw_ended_upto;
    else if ((*hs->hs_kind == 'f' || *hs->hs_kind == 'b') && end <= hs->hs_moment)
        out->vw_ended_upto = FOREVER - 1;
}

static int start_versions(history_scan *hs, uint32_t tree, const char *plan, int argc, sqlite3_value **argv)
{
    vtab_entity *vt = entity_of(hs);
    scan *cu = &hs->hs_scan;
    key_range *kr = &cu->cu_range;
    const edb_index *index = NULL;
    versions_wanted wanted;
    bool nothing;
    cu->cu_dated = vt->vt_fixed;
    cu->cu_date_ns = vt->vt_last_ns;
    int rc = scan_enter(cu, vt);
    if (!rc)
        rc = read_kind(hs, argv + argc - 3, &wanted, &nothing);
    if (!rc && vt->vt_fixed)
        end_with_table(hs, &wanted);
    if (rc || nothing)
        return rc;
    if (tree != vt->vt_table->et_id && !(index = table_index(vt->vt_table, tree)))
        return edb_fail(EDB_SCHEMA, "an index of table %s was dropped: prepare again", vt->vt_table->et_name);
    kr->kr_bd = vt->vt_any.ay_binding;
    kr->kr_table = vt->vt_table;
    kr->kr_index = index;
    if ((rc = range_decode(kr, plan, argc - 3, argv)) || kr->kr_empty)
        return rc;
    hs->hs_now = edb_stmt_moment(cu->cu_stmt);
    if ((rc = versions_open(&hs->hs_walk, cu->cu_stmt, vt->vt_table, &wanted)))
        return rc;
    hs->hs_open = true;
    hs->hs_over = false;
    if (index && (rc = find_rows(hs)))
        return rc;
    if (index) {
        hs->hs_over = !hs->hs_n_ids;
        return hs->hs_over ? EDB_OK : (rc = start_row(hs)) ? rc : find_version(hs);
    }
    range_first(kr);
    return (rc = start_range(hs)) ? rc : find_version(hs);
}

/* ---- filter, next ---------------------------------------------------------------------------------------------------- */

/* A moment that is NULL finds nothing. */
static int start_dated(history_scan *hs, int tree, const char *plan, int argc, sqlite3_value **argv)
{
    scan *cu = &hs->hs_scan;
    bool no_moment;
    int rc = read_moment(entity_of(hs), argv[argc - 1], &hs->hs_moment, &no_moment);
    cu->cu_date_ns = hs->hs_moment;
    hs->hs_kind = NULL;
    cu->cu_dated = true;
    cu->cu_eof = true;
    if (!rc && !no_moment && entity_of(hs)->vt_fixed && hs->hs_moment > entity_of(hs)->vt_last_ns)
        rc = vtab_no_more(entity_of(hs), hs->hs_moment);
    if (rc || no_moment)
        return vtab_result(cu->cu_base.pVtab, rc);
    return vtab_filter(&cu->cu_base, tree, plan, argc - 1, argv);
}

/* Arguments of the table's plan: what stands before the mark of its end, without those that only had to be consumed. */
static int plan_arguments(const char *plan)
{
    int n = 0;
    for (const char *step = plan + PLAN_HEAD; *step && *step != '/' && *step != '|'; step += PLAN_STEP)
        n++;
    return n;
}

int history_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv)
{
    history_scan *hs = (history_scan *)base;
    (void)argc;
    leave(hs);
    hs->hs_versions = *plan == PLAN_VERSIONS;
    if (*plan == PLAN_DATED)
        return start_dated(hs, tree, plan + 1, plan_arguments(plan + 1) + 1, argv);
    int rc = hs->hs_versions ? start_versions(hs, (uint32_t)tree, plan + 1, plan_arguments(plan + 1) + 3, argv)
                             : bad_argument(entity_of(hs), "it needs a moment: FROM t FOR SYSTEM_TIME AS OF moment");
    return vtab_result(base->pVtab, rc);
}

int history_next(sqlite3_vtab_cursor *base)
{
    history_scan *hs = (history_scan *)base;
    return hs->hs_versions ? vtab_result(base->pVtab, find_version(hs)) : vtab_next(base);
}

int history_eof(sqlite3_vtab_cursor *base)
{
    const history_scan *hs = (const history_scan *)base;
    return hs->hs_versions ? hs->hs_over : vtab_eof(base);
}

int history_close(sqlite3_vtab_cursor *base)
{
    history_scan *hs = (history_scan *)base;
    leave(hs);
    buffer_free(&hs->hs_buffer);
    hs->hs_scan.cu_dated = false;
    return vtab_close(base);
}

/* ---- columns of the table ----------------------------------------------------------------------------------------------- */

/* The last commit at which the version was there. */
static uint64_t last_commit(const history_scan *hs)
{
    return hs->hs_at.vn_ended ? hs->hs_at.vn_ended - 1 : hs->hs_now;
}

/* Without the columns that have no history. */
static int bare_table(history_scan *hs, const edb_table *table, const edb_table **out)
{
    int rc = hs->hs_bare ? EDB_OK : table_unversioned(table, &hs->hs_bare);
    if (!rc)
        *out = hs->hs_bare;
    return rc;
}

/* The table as the version read last. Most tables read alike at every moment. */
static int table_of(history_scan *hs, const edb_table **out)
{
    const edb_table *table = entity_of(hs)->vt_table;
    uint64_t at = last_commit(hs);
    *out = table;
    if (likely(!table->et_then_differs))
        return EDB_OK;
    if (!table->et_then_moves || !hs->hs_at.vn_ended)
        return table->et_unversioned.rmk_n ? bare_table(hs, table, out) : EDB_OK;
    if (!hs->hs_then || hs->hs_then_at != at) {
        edb_stmt *then;
        int64_t ns;
        int rc = commit_time(hs->hs_scan.cu_stmt, at, &ns);
        if (rc || (rc = stmt_at(hs->hs_scan.cu_stmt, ns, &then)))
            return rc;
        table_unref(hs->hs_then);
        hs->hs_then = NULL;
        rc = catalog_then(then, table, &hs->hs_then);
        stmt_release(then);
        if (rc)
            return rc;
        hs->hs_then_at = at;
    }
    *out = hs->hs_then;
    return EDB_OK;
}

static int64_t row_of(const history_scan *hs)
{
    return rowid_load(hs->hs_at.vn_entry.key);
}

static int own_column(history_scan *hs, sqlite3_context *context, uint32_t i)
{
    edb_stmt *stmt = hs->hs_scan.cu_stmt;
    const edb_table *table;
    edb_value value;
    arena memory = {.an_chunks = NULL};
    int rc = table_of(hs, &table);
    if (!rc && !hs->hs_row_ready) {
        rc = row_of_entry(&hs->hs_buffer, stmt, table, &hs->hs_at.vn_entry, row_of(hs), &hs->hs_row);
        hs->hs_row_ready = !rc;
    }
    if (rc)
        return rc;
    if ((int)i == table->et_rowid_column) {
        sqlite3_result_int64(context, row_of(hs));
        return EDB_OK;
    }
    if (likely(!column_lacks(&table->et_columns[i], hs->hs_row.rw_columns))) {
        if (row_value(table, &hs->hs_row, row_of(hs), i, &value))
            return row_damaged(table, row_of(hs));
        value_result(context, &value, hs->hs_at.vn_entry.overflow || hs->hs_then || hs->hs_bare);
        return EDB_OK;
    }
    rc = evaluate_column(stmt_conn(stmt), table, &hs->hs_row, row_of(hs), i, &memory, &value);
    if (!rc)
        value_result(context, &value, true);
    if (memory.an_chunks)
        arena_free(&memory);
    return rc;
}

/* ---- columns of the version --------------------------------------------------------------------------------------------- */

/* A version mostly begins when the one before it ended, so the last times asked for are kept. */
static int result_time(history_scan *hs, sqlite3_context *context, uint64_t commit)
{
    history_time *kept = &hs->hs_times[commit % HISTORY_TIMES];
    int rc = EDB_OK;
    if (!commit)
        return EDB_OK;
    if (kept->htm_commit != commit)
        rc = commit_time(hs->hs_scan.cu_stmt, commit, &kept->htm_ns);
    kept->htm_commit = rc ? 0 : commit;
    if (!rc)
        sqlite3_result_int64(context, kept->htm_ns);
    return rc;
}

/* The statement that knows which versions have ended. */
static int statement_of_ends(const vtab_entity *vt, edb_stmt **out)
{
    edb_stmt *now;
    int rc = vtab_acquire_aside(vt->vt_any.ay_binding, false, &now);
    if (rc || !vt->vt_fixed) {
        *out = now;
        return rc;
    }
    rc = stmt_at(now, vt->vt_last_ns, out);
    stmt_release(now);
    return rc;
}

/* The version that a scan as of a moment stands on. */
static int dated_version(history_scan *hs, bool needs_end, row_version *out)
{
    scan *cu = &hs->hs_scan;
    const vtab_entity *vt = entity_of(hs);
    edb_stmt *now;
    int64_t id;
    bool found;
    uint8_t key[8];
    int rc = scan_rowid(cu, &id);
    if (rc)
        return rc;
    rowid_store(key, id);
    rc = cursor_get(cu->cu_stmt, vt->vt_table->et_id, key, sizeof key, &out->vn_entry, &found);
    if (!rc && !found)
        rc = edb_fail(EDB_CORRUPT, "an index of table %s has an entry for a row that is not there", vt->vt_table->et_name);
    if (rc)
        return rc;
    out->vn_ended = 0;
    out->vn_had = -1;
    out->vn_deletion = false;
    if (!needs_end)
        return version_period(cu->cu_stmt, vt->vt_table, &out->vn_entry, 0, &out->vn_begun, NULL);
    if ((rc = statement_of_ends(vt, &now)))
        return rc;
    rc = version_period(now, vt->vt_table, &out->vn_entry, edb_stmt_moment(now), &out->vn_begun, &out->vn_ended);
    stmt_release(now);
    return rc;
}

static int version_column(history_scan *hs, sqlite3_context *context, uint32_t column)
{
    scan *cu = &hs->hs_scan;
    uint32_t tree = entity_of(hs)->vt_table->et_id;
    row_version dated;
    const row_version *vn = &hs->hs_at;
    const char *operation;
    int rc = EDB_OK;
    if (column == HISTORY_KIND && hs->hs_kind)
        sqlite3_result_text(context, hs->hs_kind, -1, SQLITE_STATIC);
    if (column == HISTORY_MOMENT || column == HISTORY_UNTIL || (column == HISTORY_AS_OF && !hs->hs_versions))
        sqlite3_result_int64(context, column == HISTORY_UNTIL ? hs->hs_until : hs->hs_moment);
    if (column <= HISTORY_KIND || (column == HISTORY_AS_OF && !hs->hs_versions))
        return EDB_OK;
    if (!hs->hs_versions) {
        rc = dated_version(hs, column == HISTORY_TO, &dated);
        vn = &dated;
    }
    if (rc)
        return rc;
    switch (column) {
    case HISTORY_AS_OF:
    case HISTORY_FROM:
        return result_time(hs, context, vn->vn_begun);
    case HISTORY_TO:
        if (!vn->vn_ended && entity_of(hs)->vt_fixed)
            sqlite3_result_int64(context, entity_of(hs)->vt_last_ns + 1);
        return result_time(hs, context, vn->vn_ended);
    case HISTORY_OPERATION:
        if (!(rc = version_operation(cu->cu_stmt, tree, vn, &operation)))
            sqlite3_result_text(context, operation, -1, SQLITE_STATIC);
        return rc;
    case HISTORY_TRANSACTION:
        sqlite3_result_int64(context, (int64_t)vn->vn_begun);
        return EDB_OK;
    case HISTORY_ROW:
        sqlite3_result_int64(context, rowid_load(vn->vn_entry.key));
        return EDB_OK;
    default:
        return EDB_OK;
    }
}

int history_column_value(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    history_scan *hs = (history_scan *)base;
    const edb_table *table = entity_of(hs)->vt_table;
    if (column >= (int)table->et_n_columns)
        return vtab_result(base->pVtab, version_column(hs, context, history_column(table, column)));
    if (unlikely(table->et_columns[column].hidden)) {
        sqlite3_result_int64(context, 0);
        return SQLITE_OK;
    }
    if (!hs->hs_versions)
        return vtab_column(base, context, column);
    return vtab_result(base->pVtab, own_column(hs, context, (uint32_t)column));
}
