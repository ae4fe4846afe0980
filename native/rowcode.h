/* Encoding of a row: constant-time access to column i, no copy of text and blobs.
 *
 * docs/format.md, "Rows", is the description:
 *   varint n_columns << 2 | width       width 0, 1, 2: column ends are 1, 2 or 4 bytes each
 *   u8     type[n_columns]              ROW_...
 *   uN     end[n_columns]               where the column's bytes end, counted from the first data byte
 *   bytes  data
 * A column beyond n_columns was added after the row was written; the caller supplies its default.
 *
 * Reading is inline: a scan does it for every row. Rows come from files, so nothing here believes them: whatever the
 * bytes are, none outside [row, row + size) is read, and a value never reaches outside it. */
#ifndef EDB_ROWCODE_H
#define EDB_ROWCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/bytes.h"
#include "native/value.h"

/* Type codes, stored: never renumber. 7 and up are reserved (interned, out of line, compressed, chunked). */
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

/* The most bytes row_encode can write. */
size_t row_encode_bound(const edb_value *values, size_t n);
/* Writes the row at out; -> bytes written. At most 2^32-1 bytes of data. */
size_t row_encode(uint8_t *out, const edb_value *values, size_t n);

/* The row that `old` becomes when the flagged columns get new values; values[i] of the others are not looked at. Writes at most
 * row_replace_bound() bytes at out, which must not overlap the old row. -> bytes written; 0: the old row is damaged. What is
 * written is what row_encode() makes of all values. */
size_t row_replace_bound(const row_view *old, const edb_value *values, const bool *changed);
size_t row_replace(uint8_t *out, const row_view *old, const edb_value *values, const bool *changed);

/* Looks at a stored row. -> 0, or -1 when the header does not fit in `size` bytes. Cheap: called once a row. */
static inline int row_open(row_view *view, const uint8_t *row, size_t size)
{
    const uint8_t *end = row + size, *p;
    uint64_t head, columns;
    uint32_t width;

    if (size && row[0] < 0x80) {            /* fewer than 32 columns */
        head = row[0];
        p = row + 1;
    } else if (!(p = varint_load(row, end, &head))) {
        return -1;
    }
    width = 1u << (head & 3);
    columns = head >> 2;
    /* The first test keeps the product of the second from overflowing. */
    if (width > 4 || columns > UINT32_MAX || columns * (1 + width) > (size_t)(end - p))
        return -1;
    view->rw_types = p;
    view->rw_ends = p + columns;
    view->rw_data = p + columns * (1 + width);
    view->rw_columns = (uint32_t)columns;
    view->rw_width = width;
    view->rw_data_size = (size_t)(end - view->rw_data);
    return 0;
}

static inline uint32_t row_end(const row_view *view, uint32_t i)
{
    switch (view->rw_width) {
    case 1:
        return view->rw_ends[i];
    case 2:
        return load16(view->rw_ends + 2 * (size_t)i);
    default:
        return load32(view->rw_ends + 4 * (size_t)i);
    }
}

/* Column i of an opened row (i < rw_columns). -> 0, or -1 when the column's bytes lie outside the row or its type is
 * unknown. Text and blobs point into the row. */
static inline int row_column(const row_view *view, uint32_t i, edb_value *out)
{
    const uint8_t *p;
    uint32_t start, end;

    switch (view->rw_types[i]) {            /* these have no data */
    case ROW_NULL:
        out->type = VALUE_NULL;
        return 0;
    case ROW_ZERO:
        out->type = VALUE_INTEGER;
        out->integer = 0;
        return 0;
    case ROW_ONE:
        out->type = VALUE_INTEGER;
        out->integer = 1;
        return 0;
    }
    start = i ? row_end(view, i - 1) : 0;
    end = row_end(view, i);
    if (start > end || end > view->rw_data_size)
        return -1;
    p = view->rw_data + start;
    switch (view->rw_types[i]) {
    case ROW_INTEGER:
        switch (end - start) {
        case 1:
            out->integer = (int8_t)p[0];
            break;
        case 2:
            out->integer = (int16_t)load16(p);
            break;
        case 4:
            out->integer = (int32_t)load32(p);
            break;
        case 8:
            out->integer = (int64_t)load64(p);
            break;
        default:
            return -1;
        }
        out->type = VALUE_INTEGER;
        return 0;
    case ROW_REAL:
        if (end - start != 8)
            return -1;
        memcpy(&out->real, p, 8);
        /* NaN is never written; one made by damage reads as the NULL that SQLite would take it for. */
        out->type = out->real == out->real ? VALUE_REAL : VALUE_NULL;
        return 0;
    case ROW_TEXT:
        out->type = VALUE_TEXT;
        out->bytes = p;
        out->size = end - start;
        return 0;
    case ROW_BLOB:
        out->type = VALUE_BLOB;
        out->bytes = p;
        out->size = end - start;
        return 0;
    }
    return -1;
}

#endif
