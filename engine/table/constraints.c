/* Row changes under foreign keys (constraints.h).
 *
 * Actions are row changes of the engine in their turn, one level deeper, with the indexes, CHECKs and foreign keys of
 * the child's table. Children are listed before the first one is changed. Order, as in SQLite: NOT NULL, CHECK, unique
 * keys, the change, then what follows from it. */
#include "engine/table/constraints.h"

#include <stdlib.h>

#include "engine/catalog/affinity.h"
#include "engine/eval/evaluator.h"
#include "engine/table/touched.h"

enum { DEPTH_MOST = 1000 };         /* levels of actions, as SQLite's triggers */

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the constraints of a table");
}

/* NULL: the catalog has no such table, which its own lookup has reported. */
static int constraints_of(constraints *cs, edb_stmt *stmt, const edb_table *table, table_constraints **out)
{
    if (__builtin_expect(!book_holds(cs->cs_book, stmt), 0)) {
        constraint_book *fresh = NULL;
        if (cs->cs_judging)
            return edb_fail(EDB_SCHEMA, "the schema was changed inside a change of table %s", table->et_name);
        int rc = book_make(stmt, &fresh);
        if (rc)
            return rc;
        book_free(cs->cs_book);
        cs->cs_book = fresh;
        met_forget(&cs->cs_met);
    }
    *out = book_find(cs->cs_book, table->et_id);
    return EDB_OK;
}

void constraints_free(constraints *cs)
{
    for (uint32_t i = 0; i < cs->cs_n_levels; i++) {
        scratch_free(cs->cs_levels[i]);
        free(cs->cs_levels[i]);
    }
    free(cs->cs_levels);
    book_free(cs->cs_book);
    met_free(&cs->cs_met);
    buffer_free(&cs->cs_name);
    *cs = (constraints){.cs_book = NULL};
}

/* ---- levels --------------------------------------------------------------------------------------------------- */

/* The scratch of one level deeper. */
static int level_enter(constraints *cs, edb_stmt *stmt, const edb_table *table, row_scratch **out)
{
    if (cs->cs_depth >= DEPTH_MOST)
        return edb_fail(EDB_FKMISMATCH, "too many levels of trigger recursion");
    if (cs->cs_depth == cs->cs_n_levels) {
        row_scratch **levels = realloc(cs->cs_levels, (cs->cs_n_levels + 1) * sizeof *levels);
        if (levels)
            cs->cs_levels = levels;
        if (!levels || !(levels[cs->cs_n_levels] = calloc(1, sizeof **levels)))
            return no_memory();
        cs->cs_n_levels++;
    }
    row_scratch *sw = cs->cs_levels[cs->cs_depth];
    int rc = scratch_prepare(sw, table, stmt_conn(stmt));
    if (rc)
        return rc;
    cs->cs_depth++;
    *out = sw;
    return EDB_OK;
}

static void level_leave(constraints *cs, row_scratch *sw)
{
    scratch_drop(sw);
    cs->cs_depth--;
}

/* A row that REPLACE found in the way goes with all that follows from it. */
static int remove_row(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid)
{
    constraints *cs = arg;
    row_scratch *sw;
    bool existed;
    int rc = level_enter(cs, stmt, table, &sw);
    if (rc)
        return rc;
    rc = constraints_delete(cs, sw, stmt, table, rowid, &existed);
    level_leave(cs, sw);
    return rc;
}

/* ---- foreign keys --------------------------------------------------------------------------------------------- */

/* Promises for a key that was touched; is it violated, then at once or at COMMIT. */
static int settle(edb_stmt *stmt, const fk_link *link, const edb_value *key)
{
    bool violated;
    int rc = fk_violated(stmt, link, key, &violated);
    if (rc)
        return rc;
    bool at_once = violated && !link->fl_key->deferred && !evaluate_setting(stmt_conn(stmt), SETTING_DEFER_FOREIGN_KEYS);
    return fk_promise(stmt, link, key, violated ? FK_UNMET : FK_MET, at_once);
}

