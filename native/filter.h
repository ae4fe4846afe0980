/* A filter of byte strings (Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970) that grows.
 *
 * It answers "no" or "perhaps", and never "no" for what was added; one answer in ten thousand is a needless "perhaps". Four
 * bytes a string. One cache line of a level is looked at (Putze, Sanders and Singler, "Cache-, hash- and space-efficient
 * Bloom filters", WEA 2007). A full level stays, and one four times as large is begun. Behind the last level, and where
 * memory is exhausted, the answer is always "perhaps". */
#ifndef EDB_FILTER_H
#define EDB_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILTER_LEVELS = 6 };         /* 1,024 strings in the first, 4 KiB; 1,048,576 in the last, 4 MiB */

typedef struct {                    /* zeroed: empty */
    uint64_t *bo_level[FILTER_LEVELS];      /* owned */
    unsigned bo_levels;             /* in use */
    size_t bo_left;                 /* strings that the last of them takes yet */
    bool bo_full;                   /* something was not added */
} filter;

void filter_free(filter *bo);
void filter_add(filter *bo, const void *bytes, size_t size);
bool filter_perhaps(const filter *bo, const void *bytes, size_t size);

#endif
