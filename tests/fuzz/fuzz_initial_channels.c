/* Fuzz: files of initial channels, and the same text as the option's value and as what people name on a command line.
 *
 * What must hold: each name is a channel of Twitch and comes once, or the refusal is one line. */
#include "coordinator/options/initial_channels.h"
#include "shared/irc/parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(int rc, struct initial_channels *channels, const struct err *err)
{
    if (rc != 0) {
        BUG_ON(err->code != ERR_USAGE || !err->text[0] || strchr(err->text, '\n'));
        return;
    }
    for (size_t i = 0; i < channels->n; i++) {
        BUG_ON(!irc_channel_valid(channels->names[i]));
        for (size_t k = 0; k < i && i < 200; k++) {
            BUG_ON(slice_eq(channels->names[i], channels->names[k]));
        }
    }
    initial_channels_finish(channels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct initial_channels channels;
    struct slice names[16];
    struct err err = {0};
    char *text = xstrndup(input.ptr, input.len);

    if (text[0] != '@' && text[0] != '!') {
        look(initial_channels_parse(text, &channels, &err), &channels, &err);
    }
    err = (struct err){0};
    look(initial_channels_parse_lines("@fuzz", text, &channels, &err), &channels,
         &err); /* takes it */
    size_t n = channel_names_split(input, names, ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        BUG_ON(names[i].len == 0 || names[i].ptr < input.ptr);
        BUG_ON(names[i].ptr + names[i].len > input.ptr + input.len);
    }
    return 0;
}
