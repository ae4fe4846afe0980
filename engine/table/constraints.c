/* Rules of tables: the book, CHECK, foreign keys and their actions (rules.h).
 *
 * Actions are row changes of the engine in their turn, one level deeper, with the indexes, CHECKs and foreign keys of
 * the child's table. Children are listed before the first one is changed. Order, as in SQLite: NOT NULL, CHECK, unique
 * keys, the change, then what follows from it. */
#include "engine/table/constraints.h"

#include <stdlib.h>
#include <string.h>

#include "engine/table/fkey.h"
#include "engine/eval/generate.h"
#include "engine/eval/partial.h"
#include "engine/eval/rowexpr.h"

enum { DEPTH_MOST = 1000 };         /* levels of actions, as SQLite's triggers */

typedef struct {
    edb_table *tr_table;            /* counted */
    rowexpr *tr_checks;             /* NOT (...) of each CHECK; NULL: none, or not needed yet */
    fk_link *tr_links;              /* its foreign keys, owned */
    fk_link **tr_children;          /* foreign keys that mean it */
    uint32_t tr_n_children;
    rowexpr **tr_defaults;          /* by column, for SET DEFAULT; made when first used */
} table_rules;

struct rule_book {
    uint64_t rb_schema;             /* the stmt_schema() it was made at */
    table_rules *rb_rules;          /* of all tables */
    size_t rb_n;
};

/* ---- the book ------------------------------------------------------------------------------------------------- */

static void book_free(rule_book *rb)
{
    if (!rb)
        return;
    for (size_t i = 0; i < rb->rb_n; i++) {
        table_rules *tr = &rb->rb_rules[i];
        rowexpr_free(tr->tr_checks);
        for (uint32_t k = 0; tr->tr_defaults && k < tr->tr_table->et_n_columns; k++)
            rowexpr_free(tr->tr_defaults[k]);
        for (uint32_t k = 0; tr->tr_links && k < tr->tr_table->et_n_fkeys; k++)
            fk_link_free(&tr->tr_links[k]);
        free(tr->tr_defaults);
        free(tr->tr_links);
        free(tr->tr_children);
        table_unref(tr->tr_table);
    }
    free(rb->rb_rules);
    free(rb);
}

static table_rules *book_find(const rule_book *rb, uint32_t id)
{
    size_t low = 0, high = rb->rb_n;            /* the catalog is read in order of ids */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rb->rb_rules[middle].tr_table->et_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rb->rb_n && rb->rb_rules[low].tr_table->et_id == id ? &rb->rb_rules[low] : NULL;
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the constraints of a table");
}

static int book_link(edb_stmt *stmt, const rule_book *rb, table_rules *tr)
{
    uint32_t n = tr->tr_table->et_n_fkeys;
    if (!n)
        return EDB_OK;
    tr->tr_links = calloc(n, sizeof *tr->tr_links);
    int rc = tr->tr_links ? EDB_OK : no_memory();
    for (uint32_t i = 0; !rc && i < n; i++) {
        rc = fk_link_make(stmt, tr->tr_table, i, &tr->tr_links[i]);
        const edb_table *parent = rc ? NULL : tr->tr_links[i].fl_parent;
        table_rules *of = parent ? book_find(rb, parent->et_id) : NULL;
        if (!of)
            continue;
        fk_link **children = realloc(of->tr_children, (of->tr_n_children + 1) * sizeof *children);
        if (!children)
            return no_memory();
        of->tr_children = children;
        children[of->tr_n_children++] = &tr->tr_links[i];
    }
    return rc;
}

