/* dns_packet_test.c - questions taken apart, answers that fit, and names of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "dns_packet.h"
#include <stdio.h>
#include <string.h>

#define HEAD(flags, additional) "\x12\x34" flags "\0\1\0\0\0\0\0" additional
#define WEB                     "\3WeB\0\0\1\0\1"

static dns_verdict parse(const char *text, size_t n, dns_query *q)
{
    return dns_parse((const uint8_t *)text, n, q);
}
#define PARSE(text, q) parse(text, sizeof(text) - 1, q)

static void test_questions(void **state)
{
    dns_query q;

    (void)state;
    assert_int_equal(PARSE(HEAD("\1\0", "\0") WEB, &q), DNS_ASKED);
    assert_string_equal(q.name, "web");
    assert_int_equal(q.type, ns_t_a);
    assert_int_equal(q.udp_max, 512);
    assert_int_equal(q.question_end, 12 + 9);
    assert_int_equal(PARSE(HEAD("\1\0", "\1") WEB "\0\0\x29\x04\xd0\0\0\0\0\0\0", &q), DNS_ASKED);
    assert_int_equal(q.udp_max, 1232);
    assert_int_equal(PARSE(HEAD("\x81\0", "\0") WEB, &q), DNS_DROPPED); /* an answer */
    assert_int_equal(PARSE("short", &q), DNS_DROPPED);
    assert_int_equal(PARSE(HEAD("\x29\0", "\0") WEB, &q), DNS_FAULTY); /* an update */
    assert_int_equal(PARSE(HEAD("\1\0", "\0") "\xc0\x0c\0\1\0\1", &q), DNS_FAULTY);
    assert_int_equal(PARSE(HEAD("\1\0", "\0") "\3We", &q), DNS_FAULTY);
    assert_int_equal(PARSE(HEAD("\1\0", "\0"), &q), DNS_FAULTY);
}

static void test_answers_fit(void **state)
{
    static const char text[] = HEAD("\1\0", "\0") WEB;
    const uint8_t *query = (const uint8_t *)text;
    size_t n = sizeof text - 1, got;
    addr list[64];
    uint8_t out[2048];
    dns_query q;

    (void)state;
    assert_int_equal(PARSE(text, &q), DNS_ASKED);
    for (uint32_t i = 0; i < 64; i++)
        list[i] = addr_v4(0x0a000000 + i);
    got = dns_reply(query, n, &q, &(dns_answer){.addresses = list, .n_addresses = 64}, out, 512);
    assert_true(got <= 512);
    assert_true(out[2] & 2); /* truncated */
    assert_int_equal(out[7], (512 - 21) / 16);
    assert_true(dns_answers(out, got, query, n));
    got = dns_reply(query, n, &q, &(dns_answer){.addresses = list, .n_addresses = 64}, out,
                    sizeof out);
    assert_int_equal(got, 21 + 64 * 16);
    assert_false(out[2] & 2);
    got = dns_reply(query, n, &q, &(dns_answer){.pointer = "web.my.net"}, out, sizeof out);
    assert_memory_equal(out + got - 12, "\3web\2my\3net", 12);
    got = dns_reply(query, n, NULL, &(dns_answer){.rcode = ns_r_formerr}, out, sizeof out);
    assert_int_equal(got, 12);
    assert_int_equal(out[3] & 15, ns_r_formerr);
}

static void test_names_of_addresses(void **state)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"2.0.17.172.in-addr.arpa", "172.17.0.2"},
        {"2.0.17.172.in-addr.arpa.x", ""},
        {"300.0.17.172.in-addr.arpa", ""},
        {"0.17.172.in-addr.arpa", ""},
        {"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0.0.0.d.f.ip6.arpa", "fd00:77::2"},
        {"2.0.0.0.ip6.arpa", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ADDR_TEXT] = "";
        addr a = {0};

        if (dns_reversed(cases[i].name, &a))
            addr_format(a, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_answers_fit),
        cmocka_unit_test(test_names_of_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
