/* Shard rig: a shard under a virtual clock, with a port that writes down what it is asked to do. */
#ifndef SHOAL_TEST_SHARD_RIG_H
#define SHOAL_TEST_SHARD_RIG_H

#include "node/shard_private.h"

/* The shard, its clock and what it did, one effect a line. */
struct rig {
    struct shard_core *s;
    uint64_t now;
    char log[65536];
    size_t len;
    bool write_ok;
    bool login_ok;
    bool login_auth; /* a login that fails lacks a token */
    bool grants;     /* answer each draw at once after the input */
    bool pongs;      /* answer each PING */
    unsigned drawn[SHARD_DRAW_KINDS];
    unsigned owed[SHARD_DRAW_KINDS];
    uint64_t ping;  /* the token to be answered */
    char said[200]; /* the text of the newest result of a send */
    bool command;   /* what rig_send sends is one */
    bool send_again;
    int again_rc;
};

/* A shard "main-shard" of "bot", idle. */
struct rig *rig_create(void);
void rig_destroy(struct rig *r);
/* Up to ready, every draw granted at once from now on, PINGs answered. */
struct rig *rig_ready(const char *channels);
/* Answer what was drawn, where `grants`: all of it, to be used now. */
void rig_settle_draws(struct rig *r);
/* Answer a draw: `n` slots at one time. */
void rig_grant_at(struct rig *r, enum shard_draw_kind kind, size_t n, uint64_t at_ms);
/* One line from Twitch. */
void rig_line(struct rig *r, const char *text);
/* Let time pass as a driver would: each tick at its deadline. */
void rig_pass(struct rig *r, uint64_t ms);
/* The log holds `text`? */
bool rig_has(const struct rig *r, const char *text);
void rig_clear(struct rig *r);
/* The log holds `text`, or does not; or is exactly that, and is cleared. */
void rig_expect(struct rig *r, const char *text);
void rig_expect_not(struct rig *r, const char *text);
void rig_expect_log(struct rig *r, const char *text);
/* Hold these channels, named with spaces between them. */
void rig_want(struct rig *r, const char *names);
/* Twitch answers the join. */
void rig_joined(struct rig *r, const char *name);
/* GONE: not here. */
enum shard_channel_state rig_state_of(const struct rig *r, const char *name);
/* It connects after at least `min` and at most `max`. */
void rig_expect_connecting(struct rig *r, uint64_t min, uint64_t max);
/* It is written. */
void rig_send(struct rig *r, uint64_t id, const char *channel, const char *nonce);

#endif
