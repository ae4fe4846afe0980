/* Order-preserving encoding of SQL values: memcmp of two encodings orders as SQLite orders the values.
 *
 * docs/format.md, "Keys", is the description. In short: one class byte (NULL < numbers < text < blob), then
 *   number  8 bytes of a double in memcmp order; from 2^53 on two bytes more: integer minus double, so that integers
 *           a double cannot hold keep their exact place between the reals. 1 and 1.0 encode alike.
 *   text    the bytes under the collation (NOCASE folds A-Z, RTRIM drops trailing spaces), 00 written as 00 FF, then 00 00.
 *   blob    as text, without a collation.
 * A descending part is the complement of every byte. An encoding is never a prefix of another of the same part. */
#ifndef EDB_KEYCODE_H
#define EDB_KEYCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value.h"

/* The most bytes key_encode can write for v. */
size_t key_encode_bound(const edb_value *v);
/* Writes v at out; -> bytes written. */
size_t key_encode(uint8_t *out, const edb_value *v, int collation, bool descending);
/* Bytes of the part that begins at key, 0 if the bytes are no valid part. */
size_t key_part_size(const uint8_t *key, size_t size, bool descending);
/* Reads one part back. Numbers: INTEGER when the value is integral and `integral` is set, else REAL. Text and blob
 * point into key when that is possible, else into scratch (at least `size` bytes; descending parts and 00 bytes need
 * it). -> bytes consumed, 0 if invalid. What the collation folded is not restored. */
size_t key_decode(const uint8_t *key, size_t size, bool descending, bool integral, uint8_t *scratch, edb_value *out);
/* Whether key_decode gives back exactly v (its type and bytes), for a column whose numbers are read `integral`. */
bool key_restores(const edb_value *v, int collation, bool integral);

#endif
