/* Base: aborting on bugs, memory that cannot fail, slices, random numbers and the two clocks. */
#include "shared/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void bug_abort(const char *file, int line, const char *condition)
{
    fprintf(stderr, "BUG: %s:%d: %s\n", file, line, condition);
    abort();
}

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes could not be had\n", size);
    abort();
}

void *xmalloc(size_t size)
{
    return xrealloc(NULL, size);
}

void *xcalloc(size_t count, size_t size)
{
    void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (!ptr) {
        out_of_memory(size);
    }
    return ptr;
}

void *xrealloc(void *ptr, size_t size)
{
    /* realloc(ptr, 0) may free and return NULL: never ask for that. */
    void *moved = realloc(ptr, size > 0 ? size : 1);
    if (!moved) {
        out_of_memory(size);
    }
    return moved;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
    BUG_ON(len == SIZE_MAX);
    char *copy = xmalloc(len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

char *xvasprintf(const char *fmt, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0) {
        out_of_memory(0);
    }
    return text;
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    return text;
}

size_t slice_index(struct slice a, const char *const *texts, size_t n)
{
    size_t i = 0;
    while (i < n && !slice_is(a, texts[i])) {
        i++;
    }
    return i;
}

bool slice_is_one_of(struct slice a, const char *const *texts, size_t n)
{
    return slice_index(a, texts, n) < n;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

bool slice_split(struct slice *left, char c, struct slice *before)
{
    const char *at = left->len > 0 ? memchr(left->ptr, c, left->len) : NULL;

    if (at == NULL) {
        *before = *left;
        *left = SLICE("");
        return false;
    }
    *before = (struct slice){left->ptr, (size_t)(at - left->ptr)};
    *left = (struct slice){at + 1, left->len - before->len - 1};
    return true;
}

bool slice_to_u64(struct slice s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* A kernel without getrandom is none we run on, and more than 256 bytes are too many. */
void random_bytes(void *out, size_t len)
{
    BUG_ON(getentropy(out, len) != 0);
}

void random_hex(char *out, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[256];
    random_bytes(raw, bytes);
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * bytes] = '\0';
}

uint64_t random_below(uint64_t bound)
{
    BUG_ON(bound == 0);
    /* The first 2^64 mod bound values would be drawn once too often: draw again. */
    uint64_t skip = (0 - bound) % bound;
    uint64_t value;
    do {
        random_bytes(&value, sizeof(value));
    } while (value < skip);
    return value % bound;
}

static struct timespec clock_of(clockid_t id)
{
    struct timespec ts;
    BUG_ON(clock_gettime(id, &ts) != 0);
    return ts;
}

static uint64_t clock_ms(clockid_t id)
{
    struct timespec ts = clock_of(id);

    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t mono_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t mono_us(void)
{
    struct timespec ts = clock_of(CLOCK_BOOTTIME);

    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct wall wall_now(void)
{
    return (struct wall){clock_ms(CLOCK_REALTIME)};
}

uint64_t wall_since(struct wall earlier, struct wall later)
{
    return later.ms > earlier.ms ? later.ms - earlier.ms : 0;
}
