/* Lists that grow. See lists.h. */
#include "engine/shared/lists.h"

#include <stdlib.h>

#include "engine/codes.h"

int list_room(void **list, size_t *room, size_t n, size_t each)
{
    if (n < *room)
        return EDB_OK;
    size_t more = *room ? 2 * *room : 16;
    void *grown = realloc(*list, more * each);
    if (!grown)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    *list = grown;
    *room = more;
    return EDB_OK;
}
