/* A sorted run: writes of a transaction that did not fit in memory, in order of (tree, key, sequence descending).
 *
 * A run is written once, from nodes of a skip list, and then only read, through a map of its part of the file. The file belongs
 * to the write set, has no name and is gone with its descriptor. It never outlives the process, so its layout is
 * nobody else's business: entries (a run_head, key, value, padded to 8 bytes), then the offset of every entry. */
#ifndef EDB_WS_RUN_H
#define EDB_WS_RUN_H

#include <string.h>

#include "native/keycode.h"
#include "engine/txn/writeset.h"

typedef struct {                    /* the entries of one tree */
    uint32_t rt_tree;
    uint64_t rt_first, rt_end;      /* positions in the run, end excluded */
} run_tree;

typedef struct {
    uint8_t *rn_map;
    size_t rn_size;                 /* bytes mapped */
    const uint64_t *rn_offsets;     /* of each entry, in the map */
    uint64_t rn_count;              /* entries */
    run_tree *rn_trees;             /* ascending; owned */
    size_t rn_n_trees;
} ws_run;

typedef struct {                    /* the file that holds a write set's runs */
    int rf_fd;                      /* -1: none yet */
    uint64_t rf_end;                /* bytes written, a multiple of the machine's page size */
} run_file;

/* The next node of a run, in order; NULL behind the last. */
typedef const skip_node *(*run_next_fn)(void *arg);

/* Writes the nodes as a new run at the end of the file (opened here the first time). EDB_NOMEM, EDB_FULL, EDB_IO. */
int run_write(run_file *file, run_next_fn next, void *arg, ws_run **out);
void run_free(ws_run *run);
void run_file_close(run_file *file);

/* The tree's part of the run, NULL when it has none. */
const run_tree *run_find_tree(const ws_run *run, uint32_t tree);
/* Position of the first entry of the part whose key is >= key (or > key, when `after`); rt_end if there is none. */
uint64_t run_search(const ws_run *run, const run_tree *part, const void *key, size_t key_size, bool after);
void run_entry(const ws_run *run, uint64_t position, ws_entry *out);

#endif
