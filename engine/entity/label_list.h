/* The labels of a range of commits, found by commit.
 *
 * The tree of labels is keyed by text. Which label a commit has is found by a walk over all labels and back through their
 * versions, once for all commits of the range. */
#ifndef EDB_LABEL_LIST_H
#define EDB_LABEL_LIST_H

#include "native/arena.h"
#include "engine/txn/txn.h"

typedef struct {
    uint64_t clb_number, clb_place;   /* the commit, and the order of its labels */
    const char *clb_text;
    uint32_t clb_size;
} commit_label;

typedef struct {
    arena ll_texts;
    commit_label *ll_items;         /* ascending by commit and place; owned */
    size_t ll_n, ll_room;
    size_t ll_walked;               /* labels that were met to find them */
} label_list;

void label_list_init(label_list *list);
void label_list_free(label_list *list);
/* Those given by commits from `low` to `high`, which the statement can see. */
int label_list_fill(label_list *list, edb_stmt *stmt, uint64_t low, uint64_t high);
/* The label that a commit was given last; NULL: it has none. */
const commit_label *label_list_newest(const label_list *list, uint64_t number);

#endif
