/* link.c - links, addresses and routes by netlink.
 *
 * libnl packs the messages; this file keeps the kernel's errno, which libnl folds into fewer codes
 * of its own, and repeats what the kernel asks to repeat.  Blocks; one thread per socket. */
#include "link.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRIES = 5, RETRY_NS = 2 * 1000 * 1000 };

struct rtnl {
    struct nl_sock *sock;
    int errnum; /* what the kernel answered last, 0 for yes */
};

static int on_kernel_error(struct sockaddr_nl *from, struct nlmsgerr *answer, void *arg)
{
    rtnl *r = arg;

    (void)from;
    r->errnum = -answer->error;
    return NL_STOP;
}

err *rtnl_open(rtnl **ret_r)
{
    rtnl *r = new0(rtnl);
    int rc;

    r->sock = nl_socket_alloc();
    if (!r->sock)
        abort();
    nl_socket_modify_err_cb(r->sock, NL_CB_CUSTOM, on_kernel_error, r);
    rc = nl_connect(r->sock, NETLINK_ROUTE);
    if (rc < 0) {
        rtnl_close(r);
        return err_new(ERR_SYSTEM, "open a netlink socket: %s", nl_geterror(rc));
    }
    *ret_r = r;
    return NULL;
}

void rtnl_close(rtnl *r)
{
    if (!r)
        return;
    nl_socket_free(r->sock);
    free(r);
}

static bool is_passing(const rtnl *r, int rc)
{
    if (rc == -NLE_DUMP_INTR || rc == -NLE_AGAIN || rc == -NLE_NOMEM)
        return true;
    return r->errnum == EBUSY || r->errnum == EAGAIN || r->errnum == EINTR || r->errnum == ENOBUFS;
}

/* Waits a little before another try; false when the trouble is not of the passing kind. */
static bool again(const rtnl *r, int rc, int tries)
{
    struct timespec pause = {0, RETRY_NS};

    if (tries + 1 >= TRIES || !is_passing(r, rc))
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static err *failed(const rtnl *r, int rc, const char *what, const char *name)
{
    if (r->errnum)
        return err_errno(r->errnum, "%s %s", what, name);
    return err_new(ERR_SYSTEM, "%s %s: %s", what, name, nl_geterror(rc));
}

/* Sends a copy of the request until the kernel has taken or refused it. */
static int ask(rtnl *r, struct nl_msg *msg)
{
    for (int tries = 0;; tries++) {
        struct nl_msg *copy = nlmsg_convert(nlmsg_hdr(msg));
        int rc;

        if (!copy)
            abort();
        r->errnum = 0;
        rc = nl_send_sync(r->sock, copy); /* consumes it */
        if (rc >= 0 || !again(r, rc, tries))
            return rc;
    }
}

static err *add_link(rtnl *r, struct rtnl_link *link)
{
    struct nl_msg *msg = NULL;
    int rc = rtnl_link_build_add_request(link, NLM_F_CREATE | NLM_F_EXCL, &msg);
    err *e = NULL;

    if (rc >= 0)
        rc = ask(r, msg);
    if (rc < 0)
        e = failed(r, rc, "create link", rtnl_link_get_name(link));
    nlmsg_free(msg);
    rtnl_link_put(link);
    return e;
}

static void set_mac(struct rtnl_link *link, const uint8_t mac[6])
{
    struct nl_addr *address = nl_addr_build(AF_LLC, mac, 6);

    if (!address)
        abort();
    rtnl_link_set_addr(link, address);
    nl_addr_put(address);
}

err *link_add_bridge(rtnl *r, const char *name, const uint8_t mac[6], int mtu, uint32_t group)
{
    struct rtnl_link *link = rtnl_link_bridge_alloc();

    if (!link)
        abort();
    rtnl_link_set_name(link, name);
    rtnl_link_set_mtu(link, (unsigned)mtu);
    rtnl_link_set_group(link, group);
    set_mac(link, mac);
    return add_link(r, link);
}

err *link_add_veth(rtnl *r, const veth_wish *w)
{
    struct rtnl_link *link = rtnl_link_veth_alloc();
    struct rtnl_link *peer = link ? rtnl_link_veth_get_peer(link) : NULL;
    err *e;

    if (!peer)
        abort();
    rtnl_link_set_name(link, w->name);
    rtnl_link_set_mtu(link, (unsigned)w->mtu);
    rtnl_link_set_group(link, w->group);
    rtnl_link_set_master(link, w->bridge_index);
    rtnl_link_set_flags(link, IFF_UP);
    rtnl_link_set_name(peer, w->peer);
    rtnl_link_set_mtu(peer, (unsigned)w->mtu);
    rtnl_link_set_ns_fd(peer, w->peer_ns);
    set_mac(peer, w->mac);
    e = add_link(r, link);
    rtnl_link_put(peer); /* get_peer gave a reference of its own */
    return e;
}

static struct nl_msg *link_message(int type, int family, struct ifinfomsg head)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

    head.ifi_family = (unsigned char)family;
    if (!msg || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0)
        abort();
    return msg;
}

