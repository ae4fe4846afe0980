/* Sorted runs of a write set; see ws_run.h.
 *
 * Written through a buffer with pwrite, so that a full disk is an error code, and mapped read-only afterwards. What is
 * in the map was written by this process and is trusted; a temporary folder that loses bytes is beyond repair here. */
#include "engine/txn/ws_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/shared/os.h"

typedef struct {
    uint64_t seq, seen_from;
    uint32_t tree, key_size, value_size, flags;
} run_head;

_Static_assert(sizeof(run_head) == 32, "entries stay aligned to 8 bytes");

enum { BUFFER_BYTES = 256 << 10 };

typedef struct {                    /* a run being written */
    int wr_fd;
    uint64_t wr_start;              /* file offset of the run */
    uint64_t wr_done;               /* bytes of the run in the file */
    size_t wr_fill;                 /* bytes in the buffer */
    uint64_t *wr_offsets;           /* of the entries so far */
    size_t wr_count, wr_room;
    run_tree *wr_trees;
    size_t wr_n_trees, wr_trees_room;
    uint8_t wr_buffer[BUFFER_BYTES];
} run_writer;

static const char *folder(void)
{
    const char *name = getenv("TMPDIR");

    return name && *name ? name : "/tmp";
}

static int file_open(run_file *file)
{
    char path[4096];

    if (file->rf_fd >= 0)
        return EDB_OK;
    file->rf_fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->rf_fd < 0) {          /* not every file system makes files without a name */
        if (snprintf(path, sizeof path, "%s/entitydb-XXXXXX", folder()) >= (int)sizeof path)
            return edb_fail(EDB_CANTOPEN, "the name of the temporary folder is too long; set TMPDIR to a shorter one");
        file->rf_fd = mkostemp(path, O_CLOEXEC);
        if (file->rf_fd >= 0)
            unlink(path);
    }
    if (file->rf_fd < 0)
        return edb_fail(EDB_CANTOPEN, "a large transaction needs a temporary file, and none can be made in %s: %s; "
                        "set TMPDIR to a folder that can be written", folder(), strerror(errno));
    return EDB_OK;
}

