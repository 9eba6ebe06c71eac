/* watch_test.c - readiness of descriptors, pausing, stopping, errors. */
#include "rig.h"
#include <berth/timer.h>
#include <berth/watch.h>
#include <signal.h>
#include <sys/socket.h>

static int pair[2];
static unsigned reads, writes, last_events;
static watch *w;

static void open_pair(void)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    reads = writes = last_events = 0;
}

static void close_pair(void)
{
    watch_stop(take(w));
    loop_run();
    close(pair[0]);
    close(pair[1]);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop();
}

static void run_ms(unsigned ms)
{
    timer *t = timer_start("test", ms, stop, NULL);

    loop_run();
    timer_stop(t);
}

static void on_ready(void *arg, int events)
{
    char bytes[16];

    assert_ptr_equal(arg, pair);
    last_events = (unsigned)events;
    if (events & WATCH_READ)
        reads += recv(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0;
    if (events & WATCH_WRITE)
        writes++;
    if (reads >= 3 || writes >= 3)
        watch_set(w, 0);
}

static void test_reads(void **state)
{
    (void)state;
    open_pair();
    w = watch_start("test", pair[0], WATCH_READ, on_ready, pair);
    run_ms(5);
    assert_int_equal(reads, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send(pair[1], "x", 1, 0), 1);
    run_ms(100);
    assert_int_equal(reads, 3);
    assert_int_equal(writes, 0);
    close_pair();
}

static void test_pause_and_change(void **state)
{
    (void)state;
    open_pair();
    w = watch_start("test", pair[0], 0, on_ready, pair);
    assert_int_equal(send(pair[1], "x", 1, 0), 1);
    run_ms(10);
    assert_int_equal(reads, 0);
    watch_set(w, WATCH_READ);
    run_ms(10);
    assert_int_equal(reads, 1);
    watch_set(w, WATCH_READ | WATCH_WRITE);
    run_ms(10);
    assert_int_equal(writes, 3);
    close_pair();
}

static void stop_itself(void *arg, int events)
{
    (void)arg;
    (void)events;
    writes++;
    watch_stop(take(w));
}

static void test_stop_from_within(void **state)
{
    (void)state;
    open_pair();
    w = watch_start("test", pair[0], WATCH_WRITE, stop_itself, pair);
    loop_run();
    assert_int_equal(writes, 1);
    close_pair();
    watch_stop(NULL);
}

static void count_error(void *arg, int events)
{
    (void)arg;
    last_events = (unsigned)events;
    if (++writes == 2)
        watch_stop(take(w));
}

/* A pipe without a reader is in error for ever: it is told again, not silently dropped. */
static void test_error_is_told_and_watching_goes_on(void **state)
{
    int ends[2];

    (void)state;
    writes = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    w = watch_start("test", ends[1], WATCH_WRITE, count_error, NULL);
    loop_run();
    assert_int_equal(writes, 2);
    assert_int_equal(last_events, WATCH_WRITE);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_reads),
        rig_test(test_pause_and_change),
        rig_test(test_stop_from_within),
        rig_test(test_error_is_told_and_watching_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
