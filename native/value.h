/* One SQL value, as rows and keys store it. It owns nothing: text and blobs point into a page, an arena or SQLite. */
#ifndef EDB_VALUE_H
#define EDB_VALUE_H

#include <stddef.h>
#include <stdint.h>

enum { VALUE_NULL = 0, VALUE_INTEGER = 1, VALUE_REAL = 2, VALUE_TEXT = 3, VALUE_BLOB = 4 };

typedef struct {
    int type;               /* VALUE_... */
    union {
        int64_t integer;
        double real;        /* never NaN: SQLite stores NaN as NULL, and so do the encoders */
        struct { const void *bytes; size_t size; };     /* TEXT (UTF-8) and BLOB; size in bytes */
    };
} edb_value;

enum { COLLATE_BINARY = 0, COLLATE_NOCASE = 1, COLLATE_RTRIM = 2 };     /* stored in the catalog: never renumber */

#endif
