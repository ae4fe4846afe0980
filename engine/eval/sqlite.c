/* Where SQLite's functions are, for all files of the library (sqlite.h). */
#include <sqlite3ext.h>

SQLITE_EXTENSION_INIT1
