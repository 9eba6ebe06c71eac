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

static const char container_prefix[] = "container:";

static bool is_shared(const char *mode)
{
    return str_starts(mode, container_prefix);
}

/* ---- what create asks for ---- */

static err *check_shared(const container_config *k, const host_config *h)
{
    container *other;

    if (!str_empty(k->hostname))
        return err_new(ERR_INVALID, "conflicting options: hostname and the network mode");
    if (h->links.n)
        return err_new(ERR_INVALID, "conflicting options: container type network can't be used "
                                    "with links. This would result in undefined behavior");
    if (h->dns.n)
        return err_new(ERR_INVALID, "conflicting options: dns and the network mode");
    if (h->extra_hosts.n)
        return err_new(ERR_INVALID,
                       "conflicting options: custom host-to-IP mapping and the network mode");
    if (!str_empty(k->mac_address))
        return err_new(ERR_INVALID, "conflicting options: mac-address and the network mode");
    return container_find(h->network_mode + strlen(container_prefix), &other);
}

static err *find_network(const char *ref, network **ret_n)
{
    return network_find(str_eq(ref, "default") || str_empty(ref) ? "bridge" : ref, ret_n);
}

static err *decode(const json_raw *text, int api_version, arena *a, json_mapof *ret)
{
    networking_config wish = {0};

    if (text && text->text)
        TRY(json_decode(&networking_config_json, text->text, strlen(text->text), api_version, a,
                        &wish));
    *ret = wish.endpoints_config;
    return NULL;
}

static err *too_many(const json_mapof *wishes)
{
    auto_buf names = {0};

    for (size_t i = 0; i < wishes->n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", wishes->keys[i]);
    return err_new(ERR_INVALID, "Container cannot be created with multiple network endpoints: %s",
                   names.data);
}

/* NULL where there is none of that name yet: dockerd lets create pass, and start says so. */
static err *find_if_any(const char *ref, network **ret_n)
{
    err *e = find_network(ref, ret_n);

    if (!e || err_kind(e) != ERR_NOT_FOUND)
        return e;
    err_free(e);
    *ret_n = NULL;
    return NULL;
}

static err *add_wish(json_mapof *to, arena *a, const char *name, const network *n,
                     const endpoint_settings *wish)
{
    endpoint_settings *s;

    if (n) {
        TRY(network_check_settings(n, wish));
        name = network_name(n);
    }
    if (json_mapof_get(to, &endpoint_settings_json, name))
        return NULL;
    if (to->n == CONTAINER_NETWORKS_MAX)
        return err_new(ERR_INVALID, "a container is on at most %d networks",
                       CONTAINER_NETWORKS_MAX);
    s = json_mapof_add(to, a, &endpoint_settings_json, arena_strdup(a, name));
    if (wish)
        *s = (endpoint_settings){.ipam_config = wish->ipam_config,
                                 .links = wish->links,
                                 .aliases = wish->aliases,
                                 .mac_address = wish->mac_address,
                                 .driver_opts = wish->driver_opts,
                                 .gw_priority = wish->gw_priority};
    if (n)
        s->network_id = arena_strdup(a, network_id(n));
    return NULL;
}

/* The main network's wish, under whichever of its names it was asked for. */
static const endpoint_settings *wish_for(const json_mapof *wishes, const char *name,
                                         const network *n)
{
    for (size_t i = 0; i < wishes->n; i++) {
        network *asked = NULL;

        err_free(find_if_any(wishes->keys[i], &asked));
        if (n ? asked == n : str_eq(wishes->keys[i], name))
            return JSON_AT(*wishes, endpoint_settings, i);
    }
    return NULL;
}

/* Beside host and none there is no other network. */
static err *check_company(const network *main, const network *n)
{
    if ((main && !network_is_attached(main)) || (n && !network_is_attached(n)))
        return err_new(ERR_INVALID,
                       "container sharing network namespace with another container or host "
                       "cannot be connected to any other network");
    return NULL;
}

static err *collect(const char *name, network *main, const json_mapof *wishes, arena *a,
                    json_mapof *ret)
{
    const endpoint_settings *of_main = wish_for(wishes, name, main);
    network *n = NULL;

    if (of_main || !main || network_is_user(main) || wishes->n == 0 || !network_is_attached(main))
        TRY(add_wish(ret, a, name, main, of_main));
    for (size_t i = 0; i < wishes->n; i++) {
        const endpoint_settings *wish = JSON_AT(*wishes, endpoint_settings, i);

        if (wish == of_main)
            continue;
        TRY(find_if_any(wishes->keys[i], &n));
        TRY(check_company(main, n));
        TRY(add_wish(ret, a, wishes->keys[i], n, wish));
    }
    return NULL;
}

err *networks_decide(const container_create_opts *o, arena *a, json_mapof *ret, strv *warnings)
{
    json_mapof wishes = {0};
    network *main = NULL;

    (void)warnings;
    if (is_shared(str_or(o->host->network_mode, "")))
        return check_shared(o->config, o->host);
    TRY(decode(o->networking, o->api_version, a, &wishes));
    if (o->api_version < 44 && wishes.n > 1)
        return too_many(&wishes);
    TRY(find_if_any(o->host->network_mode, &main));
    return collect(str_or(o->host->network_mode, "bridge"), main, &wishes, a, ret);
}

/* ---- endpoints ---- */

bool networks_own_netns(const container *c)
{
    return !is_shared(c->rec.host->network_mode) && !str_eq(c->rec.host->network_mode, "host");
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

static void add_endpoint(container *c, endpoint *ep)
{
    c->endpoints = xrealloc(c->endpoints, (c->n_endpoints + 1) * sizeof(endpoint *));
    c->endpoints[c->n_endpoints++] = ep;
}

err *networks_join_one(container *c, size_t i)
{
    const endpoint_settings *wish = JSON_AT(c->rec.networks, endpoint_settings, i);
    auto_arena *a = arena_new();
    json_strs names = {0};
    network *n = NULL;
    endpoint *ep = NULL;

    TRY(network_of(c, i, &n));
    names_on(c, n, wish, a, &names);
    TRY(endpoint_new(n,
                     &(endpoint_opts){.container_id = c->rec.id,
                                      .container_name = c->rec.name,
                                      .mac = wish->mac_address,
                                      .wish = wish,
                                      .names = &names},
                     &ep));
    add_endpoint(c, ep);
    return NULL;
}

err *networks_join(container *c)
{
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        err *e = networks_join_one(c, i);

        if (e) {
            networks_leave(c);
            return err_wrap(e, "failed to set up container networking");
        }
    }
    return NULL;
}

void networks_leave(container *c)
{
    for (size_t i = 0; i < c->n_endpoints; i++)
        endpoint_free(c->endpoints[i]);
    free(take(c->endpoints));
    c->n_endpoints = 0;
}

/* Those of host and none are not written down: the kernel has nothing of them. */
void networks_restore(container *c)
{
    for (endpoint *ep = endpoint_of(c->rec.id, NULL); ep; ep = endpoint_of(c->rec.id, ep))
        add_endpoint(c, ep);
    for (size_t i = 0; i < c->rec.networks.n; i++) {
        network *n = NULL;
        err *e = network_of(c, i, &n);

        if (!e && !network_is_attached(n))
            e = networks_join_one(c, i);
        err_log(e, "a running container's network is gone");
    }
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
        if (ep)
            endpoint_describe(ep, a, s);
        if (!e)
            names_on(c, n, s, a, &s->dns_names);
        err_free(e);
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
