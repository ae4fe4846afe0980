/* The filter that a statement may ask, made, grown or brought up to date for it where that is worth it.
 *
 * A filter may be asked about the moments from T to the last one that the statement reads if it has the keys of all of them:
 * from its base on, and up to a commit behind which the tree has not changed. Then what it denies was in the tree at none.
 *
 * A statement that only asks a filter, or asks none, takes no lock. For that each connection keeps seats, one a tree: where
 * the tree's record is, what its policy was, and what has been looked up since. Seats tell the record about it now and then
 * (a meeting), under the mutex, and at once when a filter seems to be worth making by what they know. */
#include <stdlib.h>
#include <string.h>

#include "engine/filters/filters_internal.h"

/* ---- what is to be done ------------------------------------------------------------------------------------------- */

typedef enum { NOTHING, MAKE, CATCH_UP } filter_work;

static bool answers(const key_filter *kf, const filter_question *fq)
{
    if (!kf || kf->kf_base > fq->fq_moment)
        return false;
    uint64_t upto = atomic_load_explicit(&kf->kf_upto, memory_order_acquire);
    return fq->fq_need <= upto || fq->fq_look.lo_tree.ts_changed <= upto;
}

static bool is_full(const key_filter *kf)
{
    return atomic_load_explicit(&kf->kf_keys, memory_order_relaxed) > kf->kf_full;
}

/* Work that making one will take; exact enough for a tree without a past. */
static double work_to_make(const filter_question *fq)
{
    return (double)fq->fq_look.lo_tree.ts_live * (WORK_ADD + WORK_PAGE / 50.0) + 20 * WORK_PAGE;
}

/* Of the filter there is, which may be NULL. */
static filter_work wanted(const filter_policy *po, const key_filter *kf, const filter_question *fq)
{
    bool always = atomic_load_explicit(&fq->fq_book->fb_mode, memory_order_relaxed) == FILTERS_ON;
    bool serves = kf && kf->kf_base <= fq->fq_moment;

    if (serves && is_full(kf) && (always || po->po_balance >= 0))
        return MAKE;
    if (answers(kf, fq))
        return NOTHING;
    if (serves)
        return always || policy_catches_up(po, fq->fq_looks) ? CATCH_UP : NOTHING;
    return always || policy_makes(po, fq->fq_looks, work_to_make(fq)) ? MAKE : NOTHING;
}

/* ---- doing it, under the mutex, which is let go meanwhile --------------------------------------------------------- */

/* -> the record, found again; NULL: it is gone. */
static tree_filter *make_one(filter_book *book, tree_filter *ft, const filter_question *fq)
{
    const tree_state *state = &fq->fq_look.lo_tree;
    const key_filter *before = atomic_load(&ft->ft_filter);
    bool reaches_back = before && atomic_load(&ft->ft_past) && before->kf_base < fq->fq_moment;
    uint64_t base = reaches_back ? before->kf_base : fq->fq_moment;
    uint64_t most = before && is_full(before) ? 2 * state->ts_live : state->ts_live, settings = book->fb_settings;
    double rate = book->fb_rate, work;

    ft->ft_busy = true;
    pthread_mutex_unlock(&book->fb_mutex);
    key_filter *kf = filter_make(fq, base, most, rate, &work);
    pthread_mutex_lock(&book->fb_mutex);
    if (!(ft = book_tree(book, state->ts_id, state->ts_born))) {
        key_filter_unref(kf);
        return NULL;
    }
    ft->ft_busy = false;
    if (kf && settings != book->fb_settings) {
        key_filter_unref(kf);
        return ft;
    }
    if (!kf || !book_install(book, ft, kf)) {
        policy_gave_up(&ft->ft_policy);
        return ft;
    }
    policy_made(&ft->ft_policy, work);
    book->fb_made++;
    return ft;
}

static tree_filter *catch_up(filter_book *book, tree_filter *ft, const filter_question *fq)
{
    const tree_state *state = &fq->fq_look.lo_tree;
    bool always = atomic_load(&book->fb_mode) == FILTERS_ON;
    uint64_t most = always ? UINT64_MAX : (uint64_t)(ft->ft_policy.po_build / WORK_PAGE) + 16;
    key_filter *kf = key_filter_ref(atomic_load(&ft->ft_filter));
    double work;

    ft->ft_busy = true;
    pthread_mutex_unlock(&book->fb_mutex);
    bool done = filter_catch_up(fq, kf, most, &work);
    pthread_mutex_lock(&book->fb_mutex);
    if ((ft = book_tree(book, state->ts_id, state->ts_born)))
        ft->ft_busy = false;
    if (ft && atomic_load(&ft->ft_filter) == kf) {
        policy_caught_up(&ft->ft_policy, work);
        book->fb_caught_up += done;
        book_judge(book, ft);
    }
    key_filter_unref(kf);
    return ft;
}

static tree_filter *mend(filter_book *book, tree_filter *ft, const filter_question *fq)
{
    if (ft->ft_busy)
        return ft;
    switch (wanted(&ft->ft_policy, atomic_load(&ft->ft_filter), fq)) {
    case MAKE:
        return make_one(book, ft, fq);
    case CATCH_UP:
        return catch_up(book, ft, fq);
    default:
        return ft;
    }
}

/* ---- seats --------------------------------------------------------------------------------------------------------- */

enum { SEATS = 16 };                /* of a connection */
enum { MEET_ASKED = 256, MEET_LOOKS = 1024, MEET_MISSING = 16 };    /* since the last meeting */

