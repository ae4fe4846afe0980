/* Best-index of history tables (history.h): that of the table, with the moment or the kind of versions behind it. */
#include "engine/vtab/history.h"

enum { VERSIONS_GUESS = 4 };        /* of a row */

typedef struct {
    int gv_at[HISTORY_COLUMNS];     /* the constraint that gives the argument; -1: none */
    bool gv_unusable;               /* one was offered that cannot be used in this order of the tables */
} given_arguments;

static bool is_padding(const edb_table *table, int column)
{
    return column >= 0 && column < (int)table->et_n_columns && table->et_columns[column].hidden;
}

static given_arguments find_arguments(const edb_table *table, const sqlite3_index_info *info)
{
    given_arguments gv;
    gv.gv_unusable = false;
    for (int i = 0; i < HISTORY_COLUMNS; i++)
        gv.gv_at[i] = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *given = &info->aConstraint[i];
        if (given->iColumn < (int)table->et_n_columns || given->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        uint32_t column = history_column(table, given->iColumn);
        if (column == HISTORY_AS_OF || column <= HISTORY_KIND) {
            if (given->usable)
                gv.gv_at[column] = i;
            else if (column != HISTORY_AS_OF)
                gv.gv_unusable = true;
        }
    }
    /* as_of gives the moment where no argument does. */
    for (int i = 0; i < info->nConstraint && gv.gv_at[HISTORY_MOMENT] < 0 && gv.gv_at[HISTORY_AS_OF] < 0; i++)
        if (info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ && !info->aConstraint[i].usable
            && info->aConstraint[i].iColumn == (int)table->et_n_columns + HISTORY_AS_OF)
            gv.gv_unusable = true;
    return gv;
}

/* Arguments behind those of the table's plan. */
static void pass(sqlite3_index_info *info, int constraint, int *arguments)
{
    info->aConstraintUsage[constraint].argvIndex = ++*arguments;
    info->aConstraintUsage[constraint].omit = 1;
}

static int arguments_of(const sqlite3_index_info *info)
{
    int most = 0;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraintUsage[i].argvIndex > most)
            most = info->aConstraintUsage[i].argvIndex;
    return most;
}

static int put_before(sqlite3_index_info *info, sqlite3_vtab *base, char what)
{
    char *plan = sqlite3_mprintf("%c%s", what, info->idxStr ? info->idxStr : "");
    if (!plan)
        return vtab_result(base, edb_fail(EDB_NOMEM, "no memory to plan a query"));
    if (info->needToFreeIdxStr)
        sqlite3_free(info->idxStr);
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    return SQLITE_OK;
}

/* Every argument passed is consumed: history.h. */
static void consume_padding(const edb_table *table, sqlite3_index_info *info, int *arguments)
{
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].usable && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ
            && is_padding(table, info->aConstraint[i].iColumn) && !info->aConstraintUsage[i].argvIndex)
            pass(info, i, arguments);
}

static int plan_dated(vtab_entity *vt, sqlite3_index_info *info, const given_arguments *gv)
{
    sqlite3_vtab *base = &vt->vt_any.ay_base;
    int moment = gv->gv_at[gv->gv_at[HISTORY_MOMENT] >= 0 ? HISTORY_MOMENT : HISTORY_AS_OF];
    int rc = plan_scan(vt, info, vt->vt_any.ay_binding->bd_paths_off | PATH_AUTOMATIC, false);
    if (rc)
        return rc;
    int arguments = arguments_of(info);
    pass(info, moment, &arguments);
    consume_padding(vt->vt_table, info, &arguments);
    if (gv->gv_at[HISTORY_UNTIL] >= 0)
        pass(info, gv->gv_at[HISTORY_UNTIL], &arguments);
    return put_before(info, base, PLAN_DATED);
}

/* By the bounds of the table's plan; SQLite judges all conditions, since the versions of a row that had a value once come
 * together with those that have it. */
static int plan_versions(vtab_entity *vt, sqlite3_index_info *info, const given_arguments *gv)
{
    const unsigned off = PATH_AUTOMATIC | PATH_GROUPS | PATH_MERGE | PATH_SKIP;
    sqlite3_vtab *base = &vt->vt_any.ay_base;
    int rc = plan_scan(vt, info, vt->vt_any.ay_binding->bd_paths_off | off, true);
    if (rc)
        return rc;
    for (int i = 0; i < info->nConstraint; i++)
        info->aConstraintUsage[i].omit = 0;
    int arguments = arguments_of(info);
    for (int column = HISTORY_MOMENT; column <= HISTORY_KIND; column++)
        if (gv->gv_at[column] >= 0)
            pass(info, gv->gv_at[column], &arguments);
    consume_padding(vt->vt_table, info, &arguments);
    info->orderByConsumed = 0;
    info->idxFlags = 0;
    info->estimatedRows *= VERSIONS_GUESS;
    info->estimatedCost *= VERSIONS_GUESS;
    return put_before(info, base, PLAN_VERSIONS);
}

int history_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    vtab_entity *vt = (vtab_entity *)base;
    const given_arguments gv = find_arguments(vt->vt_table, info);
    if (gv.gv_unusable)
        return SQLITE_CONSTRAINT;
    if (gv.gv_at[HISTORY_KIND] >= 0) {
        if (gv.gv_at[HISTORY_MOMENT] >= 0 && gv.gv_at[HISTORY_UNTIL] >= 0)
            return plan_versions(vt, info, &gv);
        return vtab_result(base, edb_fail(EDB_MISUSE, "the history of table %s: a kind stands behind two moments",
                                          vt->vt_table->et_name));
    }
    if (gv.gv_at[HISTORY_MOMENT] >= 0 || gv.gv_at[HISTORY_AS_OF] >= 0)
        return plan_dated(vt, info, &gv);
    info->idxStr = "!";             /* no moment: the scan fails */
    info->estimatedCost = 1e12;
    return SQLITE_OK;
}
