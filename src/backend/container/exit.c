/* exit.c - the end of a run: record it, tell everyone, give back what it used.
 *
 * An exit is told at once: state, events and waiters do not wait for the teardown, which is an
 * operation of its own, the next one: a start that was asked before the exit finds it done.  Loop
 * thread only, except job_*. */
#include "private.h"
#include <berth/tree.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/rootfs.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- teardown ---- */

typedef struct teardown {
    container *c; /* referenced */
    port_claim *ports;
    char *rootfs, *netns;
} teardown;

static void on_deleted(void *arg, err *e, const child_exit *exit)
{
    (void)exit;
    if (e)
        err_log(e, "the runtime could not delete a container");
    flow_resume(arg, NULL);
}

/* Removes the runtime's state and the cgroup, and ends whatever still runs in it.  Its failure
 * stops nothing: what is left is found at the next start. */
static void call_runtime_delete(void *st, flow *f)
{
    runtime_command(((teardown *)st)->c, "runtime delete", on_deleted, f, "delete", "--force",
                    NULL);
}

static err *job_give_back(void *st)
{
    teardown *t = st;

    err_log(ports_withdraw(t->ports), "published ports of an ended container are left");
    networks_detach(t->c->endpoints, t->c->n_endpoints);
    err_log(netns_remove(t->netns), "network namespace of an ended container is left");
    err_log(mounts_unpin(t->c->rec.id), "a mount of an ended container is left");
    err_log(rootfs_unmount(t->rootfs), "root file system of an ended container is left mounted");
    err_log(tree_remove(t->c->run_dir), "run directory of an ended container is left");
    return NULL;
}

static void call_unuse(void *st, flow *f)
{
    mounts_unuse(((teardown *)st)->c, f);
}

static err *now_forget_run(void *st)
{
    teardown *t = st;
    container *c = t->c;

    c->dirty = false;
    if (c->ports == t->ports)
        c->ports = NULL;
    ports_free(take(t->ports));
    networks_leave(c);
    return NULL;
}

static void teardown_free(void *st)
{
    teardown *t = st;

    if (!t)
        return;
    container_unref(t->c);
    free(t->rootfs);
    free(t->netns);
    free(t);
}

static const flow_step teardown_steps[] = {
    {"runtime delete", CALL(call_runtime_delete)},
    {"give back", JOB(job_give_back)},
    {"leave volumes", CALL(call_unuse)},
    {"forget", NOW(now_forget_run)},
    {0},
};
const flow_def teardown_flow = {"container.teardown", teardown_steps, teardown_free, HANGUP_FINISH};

typedef struct after {
    container_done *done;
    void *arg;
} after;

static void on_torn_down(void *arg, void *st, err *e)
{
    after *then = arg;

    (void)st;
    then->done(then->arg, e);
    free(then);
}

void container_teardown(container *c, container_done *done, void *arg)
{
    teardown *t;
    after *then;

    if (!c->dirty) {
        container_refuse(NULL, done, arg);
        return;
    }
    monitor_abandon(take(c->monitor));
    t = new0(teardown);
    t->c = container_ref(c);
    t->ports = c->ports;
    t->rootfs = xstrdup(c->rootfs);
    t->netns = container_netns_path(c);
    then = new0(after);
    *then = (after){done, arg};
    flow_begin(&teardown_flow, t, on_torn_down, then);
}

/* ---- the exit itself ---- */

static void on_auto_removed(void *arg, err *e)
{
    container *c = arg;

    if (e && err_kind(e) != ERR_CONFLICT)
        err_log(e, "container could not be removed after its end");
    else
        err_free(e);
    container_unref(c);
}

static void on_teardown_done(void *arg, err *e)
{
    container *c = arg;

    err_free(e);
    op_end(c);
}

static void teardown_begin(container *c, void *arg)
{
    (void)arg;
    container_teardown(c, on_teardown_done, c);
}

void container_auto_remove(container *c)
{
    if (c->rec.host->auto_remove && !c->removing && !c->removed)
        container_remove(c, false, true, on_auto_removed, container_ref(c));
}

void container_clean_up(container *c)
{
    op_begin_first(c, "teardown", teardown_begin, NULL);
    container_auto_remove(c);
}

static void tell(container *c)
{
    auto_free char *code = xasprintf("%lld", (long long)c->state.exit_code);
    auto_free char *ran =
        xasprintf("%lld", (long long)((c->state.finished_ns - c->state.started_ns) / 1000000000));

    if (c->state.oom_killed)
        container_event(c, "oom", NULL);
    networks_told_end(c);
    mounts_told_end(c);
    container_event(c, "die", "execDuration", ran, "exitCode", code, NULL);
}

static void record(container *c, const monitor_exit *exit)
{
    c->state.running = c->state.paused = false;
    c->state.pid = 0;
    c->state.exit_code = exit->code;
    c->state.finished_ns = exit->finished_ns;
    c->state.oom_killed = exit->oom;
}

void container_exited(container *c, const monitor_exit *exit)
{
    bool again;

    if (!c->state.running)
        return;
    if (exit->lost)
        log_warn("the monitor of a container died; the container is ended with it", "id",
                 c->rec.id);
    record(c, exit);
    ports_let_go(c->ports);
    again = c->found && restart_plan(c);
    container_save_state(c);
    tell(c);
    if (container_hook.stopped)
        container_hook.stopped(c);
    waits_exited(c);
    op_begin_first(c, "teardown", teardown_begin, NULL);
    if (!again)
        container_auto_remove(c);
}

static void on_exit_told(void *arg, const monitor_exit *exit)
{
    container *c = arg;

    if (c->starting) { /* its start has not been told yet: first things first */
        c->exit_early = *exit;
        c->has_exit_early = true;
    } else {
        container_exited(c, exit);
    }
}

static void on_exec_exit(void *arg, const char *exec_id, const monitor_exit *exit)
{
    if (container_hook.exec_ended)
        container_hook.exec_ended(arg, exec_id, exit);
}

const monitor_events container_monitor_events = {on_exit_told, on_exec_exit};
