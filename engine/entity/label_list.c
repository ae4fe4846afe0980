/* The labels of a range of commits (label_list.h). */
#include "engine/entity/label_list.h"

#include <stdlib.h>

#include "engine/entity/labels.h"
#include "engine/txn/txn_internal.h"

void label_list_init(label_list *list)
{
    *list = (label_list){ .ll_items = NULL };
    arena_init(&list->ll_texts);
}

void label_list_free(label_list *list)
{
    arena_free(&list->ll_texts);
    free(list->ll_items);
    list->ll_items = NULL;
    list->ll_n = list->ll_room = list->ll_walked = 0;
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the labels of commits");
}

/* text: in the arena. */
static int add(label_list *list, const tree_version *version, const char *text)
{
    const edb_entry entry = { .key_size = version->key_size, .value = version->value, .value_size = version->value_size,
                              .overflow = version->overflow };
    uint64_t place;
    int rc = label_place(&entry, &place);

    if (rc)
        return rc;
    if (list->ll_n == list->ll_room) {
        size_t room = 2 * list->ll_room + 16;
        commit_label *items = realloc(list->ll_items, room * sizeof *items);
        if (!items)
            return no_memory();
        list->ll_items = items;
        list->ll_room = room;
    }
    list->ll_items[list->ll_n++] = (commit_label){ version->from, place, text, version->key_size };
    return EDB_OK;
}

/* The versions of one label, back from the newest at or before `high`. */
static int add_versions(label_list *list, edb_stmt *stmt, const tree_state *state, const tree_version *newest, uint64_t low)
{
    tree_version version = *newest;
    bool found = true;
    const char *text;
    int rc = EDB_OK;

    if (version.from < low)
        return EDB_OK;
    if (!(text = arena_copy(&list->ll_texts, version.key, version.key_size)))
        return no_memory();
    for (uint64_t begun = version.from; !rc && found && begun >= low; ) {
        rc = add(list, &version, text);
        if (!rc && conn_interrupted(stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading labels was interrupted");
        if (!rc)
            rc = tree_version_at(stmt->st_conn->cn_pager, state, begun - 1, newest->key, newest->key_size, &version, &found,
                                 &begun);
        version.from = begun;
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    const commit_label *x = a, *y = b;

    if (x->clb_number != y->clb_number)
        return x->clb_number < y->clb_number ? -1 : 1;
    return x->clb_place < y->clb_place ? -1 : x->clb_place > y->clb_place;
}

int label_list_fill(label_list *list, edb_stmt *stmt, uint64_t low, uint64_t high)
{
    const tree_state *known;
    tree_state state;
    tree_cursor tc;
    uint32_t tree;
    int rc = labels_tree(stmt, &tree);

    if (rc || !tree || (rc = stmt_tree(stmt, tree, &known)) || !known || known->ts_born > high)
        return rc;
    state = *known;                 /* valid until the next question */
    if ((rc = tree_cursor_open(&tc, stmt->st_conn->cn_pager, &state, high)))
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = tree_cursor_next(&tc), list->ll_walked++)
        if ((rc = add_versions(list, stmt, &state, &tc.tc_at, low > state.ts_born ? low : state.ts_born)))
            break;
    tree_cursor_close(&tc);
    if (list->ll_n)
        qsort(list->ll_items, list->ll_n, sizeof *list->ll_items, compare);
    return rc;
}

const commit_label *label_list_newest(const label_list *list, uint64_t number)
{
    size_t low = 0, high = list->ll_n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list->ll_items[middle].clb_number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low && list->ll_items[low - 1].clb_number == number ? &list->ll_items[low - 1] : NULL;
}
