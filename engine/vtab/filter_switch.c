/* entitydb_bloom('on' [, rate]): how filters of keys are made from now on, for all who have the database open in this
 * process: 'on' always, 'off' never, 'auto' where they pay. For tests: answers must not depend on it. */
#include <string.h>

#include "engine/filters/filters.h"
#include "engine/vtab/vtab.h"

static const struct { const char *name; filter_mode mode; } modes[] = {
    {"off", FILTERS_OFF}, {"on", FILTERS_ON}, {"auto", FILTERS_AUTO},
};

void function_bloom(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = sqlite3_user_data(context);
    const char *word = (const char *)sqlite3_value_text(argv[0]);
    double rate = argc > 1 ? sqlite3_value_double(argv[1]) : FILTER_RATE;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (word && !strcmp(word, modes[i].name)) {
            if (!bd->bd_conn || !filters_set(bd->bd_conn, modes[i].mode, rate))
                sqlite3_result_error(context, "entitydb_bloom: a rate is between 0.000001 and 0.5", -1);
            return;
        }
    sqlite3_result_error(context, "entitydb_bloom: its words are off, on and auto", -1);
}
