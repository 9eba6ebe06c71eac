/* archive.c - one big file into a container and out of it, and the image that it makes. */
#include "cycle.h"
#include "docker.h"
#include "scenarios.h"
#include "tarfile.h"
#include <berth/mem.h>
#include <inttypes.h>

static uint64_t bytes_of(const bench *b)
{
    return b->opt->size_mb * 1000000;
}

static upload the_file(worker *w)
{
    return w->b->file;
}

static void render_put(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/containers/%s/archive?path=/", w->b->subject);

    bench_render_upload(w->b, out, "PUT", path, w->b->file.n);
}

static void render_get(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/containers/%s/archive?path=/big", w->b->subject);

    bench_render(w->b, out, "GET", path, NULL);
}

static bool got_all(worker *w, const char *body)
{
    (void)body;
    return w->received >= bytes_of(w->b);
}

static void render_commit(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/commit?container=%s&repo=berth-bench-%s&tag=%" PRIu64,
                                     w->b->subject, w->b->run_id, w->number);

    bench_render(w->b, out, "POST", path, "{}");
}

static void render_rmi(worker *w, buf *out)
{
    auto_free char *path =
        xasprintf("/images/berth-bench-%s:%" PRIu64 "?force=1", w->b->run_id, w->number);

    bench_render(w->b, out, "DELETE", path, NULL);
}

static const cycle_step put_steps[] = {
    {"PUT archive", render_put, .upload = the_file, .hijacked = true},
    {0},
};

static const cycle_step get_steps[] = {
    {"GET archive", render_get, got_all, .big = true, .hijacked = true},
    {0},
};

static const cycle_step commit_steps[] = {
    {"commit", render_commit},
    {"rmi", render_rmi},
    {0},
};

err *archive_prepare(bench *b)
{
    auto_free char *body = docker_create_body(b, (const char *const[]){"true", NULL});

    b->file = tarfile_random("big", bytes_of(b));
    return docker_create(b, body, &b->subject);
}

err *archive_get_prepare(bench *b)
{
    auto_free char *path = NULL;

    TRY(archive_prepare(b));
    path = xasprintf("/containers/%s/archive?path=/", b->subject);
    return bench_call_upload(b, "PUT", path, b->file);
}

err *commit_prepare(bench *b)
{
    return archive_get_prepare(b);
}

void archive_finish(bench *b)
{
    tarfile_free(&b->file);
    sweep_finish(b);
}

err *archive_put_run(bench *b)
{
    cycle_run(b, put_steps, NULL);
    bench_throughput(b, "PUT archive", bytes_of(b));
    return NULL;
}

err *archive_get_run(bench *b)
{
    cycle_run(b, get_steps, NULL);
    bench_throughput(b, "GET archive", bytes_of(b));
    return NULL;
}

err *commit_run(bench *b)
{
    cycle_run(b, commit_steps, NULL);
    bench_throughput(b, "commit", bytes_of(b));
    return NULL;
}
