/* What a constraint says: its operator, its collation, and its right side where that is a constant. */
#include "engine/eval/declare.h"
#include "engine/vtab/planner.h"

int collation_number(const char *name)
{
    for (int collation = COLLATE_BINARY; collation <= COLLATE_RTRIM; collation++)
        if (sqlite3_stricmp(name, collation_name(collation)) == 0)
            return collation;
    return -1;
}

bool constraint_used(const candidate *ca, int i)
{
    for (uint32_t k = 0; k < ca->ca_n_steps; k++)
        if (ca->ca_steps[k].sp_constraint == i)
            return true;
    return false;
}

char equality_op(const planner *pl, int i)
{
    switch (pl->pl_info->aConstraint[i].op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return sqlite3_vtab_in(pl->pl_info, i, -1) ? 'i' : '=';
    case SQLITE_INDEX_CONSTRAINT_IS:
        return 's';
    case SQLITE_INDEX_CONSTRAINT_ISNULL:
        return 'n';
    }
    return 0;
}

char bound_op(const planner *pl, int i)
{
    switch (pl->pl_info->aConstraint[i].op) {
    case SQLITE_INDEX_CONSTRAINT_GT:
        return '>';
    case SQLITE_INDEX_CONSTRAINT_GE:
        return 'g';
    case SQLITE_INDEX_CONSTRAINT_LT:
        return '<';
    case SQLITE_INDEX_CONSTRAINT_LE:
        return 'l';
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL:
        return 'N';
    }
    return 0;
}

char comparison_op(const planner *pl, int i)
{
    char equality = equality_op(pl, i);
    return equality ? equality : bound_op(pl, i);
}

bool right_side(const planner *pl, int i, sqlite3_value **out)
{
    *out = NULL;
    return sqlite3_vtab_rhs_value(pl->pl_info, i, out) == SQLITE_OK && *out;
}

bool right_side_known(const planner *pl, int i)
{
    sqlite3_value *value;
    return right_side(pl, i, &value);
}