static int book_make(edb_stmt *stmt, rule_book **out)
{
    edb_table **tables = NULL;
    size_t n = 0;
    int rc = catalog_tables(stmt, &tables, &n);
    if (rc)
        return rc;
    rule_book *rb = calloc(1, sizeof *rb);
    if (rb)
        rb->rb_rules = calloc(n ? n : 1, sizeof *rb->rb_rules);
    if (!rb || !rb->rb_rules) {
        while (n)
            table_unref(tables[--n]);
        free(tables);
        free(rb);
        return no_memory();
    }
    for (rb->rb_n = 0; rb->rb_n < n; rb->rb_n++)
        rb->rb_rules[rb->rb_n].tr_table = tables[rb->rb_n];
    free(tables);
    for (size_t i = 0; !rc && i < n; i++)
        rc = book_link(stmt, rb, &rb->rb_rules[i]);
    rb->rb_schema = stmt_schema(stmt);
    if (rc)
        book_free(rb);
    else
        *out = rb;
    return rc;
}

/* The table's rules; NULL: the catalog has no such table, which its own lookup has reported. */
static int rules_of(vtab_binding *bd, edb_stmt *stmt, const edb_table *table, table_rules **out)
{
    if (unlikely(!bd->bd_rules || bd->bd_rules->rb_schema != stmt_schema(stmt))) {
        rule_book *fresh = NULL;
        if (bd->bd_judging)
            return edb_fail(EDB_SCHEMA, "the schema was changed inside a change of table %s", table->et_name);
        int rc = book_make(stmt, &fresh);
        if (rc)
            return rc;
        book_free(bd->bd_rules);
        bd->bd_rules = fresh;
    }
    *out = book_find(bd->bd_rules, table->et_id);
    return EDB_OK;
}

void rules_connected(vtab_binding *bd)
{
    bd->bd_tables++;
}

void rules_disconnected(vtab_binding *bd)
{
    if (--bd->bd_tables)
        return;
    book_free(bd->bd_rules);
    bd->bd_rules = NULL;
    partial_forget(bd);
}

void rules_free(vtab_binding *bd)
{
    for (uint32_t i = 0; i < bd->bd_n_frames; i++) {
        row_scratch_free(bd->bd_frames[i]);
        free(bd->bd_frames[i]);
    }
    free(bd->bd_frames);
}

/* ---- CHECK ---------------------------------------------------------------------------------------------------- */

static int checks_prepare(vtab_binding *bd, table_rules *tr)
{
    const edb_table *table = tr->tr_table;
    sqlite3_str *list = sqlite3_str_new(bd->bd_db);
    for (uint32_t i = 0; i < table->et_n_rules; i++)
        sqlite3_str_appendf(list, "%sNOT (%s\n)", i ? ", " : "", table->et_rules[i].sql);
    char *text = sqlite3_str_finish(list);
    if (!text)
        return no_memory();
    int rc = rowexpr_new(bd->bd_db, table, table->et_name, false, text, NULL, &tr->tr_checks);
    sqlite3_free(text);
    return rc;
}

typedef struct {                    /* what the hooks of a scratch need */
    vtab_binding *hk_bd;
    table_rules *hk_rules;
} hooks;

static int judge_checks(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values)
{
    hooks *hk = arg;
    table_rules *tr = hk->hk_rules;
    const rowexpr_row row = { .ro_values = values, .ro_rowid = rowid };
    rowexpr *run;
    bool found;
    (void)stmt;
    int rc = tr->tr_checks ? EDB_OK : checks_prepare(hk->hk_bd, tr);
    if (!rc)
        rc = rowexpr_begin(tr->tr_checks, &row, NULL, &run);
    if (rc)
        return rc;
    rc = rowexpr_step(run, &found);
    for (uint32_t i = 0; !rc && i < table->et_n_rules; i++)
        if (sqlite3_value_int(rowexpr_value(run, (int)i)))
            rc = edb_fail(EDB_CHECK, "CHECK constraint failed: %s", table->et_rules[i].label);
    rowexpr_end(run);
    return rc;
}

/* ---- levels --------------------------------------------------------------------------------------------------- */

