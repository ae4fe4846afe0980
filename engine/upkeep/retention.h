/* How long the tables of a database ask for their history to be kept. */
#ifndef EDB_UPKEEP_RETENTION_H
#define EDB_UPKEEP_RETENTION_H

#include <stdint.h>

#include "engine/pager/pager.h"

/* *span: nanoseconds that the tables ask for, the longest of them; 0: for ever, or there is no table. *horizon: the newest commit that is so
 * old; 0: none is. */
int retention_horizon(pager *pg, int64_t *span, uint64_t *horizon);

/* Of "90 days", as entitydb_dialect/_spans.py writes it: nanoseconds; 0: it is no span, or `forever`. */
int64_t retention_span_ns(const char *text);

#endif
