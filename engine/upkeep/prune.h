/* Letting history go: what edb_prune and the background upkeep share. */
#ifndef EDB_UPKEEP_PRUNE_H
#define EDB_UPKEEP_PRUNE_H

#include "engine/edb.h"
#include "engine/pager/pager.h"
#include "engine/txn/hooks.h"

/* Raises the horizon to a commit, as far as moments in use let it, and frees what answers for earlier ones alone. See edb_prune(). */
int prune_to(pager *pg, hooks_home *home, uint64_t horizon, uint64_t step_pages, edb_prune_fn progress, void *arg,
             edb_prune_result *out);

#endif
