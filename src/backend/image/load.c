/* load.c - `docker load`: an archive of images.
 *
 * Members first go into the staging directory, then each layer is unpacked from there, two at once,
 * its digest compared with what the configuration says; then all is published and recorded at once.
 * Loop thread only, except job_*. */
#include "archive_plan.h"
#include "intake.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct load {
    image_intake *in;
    archive_plan plan;
    size_t next;
    layer **held; /* that are there already, until the images are recorded */
    size_t n_held;
} load;

/* ---- one layer ---- */

typedef struct load_layer {
    load *load;
    const archive_layer *layer;
    size_t index;
    char *fs;
    unpack *unpack;
    unpacked told;
    flow *flow;
    int fd;
} load_layer;

static err *job_open_layer(void *st)
{
    load_layer *l = st;
    auto_free char *members = xasprintf("%s/members", l->load->in->dir),
                   *name = xasprintf("layer-%zu/fs", l->index);

    l->fs = xasprintf("%s/%s", l->load->in->dir, name);
    TRY(intake_stage(l->load->in, name));
    l->fd = archive_open(members, l->layer->path);
    if (l->fd < 0)
        return err_new(ERR_INVALID, "open %s: not a readable file of the archive", l->layer->path);
    return NULL;
}

static void on_layer_unpacked(void *arg, err *e, unpack *u)
{
    (void)u;
    flow_resume(((load_layer *)arg)->flow, e);
}

static void kill_unpack(void *st)
{
    unpack_kill(((load_layer *)st)->unpack);
}

static void call_unpack_layer(void *st, flow *f)
{
    load_layer *l = st;
    err *e;

    l->flow = f;
    e = unpack_begin(l->fs, APPLY_LAYER, l->fd, on_layer_unpacked, l, &l->unpack);
    if (e)
        flow_resume(f, e);
    else
        flow_on_cancel(f, kill_unpack);
}

static err *job_check_layer(void *st)
{
    load_layer *l = st;
    staged_layer *to = l->layer->to;

    TRY(unpack_result(l->unpack, l->fs, &l->told));
    if (!str_eq(l->told.plain, to->diff_id))
        return err_new(ERR_INVALID, "invalid diffID for layer %zu: expected \"%s\", got \"%s\"",
                       l->index, to->diff_id, l->told.plain);
    to->size = l->told.size;
    to->dir = xasprintf("%s/layer-%zu", l->load->in->dir, l->index);
    return NULL;
}

static void load_layer_free(void *st)
{
    load_layer *l = st;

    if (!l)
        return;
    unpack_free(l->unpack);
    unpacked_done(&l->told);
    mem_closep(&l->fd);
    free(l->fs);
    free(l);
}

static const flow_step layer_steps[] = {
    {"open", JOB(job_open_layer)},
    {"unpack", CALL(call_unpack_layer)},
    {"check", SLOW_JOB(job_check_layer)},
    {0},
};
const flow_def load_layer_flow = {"image.load-layer", layer_steps, load_layer_free, HANGUP_UNWIND};

/* A layer that is there stays there, whoever removes its images meanwhile. */
static bool hold_present(load *ld, const char *chain_id)
{
    layer *l = layer_find(chain_id);

    if (!l)
        return false;
    ld->held = xrealloc(ld->held, (ld->n_held + 1) * sizeof(*ld->held));
    ld->held[ld->n_held++] = l;
    layer_use(l);
    return true;
}

/* The next layer that neither the store has nor an earlier image of the archive brings. */
static void *next_layer(void *st)
{
    load *ld = st;

    while (ld->next < ld->plan.n_layers) {
        size_t i = ld->next++;
        load_layer *l;

        if (ld->plan.layers[i].repeated || hold_present(ld, ld->plan.layers[i].to->chain_id))
            continue;
        l = new0(load_layer);
        *l = (load_layer){.load = ld, .layer = &ld->plan.layers[i], .index = i, .fd = -1};
        return l;
    }
    return NULL;
}

/* ---- the whole ---- */

static err *job_stage(void *st)
{
    return intake_stage(((load *)st)->in, "members");
}

static err *job_unstage(void *st)
{
    return intake_unstage(((load *)st)->in);
}

static void call_members(void *st, flow *f)
{
    intake_unpack(((load *)st)->in, "members", APPLY_MEMBERS, f);
}

static err *job_plan(void *st)
{
    load *ld = st;
    auto_free char *members = xasprintf("%s/members", ld->in->dir);

    return archive_plan_read(members, &ld->plan);
}

static err *job_publish(void *st)
{
    load *ld = st;

    return staged_publish(ld->plan.images, ld->plan.n_images);
}

/* Also after success: a layer that another load brought meanwhile is not wanted twice. */
static err *job_tidy(void *st)
{
    load *ld = st;

    TRY(staged_withdraw(ld->plan.images, ld->plan.n_images));
    return intake_unstage(ld->in);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    load *ld = st;

    staged_record(ld->plan.images, ld->plan.n_images, on_recorded, f);
}

static err *now_say(void *st)
{
    load *ld = st;

    for (size_t i = 0; i < ld->plan.n_images; i++) {
        const staged_image *s = &ld->plan.images[i];
        auto_free char *line = NULL;

        image_event("load", s->id, s->id);
        for (size_t t = 0; t < s->tags.n; t++) {
            auto_free char *tagged = xasprintf("Loaded image: %s\n", s->tags.v[t]);

            if (!ld->in->cancelled)
                ld->in->ev.on_said(ld->in->arg, tagged);
        }
        line = xasprintf("Loaded image ID: %s\n", s->id);
        if (!s->tags.n && !ld->in->cancelled)
            ld->in->ev.on_said(ld->in->arg, line);
    }
    return NULL;
}

static void load_free(void *st)
{
    load *ld = st;

    if (!ld)
        return;
    for (size_t i = 0; i < ld->n_held; i++)
        layer_unuse(ld->held[i]);
    free(ld->held);
    archive_plan_done(&ld->plan);
    free(ld);
}

static const flow_step load_steps[] = {
    {"stage", JOB(job_stage), SLOW_JOB(job_unstage)},
    {"unpack members", CALL(call_members)},
    {"read the manifest", JOB(job_plan)},
    {"unpack layers", EACH(&load_layer_flow, next_layer, 2)},
    {"publish", SLOW_JOB(job_publish), SLOW_JOB(job_tidy)},
    {"record", CALL(call_record)},
    {"tidy", SLOW_JOB(job_tidy)},
    {"say", NOW(now_say)},
    {0},
};
const flow_def load_flow = {"image.load", load_steps, load_free, HANGUP_UNWIND};

static void on_loaded(void *arg, void *st, err *e)
{
    (void)st;
    intake_over(arg, e);
}

err *image_load(const intake_events *ev, void *arg, image_intake **ret)
{
    load *ld = new0(load);

    ld->in = intake_new(ev, arg);
    ld->in->flow = flow_begin(&load_flow, ld, on_loaded, ld->in);
    *ret = ld->in;
    return NULL;
}
