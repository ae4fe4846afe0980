/* Changes on their way into a content. See content_queue.h. */
#define _GNU_SOURCE
#include "engine/tree/content_queue.h"

#include <sched.h>
#include <stdlib.h>

#define APART_BYTES (256u << 10)    /* of keys and values, from which a thread pays: hashing them takes 130 us, a thread 20 */

static uint64_t changes_bytes(const tree_change *changes, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += changes[i].key_size + changes[i].value_size;
    return bytes;
}

/* Whether two threads can run at once. */
static bool two_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

static void *queue_main(void *arg)
{
    content_queue *q = arg;
    size_t done = 0;

    pthread_mutex_lock(&q->cqu_mutex);
    for (;;) {
        size_t ready = q->cqu_ready;
        if (done == ready && q->cqu_ended)
            break;
        if (done == ready) {
            pthread_cond_wait(&q->cqu_told, &q->cqu_mutex);
            continue;
        }
        pthread_mutex_unlock(&q->cqu_mutex);
        content_changes(q->cqu_content, q->cqu_made + done, ready - done);
        done = ready;
        pthread_mutex_lock(&q->cqu_mutex);
    }
    pthread_mutex_unlock(&q->cqu_mutex);
    return NULL;
}

static bool start_apart(content_queue *q)
{
    pthread_mutex_init(&q->cqu_mutex, NULL);
    pthread_cond_init(&q->cqu_told, NULL);
    q->cqu_ready = 0;
    q->cqu_ended = false;
    if (pthread_create(&q->cqu_thread, NULL, queue_main, q) == 0)
        return true;
    pthread_cond_destroy(&q->cqu_told);
    pthread_mutex_destroy(&q->cqu_mutex);
    return false;
}

int content_queue_begin(content_queue *q, tree_content *content, const tree_change *changes, size_t n)
{
    q->cqu_content = content;
    q->cqu_made = NULL;
    q->cqu_n = 0;
    q->cqu_apart = false;
    if (!content || n == 1)
        return EDB_OK;
    if (!(q->cqu_made = malloc(n * sizeof *q->cqu_made)))
        return edb_fail(EDB_NOMEM, "no memory to apply the changes of a commit");
    q->cqu_apart = changes_bytes(changes, n) >= APART_BYTES && two_processors() && start_apart(q);
    return EDB_OK;
}

static void tell(content_queue *q, bool ended)
{
    pthread_mutex_lock(&q->cqu_mutex);
    q->cqu_ready = q->cqu_n;
    q->cqu_ended = ended;
    pthread_cond_signal(&q->cqu_told);
    pthread_mutex_unlock(&q->cqu_mutex);
}

void content_queue_tell(content_queue *q)
{
    tell(q, false);
}

void content_queue_end(content_queue *q)
{
    if (q->cqu_apart) {
        tell(q, true);
        pthread_join(q->cqu_thread, NULL);
        pthread_cond_destroy(&q->cqu_told);
        pthread_mutex_destroy(&q->cqu_mutex);
    } else if (q->cqu_made) {
        content_changes(q->cqu_content, q->cqu_made, q->cqu_n);
    }
    free(q->cqu_made);
}
