/* restart.c - what happens by itself after a run has ended: another one, by
 * HostConfig.RestartPolicy.
 *
 * A pending restart is a timer, first of 100 ms, doubled each time up to a minute, back at the
 * beginning after a run of ten seconds.  Meanwhile the container is "restarting": it counts as
 * running for those who ask, and a stop, a kill or a removal ends the wait.  A stop by hand holds
 * until the next start; for "always" until the next daemon.  Loop thread only. */
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <stdlib.h>

#define SECOND_NS 1000000000LL
enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 60 * 1000, STEADY_RUN_S = 10 };

static bool daemon_ends; /* what is stopped now comes back with the next daemon */

bool restart_is_wanted(const restart_policy *policy, bool by_hand, int64_t exit_code,
                       int64_t restarts)
{
    if (str_eq(policy->name, "always"))
        return true;
    if (str_eq(policy->name, "unless-stopped"))
        return !by_hand;
    if (str_eq(policy->name, "on-failure"))
        return exit_code != 0 &&
               (!policy->maximum_retry_count || restarts < policy->maximum_retry_count);
    return false;
}

unsigned restart_backoff_ms(unsigned before_ms, int64_t ran_ns)
{
    if (!before_ms || ran_ns >= STEADY_RUN_S * SECOND_NS)
        return BACKOFF_FIRST_MS;
    return before_ms * 2 < BACKOFF_MAX_MS ? before_ms * 2 : BACKOFF_MAX_MS;
}

static void on_begun(void *arg, err *e)
{
    container *c = arg;

    if (e)
        log_warn("container could not be restarted", "id", c->rec.id, "error", err_message(e));
    err_free(e);
    container_unref(c);
}

static void on_time(void *arg)
{
    container *c = arg;

    timer_stop(take(c->restart_timer));
    container_start_again(c, on_begun, container_ref(c));
}

bool restart_plan(container *c)
{
    const container_state *s = &c->state;

    if (daemon_ends || c->stay_down || c->removing ||
        !restart_is_wanted(&c->rec.host->restart_policy, s->stopped_by_hand, s->exit_code,
                           s->restart_count))
        return false;
    c->backoff_ms = restart_backoff_ms(c->backoff_ms, s->finished_ns - s->started_ns);
    c->state.restarting = true;
    c->state.restart_count++;
    c->restart_timer = timer_start("restart", c->backoff_ms, on_time, c);
    return true;
}

bool restart_cancel(container *c)
{
    if (!c->state.restarting)
        return false;
    timer_stop(take(c->restart_timer));
    c->state.restarting = false;
    container_save_state(c);
    waits_exited(c);
    return true;
}

void restart_by_hand(container *c)
{
    c->stay_down = true;
    c->state.stopped_by_hand |= !daemon_ends;
}

void restart_forget(container *c)
{
    c->stay_down = c->state.stopped_by_hand = false;
    c->state.restart_count = 0;
    c->backoff_ms = 0;
}

void restarts_end(void)
{
    daemon_ends = true;
    for (container *c = containers_newest; c; c = c->older)
        timer_stop(take(c->restart_timer)); /* it stays "restarting": the next daemon starts it */
}

/* Those that ended while no daemon was there, or with the last one. */
void restarts_begin(void)
{
    for (container *c = containers_newest; c; c = c->older) {
        const container_state *s = &c->state;

        if (s->running || !s->started_once || c->removing)
            continue;
        if (s->restarting || restart_is_wanted(&c->rec.host->restart_policy, s->stopped_by_hand,
                                               s->exit_code, s->restart_count)) {
            c->state.restarting = true;
            container_start_again(c, on_begun, container_ref(c));
        }
    }
}
