/* What text is a tag, and where its namespace ends.
 *
 * A tag is UTF-8 text `namespace:value`, 1 to 1,024 bytes. The first colon ends the namespace, so values may hold
 * colons. A tag without a colon has the namespace '' and is its own value; so none may begin with a colon. It has no
 * control characters (U+0000 to U+001F, U+007F to U+009F). */
#ifndef EDB_TAG_TEXT_H
#define EDB_TAG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAG_MOST = 1024 };           /* bytes */

/* EDB_TAG, with a sentence that names the text; most: what a key of the file's page size may have. */
int tag_judge(const uint8_t *text, size_t size, uint32_t most);
/* The bytes of the namespace, without the colon. */
size_t tag_namespace_size(const uint8_t *text, size_t size);
/* Where the value begins. */
size_t tag_value_at(const uint8_t *text, size_t size);
/* For messages: at most TAG_SHOWN - 1 bytes of the text, control characters as '?', "..." where it goes on. */
enum { TAG_SHOWN = 80 };
const char *tag_shown(const uint8_t *text, size_t size, char out[TAG_SHOWN]);

#endif
