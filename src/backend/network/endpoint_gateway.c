/* endpoint_gateway.c - where an endpoint leads, and which of a container's its default routes take.
 *
 * Loop thread; endpoint_gateway4 and endpoint_gateway6 for jobs too. */
#include "private.h"
#include <berth/str.h>
#include <string.h>

addr endpoint_gateway4(const endpoint *ep)
{
    const network *n = ep->net;

    if (!addr_is_set(ep->ip) || n->rec.internal || n->gatewayless)
        return (addr){0};
    if (n->driver == &driver_bridge)
        return n->bridge.gateway ? addr_v4(n->bridge.gateway) : (addr){0};
    for (size_t i = 0; i < n->n_pools; i++)
        if (cidr_has(pool_subnet(n->pools[i].pool), ep->ip))
            return n->pools[i].gateway;
    return (addr){0};
}

addr endpoint_gateway6(const endpoint *ep)
{
    const network *n = ep->net;

    if (!addr_is_set(ep->ip6) || n->rec.internal || n->gatewayless)
        return (addr){0};
    for (size_t i = 0; i < n->n_pools; i++)
        if (cidr_has(pool_subnet(n->pools[i].pool), ep->ip6))
            return n->pools[i].gateway;
    return (addr){0};
}

static bool has_gateway(const endpoint *ep, bool v6)
{
    return addr_is_set(v6 ? endpoint_gateway6(ep) : endpoint_gateway4(ep)) ||
           (!ep->net->rec.internal && ep->net->gatewayless && addr_is_set(v6 ? ep->ip6 : ep->ip));
}

static bool leads_before(const endpoint *a, const endpoint *b)
{
    bool both_a = has_gateway(a, false) && has_gateway(a, true);
    bool both_b = has_gateway(b, false) && has_gateway(b, true);

    if (a->gw_priority != b->gw_priority)
        return a->gw_priority > b->gw_priority;
    if (both_a != both_b)
        return both_a;
    return strcmp(a->net->name, b->net->name) < 0;
}

static endpoint *leader(const char *container, bool v6)
{
    endpoint *best = NULL;

    for (endpoint *ep = endpoint_of(container, NULL); ep; ep = endpoint_of(container, ep))
        if (has_gateway(ep, v6) && (!best || leads_before(ep, best)))
            best = ep;
    return best;
}

bool endpoints_choose_gateway(const char *container_id)
{
    const endpoint *four = leader(container_id, false), *six = leader(container_id, true);
    bool changed = false;

    for (endpoint *ep = endpoint_of(container_id, NULL); ep; ep = endpoint_of(container_id, ep)) {
        changed |= ep->gw4 != (ep == four) || ep->gw6 != (ep == six);
        ep->gw4 = ep == four;
        ep->gw6 = ep == six;
    }
    return changed;
}
