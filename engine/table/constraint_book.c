/* The book of constraints (constraint_book.h). */
#include "engine/table/constraint_book.h"

#include <stdlib.h>

struct constraint_book {
    uint64_t cb_schema;             /* the stmt_schema() it was made at */
    table_constraints *cb_tables;   /* of all tables, by id */
    size_t cb_n;
};

void book_free(constraint_book *cb)
{
    if (!cb)
        return;
    for (size_t i = 0; i < cb->cb_n; i++) {
        table_constraints *cl = &cb->cb_tables[i];
        for (uint32_t k = 0; cl->cl_links && k < cl->cl_table->et_n_fkeys; k++)
            fk_link_free(&cl->cl_links[k]);
        free(cl->cl_links);
        free(cl->cl_children);
        table_unref(cl->cl_table);
    }
    free(cb->cb_tables);
    free(cb);
}

table_constraints *book_find(const constraint_book *cb, uint32_t id)
{
    size_t low = 0, high = cb->cb_n;            /* the catalog is read in order of ids */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cb->cb_tables[middle].cl_table->et_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cb->cb_n && cb->cb_tables[low].cl_table->et_id == id ? &cb->cb_tables[low] : NULL;
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the constraints of a table");
}

static int book_link(edb_stmt *stmt, const constraint_book *cb, table_constraints *cl)
{
    uint32_t n = cl->cl_table->et_n_fkeys;
    if (!n)
        return EDB_OK;
    cl->cl_links = calloc(n, sizeof *cl->cl_links);
    int rc = cl->cl_links ? EDB_OK : no_memory();
    for (uint32_t i = 0; !rc && i < n; i++) {
        rc = fk_link_make(stmt, cl->cl_table, i, &cl->cl_links[i]);
        const edb_table *parent = rc ? NULL : cl->cl_links[i].fl_parent;
        table_constraints *of = parent ? book_find(cb, parent->et_id) : NULL;
        if (!of)
            continue;
        fk_link **children = realloc(of->cl_children, (of->cl_n_children + 1) * sizeof *children);
        if (!children)
            return no_memory();
        of->cl_children = children;
        children[of->cl_n_children++] = &cl->cl_links[i];
    }
    return rc;
}

static uint64_t link_columns(const fk_link *link, const uint32_t *columns)
{
    uint64_t found = link->fl_whole ? 0 : UINT64_MAX;
    for (uint32_t i = 0; link->fl_whole && i < link->fl_key->n_columns; i++)
        found |= column_bit(columns[i]);
    return found;
}

static void note_keyed(table_constraints *cl)
{
    for (uint32_t i = 0; i < cl->cl_table->et_n_fkeys; i++)
        cl->cl_keyed |= link_columns(&cl->cl_links[i], cl->cl_links[i].fl_key->columns);
    for (uint32_t i = 0; i < cl->cl_n_children; i++)
        cl->cl_keyed |= link_columns(cl->cl_children[i], cl->cl_children[i]->fl_parent_columns);
}

int book_make(edb_stmt *stmt, constraint_book **out)
{
    edb_table **tables = NULL;
    size_t n = 0;
    int rc = catalog_tables(stmt, &tables, &n);
    if (rc)
        return rc;
    constraint_book *cb = calloc(1, sizeof *cb);
    if (cb)
        cb->cb_tables = calloc(n ? n : 1, sizeof *cb->cb_tables);
    if (!cb || !cb->cb_tables) {
        while (n)
            table_unref(tables[--n]);
        free(tables);
        free(cb);
        return no_memory();
    }
    for (cb->cb_n = 0; cb->cb_n < n; cb->cb_n++)
        cb->cb_tables[cb->cb_n].cl_table = tables[cb->cb_n];
    free(tables);
    for (size_t i = 0; !rc && i < n; i++)
        rc = book_link(stmt, cb, &cb->cb_tables[i]);
    for (size_t i = 0; !rc && i < n; i++)
        note_keyed(&cb->cb_tables[i]);
    cb->cb_schema = stmt_schema(stmt);
    if (rc)
        book_free(cb);
    else
        *out = cb;
    return rc;
}

bool book_holds(const constraint_book *cb, edb_stmt *stmt)
{
    return cb && cb->cb_schema == stmt_schema(stmt);
}
