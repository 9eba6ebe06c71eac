/* endpoint.c - endpoints: addresses, names, what is told of them.
 *
 * All that a job reads of an endpoint is fixed before it is handed over.  Loop thread only. */
#include "endpoint_opts.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { VETH_DIGITS = 7, INTERFACES_MAX = 1024 };

static endpoint *endpoints, *newest; /* oldest first */
static network_hooks hook;

endpoint *endpoints_first(void)
{
    return endpoints;
}

void endpoint_list(endpoint *ep)
{
    ep->prev = newest;
    ep->next = NULL;
    if (newest)
        newest->next = ep;
    else
        endpoints = ep;
    newest = ep;
    ep->net->endpoints++;
}

void endpoint_unlist(endpoint *ep)
{
    if (ep->prev)
        ep->prev->next = ep->next;
    else
        endpoints = ep->next;
    if (ep->next)
        ep->next->prev = ep->prev;
    else
        newest = ep->prev;
    ep->net->endpoints--;
    if (ep->net->endpoints == 0 && ep->net->when_empty)
        flow_resume(take(ep->net->when_empty), NULL);
}

static void release_one(network *n, addr a)
{
    for (size_t i = 0; addr_is_set(a) && i < n->n_pools; i++)
        if (cidr_has(pool_subnet(n->pools[i].pool), a))
            pool_release(n->pools[i].pool, a);
}

void endpoint_release(endpoint *ep)
{
    release_one(ep->net, ep->ip);
    release_one(ep->net, ep->ip6);
    ep->ip = ep->ip6 = (addr){0};
}

void endpoint_dispose(endpoint *ep)
{
    endpoint_release(ep);
    free(ep->netns);
    free(ep->others);
    free(ep->container);
    free(ep->name);
    arena_free(ep->arena);
    free(ep);
}

/* ---- names of links ---- */

void endpoint_name_veth(endpoint *ep)
{
    snprintf(ep->veth, sizeof ep->veth, "veth%.*s", VETH_DIGITS, ep->id);
}

static bool is_veth_free(const char *veth)
{
    for (const endpoint *ep = endpoints; ep; ep = ep->next)
        if (str_eq(ep->veth, veth))
            return false;
    return true;
}

static bool is_ifname_free(const char *container, const char *name)
{
    for (const endpoint *ep = endpoints; ep; ep = ep->next)
        if (str_eq(ep->container, container) && str_eq(ep->ifname, name))
            return false;
    return true;
}

static err *name_interface(endpoint *ep)
{
    if (*ep->ifname)
        return is_ifname_free(ep->container, ep->ifname)
                   ? NULL
                   : err_new(ERR_INVALID, "interface name %s is already in use", ep->ifname);
    for (int i = 0; i < INTERFACES_MAX; i++) {
        auto_free char *name = xasprintf("%s%d", str_or(ep->net->ifprefix, "eth"), i);

        snprintf(ep->ifname, sizeof ep->ifname, "%s", name);
        if (is_ifname_free(ep->container, ep->ifname))
            return NULL;
    }
    return err_new(ERR_FORBIDDEN, "a container is on at most %d networks", INTERFACES_MAX);
}

/* ---- addresses ---- */

void endpoint_write_texts(endpoint *ep)
{
    const uint8_t *m = ep->mac;

    addr_format(ep->ip, ep->ip_text);
    addr_format(ep->ip6, ep->ip6_text);
    addr_format(endpoint_gateway4(ep), ep->gateway_text);
    addr_format(endpoint_gateway6(ep), ep->gateway6_text);
    if (ep->net->driver == &driver_ipvlan) /* all have their parent's */
        return;
    snprintf(ep->mac_text, sizeof ep->mac_text, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
             m[3], m[4], m[5]);
}

err *mac_parse(const char *text, uint8_t mac[MAC_LENGTH])
{
    unsigned v[MAC_LENGTH];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &end) !=
            MAC_LENGTH ||
        text[end] || end != MAC_TEXT - 1 || (v[0] & 1))
        return err_new(ERR_INVALID, "invalid MAC address: address %s: invalid MAC address", text);
    for (int i = 0; i < MAC_LENGTH; i++)
        mac[i] = (uint8_t)v[i];
    return NULL;
}

static void make_mac(endpoint *ep)
{
    uint8_t bytes[ADDR_BYTES_MAX];

    ep->mac[0] = 0x02;
    ep->mac[1] = 0x42;
    if (addr_bytes(ep->ip, bytes) == 4)
        memcpy(ep->mac + 2, bytes, 4);
    else if (getrandom(ep->mac + 2, 4, 0) != 4)
        abort();
}

