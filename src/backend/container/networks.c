/* networks.c - the networks a container is on: what was asked for, and its endpoints while it runs.
 *
 * The record has the wishes, by the network's name; while it runs there is an endpoint for each, in
 * the order of the wishes, the network of NetworkMode first.  Loop thread only, except the jobs. */
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

/* ---- endpoints ---- */

bool networks_own_netns(const container *c)
{
    return !networks_is_shared(c->rec.host->network_mode) &&
           !str_eq(c->rec.host->network_mode, "host");
}

/* By id: another network may have taken the name meanwhile, and one that was made again has another
 * id but is meant all the same. */
static err *network_of(const container *c, size_t i, network **ret_n)
{
    const endpoint_settings *wish = JSON_AT(c->rec.networks, endpoint_settings, i);
    err *e = str_empty(wish->network_id) ? NULL : network_find(wish->network_id, ret_n);

    if (!e && !str_empty(wish->network_id))
        return NULL;
    err_free(e);
    return network_find(c->rec.networks.keys[i], ret_n);
}

static void add_name(json_strs *names, arena *a, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (str_eq(names->v[i], name))
            return;
    if (!str_empty(name))
        json_strs_add(names, a, name);
}

/* What it answers to on a network of a client's: in dockerd's order. */
static void names_on(const container *c, const network *n, const endpoint_settings *wish, arena *a,
                     json_strs *ret)
{
    if (!network_is_user(n))
        return;
    add_name(ret, a, c->rec.name);
    for (size_t i = 0; i < wish->aliases.n; i++)
        add_name(ret, a, wish->aliases.v[i]);
    add_name(ret, a, arena_strndup(a, c->rec.id, 12));
    add_name(ret, a, c->rec.config->hostname);
}

void networks_add_endpoint(container *c, endpoint *ep)
{
    c->endpoints = xrealloc(c->endpoints, (c->n_endpoints + 1) * sizeof(endpoint *));
    c->endpoints[c->n_endpoints++] = ep;
}

void networks_drop_endpoint(container *c, const endpoint *ep)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_endpoints; i++)
        if (c->endpoints[i] != ep)
            c->endpoints[kept++] = c->endpoints[i];
    c->n_endpoints = kept;
}

endpoint *networks_endpoint_on(const container *c, const network *n)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        if (endpoint_network(c->endpoints[i]) == n)
            return c->endpoints[i];
    return NULL;
}

err *networks_new_endpoint(container *c, network *n, const endpoint_settings *wish,
                           endpoint **ret_ep)
{
    auto_arena *a = arena_new();
    json_strs names = {0};

    names_on(c, n, wish, a, &names);
    return endpoint_new(n,
                        &(endpoint_opts){.container_id = c->rec.id,
                                         .container_name = c->rec.name,
                                         .mac = wish->mac_address,
                                         .wish = wish,
                                         .names = &names},
                        ret_ep);
}

static err *join_one(container *c, size_t i)
{
    network *n = NULL;
    endpoint *ep = NULL;

    TRY(network_of(c, i, &n));
    TRY(networks_new_endpoint(c, n, JSON_AT(c->rec.networks, endpoint_settings, i), &ep));
    networks_add_endpoint(c, ep);
    return NULL;
}

err *networks_join(container *c)
{
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        err *e = join_one(c, i);

        if (e) {
            networks_leave(c);
            return err_wrap(e, "failed to set up container networking");
        }
    }
    return NULL;
}

bool networks_must_wait(const container *c)
{
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        const endpoint_ipam_config *asked =
            JSON_AT(c->rec.networks, endpoint_settings, i)->ipam_config;
        network *n = NULL;
        err *e = asked ? network_of(c, i, &n) : NULL;

        err_free(e);
        if (n && (network_address_leaves(n, asked->ipv4_address) ||
                  network_address_leaves(n, asked->ipv6_address)))
            return true;
    }
    return false;
}

void networks_leave(container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        endpoint_free(c->endpoints[i]);
    free(take(c->endpoints));
    c->n_endpoints = 0;
}

/* ---- wishes ---- */

/* The wishes have an arena of their own, made anew with each change: a container that goes on and
 * off networks does not grow. */
