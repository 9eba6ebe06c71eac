/* pull_layer.c - one layer from a registry into a directory, in one pass.
 *
 * Download, both digests, decompression and unpacking happen while the bytes pass.  A connection
 * that breaks is taken up again where it broke; what was fed to the helper stays fed.  Only so many
 * layers are downloaded at once, over all pulls.  Loop thread only, except job_*. */
#include "pull.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    PROGRESS_MS = 100,
    REST_S = 1, /* before the second attempt; doubled with each */
    REST_MOST_S = 30,
};

typedef struct arrival {
    pull_layer *l;
    image_intake *in;
    char *path;
    registry_ask *ask;
    flow *step;
    timer *rest;
    uint64_t told_ms;
    int64_t skip; /* of an answer that begins anew */
    unsigned attempts;
    bool has_turn, waiting, over;
    unpacked told;
    struct arrival *prev, *next; /* of those that wait for their turn */
} arrival;

static arrival *queue;
static unsigned downloading;

/* ---- turns ---- */

static void give_turns(void)
{
    while (queue && downloading < images_registry()->max_downloads) {
        arrival *a = queue;

        DL_DELETE(queue, a);
        a->waiting = false;
        a->has_turn = true;
        downloading++;
        flow_resume(a->step, NULL);
    }
}

static void cut_waiting(void *st)
{
    arrival *a = st;

    if (!a->waiting)
        return;
    DL_DELETE(queue, a);
    a->waiting = false;
    flow_resume(a->step, err_new(ERR_CANCELLED, "pull was cancelled"));
}

static void on_turns(void *arg)
{
    (void)arg;
    give_turns();
}

static void call_turn(void *st, flow *f)
{
    arrival *a = st;

    a->step = f;
    a->waiting = true;
    DL_APPEND(queue, a);
    if (downloading >= images_registry()->max_downloads)
        pull_layer_say(a->l, "Waiting");
    flow_on_cancel(f, cut_waiting);
    loop_defer(on_turns, NULL);
}

static err *now_yield(void *st)
{
    arrival *a = st;

    if (a->has_turn)
        downloading--;
    a->has_turn = false;
    give_turns();
    return NULL;
}

/* ---- the bytes ---- */

static void ask_bytes(arrival *a);

/* The helper ends, and with it the step. */
static void give_up(arrival *a, err *e)
{
    a->over = true;
    ask_free(take(a->ask));
    if (a->in->refused)
        err_free(e);
    else
        a->in->refused = e;
    unpack_kill(a->in->unpack);
}

static void show(arrival *a)
{
    uint64_t now = loop_now_ms();

    if (now - a->told_ms < PROGRESS_MS)
        return;
    a->told_ms = now;
    pull_layer_progress(a->l);
}

/* A server that knows no ranges begins anew: what we have is left out. */
static void on_head(void *arg, int status)
{
    arrival *a = arg;

    a->skip = status == 206 ? 0 : a->l->got;
}

static bool on_data(void *arg, const char *p, size_t n)
{
    arrival *a = arg;
    size_t skipped = (int64_t)n < a->skip ? n : (size_t)a->skip;

    a->skip -= (int64_t)skipped;
    p += skipped;
    n -= skipped;
    if (!n || a->over)
        return true;
    a->l->got += (int64_t)n;
    if (a->l->got > a->l->what->size) {
        give_up(a, err_new(ERR_INVALID, "layer %s is longer than its manifest says",
                           a->l->what->digest));
        return true;
    }
    show(a);
    return intake_write(a->in, p, n);
}

static void on_rested(void *arg)
{
    arrival *a = arg;

    timer_stop(take(a->rest));
    ask_bytes(a);
}

