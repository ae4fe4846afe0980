/* ON CONFLICT, row by row as SQLite does it for its own tables.
 *
 * SQLite refuses the clauses on virtual tables. The driver takes them off the INSERT and says them, in the context of
 * the INSERT and in order, with
 *
 *     SELECT 1 WHERE entitydb_on_conflict(table id, constraints, columns, list, tail, parameter...)
 *
 *     constraints   trees of the unique indexes it is for, 0 for the row id: "0", "5,7"; NULL: every constraint
 *     columns       which columns DO UPDATE sets, by position: "1,3"; NULL: DO NOTHING
 *     list, tail    what they are set to, and WHERE or NULL, as rowexpr.h wants them with `excluded`
 *     parameter     ?1, ?2, ... of both. With a NULL table id: more of them, for the clause said last
 *
 * It is NULL, so that the query has no row and is over after one step.
 *
 * Order of judging, which decides when a row hurts several constraints: the clauses' in their order; for one without
 * constraints the row id, then the indexes from the youngest to the oldest, as SQLite keeps them. Constraints of no
 * clause are left to the INSERT, which fails.
 *
 * Memory: the clauses belong to the statement, and lie in one arena with their parameters; what their texts say is kept
 * (conflict_clause.h). What was prepared for a list is kept with the virtual table, most recently used first, because the
 * same INSERT mostly comes again; but what has a subquery, which may hold this very virtual table, with the clause. */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/rowexpr.h"
#include "engine/txn/hooks.h"
#include "engine/vtab/vtab.h"

#define PREPARED_MOST 16            /* kept for a table */

typedef struct clause_parameters {  /* those of one call of entitydb_on_conflict() */
    struct clause_parameters *clp_next;
    uint32_t clp_n;
    edb_value clp_values[];
} clause_parameters;

struct upsert_clause {
    upsert_clause *uc_next;
    conflict_clause *uc_said;       /* counted */
    struct upsert_prepared *uc_prepared;    /* when it asks; owned */
    clause_parameters *uc_first, *uc_last;  /* in order */
};

struct upsert {
    uint32_t us_table;
    upsert_clause *us_first, *us_last;
    arena us_memory;                /* of the clauses */
    uint64_t us_room[64];           /* of the first of them: few statements need more */
};

typedef struct upsert_prepared {
    struct upsert_prepared *pu_next;
    conflict_clause *pu_said;       /* counted; its list and tail are what was prepared */
    rowexpr *pu_expressions;
    uint32_t pu_running;            /* evaluations going on: not to be freed */
} upsert_prepared;

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for ON CONFLICT");
}

/* ---- saying clauses ------------------------------------------------------------------------------------------- */

static void prepared_free(upsert_prepared *pu)
{
    if (!pu)
        return;
    rowexpr_free(pu->pu_expressions);
    conflict_clause_unref(pu->pu_said);
    free(pu);
}

static void upsert_free(void *arg)
{
    upsert *us = arg;
    for (upsert_clause *uc = us->us_first; uc; uc = uc->uc_next) {
        prepared_free(uc->uc_prepared);
        conflict_clause_unref(uc->uc_said);
    }
    arena_free(&us->us_memory);
    free(us);
}

static txn_hooks upsert_hooks = {.hk_name = "upsert", .hk_stmt_free = upsert_free};

__attribute__((constructor)) static void upsert_load(void)
{
    hooks_register(&upsert_hooks);
}

static upsert *upsert_new(uint32_t table)
{
    upsert *us = malloc(sizeof *us);
    if (!us)
        return NULL;
    us->us_table = table;
    us->us_first = us->us_last = NULL;
    arena_init_in(&us->us_memory, us->us_room, sizeof us->us_room);
    return us;
}

static int add_parameters(arena *memory, upsert_clause *uc, int n, sqlite3_value **values)
{
    if (!n)
        return EDB_OK;
    clause_parameters *cp = arena_alloc(memory, sizeof *cp + (size_t)n * sizeof *cp->clp_values);
    if (!cp)
        return no_memory();
    cp->clp_next = NULL;
    for (cp->clp_n = 0; cp->clp_n < (uint32_t)n; cp->clp_n++) {
        edb_value *value = &cp->clp_values[cp->clp_n];
        int rc = value_read(values[cp->clp_n], value);
        if (!rc)
            rc = value_copy(memory, value);
        if (rc)
            return rc;
    }
    if (uc->uc_last)
        uc->uc_last->clp_next = cp;
    else
        uc->uc_first = cp;
    uc->uc_last = cp;
    return EDB_OK;
}

