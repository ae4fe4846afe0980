/* SQLite's interface, as an extension sees it. What includes this talks to SQLite; the layers from table/ down to the
 * pager do not, but for eval/. */
#ifndef EDB_SQLITE_H
#define EDB_SQLITE_H

#ifndef SQLITE_CORE
#include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;     /* NULL until some SQLite has loaded the library */
#endif

/* Newer than the oldest header we build with. */
#ifndef SQLITE_INDEX_CONSTRAINT_LIMIT
#define SQLITE_INDEX_CONSTRAINT_LIMIT 73
#define SQLITE_INDEX_CONSTRAINT_OFFSET 74
#endif

#endif
