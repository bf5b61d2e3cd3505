/* IRC formatter: see write.h.
 *
 * Each line is made in a buffer of its own, of the size Twitch allows, and handed over as a whole:
 * so what is refused half way leaves no trace in `out`. Each word that comes from outside is
 * checked for exactly the alphabet of its place before it is put into the line. */
#include "shared/irc/write.h"

#include "shared/irc/parse.h"
#include "shared/utf8.h"

#include <stdio.h>
#include <string.h>

#define MAX_TOKEN_BYTES     512
#define MAX_TAG_VALUE_BYTES 128
#define ZERO_WIDTH_SPACE    "\xe2\x80\x8b"

struct line {
    char data[IRC_MAX_SENT_BYTES];
    size_t len;
    bool too_long;
};

static void line_add(struct line *line, struct slice s)
{
    if (line->too_long || s.len > sizeof(line->data) - line->len) {
        line->too_long = true;
        return;
    }
    if (s.len > 0) {
        memcpy(line->data + line->len, s.ptr, s.len);
        line->len += s.len;
    }
}

/* End the line and give it to `out`, whole or not at all. */
static int line_finish(struct line *line, struct buf *out, const char *what, struct err *err)
{
    line_add(line, SLICE("\r\n"));
    if (line->too_long) {
        return err_set(err, ERR_PROTOCOL, "%s: the line is longer than %d bytes", what,
                       IRC_MAX_SENT_BYTES);
    }
    buf_append(out, line->data, line->len);
    if (out->overflow) {
        return err_set(err, ERR_FULL, "%s: no room in the buffer", what);
    }
    return 0;
}

/* Printable ASCII without space: what may stand as a word of its own. */
static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') {
            return false;
        }
    }
    return s.len > 0;
}

/* What may stand in a tag without being escaped: a word that holds no ';' and no '\'. */
static bool is_tag_value(struct slice s)
{
    return is_word(s) && s.len <= MAX_TAG_VALUE_BYTES && memchr(s.ptr, ';', s.len) == NULL &&
           memchr(s.ptr, '\\', s.len) == NULL;
}

/* No byte that would end the line. */
static bool is_one_line(struct slice s)
{
    return s.len == 0 || (memchr(s.ptr, '\0', s.len) == NULL &&
                          memchr(s.ptr, '\r', s.len) == NULL && memchr(s.ptr, '\n', s.len) == NULL);
}

static int refuse_channel(struct slice channel, struct err *err)
{
    return err_set(err, ERR_PROTOCOL,
                   "'%.*s' is no channel: 1 to 25 of a-z, 0-9 and _, without '#'",
                   (int)(channel.len > 40 ? 40 : channel.len), channel.ptr);
}

static bool is_anonymous(struct slice login)
{
    struct slice word = SLICE("justinfan");
    uint64_t digits;

    return login.len > word.len && login.len < IRC_CHANNEL_CHARS &&
           memcmp(login.ptr, word.ptr, word.len) == 0 &&
           slice_to_u64((struct slice){login.ptr + word.len, login.len - word.len}, &digits);
}

int irc_write_login(struct buf *out, struct slice login, struct slice token, struct err *err)
{
    struct line line = {.len = 0};
    char anonymous[IRC_CHANNEL_CHARS];

    if (token.len == 0 && !is_anonymous(login)) {
        unsigned digits = 10000 + (unsigned)random_below(90000);
        snprintf(anonymous, sizeof(anonymous), "justinfan%u", digits);
        login = slice_of(anonymous);
    }
    if (!irc_channel_valid(login)) {
        return err_set(err, ERR_PROTOCOL,
                       "'%.*s' is no login: 1 to 25 of a-z, 0-9 and _, in lower case",
                       (int)(login.len > 40 ? 40 : login.len), login.ptr);
    }
    /* The text must not repeat the token. */
    if (token.len > 0 && (token.len > MAX_TOKEN_BYTES || !is_word(token))) {
        return err_set(err, ERR_PROTOCOL,
                       "the token of '%.*s' holds something that no token holds (a space, a line "
                       "end?), or is over %d bytes; get a new one",
                       (int)login.len, login.ptr, MAX_TOKEN_BYTES);
    }

    line_add(&line, SLICE("CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"));
    if (token.len > 0) {
        line_add(&line, SLICE("PASS oauth:"));
        line_add(&line, token);
        line_add(&line, SLICE("\r\n"));
    }
    line_add(&line, SLICE("NICK "));
    line_add(&line, login);
    int rc = line_finish(&line, out, "login", err);
    explicit_bzero(&line, sizeof(line));
    return rc;
}

int irc_write_join(struct buf *out, const struct slice *channels, size_t n, size_t *written,
                   struct err *err)
{
    struct line line = {.len = 0};
    size_t i;

    *written = 0;
    if (n == 0) {
        return err_set(err, ERR_PROTOCOL, "JOIN without a channel");
    }
    line_add(&line, SLICE("JOIN "));
    for (i = 0; i < n; i++) {
        if (!irc_channel_valid(channels[i])) {
            return refuse_channel(channels[i], err);
        }
        /* ',' + '#' + channel + CR LF */
        if (line.len + channels[i].len + 4 > IRC_MAX_SENT_BYTES) {
            break;
        }
        line_add(&line, i == 0 ? SLICE("#") : SLICE(",#"));
        line_add(&line, channels[i]);
    }
    int rc = line_finish(&line, out, "JOIN", err);
    *written = rc == 0 ? i : 0;
    return rc;
}

