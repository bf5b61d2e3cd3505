/* WebSocket: the client's side of RFC 6455, without a socket: bytes in, events out.
 *
 *   websocket_ask -> bytes to send
 *   bytes from the peer -> websocket_next, again and again, until it wants MORE
 *
 *   asked -> upgraded (101, and it proves that it is a WebSocket server) -> closed (its close)
 *     +------> failed <-+
 *
 * Payload is handed out from where it was read: frames of a server are not masked, so a message of
 * any size costs no copy and no memory. Only what is small and must be whole (a line of the answer
 * to the upgrade, the head of a frame, ping, close) is collected where a piece has but a part of
 * it. Without extensions and subprotocols: none is asked for, and none is taken.
 *
 * Whatever the server does that the RFC forbids ends it, as early as it is known: nothing is
 * guessed, and nothing comes after it. Pure: no socket, no clock, no callback. Loop thread only. */
#ifndef SHOAL_NET_WEBSOCKET_H
#define SHOAL_NET_WEBSOCKET_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/machine.h"
#include "shared/net/websocket_key.h"
#include "shared/url.h"
#include "shared/utf8.h"

#define WEBSOCKET_HEAD_MAX    8192 /* bytes of the answer, interim answers (1xx) included */
#define WEBSOCKET_CONTROL_MAX 125  /* bytes in a control frame (5.5) */

/* Opcodes (5.2). From 8 on they are control frames. */
enum websocket_frame {
    WEBSOCKET_CONTINUATION_FRAME = 0,
    WEBSOCKET_TEXT_FRAME = 1,
    WEBSOCKET_BINARY_FRAME = 2,
    WEBSOCKET_CLOSE_FRAME = 8,
    WEBSOCKET_PING_FRAME = 9,
    WEBSOCKET_PONG_FRAME = 10,
};

/* Codes of close frames that are ours to know (7.4.1). */
#define WEBSOCKET_CODE_NORMAL   1000
#define WEBSOCKET_CODE_PROTOCOL 1002 /* it breaks the protocol */
#define WEBSOCKET_CODE_NONE     1005 /* none was given; never in a frame */
#define WEBSOCKET_CODE_DATA     1007 /* a text is not UTF-8 */

enum websocket_event {
    WEBSOCKET_MORE,  /* all was used; feed it again when more has come */
    WEBSOCKET_OPEN,  /* the upgrade is answered */
    WEBSOCKET_DATA,  /* a piece of a message: text (its UTF-8 is checked over pieces), or binary */
    WEBSOCKET_PING,  /* to be answered with a WEBSOCKET_PONG_FRAME that has the same bytes */
    WEBSOCKET_CLOSE, /* the peer closes, with code and reason (bytes); to be answered */
    WEBSOCKET_BROKEN /* it breaks the protocol, or refuses the upgrade: err says how */
};

struct websocket_found {
    struct slice bytes; /* DATA, PING, CLOSE: into the input, or into the websocket; valid until the
                         * next call */
    bool last;          /* DATA: the message ends with it, which may be empty then */
    uint16_t code;      /* CLOSE: its code, or WEBSOCKET_CODE_NONE. BROKEN: what to close with; 0
                         * before OPEN, where there is nothing to close */
    bool answered;      /* BROKEN: the upgrade was answered, with another HTTP status: a server
                         * that speaks for all its addresses */
};

/* The answer to the upgrade, as far as it has come. */
struct websocket_answer {
    char accept[WEBSOCKET_ACCEPT_CHARS]; /* what Sec-WebSocket-Accept has to be; "": not asked */
    struct buf line;
    size_t len;      /* of all its lines */
    unsigned status; /* of the head that has begun; 0: none has */
    bool upgrade;
    bool connection;
    bool accepted;
};

/* Whoever has one reads nothing in it. */
struct websocket {
    struct machine machine; /* see the picture above */
    struct websocket_answer answer;

    bool in_frame;   /* its head is read; `left` bytes of its payload are to come */
    bool fin;        /* the message ends with this frame */
    uint8_t frame;   /* an enum websocket_frame */
    uint8_t message; /* the same of the message that has begun; 0: none has */
    uint8_t nkept;   /* bytes in `kept` */
    uint64_t left;
    struct utf8_check text;           /* of the message */
    char kept[WEBSOCKET_CONTROL_MAX]; /* of the head of a frame, or of the payload of a control
                                       * frame: what came before the input */
};

/* Never allocates. */
void websocket_init(struct websocket *ws);
/* Give back what it holds; in any state. */
void websocket_finish(struct websocket *ws);

/* Append the request to upgrade `url`, once and first of all: a random key, version 13; no Origin
 * (we are no browser). */
void websocket_ask(struct websocket *ws, const struct url *url, struct buf *out);
/* The next event of what the peer has sent, which is taken off the front of `in`: all of it where
 * the event is MORE; call it again otherwise, also with nothing left. `found` is filled, `err` with
 * BROKEN alone: ERR_REFUSED ("the WebSocket upgrade failed: HTTP status 403") where it answered
 * with another status, or else ERR_PROTOCOL. Interim answers and pongs are passed over. After CLOSE
 * and BROKEN whatever comes is taken, and means nothing. */
MUST_USE enum websocket_event websocket_next(struct websocket *ws, struct slice *in,
                                             struct websocket_found *found, struct err *err);

/* Append one frame that is a whole message, or a control frame (of at most WEBSOCKET_CONTROL_MAX
 * bytes), masked with a key that nobody can guess (5.3, 10.3). A text is the caller's to be UTF-8.
 * Where it does not fit into `out` nothing is appended, and out->overflow says so (buf.h). */
void websocket_write(struct buf *out, enum websocket_frame frame, struct slice payload);
/* The same for a close frame: a code that may be sent, and a reason, of which whole characters of
 * UTF-8 are taken as far as they fit. WEBSOCKET_CODE_NONE: a frame without either, the answer to
 * one like that. */
void websocket_write_close(struct buf *out, uint16_t code, struct slice reason);

#endif
