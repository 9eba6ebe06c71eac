/* detach_test.c - the keys that detach, typed in any pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "detach.h"
#include <berth/mem.h>
#include <string.h>

static void test_parse(void **state)
{
    static const char *const bad[] = {"ctrl-", "ctrl-1", "ab", "ctrl-p,,ctrl-q", "ctrl-pp"};
    detach_keys d;

    (void)state;
    assert_null(detach_keys_parse(NULL, &d));
    assert_memory_equal(d.keys, "\x10\x11", 2);
    assert_null(detach_keys_parse("a,ctrl-@,ctrl-[,ctrl-_", &d));
    assert_memory_equal(d.keys, "a\0\x1b\x1f", 4);
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = detach_keys_parse(bad[i], &d);

        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
    }
}

/* The same for every way to cut the input in two. */
static void assert_typed(const char *keys, const char *typed, const char *passes, bool detaches)
{
    size_t n = strlen(typed);

    for (size_t cut = 0; cut <= n; cut++) {
        auto_buf out = {0};
        detach_keys d;
        bool left;

        assert_null(detach_keys_parse(keys, &d));
        left = detach_keys_feed(&d, typed, cut, &out) ||
               detach_keys_feed(&d, typed + cut, n - cut, &out);
        assert_int_equal(left, detaches);
        assert_string_equal(out.data ? out.data : "", passes);
    }
}

static void test_feed(void **state)
{
    (void)state;
    assert_typed("", "ls\n\x10\x11more", "ls\n", true);
    assert_typed("", "\x10x\x10", "\x10x", false);
    assert_typed("", "\x10\x10\x11", "\x10", true);
    assert_typed("a,b,a,c", "ababac", "ab", true);
    assert_typed("a,b,a,c", "abax", "abax", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_feed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
