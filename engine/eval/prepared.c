/* What is kept prepared for tables, and the private connection (sqlite_evaluator.h). */
#include "engine/eval/sqlite_evaluator.h"

#include <stdlib.h>
#include <string.h>

#define PREPARED_MOST 256           /* tables that something is kept prepared for */

static void prepared_free(prepared_table *pd)
{
    rowexpr_free(pd->pd_checks);
    for (uint32_t i = 0; pd->pd_indexes && i < pd->pd_table->et_n_indexes; i++)
        rowexpr_free(pd->pd_indexes[i].pi_where);
    free(pd->pd_indexes);
    for (uint32_t i = 0; pd->pd_defaults && i < pd->pd_table->et_n_columns; i++)
        sqlite3_finalize(pd->pd_defaults[i]);
    free(pd->pd_defaults);
    table_unref(pd->pd_table);
    free(pd);
}

static bool same_table(const edb_table *a, const edb_table *b)
{
    return a == b || (a->et_id == b->et_id && a->et_payload_size == b->et_payload_size
                      && !memcmp(a->et_payload, b->et_payload, a->et_payload_size));
}

/* Drops what was not used for longest, unless it is being evaluated. */
static void forget_oldest(sqlite_evaluator *se)
{
    prepared_table **at = &se->se_tables;
    for (int i = 0; *at && i < PREPARED_MOST; i++)
        at = &(*at)->pd_next;
    if (*at && !(*at)->pd_running && !(*at)->pd_next) {
        prepared_free(*at);
        *at = NULL;
    }
}

int prepared_find(sqlite_evaluator *se, const edb_table *table, prepared_table **out)
{
    for (prepared_table **at = &se->se_tables, *pd; (pd = *at); at = &pd->pd_next)
        if (same_table(pd->pd_table, table)) {
            *at = pd->pd_next;
            pd->pd_next = se->se_tables;
            *out = se->se_tables = pd;
            return EDB_OK;
        }
    prepared_table *pd = calloc(1, sizeof *pd);
    if (!pd)
        return edb_fail(EDB_NOMEM, "no memory for the expressions of table %s", table->et_name);
    pd->pd_table = table_ref(table);
    pd->pd_next = se->se_tables;
    *out = se->se_tables = pd;
    forget_oldest(se);
    return EDB_OK;
}

void sqlite_evaluator_forget(sqlite_evaluator *se)
{
    while (se->se_tables) {
        prepared_table *next = se->se_tables->pd_next;
        prepared_free(se->se_tables);
        se->se_tables = next;
    }
}

int sqlite_evaluator_generator(sqlite_evaluator *se, generator **out)
{
    int rc = se->se_generator ? EDB_OK : generator_new(se->se_conn, &se->se_generator);
    *out = se->se_generator;
    return rc;
}
