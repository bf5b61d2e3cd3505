/* IRC parser: see parse.h for the grammar and who owns what.
 *
 * This is the hottest code of a node: each line of chat passes here once. So everything is found
 * with memchr (which the C library does 32 bytes at a time), nothing is copied and nothing is
 * allocated. The input is hostile: each step works on a rest that is known to end at the end of the
 * line. */
#include "shared/irc/parse.h"

#include <string.h>

/* Take everything up to the next space off `rest`, and the spaces after it. */
static struct slice take_word(struct slice *rest)
{
    struct slice word = *rest;
    const char *space = rest->len == 0 ? NULL : memchr(rest->ptr, ' ', rest->len);

    if (space != NULL) {
        word.len = (size_t)(space - rest->ptr);
    }
    rest->ptr += word.len;
    rest->len -= word.len;
    while (rest->len > 0 && rest->ptr[0] == ' ') {
        rest->ptr++;
        rest->len--;
    }
    return word;
}

static struct slice without_first(struct slice s)
{
    return (struct slice){s.ptr + 1, s.len - 1};
}

static void parse_params(struct slice rest, struct irc_line *out)
{
    out->nparams = 0;
    while (rest.len > 0 && out->nparams < IRC_MAX_PARAMS) {
        /* RFC 1459: the fifteenth parameter takes what is left, with or without its ':'. */
        bool last = out->nparams == IRC_MAX_PARAMS - 1;

        if (rest.ptr[0] == ':') {
            out->params[out->nparams++] = without_first(rest);
            return;
        }
        out->params[out->nparams++] = last ? rest : take_word(&rest);
    }
}

static struct slice nick_of(struct slice prefix)
{
    struct slice nick = prefix;
    const char *end = prefix.len == 0 ? NULL : memchr(prefix.ptr, '!', prefix.len);

    if (end == NULL && prefix.len > 0) {
        end = memchr(prefix.ptr, '@', prefix.len);
    }
    if (end != NULL) {
        nick.len = (size_t)(end - prefix.ptr);
    }
    return nick;
}

/* The high bits of the bytes below 14 among eight, and perhaps of others if there is one. */
static uint64_t below_14(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return (word - ones * 14) & ~word & (ones << 7);
}

/* NUL, CR or LF: all are below 14, and nothing else in a line of chat is. So all bytes are looked
 * at once, eight in a step (which the compiler makes more), and one by one where some is. */
static bool has_line_break(struct slice raw)
{
    uint64_t low = raw.len < 8 ? 1 : below_14(raw.ptr + raw.len - 8);
    size_t i = 0;

    for (; i + 64 <= raw.len && low == 0; i += 64) {
        for (size_t k = 0; k < 64; k += 8) {
            low |= below_14(raw.ptr + i + k);
        }
    }
    for (; i + 8 <= raw.len; i += 8) {
        low |= below_14(raw.ptr + i);
    }
    return low != 0 &&
           (memchr(raw.ptr, '\0', raw.len) != NULL || memchr(raw.ptr, '\r', raw.len) != NULL ||
            memchr(raw.ptr, '\n', raw.len) != NULL);
}

int irc_parse(struct slice raw, struct irc_line *out, struct err *err)
{
    struct slice rest = raw;

    if (raw.len == 0) {
        return err_set(err, ERR_PROTOCOL, "empty line");
    }
    if (raw.len > IRC_MAX_LINE_BYTES) {
        return err_set(err, ERR_PROTOCOL, "a line of %zu bytes, more than %d", raw.len,
                       IRC_MAX_LINE_BYTES);
    }
    if (has_line_break(raw)) {
        return err_set(err, ERR_PROTOCOL, "NUL, CR or LF inside a line");
    }

    out->raw = raw;
    out->tags = (struct slice){raw.ptr, 0};
    out->prefix = (struct slice){raw.ptr, 0};
    if (rest.ptr[0] == '@') {
        out->tags = without_first(take_word(&rest));
    }
    if (rest.len > 0 && rest.ptr[0] == ':') {
        out->prefix = without_first(take_word(&rest));
    }
    out->nick = nick_of(out->prefix);
    out->command = take_word(&rest);
    if (out->command.len == 0) {
        return err_set(err, ERR_PROTOCOL, "a line without a command");
    }
    parse_params(rest, out);
    return 0;
}

bool irc_tag_next(struct slice *cursor, struct slice *key, struct slice *value)
{
    while (cursor->len > 0) {
        struct slice pair = *cursor;
        const char *end = memchr(pair.ptr, ';', pair.len);

        if (end == NULL) {
            cursor->ptr += cursor->len;
            cursor->len = 0;
        } else {
            pair.len = (size_t)(end - pair.ptr);
            cursor->ptr += pair.len + 1;
            cursor->len -= pair.len + 1;
        }
        if (pair.len == 0) {
            continue;
        }
        const char *equals = memchr(pair.ptr, '=', pair.len);
        if (equals == NULL) {
            *key = pair;
            *value = (struct slice){pair.ptr + pair.len, 0};
        } else {
            *key = (struct slice){pair.ptr, (size_t)(equals - pair.ptr)};
            *value = (struct slice){equals + 1, pair.len - key->len - 1};
        }
        return true;
    }
    return false;
}

bool irc_tag(const struct irc_line *line, const char *key, struct slice *value)
{
    struct slice cursor = line->tags;
    struct slice found_key;
    struct slice found_value;
    size_t key_len = strlen(key);
    bool found = false;

    while (irc_tag_next(&cursor, &found_key, &found_value)) {
        if (found_key.len == key_len && memcmp(found_key.ptr, key, key_len) == 0) {
            *value = found_value;
            found = true;
        }
    }
    return found;
}

size_t irc_tag_unescape(struct slice value, char *out)
{
    static const char letters[] = ":srn";
    static const char meant[] = "; \r\n";
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        if (++i == value.len) {
            break; /* IRCv3: a lone backslash at the end is dropped */
        }
        /* "\\" is a backslash; before anything unknown it is dropped. */
        const char *letter = memchr(letters, value.ptr[i], sizeof(letters) - 1);
        out[n++] = letter != NULL ? meant[letter - letters] : value.ptr[i];
    }
    return n;
}

struct slice irc_channel(const struct irc_line *line)
{
    for (size_t i = 0; i < line->nparams; i++) {
        struct slice param = line->params[i];

        /* A trailing parameter is text of a user, not a channel, unless it is all there is. The
         * byte before a parameter is always inside the line: a command comes first. */
        if (param.len > 0 && param.ptr[0] == '#' && (i == 0 || param.ptr[-1] != ':')) {
            return without_first(param);
        }
    }
    return (struct slice){line->raw.ptr, 0};
}

bool irc_channel_valid(struct slice name)
{
    if (name.len == 0 || name.len > IRC_CHANNEL_CHARS - 1) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
    }
    return true;
}

bool irc_channel_normalise(struct slice name, char *out, size_t size)
{
    if (size == 0) {
        return false;
    }
    out[0] = '\0';
    if (name.len > 0 && name.ptr[0] == '#') {
        name = without_first(name);
    }
    if (name.len >= size) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[name.len] = '\0';
    return irc_channel_valid((struct slice){out, name.len});
}
