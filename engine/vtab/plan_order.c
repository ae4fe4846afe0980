/* Whether the order of a tree is the one asked for, and what the scan has to do to make it so.
 *
 * SQLite takes an order from a virtual table whole or not at all. So the scan completes what the tree begins:
 *
 *   groups   index (ts), ORDER BY ts DESC, name: entries of one ts are collected and sorted by name
 *   merging  index (grp, ts), grp IN (1, 3) ORDER BY ts: the ranges of the list are walked side by side
 *
 * DISTINCT and GROUP BY want equal rows next to each other, in any order; of a DISTINCT one of them is enough, and the
 * scan skips the others where nothing but the distinct columns is looked at. */
#include "engine/eval/declare.h"
#include "engine/stats/statistics.h"
#include "engine/vtab/planner.h"

enum { SORTED, GROUPED, DISTINCT, DISTINCT_SORTED };    /* what sqlite3_vtab_distinct() says */

static bool in_order_by(const planner *pl, int column)
{
    for (int i = 0; i < pl->pl_info->nOrderBy; i++)
        if (pl->pl_info->aOrderBy[i].iColumn == column)
            return true;
    return false;
}

/* A text compared with a number may be equal to several ('12' and '012' to 12); then it plays no role only where the
 * order asked for does not name it. */
bool part_is_constant(const planner *pl, const candidate *ca, uint32_t part)
{
    return part < ca->ca_n_equal && (ca->ca_merged || ca->ca_steps[part].sp_op != 'i')
           && (part_is_exact(pl, ca, part) || !in_order_by(pl, (int)ca->ca_index->parts[part].column));
}

typedef struct {                    /* a term of ORDER BY */
    int tm_column, tm_collation;
    bool tm_descends;
    bool tm_nulls_last;             /* when ascending; descending they come first */
} term;

static bool term_read(const planner *pl, int i, term *out)
{
    const struct sqlite3_index_orderby *by = &pl->pl_info->aOrderBy[i];
    const order_column *oc;
    *out = (term){.tm_column = by->iColumn, .tm_descends = by->desc};
    if (is_rowid(pl, by->iColumn))
        return true;
    if (by->iColumn < (int)pl->pl_table->et_n_columns) {
        out->tm_collation = pl->pl_table->et_columns[by->iColumn].collation;
        return true;
    }
    oc = declared_order(&pl->pl_vt->vt_orders, by->iColumn);
    if (!oc)
        return false;
    out->tm_column = (int)oc->oc_column;
    out->tm_collation = oc->oc_collation;
    out->tm_nulls_last = oc->oc_nulls_last;
    return true;
}

static int part_column(const planner *pl, const candidate *ca, uint32_t part)
{
    return part_is_rowid(ca, part) ? pl->pl_table->et_rowid_column : (int)ca->ca_index->parts[part].column;
}

static int part_collation(const candidate *ca, uint32_t part)
{
    return part_is_rowid(ca, part) ? COLLATE_BINARY : ca->ca_index->parts[part].collation;
}

/* Equal wherever the parts before it are, which have the same column: it plays no role in the order either. */
static bool part_repeats(const planner *pl, const candidate *ca, uint32_t part)
{
    for (uint32_t i = 0; i < part; i++)
        if (part_column(pl, ca, i) == part_column(pl, ca, part) && part_collation(ca, i) == part_collation(ca, part))
            return true;
    return false;
}

/* Whether the part sorts as the term does, NULLs aside. */
static bool part_sorts(const planner *pl, const candidate *ca, uint32_t part, const term *tm)
{
    if (part_is_rowid(ca, part))
        return is_rowid(pl, tm->tm_column);
    const edb_index_part *p = &ca->ca_index->parts[part];
    if (is_rowid(pl, tm->tm_column))
        return (int)p->column == pl->pl_table->et_rowid_column;
    return (int)p->column == tm->tm_column && p->collation == tm->tm_collation;
}

static bool part_descends(const candidate *ca, uint32_t part)
{
    return !part_is_rowid(ca, part) && ca->ca_index->parts[part].descending;
}

static bool term_is_constant(const planner *pl, const candidate *ca, const term *tm)
{
    for (uint32_t part = 0; part < ca->ca_n_equal; part++)
        if (ca->ca_steps[part].sp_op != 'i' && part_is_constant(pl, ca, part) && part_sorts(pl, ca, part, tm))
            return true;
    return false;
}

