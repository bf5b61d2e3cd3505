/* IRC formatter: the only place where lines to Twitch are made; nothing can be injected into them.
 *
 * Every function appends one whole line with CR LF to `out`, or nothing and returns -ERR_PROTOCOL
 * with what is wrong: CR, LF or NUL in a text, a space or ':' where one would change the meaning,
 * an invalid channel or login, a line over IRC_MAX_SENT_BYTES; or -ERR_FULL where `out` has no
 * room. */
#ifndef SHOAL_IRC_WRITE_H
#define SHOAL_IRC_WRITE_H

#include "shared/buf.h"
#include "shared/err.h"

#define IRC_MAX_SENT_BYTES 4096 /* with CR LF; Twitch cuts longer ones (go-twitch-irc#106) */
#define IRC_MAX_TEXT_CHARS 500  /* characters (code points) of one chat message */

/* CAP REQ, PASS and NICK, as Twitch wants them. `token` without "oauth:"; empty for an anonymous
 * login (no PASS; NICK is `login` where that is justinfan<digits>, else a random one of these,
 * which the 001 then names). The caller wipes `out` after writing it. */
MUST_USE int irc_write_login(struct buf *out, struct slice login, struct slice token,
                             struct err *err);
/* "JOIN #a,#b,#c": as many of the `n` channels as fit; `*written` says how many. */
MUST_USE int irc_write_join(struct buf *out, const struct slice *channels, size_t n,
                            size_t *written, struct err *err);
MUST_USE int irc_write_part(struct buf *out, struct slice channel, struct err *err);
/* A chat message. `nonce` (client-nonce) and `reply_to` (reply-parent-msg-id) may be empty. A text
 * that begins with '/' or '.' is a command to Twitch: unless `as_command`, U+200B is put before it
 * so that it is said. Refused: empty or blank text, over 500 characters as they are given here,
 * invalid UTF-8. */
MUST_USE int irc_write_privmsg(struct buf *out, struct slice channel, struct slice text,
                               struct slice nonce, struct slice reply_to, bool as_command,
                               struct err *err);
/* Does Twitch take it for a command, of which nobody hears but us: blanks, then '/' or '.', but not
 * "/me "? */
bool irc_is_command(struct slice text);
/* Not a line, but the text of such a message as everybody else in the room then reads it: with the
 * U+200B, and of the command "/me dances" what Twitch makes of it (^AACTION dances^A). */
void irc_write_heard(struct buf *out, struct slice text, bool as_command);
/* Not a line, but the text of a message as Helix takes it, which is no command: with the U+200B,
 * which it counts. */
MUST_USE int irc_write_text(struct buf *out, struct slice text, struct err *err);
MUST_USE int irc_write_ping(struct buf *out, struct slice token, struct err *err);
MUST_USE int irc_write_pong(struct buf *out, struct slice token, struct err *err);

#endif