/* SET NULL, SET DEFAULT, or CASCADE of an update to the parent's new key. */
static int change_child(constraints *cs, row_scratch *sw, edb_stmt *stmt, const fk_link *link, int64_t rowid,
                        int action, const edb_value *new_key, arena *memory)
{
    const edb_table *table = link->fl_child;
    const edb_fkey *key = link->fl_key;
    table_row old;
    bool found;
    int rc = table_row_load(sw, stmt, table, rowid, &old, &found);
    if (rc || !found)
        return rc;
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        sw->sw_changed[i] = false;
        if (table->et_columns[i].computed)
            sw->sw_values[i].type = VALUE_NULL;
        else if ((rc = evaluate_column(stmt_conn(stmt), table, &old.rd_view, rowid, i, &sw->sw_computed,
                                       &sw->sw_values[i])))
            return rc;
    }
    for (uint32_t i = 0; !rc && i < key->n_columns; i++) {
        edb_value *v = &sw->sw_values[key->columns[i]];
        if (table->et_columns[key->columns[i]].computed)
            return edb_fail(EDB_EXPRESSION, "cannot UPDATE generated column \"%s\"",
                            table->et_columns[key->columns[i]].name);
        sw->sw_changed[key->columns[i]] = true;
        if (action == FK_SET_NULL || (action == FK_SET_DEFAULT && !table->et_columns[key->columns[i]].has_default))
            v->type = VALUE_NULL;
        else if (action == FK_SET_DEFAULT)
            rc = evaluate_default(stmt_conn(stmt), table, key->columns[i], &sw->sw_computed, v);
        else
            rc = affinity_apply(&new_key[i], table->et_columns[key->columns[i]].affinity, memory, v);
    }
    int64_t new_rowid = rowid;
    if (!rc && table->et_rowid_column >= 0) {
        const edb_value *v = &sw->sw_values[table->et_rowid_column];
        if (v->type != VALUE_INTEGER)
            return edb_fail(EDB_MISMATCH, "datatype mismatch");
        new_rowid = v->integer;
        sw->sw_changed[table->et_rowid_column] = new_rowid != rowid;
    }
    if (!rc)
        rc = constraints_update(cs, sw, stmt, table, &old, new_rowid, sw->sw_values, sw->sw_changed, false);
    if (!rc && new_rowid != rowid)
        txn_id_used(stmt, table->et_id, new_rowid);
    return rc;
}

static int act_on(constraints *cs, edb_stmt *stmt, const fk_link *link, int64_t rowid, int action,
                  const edb_value *new_key, arena *memory)
{
    row_scratch *sw;
    bool existed;
    int rc = level_enter(cs, stmt, link->fl_child, &sw);
    if (rc)
        return rc;
    if (action == FK_CASCADE && !new_key)
        rc = constraints_delete(cs, sw, stmt, link->fl_child, rowid, &existed);
    else
        rc = change_child(cs, sw, stmt, link, rowid, action, new_key, memory);
    level_leave(cs, sw);
    cs->cs_aborts |= rc != EDB_OK;
    return rc;
}

/* The parent's key is not there any more; new_key NULL: the row was deleted. */
static int key_gone(constraints *cs, edb_stmt *stmt, const fk_link *link, const edb_value *key, int action,
                    const edb_value *new_key, arena *memory)
{
    int64_t *rowids = NULL;
    size_t n = 0;
    int rc = EDB_OK;
    if (action == FK_RESTRICT && evaluate_setting(stmt_conn(stmt), SETTING_DEFER_FOREIGN_KEYS))
        action = FK_NO_ACTION;
    if (action != FK_NO_ACTION)
        rc = fk_children(stmt, link, key, action == FK_RESTRICT ? 1 : SIZE_MAX, &rowids, &n);
    if (!rc && n && action == FK_RESTRICT) {
        free(rowids);
        return edb_fail(EDB_FOREIGNKEY, "FOREIGN KEY constraint failed");
    }
    for (size_t i = 0; !rc && i < n; i++)
        rc = act_on(cs, stmt, link, rowids[i], action, new_key, memory);
    free(rowids);
    return rc ? rc : settle(stmt, link, key);
}

