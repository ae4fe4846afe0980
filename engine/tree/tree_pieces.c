/* What leaves and interior nodes have in common when a commit's changes are applied to them (tree_pieces.h). */
#include "engine/tree/tree_pieces.h"

#include <stdlib.h>

bool writer_is_node(const writer *w, const uint8_t *page)
{
    return (page[PH_KIND] == PAGE_LEAF || page[PH_KIND] == PAGE_INTERIOR) && load16(page + TP_KEY_SIZE) == w->tw_fixed;
}

int writer_not_a_node(const writer *w, page_ref ref)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is not the tree node that its parent points to; restore a backup",
                    pager_name(w->tw_pager), (unsigned long long)ref.page);
}

int entry_room(entry_buffer *b, size_t n)
{
    if (n <= b->room)
        return EDB_OK;
    size_t room = n + n / 2 + 64;
    page_entry *e = realloc(b->e, room * sizeof *e);
    if (!e)
        return writer_no_memory();
    b->e = e;
    b->room = room;
    return EDB_OK;
}

int pieces_add(writer *w, pieces *to, const page_entry *low, uint64_t from, page_ref ref)
{
    if (to->n == to->room) {
        size_t room = to->room ? to->room * 2 : 8;
        piece *p = arena_alloc(&w->tw_arena, room * sizeof *p);
        if (!p)
            return writer_no_memory();
        if (to->n)
            memcpy(p, to->p, to->n * sizeof *p);
        to->p = p;
        to->room = room;
    }
    piece *p = &to->p[to->n];
    *p = (piece){ .from = from, .ref = ref };
    if (low) {
        p->low = arena_copy(&w->tw_arena, low->key, low->key_size);
        p->low_size = low->key_size;
        if (!p->low)
            return writer_no_memory();
    }
    to->n++;
    return EDB_OK;
}

int page_begin(writer *w)
{
    int rc = pager_alloc(w->tw_commit, &w->tw_page_number);

    if (rc)
        return rc;
    w->tw_page = pager_building(w->tw_commit, w->tw_page_number, w->tw_buffer);
    if (!w->tw_page)
        w->tw_page = w->tw_buffer = aligned_alloc(64, w->tw_page_size);
    return w->tw_page ? EDB_OK : writer_no_memory();
}

int page_end(writer *w, page_ref *out)
{
    return pager_write(w->tw_commit, w->tw_page_number, w->tw_page, out);
}

int writer_node(writer *w, bool leaf, unsigned level, const page_entry *e, size_t n, page_ref *out)
{
    int rc = page_begin(w);

    if (rc)
        return rc;
    page_build(w->tw_page, w->tw_page_size, leaf, level, w->tw_state->ts_id, w->tw_fixed, e, n);
    return page_end(w, out);
}

/* The key boundary that cuts the bytes most nearly in half: an index in (0, n) where a key begins. */
size_t entries_middle(const writer *w, bool leaf, const page_entry *e, size_t n, uint64_t bytes)
{
    uint64_t left = 0, best_gap = UINT64_MAX;
    size_t best = 0;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && e[i].newest) {
            uint64_t gap = left * 2 > bytes ? left * 2 - bytes : bytes - left * 2;
            if (gap < best_gap) {
                best_gap = gap;
                best = i;
            }
        }
        left += entry_bytes(&e[i], leaf, w->tw_fixed);
    }
    assert(best > 0);
    return best;
}

/* Pieces as entries under the key of the node they replace, sorted: keys ascend already, of one key the newest is last. */
size_t pieces_entries(const pieces *from, const uint8_t *key, uint32_t key_size, page_entry *out)
{
    size_t n = 0;

    for (size_t i = 0; i < from->n;) {
        size_t end = i + 1;
        while (end < from->n && (from->p[end].low == NULL
                                 || (from->p[i].low && from->p[i].low_size == from->p[end].low_size
                                     && memcmp(from->p[i].low, from->p[end].low, from->p[i].low_size) == 0)))
            end++;
        for (size_t k = end; k-- > i; n++) {
            const piece *p = &from->p[k];
            out[n] = (page_entry){ .key = p->low ? p->low : key, .key_size = p->low ? p->low_size : key_size,
                                   .child = p->ref, .from = p->from };
        }
        i = end;
    }
    return n;
}
