/* An interning table: texts and their ids, each text stored once, so that one pointer stands for both.
 *
 * A table holds pairs of a text (any bytes) and an id (any number); no text and no id is in it twice. The caller chooses the
 * ids and gives only pairs that hold for ever: an entry is never changed, moved or removed before the table is freed. That
 * is why readers need no locks and may keep pointers to entries as long as the table lives. It is also why a full table
 * takes nothing more in, instead of dropping what was not used for long: nobody could say when the last reader has let go
 * of a dropped entry. "Not found" means "not kept here"; the caller then asks where the pairs really are.
 *
 * Threads: intern_find(), intern_find_id() and intern_count() take no lock and never wait. intern_put() takes a mutex. What a
 * thread put is found by every thread that this is known to through anything that synchronises. In a child of fork() the
 * table can be read; a put could wait for ever for a thread that exists only in the parent.
 *
 * Memory: at most the bytes given to intern_new(), the table itself and all slots included. */
#ifndef EDB_INTERN_H
#define EDB_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t ie_id;
    size_t ie_size;             /* bytes of the text */
    char ie_text[];             /* not ended by a zero */
} intern_entry;

typedef struct intern intern;

typedef struct {
    uint64_t hits, misses;      /* answers of both ways of finding */
    uint64_t entries;
    uint64_t refused;           /* puts that were not kept */
    size_t bytes;               /* in use; never more than those given */
} intern_counts;

/* `bytes` is the most it may take in all; below a few kilobytes it keeps nothing. -> NULL: memory is exhausted. */
intern *intern_new(size_t bytes);
/* Every entry ends. Nobody may be using the table; NULL does nothing. */
void intern_free(intern *table);

/* -> whether it is there; else `entry` is left alone. */
bool intern_find(intern *table, const void *text, size_t size, const intern_entry **entry);
bool intern_find_id(intern *table, uint64_t id, const intern_entry **entry);
/* Takes a pair in (the text is copied). -> its entry, also when it was there before. NULL, it is not kept: the table is full,
 * memory is exhausted, or the text is there with another id or the id with another text. */
const intern_entry *intern_put(intern *table, const void *text, size_t size, uint64_t id);
/* Any time. Each figure is right by itself; together they may be of slightly different times while others use the table. */
void intern_count(const intern *table, intern_counts *out);

#endif
