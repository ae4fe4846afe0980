/* Versions of a row that differ in columns without history alone (docs/format.md, "Unversioned columns") are *alike*. Those that follow
 * upon one another are one version to whoever asks for history: it holds from the first of them to the end of the last, a *run*. */
#ifndef EDB_ALIKE_H
#define EDB_ALIKE_H

#include "engine/catalog/row.h"
#include "engine/tree/tree.h"

typedef struct {
    edb_stmt *alk_stmt;
    const edb_table *alk_table;     /* NULL: no two versions are alike */
    edb_table *alk_own;             /* counted: alike_find() has it from the catalog */
    table_buffer alk_rows[2];       /* rows that lie in chains */
} alike;

/* Of a table: the caller's, as long as it is asked. */
void alike_begin(alike *alk, edb_stmt *stmt, const edb_table *table);
/* Of the table of an id, as the statement sees it; one that there is not has no versions that are alike. */
int alike_find(alike *alk, edb_stmt *stmt, uint32_t id);
void alike_end(alike *alk);
/* Whether there may be any. */
static inline bool alike_any(const alike *alk) { return alk->alk_table && alk->alk_table->et_unversioned.rmk_n; }
/* Two versions of one row. */
int alike_versions(alike *alk, const tree_version *a, const tree_version *b, bool *out);
/* *begun: the commit that began the run in which version v of the tree stands; as far as the horizon. */
int alike_begun(alike *alk, const tree_state *state, const tree_version *v, uint64_t *begun);

#endif
