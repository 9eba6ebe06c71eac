/* container.c - the steps that cycles have in common. */
#include "container.h"
#include "docker.h"
#include <berth/mem.h>
#include <cjson/cJSON.h>
#include <inttypes.h>

static void render_at(worker *w, buf *out, const char *method, const char *suffix)
{
    auto_free char *path = xasprintf("/containers/%s%s", w->id, suffix);

    bench_render(w->b, out, method, path, NULL);
}

void container_create(worker *w, buf *out)
{
    const container_args *args = w->arg;
    auto_free char *path =
        xasprintf("/containers/create?name=berth-bench-%s-%" PRIu64, w->b->run_id, w->number);

    bench_render(w->b, out, "POST", path, args->create_body);
}

bool container_created(worker *w, const char *body)
{
    w->id = docker_member(body, "Id");
    return w->id;
}

void container_start(worker *w, buf *out)
{
    render_at(w, out, "POST", "/start");
}

void container_wait(worker *w, buf *out)
{
    render_at(w, out, "POST", "/wait");
}

bool container_waited(worker *w, const char *body)
{
    cJSON *j = cJSON_Parse(body);
    const cJSON *status = cJSON_GetObjectItem(j, "StatusCode");
    bool ok = cJSON_IsNumber(status) && status->valueint == 0;

    (void)w;
    cJSON_Delete(j);
    return ok;
}

void container_delete(worker *w, buf *out)
{
    render_at(w, out, "DELETE", "?force=1&v=1");
}
