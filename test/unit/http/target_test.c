/* target_test.c - request targets taken apart: escapes, version, query, unclean paths. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "target.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <string.h>

static arena *a;

static int up(void **state)
{
    (void)state;
    a = arena_new();
    return 0;
}

static int down(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

static target parsed(const char *uri)
{
    target t;

    assert_int_equal(target_parse(&t, uri, strlen(uri), a), 0);
    return t;
}

static int refused(const char *uri)
{
    target t;

    return target_parse(&t, uri, strlen(uri), a);
}

static void test_paths(void **state)
{
    (void)state;
    assert_string_equal(parsed("/_ping").path, "/_ping");
    assert_string_equal(parsed("/").path, "/");
    assert_string_equal(parsed("/a%2Fb/c%20d").path, "/a/b/c d");
    assert_int_equal(parsed("/a%2Fb/c%20d").n_segments, 2);
    assert_string_equal(parsed("/a/").path, "/a/");
    assert_string_equal(parsed("/a+b").path, "/a+b"); /* a plus is a blank in queries only */
    assert_string_equal(parsed("http://h:1/x?y").path, "/x");
    assert_string_equal(parsed("http://h?/x").path, "/");
    assert_string_equal(parsed("/a#b?c").path, "/a");
}

static void test_refused(void **state)
{
    (void)state;
    assert_int_equal(refused("/%"), 400);
    assert_int_equal(refused("/%2"), 400);
    assert_int_equal(refused("/%zz"), 400);
    assert_int_equal(refused("/%00"), 400);
    assert_int_equal(refused("/a%00b"), 400);
    assert_int_equal(refused("/a?b=%00"), 400);
    assert_int_equal(refused("/a?b=%g1"), 400);
    assert_int_equal(refused("a"), 400);
    assert_int_equal(refused(""), 400);
    assert_int_equal(refused("?"), 400);
}

static void test_many_segments(void **state)
{
    auto_buf b = {0};

    (void)state;
    for (int i = 0; i < SEGMENTS_MAX - 1; i++)
        buf_str(&b, "/x");
    assert_int_equal(parsed(b.data).n_segments, SEGMENTS_MAX - 1);
    buf_str(&b, "/x");
    assert_int_equal(refused(b.data), 404);
}

static void test_versions(void **state)
{
    target t = parsed("/v1.51/x");

    (void)state;
    assert_true(t.has_version);
    assert_int_equal(t.major, 1);
    assert_int_equal(t.minor, 51);
    assert_string_equal(t.version, "1.51");
    assert_string_equal(t.path, "/x");
    assert_string_equal(parsed("/v1.51/v1.50/x").path, "/v1.50/x");
    assert_int_equal(parsed("/v1.9/x").minor, 9);
    assert_int_equal(parsed("/v99999999999999999999.1/x").major, 999999);
    assert_false(parsed("/version").has_version);
    assert_false(parsed("/v/x").has_version);
    assert_false(parsed("/v1.5x/x").has_version);
    assert_false(parsed("/x/v1.5").has_version);
}

static void check_query(const char *uri, const char *want)
{
    target t = parsed(uri);
    auto_buf got = {0};

    for (size_t i = 0; i < t.n_query; i++)
        buf_printf(&got, "<%s=%s>", t.query[i].name, t.query[i].value);
    assert_string_equal(got.data ? got.data : "", want);
}

static void test_queries(void **state)
{
    (void)state;
    check_query("/x", "");
    check_query("/x?", "");
    check_query("/x?a=1&b=2", "<a=1><b=2>");
    check_query("/x?a=1&a=2&a", "<a=1><a=2><a=>");
    check_query("/x?&&a=&&", "<a=>");
    check_query("/x?=v", "<=v>");
    check_query("/x?a=b=c", "<a=b=c>");
    check_query("/x?a=b+c%2Bd%26e", "<a=b c+d&e>");
    check_query("/x?filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D",
                "<filters={\"label\":[\"a=b\"]}>");
    check_query("/x?a=/y/../z", "<a=/y/../z>");
    check_query("/x?%61=%C3%BC", "<a=\xc3\xbc>");
}

static void test_unclean_paths(void **state)
{
    static const char *const rows[][2] = {
        {"//_ping", "/_ping"},
        {"/x/../_ping", "/_ping"},
        {"/x/%2e%2e/_ping", "/_ping"},
        {"/x/./y", "/x/y"},
        {"/../../etc", "/etc"},
        {"/..", "/"},
        {"/x//", "/x/"},
        {"//evil.example/x", "/evil.example/x"},
        {"/v1.41//a%0d%0ab?q=%41", "/v1.41/a%0D%0Ab?q=%41"},
        {"/a%2F../b//", "/a%2F../b/"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(parsed(rows[i][0]).clean_path, rows[i][1]);
    assert_null(parsed("/x/y").clean_path);
    assert_null(parsed("/x/y/").clean_path);
    assert_null(parsed("/x/..y/...").clean_path);
    assert_null(parsed("/x?a=//../").clean_path);
}

#define with_arena(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_arena(test_paths),    with_arena(test_refused), with_arena(test_many_segments),
        with_arena(test_versions), with_arena(test_queries), with_arena(test_unclean_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