err *rtnl_ask(rtnl *r, struct nl_msg *msg, const char *what, const char *name)
{
    int rc = ask(r, msg);

    nlmsg_free(msg);
    return rc < 0 ? failed(r, rc, what, name) : NULL;
}

err *link_set_up(rtnl *r, int index)
{
    struct ifinfomsg head = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

    return rtnl_ask(r, link_message(RTM_NEWLINK, AF_UNSPEC, head), "bring up", "link");
}

static err *port_set(rtnl *r, int index, int what, const char *verb)
{
    struct nl_msg *msg =
        link_message(RTM_SETLINK, AF_BRIDGE, (struct ifinfomsg){.ifi_index = index});
    struct nlattr *port = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);

    if (!port || nla_put_u8(msg, what, 1) < 0)
        abort();
    nla_nest_end(msg, port);
    return rtnl_ask(r, msg, verb, "bridge port");
}

err *link_isolate_port(rtnl *r, int index)
{
    return port_set(r, index, IFLA_BRPORT_ISOLATED, "isolate");
}

err *link_hairpin_port(rtnl *r, int index)
{
    return port_set(r, index, IFLA_BRPORT_MODE, "set hairpin mode of");
}

static err *find_link(rtnl *r, const char *name, struct rtnl_link **ret_link)
{
    int rc, tries = 0;

    *ret_link = NULL;
    do {
        r->errnum = 0;
        rc = rtnl_link_get_kernel(r->sock, 0, name, ret_link);
    } while (rc < 0 && again(r, rc, tries++));
    if (rc < 0 && (r->errnum == ENODEV || rc == -NLE_OBJ_NOTFOUND || rc == -NLE_NODEV))
        return NULL;
    return rc < 0 ? failed(r, rc, "look for link", name) : NULL;
}

/* The link of this name, if it carries the group; 0 when there is none such. */
static err *find_ours(rtnl *r, const char *name, uint32_t group, int *ret_index)
{
    struct rtnl_link *link = NULL;

    *ret_index = 0;
    TRY(find_link(r, name, &link));
    if (link && rtnl_link_get_group(link) == group)
        *ret_index = rtnl_link_get_ifindex(link);
    rtnl_link_put(link);
    return NULL;
}

err *link_look(rtnl *r, const char *name, bool *ret_is_bridge, uint32_t *ret_group)
{
    struct rtnl_link *link = NULL;
    const char *type;

    TRY(find_link(r, name, &link));
    type = link ? rtnl_link_get_type(link) : NULL;
    *ret_is_bridge = type && strcmp(type, "bridge") == 0;
    *ret_group = link ? rtnl_link_get_group(link) : 0;
    rtnl_link_put(link);
    return NULL;
}

/* A link may go at any moment: its other end's namespace takes it along. */
static err *unless_gone(err *e)
{
    if (err_errnum(e) != ENODEV)
        return e;
    err_free(e);
    return NULL;
}

