/* commit.c - a container becomes an image: paused meanwhile, where it runs and that is wished.
 *
 * Loop thread only. */
#include "private.h"
#include <berth/flow.h>
#include <berth/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct committing {
    container *c; /* referenced */
    arena *arena; /* the caller's, alive until done */
    container_commit_opts o;
    flow *step;
    bool pauses, paused;
    char id[72];
    container_committed *done;
    void *arg;
} committing;

static bool pauses(void *st)
{
    return ((const committing *)st)->pauses;
}

/* One that has ended meanwhile writes nothing any more either. */
static void on_paused(void *arg, err *e)
{
    committing *k = arg;

    k->paused = !e;
    if (e && !k->c->state.running)
        err_free(take(e));
    flow_resume(k->step, e);
}

static void call_pause(void *st, flow *f)
{
    committing *k = st;

    k->step = f;
    container_pause(k->c, on_paused, k);
}

static void on_unpaused(void *arg, err *e)
{
    err_log(e, "a container stays paused after its commit");
    flow_resume(((committing *)arg)->step, NULL);
}

static void call_unpause(void *st, flow *f)
{
    committing *k = st;

    k->step = f;
    if (k->paused) {
        k->paused = false;
        container_unpause(k->c, on_unpaused, k);
    } else {
        flow_resume(f, NULL);
    }
}

/* What an image keeps of a container's configuration. */
static void run_config(const container_config *c, image_run_config *ret)
{
    *ret = (image_run_config){.user = c->user,
                              .exposed_ports = c->exposed_ports,
                              .env = c->env,
                              .entrypoint = c->entrypoint,
                              .cmd = c->cmd,
                              .volumes = c->volumes,
                              .working_dir = c->working_dir,
                              .labels = c->labels,
                              .stop_signal = c->stop_signal,
                              .healthcheck = c->healthcheck,
                              .args_escaped = c->args_escaped,
                              .on_build = c->on_build,
                              .shell = c->shell};
}

static void on_committed(void *arg, err *e, const char *id)
{
    committing *k = arg;

    snprintf(k->id, sizeof k->id, "%s", id);
    flow_resume(k->step, e);
}

static err *begin(committing *k)
{
    image_run_config own, run;
    container_config *wish = k->o.config;
    auto_buf created_by = {0};
    auto_free char *upper = container_file(k->c, "diff");

    if (!k->c->image)
        return err_new(ERR_NOT_FOUND, "No such image: %s", k->c->rec.image_id);
    run_config(k->c->rec.config, &own);
    err_free(config_merge(wish, &own, k->arena)); /* no command is no error here */
    run_config(wish, &run);
    for (size_t i = 0; i < k->c->rec.config->cmd.n; i++)
        buf_printf(&created_by, "%s%s", i ? " " : "", k->c->rec.config->cmd.v[i]);
    return image_commit(&(commit_opts){.parent = k->c->image,
                                       .upper = upper,
                                       .run = &run,
                                       .repo = k->o.repo,
                                       .tag = k->o.tag,
                                       .comment = k->o.comment,
                                       .author = k->o.author,
                                       .changes = k->o.changes,
                                       .created_by = str_or(created_by.data, "")},
                        on_committed, k);
}

static void call_commit(void *st, flow *f)
{
    committing *k = st;
    err *e;

    k->step = f;
    e = begin(k);
    if (e)
        flow_resume(f, e);
}

static void committing_free(void *st)
{
    committing *k = st;

    if (!k)
        return;
    container_unref(k->c);
    free(k);
}

static const flow_step commit_steps[] = {
    {"pause", CALL(call_pause), CALL(call_unpause), .when = pauses},
    {"commit", CALL(call_commit)},
    {"unpause", CALL(call_unpause), .when = pauses},
    {0},
};
const flow_def container_commit_flow = {"container.commit", commit_steps, committing_free,
                                        HANGUP_FINISH};

static void on_ended(void *arg, void *st, err *e)
{
    committing *k = st;

    (void)arg;
    if (!e)
        container_event(k->c, "commit", "comment", str_or(k->o.comment, ""), "imageID", k->id,
                        "imageRef", str_or(k->o.repo, ""), NULL);
    k->done(k->arg, e, k->id);
}

void container_commit(container *c, const container_commit_opts *o, arena *a,
                      container_committed *done, void *arg)
{
    committing *k = new0(committing);

    k->c = container_ref(c);
    k->arena = a;
    k->o = *o;
    k->pauses = o->pause && c->state.running && !c->state.paused;
    k->done = done;
    k->arg = arg;
    flow_begin(&container_commit_flow, k, on_ended, NULL);
}
