/* ipam_test.c - subnets and addresses. */
#include "ipam.h"
#include <berth/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static subnet cidr(const char *text)
{
    subnet s = {0};
    uint32_t ip;

    assert_true(subnet_parse(text, &ip, &s));
    return s;
}

static uint32_t ip(const char *text)
{
    uint32_t n = 0;

    assert_true(ip_parse(text, &n));
    return n;
}

static void test_parses_what_is_a_subnet(void **state)
{
    static const char *const bad[] = {
        "",         "172.17.0.1",   "172.17.0.1/",  "172.17.0.1/0",  "172.17.0.1/31",
        "1.2.3/16", "a.b.c.d/16",   "1.2.3.4/16x",  "1.2.3.4/-1",    "1.2.3.4 /16",
        "::1/64",   "1.2.3.4.5/16", "256.1.1.1/16", "1.2.3.4/16/16", "/16"};
    subnet s;
    uint32_t at;
    char text[IP_TEXT];

    (void)state;
    assert_true(subnet_parse("172.30.5.1/16", &at, &s));
    ip_format(at, text);
    assert_string_equal(text, "172.30.5.1");
    ip_format(s.base, text);
    assert_string_equal(text, "172.30.0.0");
    assert_int_equal(s.prefix, 16);
    ip_format(subnet_last(s), text);
    assert_string_equal(text, "172.30.255.255");
    for (size_t i = 0; i < COUNT(bad); i++)
        if (subnet_parse(bad[i], &at, &s))
            fail_msg("taken: %s", bad[i]);
}

static void test_overlap_goes_both_ways(void **state)
{
    (void)state;
    assert_true(subnet_overlaps(cidr("10.0.0.0/8"), cidr("10.1.2.0/24")));
    assert_true(subnet_overlaps(cidr("10.1.2.0/24"), cidr("10.0.0.0/8")));
    assert_false(subnet_overlaps(cidr("10.1.2.0/24"), cidr("10.1.3.0/24")));
    assert_true(subnet_has(cidr("10.1.2.0/24"), ip("10.1.2.255")));
    assert_false(subnet_has(cidr("10.1.2.0/24"), ip("10.1.3.0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses_what_is_a_subnet),
        cmocka_unit_test(test_overlap_goes_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
