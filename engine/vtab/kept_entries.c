/* Entries of indexes that belong to a statement.
 *
 * SQLite opens the cursors of a correlated subquery anew for each row of the outer query. What was computed for one of
 * them must serve the next, so it is kept on the statement and ends with it:
 *
 *   - the entries, at the statement's moment, of an index that was made later
 *   - automatic indexes
 *
 * An automatic index is made for equalities with columns that the walked tree does not lead to. Nobody knows beforehand
 * how often a walk will be made, so the walks pay first: when they have visited as many entries as the table has rows,
 * the index is made, which costs about as much again. So its price is never more than a fixed multiple of the best that
 * could have been done (the ski-rental rule). From then on the way is taken that has visited fewer entries for each walk:
 * a walk with narrow bounds may be short, and a value may have many entries in the index.
 *
 * Entries are of one table as a statement sees it at one time; where a statement sees its own writes as they come
 * (STMT_SEES_ALL) none are kept. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/hooks.h"
#include "engine/vtab/vtab.h"

typedef struct {                    /* walks of one way */
    uint64_t wk_walks, wk_entries;  /* how many; entries that they visited */
} walks;

struct kept_entries {
    kept_entries *kp_next;
    const edb_table *kp_table;      /* counted */
    uint64_t kp_sees;
    private_entries *kp_entries;    /* owned; NULL: not made yet */
    uint32_t kp_tree;               /* of the index; 0: automatic */
    /* an automatic index */
    char *kp_plan;                  /* owned; the plan it is for, and idxNum's tree: kp_base */
    uint32_t kp_base;
    uint64_t kp_enough;             /* entries visited that are worth an index */
    walks kp_without, kp_with;
    edb_index kp_index;
    edb_index_part kp_parts[];
};

typedef struct {                    /* what a statement keeps */
    kept_entries *kx_first;
} kept_book;

static void kept_drop(kept_entries *kp)
{
    private_unref(kp->kp_entries);
    table_unref(kp->kp_table);
    free(kp->kp_plan);
    free(kp);
}

static void kept_free(void *data)
{
    kept_book *book = data;
    for (kept_entries *kp = book->kx_first, *next; kp; kp = next) {
        next = kp->kp_next;
        kept_drop(kp);
    }
    free(book);
}

static txn_hooks kept_hooks = {.hk_name = "kept entries", .hk_stmt_free = kept_free};

__attribute__((constructor)) static void kept_register(void)
{
    hooks_register(&kept_hooks);
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the index that a statement makes");
}

/* What was made for an earlier run of the statement, whose cursors are closed. */
static void drop_earlier(kept_book *book, uint64_t sees)
{
    for (kept_entries **at = &book->kx_first, *kp; (kp = *at);) {
        if (kp->kp_sees == sees) {
            at = &kp->kp_next;
        } else {
            *at = kp->kp_next;
            kept_drop(kp);
        }
    }
}

static kept_entries *kept_new(edb_stmt *stmt, const edb_table *table, uint32_t parts)
{
    kept_book *book = stmt_data(stmt, &kept_hooks);
    if (!book) {
        book = calloc(1, sizeof *book);
        if (!book)
            return NULL;
        stmt_data_set(stmt, &kept_hooks, book);
    }
    drop_earlier(book, stmt_sees(stmt));
    kept_entries *kp = calloc(1, sizeof *kp + parts * sizeof kp->kp_parts[0]);
    if (!kp)
        return NULL;
    kp->kp_table = table_ref(table);
    kp->kp_sees = stmt_sees(stmt);
    kp->kp_next = book->kx_first;
    book->kx_first = kp;
    return kp;
}

static kept_entries *kept_first(edb_stmt *stmt)
{
    const kept_book *book = stmt_data(stmt, &kept_hooks);
    return book ? book->kx_first : NULL;
}

static bool is_of(const kept_entries *kp, const edb_stmt *stmt, const edb_table *table, uint32_t tree)
{
    return kp->kp_tree == tree && kp->kp_table == table && kp->kp_sees == stmt_sees(stmt);
}

/* ---- indexes made later --------------------------------------------------------------------------------------- */

int kept_late(edb_stmt *stmt, const edb_table *table, const edb_index *index, private_entries **out)
{
    kept_entries *kp = kept_first(stmt);
    while (kp && !is_of(kp, stmt, table, index->tree))
        kp = kp->kp_next;
    if (!kp) {
        kp = kept_new(stmt, table, 0);
        if (!kp)
            return no_memory();
        kp->kp_tree = index->tree;
    }
    int rc = kp->kp_entries ? EDB_OK : entries_from_table(stmt, table, index, &kp->kp_entries);
    *out = kp->kp_entries;
    return rc;
}

