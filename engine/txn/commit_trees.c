/* The trees that a commit changes. See commit_trees.h. */
#include "engine/txn/commit_trees.h"

#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

void commit_trees_free(commit_trees *ct)
{
    free(ct->cmt_trees);
    ct->cmt_trees = NULL;
    ct->cmt_n = ct->cmt_room = 0;
}

static size_t tree_place(const commit_trees *ct, uint32_t id)
{
    size_t at = 0;

    while (at < ct->cmt_n && ct->cmt_trees[at].wn_state.ts_id < id)
        at++;
    return at;
}

static int tree_add(commit_trees *ct, const tree_state *state, written_tree **out)
{
    size_t at = tree_place(ct, state->ts_id);
    int rc = list_room((void **)&ct->cmt_trees, &ct->cmt_room, ct->cmt_n, sizeof *ct->cmt_trees);

    if (rc)
        return rc;
    memmove(ct->cmt_trees + at + 1, ct->cmt_trees + at, (ct->cmt_n - at) * sizeof *ct->cmt_trees);
    ct->cmt_trees[at] = (written_tree){ .wn_state = *state };
    ct->cmt_n++;
    *out = &ct->cmt_trees[at];
    return EDB_OK;
}

static int tree_load(commit_trees *ct, uint32_t id, tree_state *out)
{
    return tree_state_listed(ct->cmt_pager, &ct->cmt_list, id, out);
}

int commit_tree_make(commit_trees *ct, uint32_t id, uint8_t key_size, written_tree **out)
{
    tree_state state;
    int rc = tree_create(ct->cmt_commit, id, key_size, &state);

    if (!rc && !(rc = tree_add(ct, &state, out)))
        commit_tree_dirty(ct, *out);
    return rc;
}

int commit_tree(commit_trees *ct, uint32_t id, written_tree **out)
{
    size_t at = tree_place(ct, id);
    tree_state state;
    int rc;

    *out = NULL;
    if (at < ct->cmt_n && ct->cmt_trees[at].wn_state.ts_id == id) {
        *out = &ct->cmt_trees[at];
        return EDB_OK;
    }
    rc = tree_load(ct, id, &state);
    if (rc == EDB_NOSUCH)
        return EDB_OK;
    return rc ? rc : tree_add(ct, &state, out);
}

uint32_t commit_tree_free_id(const commit_trees *ct)
{
    uint64_t next = ct->cmt_list.ar_count;

    if (ct->cmt_n && ct->cmt_trees[ct->cmt_n - 1].wn_state.ts_id >= next)
        next = ct->cmt_trees[ct->cmt_n - 1].wn_state.ts_id + 1;
    return (uint32_t)next;
}

void commit_trees_content(commit_trees *ct, uint8_t out[SHA256_SIZE])
{
    sha256 whole;

    sha256_init(&whole);
    for (size_t i = 0; i < ct->cmt_n; i++)
        content_tree(&whole, ct->cmt_trees[i].wn_state.ts_id, &ct->cmt_trees[i].wn_content);
    sha256_end(&whole, out);
}

/* ---- states ------------------------------------------------------------------------------------------------------- */

enum { STATES_RUN = 16 };           /* states stored at once */

typedef struct {                    /* a run of neighbouring elements of the list of trees */
    uint64_t ru_first;
    size_t ru_n;
    uint8_t ru_bytes[STATES_RUN * TREE_STATE_SIZE];
} state_run;

static int run_store(commit_trees *ct, state_run *run)
{
    int rc = EDB_OK;

    if (run->ru_n)
        rc = array_set(ct->cmt_commit, &ct->cmt_list, 0, TREE_STATE_SIZE, run->ru_first, run->ru_bytes, run->ru_n);
    run->ru_first += run->ru_n;
    run->ru_n = 0;
    return rc;
}

/* NULL: a tree that does not exist. */
static int run_add(commit_trees *ct, state_run *run, uint64_t id, const tree_state *state)
{
    uint8_t *element;
    int rc;

    if ((id != run->ru_first + run->ru_n || run->ru_n == STATES_RUN) && (rc = run_store(ct, run)))
        return rc;
    if (!run->ru_n)
        run->ru_first = id;
    element = run->ru_bytes + TREE_STATE_SIZE * run->ru_n++;
    memset(element, 0, TREE_STATE_SIZE);
    if (state)
        tree_state_store(element, state);
    return EDB_OK;
}

/* Ids that nobody got (a tree made and rolled back) become trees that do not exist. */
int commit_trees_store(commit_trees *ct)
{
    state_run run = { .ru_n = 0 };
    uint64_t end = ct->cmt_list.ar_count;
    int rc = EDB_OK;

    for (size_t i = 0; i < ct->cmt_n && !rc; i++) {
        const written_tree *tree = &ct->cmt_trees[i];
        if (!tree->wn_dirty)
            continue;
        for (; end < tree->wn_state.ts_id && !rc; end++)
            rc = run_add(ct, &run, end, NULL);
        if (!rc)
            rc = run_add(ct, &run, tree->wn_state.ts_id, &tree->wn_state);
        end += end == tree->wn_state.ts_id;
    }
    if (!rc)
        rc = run_store(ct, &run);
    for (size_t i = 0; i < ct->cmt_n && !rc; i++)
        ct->cmt_trees[i].wn_dirty = false;
    return rc;
}

/* ---- to the file ---------------------------------------------------------------------------------------------------- */

static int element_store(pager_commit *pc, uint64_t index, uint8_t *element)
{
    tree_state state;

    if (!load64(element))
        return EDB_OK;              /* no tree */
    tree_state_load(&state, (uint32_t)index, element);
    int rc = tree_store(pc, &state);
    tree_state_store(element, &state);
    return rc;
}

int commit_trees_to_file(commit_trees *ct)
{
    int rc = commit_trees_store(ct);

    if (!rc)
        rc = pager_store_begin(ct->cmt_commit);
    if (!rc)
        rc = array_store(ct->cmt_commit, &ct->cmt_list, TREE_STATE_SIZE, element_store);
    if (!rc)
        rc = tree_store_history(ct->cmt_commit);
    for (size_t i = 0; !rc && i < ct->cmt_n; i++)
        rc = tree_load(ct, ct->cmt_trees[i].wn_state.ts_id, &ct->cmt_trees[i].wn_state);
    return rc;
}
