/* claim.c - which subnets a network has: as asked, or the first free ones of the default pools.
 *
 * A subnet belongs to one network of the daemon; a default one also keeps clear of what the host
 * routes.  Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

static bool overlaps_one_of(const network *n, cidr c)
{
    for (size_t i = 0; i < n->n_pools; i++)
        if (cidr_overlaps(pool_subnet(n->pools[i].pool), c))
            return true;
    return false;
}

/* n itself is in no list while it is read from the store. */
static bool is_claimed(const network *n, cidr c)
{
    for (const network *other = networks_first(); other; other = other->next)
        if (overlaps_one_of(other, c))
            return true;
    return overlaps_one_of(n, c);
}

static bool is_routed(cidr c, const cidr *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_overlaps(c, routes[i]))
            return true;
    return false;
}

static err *check_overlap(const network *n, cidr c)
{
    return is_claimed(n, c)
               ? err_new(ERR_FORBIDDEN, "Pool overlaps with other one on this address space")
               : NULL;
}

static err *reserve(pool *p, const char *text, const char *what)
{
    addr a;

    if (!addr_parse(text, &a) || !cidr_has(pool_subnet(p), a))
        return err_new(ERR_INVALID, "invalid %s %s: parent subnet doesn't contain this address",
                       what, text);
    if (!pool_reserve(p, a))
        return err_new(ERR_FORBIDDEN, "Address already in use");
    return NULL;
}

static err *reserve_aux(pool *p, const ipam_pool_config *k)
{
    if (k->aux.n > NETWORK_AUX_MAX)
        return err_new(ERR_INVALID, "too many auxiliary addresses: at most %d", NETWORK_AUX_MAX);
    for (size_t i = 0; i < k->aux.n; i++)
        TRY(reserve(p, k->aux.values[i], "auxiliary address"));
    return NULL;
}

static bool wants_gateway(const network *n)
{
    return n->driver == &driver_bridge || !n->rec.internal;
}

/* The one that was asked for, else the lowest free one; k then has it. */
static err *take_gateway(network *n, network_pool *np, ipam_pool_config *k)
{
    char text[ADDR_TEXT];

    if (!str_empty(k->gateway)) {
        TRY(reserve(np->pool, k->gateway, "gateway"));
        addr_parse(k->gateway, &np->gateway);
        return NULL;
    }
    if (!wants_gateway(n))
        return NULL;
    if (!pool_take(np->pool, &np->gateway))
        return err_new(ERR_FORBIDDEN, "no available addresses on this pool");
    addr_format(np->gateway, text);
    k->gateway = arena_strdup(n->arena, text);
    return NULL;
}

static err *claim_one(network *n, ipam_pool_config *k)
{
    cidr whole, range = {0};
    network_pool *np = &n->pools[n->n_pools];
    addr written;

    if (!cidr_parse(k->subnet, &written, &whole))
        return err_new(ERR_INVALID, "invalid subnet %s: invalid CIDR block notation", k->subnet);
    if (!str_empty(k->ip_range) && !cidr_parse(k->ip_range, &written, &range))
        return err_new(ERR_INVALID, "invalid ip-range %s: invalid CIDR block notation",
                       k->ip_range);
    if (n->n_pools == NETWORK_POOLS_MAX)
        return err_new(ERR_INVALID, "too many subnets: at most %d", NETWORK_POOLS_MAX);
    TRY(check_overlap(n, whole));
    *np = (network_pool){.pool = pool_new(whole, range)};
    n->n_pools++; /* from here it is released with the network */
    TRY(reserve_aux(np->pool, k));
    return take_gateway(n, np, k);
}

static err *choose_default(network *n, bool v6, const cidr *routes, size_t n_routes)
{
    char text[CIDR_TEXT];
    ipam_pool_config *k;
    cidr c;

    for (size_t i = 0; default_pool_nth(v6, i, &c); i++) {
        if (is_claimed(n, c) || is_routed(c, routes, n_routes))
            continue;
        cidr_format(c, text);
        k = json_list_add(&n->rec.ipam->config, n->arena, &ipam_pool_config_json);
        k->subnet = arena_strdup(n->arena, text);
        return claim_one(n, k);
    }
    return err_new(ERR_INVALID, "all predefined address pools have been fully subnetted");
}

static bool has_family(const network *n, bool v6)
{
    for (size_t i = 0; i < n->n_pools; i++)
        if (addr_is_v6(pool_subnet(n->pools[i].pool).base) == v6)
            return true;
    return false;
}

err *claim_recorded(network *n)
{
    for (size_t i = 0; n->rec.ipam && i < n->rec.ipam->config.n; i++)
        TRY(claim_one(n, JSON_AT(n->rec.ipam->config, ipam_pool_config, i)));
    return NULL;
}

err *claim_subnets(network *n, const cidr *routes, size_t n_routes)
{
    TRY(claim_recorded(n));
    if (n->rec.ipv4 && !has_family(n, false))
        TRY(choose_default(n, false, routes, n_routes));
    if (n->rec.ipv6 && !has_family(n, true))
        TRY(choose_default(n, true, routes, n_routes));
    return NULL;
}

void claim_release(network *n)
{
    for (size_t i = 0; i < n->n_pools; i++)
        pool_free(n->pools[i].pool);
    n->n_pools = 0;
}
