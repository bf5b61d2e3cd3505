/* Senders: who sends for which shard. Tables: BEFORE (facts), COMPUTE, AFTER (who sends). */
#include "coordinator/manager/senders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 64

struct fixture {
    struct sender_shard shards[MAX];
    size_t n;
    const char *speaker; /* NULL: there is none */
    const char *nobodys; /* the default sender of user "u", or of the speaker */
};

static void add(struct fixture *f, const char *id, const char *user, bool ready, const char *sender)
{
    f->shards[f->n++] = (struct sender_shard){.id = id,
                                              .user = user,
                                              .ready = ready,
                                              .speaks = strncmp(id, "speaker", 7) == 0,
                                              .sender = sender};
}

static bool differ(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0;
}

/* How many senders changed. */
static size_t compute(struct fixture *f)
{
    struct fixture before = *f;
    senders_compute(f->shards, f->n, "u", f->speaker != NULL ? f->speaker : "", &f->nobodys);
    size_t changes = differ(before.nobodys, f->nobodys);
    for (size_t i = 0; i < f->n; i++) {
        size_t was = 0;
        while (was < f->n && strcmp(before.shards[was].id, f->shards[i].id) != 0) {
            was++;
        }
        assert_true(was < f->n);
        changes += differ(before.shards[was].sender, f->shards[i].sender);
    }
    return changes;
}

static const char *sender_of(const struct fixture *f, const char *id)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->shards[i].id, id) == 0) {
            return f->shards[i].sender ? f->shards[i].sender : "";
        }
    }
    return "(no such shard)";
}

/* What one table line says of a shard: "id user ready sender". */
struct line {
    const char *id;
    const char *user;
    bool ready;
    const char *before;
    const char *after;
};

static void check_table_of(const char *speaker, const char *name, const struct line *lines)
{
    struct fixture f = {.speaker = speaker};
    for (const struct line *l = lines; l->id; l++) {
        add(&f, l->id, l->user, l->ready, l->before);
    }
    compute(&f);
    for (const struct line *l = lines; l->id; l++) {
        if (strcmp(sender_of(&f, l->id), l->after) != 0) {
            fail_msg("%s: %s is sent for by \"%s\", not \"%s\"", name, l->id, sender_of(&f, l->id),
                     l->after);
        }
    }
}

static void check_table(const char *name, const struct line *lines)
{
    check_table_of(NULL, name, lines);
}

static void the_table_of_small_clusters_holds(void **state)
{
    (void)state;
    check_table("no shard", (struct line[]){{0}});
    check_table("the only shard sends for itself",
                (struct line[]){{"a", "u", true, "a", "a"}, {0}});
    check_table("a new only shard without a sender gets itself",
                (struct line[]){{"a", "u", true, NULL, "a"}, {0}});
    check_table("two ready shards send for each other",
                (struct line[]){{"a", "u", true, "a", "b"}, {"b", "u", true, "b", "a"}, {0}});
    check_table("three ready shards make a ring", (struct line[]){{"a", "u", true, "a", "b"},
                                                                  {"b", "u", true, "b", "c"},
                                                                  {"c", "u", true, "c", "a"},
                                                                  {0}});
    check_table("with no ready shard nothing changes",
                (struct line[]){{"a", "u", false, "b", "b"}, {"b", "u", false, "b", "b"}, {0}});
    check_table("a shard that is not ready sends for nobody",
                (struct line[]){{"a", "u", true, "b", "a"}, {"b", "u", false, "b", "a"}, {0}});
    check_table("while few are ready, new ones send for themselves",
                (struct line[]){{"a", "u", true, "a", "b"},
                                {"b", "u", true, "b", "a"},
                                {"c", "u", false, "c", "c"},
                                {"d", "u", false, "x", "a"},
                                {"e", "u", false, "e", "e"},
                                {0}});
    check_table("one of a few that is not ready is sent for by another",
                (struct line[]){{"a", "u", true, "a", "b"},
                                {"b", "u", true, "b", "a"},
                                {"c", "u", false, "c", "a"},
                                {0}});
    check_table("a good sender is kept", (struct line[]){{"a", "u", true, "c", "c"},
                                                         {"b", "u", true, "a", "a"},
                                                         {"c", "u", true, "b", "b"},
                                                         {0}});
    check_table("a sender that is gone is replaced",
                (struct line[]){{"a", "u", true, "x", "b"}, {"b", "u", true, "a", "a"}, {0}});
    check_table("users do not send for each other", (struct line[]){{"a", "u", true, "b", "a"},
                                                                    {"b", "v", true, "a", "c"},
                                                                    {"c", "v", true, "c", "b"},
                                                                    {0}});
    check_table("facts in any order give the same ring", (struct line[]){{"c", "u", true, "", "a"},
                                                                         {"a", "u", true, "", "b"},
                                                                         {"b", "u", true, "", "c"},
                                                                         {0}});
}

