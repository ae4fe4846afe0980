/* Entries that a statement computes for itself, under keys of its own.
 *
 * They are added first and read then, by cursor_private() (txn.h). In memory they are an array, sorted by key when it is
 * first read; when they take more than spill_bytes they become a write set, which goes into a temporary file. While they
 * do, they take up to twice that; sorting takes 16 bytes an entry.
 * What an entry points to stays until the last reference is given back. One thread at a time, as the connection. */
#ifndef EDB_PRIVATE_ENTRIES_H
#define EDB_PRIVATE_ENTRIES_H

#include "native/keysort.h"
#include "engine/txn/writeset.h"

typedef struct private_entries private_entries;

int private_make(uint64_t spill_bytes, private_entries **out);
private_entries *private_ref(private_entries *entries);
void private_unref(private_entries *entries);       /* NULL is fine */
/* A key once. Nothing may be added once they were read. EDB_NOMEM; EDB_FULL and EDB_IO when spilling fails. */
int private_add(private_entries *entries, const void *key, size_t key_size, const void *value, size_t value_size);
/* Makes them readable. EDB_NOMEM; it may be tried again. */
int private_ready(private_entries *entries);
writeset *private_spilled(private_entries *entries, uint32_t *tree);    /* NULL: they are in memory */
/* Of entries in memory: the i-th in order, NULL behind the last; how many have a key before this one, or up to it. */
const keyed_bytes *private_at(const private_entries *entries, size_t i);
size_t private_rank(const private_entries *entries, const void *key, size_t key_size, bool upto);
size_t private_count(const private_entries *entries);

#endif