static void keep_wishes(container *c, const char *but, const char *more,
                        const endpoint_settings *wish)
{
    arena *a = arena_new();
    json_mapof kept = {.set = true};
    const json_mapof *old = &c->rec.networks;

    for (size_t i = 0; i < old->n; i++)
        if (!str_eq(old->keys[i], but))
            json_copy(&endpoint_settings_json, JSON_AT(*old, endpoint_settings, i), a,
                      json_mapof_add(&kept, a, &endpoint_settings_json, old->keys[i]));
    if (more)
        json_copy(&endpoint_settings_json, wish, a,
                  json_mapof_add(&kept, a, &endpoint_settings_json, more));
    arena_free(c->networks_arena);
    c->networks_arena = a;
    c->rec.networks = kept;
}

void networks_wish(container *c, const char *name, const endpoint_settings *wish)
{
    endpoint_settings w = {.ipam_config = wish->ipam_config,
                           .links = wish->links,
                           .aliases = wish->aliases,
                           .mac_address = wish->mac_address,
                           .driver_opts = wish->driver_opts,
                           .gw_priority = wish->gw_priority};
    network *n = NULL;
    err *e = network_find(name, &n);

    err_free(e);
    if (!e)
        w.network_id = (char *)network_id(n);
    keep_wishes(c, name, name, &w);
}

void networks_unwish(container *c, const char *name)
{
    keep_wishes(c, name, NULL, NULL);
}

bool networks_wished(const container *c, const char *name)
{
    return json_mapof_get(&c->rec.networks, &endpoint_settings_json, name) != NULL;
}

void networks_copy_wish(const container *c, const char *name, arena *a, endpoint_settings *ret)
{
    const endpoint_settings *s = json_mapof_get(&c->rec.networks, &endpoint_settings_json, name);

    if (s)
        json_copy(&endpoint_settings_json, s, a, ret);
}

static err *no_company(const network *n, const network *other)
{
    if (network_has_netns(other) != network_has_netns(n))
        return err_new(ERR_INVALID,
                       "container sharing network namespace with another container or host "
                       "cannot be connected to any other network");
    if (!network_is_attached(other) || !network_is_attached(n))
        return err_new(ERR_INVALID, "container cannot be connected to multiple networks with one "
                                    "of the networks in private (none) mode");
    return NULL;
}

static err *there_already(const container *c, const network *n, bool *ret_is_there)
{
    if (c->state.running)
        return err_new(ERR_FORBIDDEN, "endpoint with name %s already exists in network %s",
                       c->rec.name, network_name(n));
    *ret_is_there = true;
    return NULL;
}

err *networks_may_connect(const container *c, const network *n, bool *ret_is_there)
{
    if (networks_is_shared(c->rec.host->network_mode))
        return err_new(ERR_INVALID,
                       "container sharing network namespace with another container or host "
                       "cannot be connected to any other network");
    if (!network_has_netns(n) && !str_eq(c->rec.host->network_mode, "host"))
        return err_new(ERR_INVALID, "container cannot be disconnected from host network or "
                                    "connected to host network");
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        network *other = NULL;
        err *e = network_of(c, i, &other);

        err_free(e);
        if (e)
            continue;
        if (other == n)
            return there_already(c, n, ret_is_there);
        TRY(no_company(n, other));
    }
    if (c->rec.networks.n >= CONTAINER_NETWORKS_MAX)
        return err_new(ERR_INVALID, "a container is on at most %d networks",
                       CONTAINER_NETWORKS_MAX);
    return NULL;
}

/* ---- after a restart ---- */

/* On a network that nobody wishes: a connect or a disconnect was cut off, and is undone or done. */
static void abandon(const container *c, endpoint *ep)
{
    auto_free char *hosts = container_file(c, "hosts"), *netns = container_netns_path(c);
    auto_strv lines = {0};

    netfiles_own_lines(c->rec.config->hostname, c->rec.config->domainname, endpoint_ip(ep), &lines);
    netfiles_own_lines(c->rec.config->hostname, c->rec.config->domainname, endpoint_ip6(ep),
                       &lines);
    err_log(netfile_drop_lines(hosts, &lines), "an address is left in a container's hosts file");
    endpoint_abandon(ep, netns);
}

/* Those of host and none are not written down: the kernel has nothing of them. */
void networks_restore(container *c)
{
    for (endpoint *ep = endpoint_of(c->rec.id, NULL), *next; ep; ep = next) {
        next = endpoint_of(c->rec.id, ep);
        if (networks_has(c, endpoint_network(ep)))
            networks_add_endpoint(c, ep);
        else
            abandon(c, ep);
    }
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        network *n = NULL;
        err *e = network_of(c, i, &n);

        if (!e && !network_is_attached(n))
            e = join_one(c, i);
        err_log(e, "a running container's network is gone");
    }
    networks_renamed(c); /* it may have got its name after they were written down */
}

