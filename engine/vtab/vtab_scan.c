/* Scans: opening, closing, filter and next (scan.h).
 *
 * A plan becomes ranges of keys (vtab_range.h), walked in a tree, or where the tree cannot answer in entries of the
 * statement's own: at a moment before the index was made, where an automatic index is quicker, and where a promised order
 * has to be kept although bounds were given up. The tail of the plan says what is done with the entries on the way. */
#include <stdlib.h>
#include <string.h>

#include "engine/vtab/scan.h"

/* A closed cursor is kept for the next: a correlated subquery opens one for each row. */
int vtab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    vtab_entity *vt = (vtab_entity *)base;
    scan *cu = vt->vt_spare ? vt->vt_spare : calloc(1, vt->vt_scan_size);
    if (!cu)
        return vtab_no_cursor(base);
    vt->vt_spare = NULL;
    *out = &cu->cu_base;
    return SQLITE_OK;
}

static void free_scan(scan *cu)
{
    scan_unchoose(cu);
    range_free(&cu->cu_range);
    buffer_free(&cu->cu_prefix);
    buffer_free(&cu->cu_sort_key);
    buffer_free(&cu->cu_chain);
    buffer_free(&cu->cu_parts);
    buffer_free(&cu->cu_decoded);
    arena_free(&cu->cu_sieve_texts);
    free(cu->cu_part_of);
    free(cu->cu_part_at);
    free(cu);
}

/* What is large is given back. */
static void tidy(scan *cu)
{
    list_free(cu->cu_group);
    cu->cu_group = NULL;
    if (!cu->cu_rests_in || !cu->cu_looks_up)
        range_tidy(&cu->cu_range);  /* a lookup puts its row id where the one before has its own */
    buffer_clear(&cu->cu_prefix);
    buffer_clear(&cu->cu_sort_key);
    buffer_clear(&cu->cu_chain);
    buffer_clear(&cu->cu_parts);
    buffer_clear(&cu->cu_decoded);
    arena_reset(&cu->cu_sieve_texts);
}

int vtab_close(sqlite3_vtab_cursor *base)
{
    vtab_entity *vt = (vtab_entity *)base->pVtab;
    scan *cu = (scan *)base;
    scan_end_walk(cu);
    if (vt->vt_any.ay_binding->bd_stands == cu)
        vt->vt_any.ay_binding->bd_stands = NULL;
    if (cu->cu_again && cu->cu_plan_tree && !vt->vt_spare)
        scan_rest(cu);
    else
        scan_leave(cu);
    tidy(cu);
    if (vt->vt_spare)
        free_scan(cu);
    else
        vt->vt_spare = cu;
    return SQLITE_OK;
}

void scan_forget(vtab_entity *vt)
{
    if (vt->vt_spare)
        free_scan(vt->vt_spare);
    vt->vt_spare = NULL;
}

/* ---- the tail of the plan ------------------------------------------------------------------------------------- */

static void read_terms(scan *cu, const char *at)
{
    cu->cu_n_terms = 0;
    for (; *at != '/' && *at != '|' && cu->cu_n_terms < GROUP_TERMS; at += 5)
        cu->cu_terms[cu->cu_n_terms++] = (order_term){.ot_column = plan_number(at, 4), .ot_descending = at[4] == 'd'};
}

static void read_tail(scan *cu, const char *plan, int argc)
{
    const char *at;
    if (plan_section(plan, argc, "/l") || plan_section(plan, argc, "/f"))
        cu->cu_range.kr_laps = plan_section(plan, argc, "/l") ? 'l' : 'f';
    if ((at = plan_section(plan, argc, "/s"))) {
        cu->cu_skip_parts = plan_number(at, 2);
        cu->cu_way = WAY_SKIP;
    }
    if ((at = plan_section(plan, argc, "/g"))) {
        cu->cu_group_parts = plan_number(at, 2);
        read_terms(cu, at + 2);
        cu->cu_way = WAY_GROUPS;
    }
}

/* Equalities whose parts have no place in the promised order. */
static void read_constants(scan *cu, const char *plan)
{
    const char *step = plan + PLAN_HEAD;
    cu->cu_constant = 0;
    for (uint32_t i = 0; i < 64 && plan_is_equality(step[STEP_OP]); i++, step += PLAN_STEP)
        if (step[STEP_ROLE] == 'c')
            cu->cu_constant |= UINT64_C(1) << i;
}

/* ---- filter --------------------------------------------------------------------------------------------------- */

/* The rows that the statement's capture has kept. */
static int filter_returned(scan *cu)
{
    vtab_entity *vt = (vtab_entity *)cu->cu_base.pVtab;
    int rc = scan_enter(cu, vt);
    if (!rc)
        rc = scan_choose(cu, vt->vt_table, NULL, NULL);
    if (rc)
        return rc;
    cu->cu_way = WAY_RETURNED;
    cu->cu_n_sieve = 0;
    cu->cu_plain = cu->cu_single = false;
    cu->cu_capture = stmt_capture(cu->cu_stmt, vt->vt_table->et_id);
    cu->cu_list_at = 0;
    cu->cu_at = &cu->cu_entries.at;
    cu->cu_lasting = true;
    cu->cu_eof = !capture_entry(cu->cu_capture, 0, &cu->cu_entries.at);
    return EDB_OK;
}

