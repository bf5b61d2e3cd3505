/* Link probe: counters behind the link's callbacks. */
#include "tests/lib/link_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void on_up(void *ctx)
{
    struct link_probe *p = ctx;

    assert_int_equal(p->closes, 0);
    p->ups++;
    if (p->at_up != NULL) {
        p->at_up(p);
    }
}

static void on_down(void *ctx, const struct err *why)
{
    struct link_probe *p = ctx;

    assert_int_equal(p->closes, 0);
    assert_false(link_is_up(p->link));
    p->downs++;
    p->why = *why;
    if (getenv("SHOAL_TEST_VERBOSE") != NULL) {
        fprintf(stderr, "link down: %s\n", why->text);
    }
    if (p->at_down != NULL) {
        p->at_down(p);
    }
}

static void on_closed(void *ctx)
{
    struct link_probe *p = ctx;

    p->closes++;
}

void link_probe_on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct link_probe *p = ctx;
    struct slice text = reply_slice(reply);

    assert_true((reply == NULL) != (err == NULL));
    assert_int_equal(p->closes, 0);
    p->answers++;
    if (err != NULL) {
        p->errors++;
        p->last_error = err->code;
    } else {
        p->refusals += reply->type == REDIS_REPLY_ERROR;
        snprintf(p->text, sizeof(p->text), "%.*s", text.len > 200 ? 200 : (int)text.len, text.ptr);
        p->integer = reply->integer;
        p->reply_len = text.len;
        p->elements = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    }
    if (p->at_answer != NULL) {
        p->at_answer(p);
    }
}

void link_probe_init(struct link_probe *p, uint16_t port)
{
    memset(p, 0, sizeof(*p));
    test_loop_init(&p->t);
    snprintf(p->url.scheme, sizeof(p->url.scheme), "redis");
    snprintf(p->url.host, sizeof(p->url.host), "127.0.0.1");
    p->url.port = port;
    p->options = (struct link_options){
        .url = &p->url,
        .name = "test",
        .connect_ms = 15000, /* generous: the tests also run under valgrind */
        .reply_ms = 15000,
        .on_up = on_up,
        .on_down = on_down,
        .ctx = p,
    };
}

void link_probe_start(struct link_probe *p)
{
    p->link = link_create(&p->t.uv, &p->options);
}

void link_probe_up(struct link_probe *p, uint16_t port)
{
    link_probe_init(p, port);
    link_probe_start(p);
    wait_until(&p->t, link_is_up(p->link));
    assert_int_equal(p->ups, 1);
    assert_int_equal(p->downs, 0);
}

void link_probe_close(struct link_probe *p)
{
    struct link *link = p->link;

    p->link = NULL;
    link_close(link, on_closed, p);
}

void link_probe_finish(struct link_probe *p)
{
    if (p->link != NULL) {
        link_probe_close(p);
    }
    test_loop_finish(&p->t);
    assert_int_equal(p->closes, 1);
}

int link_command(struct link *link, link_reply_cb cb, void *ctx, const char *fmt, ...)
{
    const char *argv[16];
    size_t lens[ARRAY_LEN(argv)];
    redisReader *reader = redisReaderCreate();
    redisReply *words = NULL;
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int len = redisvFormatCommand(&text, fmt, args);
    va_end(args);
    assert_true(len > 0);
    assert_int_equal(redisReaderFeed(reader, text, (size_t)len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, (void **)&words), REDIS_OK);
    assert_true(words->elements <= ARRAY_LEN(argv));
    for (size_t i = 0; i < words->elements; i++) {
        argv[i] = words->element[i]->str;
        lens[i] = words->element[i]->len;
    }
    int rc = link_command_argv(link, (int)words->elements, argv, lens, cb, ctx);
    freeReplyObject(words);
    redisReaderFree(reader);
    redisFreeCommand(text);
    return rc;
}

void link_probe_ask(struct link_probe *p, const char *command)
{
    unsigned before = p->answers;
    char line[1024];
    const char *argv[32];
    int argc = 0;
    char *rest = NULL;

    snprintf(line, sizeof(line), "%s", command);
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    assert_int_equal(link_command_argv(p->link, argc, argv, NULL, link_probe_on_answer, p), 0);
    wait_until(&p->t, p->answers > before);
}

void link_probe_ping(struct link_probe *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(link_command(p->link, link_probe_on_answer, p, "PING"), 0);
    }
}