static int see_to_child(constraints *cs, edb_stmt *stmt, const touched *to)
{
    bool exists = false;
    int rc = fk_promise_name(to->to_link, to->to_key, &cs->cs_name);
    if (rc || met_known(&cs->cs_met, cs->cs_name.bf_bytes, cs->cs_name.bf_size))
        return rc;
    rc = fk_parent_exists(stmt, to->to_link, to->to_key, &exists);
    if (rc || !exists)
        return rc ? rc : settle(stmt, to->to_link, to->to_key);
    rc = fk_promise(stmt, to->to_link, to->to_key, FK_MET, false);
    if (!rc)
        met_note(&cs->cs_met, cs->cs_name.bf_bytes, cs->cs_name.bf_size);
    return rc;
}

static int see_to(constraints *cs, edb_stmt *stmt, touched_list *tl)
{
    int rc = EDB_OK;
    if (tl->th_parents)
        met_forget(&cs->cs_met);
    for (uint32_t i = 0; !rc && i < tl->th_n; i++) {
        const touched *to = &tl->th_list[i];
        const edb_fkey *key = to->to_link->fl_key;
        if (!to->to_parent) {
            rc = see_to_child(cs, stmt, to);
            continue;
        }
        rc = key_gone(cs, stmt, to->to_link, to->to_key, to->to_new ? key->on_update : key->on_delete,
                      to->to_new, &tl->th_memory);
    }
    return rc;
}

/* ---- the three changes ---------------------------------------------------------------------------------------- */

static bool has_links(const table_constraints *cl)
{
    return cl && (cl->cl_table->et_n_fkeys || cl->cl_n_children);
}

/* Whether a change of the table's rows has to see to foreign keys. Where they are off, parents go unseen. */
static bool links_begin(constraints *cs, edb_stmt *stmt, const table_constraints *cl)
{
    if (!has_links(cl))
        return false;
    if (!evaluate_setting(stmt_conn(stmt), SETTING_FOREIGN_KEYS)) {
        met_forget(&cs->cs_met);
        return false;
    }
    met_begin(&cs->cs_met, stmt);
    return true;
}

typedef struct {                    /* a row's insertion or update, from its first look to its last */
    uint64_t rg_mark;               /* what is undone when it fails */
    table_constraints *rg_table;
    touched_list rg_touched;        /* in use when rg_links */
    bool rg_links;                  /* the table has foreign keys to see to */
} row_change;

/* Sees to the foreign keys when nothing failed, undoes the change when something did. -> rc, or what seeing to them
 * found. */
static int change_end(row_change *rg, constraints *cs, row_scratch *sw, edb_stmt *stmt, int rc)
{
    if (!rc && rg->rg_links)
        rc = see_to(cs, stmt, &rg->rg_touched);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), rg->rg_mark);
    if (rg->rg_links)
        touched_end(&rg->rg_touched);
    cs->cs_judging -= rg->rg_links;
    sw->sw_remove = NULL;
    return rc;
}

/* columns: those that change (column_bit). On failure nothing is left to end. */
static int change_begin(row_change *rg, constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table,
                        uint64_t columns)
{
    rg->rg_mark = txn_mark(stmt_conn(stmt));
    int rc = constraints_of(cs, stmt, table, &rg->rg_table);
    if (rc)
        return rc;
    rg->rg_links = rg->rg_table && rg->rg_table->cl_keyed & columns && links_begin(cs, stmt, rg->rg_table);
    sw->sw_arg = cs;
    /* Tags are compared with the old row behind what REPLACE removes, which must not lie where that was loaded. */
    sw->sw_remove = rg->rg_links || table->et_has_tags ? remove_row : NULL;
    if (rg->rg_links)
        touched_begin(&rg->rg_touched, rg->rg_table);
    cs->cs_judging += rg->rg_links;     /* the book must stay as it is */
    return EDB_OK;
}

enum { KEY_SMALL = 4 };             /* columns of a key that is looked at on the stack */

