/* health_rules.c - when a container is healthy: dockerd's rules, without processes or timers.
 *
 * Any thread. */
#include "health.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL
enum { INTERVAL_S = 30, TIMEOUT_S = 30, START_INTERVAL_S = 5, RETRIES = 3 };

static int64_t or_seconds(int64_t ns, int otherwise)
{
    return ns > 0 ? ns : otherwise * SECOND_NS;
}

bool health_is_asked(const healthcheck *check)
{
    if (!check || !check->test.n)
        return false;
    return (str_eq(check->test.v[0], "CMD") || str_eq(check->test.v[0], "CMD-SHELL")) &&
           check->test.n > 1;
}

void health_command(const container_config *k, arena *a, json_strs *ret)
{
    const json_strs *test = &k->healthcheck->test;

    if (str_eq(test->v[0], "CMD-SHELL")) {
        for (size_t i = 0; i < k->shell.n; i++)
            json_strs_add(ret, a, k->shell.v[i]);
        if (!k->shell.n) {
            json_strs_add(ret, a, "/bin/sh");
            json_strs_add(ret, a, "-c");
        }
    }
    for (size_t i = 1; i < test->n; i++)
        json_strs_add(ret, a, test->v[i]);
}

int64_t health_timeout_ns(const healthcheck *check)
{
    return or_seconds(check->timeout, TIMEOUT_S);
}

int64_t health_interval_ns(const healthcheck *check, const health_state *s, int64_t up_ns)
{
    if (s->word == HEALTH_STARTING && up_ns < check->start_period)
        return or_seconds(check->start_interval, START_INTERVAL_S);
    return or_seconds(check->interval, INTERVAL_S);
}

static void log_result(health_state *s, const health_result *result)
{
    if (s->n_log == HEALTH_LOG_MAX) {
        free(s->log[0].output);
        memmove(s->log, s->log + 1, (HEALTH_LOG_MAX - 1) * sizeof(*s->log));
        s->n_log--;
    }
    s->log[s->n_log] = *result;
    s->log[s->n_log++].output = xstrdup(result->output ? result->output : "");
}

/* A container that never was healthy may fail as long as its start period lasts. */
void health_take(health_state *s, const healthcheck *check, const health_result *result,
                 int64_t after_ns)
{
    log_result(s, result);
    if (result->code == 0) {
        s->streak = 0;
        s->word = HEALTH_HEALTHY;
        return;
    }
    if (s->word == HEALTH_STARTING && after_ns < check->start_period)
        return;
    s->streak++;
    if (s->streak >= (check->retries > 0 ? (unsigned)check->retries : RETRIES))
        s->word = HEALTH_UNHEALTHY;
}

void health_state_done(health_state *s)
{
    for (unsigned i = 0; i < s->n_log; i++)
        free(s->log[i].output);
    *s = (health_state){0};
}

const char *health_text(health_word word)
{
    static const char *const texts[] = {[HEALTH_STARTING] = "starting",
                                        [HEALTH_HEALTHY] = "healthy",
                                        [HEALTH_UNHEALTHY] = "unhealthy"};

    return texts[word];
}

char *health_timeout_text(const healthcheck *check, const char *said)
{
    char timeout[DURATION_TEXT];

    duration_go(health_timeout_ns(check), timeout);
    return *said ? xasprintf("Health check exceeded timeout (%s): %s", timeout, said)
                 : xasprintf("Health check exceeded timeout (%s)", timeout);
}

static char *time_text(arena *a, int64_t ns)
{
    char text[TIME_TEXT];

    time_rfc3339(ns, text);
    return arena_strdup(a, text);
}

void health_state_describe(const health_state *s, arena *a, container_health *ret)
{
    ret->status = (char *)health_text(s->word);
    ret->failing_streak = s->streak;
    for (unsigned i = 0; i < s->n_log; i++) {
        health_log_entry *e = json_list_add(&ret->log, a, &health_log_entry_json);

        *e = (health_log_entry){.start = time_text(a, s->log[i].began_ns),
                                .end = time_text(a, s->log[i].ended_ns),
                                .exit_code = s->log[i].code,
                                .output = arena_strdup(a, s->log[i].output)};
    }
}
