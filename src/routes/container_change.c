/* container_change.c - the part of the container router that changes what is there: pause, rename,
 * update, prune; and top.  Loop thread only. */
#include "routes.h"
#include <berth/api/container.h>
#include <berth/container.h>
#include <berth/str.h>

static void on_done_204(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 204);
}

static void pause_container(request *r)
{
    container *c = route_container(r);

    if (c)
        container_pause(c, on_done_204, r);
}

static void unpause_container(request *r)
{
    container *c = route_container(r);

    if (c)
        container_unpause(c, on_done_204, r);
}

static void rename_container(request *r)
{
    container *c = route_container(r);

    if (c)
        container_rename(c, request_query(r, "name"), on_done_204, r);
}

static void on_updated(void *arg, err *e)
{
    const update_answer answer = {0};

    if (e)
        reply_error(arg, e);
    else
        reply_json(arg, 200, &update_answer_json, &answer);
}

/* PidsLimit came with 1.40, NanoCpus with 1.28. */
static void update_container(request *r)
{
    host_config wish = {0};
    err *e = request_json(r, &host_config_json, false, &wish);
    container *c;

    if (e) {
        reply_error(r, e);
        return;
    }
    if (request_version(r) < 40)
        wish.pids_limit = (json_opt_int){0};
    if (request_version(r) < 28)
        wish.nano_cpus = 0;
    if ((c = route_container(r)))
        container_update(c, &wish, on_updated, r);
}

typedef struct top_request {
    request *r;
    top_answer answer;
} top_request;

static void on_top(void *arg, err *e)
{
    top_request *t = arg;

    if (e)
        reply_error(t->r, e);
    else
        reply_json(t->r, 200, &top_answer_json, &t->answer);
}

static void top_container(request *r)
{
    container *c = route_container(r);
    top_request *t;

    if (!c)
        return;
    t = arena_alloc(request_arena(r), sizeof(*t));
    t->r = r;
    container_top(c, request_query(r, "ps_args"), request_arena(r), &t->answer, on_top, t);
}

typedef struct prune_request {
    request *r;
    containers_pruned answer;
} prune_request;

static void on_pruned(void *arg, err *e)
{
    prune_request *p = arg;

    if (e)
        reply_error(p->r, e);
    else
        reply_json(p->r, 200, &containers_pruned_json, &p->answer);
}

static void prune_containers(request *r)
{
    static const char *const keys[] = {"label", "label!", "until", NULL};
    filters *f = NULL;
    prune_request *p;
    err *e = filters_parse(request_query(r, "filters"), keys, request_arena(r), &f);

    if (e) {
        reply_error(r, e);
        return;
    }
    p = arena_alloc(request_arena(r), sizeof(*p));
    p->r = r;
    containers_prune(f, request_arena(r), &p->answer, on_pruned, p);
}

static void on_committed(void *arg, err *e, const char *image_id)
{
    auto_buf text = {0};

    if (e) {
        reply_error(arg, e);
        return;
    }
    buf_printf(&text, "{\"Id\":\"%s\"}\n", image_id);
    reply_bytes(arg, 201, "application/json", text.data, text.len);
}

static void commit_container(request *r)
{
    arena *a = request_arena(r);
    container_config *config = arena_alloc(a, sizeof *config);
    json_strs *changes = arena_alloc(a, sizeof *changes);
    container *c = NULL;
    const char *change;
    size_t n;
    err *e = container_find(str_or(request_query(r, "container"), ""), &c);

    (void)request_body(r, &n);
    if (!e && n)
        e = request_json(r, &container_config_json, true, config);
    if (e) {
        reply_error(r, e);
        return;
    }
    for (size_t i = 0; (change = request_query_nth(r, "changes", i)); i++)
        json_strs_add(changes, a, change);
    container_commit(c,
                     &(container_commit_opts){.config = config,
                                              .repo = str_or(request_query(r, "repo"), ""),
                                              .tag = str_or(request_query(r, "tag"), ""),
                                              .comment = str_or(request_query(r, "comment"), ""),
                                              .author = str_or(request_query(r, "author"), ""),
                                              .changes = changes,
                                              .pause = request_query_bool(r, "pause", true)},
                     a, on_committed, r);
}

const route container_change_routes[] = {
    {POST, "/commit", commit_container, 0},
    {POST, "/containers/prune", prune_containers, SINCE(25)},
    {GET, "/containers/{id}/top", top_container, 0},
    {POST, "/containers/{id}/pause", pause_container, 0},
    {POST, "/containers/{id}/unpause", unpause_container, 0},
    {POST, "/containers/{id}/rename", rename_container, 0},
    {POST, "/containers/{id}/update", update_container, 0},
    {0},
};