/* ---- automatic indexes ---------------------------------------------------------------------------------------- */

/* As many entries as the table has rows, nearly: the rows are counted as of now, and at a moment when there were a few
 * less one walk of the whole table is enough, too. */
#define WORTH 0.85

/* The parts of the base that equalities bind, the columns of the tail, and the other parts, for the order. */
static void fill_parts(kept_entries *kp, const edb_index *base, const char *plan, int arguments)
{
    const char *column = plan_section(plan, arguments, "/a");
    edb_index_part *to = kp->kp_parts;
    uint32_t equal = 0;
    for (const char *step = plan + PLAN_HEAD; plan_is_equality(step[STEP_OP]); step += PLAN_STEP)
        *to++ = base->parts[equal++];
    for (; *column != '/' && *column != '|'; column += 5)
        *to++ = (edb_index_part){.column = plan_number(column, 4), .collation = (uint8_t)(column[4] - '0')};
    for (uint32_t part = equal; base && plan[PLAN_ORDERED] != '-' && part < base->n_parts; part++)
        *to++ = base->parts[part];
    kp->kp_index = (edb_index){.tree = UINT32_MAX, .name = (char *)"(automatic)", .parts = kp->kp_parts,
                               .n_parts = (uint32_t)(to - kp->kp_parts)};
}

/* What the base leads to by the row id behind its parts, or the table by its row id, is quick enough. */
static bool may_be_made(const edb_index *base, const char *plan)
{
    uint32_t equal = 0;
    for (const char *step = plan + PLAN_HEAD; plan_is_equality(step[STEP_OP]); step += PLAN_STEP)
        equal++;
    return base ? equal <= base->n_parts : !equal;
}

static uint32_t base_parts(const edb_index *base)
{
    return base ? base->n_parts : 0;
}

int kept_automatic(edb_stmt *stmt, const edb_table *table, const edb_index *base, const char *plan, int arguments,
                   kept_entries **out)
{
    uint32_t tree = base ? base->tree : 0;
    kept_entries *kp = kept_first(stmt);
    *out = NULL;
    if (stmt_sees(stmt) == STMT_SEES_ALL || !may_be_made(base, plan))
        return EDB_OK;
    while (kp && !(is_of(kp, stmt, table, 0) && kp->kp_base == tree && !strcmp(kp->kp_plan, plan)))
        kp = kp->kp_next;
    if (!kp) {
        char *copy = strdup(plan);
        kp = copy ? kept_new(stmt, table, base_parts(base) + AUTOMATIC_COLUMNS) : NULL;
        if (!kp) {
            free(copy);
            return no_memory();
        }
        kp->kp_plan = copy;
        kp->kp_base = tree;
        kp->kp_enough = (uint64_t)(WORTH * (double)conn_tree_rows(stmt_conn(stmt), table->et_id));
        fill_parts(kp, base, plan, arguments);
    }
    *out = kp;
    return EDB_OK;
}

/* The worse way is tried again now and then, for a fraction of what the better one costs: values differ. */
#define TRIED_AGAIN 4

static bool is_better_with(const kept_entries *kp)
{
    const walks *with = &kp->kp_with, *without = &kp->kp_without;
    return (double)with->wk_entries * (double)without->wk_walks <= (double)without->wk_entries * (double)with->wk_walks
           || with->wk_entries < without->wk_entries / TRIED_AGAIN;
}

int kept_wanted(kept_entries *kp, edb_stmt *stmt, bool eager, private_entries **entries, const edb_index **index)
{
    int rc = EDB_OK;
    if (!kp->kp_entries && (eager || kp->kp_without.wk_entries > kp->kp_enough))
        rc = entries_from_table(stmt, kp->kp_table, &kp->kp_index, &kp->kp_entries);
    *entries = eager || is_better_with(kp) ? kp->kp_entries : NULL;
    if (*entries)
        *index = &kp->kp_index;
    return rc;
}

void kept_walked(kept_entries *kp, bool with_index, uint64_t visited)
{
    walks *wk = with_index ? &kp->kp_with : &kp->kp_without;
    wk->wk_walks++;
    wk->wk_entries += visited;
}