err *link_delete(rtnl *r, const char *name, uint32_t group)
{
    struct ifinfomsg head = {0};

    TRY(find_ours(r, name, group, &head.ifi_index));
    if (head.ifi_index == 0)
        return NULL;
    return unless_gone(
        rtnl_ask(r, link_message(RTM_DELLINK, AF_UNSPEC, head), "delete link", name));
}

err *link_delete_group(rtnl *r, uint32_t group)
{
    struct nl_msg *msg = link_message(RTM_DELLINK, AF_UNSPEC, (struct ifinfomsg){0});

    if (nla_put_u32(msg, IFLA_GROUP, group) < 0)
        abort();
    return unless_gone(rtnl_ask(r, msg, "delete links", "of a group"));
}

/* What the bridge learned of the port is forgotten too, or it would send the next owner of the
 * address here. */
static err *silence(rtnl *r, int index, const char *name)
{
    struct nl_msg *msg =
        link_message(RTM_SETLINK, AF_BRIDGE, (struct ifinfomsg){.ifi_index = index});
    struct nlattr *port = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);

    if (!port || nla_put_u8(msg, IFLA_BRPORT_STATE, BR_STATE_DISABLED) < 0 ||
        nla_put_flag(msg, IFLA_BRPORT_FLUSH) < 0)
        abort();
    nla_nest_end(msg, port);
    return rtnl_ask(r, msg, "silence", name);
}

static err *set_group(rtnl *r, int index, uint32_t group, const char *name)
{
    struct nl_msg *msg =
        link_message(RTM_SETLINK, AF_UNSPEC, (struct ifinfomsg){.ifi_index = index});

    if (nla_put_u32(msg, IFLA_GROUP, group) < 0)
        abort();
    return rtnl_ask(r, msg, "retire", name);
}

/* The group first: the notice of its change would enable the port again.  A link that someone took
 * out of the bridge cannot be silenced; it has nobody to talk to there. */
err *link_retire(rtnl *r, const char *name, uint32_t group, uint32_t dead)
{
    int index;
    err *e;

    TRY(find_ours(r, name, group, &index));
    if (index == 0)
        return NULL;
    TRY(unless_gone(set_group(r, index, dead, name)));
    e = unless_gone(silence(r, index, name));
    if (err_errnum(e) != EOPNOTSUPP && err_errnum(e) != EINVAL)
        return e;
    err_free(e);
    return NULL;
}

err *link_retire_bridge(rtnl *r, const char *name, uint32_t group, uint32_t dead)
{
    struct ifinfomsg down = {.ifi_change = IFF_UP};
    struct nl_msg *msg;

    TRY(find_ours(r, name, group, &down.ifi_index));
    if (down.ifi_index == 0)
        return NULL;
    msg = link_message(RTM_NEWLINK, AF_UNSPEC, down);
    if (nla_put_u32(msg, IFLA_GROUP, dead) < 0)
        abort();
    return unless_gone(rtnl_ask(r, msg, "retire", name));
}

static err *dump_failed(rtnl *r, int rc, const char *what)
{
    return rc < 0 ? failed(r, rc, "list", what) : NULL;
}

static bool is_veth(struct rtnl_link *link)
{
    return rtnl_link_is_veth(link);
}

static bool is_made(struct rtnl_link *link)
{
    const char *type = rtnl_link_get_type(link);

    return type && (!strcmp(type, "bridge") || !strcmp(type, "vlan") || !strcmp(type, "dummy"));
}

static err *each(rtnl *r, bool (*is)(struct rtnl_link *link), uint32_t group,
                 void (*fn)(void *arg, const char *name), void *arg)
{
    struct nl_cache *links = NULL;
    int rc, tries = 0;

    do {
        r->errnum = 0;
        rc = rtnl_link_alloc_cache(r->sock, AF_UNSPEC, &links);
    } while (rc < 0 && again(r, rc, tries++));
    TRY(dump_failed(r, rc, "links"));
    for (struct nl_object *o = nl_cache_get_first(links); o; o = nl_cache_get_next(o)) {
        struct rtnl_link *link = (struct rtnl_link *)o;

        if (is(link) && rtnl_link_get_group(link) == group)
            fn(arg, rtnl_link_get_name(link));
    }
    nl_cache_free(links);
    return NULL;
}