static void with_a_speaker_it_speaks_to_the_channels_of_all_shards(void **state)
{
    (void)state;
    check_table_of("v", "while it has no shard nothing changes",
                   (struct line[]){{"a", "u", true, "a", "a"}, {"b", "u", true, "a", "a"}, {0}});
    check_table_of("v", "nor while none is ready",
                   (struct line[]){{"a", "u", true, "a", "a"},
                                   {"speaker-1", "v", false, "speaker-1", "speaker-1"},
                                   {0}});
    check_table_of("v", "its shard sends for those of others",
                   (struct line[]){{"a", "u", true, "a", "speaker-1"},
                                   {"b", "w", false, "a", "speaker-1"},
                                   {"speaker-1", "v", true, "speaker-1", "speaker-1"},
                                   {0}});
    check_table_of("v", "speaker shards come first, also for its own",
                   (struct line[]){{"a", "v", true, "b", "speaker-1"},
                                   {"b", "v", true, "a", "speaker-1"},
                                   {"speaker-1", "v", true, "speaker-1", "speaker-1"},
                                   {0}});
    check_table_of("v", "without one that is ready its others send",
                   (struct line[]){{"a", "v", true, "speaker-1", "b"},
                                   {"b", "v", true, "speaker-1", "a"},
                                   {"c", "u", true, "speaker-1", "a"},
                                   {"speaker-1", "v", false, "speaker-1", "speaker-1"},
                                   {0}});
    check_table_of("v", "a speaker shard that is another's does not speak",
                   (struct line[]){{"a", "u", true, "speaker-1", "speaker-2"},
                                   {"speaker-1", "w", true, "speaker-1", "speaker-1"},
                                   {"speaker-2", "v", true, "speaker-2", "speaker-2"},
                                   {0}});
}

static void speaker_shards_share_those_they_speak_for(void **state)
{
    (void)state;
    struct fixture f = {.speaker = "v", .nobodys = "speaker-1"};
    char names[20][16];
    for (size_t i = 0; i < 20; i++) {
        snprintf(names[i], sizeof(names[i]), "shard-%02zu", i);
        add(&f, names[i], "u", i % 3 == 0, "speaker-1");
    }
    add(&f, "speaker-1", "v", true, "speaker-1");
    add(&f, "speaker-2", "v", true, "speaker-2");

    compute(&f);

    size_t first = 0;
    for (size_t i = 0; i < 20; i++) {
        first += strcmp(sender_of(&f, names[i]), "speaker-1") == 0;
    }
    assert_in_range(first, 10, 11);
    assert_string_equal(f.nobodys, "speaker-1");
    assert_int_equal(compute(&f), 0);
}

static void a_second_computation_changes_nothing(void **state)
{
    (void)state;
    struct fixture f = {0};
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (size_t i = 0; i < 8; i++) {
        add(&f, ids[i], "u", i % 3 != 0, ids[i]);
    }

    assert_true(compute(&f) > 0);

    assert_int_equal(compute(&f), 0);
}

static size_t served_by(const struct fixture *f, const char *sender)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        n += strcmp(f->shards[i].sender, sender) == 0;
    }
    return n;
}

