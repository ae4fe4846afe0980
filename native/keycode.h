/* Order-preserving encoding of SQL values: memcmp of two encodings orders as SQLite orders the values.
 *
 * docs/format.md, "Keys", is the description. In short: one class byte (NULL < numbers < text < blob), then
 *   number  8 bytes of a double in memcmp order; from 2^53 on two bytes more: integer minus double, so that integers
 *           a double cannot hold keep their exact place between the reals. 1 and 1.0 encode alike.
 *   text    the bytes under the collation (NOCASE folds A-Z, RTRIM drops trailing spaces), 00 written as 00 FF, then 00 00.
 *   blob    as text, without a collation.
 * Behind a 00 NOCASE writes 00 for every byte: SQLite compares no further, except for the length.
 * A descending part is the complement of every byte. An encoding is never a prefix of another of the same part. */
#ifndef EDB_KEYCODE_H
#define EDB_KEYCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "native/bytes.h"
#include "native/value.h"

/* Class bytes, stored: never renumber. No part begins with 00 or FF in either direction. */
enum { KEY_NULL = 0x10, KEY_NUMBER = 0x20, KEY_TEXT = 0x30, KEY_BLOB = 0x40 };

/* The order of encoded keys: memcmp, a prefix before what it begins. Either may be NULL when its size is 0. */
static inline int key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t common = a_size < b_size ? a_size : b_size;
    int order = 0;
    if (common >= 8) {              /* the first eight bytes, then the last: mostly enough, and quicker than a call */
        uint64_t x = load64be(a), y = load64be(b);
        if (x == y && common <= 16) {
            x = load64be(a + common - 8);
            y = load64be(b + common - 8);
        }
        if (x != y)
            return x < y ? -1 : 1;
        if (common > 16)
            order = memcmp(a + 8, b + 8, common - 8);
    } else if (common) {
        order = memcmp(a, b, common);
    }
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

/* The most bytes key_encode can write for v. */
static inline size_t key_encode_bound(const edb_value *v) { return v->type >= VALUE_TEXT ? 3 + 2 * v->size : 11; }
/* Writes v at out; -> bytes written. */
static inline size_t key_encode(uint8_t *out, const edb_value *v, int collation, bool descending);
/* Bytes of the part that begins at key, 0 if the bytes are no valid part. */
size_t key_part_size(const uint8_t *key, size_t size, bool descending);
/* Reads one part back. Numbers: INTEGER when the value is integral and `integral` is set, else REAL. Text and blob
 * point into key when that is possible, else into scratch (at least `size` bytes; descending parts and 00 bytes need
 * it). -> bytes consumed, 0 if invalid. What the collation folded is not restored. */
static inline size_t key_decode(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                                edb_value *out);
/* Whether key_decode gives back exactly v (its type and bytes), for a column whose numbers are read `integral`. */
static inline bool key_restores(const edb_value *v, int collation, bool integral);

size_t key_encode_slow(uint8_t *out, const edb_value *v, int collation, bool descending);
bool key_restores_slow(const edb_value *v, int collation, bool integral);
size_t key_decode_slow(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                       edb_value *out);

/* Inline for what indexes mostly hold: ascending whole numbers, to be written from 0 to 2^53-1. */
static inline size_t key_encode(uint8_t *out, const edb_value *v, int collation, bool descending)
{
    if (v->type == VALUE_INTEGER && !descending && v->integer >= 0 && v->integer < INT64_C(1) << 53) {
        double d = (double)v->integer;
        uint64_t bits;
        memcpy(&bits, &d, 8);
        out[0] = KEY_NUMBER;
        store64be(out + 1, bits | 1ULL << 63);
        return 9;
    }
    return key_encode_slow(out, v, collation, descending);
}

static inline bool key_restores(const edb_value *v, int collation, bool integral)
{
    return v->type == VALUE_INTEGER ? integral : key_restores_slow(v, collation, integral);
}

/* And to be read, from 1 to 2^53-1 of an INTEGER column. */
static inline size_t key_decode(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch,
                                edb_value *out)
{
    if (size >= 9 && key[0] == KEY_NUMBER && !descending) {
        uint64_t bits = load64be(key + 1) ^ 1ULL << 63;
        double d;
        memcpy(&d, &bits, 8);
        if (integral && d >= 1 && d < 0x1p53 && (double)(int64_t)d == d) {
            out->type = VALUE_INTEGER;
            out->integer = (int64_t)d;
            return 9;
        }
    }
    return key_decode_slow(key, size, descending, integral, scratch, out);
}

#endif
