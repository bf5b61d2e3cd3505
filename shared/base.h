/* Base: what every file of Shoal stands on: contracts, slices, and memory that cannot fail.
 *
 * Out of memory ends the process with a message (safety comes from bounds on every queue and
 * buffer, not from branches nobody can test). A bug ends it too: BUG_ON aborts, in release as well.
 * What the world does (peers, Redis, Twitch, files, users) is a value of err.h, never a BUG_ON. */
#ifndef SHOAL_BASE_H
#define SHOAL_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The caller must look at what the function returns. */
#define MUST_USE __attribute__((warn_unused_result))
/* A parameter that a callback has to have. */
#define UNUSED __attribute__((unused))
/* The function formats like printf: `fmt` and `args` are 1-based parameter positions. */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
/* Elements of a true array. */
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
/* Abort with file and line if `condition` holds: a bug of ours, not of the world. */
#define BUG_ON(condition)                                                                          \
    do {                                                                                           \
        if (condition) {                                                                           \
            bug_abort(__FILE__, __LINE__, #condition);                                             \
        }                                                                                          \
    } while (0)

/* Say where on standard error and abort. Use BUG_ON. */
_Noreturn void bug_abort(const char *file, int line, const char *condition);

/* malloc, calloc, realloc, strdup that never return NULL. The caller owns the result; free(). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text);
/* A NUL-terminated copy of `len` bytes. */
char *xstrndup(const char *text, size_t len);
/* printf into fresh memory. */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *xvasprintf(const char *fmt, va_list args) PRINTF_LIKE(1, 0);

/* A borrowed run of bytes, not NUL-terminated; valid as long as what it points into. */
struct slice {
    const char *ptr;
    size_t len;
};

/* A slice over a literal. */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* A slice over a NUL-terminated string; NULL gives the empty slice. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text != NULL ? text : "", text != NULL ? strlen(text) : 0};
}
/* The same bytes? */
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
/* The same bytes as a NUL-terminated string? */
static inline bool slice_is(struct slice a, const char *text)
{
    return slice_eq(a, slice_of(text));
}
/* The place of the one of these that has the same bytes; `n`: none has. */
size_t slice_index(struct slice a, const char *const *texts, size_t n);
/* As one of these? */
bool slice_is_one_of(struct slice a, const char *const *texts, size_t n);
/* Without blanks and tabs around it. */
struct slice slice_trim(struct slice s);
/* Take what stands before the first `c` off the front, and the `c`; false: there is no `c`, and all
 * was taken. */
bool slice_split(struct slice *left, char c, struct slice *before);
/* Parse a whole slice as an unsigned decimal number; false if it is anything else or overflows. */
MUST_USE bool slice_to_u64(struct slice s, uint64_t *out);

/* `len` random bytes (256 at most) that nobody can guess, from the kernel. */
void random_bytes(void *out, size_t len);
/* Hex characters of `bytes` random bytes (256 at most), NUL-terminated, into `out`
 * (2 * bytes + 1 chars). Used for incarnations and ids. */
void random_hex(char *out, size_t bytes);
/* A uniform random number below `bound` (bound > 0); not for secrets. */
uint64_t random_below(uint64_t bound);

#define INCARNATION_CHARS 33 /* 128 random bits in hex, and the NUL */

/* Two kinds of time, which do not mix. What a process waits for and remembers is a plain number of
 * milliseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps and means nothing to other
 * processes. */
uint64_t mono_ms(void);
/* The same clock in microseconds: what is measured, never a deadline. */
uint64_t mono_us(void);
/* What people read, and what is told to others, is milliseconds since 1970, by this host's clock or
 * by Redis's. Never for a deadline of our own: such clocks are set. */
struct wall {
    uint64_t ms; /* 0: not known */
};
/* By this host's clock. */
struct wall wall_now(void);
/* How long after `earlier` it was, in ms; 0 where it was not after it. */
uint64_t wall_since(struct wall earlier, struct wall later);

#endif