/* Whether all parents of a new row are known. Values that want conversion are left to touch_as_child(). */
static bool all_met(constraints *cs, const table_constraints *cl, const edb_value *values)
{
    edb_value key[KEY_SMALL];
    for (uint32_t i = 0; i < cl->cl_table->et_n_fkeys; i++) {
        const fk_link *link = &cl->cl_links[i];
        bool null = false;
        if (!link->fl_whole || !link->fl_same || link->fl_key->n_columns > KEY_SMALL)
            return false;
        for (uint32_t k = 0; k < link->fl_key->n_columns; k++) {
            key[k] = values[link->fl_key->columns[k]];
            null |= key[k].type == VALUE_NULL;
        }
        if (null)
            continue;
        if (fk_promise_name(link, key, &cs->cs_name)
            || !met_known(&cs->cs_met, cs->cs_name.bf_bytes, cs->cs_name.bf_size))
            return false;
    }
    return true;
}

int constraints_insert(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                       bool fresh, edb_value *values, bool replace)
{
    row_change rg;
    int rc = change_begin(&rg, cs, sw, stmt, table, UINT64_MAX);
    if (rc)
        return rc;
    /* What REPLACE removes may be a parent. */
    if (rg.rg_links && (replace || !all_met(cs, rg.rg_table, values)))
        rc = touch_as_child(&rg.rg_touched, rg.rg_table, values, NULL);
    if (!rc)
        rc = table_insert(sw, stmt, table, rowid, fresh, values, replace);
    return change_end(&rg, cs, sw, stmt, rc);
}

int constraints_update(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old,
                       int64_t rowid, edb_value *values, bool *changed, bool replace)
{
    row_change rg;
    int rc = EDB_OK;
    if (table->et_has_computed)
        rc = evaluate_changed(stmt_conn(stmt), table, &old->rd_view, old->rd_rowid, rowid, &sw->sw_computed, values,
                              changed);
    if (!rc)
        rc = change_begin(&rg, cs, sw, stmt, table, replace ? UINT64_MAX : columns_flagged(changed, table->et_n_columns));
    if (rc)
        return rc;
    if (rg.rg_links)
        rc = touch_as_child(&rg.rg_touched, rg.rg_table, values, changed);
    if (!rc && rg.rg_links)
        rc = touch_as_parent(&rg.rg_touched, stmt, rg.rg_table, old, values, changed);
    if (!rc)
        rc = table_update(sw, stmt, table, old, rowid, values, changed, replace);
    return change_end(&rg, cs, sw, stmt, rc);
}

int constraints_alone(constraints *cs, edb_stmt *stmt, const edb_table *table, const table_row *old, const bool *changed,
                      bool *out)
{
    table_constraints *cl;
    uint64_t columns = columns_flagged(changed, table->et_n_columns);
    int rc = constraints_of(cs, stmt, table, &cl);
    *out = !rc && cl && !(cl->cl_keyed & columns) && table_changes_alone(table, old, changed, columns);
    return rc;
}

int constraints_may_be_alone(constraints *cs, edb_stmt *stmt, const edb_table *table, const bool *changed, bool *out)
{
    table_constraints *cl;
    uint64_t columns = columns_flagged(changed, table->et_n_columns);
    int rc = constraints_of(cs, stmt, table, &cl);
    *out = !rc && cl && !(cl->cl_keyed & columns) && table_may_change_alone(table, columns);
    return rc;
}

int constraints_delete(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                       bool *existed)
{
    uint64_t mark = txn_mark(stmt_conn(stmt));
    touched_list tl;
    table_constraints *cl;
    table_row old;
    int rc = constraints_of(cs, stmt, table, &cl);
    if (rc)
        return rc;
    if (!links_begin(cs, stmt, cl))
        return table_delete(sw, stmt, table, rowid, existed);
    touched_begin(&tl, cl);
    cs->cs_judging++;
    for (uint32_t i = 0; !rc && i < table->et_n_fkeys; i++)
        if (!cl->cl_links[i].fl_whole)
            rc = fk_link_wrong(&cl->cl_links[i]);
    if (!rc && cl->cl_n_children) {
        rc = table_row_load(sw, stmt, table, rowid, &old, existed);
        if (!rc && *existed)
            rc = touch_as_parent(&tl, stmt, cl, &old, NULL, NULL);
    }
    if (!rc)
        rc = table_delete(sw, stmt, table, rowid, existed);
    if (!rc && *existed)
        rc = see_to(cs, stmt, &tl);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    touched_end(&tl);
    cs->cs_judging--;
    return rc;
}