static int add_clause(vtab_binding *bd, edb_stmt *stmt, int argc, sqlite3_value **argv)
{
    upsert *us = stmt_data(stmt, &upsert_hooks);
    conflict_clause *said;
    if (!us) {
        us = upsert_new((uint32_t)sqlite3_value_int64(argv[0]));
        if (!us)
            return no_memory();
        stmt_data_set(stmt, &upsert_hooks, us);
    }
    upsert_clause *uc = arena_alloc(&us->us_memory, sizeof *uc);
    if (!uc)
        return no_memory();
    int rc = conflict_clause_find(&bd->bd_clauses, argv + 1, &said);
    if (rc)
        return rc;
    *uc = (upsert_clause){.uc_said = said};
    if (us->us_last)
        us->us_last->uc_next = uc;
    else
        us->us_first = uc;
    us->us_last = uc;
    return add_parameters(&us->us_memory, uc, argc - 5, argv + 5);
}

void function_on_conflict(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = sqlite3_user_data(context);
    edb_stmt *stmt = bd->bd_conn ? conn_current(bd->bd_conn) : NULL;
    stmt = stmt ? stmt_target(stmt) : NULL;
    upsert *us = stmt ? stmt_data(stmt, &upsert_hooks) : NULL;
    int rc;
    if (!stmt || argc < 1)
        rc = edb_fail(EDB_MISUSE, "entitydb_on_conflict() is the driver's, before an INSERT");
    else if (us && sqlite3_value_type(argv[0]) == SQLITE_NULL)
        rc = add_parameters(&us->us_memory, us->us_last, argc - 1, argv + 1);
    else if (argc < 5)
        rc = edb_fail(EDB_MISUSE, "entitydb_on_conflict() wants five arguments and the parameters");
    else
        rc = add_clause(bd, stmt, argc, argv);
    if (rc)
        sqlite3_result_error(context, edb_message(), -1);
}

const upsert *upsert_of(edb_stmt *stmt, const edb_table *table)
{
    const upsert *us = stmt_data(stmt, &upsert_hooks);
    return us && us->us_table == table->et_id ? us : NULL;
}

bool upsert_updates(const upsert_clause *clause)
{
    return clause->uc_said->ccl_updates;
}

/* ---- which clause --------------------------------------------------------------------------------------------- */

typedef struct {                    /* a row that is about to be inserted */
    row_scratch *ur_scratch;
    edb_stmt *ur_stmt;
    const edb_table *ur_table;
    int64_t ur_rowid;
    bool ur_fresh;
    edb_value *ur_values;
} row;

static int hurts(const row *ur, const edb_index *index, bool *found, int64_t *other)
{
    *found = false;
    if (index ? !index->unique : ur->ur_fresh)
        return EDB_OK;
    return table_conflict(ur->ur_scratch, ur->ur_stmt, ur->ur_table, index, ur->ur_rowid, ur->ur_values, found, other);
}

/* SQLite makes the entries of all indexes, the youngest first, until one is in the way; so what fails on the way does. */
static int hurts_any(const row *ur, bool *found, int64_t *other)
{
    const edb_table *table = ur->ur_table;
    bool covered;
    int rc = hurts(ur, NULL, found, other);
    for (uint32_t i = table->et_n_indexes; !rc && !*found && i-- > 0;) {
        const edb_index *index = &table->et_indexes[i];
        rc = index->unique ? hurts(ur, index, found, other)
                           : evaluate_index(stmt_conn(ur->ur_stmt), table, index, NULL, ur->ur_rowid,
                                            &ur->ur_scratch->sw_computed, ur->ur_values, &covered);
    }
    return rc;
}

static int hurts_named(const row *ur, const conflict_clause *cl, bool *found, int64_t *other)
{
    int rc = EDB_OK;
    *found = false;
    for (uint32_t i = 0; !rc && !*found && i < cl->ccl_n_trees; i++) {
        const edb_index *index = cl->ccl_trees[i] ? table_index(ur->ur_table, cl->ccl_trees[i]) : NULL;
        if (cl->ccl_trees[i] && !index)
            return edb_fail(EDB_SCHEMA, "an index of table %s was dropped: prepare again", ur->ur_table->et_name);
        rc = hurts(ur, index, found, other);
    }
    return rc;
}

int upsert_find(const upsert *us, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                edb_value *values, upsert_clause **clause, int64_t *other)
{
    const row ur = {.ur_scratch = sw, .ur_stmt = stmt, .ur_table = table, .ur_rowid = rowid, .ur_fresh = fresh,
                    .ur_values = values};
    *clause = NULL;
    for (upsert_clause *uc = us->us_first; uc; uc = uc->uc_next) {
        bool found;
        int rc = uc->uc_said->ccl_any ? hurts_any(&ur, &found, other) : hurts_named(&ur, uc->uc_said, &found, other);
        if (rc)
            return rc;
        if (found) {
            *clause = uc;
            return EDB_OK;
        }
    }
    return EDB_OK;
}

/* ---- DO UPDATE ------------------------------------------------------------------------------------------------ */

