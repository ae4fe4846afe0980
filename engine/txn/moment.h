/* Moments: from nanoseconds of the clock to commit numbers, settled.
 *
 * A moment names the state after the newest commit at or before it. The answer must never change, so before it is
 * given no later commit may be able to get a time at or before the moment (pager_settle), and at synchronous full the
 * commit must be durable: what is answered today must not be gone after a power loss. A moment beyond the clock is
 * "now" and is answered as the clock's present microsecond, which is then settled like any other. */
#ifndef EDB_MOMENT_H
#define EDB_MOMENT_H

#include "engine/pager/pager.h"

typedef struct {
    uint64_t mo_number;             /* commit number, at least 1 */
    int64_t mo_commit_ns;           /* its commit time */
    int64_t mo_resolved_ns;         /* ask again with this one */
    bool mo_settled;                /* false: the moment was later than the clock */
} moment;

/* Pins the newest root (also when it fails afterwards: the caller unpins) and resolves. EDB_HORIZON: before the first
 * commit or the kept history. */
int moment_resolve(pager *pg, reader_slot *slot, int64_t ns, snapshot *root, moment *out);
/* The newest commit that the root knows at or before a time; 0: none. */
int moment_upto(pager *pg, const snapshot *root, int64_t ns, uint64_t *number);
/* Commit time of a number the root knows. */
int moment_of(pager *pg, const snapshot *root, uint64_t number, int64_t *ns);

#define MOMENT_TEXT 48
/* "2024-05-01 12:00:00.000000001 UTC"; -> text. */
const char *moment_text(int64_t ns, char text[MOMENT_TEXT]);

#endif