static void try_again(arrival *a, err *e)
{
    unsigned seconds = REST_S << (a->attempts < 5 ? a->attempts - 1 : 5);

    if (a->attempts >= images_registry()->max_attempts || err_kind(e) == ERR_NOT_FOUND ||
        err_kind(e) == ERR_INVALID) {
        give_up(a, e);
        return;
    }
    err_free(e);
    if (seconds > REST_MOST_S)
        seconds = REST_MOST_S;
    pull_layer_say(a->l, seconds == 1
                             ? "Retrying in 1 second"
                             : arena_printf(a->l->pull->arena, "Retrying in %u seconds", seconds));
    a->rest = timer_start("pull.rest", (uint64_t)seconds * 1000, on_rested, a);
}

static void on_end(void *arg, err *e)
{
    arrival *a = arg;

    ask_free(take(a->ask));
    if (a->over) {
        err_free(e);
        return;
    }
    if (!e && a->l->got < a->l->what->size)
        e = err_new(ERR_UNAVAILABLE, "unexpected EOF");
    if (e) {
        try_again(a, e);
        return;
    }
    a->over = true;
    pull_layer_say(a->l, "Download complete");
    intake_end(a->in);
}

static const ask_events bytes_events = {on_head, on_data, on_end};

static void ask_bytes(arrival *a)
{
    a->attempts++;
    a->ask = registry_begin(a->l->pull->registry,
                            &(ask_opts){.method = "GET", .path = a->path, .from = a->l->got},
                            &bytes_events, a);
}

static void on_drain(void *arg)
{
    arrival *a = arg;

    if (a->ask)
        ask_resume(a->ask);
}

static const intake_events feed_events = {.on_drain = on_drain};

static void cut_download(void *st)
{
    arrival *a = st;

    timer_stop(take(a->rest));
    give_up(a, err_new(ERR_CANCELLED, "pull was cancelled"));
}

static void call_download(void *st, flow *f)
{
    arrival *a = st;

    a->told_ms = loop_now_ms();
    ask_bytes(a);
    flow_on_cancel(f, cut_download);
    intake_unpack(a->in, "fs", APPLY_LAYER, f);
}

/* ---- the flow ---- */

static err *job_stage(void *st)
{
    return intake_stage(((arrival *)st)->in, "fs");
}

static err *job_check(void *st)
{
    arrival *a = st;
    staged_layer *to = &a->l->pull->staged.layers[a->l->index];
    auto_free char *fs = xasprintf("%s/fs", a->in->dir);

    TRY(unpack_result(a->in->unpack, fs, &a->told));
    if (!str_eq(a->told.packed, a->l->what->digest))
        return err_new(ERR_INVALID, "filesystem layer verification failed for digest %s",
                       a->l->what->digest);
    if (!str_eq(a->told.plain, to->diff_id))
        return err_new(ERR_INVALID, "layers from manifest don't match image configuration");
    to->size = a->told.size;
    to->dir = xstrdup(a->in->dir);
    return NULL;
}

static err *now_done(void *st)
{
    pull_layer_say(((arrival *)st)->l, "Pull complete");
    return NULL;
}

/* What still asks or rests has nobody to tell any more. */
static err *now_end(void *st)
{
    arrival *a = st;

    a->over = true;
    ask_free(take(a->ask));
    timer_stop(take(a->rest));
    return now_yield(a);
}

static void arrival_free(void *st)
{
    arrival *a = st;

    if (!a)
        return;
    intake_drop(a->in);
    unpacked_done(&a->told);
    free(a->path);
    free(a);
}

static const flow_step layer_steps[] = {
    {"turn", CALL(call_turn), NOW(now_yield)},
    {"stage", JOB(job_stage)},
    {"download", CALL(call_download), NOW(now_end)},
    {"yield", NOW(now_yield)},
    {"check", SLOW_JOB(job_check)},
    {"say", NOW(now_done)},
    {0},
};
const flow_def pull_layer_flow = {"image.pull-layer", layer_steps, arrival_free, HANGUP_UNWIND};

void *pull_layer_begin(pull_layer *l)
{
    arrival *a = new0(arrival);

    a->l = l;
    a->in = intake_new(&feed_events, a);
    free(a->in->dir);
    a->in->dir = xasprintf("%s/layer-%zu", l->pull->dir, l->index);
    a->path = xasprintf("blobs/%s", l->what->digest);
    return a;
}
