/* ports.c - what a container publishes: the wishes of HostConfig, the claim while it runs.
 *
 * A copy of the claim lies in the run directory, so that the next daemon holds the same ports
 * again. Loop thread only, except job_*. */
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WISHES_MAX = 65535, FILE_MAX_BYTES = 16 << 20 };

#define PORTS_FILE(F, T) F(T, OBJS(published_port), ports, "Ports", EMPTY_LIST)
JSON_DECLARE(ports_file, PORTS_FILE)
JSON_DEFINE(ports_file, PORTS_FILE)

/* ---- create ---- */

/* "80/tcp", "80": the number and the protocol; false for anything else. */
static bool key_parse(const char *key, unsigned *ret_port, const char **ret_protocol)
{
    static const char *const known[] = {"tcp", "udp", "sctp"};
    const char *slash = strchr(key, '/');
    auto_free char *number = xstrndup(key, slash ? (size_t)(slash - key) : strlen(key));
    uint64_t n;

    if (!str_to_uint64(number, &n) || !n || n > UINT16_MAX)
        return false;
    for (size_t i = 0; i < COUNT(known); i++)
        if (!slash || str_eq(slash + 1, known[i])) {
            *ret_port = (unsigned)n;
            *ret_protocol = slash ? known[i] : known[0];
            return true;
        }
    return false;
}

static bool is_address(const char *text)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static err *binding_check(const port_binding *b)
{
    unsigned first, last;

    if (!port_range_parse(b->host_port, &first, &last))
        return err_new(ERR_INVALID, "invalid port specification: \"%s\"", b->host_port);
    if (!str_empty(b->host_ip) && !is_address(b->host_ip))
        return err_new(ERR_INVALID, "invalid IP address: %s", b->host_ip);
    return NULL;
}

err *ports_check(const container_config *k, const host_config *h, strv *warnings)
{
    const char *protocol;
    size_t wishes = 0;
    unsigned port;

    for (size_t i = 0; i < h->port_bindings.n; i++) {
        const json_list *list = &h->port_bindings.v[i];

        if (!key_parse(h->port_bindings.keys[i], &port, &protocol))
            return err_new(ERR_INVALID, "invalid port specification: \"%s\"",
                           h->port_bindings.keys[i]);
        for (size_t n = 0; n < list->n; n++)
            TRY(binding_check(JSON_AT(*list, port_binding, n)));
        wishes += list->n ? list->n : 1;
    }
    for (size_t i = 0; i < k->exposed_ports.n; i++)
        if (!key_parse(k->exposed_ports.v[i], &port, &protocol))
            return err_new(ERR_INVALID, "invalid port specification: \"%s\"",
                           k->exposed_ports.v[i]);
    if (wishes + k->exposed_ports.n > WISHES_MAX)
        return err_new(ERR_INVALID, "too many ports");
    if (!wishes && !h->publish_all_ports)
        return NULL;
    if (str_starts(str_or(h->network_mode, ""), "container:"))
        return err_new(ERR_INVALID, "conflicting options: port publishing and the container type "
                                    "network mode");
    if (str_eq(h->network_mode, "host"))
        strv_push(warnings, "Published ports are discarded when using host network mode");
    return NULL;
}

/* ---- start ---- */

typedef struct wishes {
    port_wish *v;
    size_t n;
} wishes;

static void add_wish(wishes *w, const char *protocol, unsigned port, const port_binding *b)
{
    port_wish one = {
        .protocol = protocol, .port = port, .host_ip = b ? str_or(b->host_ip, "") : ""};

    if (b && !port_range_parse(b->host_port, &one.first, &one.last))
        return; /* it was checked at create */
    w->v = xrealloc(w->v, (w->n + 1) * sizeof(*w->v));
    w->v[w->n++] = one;
}

static void add_bound(wishes *w, const host_config *h)
{
    const char *protocol;
    unsigned port;

    for (size_t i = 0; i < h->port_bindings.n; i++) {
        const json_list *list = &h->port_bindings.v[i];

        if (!key_parse(h->port_bindings.keys[i], &port, &protocol))
            continue;
        for (size_t n = 0; n < list->n; n++)
            add_wish(w, protocol, port, JSON_AT(*list, port_binding, n));
        if (!list->n)
            add_wish(w, protocol, port, NULL);
    }
}

static bool is_wished(const wishes *w, const char *protocol, unsigned port)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].port == port && str_eq(w->v[i].protocol, protocol))
            return true;
    return false;
}

static void add_exposed(wishes *w, const container_config *k)
{
    const char *protocol;
    unsigned port;

    for (size_t i = 0; i < k->exposed_ports.n; i++)
        if (key_parse(k->exposed_ports.v[i], &port, &protocol) && !is_wished(w, protocol, port))
            add_wish(w, protocol, port, NULL);
}

/* The endpoint that outsiders come through: on a bridge that leads out, the one with the default
 * route first. */
static const endpoint *way_in(const container *c)
{
    const endpoint *found = NULL;

    for (size_t i = 0; i < c->n_endpoints; i++) {
        const endpoint *ep = c->endpoints[i];
        const network *n = endpoint_network(ep);

        if (!str_eq(network_driver_name(n), "bridge") || network_is_internal(n) ||
            str_empty(endpoint_ip(ep)))
            continue;
        if (!found || endpoint_is_gateway(ep))
            found = ep;
    }
    return found;
}