static int write_all(run_writer *w, const uint8_t *bytes, size_t size)
{
    int rc = FAILPOINT("spill:write");

    if (rc)
        return edb_fail(rc, "the temporary file of a large transaction in %s cannot be written", folder());
    while (size > 0) {
        ssize_t n = pwrite(w->wr_fd, bytes, size, (off_t)(w->wr_start + w->wr_done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return edb_fail(n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG ? EDB_IO : EDB_FULL,
                            "the temporary file of a large transaction in %s cannot be written: %s; make room there or "
                            "set TMPDIR to another folder", folder(), strerror(errno));
        bytes += n;
        size -= (size_t)n;
        w->wr_done += (uint64_t)n;
    }
    return EDB_OK;
}

static int flush(run_writer *w)
{
    int rc = write_all(w, w->wr_buffer, w->wr_fill);

    w->wr_fill = 0;
    return rc;
}

static int append(run_writer *w, const void *bytes, size_t size)
{
    int rc;

    if (size > BUFFER_BYTES - w->wr_fill && (rc = flush(w)))
        return rc;
    if (size > BUFFER_BYTES)
        return write_all(w, bytes, size);
    if (size)
        memcpy(w->wr_buffer + w->wr_fill, bytes, size);
    w->wr_fill += size;
    return EDB_OK;
}

static int grow(void **array, size_t *room, size_t count, size_t each)
{
    size_t more = *room ? 2 * *room : 256;
    void *bigger;

    if (count < *room)
        return EDB_OK;
    if (!(bigger = realloc(*array, more * each)))
        return edb_fail(EDB_NOMEM, "memory is exhausted while a large transaction is written to its temporary file");
    *array = bigger;
    *room = more;
    return EDB_OK;
}

/* Notes where the entry begins and to which tree's part it belongs. */
static int note_entry(run_writer *w, uint32_t tree)
{
    int rc;

    if ((rc = grow((void **)&w->wr_offsets, &w->wr_room, w->wr_count, sizeof *w->wr_offsets)))
        return rc;
    if (!w->wr_n_trees || w->wr_trees[w->wr_n_trees - 1].rt_tree != tree) {
        if ((rc = grow((void **)&w->wr_trees, &w->wr_trees_room, w->wr_n_trees, sizeof *w->wr_trees)))
            return rc;
        w->wr_trees[w->wr_n_trees++] = (run_tree){ .rt_tree = tree, .rt_first = w->wr_count };
    }
    w->wr_offsets[w->wr_count++] = w->wr_done + w->wr_fill;
    w->wr_trees[w->wr_n_trees - 1].rt_end = w->wr_count;
    return EDB_OK;
}

static int write_entry(run_writer *w, const skip_node *node)
{
    static const uint8_t zeros[8];
    const run_head head = { node->nd_seq, node->nd_from, node->nd_tree, node->nd_head.kv_key_size, node->nd_head.kv_value_size,
                            node->nd_flags };
    size_t padding = -((size_t)head.key_size + head.value_size) & 7;
    int rc;

    if ((rc = note_entry(w, head.tree)) || (rc = append(w, &head, sizeof head))
        || (rc = append(w, node->nd_head.kv_key, head.key_size)) || (rc = append(w, keyed_value(&node->nd_head), head.value_size)))
        return rc;
    return append(w, zeros, padding);
}

static int run_map(run_writer *w, uint64_t offsets_at, ws_run *run)
{
    run->rn_size = w->wr_done;
    run->rn_map = mmap(NULL, run->rn_size, PROT_READ, MAP_SHARED, w->wr_fd, (off_t)w->wr_start);
    if (run->rn_map == MAP_FAILED)
        return edb_fail(EDB_NOMEM, "the temporary file of a large transaction cannot be mapped: %s", strerror(errno));
    run->rn_offsets = (const uint64_t *)(run->rn_map + offsets_at);
    run->rn_count = w->wr_count;
    run->rn_trees = w->wr_trees;
    run->rn_n_trees = w->wr_n_trees;
    w->wr_trees = NULL;
    return EDB_OK;
}

int run_write(run_file *file, run_next_fn next, void *arg, ws_run **out)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), offsets_at;
    run_writer *w = NULL;
    ws_run *run = NULL;
    int rc;

    if ((rc = file_open(file)))
        return rc;
    w = malloc(sizeof *w);
    run = calloc(1, sizeof *run);
    if (!w || !run) {
        rc = edb_fail(EDB_NOMEM, "memory is exhausted while a large transaction is written to its temporary file");
        goto done;
    }
    memset(w, 0, offsetof(run_writer, wr_buffer));
    w->wr_fd = file->rf_fd;
    w->wr_start = file->rf_end;
    for (const skip_node *node; (node = next(arg));)
        if ((rc = write_entry(w, node)))
            goto free_lists;
    offsets_at = w->wr_done + w->wr_fill;
    if ((rc = append(w, w->wr_offsets, w->wr_count * sizeof *w->wr_offsets)) || (rc = flush(w)))
        goto free_lists;
    if (w->wr_count && (rc = run_map(w, offsets_at, run)))
        goto free_lists;
    file->rf_end = (w->wr_start + w->wr_done + page - 1) / page * page;
    *out = run;
    run = NULL;
free_lists:
    free(w->wr_trees);
    free(w->wr_offsets);
done:
    free(run);
    free(w);
    return rc;
}

void run_free(ws_run *run)
{
    if (!run)
        return;
    if (run->rn_map)
        munmap(run->rn_map, run->rn_size);
    free(run->rn_trees);
    free(run);
}

void run_file_close(run_file *file)
{
    if (file->rf_fd >= 0)
        close(file->rf_fd);
    file->rf_fd = -1;
}

const run_tree *run_find_tree(const ws_run *run, uint32_t tree)
{
    size_t low = 0, high = run->rn_n_trees;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (run->rn_trees[middle].rt_tree < tree)
            low = middle + 1;
        else
            high = middle;
    }
    return low < run->rn_n_trees && run->rn_trees[low].rt_tree == tree ? &run->rn_trees[low] : NULL;
}

void run_entry(const ws_run *run, uint64_t position, ws_entry *out)
{
    const run_head *head = (const run_head *)(run->rn_map + run->rn_offsets[position]);
    const uint8_t *key = (const uint8_t *)(head + 1);

    *out = (ws_entry){ .key = key, .value = key + head->key_size, .key_size = head->key_size,
                       .value_size = head->value_size, .tree = head->tree, .flags = (uint8_t)head->flags,
                       .seq = head->seq, .seen_from = head->seen_from };
}

static int compare_at(const ws_run *run, uint64_t position, const void *key, size_t key_size)
{
    const run_head *head = (const run_head *)(run->rn_map + run->rn_offsets[position]);

    return key_compare((const uint8_t *)(head + 1), head->key_size, key, key_size);
}

uint64_t run_search(const ws_run *run, const run_tree *part, const void *key, size_t key_size, bool after)
{
    const int limit = after ? 1 : 0;    /* entries that compare below it lie before the place */
    uint64_t low = part->rt_first, high = part->rt_end;

    /* Bulk loads come in key order: most searches end behind the last entry. */
    if (compare_at(run, high - 1, key, key_size) < limit)
        return high;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (compare_at(run, middle, key, key_size) < limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
