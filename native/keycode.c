/* Order-preserving keys: numbers as doubles with a remainder, text and blobs escaped and terminated.
 *
 * Numbers. A double's bits order as an unsigned integer once the sign bit is flipped (positive) or all bits are
 * (negative). An integer v is written as the nearest double d and the remainder v - d. If round(v) < round(w) then
 * v < w, and if they are equal the remainders decide; a real is its own double with remainder 0. Up to 2^53 in
 * magnitude every integer is a double, so the remainder is left out there: nine bytes. Two numbers with one double
 * agree on whether it is there, so no key is a prefix of another.
 *
 * Text. SQLite's collations, byte for byte: BINARY is memcmp; RTRIM is BINARY without trailing spaces; NOCASE compares
 * with A-Z folded to a-z, but only up to the first 00 that both have, after which the longer is greater whatever it
 * holds. So under NOCASE everything behind a 00 is written as 00. The terminator 00 00 is below the escape 00 FF and
 * below all other bytes, so that a prefix comes first.
 *
 * A key is canonical: of all values that compare equal there is one key, and decoding refuses what encoding cannot
 * have written. */
#include "native/keycode.h"

#include <assert.h>

#include "native/bytes.h"

_Static_assert(KEY_NULL < KEY_NUMBER && KEY_NUMBER < KEY_TEXT && KEY_TEXT < KEY_BLOB, "the order of SQLite's classes");

#define SIGN_BIT (1ULL << 63)
#define MINUS_ZERO 0x7fffffffffffffffULL        /* the ordered bits of -0.0, which is written as 0.0 */
#define REMAINDER_ZERO 0x8000u                  /* remainders are stored with this added */

static inline uint64_t ordered_from_double(double d)
{
    uint64_t bits;

    memcpy(&bits, &d, 8);
    return bits & SIGN_BIT ? ~bits : bits | SIGN_BIT;
}

static inline double double_from_ordered(uint64_t ordered)
{
    uint64_t bits = ordered & SIGN_BIT ? ordered ^ SIGN_BIT : ~ordered;
    double d;

    memcpy(&d, &bits, 8);
    return d;
}

/* Whether a double of this magnitude is followed by a remainder. */
static inline bool has_remainder(double d)
{
    return d >= 0x1p53 || d <= -0x1p53;
}

static void complement(uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)~p[i];
}

static size_t encode_number(uint8_t *out, double d, int64_t remainder)
{
    out[0] = KEY_NUMBER;
    store64be(out + 1, ordered_from_double(d));
    if (!has_remainder(d))
        return 9;
    /* Doubles below 2^63 are at most 1024 apart. */
    assert(remainder >= -512 && remainder <= 512);
    remainder += REMAINDER_ZERO;
    out[9] = (uint8_t)(remainder >> 8);
    out[10] = (uint8_t)remainder;
    return 11;
}

static size_t encode_integer(uint8_t *out, int64_t v)
{
    double d = (double)v;

    /* 2^63 is no int64_t; v is at most 512 below it, and unsigned arithmetic wraps to that difference. */
    if (d == 0x1p63)
        return encode_number(out, d, (int64_t)((uint64_t)v - SIGN_BIT));
    return encode_number(out, d, v - (int64_t)d);
}

static size_t encode_bytes(uint8_t *out, uint8_t class, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size;
    uint8_t *p = out;

    *p++ = class;
    while (bytes < end) {
        const uint8_t *nul = memchr(bytes, 0, (size_t)(end - bytes));
        size_t run = (size_t)((nul ? nul : end) - bytes);
        memcpy(p, bytes, run);
        p += run;
        bytes += run;
        if (nul) {
            *p++ = 0x00;
            *p++ = 0xff;
            bytes++;
        }
    }
    *p++ = 0x00;
    *p++ = 0x00;
    return (size_t)(p - out);
}

static inline uint8_t fold(uint8_t byte)
{
    return (uint8_t)(byte - 'A') < 26 ? byte | 0x20 : byte;
}

static size_t encode_nocase(uint8_t *out, const uint8_t *bytes, size_t size)
{
    uint8_t *p = out;
    size_t i = 0;

    *p++ = KEY_TEXT;
    for (; i < size && bytes[i]; i++)
        *p++ = fold(bytes[i]);
    for (; i < size; i++) {
        *p++ = 0x00;
        *p++ = 0xff;
    }
    *p++ = 0x00;
    *p++ = 0x00;
    return (size_t)(p - out);
}

static size_t trimmed(const uint8_t *bytes, size_t size)
{
    while (size && bytes[size - 1] == ' ')
        size--;
    return size;
}

static size_t encode_text(uint8_t *out, const uint8_t *bytes, size_t size, int collation)
{
    switch (collation) {
    case COLLATE_NOCASE:
        return encode_nocase(out, bytes, size);
    case COLLATE_RTRIM:
        return encode_bytes(out, KEY_TEXT, bytes, trimmed(bytes, size));
    default:
        assert(collation == COLLATE_BINARY);
        return encode_bytes(out, KEY_TEXT, bytes, size);
    }
}

static size_t encode_ascending(uint8_t *out, const edb_value *v, int collation)
{
    switch (v->type) {
    case VALUE_INTEGER:
        return encode_integer(out, v->integer);
    case VALUE_REAL:
        if (v->real == v->real)
            return encode_number(out, v->real == 0 ? 0.0 : v->real, 0);
        break;
    case VALUE_TEXT:
        return encode_text(out, v->bytes, v->size, collation);
    case VALUE_BLOB:
        return encode_bytes(out, KEY_BLOB, v->bytes, v->size);
    default:
        assert(v->type == VALUE_NULL);
    }
    out[0] = KEY_NULL;
    return 1;
}

