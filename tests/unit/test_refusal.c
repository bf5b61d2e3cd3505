/* Refusal: each error reply of Redis is known for what it is, with what mends it. */
#include "shared/redis/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *text;
    enum refusal_kind kind; /* REFUSAL_KINDS: none */
    enum refusal_then then;
    enum err_code code;
    const char *mend; /* part of it */
} cases[] = {
    {"NOPERM this user has no permissions to run the 'publish' command", REFUSAL_RIGHT,
     REFUSAL_STAYS, ERR_UNABLE, "users.acl"},
    {"ERR The user executing the script can't run this command or subcommand script: "
     "shoal1_lead, on @user_function:144.",
     REFUSAL_RIGHT, REFUSAL_STAYS, ERR_UNABLE, "users.acl"},
    {"EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the "
     "'exec' command",
     REFUSAL_RIGHT, REFUSAL_STAYS, ERR_UNABLE, "users.acl"},
    {"EXECABORT Transaction discarded because of previous errors.", REFUSAL_KINDS, REFUSAL_STAYS,
     ERR_REPLY, ""},
    {"READONLY You can't write against a read only replica.", REFUSAL_READONLY,
     REFUSAL_DROPS_SERVER, ERR_UNABLE, "primary"},
    {"READONLY Can not run script with write flag on readonly replica.", REFUSAL_READONLY,
     REFUSAL_DROPS_SERVER, ERR_UNABLE, "primary"},
    {"UNBLOCKED force unblock from blocking operation, instance state changed (master -> "
     "replica?)",
     REFUSAL_READONLY, REFUSAL_DROPS_SERVER, ERR_UNABLE, "primary"},
    {"MASTERDOWN Link with MASTER is down", REFUSAL_MASTERDOWN, REFUSAL_DROPS_SERVER, ERR_UNABLE,
     "primary"},
    {"LOADING Redis is loading the dataset in memory", REFUSAL_LOADING, REFUSAL_DROPS, ERR_UNABLE,
     "loaded"},
    {"OOM command not allowed when used memory > 'maxmemory'.", REFUSAL_OOM, REFUSAL_STAYS,
     ERR_MEMORY, "maxmemory"},
    {"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
     REFUSAL_OOM, REFUSAL_STAYS, ERR_MEMORY, "maxmemory"},
    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
     REFUSAL_MISCONF, REFUSAL_STAYS, ERR_UNABLE, "disk"},
    {"NOREPLICAS Not enough good replicas to write.", REFUSAL_NOREPLICAS, REFUSAL_STAYS, ERR_UNABLE,
     "min-replicas-to-write"},
    {"BUSY Redis is busy running a script. You can only call FUNCTION KILL", REFUSAL_BUSY,
     REFUSAL_STAYS, ERR_UNABLE, "FUNCTION KILL"},
    {"NOAUTH Authentication required.", REFUSAL_NO_LOGIN, REFUSAL_DROPS, ERR_UNABLE, "redis_url"},
    {"WRONGPASS invalid username-password pair or user is disabled.", REFUSAL_CREDENTIALS,
     REFUSAL_DROPS, ERR_UNABLE, "redis_url"},
    {"ERR max number of clients reached", REFUSAL_CLIENTS, REFUSAL_DROPS, ERR_UNABLE, "maxclients"},
    {"ERR unknown command 'XREAD', with args beginning with: 'x'", REFUSAL_NO_COMMAND,
     REFUSAL_STAYS, ERR_UNABLE, "rename-command"},
    {"ERR unknown command 'FCALL', with args beginning with: 'x'", REFUSAL_NO_FUNCTIONS,
     REFUSAL_STAYS, ERR_REFUSED, "Redis 7"},
    {"ERR unknown command `FCALL_RO`, with args beginning with: 'x'", REFUSAL_NO_FUNCTIONS,
     REFUSAL_STAYS, ERR_REFUSED, "Redis 7"},
    {"ERR unknown command `FUNCTION`, with args beginning with: ", REFUSAL_NO_FUNCTIONS,
     REFUSAL_STAYS, ERR_REFUSED, "Redis 7"},
    {"ERR Function not found", REFUSAL_NO_LIBRARY, REFUSAL_STAYS, ERR_ABSENT, "coordinator"},
    {"MOVED 3999 127.0.0.1:6381", REFUSAL_CLUSTER, REFUSAL_STAYS, ERR_UNABLE, "one primary"},
    {"LOST the lease", REFUSAL_KINDS, REFUSAL_STAYS, ERR_LOST, ""},
    {"DEPOSED by c2", REFUSAL_KINDS, REFUSAL_STAYS, ERR_LOST, ""},
    {"LOSTX", REFUSAL_KINDS, REFUSAL_STAYS, ERR_REPLY, ""},
    {"BADARG x", REFUSAL_KINDS, REFUSAL_STAYS, ERR_REPLY, ""},
    {"WRONGTYPE Operation against a key", REFUSAL_KINDS, REFUSAL_STAYS, ERR_REPLY, ""},
    {"", REFUSAL_KINDS, REFUSAL_STAYS, ERR_REPLY, ""},
};

static void each_error_is_known_for_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        redisReply reply = {.type = REDIS_REPLY_ERROR,
                            .str = (char *)(uintptr_t)cases[i].text,
                            .len = strlen(cases[i].text)};
        const struct refusal *r = refusal_of(&reply);
        struct err err = {0};

        assert_int_equal(r != NULL ? r->kind : REFUSAL_KINDS, cases[i].kind);
        assert_int_equal(r != NULL ? r->then : REFUSAL_STAYS, cases[i].then);
        assert_int_equal(refusal_err(&reply, &err), -(int)cases[i].code);
        assert_non_null(strstr(err.text, cases[i].mend));
    }
}

static void what_is_no_error_is_no_refusal(void **state)
{
    redisReply reply = {.type = REDIS_REPLY_STATUS, .str = (char *)(uintptr_t)"OOM", .len = 3};

    (void)state;
    assert_null(refusal_of(&reply));
    assert_null(refusal_of(NULL));
    assert_int_equal(refusal_err(&reply, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_is_known_for_what_it_is),
        cmocka_unit_test(what_is_no_error_is_no_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
