/* Rows without some of their columns: what is left when these are NULL.
 *
 * The columns are given by their places in stored rows (docs/format.md, "Rows"), ascending, each once. Of a row of fewer columns
 * those that it does not have count as nothing. A row that cannot be read stands for itself: both functions then take its bytes. */
#ifndef EDB_ROWMASK_H
#define EDB_ROWMASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint32_t *rmk_ids;
    uint32_t rmk_n;
} row_mask;

/* Called with the bytes of a row, one piece after the other. */
typedef void (*row_sink)(void *arg, const uint8_t *bytes, size_t size);

/* The bytes of the row with NULL in the columns, as row_encode() would write it; at most `size` of them. */
size_t row_masked_size(const row_mask *mask, const uint8_t *row, size_t size);
/* The same bytes: to a sink, or to `out`. -> how many */
size_t row_masked_emit(const row_mask *mask, const uint8_t *row, size_t size, row_sink sink, void *arg);
size_t row_masked(const row_mask *mask, const uint8_t *row, size_t size, uint8_t *out);
/* Whether two rows have the same bytes when they are masked. */
bool row_masked_same(const row_mask *mask, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

#endif
