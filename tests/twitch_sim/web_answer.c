/* Answers in HTTP/1.1. */
#include "tests/twitch_sim/web_answer.h"

#define ANSWER_MAX (1 << 20)

void web_answer_init(struct web_answer *a)
{
    *a = (struct web_answer){.status = 200};
    buf_init(&a->body, ANSWER_MAX);
    json_init(&a->json, &a->body);
}

void web_answer_finish(struct web_answer *a)
{
    buf_finish(&a->body);
}

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {411, "Length Required"},
        {413, "Payload Too Large"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Other";
}

static void refuse(struct web_answer *a, unsigned status, const char *error, const char *message)
{
    a->status = status;
    buf_clear(&a->body);
    json_init(&a->json, &a->body);
    json_object_begin(&a->json, NULL);
    if (error != NULL) {
        json_string(&a->json, "error", error);
    }
    json_number(&a->json, "status", status);
    json_string(&a->json, "message", message);
    json_object_end(&a->json);
}

void web_answer_refuse(struct web_answer *a, unsigned status, const char *message)
{
    refuse(a, status, NULL, message);
}

void web_answer_refuse_named(struct web_answer *a, unsigned status, const char *message)
{
    refuse(a, status, reason(status), message);
}

void web_answer_write(const struct web_answer *a, bool close, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %u %s\r\n", a->status, reason(a->status));
    if (a->body.len > 0) {
        buf_append_str(out, "Content-Type: application/json\r\n");
    }
    if (a->metered) {
        buf_printf(
            out, "Ratelimit-Limit: %llu\r\nRatelimit-Remaining: %llu\r\nRatelimit-Reset: %llu\r\n",
            (unsigned long long)a->limit, (unsigned long long)a->remaining,
            (unsigned long long)a->reset_s);
    }
    if (a->retry_s > 0) {
        buf_printf(out, "Retry-After: %llu\r\n", (unsigned long long)a->retry_s);
    }
    buf_printf(out, "%sContent-Length: %zu\r\n\r\n", close ? "Connection: close\r\n" : "",
               a->body.len);
    buf_append_slice(out, buf_slice(&a->body));
}
