/* job_test.c - work on the pool: results come back to the loop, slow jobs never fill the pool. */
#include "rig.h"
#include <berth/job.h>
#include <semaphore.h>
#include <stdatomic.h>

static err *job_fail(void *arg)
{
    assert_false(on_loop());
    return err_new(ERR_CONFLICT, "%s", (const char *)arg);
}

static char *told;

static void keep_message(void *arg, err *e)
{
    (void)arg;
    assert_true(on_loop());
    told = xstrdup(err_message(e));
    err_free(e);
}

static void test_error_crosses_to_the_loop(void **state)
{
    (void)state;
    job_begin("test", job_fail, (void *)"what happened", keep_message);
    assert_int_equal(jobs_running(), 1);
    loop_run();
    assert_int_equal(jobs_running(), 0);
    assert_string_equal(told, "what happened");
    free(take(told));
}

static atomic_int now_running, most_running, order;
static sem_t go;

static err *job_hold(void *arg)
{
    int n = atomic_fetch_add(&now_running, 1) + 1;
    int most = atomic_load(&most_running);

    while (n > most && !atomic_compare_exchange_weak(&most_running, &most, n))
        ;
    *(int *)arg = atomic_fetch_add(&order, 1);
    sem_wait(&go);
    atomic_fetch_sub(&now_running, 1);
    return NULL;
}

static int wait_for; /* slow jobs to run before they are let go */

static err *job_release(void *arg)
{
    (void)arg;
    for (int ms = 0; atomic_load(&now_running) < wait_for && ms < 20000; ms++)
        rig_sleep_ms(1);
    for (int i = 0; i < 16; i++)
        sem_post(&go);
    return NULL;
}

static void expect_ok(void *arg, err *e)
{
    (void)arg;
    assert_null(e);
}

static unsigned pool_size(void)
{
    uint64_t n = 0;

    assert_true(str_to_uint64(getenv("UV_THREADPOOL_SIZE"), &n));
    return (unsigned)n;
}

static void test_slow_jobs_fill_half_the_pool(void **state)
{
    int begun[16];

    (void)state;
    sem_init(&go, 0, 0);
    atomic_store(&order, 0);
    wait_for = (int)pool_size() / 2;
    for (int i = 0; i < 16; i++)
        job_begin_slow("slow", job_hold, &begun[i], expect_ok);
    /* Without the cap this one would wait behind the slow ones for ever. */
    job_begin("fast", job_release, NULL, expect_ok);
    assert_int_equal(jobs_running(), 17);
    loop_run();
    assert_int_equal(jobs_running(), 0);
    assert_true(pool_size() >= 4);
    assert_int_equal(atomic_load(&most_running), pool_size() / 2);
    for (int i = 0; i < 16; i++) /* oldest first, but for those that run beside each other */
        assert_in_range(begun[i] + 8, i + 8 - (int)pool_size() / 2, i + 8 + (int)pool_size() / 2);
    sem_destroy(&go);
}

static void begin_another(void *arg, err *e)
{
    int *left = arg;

    assert_null(e);
    if (--*left)
        job_begin_slow("again", job_release, NULL, expect_ok);
}

static void test_a_job_begins_a_job(void **state)
{
    int left = 2;

    (void)state;
    sem_init(&go, 0, 0);
    wait_for = 0;
    job_begin_slow("first", job_release, &left, begin_another);
    loop_run();
    assert_int_equal(left, 1);
    sem_destroy(&go);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_error_crosses_to_the_loop),
        rig_test(test_slow_jobs_fill_half_the_pool),
        rig_test(test_a_job_begins_a_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
