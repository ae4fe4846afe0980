/* What the tables over the past of all rows share (rows_ever.h). */
#include "engine/vtab/rows_ever.h"

#include "engine/vtab/type_names.h"

enum { TABLES_GUESS = 4, ROWS_GUESS = 10000, RANGE_GUESS = 4, COMMITS_GUESS = 1000 };

/* ---- plans -------------------------------------------------------------------------------------------------------- */

static int commit_use(int op)
{
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return EVER_AT;
    case SQLITE_INDEX_CONSTRAINT_GE:
        return EVER_LOW;
    case SQLITE_INDEX_CONSTRAINT_GT:
        return EVER_LOW | EVER_ABOVE;
    case SQLITE_INDEX_CONSTRAINT_LE:
        return EVER_HIGH;
    case SQLITE_INDEX_CONSTRAINT_LT:
        return EVER_HIGH | EVER_BELOW;
    default:
        return 0;
    }
}

static int use_of(const ever_columns *columns, sqlite3_index_info *info, int i)
{
    int column = info->aConstraint[i].iColumn;
    bool equals = info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ;
    if (!info->aConstraint[i].usable)
        return 0;
    if (column == columns->ec_commit)
        return commit_use(info->aConstraint[i].op);
    if (column == columns->ec_type)
        return equals && !sqlite3_stricmp(sqlite3_vtab_collation(info, i), "NOCASE") ? EVER_TYPE : 0;
    return column == columns->ec_id && equals ? EVER_ID : 0;
}

/* SQLite judges all conditions, too: they cost little. */
void ever_plan(const ever_columns *columns, sqlite3_index_info *info, double rows)
{
    static const struct { int use; double share; } order[] = {
        {EVER_TYPE, TABLES_GUESS}, {EVER_ID, ROWS_GUESS}, {EVER_AT, COMMITS_GUESS}, {EVER_LOW, RANGE_GUESS},
        {EVER_HIGH, RANGE_GUESS},
    };
    int arguments = 0;
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (int i = 0; i < info->nConstraint; i++) {
            int use = use_of(columns, info, i);
            if (!(use & order[k].use))
                continue;
            info->idxNum |= use;
            info->aConstraintUsage[i].argvIndex = ++arguments;
            rows /= order[k].share;
            break;
        }
    info->estimatedRows = rows < 1 ? 1 : (sqlite3_int64)rows;
    info->estimatedCost = 20 + 3 * rows;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

/* Commits to which a bound leads; those that are no numbers leave all, and SQLite judges. */
static void read_bound(sqlite3_value *value, int plan, int which, ever_arguments *out)
{
    int64_t number;
    if (sqlite3_value_type(value) == SQLITE_NULL) {
        out->ea_nothing = true;
        return;
    }
    if (!value_is_entity(value, &number))
        return;
    if (number < 1) {
        out->ea_nothing |= which != EVER_LOW;
        return;
    }
    uint64_t at = (uint64_t)number, before = which == EVER_LOW && plan & EVER_ABOVE ? at : at - 1;
    if (which != EVER_HIGH && before > out->ea_after)
        out->ea_after = before;
    if (which != EVER_LOW && at < out->ea_upto)
        out->ea_upto = at;          /* of an excluded bound too: SQLite drops what is too much */
}

static int read_type(edb_stmt *stmt, sqlite3_value *value, ever_arguments *out)
{
    if (value && sqlite3_value_type(value) == SQLITE_NULL) {
        out->ea_nothing = true;
        return EDB_OK;
    }
    bool is_text = value && sqlite3_value_type(value) == SQLITE_TEXT;
    const char *name = is_text ? (const char *)sqlite3_value_text(value) : NULL;
    return tables_ever_find(stmt, name, &out->ea_tables);
}

int ever_read(edb_stmt *stmt, int plan, sqlite3_value **argv, ever_arguments *out)
{
    *out = (ever_arguments){.ea_upto = FOREVER};
    sqlite3_value *type = plan & EVER_TYPE ? *argv++ : NULL;
    if (plan & EVER_ID) {
        out->ea_one = true;
        out->ea_nothing = !value_is_entity(*argv++, &out->ea_id);
    }
    for (int which = EVER_AT; which <= EVER_HIGH; which *= 2)
        if (plan & which)
            read_bound(*argv++, plan, which, out);
    return out->ea_nothing ? EDB_OK : read_type(stmt, type, out);
}
