/* What the parts of edb_check share. */
#ifndef EDB_CHECK_INTERNAL_H
#define EDB_CHECK_INTERNAL_H

#include "engine/catalog/catalog.h"
#include "engine/entity/tag_trees.h"
#include "engine/txn/txn_internal.h"

typedef struct {                    /* what is said of transactions */
    tree_state cki_info, cki_actors;
    bool cki_info_there, cki_actors_there;
    uint64_t cki_due, cki_met;      /* how often an actor is named, and how often one has a commit */
    uint64_t cki_unread;            /* what cannot be read may have named one */
} check_info;

typedef struct {
    pager *ck_pager;
    hooks_home *ck_home;            /* what the layers keep of the database in this process */
    snapshot ck_root;               /* what is checked; pinned */
    edb_report_fn ck_report;        /* may be NULL */
    void *ck_arg;
    edb_check_result ck_result;
    uint8_t *ck_pages;              /* what each page of the file was found to be: PAGE_... */
    uint16_t *ck_cold;              /* of each cold id that is not pruned: 0, nothing refers to it; else 1 more than the entries of a
                                       packed leaf. NULL: there are none */
    struct check_strip *ck_strip;   /* which the list of cold ids is walked through; NULL: none yet */
    struct tag_states *ck_tags;     /* the trees of tags; NULL: there are none, or not all */
    check_info ck_info;
    struct generator *ck_generator; /* computes generated columns; NULL: not needed yet */
} check;

enum { PAGE_UNKNOWN, PAGE_IS_FREE, PAGE_IS_OTHER, PAGE_IS_LIVE, PAGE_IS_HISTORY, PAGE_HAS_ID = 128 };

/* ---- check_cold.c: the list of cold ids (I47, I48) */
int check_cold_begin(check *ck);
void check_cold_met(void *ck, uint64_t index, uint32_t entries);    /* a tree refers to it */
int check_cold(check *ck);                          /* behind the trees */

/* ---- check_report.c */
/* Counts a breach and reports it. */
void check_breach(check *ck, const char *invariant, uint64_t page, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Notes what a page is; a breach, where it is something already. */
void check_mark(check *ck, uint64_t page, uint8_t what);
/* What a failing read means for the check: damage is reported and the check goes on (-> EDB_OK), all else ends it. */
int check_damage(check *ck, int rc);

/* ---- check_catalog.c: the catalog, and rows against index entries (I32 to I35) */
int check_catalog(check *ck);

/* ---- check_transactions.c: what is said of transactions (I43, I44) */
int check_transactions(check *ck);                  /* behind check_catalog(), which finds the trees */

/* ---- check_tags.c: tags (I39 to I41) */
int check_tags_find(check *ck, const tag_trees *trees);
int check_tags(check *ck);                          /* behind check_catalog(), which calls what follows */
/* Of a row's value of a tag column: whether the row has the tag. *values counts those that are tags. */
int check_tag_value(check *ck, const edb_table *table, int64_t row, uint32_t column, const edb_value *value,
                    uint64_t *values);
/* Whether the table's rows have as many tags of its columns' namespaces. */
int check_tag_columns(check *ck, const edb_table *table, uint64_t values);

#endif
