/* A script, one statement at a time, whatever its length. */
#ifndef EDB_SQLSCRIPT_H
#define EDB_SQLSCRIPT_H

#include <stdbool.h>
#include <stddef.h>

/* cffi: begin */
typedef struct {
    size_t start, end;      /* the bytes of a statement, from its first token to its last, without the semicolon */
    size_t next;            /* where the one behind it is to be looked for */
    size_t head;            /* of "INSERT INTO ... VALUES (...), ..." of constants alone, where VALUES ends; else 0 */
} sql_piece;

/* The first statement of `size` bytes of UTF-8 from `at` on; statements of nothing are passed over. A trigger's body
 * belongs to its statement. -> whether there is one. */
bool sql_next(const char *sql, size_t size, size_t at, sql_piece *piece);
/* cffi: end */

#endif
