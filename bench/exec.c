/* exec.c - exec create and start of `true` in one running container, to the end of its stream.
 *
 * Start has a connection of its own, as the docker CLI gives it one: the server takes it over. That
 * the program really ended with 0 is asked afterwards, beside the total. */
#include "cycle.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <cjson/cJSON.h>

static void render_create(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/containers/%s/exec", w->b->subject);

    bench_render(w->b, out, "POST", path,
                 "{\"AttachStdout\":true,\"AttachStderr\":true,\"Cmd\":[\"true\"]}");
}

static bool created(worker *w, const char *body)
{
    w->exec_id = docker_member(body, "Id");
    return w->exec_id;
}

static void render_start(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/exec/%s/start", w->exec_id);

    bench_render(w->b, out, "POST", path, "{\"Detach\":false,\"Tty\":false}");
}

static void render_inspect(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/exec/%s/json", w->exec_id);

    bench_render(w->b, out, "GET", path, NULL);
}

static bool succeeded(worker *w, const char *body)
{
    cJSON *j = cJSON_Parse(body);
    const cJSON *code = cJSON_GetObjectItem(j, "ExitCode");
    bool ok = cJSON_IsNumber(code) && code->valueint == 0;

    (void)w;
    cJSON_Delete(j);
    return ok;
}

static const cycle_step steps[] = {
    {"exec create", render_create, created},
    {"exec start to end", render_start, .hijacked = true},
    {"exec inspect (aside)", render_inspect, succeeded, .aside = true},
    {0},
};

err *exec_prepare(bench *b)
{
    auto_free char *body = docker_create_body(b, (const char *const[]){"sleep", "86400", NULL});

    TRY(docker_create(b, body, &b->subject));
    return docker_start(b, b->subject);
}

err *exec_run(bench *b)
{
    cycle_run(b, steps, NULL);
    return NULL;
}
