/* What the files of filters share.
 *
 *   key_filter.c     one filter: its keys, and since when and until when it has them
 *   filter_policy.c  whether a filter pays
 *   filter_book.c    the filters of a database, and what commits of this process add to them
 *   filter_make.c    filling one from the tree, and bringing it up to date
 *   filter_take.c    which filter a statement may ask, and making it for it
 *   filter_view.c    what a statement may ask
 *   filter_check.c   I42
 *
 * Each uses only what stands above it in this list. */
#ifndef EDB_FILTERS_INTERNAL_H
#define EDB_FILTERS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "native/bloom.h"
#include "engine/filters/filters.h"
#include "engine/txn/hooks.h"

/* ---- key_filter.c ---- */

#define FILTER_LEAST 1000           /* keys that a filter is made for at least */
#define FILTER_OVER 1.1             /* so many times the rate asked for is borne before a larger one is made */

/* F1: every key that lived in the tree at some commit from kf_base to kf_upto is in it. (Keys of other commits may be, too.)
 * F2: kf_upto rises when the keys it promises are in: it is stored with release, and loaded with acquire before they are
 * asked for. Bits are never taken away.
 * F3: the struct stays while the database is open, and is used for one filter after the other; its bits go with its last
 * reference. So a reference can be taken without a lock: from a count that is not zero, and then kf_tree and kf_born tell
 * whether it is still the filter that was meant. */
typedef struct key_filter key_filter;
struct key_filter {
    key_filter *kf_next;            /* of all of the database */
    atomic_bool kf_spare;           /* it is no filter; whoever takes this away makes it one */
    atomic_size_t kf_refs;
    uint32_t kf_tree;
    bool kf_numbers;                /* keys are row ids of 8 bytes */
    uint64_t kf_born;               /* of the tree */
    uint64_t kf_base;
    _Atomic uint64_t kf_upto;
    _Atomic uint64_t kf_keys;       /* about how many are in it */
    uint64_t kf_full;               /* with more its rate is FILTER_OVER times what was asked for */
    bloom kf_bloom;
};

typedef _Atomic(key_filter *) key_filters;          /* all of a database, spare ones included */

/* An empty one, with one reference; NULL: no memory, or it would take more than most_bytes. */
key_filter *key_filter_new(key_filters *all, uint32_t tree, bool numbers, uint64_t born, uint64_t most_keys, double rate,
                           size_t most_bytes);
void key_filters_free(key_filters *all);            /* nobody has a reference */
key_filter *key_filter_ref(key_filter *kf);
/* The filter at a place that others may change meanwhile, one reference more; NULL: it is not one of this tree. */
key_filter *key_filter_at(key_filters *place, uint32_t tree, uint64_t born);
void key_filter_unref(key_filter *kf);              /* NULL is allowed */
size_t key_filter_bytes(const key_filter *kf);
uint64_t key_hash(const void *key, size_t size, bool number);
void key_filter_upto(key_filter *kf, uint64_t number);      /* raises it; never lowers it */

/* Keys on their way into a filter. */
enum { FILLING_MOST = 256 };
typedef struct {
    key_filter *fn_filter;
    bool fn_fresh;                  /* no key comes twice, and none was in it */
    size_t fn_n;
    uint64_t fn_hashes[FILLING_MOST];
    uint64_t fn_met;                /* keys so far */
} filling;

void filling_begin(filling *fn, key_filter *kf, bool fresh);
void filling_key(void *fn, const uint8_t *key, uint32_t size);      /* a tree_key_fn */
void filling_end(filling *fn);

/* ---- filter_policy.c ---- */

/* Work is counted in units of about ten nanoseconds. That is coarse, and the same on every machine and in every run. */
enum {
    WORK_ASK = 2,                   /* a filter */
    WORK_LOOK = 3,                  /* up a key, beside the pages touched for it */
    WORK_SORT = 8,                  /* each key */
    WORK_PAGE = 10,                 /* touched */
    WORK_ADD = 5,                   /* a key to a filter */
};

typedef struct {
    double po_look;                 /* work of a look without a filter: a moving mean; 0: none was met */
    double po_missing;              /* share of looks that find nothing: a moving mean */
    double po_lost;                 /* work that a filter would have spared since there was one that could be asked */
    double po_balance;              /* work spared less work done for it, since the filter was made */
    double po_build;                /* work that making one took */
    double po_catch_up;             /* work that bringing it up to date took last */
    unsigned po_given_up;           /* times, since it last paid */
} filter_policy;

