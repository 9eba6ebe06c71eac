/* sandbox.c - what an endpoint is inside its container's network namespace.
 *
 * IPv6 is off for every link but those of networks that have it, so that no link has an address of
 * its own making.  Blocks; runs on the visiting thread of netns_run. */
#include "endpoint_opts.h"
#include "link.h"
#include "private.h"
#include "sysctl.h"
#include <net/if.h>
#include <errno.h>
#include <berth/netns.h>

err *sandbox_prepare(void)
{
    TRY(sysctl_no_ipv6("default"));
    return sysctl_no_ipv6("lo");
}

static err *set_route(rtnl *inside, const endpoint *ep, int index, bool v6)
{
    addr gateway = v6 ? endpoint_gateway6(ep) : endpoint_gateway4(ep);

    if (v6 ? !ep->gw6 : !ep->gw4)
        return NULL;
    if (ep->net->gatewayless)
        gateway = (addr){0};
    return default_route_set(inside, index, gateway, v6);
}

static err *set_routes(rtnl *inside, const endpoint *ep, int index)
{
    TRY(set_route(inside, ep, index, false));
    return set_route(inside, ep, index, true);
}

err *sandbox_furnish(rtnl *inside, const endpoint *ep)
{
    int index = (int)if_nametoindex(ep->ifname);

    if (index == 0)
        return err_errno(errno, "find %s", ep->ifname);
    if (addr_is_set(ep->ip6)) {
        TRY(sysctl_static_ipv6("lo"));
        TRY(sysctl_static_ipv6(ep->ifname));
    }
    TRY(endpoint_settle(inside, ep, index));
    if (addr_is_set(ep->ip))
        TRY(address_add(inside, index, ep->ip, ep->prefix));
    if (addr_is_set(ep->ip6))
        TRY(address_add(inside, index, ep->ip6, ep->prefix6));
    TRY(link_set_up(inside, index));
    return set_routes(inside, ep, index);
}

static err *route_inside(void *arg)
{
    const endpoint *ep = arg;
    auto_rtnl *inside = NULL;
    int index = (int)if_nametoindex(ep->ifname);

    if (index == 0)
        return err_errno(errno, "find %s", ep->ifname);
    TRY(rtnl_open(&inside));
    return set_routes(inside, ep, index);
}

err *endpoint_route(endpoint *ep, const char *netns_path)
{
    return ep->gw4 || ep->gw6 ? netns_run(netns_path, route_inside, ep) : NULL;
}
