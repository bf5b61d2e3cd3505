/* Fuzz: what a hostile WebSocket server sends: its answer to the upgrade, and frames behind it.
 *
 * The first byte of the input says how it is cut, and with its top bit that the upgrade is over: the rest are frames.
 * Without it, the first '@' of the rest stands for the right Sec-WebSocket-Accept. What must hold: however it is cut,
 * the same events come, and the same bytes between them; where a text breaks off its UTF-8, a larger piece may have
 * told less of it. Nothing follows a close or what is broken; a ping fits its answer; a close has a code that may be
 * sent, and a reason that is UTF-8. And what we write is read back as it was. */
#include "shared/net/websocket.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: @\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct event {
    enum websocket_event event;
    unsigned code; /* of BROKEN doubled, and one more where it was answered */
    size_t at;     /* bytes that were told by then */
};

struct seen {
    struct buf bytes;  /* of all events */
    struct buf events; /* structs; no DATA that ends no message */
    struct err err;
    bool over;
};

static bool is_utf8(struct slice text)
{
    size_t len;

    while ((len = utf8_length(text.ptr, text.len)) > 0) {
        text = (struct slice){text.ptr + len, text.len - len};
    }
    return text.len == 0;
}

static void look(struct seen *seen, enum websocket_event event, const struct websocket_found *found)
{
    struct event e = {event, found->code, 0};

    BUG_ON(seen->over);
    BUG_ON(event == WEBSOCKET_PING && found->bytes.len > WEBSOCKET_CONTROL_MAX);
    BUG_ON(event == WEBSOCKET_BROKEN && (found->bytes.len > 0 || seen->err.text[0] == '\0'));
    if (event == WEBSOCKET_CLOSE) {
        struct buf answer;

        BUG_ON(!is_utf8(found->bytes) || found->bytes.len > WEBSOCKET_CONTROL_MAX - 2);
        buf_init(&answer, 1024);
        websocket_write_close(&answer, found->code, found->bytes); /* aborts on a wrong code */
        BUG_ON(answer.len != 6 + (found->code == WEBSOCKET_CODE_NONE ? 0 : 2 + found->bytes.len));
        buf_finish(&answer);
    }
    if (event == WEBSOCKET_BROKEN) {
        e.code = found->code << 1 | found->answered;
    } else {
        buf_append_slice(&seen->bytes, found->bytes);
    }
    e.at = seen->bytes.len;
    if (event != WEBSOCKET_DATA || found->last) {
        buf_append(&seen->events, &e, sizeof(e));
    }
    seen->over = event == WEBSOCKET_BROKEN || event == WEBSOCKET_CLOSE;
}

/* The bytes, an accept put in for the first '@'. */
static void fill_in(const struct websocket *ws, struct slice bytes, struct buf *out)
{
    struct slice before;

    bool found = slice_split(&bytes, '@', &before);
    buf_append_slice(out, before);
    buf_append_str(out, found ? ws->answer.accept : "");
    buf_append_slice(out, bytes);
}

static void feed(struct websocket *ws, struct slice bytes, size_t piece, struct seen *seen)
{
    while (bytes.len > 0) {
        size_t len = piece < bytes.len ? piece : bytes.len;
        char *copy = xmalloc(len); /* of exactly that size, so that ASan sees a byte too many */
        struct slice in = {copy, len};
        struct websocket_found found;
        enum websocket_event event;

        memcpy(copy, bytes.ptr, len);
        while ((event = websocket_next(ws, &in, &found, &seen->err)) != WEBSOCKET_MORE) {
            BUG_ON(in.ptr < copy || in.ptr + in.len != copy + len);
            look(seen, event, &found);
        }
        BUG_ON(in.len > 0);
        free(copy);
        bytes = (struct slice){bytes.ptr + len, bytes.len - len};
    }
}

static void read_all(struct slice bytes, size_t piece, bool is_open, struct seen *seen)
{
    struct websocket ws;
    struct url url;
    struct buf text;

    *seen = (struct seen){.over = false};
    buf_init(&seen->bytes, SIZE_MAX / 2);
    buf_init(&seen->events, SIZE_MAX / 2);
    buf_init(&text, SIZE_MAX / 2);
    BUG_ON(url_parse_ws("wss://example.org/", &url, NULL) != 0);
    websocket_init(&ws);
    websocket_ask(&ws, &url, &text);
    buf_clear(&text);
    if (is_open) {
        fill_in(&ws, SLICE(ANSWER), &text);
        feed(&ws, buf_slice(&text), text.len, seen);
        buf_clear(&text);
        buf_append_slice(&text, bytes);
    } else {
        fill_in(&ws, bytes, &text);
    }
    feed(&ws, buf_slice(&text), piece, seen);
    websocket_finish(&ws);
    buf_finish(&text);
}

static void compare(const struct seen *whole, const struct seen *cut)
{
    size_t n = whole->events.len / sizeof(struct event);
    const struct event *a = (const struct event *)(const void *)whole->events.data;
    const struct event *b = (const struct event *)(const void *)cut->events.data;
    bool no_utf8 = n > 0 && a[n - 1].event == WEBSOCKET_BROKEN && a[n - 1].code >> 1 == 1007;

    BUG_ON(whole->events.len != cut->events.len || strcmp(whole->err.text, cut->err.text) != 0);
    for (size_t i = 0; i < n; i++) {
        bool last = no_utf8 && i == n - 1;
        BUG_ON(a[i].event != b[i].event || a[i].code != b[i].code);
        BUG_ON(last ? a[i].at > b[i].at : a[i].at != b[i].at);
    }
    BUG_ON(no_utf8 ? whole->bytes.len > cut->bytes.len : whole->bytes.len != cut->bytes.len);
    BUG_ON(whole->bytes.len > 0 &&
           memcmp(whole->bytes.data, cut->bytes.data, whole->bytes.len) != 0);
}

/* As a server reads it. */
static void write_and_read_back(struct slice bytes)
{
    struct buf out;
    size_t head = bytes.len < 126 ? 2 : bytes.len <= 0xffff ? 4 : 10;

    buf_init(&out, SIZE_MAX / 2);
    websocket_write(&out, WEBSOCKET_TEXT_FRAME, bytes);
    BUG_ON(out.len != head + 4 + bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        BUG_ON((out.data[head + 4 + i] ^ out.data[head + i % 4]) != bytes.ptr[i]);
    }
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 3, 5, 8, 13, 64, 125};

    if (size < 2) {
        return 0;
    }
    struct slice bytes = {(const char *)data + 1, size - 1};
    bool is_open = (data[0] & 0x80) != 0;
    struct seen whole;
    struct seen cut;

    read_all(bytes, SIZE_MAX, is_open, &whole);
    read_all(bytes, pieces[data[0] % ARRAY_LEN(pieces)], is_open, &cut);
    compare(&whole, &cut);
    write_and_read_back(bytes);
    buf_finish(&whole.bytes);
    buf_finish(&whole.events);
    buf_finish(&cut.bytes);
    buf_finish(&cut.events);
    return 0;
}
