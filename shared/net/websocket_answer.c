/* WebSocket, the upgrade: what is asked, and a head that is read line by line and judged at each of
 * them (RFC 6455, 4.1). Of another status than 101 the first line is enough. */
#include "shared/net/websocket_private.h"

#include "shared/net/http_field.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_BYTES           16
#define SWITCHING_PROTOCOLS 101
#define NO_HTTP             "the answer is not HTTP/1.1"

void websocket_ask(struct websocket *ws, const struct url *url, struct buf *out)
{
    unsigned char bytes[KEY_BYTES];
    unsigned char key[WEBSOCKET_KEY_CHARS + 1];
    bool v6 = strchr(url->host, ':') != NULL;
    int host = (int)strcspn(url->host, "%"); /* a zone is ours alone */

    BUG_ON(ws->machine.state != WEBSOCKET_ASKED || ws->answer.accept[0] != '\0');
    random_bytes(bytes, sizeof(bytes));
    (void)EVP_EncodeBlock(key, bytes, sizeof(bytes));
    websocket_key_accept((struct slice){(const char *)key, WEBSOCKET_KEY_CHARS}, ws->answer.accept);
    buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s%.*s%s", url->path, v6 ? "[" : "", host, url->host,
               v6 ? "]" : "");
    if (url->port != (url->tls ? 443 : 80)) {
        buf_printf(out, ":%u", (unsigned)url->port);
    }
    buf_printf(out,
               "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
               "Sec-WebSocket-Version: 13\r\n\r\n",
               (const char *)key);
}

static enum websocket_event refuse(struct err *err, const char *why)
{
    (void)err_set(err, ERR_PROTOCOL, "the WebSocket upgrade failed: %s", why);
    return WEBSOCKET_BROKEN;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP/1.x and three digits; 0: it is no status line (RFC 9112, 4). */
static unsigned parse_status(struct slice line)
{
    const char *at = line.ptr;

    if (line.len < 12 || !is_digit(at[7]) || at[8] != ' ' || at[9] == '0' || !is_digit(at[9]) ||
        !is_digit(at[10]) || !is_digit(at[11]) || (line.len > 12 && at[12] != ' ') ||
        !http_field_is_text(line)) {
        return 0;
    }
    return (unsigned)((at[9] - '0') * 100 + (at[10] - '0') * 10 + at[11] - '0');
}

/* Does it begin as every status line does, as far as it has come? */
static bool begins_as_http(struct slice line)
{
    static const char begin[] = "HTTP/1.";
    size_t len = line.len < sizeof(begin) - 1 ? line.len : sizeof(begin) - 1;

    return memcmp(line.ptr, begin, len) == 0;
}

static enum websocket_event on_status(struct websocket_answer *a, struct slice line,
                                      struct websocket_found *found, struct err *err)
{
    a->status = parse_status(line);
    if (a->status == 0) {
        return refuse(err, NO_HTTP);
    }
    if (a->status == SWITCHING_PROTOCOLS) {
        /* HTTP/1.0 knows no upgrade (RFC 9110, 7.8). */
        return line.ptr[7] != '0' ? WEBSOCKET_MORE : refuse(err, NO_HTTP);
    }
    if (a->status / 100 == 1) {
        return WEBSOCKET_MORE;
    }
    (void)err_set(err, ERR_REFUSED, "the WebSocket upgrade failed: HTTP status %u", a->status);
    found->answered = true;
    return WEBSOCKET_BROKEN;
}

/* What is wrong with it; NULL: nothing. */
static const char *judge(struct websocket_answer *a, const struct http_field *field)
{
    struct slice list = field->value;
    struct slice one;

    if (http_field_is(field->name, "upgrade")) {
        while (http_field_next(&list, &one)) {
            if (!http_field_is(one, "websocket")) {
                return "it upgrades to something else than websocket";
            }
            a->upgrade = true;
        }
    } else if (http_field_is(field->name, "connection")) {
        a->connection = a->connection || http_field_has(list, "upgrade");
    } else if (http_field_is(field->name, "sec-websocket-accept")) {
        if (a->accepted || !slice_is(field->value, a->accept)) {
            return "Sec-WebSocket-Accept is not what belongs to the key, once";
        }
        a->accepted = true;
    } else if (http_field_is(field->name, "sec-websocket-protocol")) {
        return "it has a Sec-WebSocket-Protocol, and none was asked for";
    } else if (http_field_is(field->name, "sec-websocket-extensions")) {
        return "it has Sec-WebSocket-Extensions, and none were asked for";
    }
    return NULL;
}

/* The empty line. */
static enum websocket_event on_end(struct websocket_answer *a, struct err *err)
{
    if (a->status != SWITCHING_PROTOCOLS) {
        a->status = 0; /* it was an interim answer: the next one follows */
        return WEBSOCKET_MORE;
    }
    if (!a->upgrade || !a->connection || !a->accepted) {
        return refuse(err, !a->upgrade      ? "it lacks Upgrade: websocket"
                           : !a->connection ? "it lacks Connection: upgrade"
                                            : "it lacks Sec-WebSocket-Accept");
    }
    return WEBSOCKET_OPEN;
}

/* A whole line, its LF included. */
static enum websocket_event on_line(struct websocket_answer *a, struct slice line,
                                    struct websocket_found *found, struct err *err)
{
    struct http_field field;
    const char *why;

    if (line.len < 2 || line.ptr[line.len - 2] != '\r') {
        return refuse(err, NO_HTTP);
    }
    line.len -= 2;
    if (a->status == 0) {
        return begins_as_http(line) ? on_status(a, line, found, err) : refuse(err, NO_HTTP);
    }
    if (line.len == 0) {
        return on_end(a, err);
    }
    if (!http_field_parse(line, &field)) {
        return refuse(err, NO_HTTP);
    }
    why = a->status == SWITCHING_PROTOCOLS ? judge(a, &field) : NULL;
    return why == NULL ? WEBSOCKET_MORE : refuse(err, why);
}

enum websocket_event websocket_next_answer(struct websocket_answer *a, struct slice *in,
                                           struct websocket_found *found, struct err *err)
{
    enum websocket_event event = WEBSOCKET_MORE;

    BUG_ON(a->accept[0] == '\0');
    while (event == WEBSOCKET_MORE && in->len > 0) {
        const char *end = memchr(in->ptr, '\n', in->len);
        size_t len = end != NULL ? (size_t)(end - in->ptr) + 1 : in->len;
        size_t room = WEBSOCKET_HEAD_MAX - a->len;

        len = len < room ? len : room;
        buf_append(&a->line, in->ptr, len);
        a->len += len;
        *in = (struct slice){in->ptr + len, in->len - len};
        if (a->line.data[a->line.len - 1] == '\n') {
            event = on_line(a, buf_slice(&a->line), found, err);
            buf_clear(&a->line);
        } else if (a->status == 0 && !begins_as_http(buf_slice(&a->line))) {
            event = refuse(err, NO_HTTP);
        }
        if (event == WEBSOCKET_MORE && a->len == WEBSOCKET_HEAD_MAX) {
            event = refuse(err, "the answer has no end within 8 KiB");
        }
    }
    return event;
}
