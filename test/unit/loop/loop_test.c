/* loop_test.c - the loop itself: its thread, the reap list, posts, the dump, the watchdog. */
#include "rig.h"
#include <berth/buf.h>
#include <berth/timer.h>
#include <pthread.h>
#include <signal.h>

static char trace[64];
static unsigned n_calls;

static void note(void *arg)
{
    strncat(trace, arg, sizeof(trace) - strlen(trace) - 1);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop();
}

static void test_run_returns_when_idle(void **state)
{
    (void)state;
    loop_run();
    assert_true(on_loop());
}

static void defer_and_note(void *arg)
{
    loop_defer(note, (void *)"d");
    note(arg);
}

static void test_defer_runs_after_the_callback(void **state)
{
    timer *t = timer_start("test", 0, defer_and_note, (void *)"t");

    (void)state;
    trace[0] = '\0';
    loop_run();
    assert_string_equal(trace, "td");
    timer_stop(t);
}

static void test_defer_keeps_order(void **state)
{
    (void)state;
    trace[0] = '\0';
    loop_defer(note, (void *)"1");
    loop_defer(defer_and_note, (void *)"2");
    loop_defer(note, (void *)"3");
    assert_string_equal(trace, "");
    loop_run();
    assert_string_equal(trace, "123d");
}

static void defer_for_ever(void *arg)
{
    n_calls++;
    loop_defer(defer_for_ever, arg);
}

static void test_defer_chain_does_not_starve(void **state)
{
    timer *t = timer_start("test", 20, stop, NULL);

    (void)state;
    n_calls = 0;
    loop_defer(defer_for_ever, NULL);
    loop_run();
    assert_true(n_calls > 10);
    timer_stop(t);
}

static void count(void *arg)
{
    (void)arg;
    assert_true(on_loop());
    if (++n_calls == 1000)
        loop_stop();
}

static void *post_many(void *arg)
{
    assert_false(on_loop());
    for (int i = 0; i < 500; i++)
        loop_post(count, arg);
    return NULL;
}

static void test_post_from_threads(void **state)
{
    timer *alive = timer_start("test", 30000, stop, NULL);
    pthread_t a, b;

    (void)state;
    n_calls = 0;
    pthread_create(&a, NULL, post_many, NULL);
    pthread_create(&b, NULL, post_many, NULL);
    loop_run();
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_int_equal(n_calls, 1000);
    timer_stop(alive);
}

static void test_post_before_run(void **state)
{
    (void)state;
    trace[0] = '\0';
    loop_post(note, (void *)"p");
    loop_run();
    assert_string_equal(trace, "p");
}

static void print_flag(buf *out)
{
    buf_str(out, "test: one thing in flight\n");
}

static void raise_usr1(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
}

static void test_dump(void **state)
{
    timer *first = timer_start("test", 0, raise_usr1, NULL);
    timer *last = timer_start("test", 50, stop, NULL);
    auto_buf text = {0};
    rig_log log;
    auto_free char *logged = NULL;

    (void)state;
    loop_on_dump(print_flag);
    loop_on_dump(print_flag); /* twice is once */
    loop_dump(&text);
    assert_string_equal(text.data, "test: one thing in flight\n");
    log = rig_log_begin();
    loop_run();
    logged = rig_log_end(&log);
    assert_non_null(strstr(logged, "test: one thing in flight"));
    timer_stop(first);
    timer_stop(last);
}

static void hold_up(void *arg)
{
    rig_sleep_ms(*(unsigned *)arg);
}

static char *log_of_callback(unsigned ms)
{
    timer *t = timer_start("slow test timer", 0, hold_up, &ms);
    rig_log log = rig_log_begin();

    loop_run();
    timer_stop(t);
    return rig_log_end(&log);
}

static void test_watchdog_names_who_held_the_loop(void **state)
{
    auto_free char *slow = NULL, *quick = NULL, *off = NULL;

    (void)state;
    loop_done();
    setenv("BERTH_WATCHDOG_MS", "250", 1);
    assert_null(loop_init());
    slow = log_of_callback(300);
    quick = log_of_callback(0);
    loop_done();
    setenv("BERTH_WATCHDOG_MS", "0", 1);
    assert_null(loop_init());
    off = log_of_callback(300);
    unsetenv("BERTH_WATCHDOG_MS");
    assert_non_null(strstr(slow, "slow test timer"));
    assert_string_equal(quick, "");
    assert_string_equal(off, "");
}

static void test_done_closes_what_is_left(void **state)
{
    int before, after;

    (void)state;
    loop_done();
    before = rig_open_fds();
    assert_null(loop_init());
    assert_true(rig_open_fds() > before);
    loop_defer(note, (void *)"x"); /* not lost */
    trace[0] = '\0';
    loop_done();
    after = rig_open_fds();
    assert_string_equal(trace, "x");
    /* libuv keeps one pipe for signals for the whole process. */
    assert_true(after <= before + 2);
    assert_null(loop_init());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_run_returns_when_idle),
        rig_test(test_defer_runs_after_the_callback),
        rig_test(test_defer_keeps_order),
        rig_test(test_defer_chain_does_not_starve),
        rig_test(test_post_from_threads),
        rig_test(test_post_before_run),
        rig_test(test_dump),
        rig_test(test_watchdog_names_who_held_the_loop),
        rig_test(test_done_closes_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