/* The scratch of one level deeper. */
static int level_enter(vtab_binding *bd, edb_stmt *stmt, const edb_table *table, row_scratch **out)
{
    if (bd->bd_depth >= DEPTH_MOST)
        return edb_fail(EDB_FKMISMATCH, "too many levels of trigger recursion");
    if (bd->bd_depth == bd->bd_n_frames) {
        row_scratch **frames = realloc(bd->bd_frames, (bd->bd_n_frames + 1) * sizeof *frames);
        if (frames)
            bd->bd_frames = frames;
        if (!frames || !(frames[bd->bd_n_frames] = calloc(1, sizeof **frames)))
            return no_memory();
        bd->bd_n_frames++;
    }
    row_scratch *rs = bd->bd_frames[bd->bd_depth];
    int rc = values_prepare(rs, table->et_n_columns);
    if (!rc)
        rc = scratch_prepare(&rs->rs_table, table, stmt_conn(stmt));
    if (rc)
        return rc;
    bd->bd_depth++;
    *out = rs;
    return EDB_OK;
}

static void level_leave(vtab_binding *bd, row_scratch *rs)
{
    values_drop(rs);
    bd->bd_depth--;
}

/* A row that REPLACE found in the way goes with all that follows from it. */
static int remove_row(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid)
{
    vtab_binding *bd = ((hooks *)arg)->hk_bd;
    row_scratch *rs;
    bool existed;
    int rc = level_enter(bd, stmt, table, &rs);
    if (rc)
        return rc;
    rc = rules_delete(bd, rs, stmt, table, rowid, &existed);
    level_leave(bd, rs);
    return rc;
}

/* ---- foreign keys --------------------------------------------------------------------------------------------- */

static bool fkeys_on(vtab_binding *bd)
{
    int on = 0;
    return !sqlite3_db_config(bd->bd_db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &on) && on;
}

/* SQLite keeps the flag and takes it back at COMMIT; there is no other way to read it. Asked on violations alone. */
static bool fkeys_deferred(vtab_binding *bd)
{
    sqlite3_stmt *ask;
    bool deferred = false;
    if (sqlite3_prepare_v2(bd->bd_db, "PRAGMA defer_foreign_keys", -1, &ask, NULL))
        return false;
    if (sqlite3_step(ask) == SQLITE_ROW)
        deferred = sqlite3_column_int(ask, 0);
    sqlite3_finalize(ask);
    return deferred;
}

/* Promises for a key that was touched; is it violated, then at once or at COMMIT. */
static int settle(vtab_binding *bd, edb_stmt *stmt, const fk_link *link, const edb_value *key)
{
    bool violated;
    int rc = fk_violated(stmt, link, key, &violated);
    if (rc)
        return rc;
    bool at_once = violated && !link->fl_key->deferred && !fkeys_deferred(bd);
    return fk_promise(stmt, link, key, violated ? FK_UNMET : FK_MET, at_once);
}

static int default_of(vtab_binding *bd, table_rules *tr, row_scratch *rs, uint32_t column, edb_value *out)
{
    const edb_table *table = tr->tr_table;
    const edb_column *c = &table->et_columns[column];
    const rowexpr_row none = { .ro_values = NULL };
    rowexpr *run;
    bool found;
    int rc = EDB_OK;
    out->type = VALUE_NULL;
    if (!c->has_default)
        return EDB_OK;
    if (!tr->tr_defaults && !(tr->tr_defaults = calloc(table->et_n_columns, sizeof *tr->tr_defaults)))
        return no_memory();
    if (!tr->tr_defaults[column]) {
        char *list = sqlite3_mprintf("(%s)", c->default_sql);
        rc = list ? rowexpr_new(bd->bd_db, table, table->et_name, false, list, NULL, &tr->tr_defaults[column])
                  : no_memory();
        sqlite3_free(list);
    }
    if (!rc)
        rc = rowexpr_begin(tr->tr_defaults[column], &none, NULL, &run);
    if (rc)
        return rc;
    rc = rowexpr_step(run, &found);
    sqlite3_value *copy = rc ? NULL : sqlite3_value_dup(rowexpr_value(run, 0));
    if (!rc)
        rc = copy ? value_hold(rs, copy) : no_memory();
    if (!rc)
        rc = value_convert(rs, copy, c->affinity, out);
    rowexpr_end(run);
    return rc;
}

