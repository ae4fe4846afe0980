/* Python's marshal format (marshal.h). CPython's own marshal.c is the description; version 2 has not changed since Python 2.5. */
#include "native/marshal.h"

#include <stdlib.h>
#include <string.h>

#include "native/bytes.h"

enum { DIGIT_BITS = 15 };           /* of one digit of a long integer */

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static size_t left(const marshal_reader *mr)
{
    return (size_t)(mr->mr_end - mr->mr_at);
}

static int read_size(marshal_reader *mr, size_t *out)
{
    if (left(mr) < 4 || (int32_t)load32(mr->mr_at) < 0)
        return MARSHAL_DAMAGED;
    *out = load32(mr->mr_at);
    mr->mr_at += 4;
    return MARSHAL_OK;
}

int marshal_read_list(marshal_reader *mr, size_t *n)
{
    if (!left(mr))
        return MARSHAL_DAMAGED;
    if (*mr->mr_at != '(' && *mr->mr_at != '[')
        return MARSHAL_OTHER;
    mr->mr_at++;
    /* Each element has a byte at least. */
    return read_size(mr, n) || *n > left(mr) ? MARSHAL_DAMAGED : MARSHAL_OK;
}

/* Digits from the lowest on; a negative count is a negative number. */
static int read_long(marshal_reader *mr, edb_value *out)
{
    uint64_t magnitude = 0;

    if (left(mr) < 4)
        return MARSHAL_DAMAGED;
    int32_t count = (int32_t)load32(mr->mr_at);
    size_t digits = count < 0 ? (size_t)(-(int64_t)count) : (size_t)count;
    mr->mr_at += 4;
    if (digits > left(mr) / 2)
        return MARSHAL_DAMAGED;
    for (size_t i = 0; i < digits; i++) {
        uint64_t digit = load16(mr->mr_at + 2 * i);
        if (digit && (i * DIGIT_BITS >= 64 || (i * DIGIT_BITS > 49 && digit >> (64 - i * DIGIT_BITS))))
            return MARSHAL_TOO_BIG;
        if (digit)
            magnitude |= digit << i * DIGIT_BITS;
    }
    mr->mr_at += 2 * digits;
    if (magnitude > (uint64_t)INT64_MAX + (count < 0))
        return MARSHAL_TOO_BIG;
    out->type = VALUE_INTEGER;
    out->integer = count < 0 ? (int64_t)-magnitude : (int64_t)magnitude;
    return MARSHAL_OK;
}

static int read_bytes(marshal_reader *mr, int type, edb_value *out)
{
    size_t size;

    if (read_size(mr, &size) || size > left(mr))
        return MARSHAL_DAMAGED;
    out->type = type;
    out->bytes = mr->mr_at;
    out->size = size;
    mr->mr_at += size;
    return MARSHAL_OK;
}

