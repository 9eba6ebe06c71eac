/* link_kind.c - links of the other kinds: dummy, vlan, macvlan, ipvlan.
 *
 * The messages are packed here, for libnl does not know all that these kinds can be told.  Blocks;
 * one thread per socket. */
#include "link.h"
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>

static void put_modes(struct nl_msg *msg, const link_wish *w)
{
    int rc = 0;

    switch (w->kind) {
    case LINK_DUMMY:
        break;
    case LINK_VLAN:
        rc = nla_put_u16(msg, IFLA_VLAN_ID, (uint16_t)w->mode);
        break;
    case LINK_MACVLAN:
        rc = nla_put_u32(msg, IFLA_MACVLAN_MODE, w->mode);
        break;
    case LINK_IPVLAN:
        rc = nla_put_u16(msg, IFLA_IPVLAN_MODE, (uint16_t)w->mode);
        if (rc == 0)
            rc = nla_put_u16(msg, IFLA_IPVLAN_FLAGS, (uint16_t)w->flags);
        break;
    }
    if (rc < 0)
        abort();
}

static const char *kind_name(link_kind kind)
{
    static const char *const names[] = {
        [LINK_DUMMY] = "dummy",
        [LINK_VLAN] = "vlan",
        [LINK_MACVLAN] = "macvlan",
        [LINK_IPVLAN] = "ipvlan",
    };

    return names[kind];
}

static void put_kind(struct nl_msg *msg, const link_wish *w)
{
    struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO), *data;

    if (!info || nla_put_string(msg, IFLA_INFO_KIND, kind_name(w->kind)) < 0)
        abort();
    if (w->kind != LINK_DUMMY) {
        if (!(data = nla_nest_start(msg, IFLA_INFO_DATA)))
            abort();
        put_modes(msg, w);
        nla_nest_end(msg, data);
    }
    nla_nest_end(msg, info);
}

err *link_add(rtnl *r, const link_wish *w)
{
    struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

    if (!msg || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0 ||
        nla_put_string(msg, IFLA_IFNAME, w->name) < 0)
        abort();
    if ((w->mtu && nla_put_u32(msg, IFLA_MTU, (uint32_t)w->mtu) < 0) ||
        (w->group && nla_put_u32(msg, IFLA_GROUP, w->group) < 0) ||
        (w->mac && nla_put(msg, IFLA_ADDRESS, 6, w->mac) < 0) ||
        (w->parent_index && nla_put_u32(msg, IFLA_LINK, (uint32_t)w->parent_index) < 0) ||
        (w->ns >= 0 && nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)w->ns) < 0))
        abort();
    put_kind(msg, w);
    return rtnl_ask(r, msg, "create link", w->name);
}
