/* logs.c - the log's way in and out: a container that writes lines, and GET logs of them.
 *
 * The lines are 100 bytes long.  Writing is timed from the answer to start until the container has
 * ended; that the log has every byte is asked afterwards, beside the total. */
#include "container.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <inttypes.h>

#define WORDS "the quick brown fox jumps over "
#define LINE  WORDS WORDS WORDS "it all" /* and a newline: 100 bytes */

static uint64_t bytes_of(const bench *b)
{
    return b->opt->size_mb * 1000000;
}

/* The body of a create; the caller frees it. */
static char *writer_body(const bench *b)
{
    auto_free char *script =
        xasprintf("busybox yes '" LINE "' | busybox head -c %" PRIu64, bytes_of(b));

    return docker_create_body(b, (const char *const[]){"sh", "-c", script, NULL});
}

static void render_logs(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/containers/%s/logs?stdout=1", w->id ? w->id : w->b->subject);

    bench_render(w->b, out, "GET", path, NULL);
}

/* Every frame of a line has 8 bytes more. */
static bool got_all(worker *w, const char *body)
{
    (void)body;
    return w->received >= bytes_of(w->b) + bytes_of(w->b) / sizeof LINE * 8;
}

static const cycle_step write_steps[] = {
    {"create", container_create, container_created},
    {"start", container_start},
    {"start to end", container_wait, container_waited},
    {"GET logs (aside)", render_logs, got_all, .aside = true, .big = true, .hijacked = true},
    {"delete", container_delete, .tidy = true},
    {0},
};

static const cycle_step read_steps[] = {
    {"GET logs", render_logs, got_all, .big = true, .hijacked = true},
    {0},
};

err *log_write_run(bench *b)
{
    container_args args = {writer_body(b)};

    cycle_run(b, write_steps, &args);
    mem_freep(&args.create_body);
    bench_throughput(b, "start to end", bytes_of(b));
    return NULL;
}

err *log_read_prepare(bench *b)
{
    auto_free char *body = writer_body(b), *path = NULL;

    TRY(docker_create(b, body, &b->subject));
    TRY(docker_start(b, b->subject));
    path = xasprintf("/containers/%s/wait", b->subject);
    return bench_call(b, "POST", path, NULL, NULL);
}

err *log_read_run(bench *b)
{
    cycle_run(b, read_steps, NULL);
    bench_throughput(b, "GET logs", bytes_of(b));
    return NULL;
}