int marshal_read(marshal_reader *mr, edb_value *out)
{
    if (!left(mr))
        return MARSHAL_DAMAGED;
    switch (*mr->mr_at++) {
    case 'N':
        out->type = VALUE_NULL;
        return MARSHAL_OK;
    case 'F':
    case 'T':
        out->type = VALUE_INTEGER;
        out->integer = mr->mr_at[-1] == 'T';
        return MARSHAL_OK;
    case 'i':
        if (left(mr) < 4)
            return MARSHAL_DAMAGED;
        out->type = VALUE_INTEGER;
        out->integer = (int32_t)load32(mr->mr_at);
        mr->mr_at += 4;
        return MARSHAL_OK;
    case 'l':
        return read_long(mr, out);
    case 'g':
        if (left(mr) < 8)
            return MARSHAL_DAMAGED;
        memcpy(&out->real, mr->mr_at, 8);
        out->type = out->real == out->real ? VALUE_REAL : VALUE_NULL;
        mr->mr_at += 8;
        return MARSHAL_OK;
    case 'u':
        return read_bytes(mr, VALUE_TEXT, out);
    case 's':
        return read_bytes(mr, VALUE_BLOB, out);
    default:
        return MARSHAL_OTHER;
    }
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static uint8_t *reserve(marshal_writer *mw, size_t n)
{
    if (mw->mw_room - mw->mw_size < n) {
        size_t room = 2 * mw->mw_room + n + 256;
        uint8_t *bigger = realloc(mw->mw_bytes, room);
        if (!bigger)
            return NULL;
        mw->mw_bytes = bigger;
        mw->mw_room = room;
    }
    return mw->mw_bytes + mw->mw_size;
}

static bool write_head(marshal_writer *mw, char type, size_t n)
{
    uint8_t *at = reserve(mw, 5);

    if (!at)
        return false;
    *at = (uint8_t)type;
    store32(at + 1, (uint32_t)n);
    mw->mw_size += 5;
    return true;
}

bool marshal_write_list(marshal_writer *mw, size_t n)
{
    return write_head(mw, '[', n);
}

bool marshal_write_tuple(marshal_writer *mw, size_t n)
{
    uint8_t *at;

    if (n > 255)
        return write_head(mw, '(', n);
    if (!(at = reserve(mw, 2)))
        return false;
    at[0] = ')';
    at[1] = (uint8_t)n;
    mw->mw_size += 2;
    return true;
}

static bool write_integer(marshal_writer *mw, int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    int32_t digits = 0;
    uint8_t *at;

    if (value == (int32_t)value)
        return write_head(mw, 'i', (uint32_t)value);
    if (!(at = reserve(mw, 5 + 2 * 5)))
        return false;
    *at = 'l';
    for (; magnitude; magnitude >>= DIGIT_BITS)
        store16(at + 5 + 2 * digits++, (uint16_t)(magnitude & ((1 << DIGIT_BITS) - 1)));
    store32(at + 1, (uint32_t)(value < 0 ? -digits : digits));
    mw->mw_size += 5 + 2 * (size_t)digits;
    return true;
}

static bool is_ascii(const uint8_t *bytes, size_t size)
{
    uint64_t all = 0;

    for (; size >= 8; bytes += 8, size -= 8)
        all |= load64(bytes);
    while (size--)
        all |= *bytes++;
    return !(all & 0x8080808080808080);
}

static bool write_text(marshal_writer *mw, const edb_value *value)
{
    bool brief = value->size < 256 && is_ascii(value->bytes, value->size);
    uint8_t *at = reserve(mw, 5 + value->size);

    if (!at)
        return false;
    *at = brief ? 'z' : 'u';
    if (brief)
        at[1] = (uint8_t)value->size;
    else
        store32(at + 1, (uint32_t)value->size);
    size_t head = brief ? 2 : 5;
    if (value->size)
        memcpy(at + head, value->bytes, value->size);
    mw->mw_size += head + value->size;
    return true;
}

enum { KEPT = 0x80 };               /* of a type: it can be referred to */

bool marshal_keep_name(marshal_writer *mw, const char *name, size_t size)
{
    size_t at = mw->mw_size;

    if (!write_head(mw, 't', size) || !reserve(mw, size))
        return false;
    mw->mw_bytes[at] |= KEPT;
    memcpy(mw->mw_bytes + mw->mw_size, name, size);
    mw->mw_size += size;
    return true;
}

static bool write_byte(marshal_writer *mw, char byte)
{
    uint8_t *at = reserve(mw, 1);

    if (!at)
        return false;
    *at = (uint8_t)byte;
    mw->mw_size++;
    return true;
}

bool marshal_begin_dict(marshal_writer *mw) { return write_byte(mw, '{'); }

bool marshal_end_dict(marshal_writer *mw) { return write_byte(mw, '0'); }

bool marshal_write_name(marshal_writer *mw, uint32_t number)
{
    return write_head(mw, 'r', number);
}

bool marshal_write(marshal_writer *mw, const edb_value *value)
{
    uint8_t *at;

    switch (value->type) {
    case VALUE_INTEGER:
        return write_integer(mw, value->integer);
    case VALUE_TEXT:
        return write_text(mw, value);
    case VALUE_REAL:
    case VALUE_BLOB:
        if (!(at = reserve(mw, value->type == VALUE_REAL ? 9 : 5 + value->size)))
            return false;
        if (value->type == VALUE_REAL) {
            *at = 'g';
            memcpy(at + 1, &value->real, 8);
            mw->mw_size += 9;
            return true;
        }
        if (!write_head(mw, 's', value->size))
            return false;
        if (value->size)
            memcpy(mw->mw_bytes + mw->mw_size, value->bytes, value->size);
        mw->mw_size += value->size;
        return true;
    default:
        return write_byte(mw, 'N');
    }
}

void marshal_free(marshal_writer *mw)
{
    free(mw->mw_bytes);
    *mw = (marshal_writer){ NULL, 0, 0 };
}
