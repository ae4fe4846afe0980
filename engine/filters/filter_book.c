/* The filters of a database, kept by the process for all who have it open, and what commits add to them.
 *
 * Under the mutex only records are looked at; keys are added and asked for outside of it, by those who hold a reference. A
 * filter that another one has replaced lives as long as a statement has a view of it.
 *
 * Commits of this process (hooks.h): when a commit's changes are applied to a tree that the filter knows up to its newest change,
 * their keys are added at once. That the filter has the commit is said only when the commit is published: until then it may
 * fail, and another one get its number. Commits of other processes are found in the tree (filter_make.c). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "native/hash.h"
#include "engine/filters/filters_internal.h"

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *setting, const char *const *words)
{
    for (; *words; words++)
        if (!strcasecmp(setting, *words))
            return true;
    return false;
}

static filter_mode mode_of_environment(void)
{
    static const char *const off[] = { "off", "false", "no", "0", NULL }, *const on[] = { "on", "true", "yes", "1", NULL };
    const char *setting = getenv("ENTITYDB_BLOOM");

    return !setting ? FILTERS_AUTO : is_one_of(setting, off) ? FILTERS_OFF : is_one_of(setting, on) ? FILTERS_ON : FILTERS_AUTO;
}

static bool is_rate(double rate)
{
    return rate >= 1e-6 && rate <= 0.5;
}

static double rate_of_environment(void)
{
    const char *setting = getenv("ENTITYDB_BLOOM_RATE");
    char *end;
    double rate = setting ? strtod(setting, &end) : 0;

    return setting && end != setting && is_rate(rate) ? rate : FILTER_RATE;
}

static size_t most_of_environment(void)
{
    const char *setting = getenv("ENTITYDB_BLOOM_CACHE_SIZE");
    char *end;
    size_t bytes = setting ? strtoull(setting, &end, 10) : 0;

    return setting && end != setting ? bytes : FILTERS_MOST;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* Where the tree's is, or would be. */
static tree_filter **place_of(tree_filter **trees, size_t room, uint32_t tree)
{
    size_t i = hash_fast(&tree, sizeof tree, 0) & (room - 1);

    while (trees[i] && trees[i]->ft_tree != tree)
        i = (i + 1) & (room - 1);
    return &trees[i];
}

static bool grow(filter_book *book)
{
    size_t room = book->fb_room ? 2 * book->fb_room : 16;
    tree_filter **trees = calloc(room, sizeof *trees);

    if (!trees)
        return false;
    for (size_t i = 0; i < book->fb_room; i++)
        if (book->fb_trees[i])
            *place_of(trees, room, book->fb_trees[i]->ft_tree) = book->fb_trees[i];
    free(book->fb_trees);
    book->fb_trees = trees;
    book->fb_room = room;
    return true;
}

tree_filter *book_tree(filter_book *book, uint32_t tree, uint64_t born)
{
    if (2 * book->fb_used >= book->fb_room && !grow(book))
        return NULL;
    tree_filter **place = place_of(book->fb_trees, book->fb_room, tree), *ft = *place;
    if (ft && ft->ft_born == born)
        return ft;
    if (ft) {                       /* the number of a tree that is gone */
        book_drop(book, ft);
        ft->ft_policy = (filter_policy){ 0 };
    } else {
        if (!(ft = calloc(1, sizeof *ft)))
            return NULL;
        ft->ft_tree = tree;
        *place = ft;
        book->fb_used++;
    }
    ft->ft_born = born;
    return ft;
}

void book_drop(filter_book *book, tree_filter *ft)
{
    key_filter *kf = atomic_load(&ft->ft_filter);

    if (!kf)
        return;
    book->fb_bytes -= key_filter_bytes(kf);
    atomic_fetch_sub(&book->fb_filters, 1);
    atomic_store(&ft->ft_filter, NULL);
    ft->ft_pending = 0;
    key_filter_unref(kf);
}

