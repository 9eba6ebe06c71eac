/* network.c - create and delete of a network with the default driver. */
#include "cycle.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <inttypes.h>

static void render_create(worker *w, buf *out)
{
    auto_free char *body =
        xasprintf("{\"Name\":\"berth-bench-%s-%" PRIu64 "\",\"CheckDuplicate\":true}", w->b->run_id,
                  w->number);

    bench_render(w->b, out, "POST", "/networks/create", body);
}

static bool created(worker *w, const char *body)
{
    w->id = docker_member(body, "Id");
    return w->id;
}

static void render_delete(worker *w, buf *out)
{
    auto_free char *path = xasprintf("/networks/%s", w->id);

    bench_render(w->b, out, "DELETE", path, NULL);
}

static const cycle_step steps[] = {
    {"network create", render_create, created},
    {"network delete", render_delete, .tidy = true},
    {0},
};

err *network_run(bench *b)
{
    cycle_run(b, steps, NULL);
    return NULL;
}