static void shards_that_come_one_by_one_do_not_all_stay_with_the_first(void **state)
{
    (void)state;
    struct fixture f = {0};
    char names[20][16];
    for (size_t i = 0; i < 20; i++) {
        snprintf(names[i], sizeof(names[i]), "shard-%02zu", i);
        add(&f, names[i], "u", false, names[i]);
    }

    for (size_t ready = 0; ready < 20; ready++) {
        for (size_t i = 0; i < 20; i++) {
            f.shards[i].ready = strcmp(f.shards[i].id, names[ready]) <= 0;
        }
        compute(&f);
    }

    for (size_t i = 0; i < 20; i++) {
        assert_true(served_by(&f, names[i]) <= 2);
        assert_string_not_equal(sender_of(&f, names[i]), names[i]);
    }
}

static void random_clusters_are_always_served_by_ready_shards_of_their_user(void **state)
{
    (void)state;
    unsigned seed = 20240131;
    for (int round = 0; round < 2000; round++) {
        struct fixture f = {0};
        char names[24][24];
        size_t n = 1 + (size_t)rand_r(&seed) % 24;
        size_t nready[2] = {0};
        size_t all[2] = {0};
        for (size_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof(names[i]), "s%02zu", i);
        }
        for (size_t i = 0; i < n; i++) {
            bool second = rand_r(&seed) % 3 == 0;
            bool ready = rand_r(&seed) % 4 != 0;
            nready[second] += ready;
            all[second]++;
            add(&f, names[i], second ? "v" : "u", ready, names[(size_t)rand_r(&seed) % n]);
        }

        compute(&f);

        for (size_t i = 0; i < n; i++) {
            const struct sender_shard *shard = &f.shards[i];
            bool second = shard->user[0] == 'v';
            if (nready[second] == 0) {
                continue;
            }
            const struct sender_shard *sender = NULL;
            for (size_t k = 0; k < n; k++) {
                if (strcmp(f.shards[k].id, shard->sender) == 0) {
                    sender = &f.shards[k];
                }
            }
            assert_non_null(sender);
            assert_string_equal(sender->user, shard->user);
            if (sender == shard && !shard->ready) {
                assert_true(2 * nready[second] < all[second]);
                continue;
            }
            assert_true(sender->ready);
            if (sender == shard) {
                assert_int_equal(nready[second], 1);
            }
        }
        assert_int_equal(compute(&f), 0);
    }
}

static void a_default_sender_is_the_first_ready_shard_and_stays_while_it_is_ready(void **state)
{
    (void)state;
    struct fixture f = {0};
    add(&f, "a", "u", false, "a");
    add(&f, "b", "u", true, "b");
    add(&f, "c", "u", true, "c");

    compute(&f);
    assert_string_equal(f.nobodys, "b");

    f.shards[0].ready = true;
    compute(&f);
    assert_string_equal(f.nobodys, "b");

    f.shards[1].ready = false;
    compute(&f);
    assert_string_equal(f.nobodys, "a");
}

static void a_default_sender_stays_where_no_shard_is_ready(void **state)
{
    (void)state;
    struct fixture f = {0};
    add(&f, "a", "u", false, "a");
    add(&f, "b", "u", false, "b");
    f.nobodys = "b";

    assert_int_equal(compute(&f), 0);

    assert_string_equal(f.nobodys, "b");
}

static void the_default_sender_is_the_speakers(void **state)
{
    (void)state;
    struct fixture f = {.speaker = "v", .nobodys = ""};
    add(&f, "a", "u", true, "a");

    compute(&f);
    assert_string_equal(f.nobodys, ""); /* it has no shard */

    add(&f, "b", "v", false, "b");
    compute(&f);
    assert_string_equal(f.nobodys, "b");

    add(&f, "speaker-1", "v", true, "speaker-1");
    compute(&f);
    assert_string_equal(f.nobodys, "speaker-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_small_clusters_holds),
        cmocka_unit_test(with_a_speaker_it_speaks_to_the_channels_of_all_shards),
        cmocka_unit_test(speaker_shards_share_those_they_speak_for),
        cmocka_unit_test(a_second_computation_changes_nothing),
        cmocka_unit_test(shards_that_come_one_by_one_do_not_all_stay_with_the_first),
        cmocka_unit_test(random_clusters_are_always_served_by_ready_shards_of_their_user),
        cmocka_unit_test(a_default_sender_is_the_first_ready_shard_and_stays_while_it_is_ready),
        cmocka_unit_test(the_default_sender_is_the_speakers),
        cmocka_unit_test(a_default_sender_stays_where_no_shard_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
