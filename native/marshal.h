/* Values as Python's marshal module writes and reads them: how rows pass between Python and the engine in one piece.
 *
 * Read is what marshal.dumps(value, 2) gives: None, booleans, integers, floats, texts, bytes, tuples and lists of them,
 * without references. Written is what marshal.loads() takes. Nothing here needs Python, so the GIL can be released.
 *
 * The bytes come from this process, but nothing is read outside them, whatever they are. */
#ifndef EDB_MARSHAL_H
#define EDB_MARSHAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/value.h"

typedef struct {
    const uint8_t *mr_at, *mr_end;
} marshal_reader;

enum { MARSHAL_OK = 0, MARSHAL_DAMAGED = -1, MARSHAL_TOO_BIG = -2, MARSHAL_OTHER = -3 };

/* The number of elements of the tuple or list that begins here, which follow. MARSHAL_OTHER: something else does. */
int marshal_read_list(marshal_reader *mr, size_t *n);
/* A scalar; True and False are 1 and 0, NaN is NULL, texts and bytes point into what is read. MARSHAL_TOO_BIG: an integer beyond 64 bits;
 * MARSHAL_OTHER: a tuple, a list or something that no column holds. */
int marshal_read(marshal_reader *mr, edb_value *out);

typedef struct {
    uint8_t *mw_bytes;              /* owned: marshal_free() */
    size_t mw_size, mw_room;
} marshal_writer;

/* false: memory is exhausted, and nothing was written. References are of version 3, which loads() takes in any. */
bool marshal_write_list(marshal_writer *mw, size_t n);      /* n elements are to follow; at most 2^31-1 */
bool marshal_write_tuple(marshal_writer *mw, size_t n);
bool marshal_write(marshal_writer *mw, const edb_value *value);
/* A name that later names refer to, instead of being written again: the first kept one is 0, the next 1, ... */
bool marshal_keep_name(marshal_writer *mw, const char *name, size_t size);
/* A dictionary: begun, then for each entry the number of its kept name and its value, then ended. */
bool marshal_begin_dict(marshal_writer *mw);
bool marshal_write_name(marshal_writer *mw, uint32_t number);
bool marshal_end_dict(marshal_writer *mw);
void marshal_free(marshal_writer *mw);

#endif
