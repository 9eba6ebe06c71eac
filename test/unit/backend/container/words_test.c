/* words_test.c - signals, names and mounts as clients write them. */
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

static void refused(err *got, const char *words)
{
    auto_err *e = got;

    assert_non_null(e);
    assert_string_equal(err_message(e), words);
    assert_int_equal(err_kind(e), ERR_INVALID);
}

static void test_binds(void **state)
{
    static const char *const bad[] = {"",     ":",           ":/b", "/a:",        "/a:b",
                                      "/a:/", "/a:/b/../..", "b",   "/a:/b:ro:x", "/a:rw"};
    auto_arena *a = arena_new();
    const char *mode;
    mount_wish w;

    (void)state;
    assert_null(bind_parse("//a/./b/:/c//d:ro,rshared", a, &w, &mode));
    assert_string_equal(w.type, "bind");
    assert_string_equal(w.source, "//a/./b/");
    assert_string_equal(w.bind->propagation, "rshared");
    assert_string_equal(mode, "ro,rshared");
    assert_true(w.read_only && !w.volume);
    assert_null(bind_parse("name:/c:nocopy,Z", a, &w, &mode));
    assert_true(str_eq(w.type, "volume") && w.volume->no_copy && !w.read_only && !w.bind);
    assert_null(bind_parse("/c", a, &w, &mode));
    assert_true(str_eq(w.type, "volume") && str_empty(w.source) && str_eq(w.target, "/c"));
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = bind_parse(bad[i], a, &w, &mode);

        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
    }
    refused(bind_parse("/a:/b:c", a, &w, &mode), "invalid mode: c");
    refused(bind_parse("/a:/b:ro,rw", a, &w, &mode), "invalid mode: ro,rw");
    refused(bind_parse("/a:/b:z,Z", a, &w, &mode), "invalid mode: z,Z");
    refused(bind_parse("/a:/b:shared,private", a, &w, &mode), "invalid mode: shared,private");
}

static void test_paths(void **state)
{
    static const char *const clean[][2] = {{"/a//b/./c/", "/a/b/c"}, {"/../..", "/"},
                                           {"a/../..", ".."},        {"", "."},
                                           {"/a/../b", "/b"},        {"./a", "a"}};
    static const char *const outside[] = {"", "/a", "..", "../a", "a/../../b"};
    auto_arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(clean); i++)
        assert_string_equal(path_clean(clean[i][0], a), clean[i][1]);
    for (size_t i = 0; i < COUNT(outside); i++)
        assert_false(path_is_local(outside[i]));
    assert_true(path_is_local("a/../b") && path_is_local("..a") && path_is_local("."));
}

static void test_volumes_from(void **state)
{
    auto_arena *a = arena_new();
    char *ref;
    bool rw;

    (void)state;
    assert_null(volumes_from_parse("name", a, &ref, &rw));
    assert_true(str_eq(ref, "name") && rw);
    assert_null(volumes_from_parse("name:ro,z", a, &ref, &rw));
    assert_true(str_eq(ref, "name") && !rw);
    refused(volumes_from_parse("", a, &ref, &rw),
            "volumes-from specification cannot be an empty string");
    refused(volumes_from_parse("name:nocopy", a, &ref, &rw), "invalid mode: nocopy");
    refused(volumes_from_parse("name:shared", a, &ref, &rw), "invalid mode: shared");
    refused(volumes_from_parse("name:", a, &ref, &rw), "invalid mode: ");
}

static void test_tmpfs(void **state)
{
    static const char *const bad[] = {"{}",
                                      "[1]",
                                      "[[]]",
                                      "[[\"suid\"]]",
                                      "[[\"exec\",\"1\"]]",
                                      "[[\"exec\"]",
                                      "[[\"exec\"],]",
                                      "[[\"ex\\u0065c\"]]"};
    auto_arena *a = arena_new();
    mount_tmpfs_options o = {.size_bytes = 3 << 20, .mode = 01770};
    mount_wish w = {.read_only = true, .tmpfs = &o};
    char *words;

    (void)state;
    o.options.text = (char *)"[[\"exec\"],[\"noexec\"]]";
    assert_null(tmpfs_words(&w, a, &words));
    assert_string_equal(words, "ro,mode=1770,size=3m,exec,noexec");
    for (size_t i = 0; i < COUNT(bad); i++) {
        o.options.text = (char *)bad[i];
        err_free(tmpfs_words(&w, a, &words));
        assert_string_equal(words, "ro,mode=1770,size=3m,exec,noexec"); /* untouched */
    }
    o = (mount_tmpfs_options){.size_bytes = 1};
    assert_null(tmpfs_words(&w, a, &words));
    assert_string_equal(words, "ro,size=1");
    o.size_bytes = -1;
    refused(tmpfs_words(&w, a, &words), "invalid size: -1");
}

static void test_mount_wishes(void **state)
{
    mount_bind_options forced = {.read_only_force_recursive = true};
    mount_volume_options sub = {.subpath = (char *)"../x"};
    const struct {
        mount_wish w;
        const char *words;
    } bad[] = {
        {{.type = (char *)"bind", .source = (char *)"/a"},
         "invalid mount config for type \"bind\": field Target must not be empty"},
        {{.type = (char *)"bind", .source = (char *)"/a", .target = (char *)"/a/.."},
         "invalid mount config for type \"bind\": invalid specification: destination can't be '/'"},
        {{.type = (char *)"bind", .source = (char *)"/a", .target = (char *)"/b", .bind = &forced},
         "invalid mount config for type \"bind\": mount source must be read-only to use "
         "ReadOnlyForceRecursive"},
        {{.type = (char *)"volume", .source = (char *)"v", .target = (char *)"/b", .volume = &sub},
         "invalid mount config for type \"volume\": subpath must be a relative path within the "
         "volume"},
        {{.type = (char *)"volume", .target = (char *)"/b", .volume = &sub},
         "invalid mount config for type \"volume\": must not set Subpath when using anonymous "
         "volumes"},
        {{.type = (char *)"image", .target = (char *)"/b"},
         "invalid mount config for type \"image\": field Source must not be empty"},
        {{.type = (char *)"cluster", .target = (char *)"/b"},
         "invalid mount config for type \"cluster\": mount type unknown"},
        {{.target = (char *)"/b"}, "invalid mount config for type \"\": mount type unknown"},
    };
    auto_arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        refused(mount_check(&bad[i].w, a), bad[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_binds),        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_volumes_from), cmocka_unit_test(test_tmpfs),
        cmocka_unit_test(test_mount_wishes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
