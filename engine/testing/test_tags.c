#ifdef EDB_TEST
/* For tests of the keys of taggings. */
#include "engine/testing/edb_test.h"
#include "engine/entity/tag_trees.h"

size_t test_entity_store(bool wide, int64_t entity, uint8_t *out)
{
    return entity_store(wide, out, entity);
}

size_t test_entity_load(bool wide, const uint8_t *at, size_t size, int64_t *out)
{
    return entity_load(wide, at, size, out);
}

#endif
