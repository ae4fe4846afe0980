/* Affinity applied to a value of the engine, without SQLite. */
#ifndef EDB_AFFINITY_H
#define EDB_AFFINITY_H

#include "native/arena.h"
#include "engine/catalog/catalog.h"

/* A value as a column of this affinity stores it; texts that had to be made lie in memory. */
int affinity_apply(const edb_value *in, int affinity, arena *memory, edb_value *out);

#endif
