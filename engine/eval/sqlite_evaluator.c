/* SQLite lent as evaluator (sqlite_evaluator.h). */
#include "engine/eval/sqlite_evaluator.h"

/* ---- generated columns ---------------------------------------------------------------------------------------- */

static int generate_one(void *arg, const generate_row *row, uint32_t column, arena *memory, edb_value *out)
{
    generator *ge;
    int rc = sqlite_evaluator_generator(arg, &ge);
    if (!rc)
        rc = generate_begin(ge, row);
    if (rc)
        return rc;
    rc = generate_get(ge, column, out);
    if (!rc)
        rc = value_copy(memory, out);
    generate_end(ge);
    return rc;
}

static int generate_all(void *arg, const generate_row *row, arena *memory, edb_value *values)
{
    const edb_table *table = row->gr_table;
    generator *ge;
    int rc = sqlite_evaluator_generator(arg, &ge);
    if (!rc)
        rc = generate_begin(ge, row);
    if (rc)
        return rc;
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++) {
        if (!table->et_columns[i].computed || table->et_columns[i].hidden)
            continue;
        rc = generate_get(ge, i, &values[i]);
        if (!rc)
            rc = value_copy(memory, &values[i]);
    }
    generate_end(ge);
    return rc;
}

/* ---- settings ------------------------------------------------------------------------------------------------- */

static bool setting(void *arg, int which)
{
    sqlite_evaluator *se = arg;
    sqlite3_stmt *ask;
    int on = 0;
    if (which == SETTING_FOREIGN_KEYS)
        return !sqlite3_db_config(se->se_db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &on) && on;
    /* SQLite keeps this flag and takes it back at COMMIT; there is no other way to read it. Asked on violations alone. */
    if (sqlite3_prepare_v2(se->se_db, "PRAGMA defer_foreign_keys", -1, &ask, NULL))
        return false;
    if (sqlite3_step(ask) == SQLITE_ROW)
        on = sqlite3_column_int(ask, 0);
    sqlite3_finalize(ask);
    return on;
}

/* ---- lending -------------------------------------------------------------------------------------------------- */

void sqlite_evaluator_lend(sqlite_evaluator *se, edb_conn *conn, sqlite3 *db)
{
    *se = (sqlite_evaluator){
        .se_lent = {
            .ev_arg = se,
            .ev_generate = generate_one,
            .ev_generate_all = generate_all,
            .ev_covers = partial_covers,
            .ev_looks_at = partial_looks_at,
            .ev_checks = checks_judge,
            .ev_default = default_evaluate,
            .ev_setting = setting,
        },
        .se_conn = conn,
        .se_db = db,
    };
    evaluator_lend(conn, &se->se_lent);
}

void sqlite_evaluator_end(sqlite_evaluator *se)
{
    sqlite_evaluator_forget(se);    /* before the private connection that some of it was prepared on */
    generator_free(se->se_generator);
    values_free(&se->se_values);
    if (se->se_conn)
        evaluator_take_back(se->se_conn, &se->se_lent);
    *se = (sqlite_evaluator){.se_conn = NULL};
}
