/* An arena: allocations that live and die together. Not thread-safe; what is allocated never moves. */
#ifndef EDB_ARENA_H
#define EDB_ARENA_H

#include <stddef.h>

typedef struct arena_chunk arena_chunk;
typedef struct {
    arena_chunk *an_chunks;     /* newest first */
    char *an_next, *an_end;     /* free bytes of the newest chunk */
    size_t an_bytes;            /* taken from the system so far */
} arena;

void arena_init(arena *a);
/* Cuts from room of the caller's first, which is aligned to 8 and outlasts the arena. Such an arena is not reset. */
void arena_init_in(arena *a, void *room, size_t size);
/* `size` bytes aligned to 8, uninitialised; NULL when memory is exhausted. */
void *arena_alloc(arena *a, size_t size);
/* A copy of `size` bytes; NULL when memory is exhausted. */
void *arena_copy(arena *a, const void *bytes, size_t size);
/* Bytes that arena_alloc of `size` would take from the system: 0 if what is there suffices. */
size_t arena_takes(const arena *a, size_t size);
/* Everything that was allocated ends. reset keeps memory for what comes next, free gives all of it back; the arena can be
 * used again after both. */
void arena_reset(arena *a);
void arena_free(arena *a);

#endif
