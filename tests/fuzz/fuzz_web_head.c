/* Fuzz: the head of an HTTP request, and all that is judged of it. What is taken holds no control character, no
 * second way to read it, and no path that climbs. */
#include "shared/web/web_guard.h"
#include "shared/web/web_head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct slice s, struct slice in, const char *forbidden)
{
    BUG_ON(s.ptr < in.ptr || s.ptr + s.len > in.ptr + in.len);
    for (size_t i = 0; i < s.len; i++) {
        BUG_ON(s.ptr[i] == '\0' || s.ptr[i] == '\r' || s.ptr[i] == '\n' ||
               strchr(forbidden, s.ptr[i]) != NULL);
    }
}

static void check_head(const struct web_head *h, struct slice in)
{
    struct slice value;
    size_t at = 0;
    size_t lengths = 0;

    check_text(h->method, in, " :\t");
    check_text(h->target, in, " \t");
    BUG_ON(h->method.len == 0 || h->target.len > WEB_URL_MAX || h->minor > 1);
    BUG_ON(h->nheaders > WEB_HEADERS_MAX);
    for (size_t i = 0; i < h->nheaders; i++) {
        check_text(h->headers[i].name, in, " \t:,;\"()[]{}<>@/\\?=");
        check_text(h->headers[i].value, in, "");
        BUG_ON(h->headers[i].name.len == 0);
    }
    while (web_head_next(h, "content-length", &at, &value)) {
        lengths++;
    }
    BUG_ON(lengths > 1 || (lengths == 0 && h->body != 0));
    at = 0;
    BUG_ON(web_head_next(h, "transfer-encoding", &at, &value));
}

/* As the server does it with a target. */
static void check_target(struct slice target)
{
    struct slice value;
    struct buf decoded;

    buf_init(&decoded, WEB_URL_MAX);
    for (int form = 0; form < 2; form++) {
        if (web_decode(target, form != 0, &decoded)) {
            BUG_ON(decoded.len > target.len);
            for (size_t i = 0; i < decoded.len; i++) {
                BUG_ON((unsigned char)decoded.data[i] < ' ' || decoded.data[i] == 0x7f);
            }
            if (!web_path_climbs(buf_slice(&decoded)) && decoded.len > 0) {
                BUG_ON(strstr(decoded.data, "/../") != NULL);
            }
        }
    }
    if (web_query_find(target, "q", &value)) {
        BUG_ON(value.ptr < target.ptr || value.ptr + value.len > target.ptr + target.len);
    }
    buf_finish(&decoded);
}

/* What stands in Host, Origin and the option. */
static void check_names(struct slice text)
{
    static const char *const names[] = {"shoal.example"};
    char *copy = xstrndup(text.ptr, text.len);
    union web_address address;
    struct err err;

    if (web_host_is_ours(text, names, 1)) {
        BUG_ON(text.len > 300 || strspn(copy, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789.:[]") != text.len);
    }
    if (web_origin_is_ours(text, SLICE("localhost:9400"))) {
        BUG_ON(text.len != strlen("http://localhost:9400") &&
               text.len != strlen("https://localhost:9400"));
    }
    if (web_listen_parse(copy, &address, &err) == 0) {
        char described[80];
        web_listen_describe(&address, described, sizeof(described));
        BUG_ON(web_listen_parse(described, &address, NULL) != 0);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = {(const char *)data, size};
    size_t len = web_head_length(all);
    struct slice in = {all.ptr, len > 0 ? len : size};
    struct web_head *h = xcalloc(1, sizeof(*h));
    const char *why = NULL;
    int status = web_head_parse(in, h, &why);

    BUG_ON(len > size || (status != 0) != (why != NULL));
    BUG_ON(status != 0 && (status < 400 || status > 505));
    if (status == 0 && len > 0) {
        check_head(h, in);
        check_target(h->target);
    }
    check_target(all);
    check_names(all);
    free(h);
    return 0;
}