int irc_write_part(struct buf *out, struct slice channel, struct err *err)
{
    struct line line = {.len = 0};

    if (!irc_channel_valid(channel)) {
        return refuse_channel(channel, err);
    }
    line_add(&line, SLICE("PART #"));
    line_add(&line, channel);
    return line_finish(&line, out, "PART", err);
}

/* Count the code points; false if it is no UTF-8. */
static bool utf8_count(struct slice text, size_t *chars)
{
    *chars = 0;
    while (text.len > 0) {
        size_t len = utf8_length(text.ptr, text.len);

        if (len == 0) {
            return false;
        }
        text.ptr += len;
        text.len -= len;
        (*chars)++;
    }
    return true;
}

static size_t count_blanks(struct slice text)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] == ' ') {
        n++;
    }
    return n;
}

static bool has_slash(struct slice text)
{
    size_t blank = count_blanks(text);

    return blank < text.len && (text.ptr[blank] == '/' || text.ptr[blank] == '.');
}

static bool is_me(struct slice text)
{
    return text.len > 4 && (memcmp(text.ptr, "/me ", 4) == 0 || memcmp(text.ptr, ".me ", 4) == 0);
}

bool irc_is_command(struct slice text)
{
    return has_slash(text) && !is_me(text);
}

/* Would Twitch take it for a command, and it must not be one? */
static bool is_quoted(struct slice text, bool as_command)
{
    return !as_command && has_slash(text);
}

static int check_text(struct slice text, struct err *err)
{
    size_t chars;

    if (count_blanks(text) == text.len) {
        return err_set(err, ERR_PROTOCOL, "the text is empty");
    }
    if (!is_one_line(text)) {
        return err_set(err, ERR_PROTOCOL, "the text holds CR, LF or NUL; a message is one line");
    }
    if (!utf8_count(text, &chars)) {
        return err_set(err, ERR_PROTOCOL, "the text is not UTF-8");
    }
    if (chars > IRC_MAX_TEXT_CHARS) {
        return err_set(err, ERR_PROTOCOL, "the text has %zu characters, more than %d", chars,
                       IRC_MAX_TEXT_CHARS);
    }
    return 0;
}

static void add_tags(struct line *line, struct slice nonce, struct slice reply_to)
{
    if (nonce.len > 0) {
        line_add(line, SLICE("@client-nonce="));
        line_add(line, nonce);
    }
    if (reply_to.len > 0) {
        line_add(line, nonce.len > 0 ? SLICE(";") : SLICE("@"));
        line_add(line, SLICE("reply-parent-msg-id="));
        line_add(line, reply_to);
    }
    if (line->len > 0) {
        line_add(line, SLICE(" "));
    }
}

int irc_write_privmsg(struct buf *out, struct slice channel, struct slice text, struct slice nonce,
                      struct slice reply_to, bool as_command, struct err *err)
{
    struct line line = {.len = 0};

    if (!irc_channel_valid(channel)) {
        return refuse_channel(channel, err);
    }
    if (nonce.len > 0 && !is_tag_value(nonce)) {
        return err_set(err, ERR_PROTOCOL, "the nonce holds something that no tag may hold");
    }
    if (reply_to.len > 0 && !is_tag_value(reply_to)) {
        return err_set(err, ERR_PROTOCOL, "reply_to is not the id of a message");
    }
    int rc = check_text(text, err);
    if (rc != 0) {
        return rc;
    }
    add_tags(&line, nonce, reply_to);
    line_add(&line, SLICE("PRIVMSG #"));
    line_add(&line, channel);
    line_add(&line, SLICE(" :"));
    if (is_quoted(text, as_command)) {
        line_add(&line, SLICE(ZERO_WIDTH_SPACE));
    }
    line_add(&line, text);
    return line_finish(&line, out, "PRIVMSG", err);
}

void irc_write_heard(struct buf *out, struct slice text, bool as_command)
{
    if (as_command && is_me(text)) {
        buf_append_str(out, "\001ACTION ");
        buf_append(out, text.ptr + 4, text.len - 4);
        buf_append_char(out, '\001');
        return;
    }
    if (is_quoted(text, as_command)) {
        buf_append_str(out, ZERO_WIDTH_SPACE);
    }
    buf_append_slice(out, text);
}

int irc_write_text(struct buf *out, struct slice text, struct err *err)
{
    size_t chars;
    int rc = check_text(text, err);

    if (rc != 0) {
        return rc;
    }
    if (is_quoted(text, false) && utf8_count(text, &chars) && chars == IRC_MAX_TEXT_CHARS) {
        return err_set(err, ERR_PROTOCOL,
                       "the text has %zu characters with the U+200B before its '/' or '.', more "
                       "than %d",
                       chars + 1, IRC_MAX_TEXT_CHARS);
    }
    irc_write_heard(out, text, false);
    return 0;
}

static int write_token(struct buf *out, const char *command, struct slice token, struct err *err)
{
    struct line line = {.len = 0};

    if (!is_one_line(token)) {
        return err_set(err, ERR_PROTOCOL, "%s: CR, LF or NUL in the text", command);
    }
    line_add(&line, slice_of(command));
    line_add(&line, SLICE(" :"));
    line_add(&line, token);
    return line_finish(&line, out, command, err);
}

int irc_write_ping(struct buf *out, struct slice token, struct err *err)
{
    return write_token(out, "PING", token, err);
}

int irc_write_pong(struct buf *out, struct slice token, struct err *err)
{
    return write_token(out, "PONG", token, err);
}
