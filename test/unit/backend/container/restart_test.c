/* restart_test.c - when a policy asks for another run, and how long it is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "private.h"
#include <berth/mem.h>

#define SECOND_NS 1000000000LL

static void test_policies(void **state)
{
    static const struct {
        const char *policy;
        int max;
        bool by_hand;
        int code, restarts;
        bool wanted;
    } rows[] = {
        {"no", 0, false, 1, 0, false},
        {"", 0, false, 1, 0, false},
        {"always", 0, false, 0, 0, true},
        {"always", 0, true, 137, 99, true},
        {"unless-stopped", 0, false, 0, 0, true},
        {"unless-stopped", 0, true, 1, 0, false},
        {"on-failure", 0, false, 0, 0, false},
        {"on-failure", 0, false, 1, 1000, true},
        {"on-failure", 3, false, 1, 2, true},
        {"on-failure", 3, false, 1, 3, false},
        {"on-failure", 3, true, 1, 0, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        restart_policy p = {(char *)rows[i].policy, rows[i].max};

        assert_int_equal(restart_is_wanted(&p, rows[i].by_hand, rows[i].code, rows[i].restarts),
                         rows[i].wanted);
    }
}

static void test_the_wait_doubles_up_to_a_minute(void **state)
{
    static const unsigned waits[] = {100,  200,   400,   800,   1600,  3200,
                                     6400, 12800, 25600, 51200, 60000, 60000};
    unsigned ms = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(waits); i++) {
        ms = restart_backoff_ms(ms, SECOND_NS);
        assert_int_equal(ms, waits[i]);
    }
    assert_int_equal(restart_backoff_ms(ms, 10 * SECOND_NS - 1), 60000);
    assert_int_equal(restart_backoff_ms(ms, 10 * SECOND_NS), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_the_wait_doubles_up_to_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
