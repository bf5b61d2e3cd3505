/* What clang-tidy reads before each file: the lists and tables of uthash in words that its analyzer
 * can follow. The real ones it walks through slowly, and takes what was taken out for what is in. */
#ifndef SHOAL_TESTS_TIDY_H
#define SHOAL_TESTS_TIDY_H

#include <uthash.h>
#include <utlist.h>

/* An element, or NULL. */
__attribute__((pure)) void *tidy_any(void);
/* An element. */
__attribute__((pure, returns_nonnull)) void *tidy_some(void);
/* It is in a list now, and so not lost. */
void tidy_keep(void *item);

#undef HASH_FIND
#define HASH_FIND(hh, head, key, len, out)                                                         \
    ((void)(key), (void)(len), (out) = (head) != NULL ? tidy_any() : NULL)
#undef HASH_ADD_KEYPTR
#define HASH_ADD_KEYPTR(hh, head, key, len, item)                                                  \
    ((void)(key), (void)(len), tidy_keep(&(item)->hh), (head) = tidy_some())
#undef HASH_DELETE
#define HASH_DELETE(hh, head, item) ((void)(item)->hh.next, (head) = tidy_any())

#undef DL_APPEND2
#define DL_APPEND2(head, item, prev, next) (tidy_keep(&(item)->next), (head) = tidy_some())
#undef DL_PREPEND2
#define DL_PREPEND2(head, item, prev, next) (tidy_keep(&(item)->next), (head) = (item))
#undef DL_DELETE2
#define DL_DELETE2(head, item, prev, next) ((void)(item)->next, (head) = tidy_any())

#endif