err *ports_plan(container *c)
{
    const host_config *h = c->rec.host;
    const endpoint *ep = way_in(c);
    wishes w = {0};
    err *e = NULL;

    if (!ep)
        return NULL;
    add_bound(&w, h);
    if (h->publish_all_ports)
        add_exposed(&w, c->rec.config);
    if (w.n)
        e = err_wrap(ports_take(ep, w.v, w.n, &c->ports), "failed to set up container networking");
    free(w.v);
    return e;
}

/* ---- over the death of a daemon ---- */

static char *file_path(const container *c)
{
    return xasprintf("%s/ports.json", c->run_dir);
}

/* Any thread: the claim does not change. */
err *ports_write(const container *c)
{
    auto_free char *path = file_path(c);
    auto_arena *a = arena_new();
    ports_file file = {0};
    auto_buf text = {0};

    if (!c->ports)
        return NULL;
    for (size_t i = 0; i < ports_count(c->ports); i++)
        *(published_port *)json_list_add(&file.ports, a, &published_port_json) =
            *ports_at(c->ports, i);
    json_encode(&ports_file_json, &file, JSON_ANY_VERSION, &text);
    return file_write(path, text.data, text.len, 0600);
}

static char *read_file(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf text = {0};
    char block[4096];
    ssize_t n;

    while (fd >= 0 && text.len < FILE_MAX_BYTES && (n = read(fd, block, sizeof(block))) > 0)
        buf_add(&text, block, (size_t)n);
    return text.len ? buf_take(&text) : NULL;
}

void ports_restore(container *c)
{
    auto_free char *path = file_path(c), *text = read_file(path);
    const endpoint *ep = way_in(c);
    auto_arena *a = arena_new();
    ports_file file = {0};
    err *e;

    if (!text || !ep)
        return;
    e = json_decode(&ports_file_json, text, strlen(text), JSON_ANY_VERSION, a, &file);
    if (e) {
        err_log(e, "the ports of a running container are not known");
        return;
    }
    c->ports = ports_retake(ep, file.ports.v, file.ports.n);
    ports_are_published(c->ports);
}

/* ---- what clients see ---- */

void ports_describe(const container *c, arena *a, json_maplist *ret)
{
    const json_strs *exposed = &c->rec.config->exposed_ports;

    if (!c->state.running)
        return; /* the claim may be there until the teardown */
    for (size_t i = 0; i < ports_count(c->ports); i++) {
        const published_port *p = ports_at(c->ports, i);
        const char *key = arena_printf(a, "%lld/%s", (long long)p->port, p->protocol);
        port_binding *b = json_list_add(json_maplist_at(ret, a, key), a, &port_binding_json);

        b->host_ip = arena_strdup(a, p->host_ip);
        b->host_port = arena_printf(a, "%lld", (long long)p->host_port);
    }
    for (size_t i = 0; networks_own_netns(c) && i < exposed->n; i++) {
        bool has_protocol = strchr(exposed->v[i], '/') != NULL;

        json_maplist_at(ret, a,
                        has_protocol ? exposed->v[i] : arena_printf(a, "%s/tcp", exposed->v[i]));
    }
}

static int by_port(const void *x, const void *y)
{
    const summary_port *a = x, *b = y;

    if (a->private_port != b->private_port)
        return a->private_port < b->private_port ? -1 : 1;
    if (!str_eq(a->type, b->type))
        return strcmp(a->type, b->type);
    return strcmp(str_or(a->ip, ""), str_or(b->ip, ""));
}

void ports_summarize(const container *c, arena *a, json_list *ret)
{
    json_maplist all = {0};
    const char *protocol;
    unsigned port;

    ports_describe(c, a, &all);
    for (size_t i = 0; i < all.n; i++) {
        if (!key_parse(all.keys[i], &port, &protocol))
            continue;
        if (!all.v[i].n)
            *(summary_port *)json_list_add(ret, a, &summary_port_json) =
                (summary_port){.private_port = port, .type = (char *)protocol};
        for (size_t n = 0; n < all.v[i].n; n++) {
            const port_binding *b = JSON_AT(all.v[i], port_binding, n);
            int64_t host = 0;

            (void)str_to_int64(b->host_port, &host);
            *(summary_port *)json_list_add(ret, a, &summary_port_json) =
                (summary_port){b->host_ip, port, host, (char *)protocol};
        }
    }
    if (ret->n)
        qsort(ret->v, ret->n, sizeof(summary_port), by_port);
}

/* "80", "80/udp", "8000-8010/tcp" among the container's ports: those of the host, or its own. */
bool ports_match(const container *c, const char *wish, bool published)
{
    const char *slash = strchr(wish, '/');
    auto_free char *range = xstrndup(wish, slash ? (size_t)(slash - wish) : strlen(wish));
    const char *protocol = slash ? slash + 1 : "tcp";
    auto_arena *a = arena_new();
    unsigned first, last;
    json_list list = {0};

    if (!port_range_parse(range, &first, &last))
        return false;
    ports_summarize(c, a, &list);
    for (size_t i = 0; i < list.n; i++) {
        const summary_port *p = JSON_AT(list, summary_port, i);
        int64_t n = published ? p->public_port : p->private_port;

        if (n && n >= first && n <= last && str_eq(p->type, protocol))
            return true;
    }
    return false;
}
