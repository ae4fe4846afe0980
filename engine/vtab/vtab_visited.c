/* entitydb_visited(): how many entries scans of this connection have stood on or looked up, since it was opened.
 *
 * The measure of a plan that does not depend on the machine. Entries of trees, of private lists and of automatic indexes
 * count alike; so does a row looked up behind an entry, and a search that finds nothing. */
#include "engine/vtab/vtab.h"

void function_visited(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const vtab_binding *bd = sqlite3_user_data(context);
    (void)argc;
    (void)argv;
    sqlite3_result_int64(context, (int64_t)bd->bd_visited);
}
