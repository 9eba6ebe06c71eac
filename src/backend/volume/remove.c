/* remove.c - a volume goes: set aside, forgotten durably, then its files are removed.
 *
 * Until the store has forgotten it, its directory is only renamed: a kill in between leaves it
 * whole.  Loop thread only, except volume_set_aside, volume_put_back, volume_erase and job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the parts ---- */

static err *in_use(const volume *v)
{
    auto_buf list = {0};

    for (size_t i = 0; i < v->holders.n; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", v->holders.v[i]);
    return err_new(ERR_CONFLICT, "remove %s: volume is in use - [%s]", v->rec.name, list.data);
}

err *volume_leave(volume *v, const char *holder)
{
    if (v->stage == VOLUME_LEAVING)
        return err_new(ERR_CONFLICT, "remove %s: the volume is being removed", v->rec.name);
    if (v->holders.n > 1 || (v->holders.n == 1 && !str_eq(v->holders.v[0], holder)))
        return in_use(v);
    if (v->users.n || v->use_runs || v->uses_first)
        return err_new(ERR_CONFLICT, "remove %s: volume is in use", v->rec.name);
    v->stage = VOLUME_LEAVING;
    return NULL;
}

err *volume_set_aside(const volume *v)
{
    auto_free char *gone = volume_gone_path(v);

    TRY(path_unmount(v->data));
    TRY(tree_remove(gone)); /* of an earlier one of this name, which could not be erased */
    if (rename(v->dir, gone) < 0 && errno != ENOENT)
        return err_errno(errno, "remove %s", v->rec.name);
    return NULL;
}

err *volume_put_back(const volume *v)
{
    auto_free char *gone = volume_gone_path(v);

    if (rename(gone, v->dir) < 0 && errno != ENOENT)
        return err_errno(errno, "put volume %s back", v->rec.name);
    return NULL;
}

void volume_forget(const volume *v, store_batch *b)
{
    store_delete(b, "volumes", v->rec.name);
}

err *volume_erase(const volume *v)
{
    auto_free char *gone = volume_gone_path(v);

    return tree_remove(gone);
}

void volume_left(volume *v)
{
    volume_event(v, "destroy", NULL);
    registry_drop(v);
}

void volume_stay(volume *v)
{
    v->stage = VOLUME_HERE;
}

/* ---- DELETE /volumes/{name} ---- */

typedef struct removal {
    volume *v; /* referenced */
    volume_finished *done;
    void *arg;
    err *e;
} removal;

static err *job_set_aside(void *st)
{
    return volume_set_aside(((removal *)st)->v);
}

static err *job_put_back(void *st)
{
    return volume_put_back(((removal *)st)->v);
}

static void on_forgotten(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_forget(void *st, flow *f)
{
    store_batch *b = store_batch_new();

    volume_forget(((removal *)st)->v, b);
    store_commit(b, on_forgotten, f);
}

static err *job_erase(void *st)
{
    err_log(volume_erase(((removal *)st)->v), "files of a removed volume are left");
    return NULL;
}

static err *now_left(void *st)
{
    volume_left(((removal *)st)->v);
    return NULL;
}

static void removal_free(void *st)
{
    removal *r = st;

    if (!r)
        return;
    volume_unref(r->v);
    err_free(r->e);
    free(r);
}

static const flow_step remove_steps[] = {
    {"set aside", JOB(job_set_aside), JOB(job_put_back)},
    {"forget", CALL(call_forget)},
    {"erase", SLOW_JOB(job_erase)},
    {"left", NOW(now_left)},
    {0},
};
const flow_def volume_remove_flow = {"volume.remove", remove_steps, removal_free, HANGUP_FINISH};

static void on_removed(void *arg, void *st, err *e)
{
    removal *r = st;

    (void)arg;
    if (e)
        volume_stay(r->v);
    r->done(r->arg, e);
}

static void on_answered(void *arg)
{
    removal *r = arg;

    r->done(r->arg, take(r->e));
    removal_free(r);
}

void volume_remove(const char *name, bool force, volume_finished *done, void *arg)
{
    removal *r = new0(removal);
    volume *v = NULL;
    bool missing;

    r->done = done;
    r->arg = arg;
    r->e = volume_find(name, &v);
    missing = r->e != NULL;
    if (missing && force)
        err_free(take(r->e));
    if (!missing)
        r->e = volume_leave(v, NULL);
    if (missing || r->e) {
        loop_defer(on_answered, r);
        return;
    }
    r->v = volume_ref(v);
    flow_begin(&volume_remove_flow, r, on_removed, NULL);
}
