#include "coordinator/ctl/transfer.h"

#include "shared/irc/parse.h"
#include "shared/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS    " \t\r"
#define MOST      4 /* words of a line */
#define NAME_MOST 60

/* The words of a line, of which `line` is changed; MOST + 1 where there are more. */
static size_t split(char *line, char *words[MOST])
{
    char *rest = NULL;
    size_t n = 0;

    for (char *word = strtok_r(line, BLANKS, &rest); word != NULL;
         word = strtok_r(NULL, BLANKS, &rest)) {
        if (n == MOST) {
            return MOST + 1;
        }
        words[n++] = word;
    }
    return n;
}

static void add(struct transfer_pair **list, size_t *n, const char *name, const char *value)
{
    if ((*n & (*n - 1)) == 0) { /* at each power of two there is room for as many again */
        *list = xrealloc(*list, (*n == 0 ? 1 : *n * 2) * sizeof(**list));
    }
    (*list)[(*n)++] = (struct transfer_pair){name, value};
}

/* NULL, or why the line is none. */
static const char *parse_channel(struct transfer *t, char *words[MOST], size_t n)
{
    char name[IRC_CHANNEL_CHARS];

    if (n != 2 && (n != 4 || strcmp(words[2], "user") != 0)) {
        return "it is \"channel NAME\" or \"channel NAME user LOGIN\"";
    }
    if (!irc_channel_normalise(slice_of(words[1]), name, sizeof(name))) {
        return "that is no channel: 1 to 25 of a-z, 0-9 and _";
    }
    memcpy(words[1], name, strlen(name) + 1); /* it is no longer than that */
    if (n == 4 && !irc_channel_valid(slice_of(words[3]))) {
        return "that user is no Twitch login in lower case";
    }
    add(&t->channels, &t->nchannels, words[1], n == 4 ? words[3] : "");
    return NULL;
}

static const char *parse_line(struct transfer *t, char *line)
{
    char *words[MOST];
    size_t n = split(line, words);

    if (n == 0 || words[0][0] == '#') {
        return NULL;
    }
    if (strcmp(words[0], "channel") == 0) {
        return parse_channel(t, words, n);
    }
    if (strcmp(words[0], "set") != 0) {
        return "a line begins with \"channel\", \"set\" or #";
    }
    if (n != 3 || strlen(words[1]) > NAME_MOST) {
        return "it is \"set NAME VALUE\"";
    }
    add(&t->settings, &t->nsettings, words[1], words[2]);
    return NULL;
}

static int by_user_and_name(const void *left, const void *right)
{
    const struct transfer_pair *a = left;
    const struct transfer_pair *b = right;
    int order = strcmp(a->value, b->value);

    return order != 0 ? order : strcmp(a->name, b->name);
}

static void sort(struct transfer *t)
{
    size_t kept = 0;

    if (t->nchannels > 0) {
        qsort(t->channels, t->nchannels, sizeof(*t->channels), by_user_and_name);
    }
    for (size_t i = 0; i < t->nchannels; i++) {
        if (kept == 0 || by_user_and_name(&t->channels[i], &t->channels[kept - 1]) != 0) {
            t->channels[kept++] = t->channels[i];
        }
    }
    t->nchannels = kept;
}

void transfer_parse(struct transfer *t, char *text, transfer_wrong_cb on_wrong, void *ctx)
{
    size_t number = 0;
    char *line;

    *t = (struct transfer){0};
    while ((line = strsep(&text, "\n")) != NULL) {
        const char *why = parse_line(t, line);
        number++;
        if (why != NULL) {
            on_wrong(ctx, number, why);
        }
    }
    sort(t);
}

void transfer_finish(struct transfer *t)
{
    free(t->settings);
    free(t->channels);
    *t = (struct transfer){0};
}

/* One word, with nothing in it that parts lines, or that a terminal obeys. */
static bool is_word(const char *text)
{
    size_t left = strlen(text);
    bool safe = left > 0 && text[strcspn(text, BLANKS)] == '\0';

    while (safe && left > 0) {
        size_t len = text_char(text, left, &safe);
        text += len;
        left -= len;
    }
    return safe;
}

bool transfer_append_setting(struct buf *out, const char *name, const char *value)
{
    bool fits = is_word(name) && is_word(value);

    if (fits) {
        buf_printf(out, "set %s %s\n", name, value);
    }
    return fits;
}

bool transfer_append_channel(struct buf *out, struct slice channel, const char *user)
{
    bool fits =
        irc_channel_valid(channel) && (user[0] == '\0' || irc_channel_valid(slice_of(user)));

    if (fits) {
        buf_printf(out, "channel %.*s%s%s\n", (int)channel.len, channel.ptr,
                   user[0] != '\0' ? " user " : "", user);
    }
    return fits;
}