static tree_filter *asked_longest_ago(filter_book *book, const tree_filter *but)
{
    tree_filter *found = NULL;

    for (size_t i = 0; i < book->fb_room; i++) {
        tree_filter *ft = book->fb_trees[i];
        if (ft && ft != but && atomic_load(&ft->ft_filter)
            && (!found || atomic_load(&ft->ft_asked) < atomic_load(&found->ft_asked)))
            found = ft;
    }
    return found;
}

bool book_install(filter_book *book, tree_filter *ft, key_filter *kf)
{
    size_t bytes = key_filter_bytes(kf);
    tree_filter *other;

    book_drop(book, ft);
    while (bytes <= book->fb_most && book->fb_bytes + bytes > book->fb_most && (other = asked_longest_ago(book, ft)))
        book_drop(book, other);
    if (book->fb_bytes + bytes > book->fb_most) {
        key_filter_unref(kf);
        return false;
    }
    atomic_store_explicit(&ft->ft_filter, kf, memory_order_release);
    atomic_store(&ft->ft_past, false);
    book->fb_bytes += bytes;
    atomic_fetch_add(&book->fb_filters, 1);
    atomic_fetch_add(&book->fb_clock, 1);
    return true;
}

void book_judge(filter_book *book, tree_filter *ft)
{
    if (atomic_load(&book->fb_mode) != FILTERS_AUTO || !atomic_load(&ft->ft_filter) || !policy_gives_up(&ft->ft_policy))
        return;
    book_drop(book, ft);
    policy_gave_up(&ft->ft_policy);
    book->fb_given_up++;
}

/* ---- commits ----------------------------------------------------------------------------------------------------- */

/* The filter that the commit's keys go into, one reference more; NULL: none. If the tree was `changed` later than what the filter
 * knows, somebody else's commit has to be found in it first, and this one will be found with it. And a filter that was not
 * there for the first portion does not get the others. */
static key_filter *learns(filter_book *book, uint32_t tree, uint64_t changed, uint64_t number, bool begins)
{
    tree_filter *ft = *place_of(book->fb_trees, book->fb_room, tree);
    key_filter *kf = ft ? atomic_load(&ft->ft_filter) : NULL;

    if (!kf)
        return NULL;
    if (begins)
        ft->ft_pending = changed <= atomic_load_explicit(&kf->kf_upto, memory_order_relaxed) ? number : 0;
    return ft->ft_pending == number ? key_filter_ref(kf) : NULL;
}

static void book_applied(void *data, uint32_t tree, uint64_t changed, uint64_t number, bool begins,
                         const tree_change *changes, size_t n)
{
    filter_book *book = data;
    key_filter *kf;
    filling fn;

    if (!atomic_load_explicit(&book->fb_filters, memory_order_relaxed))
        return;
    pthread_mutex_lock(&book->fb_mutex);
    kf = learns(book, tree, changed, number, begins);
    pthread_mutex_unlock(&book->fb_mutex);
    if (!kf)
        return;
    filling_begin(&fn, kf, false);
    for (size_t i = 0; i < n; i++)
        if (!changes[i].tombstone)
            filling_key(&fn, changes[i].key, changes[i].key_size);
    filling_end(&fn);
    pthread_mutex_lock(&book->fb_mutex);
    tree_filter *ft = *place_of(book->fb_trees, book->fb_room, tree);
    if (atomic_load(&ft->ft_filter) == kf) {
        policy_spent(&ft->ft_policy, (double)fn.fn_met * WORK_ADD);
        book_judge(book, ft);
    }
    pthread_mutex_unlock(&book->fb_mutex);
    key_filter_unref(kf);
}

/* What a failed commit has left pending is overwritten by the next that puts anything into the tree. If that one does not, and
 * gets the same number, then the tree is at that number what it was before, and the filter has it. */