/* NULLs out of their place in the index: walked first or last, as two ranges of the part behind the equalities, which keys
 * have to decide. Where that part has a bound there are none. */
static bool place_nulls(const planner *pl, candidate *ca, uint32_t part, const term *tm)
{
    if (part != ca->ca_n_equal || ca->ca_merged || part_is_rowid(ca, part))
        return false;
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        if (ca->ca_steps[k].sp_op == 'i' || !(ca->ca_steps[k].sp_plain || part_is_exact(pl, ca, k)))
            return false;
    if (ca->ca_n_steps == ca->ca_n_equal)
        ca->ca_laps = tm->tm_descends ? 'f' : 'l';
    return true;
}

/* How many of the terms asked for the walk gives, the first ones: all of them or fewer. *parts: the parts used for
 * them; 0: none gave a term. */
static int order_given(const planner *pl, candidate *ca, uint32_t *parts)
{
    const sqlite3_index_info *info = pl->pl_info;
    uint32_t part = 0;
    bool decided = false;
    *parts = 0;
    ca->ca_reverse = false;
    ca->ca_laps = 0;
    for (int i = 0; i < info->nOrderBy; i++) {
        term tm;
        if (!term_read(pl, i, &tm))
            return i;
        if (term_is_constant(pl, ca, &tm))
            continue;
        while (part < ca->ca_n_parts && (part_is_constant(pl, ca, part) || part_repeats(pl, ca, part)))
            part++;
        if (part == ca->ca_n_parts || !part_sorts(pl, ca, part, &tm))
            return i;
        bool reverse = tm.tm_descends != part_descends(ca, part);
        if ((decided && reverse != ca->ca_reverse) || (tm.tm_nulls_last && !place_nulls(pl, ca, part, &tm)))
            return i;
        ca->ca_reverse = reverse;
        decided = true;
        *parts = ++part;
        if (is_rowid(pl, tm.tm_column))
            return info->nOrderBy;              /* nothing is equal any more */
    }
    return info->nOrderBy;
}

/* GROUP BY and DISTINCT: equal rows next to each other are enough, so the columns may come in any order. *parts: of the
 * columns and those before them. */
static bool order_grouped(const planner *pl, const candidate *ca, uint32_t *parts)
{
    const sqlite3_index_info *info = pl->pl_info;
    int left = 0;
    uint64_t waiting = 0;
    term terms[64];
    *parts = 0;
    if (info->nOrderBy > 64)
        return false;
    for (int i = 0; i < info->nOrderBy; i++)
        if (is_rowid(pl, info->aOrderBy[i].iColumn))
            return true;                        /* each row is a group of its own */
    for (int i = 0; i < info->nOrderBy; i++) {
        if (!term_read(pl, i, &terms[i]) || terms[i].tm_nulls_last)
            return false;
        if (!term_is_constant(pl, ca, &terms[i])) {
            waiting |= UINT64_C(1) << i;
            left++;
        }
    }
    for (uint32_t part = 0; left && part < ca->ca_n_parts; part++) {
        bool found = part_is_constant(pl, ca, part) || part_repeats(pl, ca, part);
        for (int i = 0; i < info->nOrderBy; i++)
            if (waiting >> i & 1 && part_sorts(pl, ca, part, &terms[i])) {
                waiting &= ~(UINT64_C(1) << i);
                left--;
                found = true;
            }
        if (!found)
            return false;
        *parts = part + 1;
    }
    return !left;
}

/* Whether values with equal keys are the same value. A collation makes different texts equal, and 1 equals 1.0 where the
 * column's affinity leaves both; a condition that SQLite judges may tell them apart. */
static bool keys_identify(const edb_column *column)
{
    return column->collation == COLLATE_BINARY && column->affinity != AFFINITY_BLOB && column->affinity != AFFINITY_REAL;
}