/* SET NULL, SET DEFAULT, or CASCADE of an update to the parent's new key. */
static int change_child(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const fk_link *link, int64_t rowid,
                        int action, const edb_value *new_key, arena *memory)
{
    const edb_table *table = link->fl_child;
    const edb_fkey *key = link->fl_key;
    table_rules *tr;
    table_row old;
    bool found;
    int rc = rules_of(bd, stmt, table, &tr);
    if (!rc)
        rc = table_row_load(&rs->rs_table, stmt, table, rowid, &old, &found);
    if (rc || !found)
        return rc;
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        rs->rs_changed[i] = false;
        if (table->et_columns[i].computed)
            rs->rs_values[i].type = VALUE_NULL;
        else if ((rc = generate_column(stmt_conn(stmt), table, &old.tr_view, rowid, i, &rs->rs_table.ts_computed,
                                       &rs->rs_values[i])))
            return rc;
    }
    for (uint32_t i = 0; !rc && i < key->n_columns; i++) {
        edb_value *v = &rs->rs_values[key->columns[i]];
        if (table->et_columns[key->columns[i]].computed)
            return edb_fail(EDB_EXPRESSION, "cannot UPDATE generated column \"%s\"",
                            table->et_columns[key->columns[i]].name);
        rs->rs_changed[key->columns[i]] = true;
        if (action == FK_SET_NULL)
            v->type = VALUE_NULL;
        else if (action == FK_SET_DEFAULT)
            rc = default_of(bd, tr, rs, key->columns[i], v);
        else
            rc = fk_convert(&new_key[i], table->et_columns[key->columns[i]].affinity, memory, v);
    }
    int64_t new_rowid = rowid;
    if (!rc && table->et_rowid_column >= 0) {
        const edb_value *v = &rs->rs_values[table->et_rowid_column];
        if (v->type != VALUE_INTEGER)
            return edb_fail(EDB_MISMATCH, "datatype mismatch");
        new_rowid = v->integer;
        rs->rs_changed[table->et_rowid_column] = new_rowid != rowid;
    }
    if (!rc)
        rc = rules_update(bd, rs, stmt, table, &old, new_rowid, rs->rs_values, rs->rs_changed, false);
    if (!rc && new_rowid != rowid)
        txn_id_used(stmt, table->et_id, new_rowid);
    return rc;
}

static int act_on(vtab_binding *bd, edb_stmt *stmt, const fk_link *link, int64_t rowid, int action,
                  const edb_value *new_key, arena *memory)
{
    row_scratch *rs;
    bool existed;
    int rc = level_enter(bd, stmt, link->fl_child, &rs);
    if (rc)
        return rc;
    if (action == FK_CASCADE && !new_key)
        rc = rules_delete(bd, rs, stmt, link->fl_child, rowid, &existed);
    else
        rc = change_child(bd, rs, stmt, link, rowid, action, new_key, memory);
    level_leave(bd, rs);
    bd->bd_aborts |= rc != EDB_OK;
    return rc;
}

