/* Which tree a scan walks, or which private entries. */
#include <stdlib.h>

#include "engine/vtab/scan.h"

static void close_entries(scan *cu)
{
    if (cu->cu_open)
        cursor_close(&cu->cu_entries);
    cu->cu_open = false;
    merge_close(cu);
    list_free(cu->cu_sorted);
    cu->cu_sorted = NULL;
    cu->cu_private = NULL;
}

void scan_unchoose(scan *cu)
{
    close_entries(cu);
    cu->cu_again = NULL;
    cu->cu_rests_in = 0;
    table_unref(cu->cu_table);
    cu->cu_table = NULL;
    cu->cu_near = (tree_near){.tnr_leaf = NULL};
    cu->cu_index = NULL;            /* an automatic one is the statement's, and may end with it */
    cu->cu_measured = false;
}

static void give_back_stmt(scan *cu)
{
    if (cu->cu_stmt)
        stmt_release(cu->cu_stmt);
    cu->cu_stmt = NULL;
}

void scan_leave(scan *cu)
{
    scan_unchoose(cu);
    give_back_stmt(cu);
}

/* Nothing is kept that keeps the statement: it may end, and then its number does not come again. */
void scan_rest(scan *cu)
{
    close_entries(cu);
    cu->cu_again = NULL;
    cu->cu_rests_in = stmt_id(cu->cu_stmt);
    give_back_stmt(cu);
}

int scan_wake(scan *cu, vtab_entity *vt)
{
    uint64_t in = cu->cu_rests_in;
    int rc = vtab_acquire(vt->vt_any.ay_binding, false, &cu->cu_stmt);
    cu->cu_rests_in = 0;
    if (rc)
        cu->cu_stmt = NULL;
    if (rc || stmt_id(cu->cu_stmt) != in)
        scan_unchoose(cu);
    return rc;
}

/* From the statement to one at the scan's own moment. Kept from filter to filter: a moment that lies ahead of the clock means the
 * same all the while. */
static int dated_stmt(const scan *cu, edb_stmt **stmt)
{
    edb_stmt *now = *stmt;
    if (cu->cu_stmt && stmt_asked_ns(cu->cu_stmt) == cu->cu_date_ns) {
        *stmt = cu->cu_stmt;
        stmt_use(cu->cu_stmt);
        stmt_release(now);
        return EDB_OK;
    }
    int rc = stmt_at(now, cu->cu_date_ns, stmt);
    stmt_release(now);
    return rc;
}

void scan_end_walk(scan *cu)
{
    if (cu->cu_kept)
        kept_walked(cu->cu_kept, cu->cu_range.kr_automatic, cu->cu_visited);
    cu->cu_kept = NULL;
    ((vtab_any *)cu->cu_base.pVtab)->ay_binding->bd_visited += cu->cu_visited;
    cu->cu_visited = 0;
}

int scan_enter(scan *cu, vtab_entity *vt)
{
    edb_stmt *stmt;
    if (cu->cu_rests_in)
        scan_unchoose(cu);
    int rc = vtab_acquire(vt->vt_any.ay_binding, false, &stmt);
    if (!rc && unlikely(cu->cu_dated))
        rc = dated_stmt(cu, &stmt);
    if (rc)
        return rc;
    if (stmt == cu->cu_stmt) {
        stmt_release(stmt);         /* one user is enough */
    } else {
        scan_leave(cu);
        cu->cu_stmt = stmt;
    }
    return vtab_current(vt, stmt);
}

static int room_for(scan *cu, const edb_table *table, const edb_index *index)
{
    if (cu->cu_columns_room < table->et_n_columns) {
        int16_t *of = realloc(cu->cu_part_of, table->et_n_columns * sizeof *of);
        if (!of)
            return scan_no_memory();
        cu->cu_part_of = of;
        cu->cu_columns_room = table->et_n_columns;
    }
    if (index && cu->cu_parts_room < index->n_parts) {
        uint32_t *at = realloc(cu->cu_part_at, index->n_parts * sizeof *at);
        if (!at)
            return scan_no_memory();
        cu->cu_part_at = at;
        cu->cu_parts_room = index->n_parts;
    }
    return EDB_OK;
}

int scan_choose(scan *cu, const edb_table *table, const edb_index *index, private_entries *entries)
{
    if (table == cu->cu_table && index == cu->cu_index && entries == cu->cu_private && !cu->cu_sorted && !cu->cu_n_sides)
        return EDB_OK;
    close_entries(cu);
    cu->cu_private = entries;
    edb_table *chosen = table_ref(table);
    table_unref(cu->cu_table);
    cu->cu_table = NULL;            /* until all is there, nothing is chosen */
    cu->cu_near = (tree_near){.tnr_leaf = NULL};
    cu->cu_index = NULL;
    int rc = room_for(cu, table, index);
    if (rc) {
        table_unref(chosen);
        return rc;
    }
    cu->cu_table = chosen;
    cu->cu_index = index;
    if (!index)
        return EDB_OK;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        cu->cu_part_of[i] = -1;
    for (uint32_t i = index->n_parts; i-- > 0;)
        cu->cu_part_of[index->parts[i].column] = (int16_t)i;
    return EDB_OK;
}