/* ---- another name ---- */

static void name_anew(container *c, endpoint *ep)
{
    const network *n = endpoint_network(ep);
    const endpoint_settings *wish =
        json_mapof_get(&c->rec.networks, &endpoint_settings_json, network_name(n));
    auto_arena *a = arena_new();
    json_strs names = {0};

    if (wish)
        names_on(c, n, wish, a, &names);
    endpoint_rename(ep, c->rec.name, &names);
}

void networks_renamed(container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        name_anew(c, c->endpoints[i]);
}

/* ---- jobs ---- */

err *networks_attach(endpoint *const *eps, size_t n, const char *netns_path)
{
    for (size_t i = 0; i < n; i++)
        TRY(endpoint_attach(eps[i], netns_path));
    return NULL;
}

void networks_detach(endpoint *const *eps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        err_log(endpoint_detach(eps[i], NULL), "network of an ended container is left");
}

/* ---- who is told ---- */

void networks_named(container *c)
{
    auto_free char *netns = container_netns_path(c);

    for (size_t i = 0; i < c->n_endpoints; i++)
        endpoint_joined(c->endpoints[i], netns);
}

bool networks_have_names(const container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        if (network_is_user(endpoint_network(c->endpoints[i])))
            return true;
    return false;
}

/* What --dns says, of the container, else of the daemon. */
static void servers_of(const char *container_id, strv *ret)
{
    const container *c = registry_by_id(container_id);
    const json_strs *own = c ? &c->rec.host->dns : NULL,
                    *all = containers_conf.dns ? containers_conf.dns->servers : NULL;
    const json_strs *said = own && own->n ? own : all;

    for (size_t i = 0; said && i < said->n; i++)
        strv_push(ret, said->v[i]);
}

void networks_begin(void)
{
    dns_init(servers_of);
}

void networks_told_start(container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        endpoint_event(c->endpoints[i], "connect");
    networks_named(c);
}

void networks_told_end(container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++) {
        endpoint_left(c->endpoints[i]);
        endpoint_event(c->endpoints[i], "disconnect");
    }
}

/* ---- reads ---- */

static const endpoint *endpoint_named(const container *c, const char *network_name_)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        if (str_eq(network_name(endpoint_network(c->endpoints[i])), network_name_))
            return c->endpoints[i];
    return NULL;
}

void networks_describe(const container *c, arena *a, json_mapof *ret)
{
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        const char *name = c->rec.networks.keys[i];
        endpoint_settings *s = json_mapof_add(ret, a, &endpoint_settings_json, name);
        const endpoint *ep = endpoint_named(c, name);
        network *n = NULL;
        err *e = network_of(c, i, &n);

        *s = *JSON_AT(c->rec.networks, endpoint_settings, i);
        if (ep && c->state.running)
            endpoint_describe(ep, a, s);
        if (!e)
            names_on(c, n, s, a, &s->dns_names);
        err_free(e);
    }
}

void container_legacy_aliases(const container *c, arena *a, json_mapof *networks)
{
    for (size_t i = 0; i < networks->n; i++) {
        endpoint_settings *s = JSON_AT(*networks, endpoint_settings, i);
        json_strs more = {0};
        network *n = NULL;
        err *e = network_of(c, i, &n);

        err_free(e);
        if (e || !network_is_user(n))
            continue;
        for (size_t k = 0; k < s->aliases.n; k++)
            add_name(&more, a, s->aliases.v[k]);
        add_name(&more, a, arena_strndup(a, c->rec.id, 12));
        s->aliases = more;
    }
}

void networks_addresses(const container *c, strv *ret_ips)
{
    for (size_t i = 0; i < c->n_endpoints; i++) {
        if (*endpoint_ip(c->endpoints[i]))
            strv_push(ret_ips, endpoint_ip(c->endpoints[i]));
        if (*endpoint_ip6(c->endpoints[i]))
            strv_push(ret_ips, endpoint_ip6(c->endpoints[i]));
    }
}

bool networks_has(const container *c, const network *n)
{
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        network *own = NULL;
        err *e = network_of(c, i, &own);

        err_free(e);
        if (!e && own == n)
            return true;
    }
    return false;
}