/* The parent's key is not there any more; new_key NULL: the row was deleted. */
static int key_gone(vtab_binding *bd, edb_stmt *stmt, const fk_link *link, const edb_value *key, int action,
                    const edb_value *new_key, arena *memory)
{
    int64_t *rowids = NULL;
    size_t n = 0;
    int rc = EDB_OK;
    if (action == FK_RESTRICT && fkeys_deferred(bd))
        action = FK_NO_ACTION;
    if (action != FK_NO_ACTION)
        rc = fk_children(stmt, link, key, action == FK_RESTRICT ? 1 : SIZE_MAX, &rowids, &n);
    if (!rc && n && action == FK_RESTRICT) {
        free(rowids);
        return edb_fail(EDB_FOREIGNKEY, "FOREIGN KEY constraint failed");
    }
    for (size_t i = 0; !rc && i < n; i++)
        rc = act_on(bd, stmt, link, rowids[i], action, new_key, memory);
    free(rowids);
    return rc ? rc : settle(bd, stmt, link, key);
}

/* ---- what a change touches ------------------------------------------------------------------------------------ */

typedef struct {                    /* a key to see to behind the change */
    const fk_link *to_link;
    edb_value *to_key, *to_new;     /* to_new: of the parent's new row; NULL: deleted, or the link's child changed */
    bool to_parent;                 /* the parent's key went; else the child's came */
} touched;

typedef struct {
    touched *ts_list;
    uint32_t ts_n;
    arena ts_memory;
} touched_list;

/* Bytes that the change may move are copied. */
static int keep_key(arena *memory, edb_value *key, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if ((key[i].type == VALUE_TEXT || key[i].type == VALUE_BLOB)
            && !(key[i].bytes = arena_copy(memory, key[i].bytes, key[i].size ? key[i].size : 1)))
            return no_memory();
    return EDB_OK;
}

static edb_value *key_room(touched_list *tl, const fk_link *link)
{
    return arena_alloc(&tl->ts_memory, link->fl_key->n_columns * sizeof(edb_value));
}

static int touched_begin(touched_list *tl, const table_rules *tr)
{
    size_t most = tr->tr_table->et_n_fkeys + tr->tr_n_children;
    tl->ts_n = 0;
    arena_init(&tl->ts_memory);
    tl->ts_list = arena_alloc(&tl->ts_memory, (most ? most : 1) * sizeof(touched));
    return tl->ts_list ? EDB_OK : no_memory();
}

/* Foreign keys of the row as a child. changed NULL: it is new. */
static int touch_as_child(touched_list *tl, const table_rules *tr, const edb_value *values, const bool *changed)
{
    for (uint32_t i = 0; i < tr->tr_table->et_n_fkeys; i++) {
        const fk_link *link = &tr->tr_links[i];
        bool modified = !changed, null = false;
        for (uint32_t k = 0; !modified && k < link->fl_key->n_columns; k++)
            modified = changed[link->fl_key->columns[k]];
        if (!modified)
            continue;
        if (!link->fl_whole)
            return fk_link_wrong(link);
        edb_value *key = key_room(tl, link);
        int rc = key ? fk_key_of_child(link, values, &tl->ts_memory, key, &null) : no_memory();
        if (!rc && !null)
            rc = keep_key(&tl->ts_memory, key, link->fl_key->n_columns);
        if (rc)
            return rc;
        if (!null)
            tl->ts_list[tl->ts_n++] = (touched){ .to_link = link, .to_key = key };
    }
    return EDB_OK;
}

static int parent_key(touched_list *tl, edb_stmt *stmt, const fk_link *link, const edb_table *table,
                      const row_view *view, int64_t rowid, edb_value **out, bool *null)
{
    edb_value *key = key_room(tl, link);
    if (!key)
        return no_memory();
    *null = false;
    for (uint32_t i = 0; i < link->fl_key->n_columns; i++) {
        int rc = generate_column(stmt_conn(stmt), table, view, rowid, link->fl_parent_columns[i], &tl->ts_memory,
                                 &key[i]);
        if (rc)
            return rc;
        *null |= key[i].type == VALUE_NULL;
    }
    *out = key;
    return keep_key(&tl->ts_memory, key, link->fl_key->n_columns);
}