/* Whether the tree does not know all of the statement's moment, because the index was made later, or entries were erased. */
static int index_is_late(const scan *cu, const vtab_entity *vt, const edb_table *table, const edb_index *index,
                         bool *out)
{
    *out = false;
    uint64_t born;
    /* Erasing entries changes the schema number, of which a statement of an older moment is not told. */
    if (vt->vt_whole[index - table->et_indexes] && stmt_snapshot(cu->cu_stmt)->sn_schema <= edb_stmt_moment(cu->cu_stmt))
        return EDB_OK;
    int rc = stmt_tree_born(cu->cu_stmt, index->tree, &born);
    if (rc)
        return rc;
    if (born == FOREVER)            /* made in the running transaction, which sees it */
        *out = stmt_is_past(cu->cu_stmt);
    else
        *out = born > edb_stmt_moment(cu->cu_stmt);
    return EDB_OK;
}

/* A partial index that is walked for being short: the table has its rows, and SQLite judges them. */
static bool table_will_do(const edb_index *index, const char *plan)
{
    return index->where && plan[PLAN_ORDERED] == '-' && !strchr(plan, '/')
           && (plan[PLAN_HEAD + STEP_OP] == '|' || plan_is_aside(plan[PLAN_HEAD + STEP_OP]));
}

#define ROWS_MATTER 64
#define OUTGROWN 3                  /* powers of two: eight times as many rows, or an eighth */

/* Once a statement: whether the plan was made for a table of another size. The statement runs with it all the same. */
static int look_at_growth(scan *cu, const edb_table *table, const char *plan)
{
    uint64_t rows;
    cu->cu_measured = true;
    int rc = stmt_tree_rows(cu->cu_stmt, table->et_id, &rows);
    if (rc)
        return rc;
    char then = strchr(plan, '|')[1], now = plan_rows_letter(rows);
    if (now - then >= OUTGROWN ? rows > ROWS_MATTER : then - now >= OUTGROWN)
        conn_outgrown(stmt_conn(cu->cu_stmt));
    return EDB_OK;
}

/* The automatic index of the plan, if it is time for it: *entries, *index. */
static int automatic_index(scan *cu, const edb_table *table, const edb_index *base, const char *plan, int arguments,
                           private_entries **entries, const edb_index **index)
{
    const vtab_binding *bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    int rc = kept_automatic(cu->cu_stmt, table, base, plan, arguments, &cu->cu_kept);
    *entries = NULL;
    return rc || !cu->cu_kept ? rc : kept_wanted(cu->cu_kept, cu->cu_stmt, bd->bd_paths_off & PATH_EAGER, entries, index);
}

/* Walks the tree of the plan, or private entries where it knows nothing of the moment. */
int scan_base(scan *cu, uint32_t tree, const edb_table *table, const char *plan)
{
    const vtab_entity *vt = (const vtab_entity *)cu->cu_base.pVtab;
    const edb_index *index = table_index(table, tree);
    private_entries *entries = NULL;
    bool late = false;
    int rc = index ? index_is_late(cu, vt, table, index, &late) : EDB_OK;
    if (!rc && late && table_will_do(index, plan)) {
        late = false;
        index = NULL;
    }
    if (!rc && late)
        rc = kept_late(cu->cu_stmt, table, index, &entries);
    if (rc)
        return rc;
    cu->cu_range.kr_automatic = false;
    return scan_choose(cu, table, index, entries);
}

int scan_prepare(scan *cu, vtab_entity *vt, uint32_t tree, const char *plan, int arguments)
{
    const edb_table *table;
    const edb_index *index = NULL;
    private_entries *entries = NULL;
    int rc = scan_enter(cu, vt);
    if (!rc)
        rc = vtab_table(vt, cu->cu_stmt, &table);
    if (rc)
        return rc;
    if (tree != table->et_id && !(index = table_index(table, tree)))
        return edb_fail(EDB_SCHEMA, "an index of table %s was dropped: prepare again", table->et_name);
    if (!cu->cu_measured && (rc = look_at_growth(cu, table, plan)))
        return rc;
    if (unlikely(plan_section(plan, arguments, "/a") != NULL)) {
        rc = automatic_index(cu, table, index, plan, arguments, &entries, &index);
        if (rc)
            return rc;
    }
    if (!entries)
        return scan_base(cu, tree, table, plan);
    cu->cu_range.kr_automatic = true;
    return scan_choose(cu, table, index, entries);
}
