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

static unsigned width_code_of(size_t data_size)
{
    assert(data_size <= UINT32_MAX);
    return data_size <= 0xff ? 0 : data_size <= 0xffff ? 1 : 2;
}

static inline void store_end(uint8_t *ends, size_t i, unsigned width_code, size_t end)
{
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

static inline void store_data(uint8_t *data, const edb_value *v, uint8_t type, size_t size)
{
    if (type == ROW_INTEGER || type == ROW_REAL)
        memcpy(data, &v->integer, size);    /* little-endian: the low bytes come first */
    else if (size)
        memcpy(data, v->bytes, size);
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
    width_code = width_code_of(data_size);
    types = varint_store(out, (uint64_t)n << 2 | width_code);
    ends = types + n;
    data = ends + (n << width_code);
    for (size_t i = 0; i < n; i++) {
        uint8_t type = column_type(&values[i]);
        size_t size = column_size(&values[i], type);
        types[i] = type;
        store_data(data + end, &values[i], type, size);
        end += size;
        store_end(ends, i, width_code, end);
    }
    return (size_t)(data - out) + end;
}

/* ---- a row out of another -------------------------------------------------------------------------------------- */

size_t row_replace_bound(const row_view *old, const edb_value *values, const bool *changed)
{
    size_t bound = VARINT_MAX + (size_t)old->rw_columns * 5 + old->rw_data_size;

    for (uint32_t i = 0; i < old->rw_columns; i++)
        if (changed[i])
            bound += values[i].type >= VALUE_TEXT ? values[i].size : 8;
    return bound;
}

/* Whether row_column() would take a column of the type with so many bytes. */
static inline bool stored_fits(uint8_t type, uint32_t size)
{
    switch (type) {
    case ROW_INTEGER:
        return size == 1 || size == 2 || size == 4 || size == 8;
    case ROW_REAL:
        return size == 8;
    default:
        return type <= ROW_BLOB;
    }
}

static inline __attribute__((always_inline)) uint32_t end_at(const uint8_t *ends, uint32_t i, uint32_t width)
{
    return width == 1 ? ends[i] : width == 2 ? load16(ends + 2 * (size_t)i) : load32(ends + 4 * (size_t)i);
}

/* Bytes of the new data; SIZE_MAX: the old row is damaged. */
static inline __attribute__((always_inline)) size_t replaced_size(const row_view *old, const edb_value *values,
                                                                  const bool *changed, uint32_t width)
{
    size_t data_size = 0;
    uint32_t start = 0;

    for (uint32_t i = 0; i < old->rw_columns; i++) {
        uint32_t end = end_at(old->rw_ends, i, width);
        if (end < start || end > old->rw_data_size || !stored_fits(old->rw_types[i], end - start))
            return SIZE_MAX;
        data_size += changed[i] ? column_size(&values[i], column_type(&values[i])) : end - start;
        start = end;
    }
    return data_size;
}

/* Columns that stay and lie side by side are copied together. -> bytes of data written */
static inline __attribute__((always_inline)) size_t replace(uint8_t *types, uint8_t *ends, uint8_t *data, const row_view *old,
                                                            const edb_value *values, const bool *changed, uint32_t width,
                                                            unsigned width_code)
{
    uint32_t from = 0, start = 0;           /* what stays lies in the old data from `from` on */
    size_t at = 0;

    for (uint32_t i = 0; i < old->rw_columns; i++) {
        uint32_t end = end_at(old->rw_ends, i, width);
        types[i] = old->rw_types[i];
        if (changed[i]) {
            uint8_t type = column_type(&values[i]);
            size_t size = column_size(&values[i], type);
            memcpy(data + at, old->rw_data + from, start - from);
            at += start - from;
            types[i] = type;
            store_data(data + at, &values[i], type, size);
            at += size;
            from = end;
        }
        store_end(ends, i, width_code, at + (end - from));
        start = end;
    }
    memcpy(data + at, old->rw_data + from, start - from);
    return at + (start - from);
}

/* Most rows have less than 256 bytes of data, before and after: their ends are read and written without a look at widths. */
size_t row_replace(uint8_t *out, const row_view *old, const edb_value *values, const bool *changed)
{
    uint32_t n = old->rw_columns, width = old->rw_width;
    size_t data_size = width == 1 ? replaced_size(old, values, changed, 1) : replaced_size(old, values, changed, width);
    unsigned width_code;
    uint8_t *types, *ends, *data;

    if (data_size == SIZE_MAX)
        return 0;
    width_code = width_code_of(data_size);
    types = varint_store(out, (uint64_t)n << 2 | width_code);
    ends = types + n;
    data = ends + ((size_t)n << width_code);
    if (width == 1 && width_code == 0)
        data_size = replace(types, ends, data, old, values, changed, 1, 0);
    else
        data_size = replace(types, ends, data, old, values, changed, width, width_code);
    return (size_t)(data - out) + data_size;
}
