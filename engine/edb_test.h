/* What only tests may call (builds with -DEDB_TEST). Each layer has a marked region of its own below; all become part
 * of the binding of a test build. The primitives' region is in native/native_test.h. */
#ifndef EDB_EDB_TEST_H
#define EDB_EDB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../native/native_test.h"

/* ---- failpoints, clock and log of writes (os.c) ---- */

/* cffi: begin */
/* cffi: end */

#endif
