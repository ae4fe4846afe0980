/* Lists that grow. */
#ifndef EDB_LISTS_H
#define EDB_LISTS_H

#include <stddef.h>

/* Room for one more element of a list of n, which has room for *room of `each` bytes. EDB_NOMEM: then it is as it was. */
int list_room(void **list, size_t *room, size_t n, size_t each);

#endif
