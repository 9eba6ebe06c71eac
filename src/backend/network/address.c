/* address.c - addresses and default routes of either family, by netlink.
 *
 * The messages are packed here: libnl's objects cost several allocations each, and a start waits
 * for these.  Blocks; one thread per socket. */
#include "link.h"
#include <berth/mem.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/msg.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int family_of(bool v6)
{
    return v6 ? AF_INET6 : AF_INET;
}

static void put_addr(struct nl_msg *msg, int attribute, addr a)
{
    uint8_t bytes[ADDR_BYTES_MAX];
    size_t n = addr_bytes(a, bytes);

    if (nla_put(msg, attribute, (int)n, bytes) < 0)
        abort();
}

err *address_add(rtnl *r, int index, addr a, int prefix)
{
    struct ifaddrmsg head = {.ifa_family = (unsigned char)family_of(addr_is_v6(a)),
                             .ifa_prefixlen = (unsigned char)prefix,
                             .ifa_flags = addr_is_v6(a) ? IFA_F_NODAD : 0,
                             .ifa_index = (unsigned)index};
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    char text[ADDR_TEXT];
    err *e;

    if (!msg || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0)
        abort();
    put_addr(msg, IFA_LOCAL, a);
    put_addr(msg, IFA_ADDRESS, a);
    if (!addr_is_v6(a) && prefix < 31) {
        cidr whole = {{a.n & ~(((addr_number)1 << (32 - prefix)) - 1), 32}, prefix};

        put_addr(msg, IFA_BROADCAST, cidr_last(whole));
    }
    addr_format(a, text);
    e = rtnl_ask(r, msg, "add address", text);
    if (err_errnum(e) != EEXIST)
        return e;
    err_free(e);
    return NULL;
}

err *addr_add(rtnl *r, int index, uint32_t ip, subnet s)
{
    return address_add(r, index, addr_v4(ip), s.prefix);
}

err *addr_delete(rtnl *r, int index, uint32_t ip, subnet s)
{
    struct ifaddrmsg head = {.ifa_family = AF_INET,
                             .ifa_prefixlen = (unsigned char)s.prefix,
                             .ifa_index = (unsigned)index};
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_DELADDR, 0);
    char text[IP_TEXT];

    if (!msg || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0)
        abort();
    put_addr(msg, IFA_LOCAL, addr_v4(ip));
    ip_format(ip, text);
    return rtnl_ask(r, msg, "delete address", text);
}

err *default_route_set(rtnl *r, int index, addr gateway, bool v6)
{
    struct rtmsg head = {.rtm_family = (unsigned char)family_of(v6),
                         .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = RTPROT_BOOT,
                         .rtm_scope =
                             addr_is_set(gateway) || v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                         .rtm_type = RTN_UNICAST};
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);

    if (!msg || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(msg, RTA_OIF, (uint32_t)index) < 0)
        abort();
    if (addr_is_set(gateway))
        put_addr(msg, RTA_GATEWAY, gateway);
    return rtnl_ask(r, msg, "set", "the default route");
}

typedef struct gathered {
    cidr *v;
    size_t n;
} gathered;

static bool is_link_local(cidr c)
{
    return addr_is_v6(c.base) && (c.base.n >> 118 == 0x3fa || c.base.n >> 120 == 0xff);
}

static void gather(void *arg, cidr to)
{
    gathered *g = arg;

    if (to.prefix == 0 || is_link_local(to))
        return;
    g->v = xrealloc(g->v, (g->n + 1) * sizeof *g->v);
    g->v[g->n++] = to;
}

err *routes_here(rtnl *r, cidr **ret_v, size_t *ret_n)
{
    gathered g = {0};
    err *e = rtnl_each_route(r, AF_INET, gather, &g);

    if (!e)
        e = rtnl_each_route(r, AF_INET6, gather, &g);
    if (e) {
        free(g.v);
        return e;
    }
    *ret_v = g.v;
    *ret_n = g.n;
    return NULL;
}
