/* An arena: bytes are cut from the front of chunks, and chunks are given back together.
 *
 * Chunks double from 4 KiB to 2 MiB, so that a small transaction costs a page and a large one few system calls. Full
 * chunks of 2 MiB ask for a huge page: a skip list of a million nodes is walked at random, and with 4 KiB pages half
 * of each step would be a miss of the address cache. An allocation larger than a quarter chunk gets a chunk of its
 * own, put behind the current one so that the current one's rest is not lost. */
#include "native/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_MIN = 4096, CHUNK_MAX = 2 << 20 };

struct arena_chunk {
    arena_chunk *ch_next;
    size_t ch_size;         /* bytes of the chunk, this header included */
};

_Static_assert(sizeof(arena_chunk) % 8 == 0, "what follows the header is aligned to 8");

void arena_init(arena *a)
{
    memset(a, 0, sizeof *a);
}

void arena_init_in(arena *a, void *room, size_t size)
{
    arena_init(a);
    a->an_next = room;
    a->an_end = a->an_next + size;
}

static arena_chunk *chunk_new(arena *a, size_t size)
{
    arena_chunk *chunk = size == CHUNK_MAX ? aligned_alloc(CHUNK_MAX, CHUNK_MAX) : malloc(size);

    if (!chunk)
        return NULL;
    if (size == CHUNK_MAX)
        (void)madvise(chunk, CHUNK_MAX, MADV_HUGEPAGE);     /* a wish: where it is refused, all works the same */
    chunk->ch_size = size;
    a->an_bytes += size;
    return chunk;
}

/* The size of the next chunk, and whether it serves one allocation of `size` bytes alone. SIZE_MAX: there is no such chunk. */
static size_t next_chunk(const arena *a, size_t size, bool *alone)
{
    size_t chunk_size = a->an_bytes < CHUNK_MIN ? CHUNK_MIN : a->an_bytes < CHUNK_MAX ? a->an_bytes : CHUNK_MAX;

    /* A power of two: what single chunks added to an_bytes must not end the doubling early or late. */
    while (chunk_size & (chunk_size - 1))
        chunk_size &= chunk_size - 1;
    *alone = size > chunk_size / 4;
    if (!*alone)
        return chunk_size;
    return size < SIZE_MAX - sizeof(arena_chunk) ? size + sizeof(arena_chunk) : SIZE_MAX;
}

static void *arena_alloc_slow(arena *a, size_t size)
{
    bool alone;
    size_t chunk_size = next_chunk(a, size, &alone);
    arena_chunk *chunk = chunk_size < SIZE_MAX ? chunk_new(a, chunk_size) : NULL;

    if (!chunk)
        return NULL;
    if (alone && a->an_chunks) {
        chunk->ch_next = a->an_chunks->ch_next;
        a->an_chunks->ch_next = chunk;
        return chunk + 1;
    }
    chunk->ch_next = a->an_chunks;
    a->an_chunks = chunk;
    if (!alone) {
        a->an_next = (char *)(chunk + 1) + size;
        a->an_end = (char *)chunk + chunk_size;
    }
    return chunk + 1;
}

/* Sizes are multiples of 8, and nothing gets an address too: NULL means failure. */
static inline size_t rounded(size_t size)
{
    return (size + (size == 0) + 7) & ~(size_t)7;
}

void *arena_alloc(arena *a, size_t size)
{
    if (size > SIZE_MAX - 7)
        return NULL;
    size = rounded(size);
    if (size <= (size_t)(a->an_end - a->an_next)) {
        char *p = a->an_next;
        a->an_next += size;
        return p;
    }
    return arena_alloc_slow(a, size);
}

size_t arena_takes(const arena *a, size_t size)
{
    bool alone;

    if (size > SIZE_MAX - 7)
        return SIZE_MAX;
    size = rounded(size);
    return size <= (size_t)(a->an_end - a->an_next) ? 0 : next_chunk(a, size, &alone);
}

void *arena_copy(arena *a, const void *bytes, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p && size)
        memcpy(p, bytes, size);
    return p;
}

static void chunks_free(arena_chunk *chunk)
{
    for (arena_chunk *next; chunk; chunk = next) {
        next = chunk->ch_next;
        free(chunk);
    }
}

void arena_reset(arena *a)
{
    arena_chunk *kept = a->an_chunks;

    if (!a->an_end) {           /* no chunk that is cut from: there is none, or only ones of a single allocation */
        arena_free(a);
        return;
    }
    chunks_free(kept->ch_next);
    kept->ch_next = NULL;
    a->an_next = (char *)(kept + 1);
    a->an_end = (char *)kept + kept->ch_size;
    a->an_bytes = kept->ch_size;
}

void arena_free(arena *a)
{
    chunks_free(a->an_chunks);
    arena_init(a);
}
