/* Who is told of rows that change (watch.h). */
#include "engine/table/watch.h"

static const row_watch *registered;     /* set while the library is loaded, so it is read without a lock */

void row_watch_register(const row_watch *watch)
{
    registered = watch;
}

const row_watch *row_watch_get(void)
{
    return registered;
}
