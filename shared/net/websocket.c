/* WebSocket: see websocket.h. Frames are taken apart here, and written; websocket_answer.c has the
 * upgrade.
 *
 * A frame is its head (2, 4 or 10 bytes), and then pieces of its payload as they come. Almost every
 * head is whole in the input, and read from there; one that is cut is collected byte by byte. */
#include "shared/net/websocket_private.h"

#include <string.h>

#define FIN      0x80 /* the message ends with this frame */
#define RESERVED 0x70 /* bits for extensions, of which there are none */
#define OPCODE   0x0f
#define CONTROL  0x08 /* bit of the opcodes of control frames */
#define MASKED   0x80
#define LENGTH   0x7f
#define LENGTH16 126 /* the length is in the next 2 bytes */
#define LENGTH64 127 /* in the next 8 */

#define HEAD_MAX 14 /* bytes of the head of a frame of ours, its masking key included */
#define KEY      4

static const struct machine_state states[] = {
    [WEBSOCKET_ASKED] = {"asked", MACHINE_BIT(WEBSOCKET_UPGRADED) | MACHINE_BIT(WEBSOCKET_FAILED)},
    [WEBSOCKET_UPGRADED] = {"open", MACHINE_BIT(WEBSOCKET_CLOSED) | MACHINE_BIT(WEBSOCKET_FAILED)},
    [WEBSOCKET_CLOSED] = {"closed", 0},
    [WEBSOCKET_FAILED] = {"failed", 0},
};

static void check(const void *owner)
{
    const struct websocket *ws = owner;

    BUG_ON(ws->answer.line.data != NULL);
    BUG_ON(ws->machine.state == WEBSOCKET_UPGRADED && !ws->answer.accepted);
}

/* Not logged: the connection that it belongs to is. */
static const struct machine_type machine = {NULL, states, ARRAY_LEN(states), NULL, check};

void websocket_init(struct websocket *ws)
{
    *ws = (struct websocket){.in_frame = false};
    buf_init(&ws->answer.line, WEBSOCKET_HEAD_MAX);
    machine_begin(&ws->machine, &machine, WEBSOCKET_ASKED);
}

void websocket_finish(struct websocket *ws)
{
    buf_finish(&ws->answer.line);
}

/* Reading ------------------------------------------------------------------------------------- */

static enum websocket_event broken(struct websocket_found *found, struct err *err, uint16_t code,
                                   const char *what)
{
    (void)err_set(err, ERR_PROTOCOL, "the WebSocket protocol is broken: %s", what);
    found->code = code;
    return WEBSOCKET_BROKEN;
}

/* What is wrong with the first byte of a frame; NULL: nothing. */
static const char *judge_first(unsigned first, bool fin, bool in_message)
{
    unsigned frame = first & OPCODE;

    if ((first & RESERVED) != 0) {
        return "a frame has a bit of an extension, and there is none";
    }
    if (frame > WEBSOCKET_PONG_FRAME ||
        (frame > WEBSOCKET_BINARY_FRAME && frame < WEBSOCKET_CLOSE_FRAME)) {
        return "a frame has an unknown opcode";
    }
    if ((frame & CONTROL) != 0) {
        return fin ? NULL : "a control frame is fragmented";
    }
    if (in_message != (frame == WEBSOCKET_CONTINUATION_FRAME)) {
        return in_message ? "a message begins within another" : "a continuation continues nothing";
    }
    return NULL;
}

/* The same of the second. */
static const char *judge_second(unsigned second, unsigned frame)
{
    unsigned len = second & LENGTH;

    if ((second & MASKED) != 0) {
        return "a frame of the server is masked";
    }
    if ((frame & CONTROL) != 0 && len > WEBSOCKET_CONTROL_MAX) {
        return "a control frame has more than 125 bytes";
    }
    return frame == WEBSOCKET_CLOSE_FRAME && len == 1 ? "a close frame has half a code" : NULL;
}

/* The same of a length that stands in more bytes. */
static const char *judge_length(uint64_t len, uint64_t least)
{
    if (len < least) {
        return "the length of a frame is not in its shortest form";
    }
    return len > INT64_MAX ? "the length of a frame is negative" : NULL;
}

