/* Sealed secrets, and the file of keys. */
#include "shared/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define PLACE "main/alice"

static int load(const char *content, mode_t mode, struct seal_keys **out, struct err *err)
{
    char path[] = "/tmp/shoal-seal-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    int rc = seal_keys_load(path, out, err);
    assert_int_equal(unlink(path), 0);
    return rc;
}

static struct seal_keys *keys_of(const char *content)
{
    struct seal_keys *keys;
    struct err err;

    assert_int_equal(load(content, 0600, &keys, &err), 0);
    return keys;
}

static int open_it(const struct seal_keys *keys, const char *place, const char *text,
                   struct buf *out)
{
    struct err err;
    int rc = seal_open(keys, place, slice_of(text), out, &err);

    if (rc != 0) {
        assert_int_equal(out->len, 0);
    }
    return rc;
}

static void what_is_sealed_opens_again(void **state)
{
    struct seal_keys *keys = keys_of("# keys\n\n" KEY_A "\r\n");
    struct buf out;
    char large[SEAL_PLAIN_MAX];

    (void)state;
    buf_init(&out, SEAL_PLAIN_MAX);
    memset(large, 'x', sizeof(large));
    for (size_t len = 0; len <= sizeof(large); len = len < 40 ? len + 1 : len * 2) {
        size_t n = len < sizeof(large) ? len : sizeof(large);
        char *text = seal(keys, PLACE, (struct slice){large, n});
        assert_true(strlen(text) < SEAL_TEXT_MAX);
        assert_int_equal(open_it(keys, PLACE, text, &out), 0);
        assert_int_equal(out.len, n);
        if (n > 0) {
            assert_memory_equal(out.data, large, n);
        }
        free(text);
    }
    buf_finish(&out);
    seal_keys_destroy(keys);
}

static void the_same_secret_is_sealed_differently_each_time(void **state)
{
    struct seal_keys *keys = keys_of(KEY_A);
    char *one = seal(keys, PLACE, SLICE("secret"));
    char *two = seal(keys, PLACE, SLICE("secret"));

    (void)state;
    assert_string_not_equal(one, two);
    assert_null(strstr(one, "secret"));
    free(one);
    free(two);
    seal_keys_destroy(keys);
}

static void whatever_is_changed_it_does_not_open(void **state)
{
    struct seal_keys *keys = keys_of(KEY_A);
    char *text = seal(keys, PLACE, SLICE("a secret"));
    struct buf out;

    (void)state;
    buf_init(&out, SEAL_PLAIN_MAX);
    for (size_t i = 0; i < strlen(text); i++) {
        char before = text[i];
        text[i] = before == 'A' ? 'B' : 'A';
        assert_int_not_equal(open_it(keys, PLACE, text, &out), 0);
        text[i] = before;
    }
    for (size_t i = 0; i < strlen(text); i++) {
        struct err err;
        assert_int_not_equal(seal_open(keys, PLACE, (struct slice){text, i}, &out, &err), 0);
    }
    assert_int_equal(open_it(keys, PLACE, text, &out), 0);
    buf_finish(&out);
    free(text);
    seal_keys_destroy(keys);
}

static void what_was_sealed_for_another_place_does_not_open(void **state)
{
    struct seal_keys *keys = keys_of(KEY_A);
    char *text = seal(keys, PLACE, SLICE("a secret"));
    struct buf out;

    (void)state;
    buf_init(&out, SEAL_PLAIN_MAX);
    assert_int_equal(open_it(keys, "main/bob", text, &out), -ERR_AUTH);
    assert_int_equal(open_it(keys, "other/alice", text, &out), -ERR_AUTH);
    buf_finish(&out);
    free(text);
    seal_keys_destroy(keys);
}

static void the_first_key_seals_and_all_open(void **state)
{
    struct seal_keys *old = keys_of(KEY_A);
    struct seal_keys *both = keys_of(KEY_B "\n" KEY_A "\n");
    struct seal_keys *new = keys_of(KEY_B);
    char *before = seal(old, PLACE, SLICE("a secret"));
    char *after = seal(both, PLACE, SLICE("a secret"));
    struct buf out;

    (void)state;
    buf_init(&out, SEAL_PLAIN_MAX);
    assert_int_equal(open_it(both, PLACE, before, &out), 0);
    assert_false(seal_is_current(both, slice_of(before)));
    assert_true(seal_is_current(both, slice_of(after)));
    assert_int_equal(open_it(new, PLACE, after, &out), 0);
    assert_int_equal(open_it(new, PLACE, before, &out), -ERR_AUTH);
    assert_int_equal(open_it(old, PLACE, after, &out), -ERR_AUTH);
    buf_finish(&out);
    free(before);
    free(after);
    seal_keys_destroy(old);
    seal_keys_destroy(both);
    seal_keys_destroy(new);
}

static void what_is_no_sealed_text_is_told(void **state)
{
    static const char *const texts[] = {
        "", "1.", "1.00000000.", "2.12345678.AAAA", "abc", "1.12345678.AAAA", "1.12345678.****"};
    struct seal_keys *keys = keys_of(KEY_A);
    struct buf out;

    (void)state;
    buf_init(&out, SEAL_PLAIN_MAX);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(open_it(keys, PLACE, texts[i], &out), -ERR_STRANGE);
    }
    buf_finish(&out);
    seal_keys_destroy(keys);
}

static void a_file_of_keys_that_cannot_be_used_says_why(void **state)
{
    static const struct {
        const char *content;
        mode_t mode;
        const char *why;
    } cases[] = {
        {KEY_A, 0640, "others may read it (chmod 600"},
        {KEY_A, 0604, "others may read it (chmod 600"},
        {"", 0600, "there is no key in it (shoalctl keygen makes one)"},
        {"# " KEY_A, 0600, "there is no key in it"},
        {KEY_A "\n" KEY_A "0\n", 0600, ":2: not a key (64 characters of 0-9 and a-f"},
        {"0g112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0600, ":1: not a key"},
    };
    struct seal_keys *keys;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(load(cases[i].content, cases[i].mode, &keys, &err), -ERR_USAGE);
        assert_null(keys);
        assert_non_null(strstr(err.text, cases[i].why));
        assert_null(strstr(err.text, "00112233"));
    }
    assert_int_equal(seal_keys_check("/no/such/file", &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "/no/such/file"));
}

static void a_new_key_is_one_that_can_be_used(void **state)
{
    char one[SEAL_KEY_CHARS];
    char two[SEAL_KEY_CHARS];

    (void)state;
    seal_key_make(one);
    seal_key_make(two);
    assert_string_not_equal(one, two);
    seal_keys_destroy(keys_of(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_again),
        cmocka_unit_test(the_same_secret_is_sealed_differently_each_time),
        cmocka_unit_test(whatever_is_changed_it_does_not_open),
        cmocka_unit_test(what_was_sealed_for_another_place_does_not_open),
        cmocka_unit_test(the_first_key_seals_and_all_open),
        cmocka_unit_test(what_is_no_sealed_text_is_told),
        cmocka_unit_test(a_file_of_keys_that_cannot_be_used_says_why),
        cmocka_unit_test(a_new_key_is_one_that_can_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
