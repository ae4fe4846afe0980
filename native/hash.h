/* Two hashes of byte strings. FNV-1a is a part of the file's format, the other one is not. Neither resists a chosen-key
 * attack. */
#ifndef EDB_HASH_H
#define EDB_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
uint64_t hash_fnv1a(const void *bytes, size_t size);
/* A fast hash for tables in memory: eight bytes a multiply, strong mixing at the end. */
uint64_t hash_fast(const void *bytes, size_t size, uint64_t seed);

#endif
