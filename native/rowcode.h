/* Encoding of a row: constant-time access to column i, no copy of text and blobs.
 *
 * docs/format.md, "Rows", is the description:
 *   varint n_columns << 2 | width       width 0, 1, 2: column ends are 1, 2 or 4 bytes each
 *   u8     type[n_columns]              ROW_...
 *   uN     end[n_columns]               where the column's bytes end, counted from the first data byte
 *   bytes  data
 * A column beyond n_columns was added after the row was written; the caller supplies its default. */
#ifndef EDB_ROWCODE_H
#define EDB_ROWCODE_H

#include <stddef.h>
#include <stdint.h>

#include "value.h"

/* Type codes, stored: never renumber. 8 and up are reserved (interned, out of line, compressed, chunked). */
enum { ROW_NULL = 0, ROW_ZERO = 1, ROW_ONE = 2, ROW_INTEGER = 3, ROW_REAL = 4, ROW_TEXT = 5, ROW_BLOB = 6 };
/* ROW_INTEGER is a little-endian two's complement of 1, 2, 4 or 8 bytes. ROW_REAL is 8 bytes, little-endian. */

typedef struct {
    const uint8_t *rw_types;
    const uint8_t *rw_ends;
    const uint8_t *rw_data;
    uint32_t rw_columns;
    uint32_t rw_width;      /* bytes of one end: 1, 2 or 4 */
    size_t rw_data_size;    /* bytes of data */
} row_view;

size_t row_encode_bound(const edb_value *values, size_t n);
/* Writes the row at out; -> bytes written. At most 2^32-1 bytes of data. */
size_t row_encode(uint8_t *out, const edb_value *values, size_t n);
/* Looks at a stored row. -> 0, or -1 when the header does not fit in `size` bytes. Cheap: called once a row. */
int row_open(row_view *view, const uint8_t *row, size_t size);
/* Column i of an opened row (i < rw_columns). -> 0, or -1 when the column's bytes lie outside the row or its type is
 * unknown. Text and blobs point into the row. */
int row_column(const row_view *view, uint32_t i, edb_value *out);

#endif
