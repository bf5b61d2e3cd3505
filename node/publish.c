/* Publish: RESP by hand. */
#include "node/publish.h"

#include <string.h>

static const char PUBLISH[] = "*3\r\n$7\r\nPUBLISH\r\n$";

size_t publish_most(struct slice topic_prefix, struct slice channel, struct slice line)
{
    return sizeof(PUBLISH) + topic_prefix.len + channel.len + line.len + 64;
}

static char *put_bytes(char *p, const char *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

static char *put_number(char *p, size_t n)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    p = put_bytes(p, digits + at, sizeof(digits) - at);
    return put_bytes(p, "\r\n", 2);
}

size_t publish_put(char *out, struct slice topic_prefix, struct slice channel, struct slice line)
{
    char *p = put_bytes(out, PUBLISH, sizeof(PUBLISH) - 1);

    p = put_number(p, topic_prefix.len + channel.len);
    p = put_bytes(p, topic_prefix.ptr, topic_prefix.len);
    p = put_bytes(p, channel.ptr, channel.len);
    p = put_bytes(p, "\r\n$", 3);
    p = put_number(p, line.len);
    p = put_bytes(p, line.ptr, line.len);
    p = put_bytes(p, "\r\n", 2);
    return (size_t)(p - out);
}

/* Take a bulk string off, whose length comes first. */
static struct slice take_bulk(const char **p)
{
    const char *end = *p;
    size_t len = 0;

    while (*end != '\r') { /* publish_put wrote it: there are digits alone */
        len = 10 * len + (size_t)(*end++ - '0');
    }
    *p = end + 2 + len + 2;
    return (struct slice){end + 2, len};
}

struct slice publish_take(struct slice *commands, struct slice topic_prefix, struct slice *line)
{
    const char *p = commands->ptr + sizeof(PUBLISH) - 1;
    struct slice topic = take_bulk(&p);

    p++; /* the line's '$' */
    *line = take_bulk(&p);
    commands->len -= (size_t)(p - commands->ptr);
    commands->ptr = p;
    return (struct slice){topic.ptr + topic_prefix.len, topic.len - topic_prefix.len};
}
