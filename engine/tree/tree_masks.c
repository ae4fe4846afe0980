/* Which columns of which trees have no history. See tree_masks.h. */
#include "engine/tree/tree_masks.h"

#include <stdlib.h>
#include <string.h>

#include "engine/edb.h"
#include "engine/shared/lists.h"

/* The place of a tree, or where it would stand. */
static size_t place_of(const tree_masks *masks, uint32_t tree)
{
    size_t low = 0, high = masks->tms_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (masks->tms_of[middle]->tmk_tree < tree)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static tree_mask *mask_at(const tree_masks *masks, size_t at, uint32_t tree)
{
    return at < masks->tms_n && masks->tms_of[at]->tmk_tree == tree ? masks->tms_of[at] : NULL;
}

/* Two ascending lists as one. -> how many it has */
static uint32_t unite(uint32_t *out, const row_mask *a, const uint32_t *ids, uint32_t n)
{
    uint32_t i = 0, k = 0, made = 0;

    while (i < a->rmk_n || k < n) {
        uint32_t id = k == n || (i < a->rmk_n && a->rmk_ids[i] < ids[k]) ? a->rmk_ids[i] : ids[k];
        i += i < a->rmk_n && a->rmk_ids[i] == id;
        k += k < n && ids[k] == id;
        out[made++] = id;
    }
    return made;
}

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the list of unversioned columns");
}

static int mask_insert(tree_masks *masks, size_t at, uint32_t tree, tree_mask **out)
{
    int rc = list_room((void **)&masks->tms_of, &masks->tms_room, masks->tms_n, sizeof *masks->tms_of);

    if (rc)
        return rc;
    if (!(*out = calloc(1, sizeof **out)))
        return no_memory();
    (*out)->tmk_tree = tree;
    memmove(masks->tms_of + at + 1, masks->tms_of + at, (masks->tms_n - at) * sizeof *masks->tms_of);
    masks->tms_of[at] = *out;
    masks->tms_n++;
    return EDB_OK;
}

int tree_masks_add(tree_masks *masks, uint32_t tree, const uint32_t *ids, uint32_t n)
{
    size_t at = place_of(masks, tree);
    tree_mask *mask = mask_at(masks, at, tree);
    uint32_t *both;
    int rc;

    if (!n)
        return EDB_OK;
    if (!mask && (rc = mask_insert(masks, at, tree, &mask)))
        return rc;
    if (!(both = malloc((mask->tmk_mask.rmk_n + (size_t)n) * sizeof *both)))
        return no_memory();
    mask->tmk_mask.rmk_n = unite(both, &mask->tmk_mask, ids, n);
    free(mask->tmk_ids);
    mask->tmk_mask.rmk_ids = mask->tmk_ids = both;
    return EDB_OK;
}

int tree_masks_copy(tree_masks *out, const tree_masks *from)
{
    int rc = EDB_OK;

    *out = (tree_masks){ .tms_n = 0 };
    for (size_t i = 0; i < from->tms_n && !rc; i++)
        rc = tree_masks_add(out, from->tms_of[i]->tmk_tree, from->tms_of[i]->tmk_ids, from->tms_of[i]->tmk_mask.rmk_n);
    if (rc)
        tree_masks_free(out);
    return rc;
}

void tree_masks_free(tree_masks *masks)
{
    for (size_t i = 0; i < masks->tms_n; i++) {
        free(masks->tms_of[i]->tmk_ids);
        free(masks->tms_of[i]);
    }
    free(masks->tms_of);
    *masks = (tree_masks){ .tms_n = 0 };
}

const row_mask *tree_masks_find(const tree_masks *masks, uint32_t tree)
{
    if (!masks || !masks->tms_n)
        return NULL;
    const tree_mask *mask = mask_at(masks, place_of(masks, tree), tree);
    return mask ? &mask->tmk_mask : NULL;
}