struct filter_seat {
    tree_filter *fse_record;         /* stays while the database is open; NULL: nobody has the seat */
    uint32_t fse_tree;
    uint64_t fse_born;
    filter_policy fse_policy;        /* at the last meeting */
    filter_tally fse_tally;          /* since */
};

static void seats_free(void *seats)
{
    free(seats);
}

static txn_hooks seat_hooks = { .hk_name = "seats at filters", .hk_conn_free = seats_free };

__attribute__((constructor)) static void seats_register(void)
{
    hooks_register(&seat_hooks);
}

filter_seat *filter_seat_of(edb_conn *conn, uint32_t tree)
{
    filter_seat *seats = conn_data(conn, &seat_hooks);

    if (!seats && (seats = calloc(SEATS, sizeof *seats)))
        conn_data_set(conn, &seat_hooks, seats);
    return seats ? &seats[tree % SEATS] : NULL;
}

/* Under the mutex. */
static void judge_tally(filter_book *book, tree_filter *ft, const filter_tally *ta)
{
    policy_looked(&ft->ft_policy, ta->ta_looks, ta->ta_missing, ta->ta_work, false);
    policy_looked(&ft->ft_policy, ta->ta_passed, ta->ta_wrong, ta->ta_passed_work, true);
    policy_asked(&ft->ft_policy, ta->ta_asked, ta->ta_denied);
    book_judge(book, ft);
}

static void meet(filter_book *book, filter_seat *se)
{
    if (!se->fse_record)
        return;
    tree_filter *ft = book_tree(book, se->fse_tree, se->fse_born);
    if (ft) {
        judge_tally(book, ft, &se->fse_tally);
        se->fse_policy = ft->ft_policy;
    }
    se->fse_tally = (filter_tally){ 0 };
}

static bool sits(const filter_seat *se, const filter_question *fq)
{
    return se->fse_record && se->fse_tree == fq->fq_look.lo_tree.ts_id && se->fse_born == fq->fq_look.lo_tree.ts_born;
}

static void sit_down(filter_book *book, filter_seat *se, tree_filter *ft)
{
    meet(book, se);
    *se = (filter_seat){ .fse_record = ft, .fse_tree = ft->ft_tree, .fse_born = ft->ft_born, .fse_policy = ft->ft_policy };
}

void filter_seat_tell(filter_book *book, filter_seat *se, uint32_t tree, uint64_t born, const filter_tally *ta)
{
    filter_tally *sum = &se->fse_tally;

    if (!se->fse_record || se->fse_tree != tree || se->fse_born != born)
        return;                     /* another tree has the seat: what a statement met is lost, which is no harm */
    sum->ta_looks += ta->ta_looks;
    sum->ta_missing += ta->ta_missing;
    sum->ta_work += ta->ta_work;
    sum->ta_passed += ta->ta_passed;
    sum->ta_wrong += ta->ta_wrong;
    sum->ta_passed_work += ta->ta_passed_work;
    sum->ta_asked += ta->ta_asked;
    sum->ta_denied += ta->ta_denied;
    if (sum->ta_asked < MEET_ASKED && sum->ta_looks + sum->ta_passed < MEET_LOOKS && sum->ta_missing < MEET_MISSING)
        return;
    pthread_mutex_lock(&book->fb_mutex);
    meet(book, se);
    pthread_mutex_unlock(&book->fb_mutex);
}

/* ---- taking it ------------------------------------------------------------------------------------------------------ */

static key_filter *taken(filter_book *book, tree_filter *ft, key_filter *kf, const filter_question *fq)
{
    uint64_t clock = atomic_load_explicit(&book->fb_clock, memory_order_relaxed);

    if (!answers(kf, fq)) {
        key_filter_unref(kf);
        return NULL;
    }
    if (atomic_load_explicit(&ft->ft_asked, memory_order_relaxed) != clock)
        atomic_store_explicit(&ft->ft_asked, clock, memory_order_relaxed);
    if (stmt_is_past(fq->fq_stmt) && !atomic_load_explicit(&ft->ft_past, memory_order_relaxed))
        atomic_store_explicit(&ft->ft_past, true, memory_order_relaxed);
    return kf;
}

static key_filter *take_by_mutex(filter_seat *se, const filter_question *fq)
{
    const tree_state *state = &fq->fq_look.lo_tree;
    filter_book *book = fq->fq_book;
    key_filter *kf = NULL;

    pthread_mutex_lock(&book->fb_mutex);
    tree_filter *ft = book_tree(book, state->ts_id, state->ts_born);
    if (ft) {
        sit_down(book, se, ft);
        atomic_store(&ft->ft_asked, atomic_load(&book->fb_clock));
        if ((ft = mend(book, ft, fq))) {
            se->fse_policy = ft->ft_policy;
            kf = key_filter_at(&ft->ft_filter, state->ts_id, state->ts_born);
            kf = kf ? taken(book, ft, kf, fq) : NULL;
        }
    }
    pthread_mutex_unlock(&book->fb_mutex);
    return kf;
}

key_filter *filter_take(filter_seat *se, const filter_question *fq)
{
    const tree_state *state = &fq->fq_look.lo_tree;

    if (!sits(se, fq))
        return take_by_mutex(se, fq);
    key_filter *kf = key_filter_at(&se->fse_record->ft_filter, state->ts_id, state->ts_born);
    if (wanted(&se->fse_policy, kf, fq) == NOTHING)
        return taken(fq->fq_book, se->fse_record, kf, fq);
    key_filter_unref(kf);
    return take_by_mutex(se, fq);
}
