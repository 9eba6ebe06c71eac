/* health.c - health checks: a probe now and then, and what follows from its result.
 *
 * A probe is an exec like any other, whose output is kept to 4 KiB and whose process is killed at
 * the time-out.  The next one begins an interval after the last one ended; a paused container is
 * not probed.  The rules are in health_rules.c.  Loop thread only. */
#include "health.h"
#include "private.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESTART_LABEL "berth.restart-on-unhealthy"

typedef struct health {
    container *c; /* referenced */
    char id[65];
    health_state state;
    timer *timer; /* until the next probe, or of the one that runs */
    exec *probe;  /* referenced; NULL: none runs */
    exec_client *client;
    buf output;
    bool cut, timed_out, output_over;
    int64_t began_ns;
    UT_hash_handle hh;
} health;

static health *all;

static void probe_begin(health *h);

static health *health_find(const container *c)
{
    health *h = NULL;

    HASH_FIND_STR(all, container_id(c), h);
    return h;
}

static void on_time(void *arg)
{
    health *h = arg;

    timer_stop(take(h->timer));
    if (container_is_paused(h->c))
        h->timer = timer_start("health", HEALTH_PAUSED_MS, on_time, h);
    else
        probe_begin(h);
}

static void wait_for_next(health *h)
{
    const healthcheck *check = container_config_of(h->c)->healthcheck;
    int64_t up_ns = time_now_ns() - container_started_ns(h->c);

    h->timer = timer_start(
        "health", (uint64_t)(health_interval_ns(check, &h->state, up_ns) / 1000000), on_time, h);
}

/* ---- what a result means ---- */

static void on_restarted(void *arg, err *e)
{
    container *c = arg;

    if (e)
        err_log(e, "an unhealthy container could not be restarted");
    container_unref(c);
}

/* An extension, off unless the container's label asks for it. */
static void restart_if_asked(container *c)
{
    const char *asked = json_map_get(&container_config_of(c)->labels, RESTART_LABEL);

    if (!str_eq(asked, "true") && !str_eq(asked, "1"))
        return;
    log_info("container is unhealthy and restarted, as its label asks", "id", container_id(c));
    container_restart(c, NULL, STOP_TIMEOUT_DEFAULT, on_restarted, container_ref(c));
}

static void take_result(health *h, int code, const char *output)
{
    const healthcheck *check = container_config_of(h->c)->healthcheck;
    health_word before = h->state.word;
    const health_result result = {
        .began_ns = h->began_ns, .ended_ns = time_now_ns(), .code = code, .output = (char *)output};

    health_take(&h->state, check, &result, h->began_ns - container_started_ns(h->c));
    if (h->state.word != before) {
        auto_free char *action = xasprintf("health_status: %s", health_text(h->state.word));

        container_event(h->c, action, NULL);
        if (h->state.word == HEALTH_UNHEALTHY)
            restart_if_asked(h->c);
    }
}

/* ---- one probe ---- */

static void probe_over(health *h)
{
    exec *x = take(h->probe);
    auto_free char *text = NULL;
    int code = x->exit_code;

    timer_stop(take(h->timer));
    exec_client_free(take(h->client));
    x->on_ended = NULL;
    if (h->cut)
        buf_str(&h->output, "...");
    text = buf_take(&h->output);
    if (h->timed_out) {
        char *said = take(text);

        text = health_timeout_text(container_config_of(h->c)->healthcheck, said);
        code = -1;
        free(said);
    }
    exec_forget(x);
    exec_unref(x);
    take_result(h, code, text);
    wait_for_next(h);
}

static void on_output(void *arg, const char *frame, size_t n)
{
    health *h = arg;
    size_t room = HEALTH_OUTPUT_MAX - h->output.len;

    n -= FRAME_HEADER;
    h->cut |= n > room;
    buf_add(&h->output, frame + FRAME_HEADER, n < room ? n : room);
}