static bool is_of_family(const network_pool *p, bool v6)
{
    return addr_is_v6(pool_subnet(p->pool).base) == v6;
}

static err *take_asked(network *n, const char *text, bool v6, addr *ret_a, int *ret_prefix)
{
    addr a;

    if (!addr_parse(text, &a) || addr_is_v6(a) != v6)
        return err_new(ERR_INVALID, "invalid IPv%d address: %s", v6 ? 6 : 4, text);
    for (size_t i = 0; i < n->n_pools; i++) {
        cidr c = pool_subnet(n->pools[i].pool);

        if (!cidr_has(c, a))
            continue;
        if (!pool_reserve(n->pools[i].pool, a))
            return err_new(ERR_FORBIDDEN, "Address already in use");
        *ret_a = a;
        *ret_prefix = c.prefix;
        return NULL;
    }
    return err_new(ERR_INVALID, "no configured subnet or ip-range contain the IP address %s", text);
}

static err *take_free(network *n, bool v6, addr *ret_a, int *ret_prefix)
{
    bool has_one = false;

    for (size_t i = 0; i < n->n_pools; i++) {
        if (!is_of_family(&n->pools[i], v6))
            continue;
        has_one = true;
        if (pool_take(n->pools[i].pool, ret_a)) {
            *ret_prefix = pool_subnet(n->pools[i].pool).prefix;
            return NULL;
        }
    }
    return has_one ? err_new(ERR_SYSTEM,
                             "no available IPv%d addresses on this network's address pools: %s "
                             "(%s)",
                             v6 ? 6 : 4, n->name, n->id)
                   : NULL;
}

static err *take_address(endpoint *ep, const char *asked, bool v6)
{
    addr *a = v6 ? &ep->ip6 : &ep->ip;
    int *prefix = v6 ? &ep->prefix6 : &ep->prefix;

    return str_empty(asked) ? take_free(ep->net, v6, a, prefix)
                            : take_asked(ep->net, asked, v6, a, prefix);
}

static err *take_addresses(endpoint *ep, const endpoint_opts *opts)
{
    const endpoint_ipam_config *asked = opts->wish ? opts->wish->ipam_config : NULL;

    if (!str_empty(opts->mac))
        TRY(mac_parse(opts->mac, ep->mac));
    TRY(take_address(ep, asked ? asked->ipv4_address : NULL, false));
    TRY(take_address(ep, asked ? asked->ipv6_address : NULL, true));
    if (str_empty(opts->mac))
        make_mac(ep);
    endpoint_write_texts(ep);
    return NULL;
}

/* ---- making one ---- */

static void copy_strs(json_strs *to, arena *a, const json_strs *from)
{
    for (size_t i = 0; from && i < from->n; i++)
        json_strs_add(to, a, arena_strdup(a, from->v[i]));
}

static err *fill(endpoint *ep, const endpoint_opts *opts)
{
    if (opts->wish) {
        copy_strs(&ep->links, ep->arena, &opts->wish->links);
        ep->gw_priority = (int)opts->wish->gw_priority;
        endpoint_opts_take(ep, opts->wish);
    }
    copy_strs(&ep->names, ep->arena, opts->names);
    if (!ep->net->driver->has_addresses)
        return NULL;
    TRY(name_interface(ep));
    return take_addresses(ep, opts);
}

err *endpoint_new(network *n, const endpoint_opts *opts, endpoint **ret_ep)
{
    endpoint *ep = new0(endpoint);
    err *e;

    ep->net = n;
    ep->arena = arena_new();
    ep->container = xstrdup(opts->container_id);
    ep->name = xstrdup(str_or(opts->container_name, ""));
    do {
        str_random_id(ep->id);
        endpoint_name_veth(ep);
    } while (!is_veth_free(ep->veth));
    e = fill(ep, opts);
    if (e) {
        endpoint_dispose(ep);
        return e;
    }
    if (n->driver->has_addresses)
        guard_start();
    endpoint_list(ep);
    endpoints_choose_gateway(ep->container);
    *ret_ep = ep;
    return NULL;
}

void endpoint_free(endpoint *ep)
{
    if (!ep)
        return;
    endpoint_left(ep);
    if (ep->net->driver->has_addresses)
        bury_later();
    endpoint_unlist(ep);
    endpoint_dispose(ep);
}

