/* pool_test.c - who gets which address of a subnet, of either family. */
#include "pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static addr ip(const char *text)
{
    addr a;

    assert_true(addr_parse(text, &a));
    return a;
}

static cidr net(const char *text)
{
    addr written;
    cidr c;

    assert_true(cidr_parse(text, &written, &c));
    return c;
}

static void takes(pool *p, const char *want)
{
    char text[ADDR_TEXT];
    addr a;

    assert_true(pool_take(p, &a));
    addr_format(a, text);
    assert_string_equal(text, want);
}

static void is_full(pool *p)
{
    addr a;

    assert_false(pool_take(p, &a));
}

static void test_addresses_are_read_and_written(void **state)
{
    static const char *const good[] = {"0.0.0.0", "172.17.0.2", "255.255.255.255",
                                       "::",      "fd00:1::2",  "2001:db8::ff:fe00:1"};
    static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "fd00:1::2::3", "x"};
    char text[ADDR_TEXT], whole[CIDR_TEXT];
    addr a, written;
    cidr c;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        addr_format(ip(good[i]), text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(addr_parse(bad[i], &a));
    assert_true(cidr_parse("10.1.2.3/20", &written, &c));
    cidr_format(c, whole);
    assert_string_equal(whole, "10.1.0.0/20");
    assert_true(addr_eq(written, ip("10.1.2.3")));
    assert_true(cidr_parse("fd00:1:2:3::5/48", &written, &c));
    cidr_format(c, whole);
    assert_string_equal(whole, "fd00:1:2::/48");
    assert_false(cidr_parse("10.1.2.3/33", &written, &c));
    assert_false(cidr_parse("fd00::/129", &written, &c));
    assert_false(cidr_parse("10.1.2.3", &written, &c));
    assert_true(cidr_parse("0.0.0.0/0", &written, &c));
    assert_true(cidr_has(c, ip("9.9.9.9")));
    assert_false(cidr_has(c, ip("fd00::1")));
    assert_true(cidr_overlaps(net("10.0.0.0/8"), net("10.9.0.0/16")));
    assert_false(cidr_overlaps(net("10.0.0.0/9"), net("10.128.0.0/9")));
}

static void test_hands_out_the_lowest_free_address(void **state)
{
    pool *p = pool_new(net("172.17.0.0/16"), (cidr){0});
    char want[ADDR_TEXT];

    (void)state;
    assert_true(pool_reserve(p, ip("172.17.0.1")));
    assert_false(pool_reserve(p, ip("172.17.0.1")));
    assert_false(pool_reserve(p, ip("172.18.0.1"))); /* not of the subnet */
    assert_true(pool_reserve(p, ip("172.17.0.100")));
    for (int i = 2; i < 300; i++) {
        if (i == 100)
            continue;
        snprintf(want, sizeof want, "172.17.%d.%d", i / 256, i % 256);
        takes(p, want);
    }
    pool_release(p, ip("172.17.0.7"));
    pool_release(p, ip("172.17.0.3"));
    pool_release(p, ip("172.17.200.3")); /* nobody has it */
    takes(p, "172.17.0.3");
    takes(p, "172.17.0.7");
    takes(p, "172.17.1.44");
    pool_free(p);
}

static void test_ends_before_the_broadcast_address(void **state)
{
    pool *p = pool_new(net("10.0.0.0/29"), (cidr){0});

    (void)state;
    takes(p, "10.0.0.1");
    for (int i = 2; i <= 6; i++)
        takes(p, (char[]){'1', '0', '.', '0', '.', '0', '.', (char)('0' + i), 0});
    is_full(p);
    pool_release(p, ip("10.0.0.4"));
    takes(p, "10.0.0.4");
    is_full(p);
    pool_free(p);
}

static void test_stays_within_its_range(void **state)
{
    pool *p = pool_new(net("10.0.0.0/16"), net("10.0.8.0/30"));

    (void)state;
    assert_true(pool_reserve(p, ip("10.0.7.255"))); /* around the range, not of it */
    assert_true(pool_reserve(p, ip("10.0.8.4")));
    takes(p, "10.0.8.0"); /* the range's own ends are ordinary addresses of the subnet */
    takes(p, "10.0.8.1");
    takes(p, "10.0.8.2");
    takes(p, "10.0.8.3");
    is_full(p);
    assert_true(pool_reserve(p, ip("10.0.9.9"))); /* one may ask for any of the subnet */
    assert_false(pool_reserve(p, ip("10.0.9.9")));
    pool_release(p, ip("10.0.8.2"));
    takes(p, "10.0.8.2");
    pool_free(p);
}

static void test_a_subnet_of_a_client_of_any_size(void **state)
{
    pool *two = pool_new(net("10.0.0.0/31"), (cidr){0});
    pool *one = pool_new(net("10.0.0.9/32"), (cidr){0});
    pool *six = pool_new(net("fd00:1::/64"), (cidr){0});
    pool *all = pool_new(net("::/0"), (cidr){0});

    (void)state;
    takes(two, "10.0.0.0");
    takes(two, "10.0.0.1");
    is_full(two);
    takes(one, "10.0.0.9");
    is_full(one);
    takes(six, "fd00:1::1");
    assert_true(pool_reserve(six, ip("fd00:1::ffff:ffff:ffff:ffff"))); /* no broadcast there */
    takes(six, "fd00:1::2");
    takes(all, "::1");
    pool_free(two);
    pool_free(one);
    pool_free(six);
    pool_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_and_written),
        cmocka_unit_test(test_hands_out_the_lowest_free_address),
        cmocka_unit_test(test_ends_before_the_broadcast_address),
        cmocka_unit_test(test_stays_within_its_range),
        cmocka_unit_test(test_a_subnet_of_a_client_of_any_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