err *link_each_veth(rtnl *r, uint32_t group, void (*fn)(void *arg, const char *name), void *arg)
{
    return each(r, is_veth, group, fn, arg);
}

err *link_each_made(rtnl *r, uint32_t group, void (*fn)(void *arg, const char *name), void *arg)
{
    return each(r, is_made, group, fn, arg);
}

static void read_address(struct nl_addr *a, uint32_t *ret_ip, subnet *ret_s)
{
    uint32_t wire;
    int prefix = (int)nl_addr_get_prefixlen(a);

    memcpy(&wire, nl_addr_get_binary_addr(a), sizeof wire);
    *ret_ip = ntohl(wire);
    *ret_s = (subnet){prefix == 0 ? 0 : *ret_ip & (UINT32_MAX << (32 - prefix)), prefix};
}

static bool is_ipv4(struct nl_addr *a)
{
    return a && nl_addr_get_family(a) == AF_INET && nl_addr_get_len(a) == 4;
}

err *addr_first(rtnl *r, int index, uint32_t *ret_ip, subnet *ret_s, bool *ret_found)
{
    struct nl_cache *all = NULL;
    int rc, tries = 0;

    *ret_found = false;
    do {
        r->errnum = 0;
        rc = rtnl_addr_alloc_cache(r->sock, &all);
    } while (rc < 0 && again(r, rc, tries++));
    TRY(dump_failed(r, rc, "addresses"));
    for (struct nl_object *o = nl_cache_get_first(all); o && !*ret_found;
         o = nl_cache_get_next(o)) {
        struct rtnl_addr *address = (struct rtnl_addr *)o;

        if (rtnl_addr_get_ifindex(address) == index && is_ipv4(rtnl_addr_get_local(address))) {
            read_address(rtnl_addr_get_local(address), ret_ip, ret_s);
            *ret_found = true;
        }
    }
    nl_cache_free(all);
    return NULL;
}

static bool goes_through(struct rtnl_route *route, int index)
{
    struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);

    return hop && index > 0 && rtnl_route_nh_get_ifindex(hop) == index;
}

err *rtnl_each_route(rtnl *r, int family, void (*fn)(void *arg, cidr to), void *arg)
{
    struct nl_cache *all = NULL;
    int rc, tries = 0;

    do {
        r->errnum = 0;
        rc = rtnl_route_alloc_cache(r->sock, family, 0, &all);
    } while (rc < 0 && again(r, rc, tries++));
    TRY(dump_failed(r, rc, "routes"));
    for (struct nl_object *o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
        struct nl_addr *to = rtnl_route_get_dst((struct rtnl_route *)o);

        if (to && (nl_addr_get_len(to) == 4 || nl_addr_get_len(to) == 16))
            fn(arg, (cidr){addr_of_bytes(nl_addr_get_binary_addr(to), nl_addr_get_len(to)),
                           (int)nl_addr_get_prefixlen(to)});
    }
    nl_cache_free(all);
    return NULL;
}

err *route_subnets(rtnl *r, int except_index, subnet **ret_v, size_t *ret_n)
{
    struct nl_cache *all = NULL;
    int rc, tries = 0;
    size_t n = 0;
    subnet *v;

    do {
        r->errnum = 0;
        rc = rtnl_route_alloc_cache(r->sock, AF_INET, 0, &all);
    } while (rc < 0 && again(r, rc, tries++));
    TRY(dump_failed(r, rc, "routes"));
    v = xcalloc((size_t)nl_cache_nitems(all) + 1, sizeof *v);
    for (struct nl_object *o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
        struct rtnl_route *route = (struct rtnl_route *)o;
        uint32_t ip;

        if (!is_ipv4(rtnl_route_get_dst(route)) || goes_through(route, except_index))
            continue;
        read_address(rtnl_route_get_dst(route), &ip, &v[n]);
        n += v[n].prefix > 0;
    }
    nl_cache_free(all);
    *ret_v = v;
    *ret_n = n;
    return NULL;
}
