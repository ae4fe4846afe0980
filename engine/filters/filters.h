/* Bloom filters of the keys of trees, for looks that mostly find nothing. README.md beside this file says how they work.
 *
 * A view is what one statement may ask about one tree. It is made when the statement first asks and goes with it. NULL, and
 * a view that has no filter, deny nothing: no memory, filters off, or not worth it. Whoever looks up what was not
 * denied says what came of it, since that decides whether a filter is made, and whether it stays.
 *
 * What a view denies is in the tree at none of the moments that the statement reads. Own writes of the transaction are not
 * asked: see cursor_get_absent(), now_peek_absent() and stmt_row_absent(). */
#ifndef EDB_FILTERS_H
#define EDB_FILTERS_H

#include "native/value.h"
#include "engine/txn/hooks.h"
#include "engine/txn/txn.h"

typedef struct filter_view filter_view;

/* looks: about how many keys will be looked up. now: what the statement's root holds is looked at too, not T alone. */
filter_view *filters_of(edb_stmt *stmt, uint32_t tree, uint64_t looks, bool now);
bool filter_asks(const filter_view *fv);            /* it has a filter: denying is possible */
/* Whether the tree does not have the key. */
bool filter_denies(filter_view *fv, const void *key, size_t size);
/* The same of many rows of a table. -> how many it denies. */
size_t filter_denies_rows(filter_view *fv, const int64_t *ids, size_t n, bool *denied);
size_t filter_denies_texts(filter_view *fv, const edb_value *texts, size_t n, bool *denied);    /* keys that are texts */
/* Of what was not denied: so many looks, of which so many found nothing, touched so many pages; sorted: the keys had to be
 * sorted for it. */
void filter_looked(filter_view *fv, uint64_t looks, uint64_t missing, uint64_t pages, bool sorted);

/* How filters are made: by themselves where they pay (auto), or always at the first look, or never. It is said by the
 * environment variable ENTITYDB_BLOOM, and by this, for all who have the database open in this process; those there are go. */
typedef enum { FILTERS_OFF, FILTERS_ON, FILTERS_AUTO } filter_mode;
/* The share of keys that are not there and not denied, once as many are in the filter as it was made for. Also said by
 * ENTITYDB_BLOOM_RATE. */
#define FILTER_RATE 0.01
bool filters_set(edb_conn *conn, filter_mode mode, double rate);    /* false: no memory, or no such rate */
/* I42: how many of the keys that this process's filter of the tree promises to have it denies. The state is that of a root,
 * which is pinned. */
int filters_check(hooks_home *home, pager *pg, const tree_state *state, uint64_t root, uint64_t *denied);

#endif
