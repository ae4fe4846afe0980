/* Sorting what has keys, by key and, of one key, as it comes.
 *
 * A radix sort of the eight bytes in which the keys begin to differ, the bytes first that all of them differ in; keys
 * that are equal there are sorted by what follows. So its time grows with the bytes that tell the keys apart, and keys
 * are hardly ever compared. Keys that come sorted are only looked at. */
#ifndef EDB_KEYSORT_H
#define EDB_KEYSORT_H

#include <stddef.h>
#include <stdint.h>

/* A key, and a value behind it: the head of whatever is sorted. */
typedef struct {
    const uint8_t *kv_key;
    uint32_t kv_key_size, kv_value_size;    /* bytes */
} keyed_bytes;

static inline const uint8_t *keyed_value(const keyed_bytes *kv) { return kv->kv_key + kv->kv_key_size; }

typedef struct {
    uint64_t ks_head;       /* for the sort */
    keyed_bytes *ks_key;
} sorted_key;

/* spare: room for as many. */
void keys_sort(sorted_key *keys, sorted_key *spare, size_t n);

#endif