/* Whether nothing but columns of the first parts is looked at, so that rows equal in them are alike to everybody. */
static bool parts_are_all(const planner *pl, const candidate *ca, uint32_t parts)
{
    uint64_t identified = 0;
    for (uint32_t i = 0; i < parts; i++) {
        const edb_index_part *p = &ca->ca_index->parts[i];
        const edb_column *column = &pl->pl_table->et_columns[p->column];
        if (keys_identify(column) && p->collation == column->collation)
            identified |= column_bit(p->column);
    }
    for (int i = 0; i < pl->pl_info->nOrderBy; i++) {
        int column = pl->pl_info->aOrderBy[i].iColumn;
        if (column < 0 || column >= (int)pl->pl_table->et_n_columns || !(identified & column_bit((uint32_t)column)))
            return false;
    }
    /* That of the driver's terms is NULL in all rows (eval/declare.h). */
    uint64_t told = pl->pl_table->et_n_columns < 63 ? column_bit(pl->pl_table->et_n_columns) : 0;
    return !(pl->pl_info->colUsed & ~identified & ~told) && !(identified >> 63);
}

/* From this version on SQLite does not say DISTINCT where the row id is looked at, which colUsed does not show. */
#define ROWID_IS_TOLD 3047000

static bool may_skip(const planner *pl, const candidate *ca, int asked, uint32_t parts)
{
    return (asked == DISTINCT || asked == DISTINCT_SORTED) && !(pl->pl_off & PATH_SKIP)
           && sqlite3_libversion_number() >= ROWID_IS_TOLD && parts_are_all(pl, ca, parts);
}

static bool order_merged(const planner *pl, candidate *ca)
{
    uint32_t parts;
    bool lists = false;
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        lists = lists || ca->ca_steps[k].sp_op == 'i';
    if (!lists || pl->pl_off & PATH_MERGE || part_is_rowid(ca, 0))
        return false;
    ca->ca_merged = true;
    if (order_given(pl, ca, &parts) == pl->pl_info->nOrderBy && (!parts || parts > ca->ca_n_equal))
        return true;
    ca->ca_merged = false;
    return false;
}

/* Groups are sorted in memory. */
#define GROUP_MOST 20000
#define PARTS_WRITTEN 255           /* the plan has two hexadecimal digits for a number of parts */

/* The largest group to be expected; NULLs are one, which the statistics of groups leave out. */
static double group_expected(const planner *pl, const candidate *ca, uint32_t parts)
{
    double rows = rows_equal(pl, ca->ca_index, parts);
    if (parts - 1 < ca->ca_n_equal || (parts - 1 == ca->ca_n_equal && ca->ca_n_steps > ca->ca_n_equal) || pl->pl_guess)
        return rows;
    column_share share = stats_column(pl->pl_conn, pl->pl_table, ca->ca_index->parts[parts - 1].column);
    return share.sv_null * ca->ca_entries > rows ? share.sv_null * ca->ca_entries : rows;
}

static bool order_completed(const planner *pl, candidate *ca)
{
    uint32_t parts;
    int given = order_given(pl, ca, &parts);
    if (!parts || !ca->ca_index || pl->pl_off & PATH_GROUPS || parts > ca->ca_index->n_parts)
        return false;
    term tm;
    for (int i = given; i < pl->pl_info->nOrderBy; i++)
        if (!term_read(pl, i, &tm))
            return false;
    if (parts > PARTS_WRITTEN || group_expected(pl, ca, parts) > GROUP_MOST)
        return false;
    ca->ca_group_parts = parts;
    ca->ca_group_from = given;
    return true;
}

void candidate_order(const planner *pl, candidate *ca)
{
    int asked = sqlite3_vtab_distinct(pl->pl_info);
    uint32_t parts;
    if (!pl->pl_info->nOrderBy)
        return;
    ca->ca_ordered = order_given(pl, ca, &parts) == pl->pl_info->nOrderBy;
    if (!ca->ca_ordered)
        ca->ca_laps = 0;
    if (!ca->ca_ordered && (asked == GROUPED || asked == DISTINCT)) {
        ca->ca_reverse = false;
        ca->ca_ordered = order_grouped(pl, ca, &parts);
    }
    if (ca->ca_ordered && ca->ca_index && parts && parts <= ca->ca_index->n_parts && parts <= PARTS_WRITTEN
        && may_skip(pl, ca, asked, parts))
        ca->ca_skip_parts = parts;
    if (!ca->ca_ordered && asked != GROUPED && asked != DISTINCT)
        ca->ca_ordered = order_merged(pl, ca) || order_completed(pl, ca);
    ca->ca_reverse = ca->ca_ordered && ca->ca_reverse;
    ca->ca_laps = ca->ca_ordered ? ca->ca_laps : 0;
}
