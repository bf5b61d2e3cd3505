/* Err: one code and one line of text; words of the caller go before it on the way out. */
#include "shared/err.h"

#include "shared/text.h"

#include <stdarg.h>
#include <stdio.h>

/* A text goes to terminals and logs, and may hold what a peer sent or what a person typed in the
 * wrong place. */
static void keep_text(struct err *err, char *text)
{
    text_make_safe(text);
    (void)text_mask(text, err->text, sizeof(err->text)); /* what does not fit is cut at the end */
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err) {
        /* An argument may be the old text: format beside it. */
        char text[sizeof(err->text)];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        err->code = code;
        keep_text(err, text);
    }
    return -(int)code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err) {
        return -ERR_IO; /* nobody keeps the code: still an error */
    }
    char words[sizeof(err->text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    char text[2 * sizeof(err->text) + 2]; /* two full texts and ": " fit */
    snprintf(text, sizeof(text), "%s: %s", words, err->text);
    keep_text(err, text);
    return -(int)err->code;
}

int err_exit_code(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return 0;
    case ERR_USAGE:
        return 2;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
    case ERR_AUTH:
    case ERR_DOWN:
    case ERR_LOADING:
    case ERR_UNABLE:
    case ERR_MEMORY:
        return 3;
    default:
        return 1;
    }
}

bool err_is_told(const struct err *err)
{
    return err->code == ERR_UNABLE || err->code == ERR_MEMORY;
}

bool err_is_silence(const struct err *err)
{
    return err->code == ERR_DOWN || err->code == ERR_LOADING || err->code == ERR_TIMEOUT ||
           err->code == ERR_CANCELED;
}
