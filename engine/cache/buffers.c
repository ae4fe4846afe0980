/* Buffers in classes. See buffers.h. */
#include "engine/cache/buffers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const size_t class_size[BUFFER_CLASSES] = { (size_t)1 << 10, (size_t)64 << 10, (size_t)1 << 20 };

typedef struct spare spare;
struct spare {
    spare *next;
};

/* The lock is taken while no other lock of the engine is asked for, and nothing but malloc runs under it. */
static struct {
    pthread_mutex_t bu_mutex;
    spare *bu_spare[BUFFER_CLASSES];
    buffer_counts bu_counts;
} pool = { .bu_mutex = PTHREAD_MUTEX_INITIALIZER };

static void fork_child(void)
{
    memset(&pool, 0, sizeof pool);
    pthread_mutex_init(&pool.bu_mutex, NULL);
}

__attribute__((constructor)) static void buffers_register(void)
{
    pthread_atfork(NULL, NULL, fork_child);
}

/* The smallest class that holds it; BUFFER_CLASSES: none does. */
static unsigned class_of(size_t size)
{
    unsigned c = 0;

    while (c < BUFFER_CLASSES && class_size[c] < size)
        c++;
    return c;
}

static void *allocated(size_t size)
{
    return aligned_alloc(64, size);
}

void *buffer_take(size_t size, size_t *room)
{
    unsigned c = class_of(size);
    size_t bytes = c < BUFFER_CLASSES ? class_size[c] : (size + 63) & ~(size_t)63;
    spare *found = NULL;

    pthread_mutex_lock(&pool.bu_mutex);
    pool.bu_counts.taken++;
    if (c < BUFFER_CLASSES && (found = pool.bu_spare[c])) {
        pool.bu_spare[c] = found->next;
        pool.bu_counts.kept_bytes -= bytes;
    } else {
        pool.bu_counts.made++;
    }
    pthread_mutex_unlock(&pool.bu_mutex);
    void *buffer = found ? (void *)found : allocated(bytes);
    if (buffer)
        *room = bytes;
    return buffer;
}

void buffer_give(void *buffer, size_t room)
{
    unsigned c = class_of(room);

    if (!buffer)
        return;
    if (c < BUFFER_CLASSES) {
        pthread_mutex_lock(&pool.bu_mutex);
        if (pool.bu_counts.kept_bytes + room <= BUFFERS_KEPT) {
            spare *given = buffer;
            given->next = pool.bu_spare[c];
            pool.bu_spare[c] = given;
            pool.bu_counts.kept_bytes += room;
            buffer = NULL;
        }
        pthread_mutex_unlock(&pool.bu_mutex);
    }
    free(buffer);
}

void buffers_count(buffer_counts *out)
{
    pthread_mutex_lock(&pool.bu_mutex);
    *out = pool.bu_counts;
    pthread_mutex_unlock(&pool.bu_mutex);
}

void buffers_forget(void)
{
    spare *all[BUFFER_CLASSES];

    pthread_mutex_lock(&pool.bu_mutex);
    memcpy(all, pool.bu_spare, sizeof all);
    memset(pool.bu_spare, 0, sizeof pool.bu_spare);
    pool.bu_counts.kept_bytes = 0;
    pthread_mutex_unlock(&pool.bu_mutex);
    for (unsigned c = 0; c < BUFFER_CLASSES; c++)
        while (all[c]) {
            spare *next = all[c]->next;
            free(all[c]);
            all[c] = next;
        }
}

bool room_for(room *r, size_t size, size_t used)
{
    size_t bytes;

    if (size <= r->rom_size)
        return true;
    /* What grows without end grows by half, so that copying stays linear. */
    if (size > class_size[BUFFER_CLASSES - 1] && size < r->rom_size + r->rom_size / 2)
        size = r->rom_size + r->rom_size / 2;
    void *more = buffer_take(size, &bytes);
    if (!more)
        return false;
    if (used)
        memcpy(more, r->rom_at, used);
    buffer_give(r->rom_at, r->rom_size);
    *r = (room){ more, bytes };
    return true;
}

void room_end(room *r)
{
    buffer_give(r->rom_at, r->rom_size);
    *r = (room){ NULL, 0 };
}
