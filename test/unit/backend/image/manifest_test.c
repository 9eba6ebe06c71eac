/* manifest_test.c - platforms: how they are written, and which of an index fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "manifest.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdio.h>
#include <string.h>

static void test_words(void **state)
{
    static const struct {
        const char *text, *whole; /* NULL: refused */
    } cases[] = {
        {"linux/amd64", "linux/amd64"},
        {"linux/x86_64", "linux/amd64"},
        {"arm64", "linux/arm64"},
        {"aarch64", "linux/arm64"},
        {"linux/arm64/v8", "linux/arm64"},
        {"linux/arm/v6", "linux/arm/v6"},
        {"windows/amd64", "windows/amd64"},
        {"a/b/c/d", NULL},
        {"linux/", NULL},
        {"li nux", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_arena *a = arena_new();
        platform p;
        auto_err *e = platform_parse(cases[i].text, a, &p);
        auto_free char *whole = e ? NULL : platform_text(&p);

        assert_true(str_eq(whole, cases[i].whole));
    }
}

static void test_choice(void **state)
{
    static const char *const words[] = {"linux/amd64",  "linux/amd64/v3", "linux/arm/v5",
                                        "linux/arm/v7", "linux/arm64",    "windows/amd64"};
    static const struct {
        const char *wanted;
        int chosen; /* -1: none fits */
    } cases[] = {
        {"linux/amd64", 0},  {"linux/amd64/v2", 0}, {"linux/amd64/v3", 1}, {"linux/amd64/v4", 1},
        {"linux/arm", 3},    {"linux/arm/v6", 2},   {"linux/arm/v7", 3},   {"linux/arm64", 4},
        {"linux/s390x", -1}, {"windows/amd64", 5},
    };
    auto_arena *a = arena_new();
    descriptor list[6] = {0};
    manifest index = {.manifests = {list, 6, true}};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        err *e = platform_parse(words[i], a, &list[i].platform);

        assert_null(e);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        platform wanted;
        err *e = platform_parse(cases[i].wanted, a, &wanted);
        const descriptor *d;

        assert_null(e);
        d = manifest_choose(&index, &wanted);
        assert_int_equal(d ? d - list : -1, cases[i].chosen);
    }
}

static void test_arm_runs_on_arm64_when_there_is_nothing_better(void **state)
{
    descriptor list[1] = {{.platform = {.os = "linux", .architecture = "arm", .variant = "v7"}}};
    manifest index = {.manifests = {list, 1, true}};
    platform wanted = {.os = "linux", .architecture = "arm64"};

    (void)state;
    assert_ptr_equal(manifest_choose(&index, &wanted), list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_arm_runs_on_arm64_when_there_is_nothing_better),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
