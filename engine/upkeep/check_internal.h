/* What the parts of edb_check share. */
#ifndef EDB_CHECK_INTERNAL_H
#define EDB_CHECK_INTERNAL_H

#include "engine/txn/txn_internal.h"

typedef struct {
    pager *ck_pager;
    snapshot ck_root;               /* what is checked; pinned */
    edb_report_fn ck_report;        /* may be NULL */
    void *ck_arg;
    edb_check_result ck_result;
    uint8_t *ck_pages;              /* what each page of the file was found to be */
    struct generator *ck_generator; /* computes generated columns; NULL: not needed yet */
} check;

/* ---- check_report.c */
/* Counts a breach and reports it. */
void check_breach(check *ck, const char *invariant, uint64_t page, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What a failing read means for the check: damage is reported and the check goes on (-> EDB_OK), all else ends it. */
int check_damage(check *ck, int rc);

/* ---- check_catalog.c: the catalog, and rows against index entries (I32 to I35) */
int check_catalog(check *ck);

#endif