static uint64_t big_endian(const unsigned char *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* Read the head of a frame, of which `have` bytes are there. Its size; 0: it is not whole, or wrong
 * (*why). */
static size_t read_head(struct websocket *ws, const unsigned char *at, size_t have,
                        const char **why)
{
    if (have == 0) {
        return 0;
    }
    bool fin = (at[0] & FIN) != 0;
    uint8_t frame = at[0] & OPCODE;
    *why = judge_first(at[0], fin, ws->message != 0);
    if (*why != NULL || have == 1) {
        return 0;
    }
    uint64_t len = at[1] & LENGTH;
    size_t head = len < LENGTH16 ? 2 : len == LENGTH16 ? 4 : 10;
    *why = judge_second(at[1], frame);
    if (*why != NULL || have < head) {
        return 0;
    }
    if (head > 2) {
        len = big_endian(at + 2, head - 2);
        *why = judge_length(len, head == 4 ? LENGTH16 : UINT16_MAX + 1);
        if (*why != NULL) {
            return 0;
        }
    }
    ws->in_frame = true;
    ws->fin = fin;
    ws->frame = frame;
    ws->left = len;
    if ((frame & CONTROL) == 0 && frame != WEBSOCKET_CONTINUATION_FRAME) {
        ws->message = frame;
    }
    return head;
}

static struct slice take(struct slice *in, size_t len)
{
    struct slice taken = {in->ptr, len};

    *in = (struct slice){in->ptr + len, in->len - len};
    return taken;
}

/* Begin a frame. False: its head is not whole, or wrong (*why). */
static bool begin_frame(struct websocket *ws, struct slice *in, const char **why)
{
    if (ws->nkept == 0) {
        size_t head = read_head(ws, (const unsigned char *)in->ptr, in->len, why);
        if (head > 0 || *why != NULL) {
            (void)take(in, head);
            return head > 0;
        }
    }
    while (in->len > 0) {
        ws->kept[ws->nkept++] = *take(in, 1).ptr;
        size_t head = read_head(ws, (const unsigned char *)ws->kept, ws->nkept, why);
        if (head > 0 || *why != NULL) {
            ws->nkept = 0;
            return head > 0;
        }
    }
    return false;
}

/* May a close frame have it (7.4)? */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static enum websocket_event on_close(struct slice payload, struct websocket_found *found,
                                     struct err *err)
{
    struct utf8_check reason = {{0}};

    found->code = WEBSOCKET_CODE_NONE;
    if (payload.len == 0) {
        return WEBSOCKET_CLOSE;
    }
    found->code = (uint16_t)big_endian((const unsigned char *)payload.ptr, 2);
    (void)take(&payload, 2);
    if (!is_close_code(found->code)) {
        return broken(found, err, WEBSOCKET_CODE_PROTOCOL, "a close frame has no valid code");
    }
    if (!utf8_check_piece(&reason, payload) || !utf8_check_is_whole(&reason)) {
        return broken(found, err, WEBSOCKET_CODE_DATA, "the reason of a close is not UTF-8");
    }
    found->bytes = payload;
    return WEBSOCKET_CLOSE;
}

/* MORE: it is not whole, or was a pong, which tells nothing. */
static enum websocket_event next_of_control(struct websocket *ws, struct slice *in,
                                            struct websocket_found *found, struct err *err)
{
    struct slice payload;

    if (ws->nkept == 0 && in->len >= ws->left) {
        payload = take(in, ws->left);
    } else {
        size_t len = in->len < ws->left ? in->len : ws->left;

        if (len > 0) {
            memcpy(ws->kept + ws->nkept, take(in, len).ptr, len);
        }
        ws->nkept = (uint8_t)(ws->nkept + len);
        ws->left -= len;
        if (ws->left > 0) {
            return WEBSOCKET_MORE;
        }
        payload = (struct slice){ws->kept, ws->nkept};
        ws->nkept = 0;
    }
    ws->in_frame = false;
    if (ws->frame == WEBSOCKET_CLOSE_FRAME) {
        return on_close(payload, found, err);
    }
    if (ws->frame == WEBSOCKET_PONG_FRAME) {
        return WEBSOCKET_MORE;
    }
    found->bytes = payload;
    return WEBSOCKET_PING;
}

/* MORE: nothing is there, or it was a frame without payload that ends no message. */
static enum websocket_event next_of_data(struct websocket *ws, struct slice *in,
                                         struct websocket_found *found, struct err *err)
{
    size_t len = in->len < ws->left ? in->len : ws->left;

    if (len == 0 && ws->left > 0) {
        return WEBSOCKET_MORE;
    }
    struct slice bytes = take(in, len);
    ws->left -= len;
    ws->in_frame = ws->left > 0;
    bool last = ws->fin && !ws->in_frame;
    if (ws->message == WEBSOCKET_TEXT_FRAME &&
        (!utf8_check_piece(&ws->text, bytes) || (last && !utf8_check_is_whole(&ws->text)))) {
        return broken(found, err, WEBSOCKET_CODE_DATA, "a text is not UTF-8");
    }
    if (last) {
        ws->message = 0;
    } else if (len == 0) {
        return WEBSOCKET_MORE;
    }
    found->bytes = bytes;
    found->last = last;
    return WEBSOCKET_DATA;
}

static enum websocket_event next_of_frames(struct websocket *ws, struct slice *in,
                                           struct websocket_found *found, struct err *err)
{
    for (;;) {
        const char *why = NULL;
        enum websocket_event event;

        if (!ws->in_frame && !begin_frame(ws, in, &why)) {
            return why == NULL ? WEBSOCKET_MORE : broken(found, err, WEBSOCKET_CODE_PROTOCOL, why);
        }
        event = (ws->frame & CONTROL) != 0 ? next_of_control(ws, in, found, err)
                                           : next_of_data(ws, in, found, err);
        if (event != WEBSOCKET_MORE || ws->in_frame) {
            return event;
        }
    }
}

enum websocket_event websocket_next(struct websocket *ws, struct slice *in,
                                    struct websocket_found *found, struct err *err)
{
    enum websocket_event event = WEBSOCKET_MORE;

    *found = (struct websocket_found){.code = 0};
    if (ws->machine.state == WEBSOCKET_UPGRADED) {
        event = next_of_frames(ws, in, found, err);
    } else if (ws->machine.state == WEBSOCKET_ASKED) {
        event = websocket_next_answer(&ws->answer, in, found, err);
    } else {
        (void)take(in, in->len);
    }
    if (event == WEBSOCKET_OPEN || event == WEBSOCKET_CLOSE || event == WEBSOCKET_BROKEN) {
        buf_finish(&ws->answer.line);
        machine_move(&ws->machine,
                     event == WEBSOCKET_OPEN    ? WEBSOCKET_UPGRADED
                     : event == WEBSOCKET_CLOSE ? WEBSOCKET_CLOSED
                                                : WEBSOCKET_FAILED,
                     ws);
    }
    return event;
}

/* Writing ------------------------------------------------------------------------------------- */

/* Its size. */
static size_t make_head(unsigned char *head, enum websocket_frame frame, uint64_t len)
{
    unsigned length = len < LENGTH16 ? (unsigned)len : len <= UINT16_MAX ? LENGTH16 : LENGTH64;
    size_t bytes = length < LENGTH16 ? 0 : length == LENGTH16 ? 2 : 8;

    head[0] = (unsigned char)(FIN | frame);
    head[1] = (unsigned char)(MASKED | length);
    for (size_t i = 0; i < bytes; i++) {
        head[2 + i] = (unsigned char)(len >> (8 * (bytes - 1 - i)));
    }
    random_bytes(head + 2 + bytes, KEY);
    return 2 + bytes + KEY;
}

void websocket_write(struct buf *out, enum websocket_frame frame, struct slice payload)
{
    unsigned char head[HEAD_MAX];
    size_t len = make_head(head, frame, payload.len);

    BUG_ON((frame & CONTROL) != 0 && payload.len > WEBSOCKET_CONTROL_MAX);
    if (len + payload.len > out->max - out->len) {
        out->overflow = true; /* no head without its payload */
        return;
    }
    buf_append(out, head, len);
    buf_append_slice(out, payload);
    if (!out->overflow) {
        char *masked = out->data + out->len - payload.len;

        for (size_t i = 0; i < payload.len; i++) {
            masked[i] = (char)(masked[i] ^ head[len - KEY + i % KEY]);
        }
    }
}

void websocket_write_close(struct buf *out, uint16_t code, struct slice reason)
{
    char payload[WEBSOCKET_CONTROL_MAX];
    size_t len = 0;

    if (code != WEBSOCKET_CODE_NONE) {
        BUG_ON(!is_close_code(code));
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        len = 2;
        for (;;) {
            size_t next = utf8_length(reason.ptr, reason.len);

            if (next == 0 || next > sizeof(payload) - len) {
                break;
            }
            memcpy(payload + len, take(&reason, next).ptr, next);
            len += next;
        }
    }
    websocket_write(out, WEBSOCKET_CLOSE_FRAME, (struct slice){payload, len});
}
