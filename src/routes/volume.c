/* volume.c - the volume router: decode, ask, answer.  Loop thread only. */
#include "routes.h"
#include <berth/api/volume.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>

/* Clients before 1.42 prune named volumes too, and know no filter that asks for it. */
enum { PRUNE_ANONYMOUS_SINCE = 42 };

static void list_volumes(request *r)
{
    static const char *const keys[] = {"dangling", "driver", "label", "name", NULL};
    arena *a = request_arena(r);
    filters *f = NULL;
    volume **list = NULL;
    size_t n = 0;
    volumes_answer answer = {0};
    err *e = filters_parse(request_query(r, "filters"), keys, a, &f);

    if (!e)
        e = volumes_list(f, a, &list, &n);
    if (e) {
        reply_error(r, e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        volume_describe(list[i], a, json_list_add(&answer.volumes, a, &volume_info_json));
    reply_json(r, 200, &volumes_answer_json, &answer);
}

static void reply_volume(request *r, int status, const volume *v)
{
    volume_info info = {0};

    volume_describe(v, request_arena(r), &info);
    reply_json(r, status, &volume_info_json, &info);
}

static void inspect_volume(request *r)
{
    volume *v = NULL;
    err *e = volume_find(request_param(r, "name"), &v);

    if (e)
        reply_error(r, e);
    else
        reply_volume(r, 200, v);
}

static void on_created(void *arg, err *e, volume *v)
{
    if (e)
        reply_error(arg, e);
    else
        reply_volume(arg, 201, v);
}

static void create_volume(request *r)
{
    volume_create_body body = {0};
    volume_wish wish;
    err *e = request_json(r, &volume_create_body_json, false, &body);

    if (!e && body.cluster.text)
        e = err_new(ERR_UNAVAILABLE,
                    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm "
                    "join\" to connect this node to swarm and try again.");
    if (e) {
        reply_error(r, e);
        return;
    }
    wish = (volume_wish){body.name, body.driver, &body.driver_opts, &body.labels};
    volume_create(&wish, on_created, r);
}

static void on_removed(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 204);
}

static void remove_volume(request *r)
{
    volume_remove(request_param(r, "name"), request_query_bool(r, "force", false), on_removed, r);
}

/* Only volumes of a cluster can be changed, and there is no cluster. */
static void update_volume(request *r)
{
    reply_error(r, err_new(ERR_UNAVAILABLE,
                           "This node is not a swarm manager. Use \"docker swarm init\" or "
                           "\"docker swarm join\" to connect this node to swarm and try again."));
}

static void on_pruned(void *arg, err *e, const volumes_pruned *pruned)
{
    if (e)
        reply_error(arg, e);
    else
        reply_json(arg, 200, &volumes_pruned_json, pruned);
}

static void prune_volumes(request *r)
{
    static const char *const keys[] = {"label", "label!", "all", NULL};
    filters *f = NULL;
    bool all = false;
    err *e = filters_parse(request_query(r, "filters"), keys, request_arena(r), &f);

    if (!e)
        e = filters_bool(f, "all", false, &all);
    if (!e && request_version(r) < PRUNE_ANONYMOUS_SINCE) {
        if (filters_has(f, "all"))
            e = err_new(ERR_INVALID, "invalid filter 'all'");
        all = true;
    }
    if (e)
        reply_error(r, e);
    else
        volumes_prune(f, all, on_pruned, r);
}

const route volume_routes[] = {
    {GET, "/volumes", list_volumes, 0},
    {GET, "/volumes/{name}", inspect_volume, 0},
    {POST, "/volumes/create", create_volume, 0},
    {POST, "/volumes/prune", prune_volumes, SINCE(25)},
    {PUT, "/volumes/{name}", update_volume, SINCE(42)},
    {DELETE, "/volumes/{name}", remove_volume, 0},
    {0},
};