static void check_over(health *h)
{
    if (h->probe && h->output_over && h->probe->stage == EXEC_ENDED)
        probe_over(h);
}

/* A probe that could not be started says why. */
static void on_output_end(void *arg, err *e)
{
    health *h = arg;

    if (e && h->output.len == 0)
        buf_str(&h->output, err_message(e));
    err_free(e);
    h->output_over = true;
    check_over(h);
}

static void on_stdin_drain(void *arg)
{
    (void)arg;
}

static void on_probe_ended(void *arg)
{
    check_over(arg);
}

static void on_probe_timeout(void *arg)
{
    health *h = arg;
    monitor *m = container_monitor(h->c);
    int pidfd = m ? monitor_exec_pidfd(m, h->probe->id) : -1;

    timer_stop(take(h->timer));
    h->timed_out = true;
    if (pidfd >= 0)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    h->timer = timer_start("health", HEALTH_GIVE_UP_MS, on_probe_timeout, h); /* not yet started */
}

static void probe_begin(health *h)
{
    static const attach_events events = {on_output, on_output_end, on_stdin_drain, NULL};
    const container_config *k = container_config_of(h->c);
    exec_config config = {.attach_stdout = true, .attach_stderr = true};
    auto_arena *a = arena_new();
    err *e;

    h->began_ns = time_now_ns();
    h->cut = h->timed_out = h->output_over = false;
    health_command(k, a, &config.cmd);
    e = exec_create(h->c, &config, &h->probe);
    if (e) { /* it is about to stop: the next turn sees */
        err_free(e);
        wait_for_next(h);
        return;
    }
    exec_ref(h->probe);
    h->probe->on_ended = on_probe_ended;
    h->probe->on_ended_arg = h;
    h->timer = timer_start("health", (uint64_t)(health_timeout_ns(k->healthcheck) / 1000000),
                           on_probe_timeout, h);
    h->client = exec_start_attached(h->probe, &(exec_start_options){0}, &events, h);
}

/* ---- with the container ---- */

void health_started(container *c)
{
    health *h = health_find(c);

    if (!health_is_asked(container_config_of(c)->healthcheck))
        return;
    if (!h) {
        h = new0(health);
        h->c = container_ref(c);
        strncpy(h->id, container_id(c), sizeof(h->id) - 1);
        HASH_ADD_STR(all, id, h);
    }
    h->state.word = HEALTH_STARTING;
    h->state.streak = 0;
    timer_stop(take(h->timer));
    wait_for_next(h);
}

static void quiet(health *h)
{
    timer_stop(take(h->timer));
    exec_client_free(take(h->client));
    if (h->probe) {
        h->probe->on_ended = NULL;
        exec_forget(h->probe);
        exec_unref(take(h->probe));
    }
    buf_done(&h->output);
}

/* As dockerd has it: who is not looked after is not healthy. */
void health_stopped(container *c)
{
    health *h = health_find(c);

    if (!h)
        return;
    quiet(h);
    h->state.word = HEALTH_UNHEALTHY;
}

static void on_freed(void *arg)
{
    health *h = arg;

    health_state_done(&h->state);
    container_unref(h->c);
    free(h);
}

void health_removed(container *c)
{
    health *h = health_find(c);

    if (!h)
        return;
    quiet(h);
    HASH_DEL(all, h);
    loop_defer(on_freed, h);
}

const char *health_status(const container *c)
{
    const health *h = health_find(c);

    return h ? health_text(h->state.word) : "";
}

bool health_describe(const container *c, arena *a, container_health *ret)
{
    const health *h = health_find(c);

    if (h)
        health_state_describe(&h->state, a, ret);
    return h != NULL;
}

void health_done(void)
{
    health *h, *next;

    HASH_ITER (hh, all, h, next) {
        quiet(h);
        HASH_DEL(all, h);
        on_freed(h);
    }
}