/* No row fulfils the conditions, whatever the table has. */
static int filter_nothing(scan *cu)
{
    vtab_entity *vt = (vtab_entity *)cu->cu_base.pVtab;
    int rc = scan_enter(cu, vt);
    if (!rc)
        rc = scan_choose(cu, vt->vt_table, NULL, NULL);
    cu->cu_again = NULL;
    cu->cu_way = WAY_WALK;
    cu->cu_n_sieve = 0;
    cu->cu_plain = cu->cu_single = false;
    cu->cu_eof = true;
    return rc;
}

static int decode(scan *cu, const char *plan, int argc, sqlite3_value **argv)
{
    key_range *kr = &cu->cu_range;
    kr->kr_bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    kr->kr_table = cu->cu_table;
    kr->kr_index = cu->cu_index;
    return range_decode(kr, plan, argc, argv);
}

/* Makes the entries come as the plan has promised. */
static int choose_way(scan *cu, const char *plan, int argc)
{
    bool promised = plan[PLAN_ORDERED] != '-', merged = plan[PLAN_ORDERED] == 'm';
    cu->cu_way = cu->cu_below = WAY_WALK;
    if (promised)
        read_constants(cu, plan);
    if (merged && !cu->cu_range.kr_inexact && range_count(&cu->cu_range) <= SIDES_MOST)
        cu->cu_way = cu->cu_below = WAY_MERGE;
    read_tail(cu, plan, argc);
    if (!promised || cu->cu_below == WAY_MERGE || !(cu->cu_range.kr_inexact || merged))
        return EDB_OK;
    if (cu->cu_way == WAY_SKIP)
        cu->cu_way = WAY_WALK;      /* the list is not in the order of whole keys, by which is skipped */
    return groups_sort_all(cu);
}

static int start(scan *cu)
{
    int rc;
    switch (cu->cu_way) {
    case WAY_GROUPS:
        return groups_start(cu);
    case WAY_MERGE:
        rc = merge_start(cu);
        break;
    default:
        rc = ranges_start(cu);
    }
    cu->cu_eof = cu->cu_walk_over;
    return rc;
}

/* Where so much of the index lies between the bounds, walking the table costs less than looking each row up. */
#define TURN_SHARE 3                /* of the entries, a third */

/* At least so many: of several ranges only their number is looked at. */
static int entries_met(scan *cu, double *out)
{
    key_range *kr = &cu->cu_range;
    *out = (double)range_count(kr);
    return *out <= 1 ? range_entries(kr, out) : EDB_OK;
}

/* Of "/t", which is said of walks of an index alone: SQLite judges all conditions, so that the walk may be any. */
static int turn_to_table(scan *cu, const char *plan, int argc, sqlite3_value **argv)
{
    key_range *kr = &cu->cu_range;
    uint64_t rows;
    double met;
    /* Own writes are in no count, and at SERIALIZABLE all that is read may conflict. */
    if (!plan_section(plan, argc, "/t") || cu->cu_private || kr->kr_empty || kr->kr_automatic || stmt_sees(cu->cu_stmt)
        || stmt_notes_reads(cu->cu_stmt))
        return EDB_OK;
    int rc = stmt_tree_rows(cu->cu_stmt, cu->cu_table->et_id, &rows);
    if (!rc)
        rc = entries_met(cu, &met);
    if (rc || met * TURN_SHARE < (double)rows)
        return rc;
    rc = scan_choose(cu, cu->cu_table, NULL, NULL);
    return rc ? rc : decode(cu, "f-", 0, argv);
}

/* Whether the scan has chosen already what this plan walks: in a join it is filtered by one plan again and again. */
static bool is_prepared(const scan *cu, vtab_entity *vt, const char *plan)
{
    return cu->cu_again == plan && plan && stmt_goes_on(vt->vt_any.ay_binding->bd_conn, cu->cu_stmt)
           && vt->vt_table == cu->cu_table
           && (stmt_is_past(cu->cu_stmt) || vt->vt_fixed || vt->vt_schema == stmt_schema(cu->cu_stmt));
}

static void remember_plan(scan *cu, uint32_t tree, const char *plan, int argc)
{
    size_t size = strlen(plan) + 1;
    bool fits = size <= sizeof cu->cu_plan;
    cu->cu_plan_tree = fits ? tree : 0;
    cu->cu_plan_arguments = argc;
    if (fits)
        memcpy(cu->cu_plan, plan, size);
}

/* A scan that was closed goes on, if it is in the same statement and filtered by the plan that it remembers. */
static int wake(scan *cu, vtab_entity *vt, uint32_t tree, const char *plan, int argc)
{
    bool again = tree == cu->cu_plan_tree && argc == cu->cu_plan_arguments && !cu->cu_dated && !strcmp(plan, cu->cu_plan);
    int rc = again ? scan_wake(cu, vt) : EDB_OK;
    if (!rc && again && cu->cu_table)
        cu->cu_again = plan;
    return rc;
}