void upsert_forget(vtab_entity *vt)
{
    while (vt->vt_upserts) {
        upsert_prepared *next = vt->vt_upserts->pu_next;
        prepared_free(vt->vt_upserts);
        vt->vt_upserts = next;
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* Do two clauses set the same, on the same condition? Which constraints they are for does not matter here. */
static bool same_expressions(const conflict_clause *a, const conflict_clause *b)
{
    return same_text(a->ccl_texts[CLAUSE_LIST], b->ccl_texts[CLAUSE_LIST])
           && same_text(a->ccl_texts[CLAUSE_TAIL], b->ccl_texts[CLAUSE_TAIL]);
}

/* Drops what was not used for longest, unless it is being evaluated. */
static void forget_oldest(vtab_entity *vt)
{
    upsert_prepared **at = &vt->vt_upserts;
    for (int i = 0; *at && i < PREPARED_MOST; i++)
        at = &(*at)->pu_next;
    if (*at && !(*at)->pu_running && !(*at)->pu_next) {
        prepared_free(*at);
        *at = NULL;
    }
}

static int prepare(vtab_entity *vt, upsert_clause *uc, upsert_prepared **out)
{
    conflict_clause *said = uc->uc_said;
    if ((*out = uc->uc_prepared))
        return EDB_OK;
    for (upsert_prepared **at = &vt->vt_upserts, *pu; (pu = *at); at = &pu->pu_next)
        if (same_expressions(pu->pu_said, said)) {
            *at = pu->pu_next;
            pu->pu_next = vt->vt_upserts;
            *out = vt->vt_upserts = pu;
            return EDB_OK;
        }
    upsert_prepared *pu = calloc(1, sizeof *pu);
    if (!pu)
        return no_memory();
    pu->pu_said = conflict_clause_ref(said);
    int rc = rowexpr_new(vt->vt_any.ay_binding->bd_db, vt->vt_table, vt->vt_table->et_name, true, said->ccl_texts[CLAUSE_LIST],
                         said->ccl_texts[CLAUSE_TAIL], &pu->pu_expressions);
    if (rc) {
        prepared_free(pu);
        return rc;
    }
    *out = pu;
    if (said->ccl_asks) {
        uc->uc_prepared = pu;
        return EDB_OK;
    }
    pu->pu_next = vt->vt_upserts;
    vt->vt_upserts = pu;
    forget_oldest(vt);
    return EDB_OK;
}

static int bind_parameters(const upsert_clause *uc, rowexpr *run)
{
    int number = 0;
    for (const clause_parameters *cp = uc->uc_first; cp; cp = cp->clp_next)
        for (uint32_t i = 0; i < cp->clp_n; i++) {
            int rc = rowexpr_bind(run, ++number, &cp->clp_values[i]);
            if (rc)
                return rc;
        }
    return EDB_OK;
}

/* Copies, since what the run shows ends with it. */
static int take_results(const vtab_entity *vt, value_scratch *vs, arena *memory, const conflict_clause *cl, rowexpr *run,
                        edb_value *results)
{
    int rc = EDB_OK;
    for (uint32_t i = 0; !rc && i < cl->ccl_n_sets; i++) {
        rc = value_convert(vs, rowexpr_value(run, (int)i), vt->vt_table->et_columns[cl->ccl_sets[i]].affinity,
                           &results[i]);
        if (!rc)
            rc = value_copy(memory, &results[i]);
    }
    return rc;
}

/* Subqueries see the rows that this INSERT has written so far: a statement of their own shows them. */
static int step(vtab_entity *vt, const upsert_clause *uc, rowexpr *run, bool *applies)
{
    const edb_stmt_options options = {.in_transaction = true};
    edb_conn *conn = vt->vt_any.ay_binding->bd_conn;
    edb_stmt *now;
    if (!uc->uc_said->ccl_asks)
        return rowexpr_step(run, applies);
    int rc = edb_stmt_begin(conn, &options, &now);
    if (rc)
        return rc;
    edb_stmt *before = edb_stmt_enter(now);
    rc = rowexpr_step(run, applies);
    edb_stmt_restore(conn, before);
    edb_stmt_end(now);
    return rc;
}

int upsert_evaluate(vtab_entity *vt, value_scratch *vs, arena *memory, upsert_clause *uc, const edb_value *old,
                    int64_t old_rowid, const edb_value *excluded, int64_t excluded_rowid, bool *applies,
                    edb_value *results)
{
    const rowexpr_row old_row = {.ro_values = old, .ro_rowid = old_rowid};
    const rowexpr_row new_row = {.ro_values = excluded, .ro_rowid = excluded_rowid};
    upsert_prepared *pu = NULL;
    rowexpr *run = NULL;
    int rc = prepare(vt, uc, &pu);
    if (!rc)
        rc = rowexpr_begin(pu->pu_expressions, &old_row, &new_row, &run);
    if (rc)
        return rc;
    pu->pu_running++;
    rc = bind_parameters(uc, run);
    if (!rc)
        rc = step(vt, uc, run, applies);
    if (!rc && *applies)
        rc = take_results(vt, vs, memory, uc->uc_said, run, results);
    rowexpr_end(run);
    pu->pu_running--;
    return rc;
}

uint32_t upsert_sets(const upsert_clause *clause, const uint32_t **columns)
{
    *columns = clause->uc_said->ccl_sets;
    return clause->uc_said->ccl_n_sets;
}
