/* signals_test.c - Unix signals arrive on the loop. */
#include "rig.h"
#include <berth/signals.h>
#include <berth/timer.h>
#include <signal.h>

static int seen, other_seen;

static void on_seen(int signo, void *arg)
{
    *(int *)arg = signo;
    loop_stop();
}

static void send_hup(void *arg)
{
    (void)arg;
    raise(SIGHUP);
}

static void expect_hup(int *where)
{
    timer *t = timer_start("test", 0, send_hup, NULL);
    timer *alive = timer_start("test", 30000, send_hup, NULL);

    *where = 0;
    loop_run();
    assert_int_equal(*where, SIGHUP);
    timer_stop(t);
    timer_stop(alive);
}

static void test_delivery_and_replacement(void **state)
{
    (void)state;
    assert_null(signal_on(SIGHUP, on_seen, &seen));
    expect_hup(&seen);
    assert_null(signal_on(SIGHUP, on_seen, &other_seen));
    seen = 0;
    expect_hup(&other_seen);
    assert_int_equal(seen, 0);
}

static void test_no_such_signal(void **state)
{
    auto_err *none = signal_on(0, on_seen, &seen);
    auto_err *high = signal_on(1000, on_seen, &seen);
    auto_err *kill_it = signal_on(SIGKILL, on_seen, &seen);

    (void)state;
    assert_non_null(none);
    assert_non_null(high);
    assert_non_null(kill_it);
}

static void test_signals_do_not_keep_the_loop(void **state)
{
    (void)state;
    assert_null(signal_on(SIGHUP, on_seen, &seen));
    loop_run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_delivery_and_replacement),
        rig_test(test_no_such_signal),
        rig_test(test_signals_do_not_keep_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
