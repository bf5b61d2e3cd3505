/* WebSocket rig. */
#include "tests/lib/websocket_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void websocket_rig_begin(struct websocket_rig *r)
{
    struct url url;
    struct buf request;

    *r = (struct websocket_rig){.fed = 0};
    buf_init(&r->told, 1 << 20);
    buf_init(&request, 4096);
    assert_int_equal(url_parse_ws("ws://example.org/", &url, NULL), 0);
    websocket_init(&r->ws);
    websocket_ask(&r->ws, &url, &request);
    buf_finish(&request);
}

void websocket_rig_open(struct websocket_rig *r)
{
    struct buf answer;

    websocket_rig_begin(r);
    buf_init(&answer, 4096);
    buf_printf(&answer,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %s\r\n\r\n",
               r->ws.answer.accept);
    websocket_rig_feed(r, buf_slice(&answer), answer.len);
    assert_string_equal(websocket_rig_told(r), "(open)");
    buf_finish(&answer);
    buf_clear(&r->told);
    r->fed = 0;
}

void websocket_rig_finish(struct websocket_rig *r)
{
    websocket_finish(&r->ws);
    buf_finish(&r->told);
}

static void tell(struct websocket_rig *r, enum websocket_event event,
                 const struct websocket_found *found)
{
    bool ends = event == WEBSOCKET_CLOSE || event == WEBSOCKET_BROKEN;

    assert_true(r->ended_at == 0);
    r->ended_at = ends ? r->fed : 0;
    if (event == WEBSOCKET_OPEN) {
        buf_append_str(&r->told, "(open)");
    } else if (event == WEBSOCKET_BROKEN) {
        buf_printf(&r->told, "(broken %u)", found->code);
        r->answered = found->answered;
        return;
    } else if (event == WEBSOCKET_CLOSE) {
        buf_printf(&r->told, "(close %u ", found->code);
    } else if (event == WEBSOCKET_PING) {
        buf_append_str(&r->told, "(ping ");
    }
    buf_append_slice(&r->told, found->bytes);
    if (event == WEBSOCKET_DATA) {
        assert_true(found->bytes.len > 0 || found->last);
        buf_append_str(&r->told, found->last ? "|" : "");
    } else if (event != WEBSOCKET_OPEN) {
        buf_append_char(&r->told, ')');
    }
}

void websocket_rig_feed(struct websocket_rig *r, struct slice bytes, size_t piece)
{
    while (bytes.len > 0) {
        size_t len = piece < bytes.len ? piece : bytes.len;
        char *copy = xmalloc(len); /* of exactly that size, so that ASan sees a byte too many */
        struct slice in = {copy, len};
        struct websocket_found found;
        enum websocket_event event;

        memcpy(copy, bytes.ptr, len);
        r->fed += len;
        while ((event = websocket_next(&r->ws, &in, &found, &r->err)) != WEBSOCKET_MORE) {
            tell(r, event, &found);
        }
        assert_int_equal(in.len, 0);
        free(copy);
        bytes = (struct slice){bytes.ptr + len, bytes.len - len};
    }
}

const char *websocket_rig_told(const struct websocket_rig *r)
{
    return r->told.data != NULL ? r->told.data : "";
}

void websocket_rig_frame(struct buf *out, unsigned first, struct slice payload)
{
    size_t bytes = payload.len < 126 ? 0 : payload.len <= 0xffff ? 2 : 8;

    buf_append_char(out, (char)first);
    buf_append_char(out, (char)(bytes == 0 ? payload.len : bytes == 2 ? 126 : 127));
    while (bytes > 0) {
        buf_append_char(out, (char)((uint64_t)payload.len >> (8 * --bytes)));
    }
    buf_append_slice(out, payload);
}
