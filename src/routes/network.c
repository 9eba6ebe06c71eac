/* network.c - the network router: decode, ask, answer.  Loop thread only. */
#include "routes.h"
#include <berth/api/network.h>
#include <berth/mem.h>
#include <berth/network.h>
#include <berth/str.h>

/* Clients before 1.28 saw the containers of every network in the list. */
enum { LIST_WITH_CONTAINERS_UNTIL = 27 };

static void list_networks(request *r)
{
    static const char *const keys[] = {"dangling", "driver", "id",   "label",
                                       "name",     "scope",  "type", NULL};
    arena *a = request_arena(r);
    filters *f = NULL;
    network **list = NULL;
    network_inspect *out;
    size_t n = 0;
    auto_buf text = {0};
    err *e = filters_parse(request_query(r, "filters"), keys, a, &f);

    if (!e)
        e = networks_list(f, a, &list, &n);
    if (e) {
        reply_error(r, e);
        return;
    }
    out = arena_alloc(a, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        network_inspected(list[i], request_version(r) <= LIST_WITH_CONTAINERS_UNTIL, a, &out[i]);
    json_encode_list(&network_inspect_json, out, n, request_version(r), &text);
    buf_char(&text, '\n');
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

/* The network a route names; answers itself and returns NULL when there is none. */
static network *named(request *r)
{
    network *n = NULL;
    err *e = network_find(request_param(r, "id"), &n);

    if (e) {
        reply_error(r, e);
        return NULL;
    }
    return n;
}

static void inspect_network(request *r)
{
    const char *scope = request_version(r) < 31 ? "" : str_or(request_query(r, "scope"), "");
    network *n;
    network_inspect *out;

    if (*scope && !str_eq(scope, "local")) {
        reply_error(r, err_new(ERR_NOT_FOUND, "network %s not found", request_param(r, "id")));
        return;
    }
    if (!(n = named(r)))
        return;
    out = arena_alloc(request_arena(r), sizeof *out);
    network_inspected(n, true, request_arena(r), out);
    reply_json(r, 200, &network_inspect_json, out);
}

static void on_created(void *arg, err *e, network *n)
{
    request *r = arg;
    network_create_answer answer = {0};

    if (e) {
        reply_error(r, e);
        return;
    }
    answer.id = (char *)network_id(n);
    reply_json(r, 201, &network_create_answer_json, &answer);
}

static void create_network(request *r)
{
    network_create_request *want = arena_alloc(request_arena(r), sizeof *want);
    err *e = request_json(r, &network_create_request_json, false, want);

    if (e)
        reply_error(r, e);
    else
        network_create(want, on_created, r);
}

static void on_removed(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 204);
}

static void remove_network(request *r)
{
    network *n = named(r);

    if (n)
        network_remove(n, on_removed, r);
}

/* ---- who is on it ---- */

static void on_changed(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 200);
}

/* Fields that came after the client's version are not there. */
static void drop_newer(request *r, endpoint_settings *wish)
{
    if (wish && request_version(r) < 48)
        wish->gw_priority = 0;
}

static void connect_container(request *r)
{
    network_connect_request want = {0};
    container *c = NULL;
    network *n = NULL;
    err *e = request_json(r, &network_connect_request_json, false, &want);

    if (!e)
        e = network_find(request_param(r, "id"), &n);
    if (!e)
        e = container_find(str_or(want.container, ""), &c);
    if (e) {
        reply_error(r, e);
        return;
    }
    drop_newer(r, want.endpoint_config);
    container_connect(c, network_id(n), want.endpoint_config, on_changed, r);
}

static void disconnect_container(request *r)
{
    network_disconnect_request want = {0};
    container *c = NULL;
    err *e = request_json(r, &network_disconnect_request_json, false, &want);

    if (!e)
        e = container_find(str_or(want.container, ""), &c);
    if (e && want.force && err_kind(e) == ERR_NOT_FOUND) {
        err_free(e);
        e = err_new(ERR_NOT_FOUND, "endpoint %s not found", want.container);
    }
    if (e)
        reply_error(r, e);
    else
        container_disconnect(c, request_param(r, "id"), want.force, on_changed, r);
}

/* ---- prune ---- */

static void on_pruned(void *arg, err *e, const strv *deleted)
{
    request *r = arg;
    networks_pruned answer = {{deleted->v, deleted->n, deleted->n > 0}};

    if (e)
        reply_error(r, e);
    else
        reply_json(r, 200, &networks_pruned_json, &answer);
}

static void prune_networks(request *r)
{
    static const char *const keys[] = {"label", "label!", "until", NULL};
    filters *f = NULL;
    err *e = filters_parse(request_query(r, "filters"), keys, request_arena(r), &f);

    if (e)
        reply_error(r, e);
    else
        networks_prune(f, on_pruned, r);
}

const route network_routes[] = {
    {GET, "/networks", list_networks, 0},
    {GET, "/networks/", list_networks, 0},
    {GET, "/networks/{id}", inspect_network, 0},
    {POST, "/networks/create", create_network, 0},
    {POST, "/networks/prune", prune_networks, SINCE(25)},
    {POST, "/networks/{id}/connect", connect_container, 0},
    {POST, "/networks/{id}/disconnect", disconnect_container, 0},
    {DELETE, "/networks/{id}", remove_network, 0},
    {0},
};
