/* timer_test.c - one-shot and repeating timers. */
#include "rig.h"
#include <berth/timer.h>

static unsigned fired;
static timer *self;

static void tick(void *arg)
{
    (void)arg;
    fired++;
}

static void tick_and_stop_at_three(void *arg)
{
    (void)arg;
    if (++fired == 3)
        timer_stop(self);
}

static void test_fires_once(void **state)
{
    uint64_t before_ms = rig_now_ms();
    timer *t = timer_start("once", 30, tick, NULL);

    (void)state;
    fired = 0;
    loop_run();
    assert_int_equal(fired, 1);
    assert_true(rig_now_ms() - before_ms >= 29);
    timer_stop(t);
}

static void test_repeats_until_stopped_from_within(void **state)
{
    (void)state;
    fired = 0;
    self = timer_every("every", 5, tick_and_stop_at_three, NULL);
    loop_run();
    assert_int_equal(fired, 3);
}

static void test_again_after_it_fired(void **state)
{
    timer *t = timer_start("again", 1, tick, NULL);

    (void)state;
    fired = 0;
    loop_run();
    timer_again(t, 1);
    loop_run();
    assert_int_equal(fired, 2);
    timer_stop(t);
}

static char order[8];

static void note(void *arg)
{
    strncat(order, arg, sizeof(order) - strlen(order) - 1);
}

static void test_again_postpones(void **state)
{
    timer *first = timer_start("first", 10, note, (void *)"f");
    timer *second = timer_start("second", 30, note, (void *)"s");

    (void)state;
    order[0] = '\0';
    timer_again(first, 60);
    loop_run();
    assert_string_equal(order, "sf");
    timer_stop(first);
    timer_stop(second);
}

static void test_stopped_never_fires(void **state)
{
    timer *t = timer_start("never", 1, tick, NULL);

    (void)state;
    fired = 0;
    timer_stop(t);
    timer_stop(NULL);
    loop_run();
    assert_int_equal(fired, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_fires_once),           rig_test(test_repeats_until_stopped_from_within),
        rig_test(test_again_after_it_fired), rig_test(test_again_postpones),
        rig_test(test_stopped_never_fires),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