/* Foreign keys that mean the row. values NULL: it is to be deleted. */
static int touch_as_parent(touched_list *tl, edb_stmt *stmt, const table_rules *tr, const table_row *old,
                           const edb_value *values, const bool *changed)
{
    const edb_table *table = tr->tr_table;
    for (uint32_t i = 0; i < tr->tr_n_children; i++) {
        const fk_link *link = tr->tr_children[i];
        edb_value *key = NULL, *new_key = NULL;
        bool null = false, same = false, modified = !values;
        if (link->fl_whole)
            for (uint32_t k = 0; !modified && k < link->fl_key->n_columns; k++)
                modified = changed[link->fl_parent_columns[k]];
        else
            modified = true;
        if (!modified)
            continue;
        if (!link->fl_whole)
            return fk_link_wrong(link);
        int rc = parent_key(tl, stmt, link, table, &old->tr_view, old->tr_rowid, &key, &null);
        if (!rc && !null && values) {
            if (!(new_key = key_room(tl, link)))
                return no_memory();
            for (uint32_t k = 0; k < link->fl_key->n_columns; k++)
                new_key[k] = values[link->fl_parent_columns[k]];
            rc = keep_key(&tl->ts_memory, new_key, link->fl_key->n_columns);
            if (!rc)
                rc = fk_key_same(link, key, new_key, &same);
        }
        if (rc)
            return rc;
        if (!null && !same)
            tl->ts_list[tl->ts_n++] = (touched){ .to_link = link, .to_key = key, .to_new = new_key,
                                                 .to_parent = true };
    }
    return EDB_OK;
}

static int see_to(vtab_binding *bd, edb_stmt *stmt, touched_list *tl)
{
    int rc = EDB_OK;
    for (uint32_t i = 0; !rc && i < tl->ts_n; i++) {
        const touched *to = &tl->ts_list[i];
        const edb_fkey *key = to->to_link->fl_key;
        bool exists = false;
        if (to->to_parent) {
            rc = key_gone(bd, stmt, to->to_link, to->to_key, to->to_new ? key->on_update : key->on_delete,
                          to->to_new, &tl->ts_memory);
            continue;
        }
        rc = fk_parent_exists(stmt, to->to_link, to->to_key, &exists);
        if (!rc)
            rc = exists ? fk_promise(stmt, to->to_link, to->to_key, FK_MET, false)
                        : settle(bd, stmt, to->to_link, to->to_key);
    }
    return rc;
}

/* ---- the three changes ---------------------------------------------------------------------------------------- */

static bool has_links(const table_rules *tr)
{
    return tr && (tr->tr_table->et_n_fkeys || tr->tr_n_children);
}

/* Lays the hooks into a scratch; they stay until hooks_off(). */
static void hooks_on(hooks *hk, row_scratch *rs, vtab_binding *bd, table_rules *tr)
{
    *hk = (hooks){ .hk_bd = bd, .hk_rules = tr };
    rs->rs_table.ts_arg = hk;
    rs->rs_table.ts_judge = tr && tr->tr_table->et_n_rules ? judge_checks : NULL;
    rs->rs_table.ts_remove = has_links(tr) && fkeys_on(bd) ? remove_row : NULL;
}

static void hooks_off(row_scratch *rs)
{
    rs->rs_table.ts_arg = NULL;
    rs->rs_table.ts_judge = NULL;
    rs->rs_table.ts_remove = NULL;
}

typedef struct {                    /* a row's insertion or update, from its first look to its last */
    uint64_t ch_mark;               /* what is undone when it fails */
    table_rules *ch_rules;
    hooks ch_hooks;
    touched_list ch_touched;        /* in use when ch_links */
    bool ch_links;                  /* the table has foreign keys to see to */
} row_change;

/* Sees to the foreign keys when nothing failed, undoes the change when something did. -> rc, or what seeing to them
 * found. */