void policy_looked(filter_policy *po, uint64_t looks, uint64_t missing, double work, bool filtered);
void policy_asked(filter_policy *po, uint64_t asked, uint64_t denied);
void policy_spent(filter_policy *po, double work);
void policy_made(filter_policy *po, double work);
void policy_caught_up(filter_policy *po, double work);
void policy_gave_up(filter_policy *po);
/* Whether work for a filter is worth it, now that so many looks are coming. */
bool policy_makes(const filter_policy *po, uint64_t looks, double work);
bool policy_catches_up(const filter_policy *po, uint64_t looks);
bool policy_gives_up(const filter_policy *po);

/* ---- filter_book.c ---- */

/* What is known of a tree; it stays where it is while the database is open. Guarded by fb_mutex, but for what is atomic. */
typedef struct {
    uint32_t ft_tree;
    uint64_t ft_born;
    key_filters ft_filter;          /* counted; changed under the mutex; NULL: none */
    bool ft_busy;                   /* a thread is making one, or bringing it up to date */
    atomic_bool ft_past;            /* asked by a statement of the past since it was made */
    uint64_t ft_pending;            /* the commit that is putting keys in, which have been added; 0: none */
    _Atomic uint64_t ft_asked;      /* fb_clock when it was asked last */
    filter_policy ft_policy;
} tree_filter;

#define FILTERS_MOST ((size_t)64 << 20)     /* bytes of all filters of a database, where the environment says nothing */

typedef struct {
    pthread_mutex_t fb_mutex;       /* guards what follows */
    atomic_int fb_mode;             /* a filter_mode; read without the mutex where that it is off decides */
    atomic_size_t fb_filters;       /* how many there are; read without the mutex where that there is none decides */
    double fb_rate;
    uint64_t fb_settings;           /* counts filters_set() */
    size_t fb_most;                 /* bytes that its filters may take */
    size_t fb_used, fb_room;        /* open addressing; a power of two of places */
    tree_filter **fb_trees;
    size_t fb_bytes;
    _Atomic uint64_t fb_clock;      /* ticks when a filter comes or changes; read without the mutex */
    key_filters fb_all;             /* not guarded */
    _Atomic uint64_t fb_asked, fb_denied, fb_wrong;     /* what stats() tells; not guarded */
    uint64_t fb_made, fb_caught_up, fb_given_up;
} filter_book;

filter_book *book_of(edb_conn *conn);               /* NULL: no memory, or the connection cannot be used */
filter_book *book_at(hooks_home *home);             /* what there is already; NULL: none */
/* The filter there is, one reference more; NULL: none. Not under the mutex. */
key_filter *book_filter(filter_book *book, uint32_t tree, uint64_t born);
/* What is known of the tree; NULL: no memory. Under the mutex, as all that follow. */
tree_filter *book_tree(filter_book *book, uint32_t tree, uint64_t born);
/* Puts the filter into the place of what was there; takes the reference. -> false: there is no room, and it is gone. */
bool book_install(filter_book *book, tree_filter *ft, key_filter *kf);
void book_drop(filter_book *book, tree_filter *ft);
void book_judge(filter_book *book, tree_filter *ft);    /* gives the filter up if it does not pay */

/* ---- filter_make.c ---- */

/* What a statement is about to ask. */
typedef struct {
    filter_book *fq_book;
    edb_stmt *fq_stmt;
    tree_look fq_look;              /* the tree in its root */
    uint64_t fq_root;               /* the root's number */
    uint64_t fq_moment;             /* T */
    uint64_t fq_need;               /* the last moment that it reads */
    uint64_t fq_looks;
} filter_question;

/* A new filter that has all keys from base on, made for so many; NULL: it cannot be made. *work: what it took. */
key_filter *filter_make(const filter_question *fq, uint64_t base, uint64_t most_keys, double rate, double *work);
/* Learns what was written up to the statement's root. -> false: that would be more than so many pages, or failed. */
bool filter_catch_up(const filter_question *fq, key_filter *kf, uint64_t most_pages, double *work);

/* ---- filter_take.c ---- */

/* What came of looks. */
typedef struct {
    uint64_t ta_asked, ta_denied;   /* of a filter */
    uint64_t ta_passed, ta_wrong;   /* looked up since it did not deny them, of these in vain */
    uint64_t ta_looks, ta_missing;  /* looked up without one, of these in vain */
    double ta_passed_work, ta_work;
} filter_tally;

typedef struct filter_seat filter_seat;             /* what a connection knows of a tree's filter between statements */

filter_seat *filter_seat_of(edb_conn *conn, uint32_t tree);        /* where it would be; NULL: no memory */
/* The filter that may be asked, one reference more; NULL: none. */
key_filter *filter_take(filter_seat *se, const filter_question *fq);
void filter_seat_tell(filter_book *book, filter_seat *se, uint32_t tree, uint64_t born, const filter_tally *ta);

#endif
