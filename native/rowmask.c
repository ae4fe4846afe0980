/* Rows without some of their columns (rowmask.h). Nothing is allocated: a row is read twice, once for its size. */
#include "native/rowmask.h"

#include "native/rowcode.h"

typedef struct {                    /* a row, column by column */
    row_view rml_row;
    const row_mask *rml_mask;
    uint32_t rml_column, rml_masked;    /* the column at hand, and the place in the mask of the first not before it */
    uint32_t rml_start, rml_end;    /* where its bytes begin and end, in the row */
    bool rml_dropped;               /* it is masked */
} row_walk;

static bool walk_open(row_walk *rw, const row_mask *mask, const uint8_t *row, size_t size)
{
    *rw = (row_walk){ .rml_mask = mask };
    return row_open(&rw->rml_row, row, size) == 0;
}

/* To the column: they are asked for in order, from the first on. false: the row is damaged. */
static bool walk_to(row_walk *rw, uint32_t column)
{
    const row_mask *mask = rw->rml_mask;

    rw->rml_start = column ? rw->rml_end : 0;
    rw->rml_end = row_end(&rw->rml_row, column);
    rw->rml_column = column;
    if (!column)
        rw->rml_masked = 0;
    while (rw->rml_masked < mask->rmk_n && mask->rmk_ids[rw->rml_masked] < column)
        rw->rml_masked++;
    rw->rml_dropped = rw->rml_masked < mask->rmk_n && mask->rmk_ids[rw->rml_masked] == column;
    return rw->rml_end >= rw->rml_start && rw->rml_end <= rw->rml_row.rw_data_size;
}

/* Bytes of the columns that stay; SIZE_MAX: the row is damaged. */
static size_t data_left(row_walk *rw)
{
    size_t left = 0;

    for (uint32_t i = 0; i < rw->rml_row.rw_columns; i++) {
        if (!walk_to(rw, i))
            return SIZE_MAX;
        left += rw->rml_dropped ? 0 : rw->rml_end - rw->rml_start;
    }
    return left;
}

static unsigned width_code(size_t data)
{
    return data <= 0xff ? 0 : data <= 0xffff ? 1 : 2;
}

static size_t head_of(const row_walk *rw, size_t data, uint8_t head[VARINT_MAX])
{
    return (size_t)(varint_store(head, (uint64_t)rw->rml_row.rw_columns << 2 | width_code(data)) - head);
}

size_t row_masked_size(const row_mask *mask, const uint8_t *row, size_t size)
{
    uint8_t head[VARINT_MAX];
    row_walk rw;
    size_t data = walk_open(&rw, mask, row, size) ? data_left(&rw) : SIZE_MAX;

    if (data == SIZE_MAX)
        return size;
    return head_of(&rw, data, head) + rw.rml_row.rw_columns * (1 + ((size_t)1 << width_code(data))) + data;
}

/* Types and ends are handed on some at a time. */
typedef struct {
    row_sink rms_sink;
    void *rms_arg;
    size_t rms_size;
    uint8_t rms_bytes[256];
} staging;

static void stage_pass(staging *st)
{
    if (st->rms_size)
        st->rms_sink(st->rms_arg, st->rms_bytes, st->rms_size);
    st->rms_size = 0;
}

static inline void stage(staging *st, uint32_t value, size_t size)
{
    if (st->rms_size + sizeof value > sizeof st->rms_bytes)
        stage_pass(st);
    store32(st->rms_bytes + st->rms_size, value);       /* little-endian: the low bytes come first */
    st->rms_size += size;
}

static void stage_front(staging *st, row_walk *rw, size_t width)
{
    uint32_t n = rw->rml_row.rw_columns, end = 0;

    for (uint32_t i = 0; i < n; i++) {
        (void)walk_to(rw, i);
        stage(st, rw->rml_dropped ? ROW_NULL : rw->rml_row.rw_types[i], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)walk_to(rw, i);
        end += rw->rml_dropped ? 0 : rw->rml_end - rw->rml_start;
        stage(st, end, width);
    }
    stage_pass(st);
}

/* Columns that stay and lie side by side go together. */
static void emit_data(row_walk *rw, row_sink sink, void *arg)
{
    const uint8_t *data = rw->rml_row.rw_data;
    uint32_t from = 0;

    for (uint32_t i = 0; i < rw->rml_row.rw_columns; i++) {
        (void)walk_to(rw, i);
        if (!rw->rml_dropped)
            continue;
        if (rw->rml_start > from)
            sink(arg, data + from, rw->rml_start - from);
        from = rw->rml_end;
    }
    if (rw->rml_row.rw_columns && rw->rml_end > from)
        sink(arg, data + from, rw->rml_end - from);
}

size_t row_masked_emit(const row_mask *mask, const uint8_t *row, size_t size, row_sink sink, void *arg)
{
    staging st = { .rms_sink = sink, .rms_arg = arg, .rms_size = 0 };
    uint8_t head[VARINT_MAX];
    row_walk rw;
    size_t data = walk_open(&rw, mask, row, size) ? data_left(&rw) : SIZE_MAX;

    if (data == SIZE_MAX) {
        sink(arg, row, size);
        return size;
    }
    size_t front = head_of(&rw, data, head), width = (size_t)1 << width_code(data);
    sink(arg, head, front);
    stage_front(&st, &rw, width);
    emit_data(&rw, sink, arg);
    return front + rw.rml_row.rw_columns * (1 + width) + data;
}

static void copy(void *arg, const uint8_t *bytes, size_t size)
{
    uint8_t **at = arg;

    if (size)
        memcpy(*at, bytes, size);
    *at += size;
}

size_t row_masked(const row_mask *mask, const uint8_t *row, size_t size, uint8_t *out)
{
    return row_masked_emit(mask, row, size, copy, &out);
}

/* ---- two rows ---------------------------------------------------------------------------------------------------- */

static bool same_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    return a_size == b_size && (!a_size || memcmp(a, b, a_size) == 0);
}

bool row_masked_same(const row_mask *mask, const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    row_walk x, y;

    if (same_bytes(a, a_size, b, b_size))
        return true;
    if (!walk_open(&x, mask, a, a_size) || !walk_open(&y, mask, b, b_size) || data_left(&x) == SIZE_MAX
        || data_left(&y) == SIZE_MAX || x.rml_row.rw_columns != y.rml_row.rw_columns)
        return false;
    for (uint32_t i = 0; i < x.rml_row.rw_columns; i++) {
        (void)walk_to(&x, i);
        (void)walk_to(&y, i);
        if (x.rml_dropped)
            continue;
        if (x.rml_row.rw_types[i] != y.rml_row.rw_types[i]
            || !same_bytes(x.rml_row.rw_data + x.rml_start, x.rml_end - x.rml_start,
                           y.rml_row.rw_data + y.rml_start, y.rml_end - y.rml_start))
            return false;
    }
    return true;
}
