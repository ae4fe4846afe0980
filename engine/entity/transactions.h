/* What is said of transactions: who made them and why, in two trees of their own.
 *
 * A connection is told what to say of its commits (edb_conn_info()). COMMIT asks for it when the transaction has changed
 * something, under the committer lock, and adds one version to each tree. So what is said goes into the record that it is
 * said of, and nothing else; ROLLBACK, savepoints and crashes need no code, and no two transactions conflict by it.
 *
 * The tree "transaction info" has one key, INFO_KEY. The version that commit n wrote is what is said of commit n. The tree
 * "transactions of actors" is keyed by the actor's text: its versions are the actor's commits. Both are made with the
 * first transaction that something is said of. */
#ifndef EDB_TRANSACTIONS_H
#define EDB_TRANSACTIONS_H

#include "engine/catalog/row.h"
#include "engine/txn/txn.h"

#define INFO_NAME "transaction info"            /* of the catalog entries */
#define ACTORS_NAME "transactions of actors"
#define INFO_KEY "info"

enum { INFO_MOST = 1 << 30 };       /* bytes of a reason, or of metadata */
enum { INFO_ACTOR, INFO_REASON, INFO_METADATA, INFO_COLUMNS };

/* What a value of the tree says: texts or NULL. false: it is none that was ever written. */
bool info_read(const uint8_t *value, size_t size, edb_value out[INFO_COLUMNS]);

/* What is said of a commit that the statement can see, all NULL if nothing is. The texts point into the file, or into the
 * buffer where they lie in a chain. */
int transaction_info(edb_stmt *stmt, uint64_t number, table_buffer *buffer, edb_value out[INFO_COLUMNS]);
/* The commits of an actor from `low` to `high`, the newest first; free() it. */
int transactions_of_actor(edb_stmt *stmt, const void *actor, size_t size, uint64_t low, uint64_t high, uint64_t **numbers,
                          size_t *n);

uint64_t transactions_newest(const edb_stmt *stmt);     /* the newest that the statement sees; 0: there is none */
/* The first commit with a time at or after ns; one more than the newest when there is none. */
int transactions_from(edb_stmt *stmt, int64_t ns, uint64_t *number);

/* For plans: about how many commits there are, and how many actors. */
void transactions_counts(edb_conn *conn, double *commits, double *actors);

#endif