/* An automatic index may be made from one filter to the next, and a dated scan may go to another moment. */
static bool prepares_once(const scan *cu, const vtab_entity *vt, const char *plan, int argc)
{
    return !cu->cu_dated && !cu->cu_private && !cu->cu_sorted && cu->cu_way == WAY_WALK && vt->vt_table == cu->cu_table
           && !plan_section(plan, argc, "/a") && !plan_section(plan, argc, "/t");
}

static bool is_lookup(const scan *cu, const char *plan, int argc)
{
    const key_range *kr = &cu->cu_range;
    return cu->cu_single && argc == 1 && plan[PLAN_HEAD + STEP_OP] == '=' && kr->kr_n_wheels == 1 && kr->kr_n_items == 1
           && !cu->cu_n_sieve;
}

/* The row of another id, by the plan of the last filter. */
static int look_up(scan *cu, int64_t rowid)
{
    range_set_rowid(&cu->cu_range, rowid);
    int rc = ranges_start(cu);
    cu->cu_eof = cu->cu_walk_over;
    return rc;
}

static int filter(scan *cu, uint32_t tree, const char *plan, int argc, sqlite3_value **argv)
{
    key_range *kr = &cu->cu_range;
    vtab_entity *vt = (vtab_entity *)cu->cu_base.pVtab;
    int rc = cu->cu_rests_in ? wake(cu, vt, tree, plan, argc) : EDB_OK;
    if (rc)
        return rc;
    bool prepared = is_prepared(cu, vt, plan);
    if (prepared && cu->cu_looks_up && sqlite3_value_type(argv[0]) == SQLITE_INTEGER)
        return look_up(cu, sqlite3_value_int64(argv[0]));
    cu->cu_again = NULL;
    rc = prepared ? EDB_OK : scan_prepare(cu, vt, tree, plan, argc);
    if (!rc)
        rc = decode(cu, plan, argc, argv);
    if (!rc && kr->kr_automatic && kr->kr_given_up) {
        /* The value is not one that keys tell anything of: without the automatic index, then. */
        rc = scan_base(cu, tree, cu->cu_table, plan);
        if (!rc)
            rc = decode(cu, plan, argc, argv);
    }
    if (!rc)
        rc = turn_to_table(cu, plan, argc, argv);
    if (rc)
        return rc;
    cu->cu_single = !cu->cu_index && kr->kr_n_wheels;
    rc = choose_way(cu, plan, argc);
    cu->cu_plain = cu->cu_way == WAY_WALK && !kr->kr_laps && !cu->cu_sorted && !cu->cu_single && !kr->kr_n_wheels
                   && !kr->kr_reverse && !kr->kr_to.en_set;
    if (!rc)
        rc = start(cu);
    if (!rc)
        rc = sieve_read(cu, plan, argc, argv);
    if (!rc && prepares_once(cu, vt, plan, argc)) {
        if (!prepared)
            remember_plan(cu, tree, plan, argc);
        cu->cu_again = plan;
        cu->cu_looks_up = is_lookup(cu, plan, argc);
    }
    return !rc && cu->cu_n_sieve && !cu->cu_eof ? sieve_pass(cu) : rc;
}

int vtab_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv)
{
    scan *cu = (scan *)base;
    scan_end_walk(cu);
    scan_moved(cu);
    int rc = tree == PLAN_RETURNED              ? filter_returned(cu)
             : plan[PLAN_ORDERED] == 'n'        ? filter_nothing(cu)
                                                : filter(cu, (uint32_t)tree, plan, argc, argv);
    return vtab_result(base->pVtab, rc);
}

/* ---- next ----------------------------------------------------------------------------------------------------- */

static int advance(scan *cu)
{
    int rc;
    switch (cu->cu_way) {
    case WAY_RETURNED:
        cu->cu_eof = !capture_entry(cu->cu_capture, ++cu->cu_list_at, &cu->cu_entries.at);
        return EDB_OK;
    case WAY_GROUPS:
        return groups_next(cu);
    case WAY_MERGE:
        rc = merge_next(cu);
        break;
    case WAY_SKIP:
        rc = ranges_skip(cu);
        break;
    default:
        rc = ranges_next(cu);
    }
    cu->cu_eof = cu->cu_walk_over;
    return rc;
}

int vtab_next(sqlite3_vtab_cursor *base)
{
    scan *cu = (scan *)base;
    int rc;
    scan_moved(cu);
    if (likely(cu->cu_plain)) {
        cu->cu_visited++;
        rc = cursor_next(&cu->cu_entries);
        cu->cu_eof = !cu->cu_entries.valid;
        if (unlikely(cu->cu_n_sieve) && !rc && !cu->cu_eof)
            rc = sieve_pass(cu);
    } else {
        rc = advance(cu);
    }
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

int vtab_eof(sqlite3_vtab_cursor *base)
{
    return ((scan *)base)->cu_eof;
}
