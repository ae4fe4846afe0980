/* The marshal format for the tests (native_test.h); empty outside test builds. */
#ifdef EDB_TEST
#include "native/native_test.h"

#include <stdlib.h>
#include <string.h>

#include "native/marshal.h"

enum { NO_MEMORY = -4 };

static int copy_value(marshal_reader *mr, marshal_writer *mw)
{
    edb_value value;
    int code = marshal_read(mr, &value);

    return code ? code : marshal_write(mw, &value) ? MARSHAL_OK : NO_MEMORY;
}

static int copy_row(marshal_reader *mr, marshal_writer *mw)
{
    size_t n;
    int code = marshal_read_list(mr, &n);

    if (!code && !marshal_write_tuple(mw, n))
        code = NO_MEMORY;
    for (size_t i = 0; i < n && !code; i++)
        code = copy_value(mr, mw);
    return code;
}

/* A dictionary {"a": the rows, "b": how many they are}, its keys kept names. */
int test_marshal(const uint8_t *bytes, size_t size, uint8_t **out, size_t *out_size)
{
    marshal_reader mr = { bytes, bytes + size };
    marshal_writer mw = { NULL, 0, 0 };
    edb_value count = { .type = 1 };
    size_t n, written = 0;
    int code = marshal_read_list(&mr, &n);

    if (!code && !(marshal_write_tuple(&mw, 2) && marshal_write_tuple(&mw, 2) && marshal_keep_name(&mw, "a", 1)
                   && marshal_keep_name(&mw, "\xc3\xa4", 2) && marshal_begin_dict(&mw) && marshal_write_name(&mw, 0)
                   && marshal_write_list(&mw, n)))
        code = NO_MEMORY;
    for (; !code && written < n; written++)
        code = copy_row(&mr, &mw);
    count.integer = (int64_t)written;
    if (!code && !(marshal_write_name(&mw, 1) && marshal_write(&mw, &count) && marshal_end_dict(&mw)))
        code = NO_MEMORY;
    if (code) {
        marshal_free(&mw);
        return code;
    }
    *out = mw.mw_bytes;
    *out_size = mw.mw_size;
    return MARSHAL_OK;
}

void test_marshal_free(uint8_t *bytes)
{
    free(bytes);
}

#endif
