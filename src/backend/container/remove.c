/* remove.c - the end of a container: first forgotten durably, then its files go.
 *
 * A kill between the two leaves only directories that nobody owns; the next start removes them.
 * Loop thread only, except job_*. */
#include "private.h"
#include <berth/tree.h>
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <signal.h>
#include <stdlib.h>

enum { KILL_WAIT_MS = 10 * 1000 };

typedef struct removal {
    container *c; /* referenced */
    bool volumes; /* its anonymous ones go too */
    container_done *done;
    void *arg;
    flow *flow;
    container_wait *wait;
    timer *timer;
} removal;

static bool is_running(void *st)
{
    return ((removal *)st)->c->state.running;
}

static void killed_end(removal *r, err *e)
{
    timer_stop(take(r->timer));
    container_wait_cancel(take(r->wait));
    flow_resume(r->flow, e);
}

static void on_killed(void *arg, int status, const char *error)
{
    removal *r = arg;

    (void)status, (void)error;
    r->wait = NULL;
    killed_end(r, NULL);
}

static void on_kill_timeout(void *arg)
{
    removal *r = arg;

    killed_end(r, err_new(ERR_SYSTEM,
                          "cannot remove container \"/%s\": could not kill container: tried to "
                          "kill container, but did "
                          "not receive an exit event",
                          r->c->rec.name));
}

static void call_kill(void *st, flow *f)
{
    removal *r = st;
    err *e;

    r->flow = f;
    r->wait = container_wait_for(r->c, WAIT_NEXT_EXIT, on_killed, r);
    e = container_kill(r->c, "SIGKILL");
    if (e)
        killed_end(r, e);
    else
        r->timer = timer_start("remove.kill", KILL_WAIT_MS, on_kill_timeout, r);
}

static void on_resume(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_teardown(void *st, flow *f)
{
    container_teardown(((removal *)st)->c, on_resume, f);
}

static err *now_choose_volumes(void *st)
{
    removal *r = st;

    if (r->volumes)
        mounts_leave(r->c);
    return NULL;
}

static err *now_keep_volumes(void *st)
{
    mounts_stay(((removal *)st)->c);
    return NULL;
}

static bool has_volumes(void *st)
{
    return mounts_has_leaving(((removal *)st)->c);
}

static err *job_set_volumes_aside(void *st)
{
    return mounts_set_aside(((removal *)st)->c);
}

static err *job_put_volumes_back(void *st)
{
    return mounts_put_back(((removal *)st)->c);
}

static void call_forget(void *st, flow *f)
{
    removal *r = st;
    store_batch *b = store_batch_new();

    mounts_forget(r->c, b);
    store_delete(b, "containers", r->c->rec.id);
    store_delete(b, "container_state", r->c->rec.id);
    store_commit(b, on_resume, f);
}

static err *now_unlist(void *st)
{
    container *c = ((removal *)st)->c;

    c->removed = true;
    registry_remove(c);
    return NULL;
}

static err *job_remove_files(void *st)
{
    removal *r = st;

    err_log(tree_remove(r->c->dir), "files of a removed container are left");
    mounts_erase(r->c);
    return NULL;
}

static err *now_announce(void *st)
{
    container *c = ((removal *)st)->c;

    image_release(c->image, c->rec.id);
    mounts_release(c);
    mounts_left(c);
    if (container_hook.removed)
        container_hook.removed(c);
    container_event(c, "destroy", NULL);
    clients_end(c);
    waits_removed(c, NULL);
    return NULL;
}

static void removal_free(void *st)
{
    removal *r = st;

    if (!r)
        return;
    container_unref(r->c);
    free(r);
}

static const flow_step remove_steps[] = {
    {"kill", CALL(call_kill), .when = is_running},
    {"teardown", CALL(call_teardown)},
    {"choose volumes", NOW(now_choose_volumes), NOW(now_keep_volumes)},
    {"set volumes aside", JOB(job_set_volumes_aside), JOB(job_put_volumes_back),
     .when = has_volumes},
    {"forget", CALL(call_forget)},
    {"unlist", NOW(now_unlist)},
    {"remove files", SLOW_JOB(job_remove_files)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def remove_flow = {"container.remove", remove_steps, removal_free, HANGUP_FINISH};

static void on_removed(void *arg, void *st, err *e)
{
    removal *r = st;
    container *c = r->c;

    (void)arg;
    if (e) {
        c->removing = false;
        waits_removed(c, err_message(e));
    }
    op_end(c);
    r->done(r->arg, e);
}

static void remove_begin(container *c, void *arg)
{
    (void)c;
    flow_begin(&remove_flow, arg, on_removed, NULL);
}

static err *may_remove(const container *c, bool force)
{
    if (c->removing || c->removed)
        return err_new(ERR_CONFLICT, "removal of container %s is already in progress", c->rec.id);
    if (c->state.paused && !force)
        return err_new(ERR_CONFLICT,
                       "cannot remove container \"/%s\": container is paused and must be unpaused "
                       "first",
                       c->rec.name);
    if (container_is_up(c) && !force)
        return err_new(ERR_CONFLICT,
                       "cannot remove container \"/%s\": container is %s: stop the container "
                       "before removing or "
                       "force remove",
                       c->rec.name, c->state.restarting ? "restarting" : "running");
    return NULL;
}

void container_remove(container *c, bool force, bool volumes, container_done *done, void *arg)
{
    err *e = may_remove(c, force);
    removal *r;

    if (e) {
        container_refuse(e, done, arg);
        return;
    }
    c->removing = true;
    restart_cancel(c);
    if (c->state.running) /* an operation that waits for it to stop must not hold us up */
        err_log(container_kill(c, "SIGKILL"), "container could not be killed");
    r = new0(removal);
    *r = (removal){.c = container_ref(c), .volumes = volumes, .done = done, .arg = arg};
    op_begin(c, "remove", remove_begin, r);
}
