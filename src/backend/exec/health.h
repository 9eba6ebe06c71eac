/* health.h - the rules of health checks, without processes or timers: health_rules.c.  Any thread.
 */
#ifndef BERTH_EXEC_HEALTH_H
#define BERTH_EXEC_HEALTH_H

#include <berth/api/config.h>
#include <berth/api/container.h>
#include <berth/arena.h>
#include <stdint.h>

enum {
    HEALTH_LOG_MAX = 5,
    HEALTH_OUTPUT_MAX = 4096,
    HEALTH_PAUSED_MS = 1000,  /* a paused container is looked at again */
    HEALTH_GIVE_UP_MS = 1000, /* a probe that took no signal gets another */
    FRAME_HEADER = 8,
};

typedef enum health_word { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY } health_word;

typedef struct health_result {
    int64_t began_ns, ended_ns;
    int code; /* 0: healthy; -1: it could not be run to its end */
    char *output;
} health_result;

typedef struct health_state {
    health_word word;
    unsigned streak; /* failures without a success between them */
    health_result log[HEALTH_LOG_MAX];
    unsigned n_log;
} health_state;

/* False for none, NONE, and what names no command. */
bool health_is_asked(const healthcheck *check);
/* What runs: CMD as it is, CMD-SHELL by the container's shell. */
void health_command(const container_config *k, arena *a, json_strs *ret);
int64_t health_timeout_ns(const healthcheck *check);
/* Until the next probe; up_ns: how long the container has run. */
int64_t health_interval_ns(const healthcheck *check, const health_state *s, int64_t up_ns);
/* Takes a copy of the result; after_ns: how long after the container's start the probe began. */
void health_take(health_state *s, const healthcheck *check, const health_result *result,
                 int64_t after_ns);
void health_state_done(health_state *s);
const char *health_text(health_word word);
/* "Health check exceeded timeout (1m30s): what it said"; caller frees. */
char *health_timeout_text(const healthcheck *check, const char *said);
void health_state_describe(const health_state *s, arena *a, container_health *ret);

#endif
