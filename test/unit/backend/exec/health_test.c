/* health_test.c - dockerd's rules for who is healthy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "health.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS 1000000000LL

static void probe(health_state *s, const healthcheck *check, int code, int64_t after_s)
{
    const health_result r = {.code = code, .output = (char *)"said"};

    health_take(s, check, &r, after_s * SECOND_NS);
}

static void test_failures_in_a_row(void **state)
{
    const healthcheck check = {.retries = 2};
    const healthcheck plain = {0};
    health_state s = {0};

    (void)state;
    probe(&s, &check, 1, 1);
    assert_int_equal(s.word, HEALTH_STARTING);
    probe(&s, &check, 0, 2);
    assert_int_equal(s.word, HEALTH_HEALTHY);
    probe(&s, &check, 1, 3);
    assert_int_equal(s.word, HEALTH_HEALTHY);
    probe(&s, &check, -1, 4);
    assert_int_equal(s.word, HEALTH_UNHEALTHY);
    assert_int_equal(s.streak, 2);
    probe(&s, &check, 0, 5);
    assert_int_equal(s.word, HEALTH_HEALTHY);
    assert_int_equal(s.streak, 0);
    for (int i = 0; i < 2; i++)
        probe(&s, &plain, 1, 6);
    assert_int_equal(s.word, HEALTH_HEALTHY);
    probe(&s, &plain, 1, 6); /* three, when nothing is said */
    assert_int_equal(s.word, HEALTH_UNHEALTHY);
    health_state_done(&s);
}

static void test_the_start_period_forgives(void **state)
{
    const healthcheck check = {.retries = 1, .start_period = 10 * SECOND_NS};
    health_state s = {0};

    (void)state;
    for (int i = 1; i < 10; i++)
        probe(&s, &check, 1, i);
    assert_int_equal(s.word, HEALTH_STARTING);
    assert_int_equal(s.streak, 0);
    probe(&s, &check, 1, 10);
    assert_int_equal(s.word, HEALTH_UNHEALTHY);
    health_state_done(&s);

    probe(&s, &check, 0, 1); /* once healthy, the period is over */
    probe(&s, &check, 1, 2);
    assert_int_equal(s.word, HEALTH_UNHEALTHY);
    health_state_done(&s);
}

static void test_intervals(void **state)
{
    const healthcheck plain = {0};
    const healthcheck check = {
        .interval = 7 * SECOND_NS, .start_period = 60 * SECOND_NS, .start_interval = 2 * SECOND_NS};
    const healthcheck slow = {.start_period = 60 * SECOND_NS};
    health_state starting = {0}, healthy = {.word = HEALTH_HEALTHY};

    (void)state;
    assert_int_equal(health_interval_ns(&plain, &starting, 0), 30 * SECOND_NS);
    assert_int_equal(health_timeout_ns(&plain), 30 * SECOND_NS);
    assert_int_equal(health_interval_ns(&check, &starting, 59 * SECOND_NS), 2 * SECOND_NS);
    assert_int_equal(health_interval_ns(&check, &starting, 60 * SECOND_NS), 7 * SECOND_NS);
    assert_int_equal(health_interval_ns(&check, &healthy, SECOND_NS), 7 * SECOND_NS);
    assert_int_equal(health_interval_ns(&slow, &starting, SECOND_NS), 5 * SECOND_NS);
}

static void test_the_last_five_are_kept(void **state)
{
    const healthcheck check = {0};
    auto_arena *a = arena_new();
    container_health shown = {0};
    health_state s = {0};

    (void)state;
    for (int i = 0; i < 8; i++)
        probe(&s, &check, i, 1);
    health_state_describe(&s, a, &shown);
    assert_int_equal(shown.log.n, 5);
    assert_int_equal(JSON_AT(shown.log, health_log_entry, 0)->exit_code, 3);
    assert_int_equal(JSON_AT(shown.log, health_log_entry, 4)->exit_code, 7);
    assert_string_equal(shown.status, "unhealthy");
    assert_int_equal(shown.failing_streak, 7);
    health_state_done(&s);
}

static const char *command(const char *first, const char *second, const char *shell, arena *a)
{
    healthcheck check = {0};
    container_config k = {.healthcheck = &check};
    json_strs words = {0};
    auto_buf text = {0};

    json_strs_add(&check.test, a, first);
    if (second)
        json_strs_add(&check.test, a, second);
    if (shell)
        json_strs_add(&k.shell, a, shell);
    if (!health_is_asked(&check))
        return "none";
    health_command(&k, a, &words);
    for (size_t i = 0; i < words.n; i++)
        buf_printf(&text, "%s[%s]", i ? " " : "", words.v[i]);
    return arena_strdup(a, text.data);
}

static void test_commands(void **state)
{
    auto_arena *a = arena_new();

    (void)state;
    assert_false(health_is_asked(NULL));
    assert_string_equal(command("NONE", NULL, NULL, a), "none");
    assert_string_equal(command("CMD", NULL, NULL, a), "none");
    assert_string_equal(command("ls", "-l", NULL, a), "none");
    assert_string_equal(command("CMD", "true", NULL, a), "[true]");
    assert_string_equal(command("CMD-SHELL", "exit 1", NULL, a), "[/bin/sh] [-c] [exit 1]");
    assert_string_equal(command("CMD-SHELL", "exit 1", "bash", a), "[bash] [exit 1]");
}

static void test_timeouts_in_words(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {1000000, "1ms"},
        {1500000, "1.5ms"},
        {SECOND_NS, "1s"},
        {1500000000, "1.5s"},
        {90 * SECOND_NS, "1m30s"},
        {60 * SECOND_NS, "1m0s"},
        {3600 * SECOND_NS, "1h0m0s"},
        {3661500000000, "1h1m1.5s"},
        {0, "30s"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const healthcheck check = {.timeout = rows[i].ns};
        auto_free char *text = health_timeout_text(&check, "");
        auto_free char *want = xasprintf("Health check exceeded timeout (%s)", rows[i].text);
        auto_free char *more = health_timeout_text(&check, "half");

        assert_string_equal(text, want);
        assert_true(str_ends(more, "): half"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row), cmocka_unit_test(test_the_start_period_forgives),
        cmocka_unit_test(test_intervals),         cmocka_unit_test(test_the_last_five_are_kept),
        cmocka_unit_test(test_commands),          cmocka_unit_test(test_timeouts_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
