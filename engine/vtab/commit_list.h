/* Functions that tell what commits did, as JSON: [[nanoseconds, id, ...], ...]. Their argument is an edb_conn_id: main's, or that
 * of an attached database. */
#ifndef EDB_COMMIT_LIST_H
#define EDB_COMMIT_LIST_H

#include "engine/vtab/vtab.h"

typedef struct {
    edb_stmt *cml_stmt;
    sqlite3_str *cml_out;
} commit_list;

/* Begins an entry, with what stands in front of each. The caller ends it with "]". */
int commit_list_entry(commit_list *cml, uint64_t commit, uint32_t id);
/* Answers a call with the entries that fill() makes. name: the function's. */
void commit_list_answer(sqlite3_context *context, sqlite3_value **argv, const char *name, int (*fill)(commit_list *cml));

#endif
