/* Bounds of the HTTP server, each with its reason. All but WEB_MESSAGE_MAX hold for clients that
 * nobody knows; none is an option, since nothing here is for the public net. */
#ifndef SHOAL_WEB_LIMITS_H
#define SHOAL_WEB_LIMITS_H

/* Connections at once. A dashboard takes 7, a scraper 1; 256 cost 5 MiB at most while they send
 * their heads, and a fourth of the 1,024 file descriptors that a process has by default. When they
 * are used up, the one that has waited longest without a request is closed for the new one; where
 * all are busy, the new one is closed at once. */
#define WEB_CONNECTIONS_MAX 256
/* WebSockets among them: each may have WEB_SOCKET_WAIT_MAX in memory. */
#define WEB_SOCKETS_MAX 32

/* Connections accepted a second, and at once: each costs 30 us, so 4 ms in a turn of the loop. With
 * TLS a handshake costs 1 ms with an RSA key of 2,048 bits. Others wait in the kernel's queue. */
#define WEB_ACCEPTS_S     1000
#define WEB_ACCEPTS       128
#define WEB_TLS_ACCEPTS_S 50
#define WEB_TLS_ACCEPTS   16
#define WEB_BACKLOG       511 /* the kernel's queue */

/* Requests a second over all clients, and at once: a dashboard needs 10 when it opens. Beyond: 429,
 * and nothing more is read of that connection for WEB_PAUSE_MS. Those of a light route (web.h) are
 * counted by themselves, and answered all the same; those with the right token are not counted. */
#define WEB_REQUESTS_S 200
#define WEB_REQUESTS   400
#define WEB_PAUSE_MS   250
/* Of them in one turn of the loop: a handler takes 1 ms at most, so chat waits for 16. */
#define WEB_REQUESTS_A_TURN 16
/* Refused tokens that are told in a second, to the client and in the log; others are answered with
 * 429. The right one is always taken, or whoever guesses, or asks too much, would lock out whoever
 * has it: 16 characters are not guessed at the 2,000 a second that pauses and accepts leave. */
#define WEB_BAD_TOKENS_S 10

#define WEB_URL_MAX     2048        /* bytes of the target: browsers make no longer ones for us */
#define WEB_HEAD_MAX    8192        /* bytes of all headers, as most servers have it */
#define WEB_HEADERS_MAX 64          /* of a request */
#define WEB_BODY_MAX    (64 * 1024) /* 1,000 channels take 26 KiB */
#define WEB_READ_BYTES  (16 * 1024) /* taken from a socket at once; a TLS record */

#define WEB_HEAD_MS      5000  /* for TLS and a whole head: one who sends bytes singly is dropped */
#define WEB_IDLE_MS      15000 /* without a request: as long as a scraper's interval */
#define WEB_BODY_READ_MS 10000 /* for the body */
#define WEB_HANDLE_MS    30000 /* for the handler: Redis's answer takes 10 s at most */
#define WEB_WRITE_MS     30000 /* for all of the answer to be taken: 4 MiB at 140 kB/s */
#define WEB_DRAIN_MS     1000  /* what a refused client still sends is read, so that it hears why */
#define WEB_DRAIN_BYTES  (256 * 1024)

/* Bytes of one answer, and of all answers that wait: the largest document, a cluster of 10,000
 * channels on 400 shards, has less than 1 MiB. */
#define WEB_ANSWER_MAX (8 * 1024 * 1024)
#define WEB_WAIT_MAX   (64 * 1024 * 1024)

/* Of a WebSocket: */
#define WEB_MESSAGE_MAX 4096 /* bytes of a message from the client */
#define WEB_FRAMES_S    50   /* frames a second from the client, and at once */
#define WEB_FRAMES      100
/* Bytes to a client that reads too slowly; one answer (WEB_ANSWER_MAX) may go beyond. */
#define WEB_SOCKET_WAIT_MAX (1024 * 1024)
#define WEB_PING_MS         15000 /* a ping as often: proxies close what is still for 60 s */
#define WEB_SILENCE_MS      45000 /* nothing came, not even a pong: it is dead */

#define WEB_TICK_MS 250 /* how exactly all of these times are kept */

#endif
