/* options_test.c - the local driver's names and options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "private.h"
#include <berth/mem.h>
#include <string.h>

static void test_names(void **state)
{
    static const char *const good[] = {"ab", "a1", "0_", "a.b-c_d"};
    static const char *const bad[] = {"",    "a",   ".a",  "-a",        "_a",
                                      "a/b", "a b", "a\n", "a\xc3\xa9", ".."};
    auto_free char *longest = xcalloc(VOLUME_NAME_MAX + 2, 1);

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_null(volume_name_check(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = volume_name_check(bad[i]);

        assert_int_equal(err_kind(e), ERR_INVALID);
    }
    memset(longest, 'a', VOLUME_NAME_MAX);
    assert_null(volume_name_check(longest));
    longest[VOLUME_NAME_MAX] = 'a';
    {
        auto_err *e = volume_name_check(longest);

        assert_int_equal(err_kind(e), ERR_INVALID);
    }
}

static void test_options(void **state)
{
    static const struct {
        const char *keys[3], *values[3], *words;
    } cases[] = {
        {{"type", "device", "o"}, {"nfs", ":/x", "addr=1.2.3.4,ro"}, NULL},
        {{"type", "device"}, {"tmpfs", "tmpfs"}, NULL},
        {{"size"}, {"0"}, NULL},
        {{"size"}, {"x"}, "invalid size: 'x'"},
        {{"size"}, {"1g"}, "quota size requested but no quota support"},
        {{"type"}, {"nfs"}, "missing required option: \"device\""},
        {{"device"}, {"x"}, "missing required option: \"type\""},
        {{"o", "type"}, {"ro", "x"}, "missing required option: \"device\""},
        {{"mode"}, {"x"}, "invalid option: \"mode\""},
    };
    auto_arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_map options = {0};
        err *e;

        for (size_t k = 0; k < 3 && cases[i].keys[k]; k++)
            json_map_set(&options, a, cases[i].keys[k], cases[i].values[k]);
        e = volume_options_check(&options);
        assert_string_equal(err_message(e), cases[i].words ? cases[i].words : "");
        err_free(e);
    }
    assert_null(volume_options_check(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_options)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
