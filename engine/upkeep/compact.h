/* Giving the end of the file back: what edb_compact and the background upkeep share. */
#ifndef EDB_UPKEEP_COMPACT_H
#define EDB_UPKEEP_COMPACT_H

#include "engine/edb.h"
#include "engine/pager/pager.h"

/* As edb_compact(), but that nothing is packed. wipes: free pages, and records of what was erased, are written over. */
int compact_file(pager *pg, bool wipes, edb_compact_progress progress, void *arg, edb_compact_result *out);

#endif