static int change_end(row_change *ch, vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, int rc)
{
    if (!rc && ch->ch_links)
        rc = see_to(bd, stmt, &ch->ch_touched);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), ch->ch_mark);
    if (ch->ch_links)
        arena_free(&ch->ch_touched.ts_memory);
    bd->bd_judging -= ch->ch_links;
    hooks_off(rs);
    return rc;
}

/* On failure nothing is left to end. */
static int change_begin(row_change *ch, vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table)
{
    ch->ch_mark = txn_mark(stmt_conn(stmt));
    int rc = rules_of(bd, stmt, table, &ch->ch_rules);
    if (rc)
        return rc;
    ch->ch_links = has_links(ch->ch_rules) && fkeys_on(bd);
    hooks_on(&ch->ch_hooks, rs, bd, ch->ch_rules);
    if (ch->ch_links)
        rc = touched_begin(&ch->ch_touched, ch->ch_rules);
    bd->bd_judging += ch->ch_links;     /* the book must stay as it is */
    return rc ? change_end(ch, bd, rs, stmt, rc) : EDB_OK;
}

int rules_insert(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                 const edb_value *values, bool replace)
{
    row_change ch;
    int rc = change_begin(&ch, bd, rs, stmt, table);
    if (rc)
        return rc;
    if (ch.ch_links)
        rc = touch_as_child(&ch.ch_touched, ch.ch_rules, values, NULL);
    if (!rc)
        rc = table_insert(&rs->rs_table, stmt, table, rowid, fresh, values, replace);
    return change_end(&ch, bd, rs, stmt, rc);
}

int rules_judge(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                const edb_value *values)
{
    table_rules *tr;
    hooks hk;
    int rc = rules_of(bd, stmt, table, &tr);
    if (rc)
        return rc;
    hooks_on(&hk, rs, bd, tr);
    rc = table_judge(&rs->rs_table, stmt, table, rowid, values, false);
    hooks_off(rs);
    return rc;
}

int rules_update(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, const table_row *old,
                 int64_t rowid, edb_value *values, bool *changed, bool replace)
{
    row_change ch;
    int rc = EDB_OK;
    if (table->et_has_computed)
        rc = generate_changed(&rs->rs_table, stmt, table, old, rowid, values, changed);
    if (!rc)
        rc = change_begin(&ch, bd, rs, stmt, table);
    if (rc)
        return rc;
    if (ch.ch_links)
        rc = touch_as_child(&ch.ch_touched, ch.ch_rules, values, changed);
    if (!rc && ch.ch_links)
        rc = touch_as_parent(&ch.ch_touched, stmt, ch.ch_rules, old, values, changed);
    if (!rc)
        rc = table_update(&rs->rs_table, stmt, table, old, rowid, values, changed, replace);
    return change_end(&ch, bd, rs, stmt, rc);
}

int rules_delete(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                 bool *existed)
{
    uint64_t mark = txn_mark(stmt_conn(stmt));
    touched_list tl;
    table_rules *tr;
    table_row old;
    int rc = rules_of(bd, stmt, table, &tr);
    if (rc)
        return rc;
    if (!has_links(tr) || !fkeys_on(bd))
        return table_delete(&rs->rs_table, stmt, table, rowid, existed);
    rc = touched_begin(&tl, tr);
    bd->bd_judging++;
    for (uint32_t i = 0; !rc && i < table->et_n_fkeys; i++)
        if (!tr->tr_links[i].fl_whole)
            rc = fk_link_wrong(&tr->tr_links[i]);
    if (!rc && tr->tr_n_children) {
        rc = table_row_load(&rs->rs_table, stmt, table, rowid, &old, existed);
        if (!rc && *existed)
            rc = touch_as_parent(&tl, stmt, tr, &old, NULL, NULL);
    }
    if (!rc)
        rc = table_delete(&rs->rs_table, stmt, table, rowid, existed);
    if (!rc && *existed)
        rc = see_to(bd, stmt, &tl);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    arena_free(&tl.ts_memory);
    bd->bd_judging--;
    return rc;
}
