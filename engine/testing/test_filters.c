/* Test builds only: breaks the filters of keys, so that the check has something to find. */
#ifdef EDB_TEST

#include "engine/testing/edb_test.h"
#include "engine/filters/filters_internal.h"

size_t test_filters_forget(edb_conn *conn)
{
    filter_book *book = book_of(conn);
    size_t n = 0;

    pthread_mutex_lock(&book->fb_mutex);
    for (size_t i = 0; i < book->fb_room; i++) {
        key_filter *kf = book->fb_trees[i] ? atomic_load(&book->fb_trees[i]->ft_filter) : NULL;
        if (kf)
            bloom_clear(&kf->kf_bloom);
        n += kf != NULL;
    }
    pthread_mutex_unlock(&book->fb_mutex);
    return n;
}

#endif
