/* A scan: what the files of xFilter, xNext and xColumn share. Internal to vtab_scan.c and scan_*.c.
 *
 *   scan_ranges.c  ranges of keys, walked one after the other in a tree or a list
 *   scan_merge.c   the same ranges walked side by side, in the order of what follows the lists
 *   scan_groups.c  an order that the keys give only in part, completed group by group
 *   scan_tree.c    which tree or list is walked
 *   scan_sieve.c   rows that a walk of the table passes over
 *   scan_column.c  the values of an entry or its row
 *   vtab_scan.c    opening, closing, filter and next
 *
 * Nothing is fetched before it is asked for: count(*) touches the cursor alone, a covering scan the entry alone. Text
 * and blobs are handed out where they lie in the page; the pinned statement keeps them there.
 *
 * Memory: a cursor owns its buffers and lists; buffers are reused by the next filter. It is a user of its statement. */
#ifndef EDB_SCAN_H
#define EDB_SCAN_H

#include "engine/vtab/vtab_range.h"

enum scan_way { WAY_WALK, WAY_SKIP, WAY_MERGE, WAY_GROUPS, WAY_RETURNED };

typedef struct {                    /* how a group is sorted: a term of ORDER BY */
    uint32_t ot_column;             /* PLAN_ROWID: the row id */
    bool ot_descending;
} order_term;

#define GROUP_TERMS 64
#define PLAN_REMEMBERED 64         /* bytes of a plan, its end included; longer ones are not remembered by their text */

typedef struct {                    /* a column, and how it has to compare with a value */
    uint32_t svt_column;
    uint32_t svt_place;             /* of the column in rows that have so many; UINT32_MAX: it is not read so simply */
    char svt_op;                    /* '=' '<' 'l' '>' 'g', as in the plan */
    bool svt_texts;                 /* texts are compared as they are, byte by byte */
    edb_value svt_value;
} sieve;

typedef struct scan {
    sqlite3_vtab_cursor cu_base;
    uint64_t cu_visited;            /* entries, since the last scan_end_walk() */
    kept_entries *cu_kept;          /* whose index the walk uses or could use; NULL: none */
    const edb_entry *cu_at;         /* the entry it stands on, unless cu_eof */
    /* what next and column touch */
    bool cu_eof, cu_plain;          /* plain: the whole tree, forward */
    bool cu_row_ready, cu_row_copied, cu_entry_ready;
    bool cu_lasting;                /* the bytes of the entry last as long as the statement */
    bool cu_single;                 /* row ids are looked up: no cursor */
    bool cu_open;
    bool cu_measured;               /* the statement has compared the plan with the table's size */
    enum scan_way cu_way;
    edb_cursor cu_entries;          /* open if cu_open; .at and .valid hold what is looked up, too */
    row_view cu_row;                /* if cu_row_ready */
    const edb_table *cu_table;      /* counted */
    tree_near cu_near;              /* of rows of cu_table that are looked up */
    /* The plan of the last filter, as SQLite keeps it for the program that filters, where the next filter by it finds the same
     * tree to walk; and whether it is an equality of the row id alone. */
    const char *cu_again;
    bool cu_looks_up;
    /* The same plan, by its text, since what SQLite keeps may be another one's by now; and the statement (stmt_id) in which the
     * scan was closed with all that it had chosen by it, 0: it is open, or has chosen nothing. */
    char cu_plan[PLAN_REMEMBERED];
    uint32_t cu_plan_tree;
    int cu_plan_arguments;
    uint64_t cu_rests_in;
    const edb_index *cu_index;      /* of cu_table, or automatic; NULL: the table's own tree is walked */
    int16_t *cu_part_of;            /* column -> part of the index that holds it, -1: none */
    uint32_t *cu_part_at;           /* where parts begin in the entry's key; cu_parts_known of them */
    uint32_t cu_parts_known, cu_parts_room, cu_columns_room;
    row_view cu_entry;              /* if cu_entry_ready: the entry's value */
    edb_stmt *cu_stmt;              /* one user is ours; NULL before the first filter */
    bool cu_dated;                  /* it reads as of cu_date_ns, whatever the statement reads: history.h */
    int64_t cu_date_ns;
    key_range cu_range;
    const capture *cu_capture;      /* the statement's; its rows are walked on WAY_RETURNED */
    /* the walk */
    bool cu_walk_over;
    private_entries *cu_private;    /* of the statement, walked instead of a tree; NULL: a tree is */
    entry_list *cu_sorted;          /* owned; walked instead of both, if there is one */
    size_t cu_list_at;              /* also of the captured rows */
    edb_entry cu_item;              /* where the walk stands in the list */
    /* ways over it */
    uint32_t cu_skip_parts;         /* WAY_SKIP */
    struct scan_side *cu_sides;     /* WAY_MERGE; owned: scan_merge.c */
    uint32_t cu_n_sides, cu_side;
    uint32_t cu_group_parts, cu_n_terms;    /* WAY_GROUPS */
    enum scan_way cu_below;         /* WAY_GROUPS: how its entries come, WAY_WALK or WAY_MERGE */
    order_term cu_terms[GROUP_TERMS];
    entry_list *cu_group;           /* owned */
    size_t cu_group_at;
    edb_entry cu_member;            /* where it stands in the group */
    const edb_entry *cu_next_below; /* where the walk below stands: the next group's first */
    bool cu_below_lasts;
    uint64_t cu_constant;           /* bit i: part i plays no role in the order */
    table_buffer cu_prefix, cu_sort_key;
    uint32_t cu_n_sieve;            /* of a plain walk of the table */
    sieve cu_sieve[AUTOMATIC_COLUMNS + SIEVE_MOST];
    arena cu_sieve_texts;
    /* bytes that are not in a page */
    table_buffer cu_chain;          /* a row from a chain */
    table_buffer cu_parts;          /* an entry's value from a chain */
    table_buffer cu_decoded;        /* a part out of its key */
} scan;

