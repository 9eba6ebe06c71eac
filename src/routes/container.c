/* container.c - the container router: decode, ask, answer.  Loop thread only. */
#include "routes.h"
#include <berth/api/container.h>
#include <berth/container.h>
#include <berth/timefmt.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>

container *route_container(request *r)
{
    container *c = NULL;
    err *e = container_find(request_param(r, "id"), &c);

    if (e) {
        reply_error(r, e);
        return NULL;
    }
    return c;
}

/* ---- list ---- */

typedef struct listing {
    request *r;
    container **list;
    int64_t *written; /* of each, when sizes are asked for; else NULL */
    size_t n;
} listing;

static void list_reply(const listing *l)
{
    arena *a = request_arena(l->r);
    container_summary *out = arena_alloc(a, (l->n + 1) * sizeof(*out));
    auto_buf text = {0};

    for (size_t i = 0; i < l->n; i++) {
        container_summarize(l->list[i], a, &out[i]);
        if (request_version(l->r) < 45)
            container_legacy_aliases(l->list[i], a, &out[i].network_settings.networks);
        if (l->written) {
            out[i].size_rw = l->written[i];
            out[i].size_root_fs = l->written[i] + container_image_bytes(l->list[i]);
        }
    }
    json_encode_list(&container_summary_json, out, l->n, request_version(l->r), &text);
    buf_char(&text, '\n');
    reply_bytes(l->r, 200, "application/json", text.data, text.len);
}

static void on_list_sized(void *arg, err *e)
{
    listing *l = arg;

    if (e)
        reply_error(l->r, e);
    else
        list_reply(l);
}

static void list_containers(request *r)
{
    static const char *const keys[] = {
        "ancestor", "before", "expose",  "exited",  "health", "id",     "isolation", "is-task",
        "label",    "name",   "network", "publish", "since",  "status", "volume",    NULL};
    arena *a = request_arena(r);
    listing *l = arena_alloc(a, sizeof(*l));
    filters *f = NULL;
    int64_t limit = 0;
    err *e = filters_parse(request_query(r, "filters"), keys, a, &f);

    l->r = r;
    if (!e)
        e = request_query_int(r, "limit", 0, &limit);
    if (!e)
        e = containers_list(f, request_query_bool(r, "all", false), limit, a, &l->list, &l->n);
    if (e) {
        reply_error(r, e);
    } else if (request_query_bool(r, "size", false)) {
        l->written = arena_alloc(a, (l->n + 1) * sizeof(*l->written));
        containers_sizes(l->list, l->n, l->written, on_list_sized, l);
    } else {
        list_reply(l);
    }
}

/* ---- create ---- */

static void on_created(void *arg, err *e, container *c, const strv *warnings)
{
    request *r = arg;
    create_answer answer = {0};

    if (e) {
        reply_error(r, e);
        return;
    }
    answer.id = (char *)container_id(c);
    for (size_t i = 0; i < warnings->n; i++)
        json_strs_add(&answer.warnings, request_arena(r), warnings->v[i]);
    reply_json(r, 201, &create_answer_json, &answer);
}

static void create_container(request *r)
{
    container_config *config = arena_alloc(request_arena(r), sizeof(*config));
    create_extra extra = {0};
    container_create_opts opts = {
        .name = str_or(request_query(r, "name"), ""),
        .platform = request_version(r) < 41 ? "" : str_or(request_query(r, "platform"), ""),
        .api_version = request_version(r)};
    err *e = request_json(r, &container_config_json, false, config);

    if (!e)
        e = request_json(r, &create_extra_json, false, &extra);
    if (e) {
        reply_error(r, e);
        return;
    }
    if (!extra.host_config)
        extra.host_config = arena_alloc(request_arena(r), sizeof(host_config));
    opts.config = config;
    opts.host = extra.host_config;
    opts.networking = extra.networking_config.text ? &extra.networking_config : NULL;
    container_create(&opts, on_created, r);
}

/* ---- one container ---- */

static void on_done_204(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 204);
}

static void on_done_200(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 200);
}

typedef struct inspecting {
    request *r;
    container *c; /* referenced by the count */
    int64_t written;
} inspecting;

static void inspect_reply(request *r, container *c, const int64_t *written)
{
    container_inspect *out = arena_alloc(request_arena(r), sizeof(*out));

    container_inspected(c, request_arena(r), out);
    if (request_version(r) < 45)
        container_legacy_aliases(c, request_arena(r), &out->network_settings.networks);
    if (written) {
        out->size_rw = (json_opt_int){true, *written};
        out->size_root_fs = (json_opt_int){true, *written + container_image_bytes(c)};
    }
    reply_json(r, 200, &container_inspect_json, out);
}

static void on_inspect_sized(void *arg, err *e)
{
    inspecting *i = arg;

    if (e)
        reply_error(i->r, e);
    else
        inspect_reply(i->r, i->c, &i->written);
}

static void inspect_container(request *r)
{
    container *c = route_container(r);
    inspecting *i;

    if (!c)
        return;
    if (!request_query_bool(r, "size", false)) {
        inspect_reply(r, c, NULL);
        return;
    }
    i = arena_alloc(request_arena(r), sizeof(*i));
    *i = (inspecting){.r = r, .c = c};
    containers_sizes(&i->c, 1, &i->written, on_inspect_sized, i);
}

