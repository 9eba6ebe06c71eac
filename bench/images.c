/* images.c - images in and out of the engine: load, save, pull.  What came in goes again. */
#include "cycle.h"
#include "scenarios.h"
#include "tarfile.h"
#include <berth/mem.h>
#include <string.h>

static upload the_file(worker *w)
{
    return w->b->file;
}

static void render_load(worker *w, buf *out)
{
    bench_render_upload(w->b, out, "POST", "/images/load?quiet=1", w->b->file.n);
}

static void render_pull(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/images/create?fromImage=%s", w->b->opt->image);

    bench_render(w->b, out, "POST", path, NULL);
}

static void render_save(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/images/%s/get", w->b->opt->image);

    bench_render(w->b, out, "GET", path, NULL);
}

static void render_rmi(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/images/%s?force=1", w->b->opt->image);

    bench_render(w->b, out, "DELETE", path, NULL);
}

/* What fails after the first byte is told in the stream. */
static bool without_error(worker *w, const char *body)
{
    (void)w;
    return !strstr(body, "\"error\"");
}

static bool something(worker *w, const char *body)
{
    (void)body;
    return w->received > 0;
}

static const cycle_step load_steps[] = {
    {"load", render_load, without_error, .upload = the_file, .hijacked = true},
    {"rmi", render_rmi},
    {0},
};

static const cycle_step pull_steps[] = {
    {"pull", render_pull, without_error},
    {"rmi", render_rmi},
    {0},
};

static const cycle_step save_steps[] = {
    {"save", render_save, something, .big = true, .hijacked = true},
    {0},
};

err *load_prepare(bench *b)
{
    if (!b->opt->file)
        return err_new(ERR_INVALID, "load needs --file");
    return tarfile_read(b->opt->file, &b->file);
}

err *image_load_run(bench *b)
{
    cycle_run(b, load_steps, NULL);
    bench_throughput(b, "load", b->file.n);
    return NULL;
}

void load_finish(bench *b)
{
    tarfile_free(&b->file);
}

err *pull_run(bench *b)
{
    cycle_run(b, pull_steps, NULL);
    return NULL;
}

err *save_run(bench *b)
{
    cycle_run(b, save_steps, NULL);
    return NULL;
}
