/* Values between SQLite and the engine, and affinity.
 *
 * SQLite applies no affinity to what it hands to a virtual table, so '12' arrives as text in an INTEGER column. The
 * rules here are SQLite's (documentation "Datatypes", 3). */
#ifndef EDB_EVAL_VALUE_H
#define EDB_EVAL_VALUE_H

#include "native/arena.h"
#include "engine/catalog/catalog.h"
#include "engine/eval/sqlite.h"

typedef struct {                    /* what converted values point into; reused from row to row */
    char (*vs_digits)[32];          /* text of integers */
    uint32_t vs_digits_room, vs_n_digits;   /* places there are, and taken */
    uint32_t vs_n_held, vs_held_room;
    sqlite3_value **vs_held;        /* owned; freed behind the row */
} value_scratch;

int values_prepare(value_scratch *vs, uint32_t columns);    /* room for the values of so many columns */
void values_drop(value_scratch *vs);                /* behind a row: what was converted for it ends */
void values_free(value_scratch *vs);

/* The value as it is; text and blobs point into it. */
int value_read(sqlite3_value *in, edb_value *out);
/* The value under a column's affinity, as SQLite would store it. Text made of a number lasts until values_drop(). */
int value_convert(value_scratch *vs, sqlite3_value *in, int affinity, edb_value *out);
/* Keeps a value, which becomes the scratch's, until values_drop(). */
int value_hold(value_scratch *vs, sqlite3_value *value);
/* Puts the bytes of a text or blob into memory, where they outlast what they came from. */
int value_copy(arena *memory, edb_value *value);
/* Binds a parameter, from 1, to the value, whose bytes must last as long as it is bound. -> SQLite's code */
int value_bind(sqlite3_stmt *stmt, int parameter, const edb_value *value);
/* copied: the bytes do not last as long as the statement. */
void value_result(sqlite3_context *context, const edb_value *value, bool copied);

#endif
