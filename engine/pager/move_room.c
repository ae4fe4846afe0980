/* Room for what compaction moves in one piece: a strip, or the chain of a large value. */
#include <stdlib.h>

#include "engine/pager/pager_impl.h"
#include "engine/shared/lists.h"

/* Gives drawn pages back. The last goes first: they are drawn again in the same order. */
static int give_back(pager_commit *pc, const uint64_t *pages, size_t n)
{
    int rc = EDB_OK;

    while (n-- > 0) {
        int back = free_add(pc, pages[n], pc->pc_number);
        rc = rc ? rc : back;
    }
    return rc;
}

/* How many pages can be drawn before the cut, of n that are asked for. */
static int room_before(pager_commit *pc, uint64_t cut, size_t n, size_t *out)
{
    uint64_t *drawn = malloc(n * sizeof *drawn);
    size_t got = 0;
    int rc = drawn ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to move pages");

    for (*out = 0; !rc && *out == got && got < n;) {
        rc = pager_alloc(pc, &drawn[got]);
        if (!rc)
            *out += drawn[got++] < cut;
    }
    int back = give_back(pc, drawn, got);
    free(drawn);
    return rc ? rc : back;
}

/* Makes sure that the next n pages that are drawn lie behind the cut. */
static int room_behind(pager_commit *pc, uint64_t cut, size_t n)
{
    uint64_t *behind = malloc(n * sizeof *behind), *before = NULL;
    size_t got = 0, others = 0, room = 0;
    int rc = behind ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to move pages");

    pc->pc_put_back_most = 0;       /* no page is avoided */
    while (!rc && got < n) {
        uint64_t page;
        if ((rc = pager_alloc(pc, &page)))
            break;
        if (page >= cut)
            behind[got++] = page;
        else if (!(rc = list_room((void **)&before, &room, others, sizeof *before)))
            before[others++] = page;
    }
    int back = give_back(pc, before, others);
    if (!back)
        back = give_back(pc, behind, got);
    free(before);
    free(behind);
    return rc ? rc : back;
}

/* What stands on both sides of the cut takes room before it that it needs itself. So where the rest is not enough, it goes behind the
 * cut whole; what it left is free when that commit is durable, and then it fits. */
int move_room(pager_commit *pc, page_moving *mv, size_t n, size_t before, bool *out)
{
    size_t room;
    int rc = room_before(pc, mv->mov_cut, n, &room);

    *out = !rc && (room == n || (before && before + room >= n));
    if (rc || room == n)
        return rc;
    mv->mov_whole = false;
    if (*out)
        return room_behind(pc, mv->mov_cut, n);
    mv->mov_left = 0;
    return EDB_OK;
}
