/* jsonline_test.c - records byte for byte as dockerd's json-file driver writes them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "jsonline.h"
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

static void expect_n(const char *line, size_t n, bool partial, const char *expected)
{
    auto_free char *out = xmalloc(jsonline_room(n));
    /* A copy of exactly n bytes, so that the sanitizer sees a read behind it. */
    auto_free char *copy = xmemdup(line, n ? n : 1);
    char *end = jsonline_head(out, copy, n, partial);

    assert_true((size_t)(end - out) <= jsonline_room(n));
    *end = '\0';
    assert_string_equal(out, expected);
}

static void expect(const char *line, const char *expected)
{
    expect_n(line, strlen(line), false, expected);
}

static void test_plain(void **state)
{
    (void)state;
    expect("hello", "{\"log\":\"hello\\n\"");
    expect("", "{\"log\":\"\\n\"");
    expect("exactly8", "{\"log\":\"exactly8\\n\"");
    expect("a line of more than sixteen bytes",
           "{\"log\":\"a line of more than sixteen bytes\\n\"");
    expect_n("half", 4, true, "{\"log\":\"half\"");
}

static void test_escapes(void **state)
{
    (void)state;
    expect("say \"hi\" \\ there", "{\"log\":\"say \\\"hi\\\" \\\\ there\\n\"");
    expect("<a href='x'>&", "{\"log\":\"\\u003ca href='x'\\u003e\\u0026\\n\"");
    expect("tab\tcr\r", "{\"log\":\"tab\\u0009cr\\r\\n\"");
    expect("\033[1mbold\177", "{\"log\":\"\\u001b[1mbold\177\\n\"");
    expect_n("a\0b\nc", 5, false, "{\"log\":\"a\\u0000b\\nc\\n\"");
}

static void test_utf8(void **state)
{
    (void)state;
    expect("gr\303\274n \342\202\254 \360\237\220\263",
           "{\"log\":\"gr\303\274n \342\202\254 \360\237\220\263\\n\"");
    expect("\342\200\250x\342\200\251", "{\"log\":\"\\u2028x\\u2029\\n\"");
    expect("\377\300\200", "{\"log\":\"\\ufffd\\ufffd\\ufffd\\n\"");
    expect("cut \342\202", "{\"log\":\"cut \\ufffd\\ufffd\\n\"");
    expect("\355\240\200", "{\"log\":\"\\ufffd\\ufffd\\ufffd\\n\"");
    expect("\340\200\200", "{\"log\":\"\\ufffd\\ufffd\\ufffd\\n\"");
    expect("\364\220\200\200", "{\"log\":\"\\ufffd\\ufffd\\ufffd\\ufffd\\n\"");
}

/* Every byte at every place of a word is treated alike. */
static void test_alignment(void **state)
{
    (void)state;
    for (size_t at = 0; at < 20; at++) {
        char line[21] = "aaaaaaaaaaaaaaaaaaaa", out[256], expected[64];

        line[at] = '"';
        *jsonline_head(out, line, 20, false) = '\0';
        memcpy(expected, "{\"log\":\"aaaaaaaaaaaaaaaaaaaaa\\n\"", 33);
        memcpy(expected + 8 + at, "\\\"", 2);
        assert_string_equal(out, expected);
    }
}

static void test_tail(void **state)
{
    char out[256];

    (void)state;
    *jsonline_tail_write(out, "stdout", "", 1700000000120000000) = '\0';
    assert_string_equal(out, ",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.12Z\"}\n");
    *jsonline_tail_write(out, "stderr", "{\"a\":\"b\"}", 1700000000000000001) = '\0';
    assert_string_equal(out, ",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},"
                             "\"time\":\"2023-11-14T22:13:20.000000001Z\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_utf8),  cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_tail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
