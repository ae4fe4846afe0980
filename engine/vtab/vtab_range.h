/* Ranges of keys: what a plan (vtab.h) and its values mean for the tree that is walked.
 *
 * Owned by a scan; buffers are reused by the next filter. */
#ifndef EDB_VTAB_RANGE_H
#define EDB_VTAB_RANGE_H

#include "engine/vtab/vtab.h"

#define WHEELS_MAX 128              /* vtab_plan.c makes no longer plans */

typedef struct {
    uint32_t co_at, co_size;        /* bytes of kr_codes */
} scan_code;

typedef struct {                    /* the values one part is bound to, as encoded; ascending */
    uint32_t wh_first, wh_count;    /* of kr_items */
    uint32_t wh_at;                 /* the one in turn */
} scan_wheel;

typedef struct {                    /* one end of the range of the part behind the equalities */
    bool en_set;
    bool en_behind;                 /* the end lies behind all keys that begin with the code */
    scan_code en_code;
} scan_end;

typedef struct {
    /* whose parts: set before range_decode() */
    vtab_binding *kr_bd;
    const edb_table *kr_table;
    const edb_index *kr_index;      /* NULL: the table's own tree */
    /* the range where the wheels stand */
    table_buffer kr_low, kr_end;
    bool kr_has_end;                /* else it has no upper end; an empty low is no lower end */
    bool kr_automatic;              /* kr_index is an automatic one: its parts are the plan's equalities, 'a' and 'A' too */
    char kr_laps;                   /* 'l', 'f': NULLs of the part behind the equalities are a range of their own, walked
                                       last or first; 0: they are not */
    bool kr_at_nulls;               /* that is in turn */
    bool kr_reverse;                /* walked from the end */
    bool kr_empty;                  /* nothing can be found */
    bool kr_inexact;                /* more is found than is equal, or within the bounds */
    bool kr_given_up;               /* an equality bounds nothing */
    uint32_t kr_n_wheels;
    scan_wheel kr_wheels[WHEELS_MAX];
    scan_end kr_from, kr_to;
    int64_t kr_least, kr_most;      /* bounds of the row id */
    scan_code *kr_items;
    uint32_t kr_n_items, kr_items_room;
    table_buffer kr_codes;
    value_scratch kr_values;        /* what converted values point into */
} key_range;

int range_decode(key_range *kr, const char *plan, int argc, sqlite3_value **argv);
/* The wheels to the first combination in the direction of the walk, or to the next; -> false: that was the last. */
void range_first(key_range *kr);
bool range_turn(key_range *kr);
/* kr_low and kr_end for where the wheels stand. */
int range_make(key_range *kr);
size_t range_count(const key_range *kr);    /* how many combinations there are */
/* About how many entries of the newest state lie in the first range. */
int range_entries(key_range *kr, double *out);
size_t range_prefix(const key_range *kr);   /* bytes of the equalities where the wheels stand */
/* Makes a key the smallest one behind all that begin with it. -> false: there is none. */
bool range_behind(table_buffer *key);
/* No bounds at all. */
void range_whole(key_range *kr);
/* The row id (8 bytes of key) where the first wheel stands: for a table's own tree with an equality. */
const uint8_t *range_rowid(const key_range *kr);
/* Another row id in the place of the only one. */
void range_set_rowid(key_range *kr, int64_t rowid);
void range_tidy(key_range *kr);             /* gives unusually large buffers back */
void range_free(key_range *kr);

#endif
