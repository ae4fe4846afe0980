/* Foreign keys: links between tables, questions about them, and the promises that COMMIT judges.
 *
 * One question is asked of a foreign key and a key value K, and it is about a state, not about how the state came to
 * be: *is there a child with K, and no parent with K?* Then the key is violated. So a row that is inserted, removed or
 * changed only notes which (foreign key, K) it touched: a promise (txn.h). An immediate one that does not hold is
 * asked again when the statement ends, every unmet one at COMMIT, and all of them at COMMIT when somebody else
 * committed since T, against the newest root: a child inserted beside a parent deleted cannot both commit.
 *
 * K holds one value a column, in the foreign key's order, under the parent columns' affinity; parts are compared under
 * the parent columns' collation, as SQLite does. A K with a NULL is never asked about.
 *
 * Nothing here calls the program's SQLite connection, since COMMIT asks from inside xSync. Memory: a link owns its
 * arrays and counts its tables. */
#ifndef EDB_FKEY_H
#define EDB_FKEY_H

#include "native/arena.h"
#include "engine/table/table.h"

typedef struct {
    const edb_table *fl_child, *fl_parent;      /* counted; fl_parent NULL: there is none */
    uint32_t fl_number;             /* which of the child's foreign keys */
    const edb_fkey *fl_key;
    edb_fkey *fl_distinct;          /* owned, and then fl_key: when the catalog's names a parent's column twice */
    bool fl_whole;                  /* the parent and a unique key of it were found; else fl_wrong says what is not */
    char *fl_wrong;                 /* a sentence */
    uint32_t *fl_parent_columns;    /* of column i of the foreign key; when fl_whole */
    const edb_index *fl_parent_index;       /* NULL: the row id is the key */
    const edb_index *fl_child_index;        /* begins with the foreign key's columns; NULL: children are scanned */
    bool fl_same;                   /* child and parent columns have affinities that store a value alike */
} fk_link;

/* Looks up what the child's foreign key refers to. A link that is not whole is no failure here. */
int fk_link_make(edb_stmt *stmt, const edb_table *child, uint32_t number, fk_link *out);
void fk_link_free(fk_link *link);
int fk_link_wrong(const fk_link *link);             /* fails with fl_wrong */

/* Values of a child row as K; *null: it has a NULL. What had to be converted lies in memory. */
int fk_key_of_child(const fk_link *link, const edb_value *row, arena *memory, edb_value *key, bool *null);
/* Whether two keys are the same to the parent. */
int fk_key_same(const fk_link *link, const edb_value *a, const edb_value *b, bool *same);

int fk_parent_exists(edb_stmt *stmt, const fk_link *link, const edb_value *key, bool *exists);
/* Row ids of the children, at most `most`; malloc()ed. */
int fk_children(edb_stmt *stmt, const fk_link *link, const edb_value *key, size_t most, int64_t **rowids, size_t *n);
int fk_violated(edb_stmt *stmt, const fk_link *link, const edb_value *key, bool *violated);

/* Notes that the key was touched. */
enum { FK_MET, FK_UNMET };
int fk_promise(edb_stmt *stmt, const fk_link *link, const edb_value *key, int state, bool at_once);
/* The key of its promise, into an emptied buffer: equal for equal keys of one foreign key. */
int fk_promise_name(const fk_link *link, const edb_value *key, table_buffer *name);

#endif