static void book_published(void *data, uint64_t number)
{
    filter_book *book = data;

    if (!atomic_load_explicit(&book->fb_filters, memory_order_relaxed))
        return;
    pthread_mutex_lock(&book->fb_mutex);
    for (size_t i = 0; i < book->fb_room; i++) {
        tree_filter *ft = book->fb_trees[i];
        key_filter *kf = ft ? atomic_load(&ft->ft_filter) : NULL;
        if (kf && ft->ft_pending == number)
            key_filter_upto(kf, number);
    }
    pthread_mutex_unlock(&book->fb_mutex);
}

/* ---- of the database ---------------------------------------------------------------------------------------------- */

static void *book_make(void)
{
    filter_book *book = calloc(1, sizeof *book);

    if (!book)
        return NULL;
    pthread_mutex_init(&book->fb_mutex, NULL);
    atomic_init(&book->fb_mode, mode_of_environment());
    book->fb_rate = rate_of_environment();
    book->fb_most = most_of_environment();
    return book;
}

static void drop_all(filter_book *book)
{
    for (size_t i = 0; i < book->fb_room; i++)
        if (book->fb_trees[i])
            book_drop(book, book->fb_trees[i]);
}

static void book_free(void *data)
{
    filter_book *book = data;

    drop_all(book);
    for (size_t i = 0; i < book->fb_room; i++)
        free(book->fb_trees[i]);
    free(book->fb_trees);
    key_filters_free(&book->fb_all);
    pthread_mutex_destroy(&book->fb_mutex);
    free(book);
}

static void book_count(void *data, edb_stats *out)
{
    filter_book *book = data;

    pthread_mutex_lock(&book->fb_mutex);
    out->filters = atomic_load(&book->fb_filters);
    out->filter_bytes = book->fb_bytes;
    out->filter_asked = atomic_load(&book->fb_asked);
    out->filter_denied = atomic_load(&book->fb_denied);
    out->filter_wrong = atomic_load(&book->fb_wrong);
    out->filters_made = book->fb_made;
    out->filters_caught_up = book->fb_caught_up;
    out->filters_given_up = book->fb_given_up;
    pthread_mutex_unlock(&book->fb_mutex);
}

static txn_hooks filter_hooks = {
    .hk_name = "filters", .hk_applied = book_applied, .hk_published = book_published, .hk_db_make = book_make,
    .hk_db_free = book_free, .hk_db_count = book_count,
};

__attribute__((constructor)) static void filters_register(void)
{
    hooks_register(&filter_hooks);
}

filter_book *book_of(edb_conn *conn)
{
    /* In a forked child the mutex may be held by a thread that is not there. */
    return conn_usable(conn) ? db_data(conn, &filter_hooks) : NULL;
}

filter_book *book_at(hooks_home *home)
{
    return hooks_home_data(home, &filter_hooks);
}

key_filter *book_filter(filter_book *book, uint32_t tree, uint64_t born)
{
    key_filter *kf;

    pthread_mutex_lock(&book->fb_mutex);
    tree_filter *ft = book->fb_room ? *place_of(book->fb_trees, book->fb_room, tree) : NULL;
    kf = ft ? key_filter_at(&ft->ft_filter, tree, born) : NULL;
    pthread_mutex_unlock(&book->fb_mutex);
    return kf;
}

bool filters_set(edb_conn *conn, filter_mode mode, double rate)
{
    filter_book *book = book_of(conn);

    if (!book || !is_rate(rate))
        return false;
    pthread_mutex_lock(&book->fb_mutex);
    drop_all(book);
    for (size_t i = 0; i < book->fb_room; i++)
        if (book->fb_trees[i])
            book->fb_trees[i]->ft_policy = (filter_policy){ 0 };
    atomic_fetch_add(&book->fb_clock, 1);
    atomic_store(&book->fb_mode, mode);
    book->fb_rate = rate;
    book->fb_settings++;
    pthread_mutex_unlock(&book->fb_mutex);
    return true;
}