endpoint *endpoint_of(const char *container_id, const endpoint *after)
{
    for (endpoint *ep = after ? after->next : endpoints; ep; ep = ep->next)
        if (str_eq(ep->container, container_id))
            return ep;
    return NULL;
}

endpoint *endpoint_on(const network *n, const endpoint *after)
{
    for (endpoint *ep = after ? after->next : endpoints; ep; ep = ep->next)
        if (ep->net == n)
            return ep;
    return NULL;
}

void endpoint_rename(endpoint *ep, const char *container_name, const json_strs *names)
{
    arena *before = ep->arena;
    json_strs links = ep->links;

    ep->arena = arena_new();
    ep->names = ep->links = ep->sysctls = ep->link_local = (json_strs){0};
    copy_strs(&ep->names, ep->arena, names);
    copy_strs(&ep->links, ep->arena, &links);
    free(ep->name);
    ep->name = xstrdup(container_name);
    arena_free(before);
    if (ep->joined && hook.renamed)
        hook.renamed(ep);
}

void endpoints_free(void)
{
    while (endpoints) {
        endpoint *ep = endpoints;

        endpoint_unlist(ep);
        endpoint_dispose(ep);
    }
    hook = (network_hooks){0};
}

/* ---- who serves names ---- */

void network_set_hooks(const network_hooks *hooks)
{
    hook = hooks ? *hooks : (network_hooks){0};
}

void endpoint_joined(endpoint *ep, const char *netns_path)
{
    ep->joined = true;
    if (hook.joined)
        hook.joined(ep, netns_path);
}

void endpoint_left(endpoint *ep)
{
    ep->leaving = true;
    if (!ep->joined)
        return;
    ep->joined = false;
    if (hook.left)
        hook.left(ep);
}

bool network_address_leaves(const network *n, const char *ip)
{
    addr a;

    if (!addr_parse(ip, &a))
        return false;
    for (const endpoint *ep = endpoint_on(n, NULL); ep; ep = endpoint_on(n, ep))
        if (ep->leaving && (addr_eq(ep->ip, a) || addr_eq(ep->ip6, a)))
            return true;
    return false;
}

/* ---- reads ---- */

const char *endpoint_id(const endpoint *ep)
{
    return ep->id;
}

const char *endpoint_container(const endpoint *ep)
{
    return ep->container;
}

const char *endpoint_container_name(const endpoint *ep)
{
    return ep->name;
}

network *endpoint_network(const endpoint *ep)
{
    return ep->net;
}

const char *endpoint_ip(const endpoint *ep)
{
    return ep->ip_text;
}

const char *endpoint_ip6(const endpoint *ep)
{
    return ep->ip6_text;
}

int endpoint_prefix_len(const endpoint *ep)
{
    return ep->prefix;
}

bool endpoint_is_gateway(const endpoint *ep)
{
    return ep->gw4;
}

const char *endpoint_gateway(const endpoint *ep)
{
    return ep->gateway_text;
}

const char *endpoint_mac(const endpoint *ep)
{
    return ep->mac_text;
}

const char *endpoint_ifname(const endpoint *ep)
{
    return ep->ifname;
}

const json_strs *endpoint_names(const endpoint *ep)
{
    return &ep->names;
}

const json_strs *endpoint_links(const endpoint *ep)
{
    return &ep->links;
}

void endpoint_describe(const endpoint *ep, arena *a, endpoint_settings *ret)
{
    ret->network_id = arena_strdup(a, ep->net->id);
    ret->endpoint_id = arena_strdup(a, ep->id);
    ret->gateway = arena_strdup(a, ep->gateway_text);
    ret->ip_address = arena_strdup(a, ep->ip_text);
    ret->ip_prefix_len = ep->prefix;
    ret->ipv6_gateway = arena_strdup(a, ep->gateway6_text);
    ret->global_ipv6_address = arena_strdup(a, ep->ip6_text);
    ret->global_ipv6_prefix_len = ep->prefix6;
    ret->mac_address = arena_strdup(a, ep->mac_text);
}

void endpoint_event(const endpoint *ep, const char *action)
{
    char *keys[] = {"container", "name", "type"};
    char *values[] = {ep->container, (char *)ep->net->name, (char *)ep->net->driver->name};
    json_map attrs = {.keys = keys, .values = values, .n = COUNT(keys), .set = true};

    event_emit("network", action, ep->net->id, &attrs);
}
