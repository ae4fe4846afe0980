/* The changes of one tree_apply() that make versions, on their way into the tree's content (tree_content.h).
 *
 * SHA-256 takes its bytes one after the other, some 2 GB/s, and would be a fifth of the time of a large commit. So only a change that
 * comes alone is hashed where it is made. Others are listed; where they are many, a thread hashes what is listed while the tree goes
 * on. It reads the changes, which stay as they are until tree_apply() returns, and it alone writes the content from the beginning to the
 * end of the queue. Where no second thread can run, or is to be had, the list is hashed at the end. */
#ifndef EDB_CONTENT_QUEUE_H
#define EDB_CONTENT_QUEUE_H

#include <pthread.h>

#include "engine/tree/tree_content.h"

typedef struct {
    tree_content *cqu_content;
    const tree_change **cqu_made;       /* those that make versions, in order; NULL: each is hashed at once */
    size_t cqu_n;
    bool cqu_apart;                     /* a thread hashes them */
    pthread_t cqu_thread;
    pthread_mutex_t cqu_mutex;          /* of the two below */
    pthread_cond_t cqu_told;
    size_t cqu_ready;                   /* of cqu_made, that the thread may look at */
    bool cqu_ended;
} content_queue;

/* For at most these changes. content NULL: nobody asks, and nothing is done. The queue stays where it is. After EDB_NOMEM there is no end. */
int content_queue_begin(content_queue *q, tree_content *content, const tree_change *changes, size_t n);
/* The thread may look at all that are listed. */
void content_queue_tell(content_queue *q);
void content_queue_end(content_queue *q);

#define QUEUE_STEP 1024             /* changes that the thread is told of at once: some 100 KB of small rows */

/* One of them makes a version, or ends one. */
static inline void content_queue_add(content_queue *q, const tree_change *c)
{
    if (q->cqu_made) {
        q->cqu_made[q->cqu_n++] = c;
        if (q->cqu_apart && q->cqu_n % QUEUE_STEP == 0)
            content_queue_tell(q);
    } else if (q->cqu_content) {
        content_changes(q->cqu_content, &c, 1);
    }
}

#endif
