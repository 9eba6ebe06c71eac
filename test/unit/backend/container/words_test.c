/* words_test.c - signals, names and binds as clients write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <signal.h>
#include <stdlib.h>

static void test_signals(void **state)
{
    static const struct {
        const char *text;
        int signo;
    } good[] = {{"SIGKILL", 9}, {"kill", 9},     {"9", 9},
                {"HUP", 1},     {"RTMIN+3", 37}, {"SIGRTMAX", 64}};
    static const char *const bad[] = {"SIGX",    "0",       "65",  "-1", "RTMIN+31",
                                      "RTMIN-1", "RTMAX+1", "SIG", " 9"};
    int signo;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_null(signal_parse(good[i].text, &signo));
        assert_int_equal(signo, good[i].signo);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_free char *words = xasprintf("invalid signal: %s", bad[i]);
        auto_err *e = signal_parse(bad[i], &signo);

        assert_string_equal(err_message(e), words);
    }
}

static void test_names(void **state)
{
    static const char *const bad[] = {"", "a", "-ab", "a b", "a/b", "\xc3\xa9t", "a\n"};

    (void)state;
    assert_null(name_check("aB0_.-"));
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = name_check(bad[i]);

        assert_non_null(e);
    }
    for (unsigned i = 0; i < 1000; i++) {
        auto_free char *name = name_made_up(i % 6);

        assert_null(name_check(name));
    }
}

static void test_binds(void **state)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "/a",
                                      "/a:",
                                      "/a:b",
                                      "/a:/b:c",
                                      "/a:/b:ro,rw",
                                      "/a:/",
                                      "/a:/b/../..",
                                      "/a/../b:/c",
                                      "name:/b",
                                      "/a:/b:ro:x",
                                      "/a:/b:shared,private"};
    arena *a = arena_new();
    bind_spec b;

    (void)state;
    assert_null(bind_parse("//a/./b/:/c//d:ro,rshared", a, &b));
    assert_string_equal(b.source, "/a/b");
    assert_string_equal(b.destination, "/c/d");
    assert_string_equal(b.propagation, "rshared");
    assert_true(b.readonly && b.recursive);
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = bind_parse(bad[i], a, &b);

        assert_non_null(e);
        assert_true(err_kind(e) == ERR_INVALID || err_kind(e) == ERR_UNSUPPORTED);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_binds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
