/* import.c - `docker import`: one tar becomes an image of one layer.
 *
 * Stage, unpack while the bytes arrive, read the digests, publish, record.  Loop thread only,
 * except job_*. */
#include "intake.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#error "name this architecture as Go does"
#endif

typedef struct import {
    image_intake *in;
    arena *arena;
    image_run_config run;
    char *message, *name, *architecture; /* name: familiar, NULL for none */
    unpacked told;
    staged_image staged;
} import;

static err *job_stage(void *st)
{
    return intake_stage(((import *)st)->in, "layer/fs");
}

static err *job_unstage(void *st)
{
    return intake_unstage(((import *)st)->in);
}

static void call_unpack(void *st, flow *f)
{
    intake_unpack(((import *)st)->in, "layer/fs", APPLY_LAYER, f);
}

static char *config_text(const import *im)
{
    char now[TIME_TEXT];
    image_history history = {.comment = im->message};
    image_config config = {
        .architecture = im->architecture, .os = "linux", .config = im->run, .comment = im->message};
    auto_buf text = {0};

    time_rfc3339(time_now_ns(), now);
    config.created = history.created = now;
    config.rootfs.type = "layers";
    config.rootfs.diff_ids = (json_strs){(char *[]){(char *)im->told.plain}, 1, true};
    config.history = (json_list){&history, 1, true};
    json_encode(&image_config_json, &config, JSON_ANY_VERSION, &text);
    return buf_take(&text);
}

static err *job_publish(void *st)
{
    import *im = st;
    auto_free char *fs = xasprintf("%s/layer/fs", im->in->dir);
    staged_image *s = &im->staged;

    TRY(unpack_result(im->in->unpack, fs, &im->told));
    s->config_text = config_text(im);
    digest_of(s->config_text, strlen(s->config_text), s->id);
    s->layers = xcalloc(1, sizeof(*s->layers));
    s->n_layers = 1;
    memcpy(s->layers[0].diff_id, im->told.plain, sizeof(im->told.plain));
    memcpy(s->layers[0].chain_id, im->told.plain, sizeof(im->told.plain));
    s->layers[0].size = im->told.size;
    s->layers[0].dir = xasprintf("%s/layer", im->in->dir);
    if (im->name)
        strv_push(&s->tags, im->name);
    return staged_publish(s, 1);
}

/* Also after success: a layer that was there already is not wanted twice. */
static err *job_tidy(void *st)
{
    import *im = st;

    TRY(staged_withdraw(&im->staged, im->staged.config_text ? 1 : 0));
    return intake_unstage(im->in);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    staged_record(&((import *)st)->staged, 1, on_recorded, f);
}

static err *now_announce(void *st)
{
    import *im = st;

    memcpy(im->in->id, im->staged.id, sizeof(im->in->id));
    image_event("import", im->staged.id, im->name ? im->name : im->staged.id);
    if (im->name)
        image_event("tag", im->staged.id, im->name);
    return NULL;
}

static void import_free(void *st)
{
    import *im = st;

    if (!im)
        return;
    staged_image_done(&im->staged);
    unpacked_done(&im->told);
    free(im->message);
    free(im->name);
    free(im->architecture);
    arena_free(im->arena);
    free(im);
}

static const flow_step import_steps[] = {
    {"stage", JOB(job_stage), SLOW_JOB(job_unstage)},
    {"unpack", CALL(call_unpack)},
    {"publish", SLOW_JOB(job_publish), SLOW_JOB(job_tidy)},
    {"record", CALL(call_record)},
    {"tidy", SLOW_JOB(job_tidy)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def import_flow = {"image.import", import_steps, import_free, HANGUP_UNWIND};

static void on_imported(void *arg, void *st, err *e)
{
    (void)st;
    intake_over(arg, e);
}

static err *prepare(import *im, const import_opts *o)
{
    const char *slash = strchr(str_or(o->platform, ""), '/');

    im->arena = arena_new();
    im->message = xstrdup(str_or(o->message, "Imported from -"));
    im->architecture = xstrdup(slash ? slash + 1 : ARCHITECTURE);
    if (!str_empty(o->platform) && (!slash || !str_starts(o->platform, "linux/")))
        return err_new(ERR_INVALID, "operating system is not supported: %s", o->platform);
    if (!str_empty(o->repo))
        TRY(image_new_name(o->repo, o->tag, "cannot import digest reference", &im->name));
    return changes_apply(o->changes, &im->run, im->arena);
}

err *image_import(const import_opts *opts, const intake_events *ev, void *arg, image_intake **ret)
{
    import *im = new0(import);
    err *e = prepare(im, opts);

    if (e) {
        import_free(im);
        return e;
    }
    im->in = intake_new(ev, arg);
    im->in->flow = flow_begin(&import_flow, im, on_imported, im->in);
    *ret = im->in;
    return NULL;
}
