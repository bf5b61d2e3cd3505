/* Rights: the table covers what the steps do, and every right that is missing is named at once. */
#include "shared/redis/rights.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const unsigned char shoal_lua[];
extern const size_t shoal_lua_len;

struct fixture {
    struct link_probe p; /* as the default user */
    struct url url;      /* of the user that is looked at */
    unsigned answers;
    bool missing;
    bool transactions;
    struct err err;
};

static void every_command_of_the_steps_is_in_the_table(void **state)
{
    static const char mark[] = "call('";
    const char *at = (const char *)shoal_lua;
    const char *end = at + shoal_lua_len;
    unsigned n = 0;

    (void)state;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)) != NULL) {
        char command[64];
        at += sizeof(mark) - 1;
        int len = (int)strcspn(at, "'");
        bool container = strncmp(at, "PUBSUB'", 7) == 0;
        const char *sub = at + len + 4; /* ', ' */
        snprintf(command, sizeof(command), "%.*s%s%.*s", len, at, container ? "|" : "",
                 container ? (int)strcspn(sub, "'") : 0, sub);
        if (!rights_has_step_command(command)) {
            fail_msg("the steps call %s: give it a row in shared/redis/rights.c, and a + in "
                     "deploy/redis/users.acl",
                     command);
        }
        n++;
    }
    assert_true(n > 100);
}

static void on_answer(void *ctx, const struct err *missing, bool transactions)
{
    struct fixture *f = ctx;

    f->answers++;
    f->missing = missing != NULL;
    f->transactions = transactions;
    f->err = missing != NULL ? *missing : (struct err){0};
}

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    link_probe_up(&f->p, private_redis_port(redis));
    f->url = f->p.url;
    snprintf(f->url.user, sizeof(f->url.user), "u");
    snprintf(f->url.password, sizeof(f->url.password), "p");
}

static void ask(struct fixture *f, unsigned who, const char *rules)
{
    const struct link_options link = {.url = &f->url, .name = "rights"};
    char command[300];
    unsigned before = f->answers;

    snprintf(command, sizeof(command), "ACL SETUSER u reset on >p %s", rules);
    link_probe_ask(&f->p, command);
    assert_string_equal(f->p.text, "OK");
    assert_non_null(rights_ask(&f->p.t.uv, &link, "main", who, "*", on_answer, f));
    wait_until(&f->p.t, f->answers > before);
}

#define ALL "~* &* +@all "

static void all_that_is_missing_is_named_at_once(void **state)
{
    static const struct {
        unsigned who;
        const char *rules;
        const char *names[4]; /* all of them, with a blank on both sides */
    } cases[] = {
        {RIGHTS_NODE, ALL "-xadd -publish", {" +xadd ", " +publish "}},
        {RIGHTS_NODE, ALL "-multi", {" +multi "}},
        {RIGHTS_NODE, ALL "-exec -hset", {" +exec ", " +hset "}},
        {RIGHTS_NODE, ALL "-client|kill -subscribe", {" +client|kill ", " +subscribe "}},
        {RIGHTS_NODE,
         ALL "resetchannels &shoal:main:chat:* &shoal:main:sent:*",
         {" &shoal:main:node:* ", " &shoal:main:send:* ", " &shoal:main:events "}},
        {RIGHTS_NODE, "~shoal:{other}* &* +@all", {" ~shoal:{main} ", " ~shoal:{main}:* "}},
        {RIGHTS_NODE, ALL "-ping -client|setname", {" +ping ", " +client|setname "}},
        {RIGHTS_COORDINATOR, ALL "-xadd -function", {" +xadd ", " +function|load "}},
        {RIGHTS_COORDINATOR, ALL "-xread -fcall -info", {" +xread ", " +fcall ", " +info "}},
        {RIGHTS_VIEW, "~shoal:{main}:load &* +@all", {" ~shoal:{main}:channels "}},
        {RIGHTS_REQUEST,
         "+@all ~shoal:{main}:reply:*",
         {" ~shoal:{main}:requests ", " &shoal:main:replies "}},
        {RIGHTS_ADMIN,
         "+@all ~shoal:{main}:requests ~shoal:{main}:reply:* &*",
         {" ~shoal:{main}:admin "}},
        {RIGHTS_SEND, "+@all ~* resetchannels", {" &shoal:main:sent:* "}},
        {RIGHTS_TAIL, "+@all -subscribe", {" +subscribe "}},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(&f, cases[i].who, cases[i].rules);
        assert_true(f.missing);
        assert_int_equal(f.err.code, ERR_AUTH);
        assert_non_null(strstr(f.err.text, "user 'u' lacks rights: ACL SETUSER u "));
        for (size_t k = 0; k < ARRAY_LEN(cases[i].names) && cases[i].names[k] != NULL; k++) {
            if (strstr(f.err.text, cases[i].names[k]) == NULL) {
                fail_msg("%s: %s names no%s", cases[i].rules, f.err.text, cases[i].names[k]);
            }
        }
    }
    link_probe_finish(&f.p);
}

static void whoever_has_all_lacks_nothing_and_nothing_was_done(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    link_probe_ask(&f.p, "DBSIZE");
    long long before = f.p.integer;
    for (unsigned who = 1; who <= RIGHTS_EVENTS; who *= 2) {
        ask(&f, who, "~shoal:{main}* &shoal:main:* &shoal:main:chat:* +@all");
        assert_false(f.missing);
        assert_true(f.transactions);
    }
    link_probe_ask(&f.p, "DBSIZE");
    assert_int_equal(f.p.integer, before);
    link_probe_finish(&f.p);
}

/* A full Redis or a replica refuses to write, which says nothing of rights. */
static void what_redis_cannot_do_now_is_no_missing_right(void **state)
{
    static const char *const states[][2] = {
        {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
        {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
        {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
    };
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        link_probe_ask(&f.p, states[i][0]);
        ask(&f, RIGHTS_NODE | RIGHTS_COORDINATOR, ALL);
        assert_false(f.missing);
        link_probe_ask(&f.p, states[i][1]);
    }
    link_probe_finish(&f.p);
}

static void one_may_give_up_asking(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    const struct link_options link = {.url = &f.p.url, .name = "rights"};
    rights_close(rights_ask(&f.p.t.uv, &link, "main", RIGHTS_NODE, "*", on_answer, &f));
    test_loop_run_for(&f.p.t, 50);
    assert_int_equal(f.answers, 0);
    link_probe_finish(&f.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_of_the_steps_is_in_the_table),
        cmocka_unit_test(all_that_is_missing_is_named_at_once),
        cmocka_unit_test(whoever_has_all_lacks_nothing_and_nothing_was_done),
        cmocka_unit_test(what_redis_cannot_do_now_is_no_missing_right),
        cmocka_unit_test(one_may_give_up_asking),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
