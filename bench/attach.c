/* attach.c - bytes through `cat` in a container and back over one attached connection. */
#include "container.h"
#include "docker.h"
#include "scenarios.h"
#include "tarfile.h"
#include <berth/mem.h>

typedef struct attach_args {
    container_args container;
    upload bytes;
} attach_args;

static void render_attach(worker *w, buf *out)
{
    auto_free char *path =
        xasprintf("/containers/%s/attach?stream=1&stdin=1&stdout=1&stderr=1", w->id);

    bench_render(w->b, out, "POST", path, NULL);
}

static upload through(worker *w)
{
    const attach_args *args = w->arg;

    return args->bytes;
}

static bool came_back(worker *w, const char *body)
{
    const attach_args *args = w->arg;

    (void)body;
    return w->received >= args->bytes.n;
}

static const cycle_step steps[] = {
    {"create", container_create, container_created},
    {"start", container_start},
    {"attach to end", render_attach, came_back, .hijacked = true, .big = true, .upload = through},
    {"wait", container_wait, container_waited},
    {"delete", container_delete, .tidy = true},
    {0},
};

err *attach_run(bench *b)
{
    attach_args args = {.bytes = tarfile_lines(b->opt->size_mb * 1000000)};

    if (b->to->tls)
        return err_new(ERR_INVALID, "attach needs a connection without TLS");
    args.bytes.hijacked = true;
    args.container.create_body = docker_create_body_with(
        b, (const char *const[]){"cat", NULL},
        "{\"OpenStdin\":true,\"StdinOnce\":true,\"AttachStdin\":true,\"AttachStdout\":true}");
    cycle_run(b, steps, &args);
    bench_throughput(b, "attach to end", args.bytes.n);
    mem_freep(&args.container.create_body);
    tarfile_free(&args.bytes);
    return NULL;
}
