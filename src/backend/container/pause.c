/* pause.c - frozen and thawed: every process of a container stops where it is.
 *
 * The freezer is the cgroup's, and the truth of what is frozen: a daemon that finds a container
 * again asks it.  Pause and unpause are operations; a signal that is to end a frozen container
 * thaws it without queueing, as kill does not queue.  Loop thread only, except where said. */
#include "private.h"
#include <berth/cgroup.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

typedef struct freezing {
    container *c; /* held by the operation */
    bool freeze;
    container_done *done;
    void *arg;
} freezing;

static void set_paused(container *c, bool paused)
{
    c->state.paused = paused;
    container_save_state(c);
    container_event(c, paused ? "pause" : "unpause", NULL);
}

static void freezing_end(freezing *f, err *e)
{
    op_end(f->c);
    f->done(f->arg, e);
    free(f);
}

static void on_frozen(void *arg, err *e, const child_exit *exit)
{
    freezing *f = arg;

    (void)exit;
    if (!e && f->c->state.running)
        set_paused(f->c, f->freeze);
    if (e && strstr(err_message(e), "not running")) { /* it ended, and we are about to be told */
        err_free(e);
        freezing_end(f, err_new(ERR_CONFLICT, "container %s is not running", f->c->rec.id));
        return;
    }
    freezing_end(
        f, err_wrap(e, "Cannot %s container %s", f->freeze ? "pause" : "unpause", f->c->rec.id));
}

static err *may_freeze(const container *c, bool freeze)
{
    if (!freeze)
        return c->state.paused ? NULL
                               : err_new(ERR_SYSTEM, "Container %s is not paused", c->rec.id);
    TRY(container_check_runs(c));
    if (c->state.paused)
        return err_new(ERR_CONFLICT, "Container %s is already paused", c->rec.id);
    return NULL;
}

static void freeze_begin(container *c, void *arg)
{
    freezing *f = arg;
    err *e = may_freeze(c, f->freeze);

    if (e)
        freezing_end(f, e);
    else
        runtime_command(c, f->freeze ? "runtime pause" : "runtime resume", on_frozen, f,
                        f->freeze ? "pause" : "resume", NULL);
}

static void freeze(container *c, bool frozen, container_done *done, void *arg)
{
    freezing *f = new0(freezing);

    *f = (freezing){c, frozen, done, arg};
    op_begin(c, frozen ? "pause" : "unpause", freeze_begin, f);
}

void container_pause(container *c, container_done *done, void *arg)
{
    freeze(c, true, done, arg);
}

void container_unpause(container *c, container_done *done, void *arg)
{
    freeze(c, false, done, arg);
}

static void on_thawed(void *arg, err *e, const child_exit *exit)
{
    container *c = arg;

    (void)exit;
    if (e) {
        log_debug("a container that is to end was not thawed", "error", err_message(e));
        err_free(e);
    } else if (c->state.running && c->state.paused)
        set_paused(c, false);
    container_unref(c);
}

void container_thaw(container *c)
{
    runtime_command(c, "runtime resume", on_thawed, container_ref(c), "resume", NULL);
}

bool container_found_frozen(const container *c)
{
    auto_free char *cgroup = container_cgroup(c);

    return cgroup_is_frozen(cgroup);
}
