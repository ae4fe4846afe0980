/* Packing history: what edb_pack and the background upkeep share. */
#ifndef EDB_UPKEEP_PACK_H
#define EDB_UPKEEP_PACK_H

#include <stdatomic.h>

#include "engine/edb.h"
#include "engine/pager/pager.h"
#include "engine/txn/hooks.h"

#define PACK_WINDOW 256             /* cold ids that are packed at once at first */

/* Asked after each window: whether to stop. at, end: ids looked at, and how many there are. */
typedef bool (*pack_pace)(void *arg, uint64_t at, uint64_t end);

typedef struct {
    uint32_t prn_least;             /* where fewer ids stand together that are not packed, they stay so; at least 1 */
    pack_pace prn_pace;             /* NULL: never stop */
    void *prn_arg;
    const atomic_bool *prn_stop;    /* NULL, or: once true, it ends soon, with EDB_INTERRUPT */
} pack_run;

/* Packs windows from id *index on, which is raised to what it has not come to. EDB_CANNOT: there is no zstd. */
int pack_from(pager *pg, hooks_home *home, const pack_run *run, uint64_t *index, edb_pack_result *out);

#endif
