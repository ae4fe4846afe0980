/* What a statement may ask (filters.h). */
#include <stdlib.h>
#include <string.h>

#include "native/bytes.h"
#include "engine/filters/filters_internal.h"

struct filter_view {
    filter_view *fv_next;           /* of the same statement */
    filter_book *fv_book;           /* outlives the statement */
    filter_seat *fv_seat;           /* of its connection, which does too */
    uint32_t fv_tree;
    bool fv_now;
    uint64_t fv_born;
    key_filter *fv_filter;          /* counted; NULL: there is none to be asked */
    filter_tally fv_tally;
};

/* ---- views -------------------------------------------------------------------------------------------------------- */

static void view_end(filter_view *fv)
{
    const filter_tally *ta = &fv->fv_tally;
    filter_book *book = fv->fv_book;

    if (ta->ta_asked) {
        atomic_fetch_add_explicit(&book->fb_asked, ta->ta_asked, memory_order_relaxed);
        atomic_fetch_add_explicit(&book->fb_denied, ta->ta_denied, memory_order_relaxed);
        atomic_fetch_add_explicit(&book->fb_wrong, ta->ta_wrong, memory_order_relaxed);
    }
    filter_seat_tell(book, fv->fv_seat, fv->fv_tree, fv->fv_born, ta);
    key_filter_unref(fv->fv_filter);
    free(fv);
}

static void views_end(void *data)
{
    for (filter_view *fv = data, *next; fv; fv = next) {
        next = fv->fv_next;
        view_end(fv);
    }
}

static txn_hooks view_hooks = { .hk_name = "views of filters", .hk_stmt_free = views_end };

__attribute__((constructor)) static void views_register(void)
{
    hooks_register(&view_hooks);
}

static filter_view *view_new(const filter_question *fq, bool now)
{
    filter_view *fv, *first = stmt_data(fq->fq_stmt, &view_hooks);
    filter_seat *seat = filter_seat_of(stmt_conn(fq->fq_stmt), fq->fq_look.lo_tree.ts_id);

    if (!seat || !(fv = calloc(1, sizeof *fv)))
        return NULL;
    fv->fv_book = fq->fq_book;
    fv->fv_seat = seat;
    fv->fv_tree = fq->fq_look.lo_tree.ts_id;
    fv->fv_born = fq->fq_look.lo_tree.ts_born;
    fv->fv_now = now;
    fv->fv_filter = filter_take(seat, fq);
    /* Behind the first, which the statement has already. */
    if (first) {
        fv->fv_next = first->fv_next;
        first->fv_next = fv;
    } else {
        stmt_data_set(fq->fq_stmt, &view_hooks, fv);
    }
    return fv;
}

filter_view *filters_of(edb_stmt *stmt, uint32_t tree, uint64_t looks, bool now)
{
    for (filter_view *fv = stmt_data(stmt, &view_hooks); fv; fv = fv->fv_next)
        if (fv->fv_tree == tree && fv->fv_now == now)
            return fv;

    filter_book *book = book_of(stmt_conn(stmt));
    filter_question fq = { .fq_book = book, .fq_stmt = stmt, .fq_root = stmt_snapshot(stmt)->sn_number,
                           .fq_moment = edb_stmt_moment(stmt), .fq_looks = looks };
    if (!book || atomic_load_explicit(&book->fb_mode, memory_order_relaxed) == FILTERS_OFF
        || !stmt_look(stmt, tree, &fq.fq_look))
        return NULL;
    fq.fq_need = now ? fq.fq_root : fq.fq_moment;
    return view_new(&fq, now);
}

bool filter_asks(const filter_view *fv)
{
    return fv && fv->fv_filter;
}

bool filter_denies(filter_view *fv, const void *key, size_t size)
{
    if (!filter_asks(fv))
        return false;
    bool denied = !bloom_may_have(&fv->fv_filter->kf_bloom, key_hash(key, size, fv->fv_filter->kf_numbers));
    fv->fv_tally.ta_asked++;
    fv->fv_tally.ta_denied += denied;
    return denied;
}

enum { KEYS_AT_ONCE = 256 };

/* -> how many may be there. */
static size_t deny_some(const filter_view *fv, const uint64_t *hashes, size_t n, bool *denied)
{
    size_t perhaps = bloom_may_have_all(&fv->fv_filter->kf_bloom, hashes, n, denied);

    for (size_t i = 0; i < n; i++)
        denied[i] = !denied[i];
    return perhaps;
}

static size_t tally(filter_view *fv, size_t n, size_t perhaps)
{
    fv->fv_tally.ta_asked += n;
    fv->fv_tally.ta_denied += n - perhaps;
    return n - perhaps;
}

typedef uint64_t (*hash_of_fn)(const filter_view *fv, const void *keys, size_t at);

/* Inlined for each kind of keys, so that a key costs no call. */
static inline __attribute__((always_inline)) size_t deny_all(filter_view *fv, hash_of_fn hash_of, const void *keys, size_t n,
                                                             bool *denied)
{
    uint64_t hashes[KEYS_AT_ONCE];
    size_t perhaps = 0;

    if (!filter_asks(fv)) {
        memset(denied, 0, n);
        return 0;
    }
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < KEYS_AT_ONCE ? n - at : KEYS_AT_ONCE;
        for (size_t i = 0; i < some; i++)
            hashes[i] = hash_of(fv, keys, at + i);
        perhaps += deny_some(fv, hashes, some, denied + at);
    }
    return tally(fv, n, perhaps);
}

static inline uint64_t hash_of_row(const filter_view *fv, const void *ids, size_t at)
{
    uint8_t key[8];

    (void)fv;
    rowid_store(key, ((const int64_t *)ids)[at]);
    return key_hash(key, sizeof key, true);
}

static inline uint64_t hash_of_text(const filter_view *fv, const void *texts, size_t at)
{
    const edb_value *text = (const edb_value *)texts + at;

    return key_hash(text->bytes, text->size, fv->fv_filter->kf_numbers);
}

size_t filter_denies_rows(filter_view *fv, const int64_t *ids, size_t n, bool *denied)
{
    return deny_all(fv, hash_of_row, ids, n, denied);
}

size_t filter_denies_texts(filter_view *fv, const edb_value *texts, size_t n, bool *denied)
{
    return deny_all(fv, hash_of_text, texts, n, denied);
}

void filter_looked(filter_view *fv, uint64_t looks, uint64_t missing, uint64_t pages, bool sorted)
{
    if (!fv)
        return;
    filter_tally *ta = &fv->fv_tally;
    double work = (double)pages * WORK_PAGE + (double)looks * (WORK_LOOK + (sorted ? WORK_SORT : 0));

    if (fv->fv_filter) {
        ta->ta_passed += looks;
        ta->ta_wrong += missing;
        ta->ta_passed_work += work;
    } else {
        ta->ta_looks += looks;
        ta->ta_missing += missing;
        ta->ta_work += work;
    }
}
