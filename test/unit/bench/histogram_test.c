/* histogram_test.c - what the percentiles promise, against sorted values. */
#include "histogram.h"
#include <berth/mem.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Numbers of all magnitudes, the same in every run. */
static int64_t next_value(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((*seed >> 22) >> (*seed >> 58) % 42);
}

static void assert_near(int64_t got, int64_t exact)
{
    if (got < exact || (double)got > (double)exact * 1.001 + 1)
        fail_msg("%lld is not %lld to three digits", (long long)got, (long long)exact);
}

static void test_empty_is_zero(void **state)
{
    histogram *h = histogram_new();

    (void)state;
    assert_int_equal(histogram_count(h), 0);
    assert_int_equal(histogram_min(h), 0);
    assert_int_equal(histogram_max(h), 0);
    assert_int_equal(histogram_percentile(h, 50), 0);
    assert_true(fabs(histogram_mean(h)) < 1e-9);
    histogram_free(h);
    histogram_free(NULL);
}

static void test_small_values_are_exact(void **state)
{
    histogram *h = histogram_new();

    (void)state;
    for (int64_t v = 1; v <= 1000; v++)
        histogram_record(h, v);
    assert_int_equal(histogram_percentile(h, 0), 1);
    assert_int_equal(histogram_percentile(h, 50), 500);
    assert_int_equal(histogram_percentile(h, 90), 900);
    assert_int_equal(histogram_percentile(h, 99), 990);
    assert_int_equal(histogram_percentile(h, 99.9), 999);
    assert_int_equal(histogram_percentile(h, 100), 1000);
    assert_true(fabs(histogram_mean(h) - 500.5) < 1e-9);
    histogram_free(h);
}

static void test_every_single_value_keeps_three_digits(void **state)
{
    (void)state;
    for (int64_t v = 1; v <= HISTOGRAM_MAX / 3; v = v * 3 / 2 + 1) {
        histogram *h = histogram_new();

        histogram_record(h, v);
        histogram_record(h, HISTOGRAM_MAX);
        assert_near(histogram_percentile(h, 50), v);
        assert_int_equal(histogram_min(h), v);
        histogram_free(h);
    }
}

static void test_percentiles_agree_with_a_sorted_list(void **state)
{
    static const double percents[] = {1, 10, 50, 90, 99, 99.9, 99.99, 100};
    enum { N = 20000 };
    histogram *h = histogram_new();
    auto_free int64_t *values = xcalloc(N, sizeof *values);
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < N; i++)
        histogram_record(h, values[i] = next_value(&seed));
    qsort(values, N, sizeof *values, compare_int64);
    for (size_t i = 0; i < COUNT(percents); i++)
        assert_near(histogram_percentile(h, percents[i]),
                    values[(size_t)ceil(percents[i] / 100 * N) - 1]);
    assert_int_equal(histogram_min(h), values[0]);
    assert_int_equal(histogram_max(h), values[N - 1]);
    histogram_free(h);
}

static void test_what_is_out_of_range_is_counted_at_the_edge(void **state)
{
    histogram *h = histogram_new();

    (void)state;
    histogram_record(h, -5);
    histogram_record(h, INT64_MAX);
    histogram_record(h, HISTOGRAM_MAX + 1);
    assert_int_equal(histogram_count(h), 3);
    assert_int_equal(histogram_min(h), 0);
    assert_int_equal(histogram_max(h), HISTOGRAM_MAX);
    assert_int_equal(histogram_percentile(h, 99), HISTOGRAM_MAX);
    histogram_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_is_zero),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_every_single_value_keeps_three_digits),
        cmocka_unit_test(test_percentiles_agree_with_a_sorted_list),
        cmocka_unit_test(test_what_is_out_of_range_is_counted_at_the_edge),
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