static void start_container(request *r)
{
    container *c;
    size_t n;

    request_body(r, &n);
    if (n > 7) { /* "{}" and "null" were sent by old clients */
        reply_error(
            r, err_new(ERR_INVALID,
                       "starting container with non-empty request body was deprecated since API "
                       "v1.22 and removed in v1.24"));
        return;
    }
    if (!str_empty(request_query(r, "checkpoint"))) {
        reply_error(r, err_new(ERR_UNSUPPORTED, "starting from a checkpoint is not supported"));
        return;
    }
    if ((c = route_container(r)))
        container_start(c, on_done_204, r);
}

/* "signal" of stop and restart came with 1.42; t in whole seconds. */
static err *stop_options(request *r, const char **ret_signal, int *ret_timeout_s)
{
    int64_t t = STOP_TIMEOUT_DEFAULT;

    TRY(request_query_int(r, "t", STOP_TIMEOUT_DEFAULT, &t));
    if (t != STOP_TIMEOUT_DEFAULT && t < 0)
        t = -1;
    *ret_timeout_s = t > INT32_MAX / 1000 ? INT32_MAX / 1000 : (int)t;
    *ret_signal = request_version(r) < 42 ? NULL : request_query(r, "signal");
    return NULL;
}

static void stop_or_restart(request *r,
                            void (*what)(container *, const char *, int, container_done *, void *))
{
    const char *signal;
    int timeout_s;
    err *e = stop_options(r, &signal, &timeout_s);
    container *c;

    if (e)
        reply_error(r, e);
    else if ((c = route_container(r)))
        what(c, signal, timeout_s, on_done_204, r);
}

static void stop_container(request *r)
{
    stop_or_restart(r, container_stop);
}

static void restart_container(request *r)
{
    stop_or_restart(r, container_restart);
}

static void kill_container(request *r)
{
    container *c = route_container(r);

    if (c)
        on_done_204(r, container_kill(c, request_query(r, "signal")));
}

static void remove_container(request *r)
{
    container *c;

    if (request_query_bool(r, "link", false)) {
        reply_error(r, err_new(ERR_UNSUPPORTED, "removing a link is not supported"));
        return;
    }
    if ((c = route_container(r)))
        container_remove(c, request_query_bool(r, "force", false),
                         request_query_bool(r, "v", false), on_done_204, r);
}

static void resize_container(request *r)
{
    unsigned rows, cols;
    err *e = route_tty_size(r, &rows, &cols);
    container *c;

    if (e)
        reply_error(r, e);
    else if ((c = route_container(r)))
        container_resize(c, rows, cols, on_done_200, r);
}

/* ---- wait: headers leave at once, the answer follows the exit ---- */

typedef struct waiting {
    stream *s;
    container_wait *w;
    int api_version;
} waiting;

static void on_wait_pull(void *arg, stream *s)
{
    (void)arg, (void)s; /* nothing to say before the exit */
}

static void on_wait_stop(void *arg)
{
    waiting *w = arg;

    container_wait_cancel(w->w);
    free(w);
}

static const stream_ops wait_ops = {on_wait_pull, on_wait_stop};

static void on_waited(void *arg, int status, const char *error)
{
    waiting *w = arg;
    wait_error failed = {(char *)error};
    wait_answer answer = {*error ? &failed : NULL, status};
    auto_buf text = {0};

    w->w = NULL;
    json_encode(&wait_answer_json, &answer, w->api_version, &text);
    buf_char(&text, '\n');
    stream_write(w->s, text.data, text.len);
    stream_end(w->s);
}

static err *wait_condition_of(request *r, wait_condition *ret)
{
    const char *text = request_version(r) < 30 ? "" : str_or(request_query(r, "condition"), "");

    *ret = WAIT_NOT_RUNNING;
    if (str_eq(text, "next-exit"))
        *ret = WAIT_NEXT_EXIT;
    else if (str_eq(text, "removed"))
        *ret = WAIT_REMOVED;
    else if (*text && !str_eq(text, "not-running") && request_version(r) >= 42)
        return err_new(ERR_INVALID, "invalid condition: \"%s\"", text);
    return NULL;
}

static void wait_container(request *r)
{
    wait_condition cond;
    err *e = wait_condition_of(r, &cond);
    container *c;
    waiting *w;

    if (e) {
        reply_error(r, e);
        return;
    }
    if (!(c = route_container(r)))
        return;
    w = new0(waiting);
    w->api_version = request_version(r);
    w->w = container_wait_for(c, cond, on_waited, w);
    w->s = reply_stream(r, 200, "application/json", &wait_ops, w);
}

const route container_routes[] = {
    {GET, "/containers/json", list_containers, 0},
    {POST, "/containers/create", create_container, 0},
    {GET, "/containers/{id}/json", inspect_container, 0},
    {GET, "/containers/{id}/logs", stream_logs, 0},
    {GET, "/containers/{id}/stats", stream_stats, 0},
    {POST, "/containers/{id}/start", start_container, 0},
    {POST, "/containers/{id}/stop", stop_container, 0},
    {POST, "/containers/{id}/restart", restart_container, 0},
    {POST, "/containers/{id}/kill", kill_container, 0},
    {POST, "/containers/{id}/wait", wait_container, 0},
    {POST, "/containers/{id}/attach", attach_container, 0},
    {POST, "/containers/{id}/resize", resize_container, 0},
    {DELETE, "/containers/{id}", remove_container, 0},
    {0},
};
