/* Writing rows. One pass adds up the data to choose the width of the ends, one writes. Nothing is allocated.
 *
 * The encoding is canonical: the smallest width, the smallest integer, ZERO and ONE where they apply, and NaN as NULL,
 * so equal rows are equal bytes. (The commit drops a write whose bytes equal what is there.) */
#include "native/rowcode.h"

#include <assert.h>

static uint8_t column_type(const edb_value *v)
{
    switch (v->type) {
    case VALUE_INTEGER:
        return v->integer == 0 ? ROW_ZERO : v->integer == 1 ? ROW_ONE : ROW_INTEGER;
    case VALUE_REAL:
        return v->real == v->real ? ROW_REAL : ROW_NULL;
    case VALUE_TEXT:
        return ROW_TEXT;
    case VALUE_BLOB:
        return ROW_BLOB;
    default:
        assert(v->type == VALUE_NULL);
        return ROW_NULL;
    }
}

static size_t integer_size(int64_t v)
{
    return v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 8;
}

static size_t column_size(const edb_value *v, uint8_t type)
{
    switch (type) {
    case ROW_INTEGER:
        return integer_size(v->integer);
    case ROW_REAL:
        return 8;
    case ROW_TEXT:
    case ROW_BLOB:
        return v->size;
    default:
        return 0;
    }
}

size_t row_encode_bound(const edb_value *values, size_t n)
{
    size_t bound = VARINT_MAX + n * 5;

    for (size_t i = 0; i < n; i++)
        bound += values[i].type >= VALUE_TEXT ? values[i].size : 8;
    return bound;
}

size_t row_encode(uint8_t *out, const edb_value *values, size_t n)
{
    size_t data_size = 0, end = 0;
    unsigned width_code;
    uint8_t *types, *ends, *data;

    for (size_t i = 0; i < n; i++)
        data_size += column_size(&values[i], column_type(&values[i]));
    assert(data_size <= UINT32_MAX);
    width_code = data_size <= 0xff ? 0 : data_size <= 0xffff ? 1 : 2;
    types = varint_store(out, (uint64_t)n << 2 | width_code);
    ends = types + n;
    data = ends + (n << width_code);
    for (size_t i = 0; i < n; i++) {
        uint8_t type = column_type(&values[i]);
        size_t size = column_size(&values[i], type);
        types[i] = type;
        if (type == ROW_INTEGER || type == ROW_REAL)
            memcpy(data + end, &values[i].integer, size);       /* little-endian: the low bytes come first */
        else if (size)
            memcpy(data + end, values[i].bytes, size);
        end += size;
        switch (width_code) {
        case 0:
            ends[i] = (uint8_t)end;
            break;
        case 1:
            store16(ends + 2 * i, (uint16_t)end);
            break;
        default:
            store32(ends + 4 * i, (uint32_t)end);
        }
    }
    return (size_t)(data - out) + end;
}
