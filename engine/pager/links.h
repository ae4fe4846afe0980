/* Links and seals: what proves that neither versions nor times of commits were changed afterwards. README.md, S1 to S6.
 *
 *   content(n)   what commit n wrote; the layer above computes it, so that it can be computed again (tree_content.h)
 *   link(n)      SHA-256 of n, its time, and content(n)
 *   seal(n)      SHA-256 of seal(n-1) and link(n): it stands for everything up to n
 *
 * Every commit has a link, from the first one on that was made by a version of the engine that knows of them. The newest
 * RECORD_LINKS at most stand in the record, the others in a list, which after each 256 of them has the seal then. */
#ifndef EDB_LINKS_H
#define EDB_LINKS_H

#include "engine/pager/pager.h"

#define LINKS_GROUP 256             /* links before a seal is kept in the list */

/* The first commit that has a link; 0: none has. */
static inline uint64_t links_first(const snapshot *sn) { return sn->sn_links_from; }
/* The link of a commit from links_first() to the snapshot's own. */
int links_get(pager *pg, const snapshot *sn, uint64_t number, uint8_t out[SHA256_SIZE]);
/* The seal that the list keeps behind its group'th 256 links, from 0. *there: the list has it. */
int links_kept_seal(pager *pg, const snapshot *sn, uint64_t group, uint8_t out[SHA256_SIZE], bool *there);

void link_of(uint64_t number, int64_t time_ns, const uint8_t content[SHA256_SIZE], uint8_t out[SHA256_SIZE]);
void seal_of(const uint8_t before[SHA256_SIZE], const uint8_t link[SHA256_SIZE], uint8_t out[SHA256_SIZE]);

/* Links in a list of so many elements. */
static inline uint64_t links_in(uint64_t elements) { return elements - elements / (LINKS_GROUP + 1); }

/* ---- for the pager's own files: */

/* The content of a commit that writes nothing. */
extern const uint8_t content_of_nothing[SHA256_SIZE];
/* Makes room for the link of the next commit, which links_set() fills in. */
int links_add(pager_commit *pc, snapshot *sn, uint64_t number);
/* Of the commit that links_add() was called for; `before`: the seal of the one before. */
void links_set(snapshot *sn, const uint8_t before[SHA256_SIZE], const uint8_t link[SHA256_SIZE]);

#endif
