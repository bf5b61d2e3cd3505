/* Fuzz: what anybody may publish on a send topic: parsed, and made into a line that holds one CR LF. */
#include "node/send_payload.h"

#include "shared/irc/write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct send_payload p;
    struct buf line;
    struct err err = {0};

    send_payload_parse((struct slice){(const char *)data, size}, &p);
    buf_init(&line, IRC_MAX_SENT_BYTES);
    if (irc_write_privmsg(&line, SLICE("forsen"), p.send.text, SLICE("nonce"), p.send.reply_to,
                          p.send.as_command, &err) == 0) {
        const char *end = memchr(line.data, '\r', line.len);
        if (end == NULL || end != line.data + line.len - 2 || end[1] != '\n' ||
            memchr(line.data, '\0', line.len) != NULL ||
            memchr(line.data, '\n', line.len) != end + 1) {
            abort();
        }
    } else if (line.len != 0 || err.text[0] == '\0') {
        abort();
    }
    buf_finish(&line);
    send_payload_finish(&p);
    return 0;
}
