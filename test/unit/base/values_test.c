/* values_test.c - strings, times, errors, buffers, arenas, filters: tables of what goes in and
 * comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/arena.h>
#include <berth/buf.h>
#include <berth/err.h>
#include <berth/filters.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000LL

static void test_errors(void **state)
{
    auto_err *e = err_wrap(err_errno(ENOENT, "open %s", "x"), "start");
    auto_err *copy = err_copy(e);

    (void)state;
    assert_string_equal(err_message(e), "start: open x: No such file or directory");
    assert_int_equal(err_errnum(copy), ENOENT);
    assert_int_equal(err_kind(copy), ERR_SYSTEM);
    assert_null(err_wrap(NULL, "nothing"));
    assert_string_equal(err_message(NULL), "");
}

static void test_buffers(void **state)
{
    auto_buf b = {0};
    auto_free char *all = NULL;

    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    buf_consume(&b, 4);
    assert_memory_equal(b.data, "2,3,", 4);
    buf_truncate(&b, 4);
    assert_int_equal(b.len, 4);
    buf_consume(&b, 100);
    assert_int_equal(b.len, 0);
    buf_int(&b, 0);
    buf_char(&b, ' ');
    buf_int(&b, INT64_MAX);
    buf_char(&b, ' ');
    buf_int(&b, INT64_MIN);
    all = buf_take(&b);
    assert_string_equal(all, "0 9223372036854775807 -9223372036854775808");
    free(all);
    all = buf_take(&b);
    assert_string_equal(all, "");
}

static unsigned deferred;

static void count(void *p)
{
    deferred = deferred * 10 + *(unsigned *)p;
}

static void test_arenas(void **state)
{
    arena *a = arena_new();
    unsigned one = 1, two = 2;

    (void)state;
    for (size_t n = 1; n < 100000; n *= 3) {
        char *p = arena_alloc(a, n);

        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal(p[n - 1], 0);
        memset(p, 0xAA, n);
    }
    arena_defer(a, count, &one);
    arena_defer(a, count, &two);
    arena_free(a);
    assert_int_equal(deferred, 21);
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {"",    " 1", "1 ", "+-1", "0x1", "9223372036854775808",
                                      "1.0", "a"};
    static const struct {
        const char *text;
        int64_t n;
    } sizes[] = {{"64m", 64 << 20}, {"1g", 1 << 30}, {"512", 512},
                 {"1.5k", 1536},    {"2KiB", 2048},  {"3b", 3}};
    int64_t n;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_to_int64(bad[i], &n));
    assert_true(str_to_int64("-9223372036854775808", &n) && n == INT64_MIN);
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_true(str_to_bytes(sizes[i].text, &n) && n == sizes[i].n);
    assert_false(str_to_bytes("1x", &n) || str_to_bytes("-1", &n) || str_to_bytes("1e30", &n) ||
                 str_to_bytes("", &n));
}

static void test_utf8(void **state)
{
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc3"};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_is_utf8(bad[i], strlen(bad[i])));
    assert_true(str_is_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
}

static void test_ids(void **state)
{
    char id[65];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        str_random_id(id);
        assert_int_equal(strspn(id, "0123456789abcdef"), 64);
        assert_true(strspn(id, "0123456789") < 12);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *in, *out;
    } times[] = {{"2026-01-02T15:04:05.25Z", "2026-01-02T15:04:05.25Z"},
                 {"2026-01-02T15:04:05+01:30", "2026-01-02T13:34:05Z"},
                 {"1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"},
                 {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"}};
    static const char *const bad[] = {
        "2026-01-02", "2026-13-02T00:00:00Z", "2026-02-30T00:00:00Z", "x",
        "",           "2026-01-02T15:04:05"};
    char out[TIME_TEXT];
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_null(time_parse_rfc3339(times[i].in, &ns));
        time_rfc3339(ns, out);
        assert_string_equal(out, times[i].out);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = time_parse_rfc3339(bad[i], &ns);

        assert_non_null(e);
    }
    time_rfc3339_fixed(S, out);
    assert_string_equal(out, "1970-01-01T00:00:01.000000000Z");
}

static void test_filter_times(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } times[] = {{"12.5", 12 * S + S / 2},
                 {"0", 0},
                 {"1m30s", 1000 * S - 90 * S},
                 {"1970-01-01", 0},
                 {"1970-01-01T00:01", 60 * S}};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        assert_null(time_parse_filter(times[i].text, 1000 * S, &ns));
        assert_int_equal(ns, times[i].ns);
    }
}

static void test_durations(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } human[] = {{0, "Less than a second"}, {1, "1 second"},         {59, "59 seconds"},
                 {60, "About a minute"},    {120, "2 minutes"},      {3599, "59 minutes"},
                 {3600, "About an hour"},   {7200, "2 hours"},       {47 * 3600, "47 hours"},
                 {48 * 3600, "2 days"},     {14 * 86400, "2 weeks"}, {60 * 86400, "2 months"},
                 {730 * 86400, "2 years"}};
    static const char *const bad[] = {"", "1", "s", "1x", "-", "1h-2m", "."};
    char out[64];
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < COUNT(human); i++) {
        duration_human(human[i].s * S, out, sizeof(out));
        assert_string_equal(out, human[i].text);
    }
    assert_true(!duration_parse("1h1m1.5s", &ns) && ns == 3661 * S + S / 2);
    assert_true(!duration_parse("-250ms", &ns) && ns == -S / 4);
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = duration_parse(bad[i], &ns);

        assert_non_null(e);
    }
}

static void test_filters(void **state)
{
    static const char *const keys[] = {"label", "name", "dangling", NULL};
    static const char *const bad[] = {"[]", "{\"name\":\"x\"}", "{\"name\":[1]}", "x",
                                      "{\"other\":[\"x\"]}"};
    arena *a = arena_new();
    json_map labels = {0};
    filters *f;
    bool flag;

    (void)state;
    json_map_set(&labels, a, "k", "v");
    assert_null(filters_parse("{\"label\":{\"k=v\":true,\"gone\":false},\"name\":[\"^/we?b$\"]}",
                              keys, a, &f));
    assert_true(filters_match_labels(f, "label", &labels));
    assert_true(filters_match_regex(f, "name", "/web") && !filters_match_regex(f, "name", "/webs"));
    assert_int_equal(filters_count(f, "label"), 1);
    assert_null(filters_parse("{\"label\":[\"k\",\"x\"],\"dangling\":[\"1\"]}", keys, a, &f));
    assert_false(filters_match_labels(f, "label", &labels));
    assert_true(!filters_bool(f, "dangling", false, &flag) && flag);
    assert_true(filters_match_exact(f, "name", "anything"));
    assert_null(filters_parse(NULL, keys, a, &f));
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_err *e = filters_parse(bad[i], keys, a, &f);

        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
    }
    assert_true(filters_glob("busy*:latest", "busybox:latest") &&
                !filters_glob("busy*", "a/busybox"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_arenas),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),      cmocka_unit_test(test_ids),
        cmocka_unit_test(test_times),     cmocka_unit_test(test_filter_times),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_filters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
