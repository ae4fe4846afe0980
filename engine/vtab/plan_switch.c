/* entitydb_planner('-automatic -merge'): switches paths of the planner off for this connection, for tests.
 *
 * The answers of a query must not depend on them. Statements that are prepared already keep their plans. */
#include <string.h>

#include "engine/vtab/vtab.h"

static const struct { const char *name; unsigned path; } paths[] = {
    {"-statistics", PATH_STATISTICS}, {"-automatic", PATH_AUTOMATIC}, {"-groups", PATH_GROUPS},
    {"-merge", PATH_MERGE}, {"-skip", PATH_SKIP}, {"-sieve", PATH_SIEVE},
    {"-nothing", PATH_NOTHING}, {"+automatic", PATH_EAGER},
};

/* The path of a word; 0: there is none. */
static unsigned path_of(const char *word, size_t size)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strlen(paths[i].name) == size && !memcmp(paths[i].name, word, size))
            return paths[i].path;
    return 0;
}

void function_planner(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = sqlite3_user_data(context);
    const char *at = (const char *)sqlite3_value_text(argv[0]);
    unsigned off = 0;
    (void)argc;
    for (at = at ? at : ""; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        unsigned path = path_of(at, size);
        if (size && !path) {
            sqlite3_result_error(context, "entitydb_planner: its words are -statistics, -automatic, -groups, -merge, "
                                 "-skip, -sieve, -nothing and +automatic", -1);
            return;
        }
        off |= path;
        at += size;
    }
    bd->bd_paths_off = off;
}