static inline int scan_no_memory(void) { return edb_fail(EDB_NOMEM, "no memory for a scan"); }

/* What was fetched of an entry is of another one now. */
static inline void scan_moved(scan *cu)
{
    cu->cu_row_ready = cu->cu_entry_ready = false;
    cu->cu_parts_known = 0;
}

/* ---- scan_ranges.c: leaves cu_walk_over, or cu_at on an entry ---- */

int ranges_start(scan *cu);
int scan_cursor(scan *cu, edb_cursor *out);         /* over what scan_choose() has chosen */
/* To the first entry from `low` on, or backwards to the last before `end`, NULL being no end. SERIALIZABLE notes no more
 * than these bounds. */
int scan_seek(edb_cursor *entries, bool reverse, const table_buffer *low, const table_buffer *end);
/* Whether an entry that the walk came to has not left the bounds. */
bool scan_within(const edb_entry *at, bool reverse, const table_buffer *low, const table_buffer *end);
int ranges_next(scan *cu);
/* From an entry to the first whose first cu_skip_parts parts differ. */
int ranges_skip(scan *cu);
/* Bytes of the first `parts` parts of the entry's key; 0: the key is damaged. */
size_t ranges_prefix(const scan *cu, const edb_entry *entry, uint32_t parts);
int scan_damaged_entry(const scan *cu);

/* ---- scan_sieve.c ---- */

/* Reads what the plan's values leave out; they may end with the call. */
int sieve_read(scan *cu, const char *plan, int argc, sqlite3_value **argv);
/* From the row that the scan stands on to the first that is not left out, maybe itself. */
int sieve_pass(scan *cu);

/* ---- scan_merge.c ---- */

#define SIDES_MOST 64               /* more ranges are sorted instead */
int merge_start(scan *cu);
int merge_next(scan *cu);
/* Whether the entry it stands on was unpacked. */
bool merge_unpacked(const scan *cu);
void merge_close(scan *cu);

/* ---- scan_groups.c ---- */

int groups_start(scan *cu);
int groups_next(scan *cu);
/* An order was promised that the keys do not have: entries are sorted by the parts that are not cu_constant, into
 * cu_sorted, which is walked from then on. */
int groups_sort_all(scan *cu);

/* ---- scan_tree.c ---- */

int scan_enter(scan *cu, vtab_entity *vt);
/* Says what the walk has visited to those who count it; before the next filter, and before the statement is left. */
void scan_end_walk(scan *cu);
void scan_leave(scan *cu);
/* The cursor is closed and may be opened again in the same statement, for a filter by the plan of cu_again: what was chosen
 * stays. */
void scan_rest(scan *cu);
/* A statement for a scan that rests; if it is not the one it rests in, what was chosen is given up. */
int scan_wake(scan *cu, vtab_entity *vt);
/* Gives up what was chosen; the statement stays. */
void scan_unchoose(scan *cu);
/* What is walked: a table's own tree (index NULL), an index, or its entries as the statement has computed them (NULL: its
 * tree). */
int scan_choose(scan *cu, const edb_table *table, const edb_index *index, private_entries *entries);
int scan_base(scan *cu, uint32_t tree, const edb_table *table, const char *plan);
int scan_prepare(scan *cu, vtab_entity *vt, uint32_t tree, const char *plan, int arguments);

/* ---- scan_column.c ---- */

int scan_rowid(const scan *cu, int64_t *out);
/* Column i, of the row id if PLAN_ROWID, valid until the scan moves. Not one that has to be computed: *computed. */
int scan_value(scan *cu, uint32_t i, edb_value *out, bool *lasting, bool *computed);
/* The value of the index entry: empty, or a row of the parts. */
int scan_entry_value(scan *cu, const uint8_t **bytes, size_t *size);
int scan_computed(scan *cu, uint32_t i, arena *memory, edb_value *out);

#endif
