/* Keys that a row change touches (touched.h). */
#include "engine/table/touched.h"

#include "engine/eval/evaluator.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the constraints of a table");
}

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
    return arena_alloc(&tl->th_memory, link->fl_key->n_columns * sizeof(edb_value));
}

void touched_begin(touched_list *tl, const table_constraints *cl)
{
    tl->th_list = NULL;
    tl->th_n = tl->th_parents = 0;
    tl->th_most = cl->cl_table->et_n_fkeys + cl->cl_n_children;
    arena_init(&tl->th_memory);
}

static int note(touched_list *tl, const fk_link *link, edb_value *key, edb_value *new_key, bool parent)
{
    if (!tl->th_list && !(tl->th_list = arena_alloc(&tl->th_memory, tl->th_most * sizeof(touched))))
        return no_memory();
    tl->th_list[tl->th_n++] = (touched){ .to_link = link, .to_key = key, .to_new = new_key, .to_parent = parent };
    tl->th_parents += parent;
    return EDB_OK;
}

int touch_as_child(touched_list *tl, const table_constraints *cl, const edb_value *values, const bool *changed)
{
    for (uint32_t i = 0; i < cl->cl_table->et_n_fkeys; i++) {
        const fk_link *link = &cl->cl_links[i];
        bool modified = !changed, null = false;
        for (uint32_t k = 0; !modified && k < link->fl_key->n_columns; k++)
            modified = changed[link->fl_key->columns[k]];
        if (!modified)
            continue;
        if (!link->fl_whole)
            return fk_link_wrong(link);
        edb_value *key = key_room(tl, link);
        int rc = key ? fk_key_of_child(link, values, &tl->th_memory, key, &null) : no_memory();
        if (!rc && !null)
            rc = keep_key(&tl->th_memory, key, link->fl_key->n_columns);
        if (!rc && !null)
            rc = note(tl, link, key, NULL, false);
        if (rc)
            return rc;
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
        int rc = evaluate_column(stmt_conn(stmt), table, view, rowid, link->fl_parent_columns[i], &tl->th_memory,
                                 &key[i]);
        if (rc)
            return rc;
        *null |= key[i].type == VALUE_NULL;
    }
    *out = key;
    return keep_key(&tl->th_memory, key, link->fl_key->n_columns);
}

int touch_as_parent(touched_list *tl, edb_stmt *stmt, const table_constraints *cl, const table_row *old,
                           const edb_value *values, const bool *changed)
{
    const edb_table *table = cl->cl_table;
    for (uint32_t i = 0; i < cl->cl_n_children; i++) {
        const fk_link *link = cl->cl_children[i];
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
        int rc = parent_key(tl, stmt, link, table, &old->rd_view, old->rd_rowid, &key, &null);
        if (!rc && !null && values) {
            if (!(new_key = key_room(tl, link)))
                return no_memory();
            for (uint32_t k = 0; k < link->fl_key->n_columns; k++)
                new_key[k] = values[link->fl_parent_columns[k]];
            rc = keep_key(&tl->th_memory, new_key, link->fl_key->n_columns);
            if (!rc)
                rc = fk_key_same(link, key, new_key, &same);
        }
        if (!rc && !null && !same)
            rc = note(tl, link, key, new_key, true);
        if (rc)
            return rc;
    }
    return EDB_OK;
}

void touched_end(touched_list *tl)
{
    arena_free(&tl->th_memory);
}
