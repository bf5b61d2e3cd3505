/* Registry world: what the files of its steps share. */
#ifndef SHOAL_TESTS_REGISTRY_WORLD_PRIVATE_H
#define SHOAL_TESTS_REGISTRY_WORLD_PRIVATE_H

#include "tests/lib/registry_world.h"

/* `call` is a registry_x(...) with the world as ctx. */
#define STEP(w, call)                                                                              \
    do {                                                                                           \
        unsigned before_ = (w)->answers;                                                           \
        assert_int_equal((call), 0);                                                               \
        wait_until(&(w)->probe.t, (w)->answers > before_);                                         \
        assert_int_equal((w)->answers, before_ + 1);                                               \
    } while (0)

void world_copy(char *out, size_t size, struct slice s);
/* Every callback comes through here. */
void world_answer(struct world *w, const char *word, const struct err *err);
/* Callbacks whose ctx is the world. */
void world_on_done(void *ctx, const struct err *err);
void world_on_word(void *ctx, struct slice word, struct slice rest, const struct err *err);

/* Apply an answer the way a node has to. */
void world_view_update(struct world_node *n, const struct registry_picture *p);
/* For qsort of strings. */
int world_by_text(const void *a, const void *b);

#endif
