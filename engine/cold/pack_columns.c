/* Rows as columns. See pack_parts.h. docs/format.md, "Rows", is what is taken apart here.
 *
 * A value is a row if it is, byte for byte, what these columns make; whatever else it may be, that is then enough to give it back.
 * So nothing needs to know which trees have rows as values. */
#include "engine/cold/pack_parts.h"

#define TYPE_BITS 3                 /* of a head: size << 3 | type */

static unsigned width_code(uint32_t data_size)
{
    return data_size <= UINT8_MAX ? 0 : data_size <= UINT16_MAX ? 1 : 2;
}

static bool size_suits(uint8_t type, uint32_t size)
{
    switch (type) {
    case ROW_NULL:
    case ROW_ZERO:
    case ROW_ONE:
        return size == 0;
    case ROW_INTEGER:
        return size == 1 || size == 2 || size == 4 || size == 8;
    case ROW_REAL:
        return size == 8;
    default:
        return type == ROW_TEXT || type == ROW_BLOB;
    }
}

uint32_t row_split(const uint8_t *value, uint32_t size, row_part *columns, uint32_t most)
{
    row_view view;
    uint32_t end = 0;

    if (size == 0 || row_open(&view, value, size) != 0 || view.rw_columns == 0 || view.rw_columns > most)
        return 0;
    uint64_t head = (uint64_t)view.rw_columns << 2 | width_code((uint32_t)view.rw_data_size);
    if (view.rw_width != 1u << (head & 3) || varint_size(head) != (size_t)(view.rw_types - value))
        return 0;
    for (uint32_t i = 0; i < view.rw_columns; i++) {
        uint32_t start = end;
        end = row_end(&view, i);
        if (end < start || end > view.rw_data_size || !size_suits(view.rw_types[i], end - start))
            return 0;
        columns[i] = (row_part){ view.rw_data + start, end - start, view.rw_types[i] };
    }
    return end == view.rw_data_size ? view.rw_columns : 0;
}

static uint64_t data_size(const row_part *columns, uint32_t n)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        size += columns[i].cop_size;
    return size;
}

uint32_t row_joined_size(const row_part *columns, uint32_t n, uint32_t most)
{
    uint64_t data = data_size(columns, n);

    if (data > most)
        return 0;
    unsigned width = width_code((uint32_t)data);
    uint64_t size = varint_size((uint64_t)n << 2 | width) + (uint64_t)n * (1 + (1u << width)) + data;
    return size <= most ? (uint32_t)size : 0;
}

void row_join(uint8_t *out, const row_part *columns, uint32_t n)
{
    unsigned width = width_code((uint32_t)data_size(columns, n));
    uint8_t *types = varint_store(out, (uint64_t)n << 2 | width), *ends = types + n, *data = ends + ((size_t)n << width);
    uint32_t end = 0;

    for (uint32_t i = 0; i < n; i++) {
        types[i] = columns[i].cop_type;
        if (columns[i].cop_size)
            memcpy(data + end, columns[i].cop_bytes, columns[i].cop_size);
        end += columns[i].cop_size;
        if (width == 0)
            ends[i] = (uint8_t)end;
        else if (width == 1)
            store16(ends + 2 * (size_t)i, (uint16_t)end);
        else
            store32(ends + 4 * (size_t)i, end);
    }
}

void column_write(const row_part *column, stream_out *head, stream_out *data)
{
    out_varint(head, (uint64_t)column->cop_size << TYPE_BITS | column->cop_type);
    out_bytes(data, column->cop_bytes, column->cop_size);
}

bool column_read(row_part *column, stream_in *head, stream_in *data)
{
    uint32_t said = in_most(head, UINT32_MAX);
    row_part read = { NULL, said >> TYPE_BITS, (uint8_t)(said & ((1u << TYPE_BITS) - 1)) };

    if (head->in_bad || !size_suits(read.cop_type, read.cop_size))
        return false;
    read.cop_bytes = in_bytes(data, read.cop_size);
    if (!read.cop_bytes)
        return false;
    *column = read;
    return true;
}