size_t key_encode_slow(uint8_t *out, const edb_value *v, int collation, bool descending)
{
    size_t size = encode_ascending(out, v, collation);

    if (descending)
        complement(out, size);
    return size;
}

/* Where the terminator of text or blob begins, searched from p; NULL if there is none or an escape is malformed.
 * `flip` is 00 for ascending and FF for descending parts. *escapes counts the 00 bytes of the value. */
static const uint8_t *find_terminator(const uint8_t *p, const uint8_t *end, uint8_t flip, size_t *escapes)
{
    const uint8_t escape = flip ? 0x00 : 0xff;

    *escapes = 0;
    while ((p = memchr(p, flip, (size_t)(end - p))) && end - p >= 2) {
        if (p[1] == flip)
            return p;
        if (p[1] != escape)
            return NULL;
        (*escapes)++;
        p += 2;
    }
    return NULL;
}

/* A number's bytes, ascending; 0 bytes if they are not the encoding of any number. */
static size_t decode_number(const uint8_t *key, size_t size, bool integral, edb_value *out)
{
    uint64_t ordered;
    int64_t remainder = 0;
    double d;

    if (size < 9 || (ordered = load64be(key + 1)) == MINUS_ZERO)
        return 0;
    d = double_from_ordered(ordered);
    if (d != d)
        return 0;
    out->type = VALUE_REAL;
    if (!has_remainder(d)) {
        int64_t whole = (int64_t)d;
        if (integral && (double)whole == d) {
            out->type = VALUE_INTEGER;
            out->integer = whole;
        } else {
            out->real = d;
        }
        return 9;
    }
    if (size < 11)
        return 0;
    remainder = (key[9] << 8 | key[10]) - (int64_t)REMAINDER_ZERO;
    out->real = d;
    if (d > 0x1p63 || d < -0x1p63 || (d == 0x1p63 && remainder >= 0)) {
        if (remainder)
            return 0;       /* only integers have one */
    } else {
        int64_t whole = d == 0x1p63 ? INT64_MAX : (int64_t)d;
        int64_t rest = d == 0x1p63 ? remainder + 1 : remainder;
        if (__builtin_add_overflow(whole, rest, &whole) || (double)whole != d)
            return 0;       /* the integer would have been written with another double */
        if (integral) {
            out->type = VALUE_INTEGER;
            out->integer = whole;
        }
    }
    return 11;
}

size_t key_part_size(const uint8_t *key, size_t size, bool descending)
{
    uint8_t flip = descending ? 0xff : 0x00;
    const uint8_t *terminator;
    size_t escapes;
    uint64_t ordered;

    if (!size)
        return 0;
    switch (key[0] ^ flip) {
    case KEY_NULL:
        return 1;
    case KEY_NUMBER:
        if (size < 9)
            return 0;
        ordered = load64be(key + 1);
        if (!has_remainder(double_from_ordered(descending ? ~ordered : ordered)))
            return 9;
        return size < 11 ? 0 : 11;
    case KEY_TEXT:
    case KEY_BLOB:
        terminator = find_terminator(key + 1, key + size, flip, &escapes);
        return terminator ? (size_t)(terminator - key) + 2 : 0;
    }
    return 0;
}

/* The value of text or blob between begin and end, without the escapes. */
static size_t unescape(uint8_t *out, const uint8_t *begin, const uint8_t *end, uint8_t flip)
{
    size_t size = 0;

    while (begin < end) {
        out[size++] = *begin ^ flip;
        begin += *begin == flip ? 2 : 1;
    }
    return size;
}

size_t key_decode_slow(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                       edb_value *out)
{
    uint8_t flip = descending ? 0xff : 0x00;
    uint8_t number[11];
    const uint8_t *terminator;
    size_t escapes;

    if (!size)
        return 0;
    switch (key[0] ^ flip) {
    case KEY_NULL:
        out->type = VALUE_NULL;
        return 1;
    case KEY_NUMBER:
        if (!descending)
            return decode_number(key, size, integral, out);
        size = size < sizeof number ? size : sizeof number;
        memcpy(number, key, size);
        complement(number, size);
        return decode_number(number, size, integral, out);
    case KEY_TEXT:
    case KEY_BLOB:
        if (!(terminator = find_terminator(key + 1, key + size, flip, &escapes)))
            return 0;
        out->type = (key[0] ^ flip) == KEY_TEXT ? VALUE_TEXT : VALUE_BLOB;
        if (escapes || descending) {
            out->size = unescape(scratch, key + 1, terminator, flip);
            out->bytes = scratch;
        } else {
            out->size = (size_t)(terminator - key) - 1;
            out->bytes = key + 1;
        }
        return (size_t)(terminator - key) + 2;
    }
    return 0;
}

static bool text_restores(const uint8_t *bytes, size_t size, int collation)
{
    switch (collation) {
    case COLLATE_NOCASE:
        for (size_t i = 0; i < size; i++)
            if (fold(bytes[i]) != bytes[i] || (i && !bytes[i - 1] && bytes[i]))
                return false;
        return true;
    case COLLATE_RTRIM:
        return trimmed(bytes, size) == size;
    default:
        return true;
    }
}

bool key_restores_slow(const edb_value *v, int collation, bool integral)
{
    switch (v->type) {
    case VALUE_INTEGER:
        return integral;
    case VALUE_REAL:
        if (v->real != v->real || (v->real == 0 && ordered_from_double(v->real) == MINUS_ZERO))
            return false;
        return !(integral && v->real >= -0x1p63 && v->real < 0x1p63 && (double)(int64_t)v->real == v->real);
    case VALUE_TEXT:
        return text_restores(v->bytes, v->size, collation);
    default:
        return true;
    }
}
