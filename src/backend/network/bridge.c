/* bridge.c - the bridge driver: a bridge on the host, a veth pair per container.
 *
 * The bridge and the firewall are made by the first attach that needs them, and again when someone
 * took them away.  The lock serves the jobs that come first together; everything else a job touches
 * is its own endpoint and what network_init fixed.  Blocks, on workers. */
#include "firewall.h"
#include "link.h"
#include "private.h"
#include "sysctl.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

static const char container_link[] = "eth0";

static pthread_mutex_t bridge_lock = PTHREAD_MUTEX_INITIALIZER;
static bool firewall_is_written;
static int known_index; /* of the bridge that has all it needs */

/* ---- the bridge, under the lock ---- */

/* The file says that this host forwards because we asked it to: it then is no router for anyone
 * else. */
static char *forward_marker(void)
{
    return xasprintf("%s/ip_forward", network_here.exec_root);
}

static err *forwarding_on(void)
{
    auto_free char *marker = forward_marker();
    auto_close int fd = -1;
    bool on = false;

    if (!network_here.ip_forward)
        return NULL;
    TRY(sysctl_is_set("ipv4/ip_forward", &on));
    if (on)
        return NULL;
    fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(errno, "create %s", marker);
    log_info("IP forwarding enabled");
    firewall_is_written = false; /* its policy changes */
    return sysctl_set("ipv4/ip_forward", "1");
}

static err *firewall_write_now(const bridge_config *b)
{
    auto_free char *marker = forward_marker();
    firewall_bridge one = {b->name, b->subnet, b->icc, b->masquerade};
    firewall_rules rules = {network_here.table, &one, 1, access(marker, F_OK) == 0};

    TRY(firewall_apply(&rules));
    firewall_is_written = true;
    return NULL;
}

static err *check_overlap(rtnl *r, const bridge_config *b)
{
    auto_free subnet *routes = NULL;
    size_t n = 0;

    TRY(route_subnets(r, 0, &routes, &n));
    for (size_t i = 0; i < n; i++)
        if (subnet_overlaps(b->subnet, routes[i])) {
            char ours[IP_TEXT], theirs[IP_TEXT];

            ip_format(b->subnet.base, ours);
            ip_format(routes[i].base, theirs);
            return err_new(ERR_FORBIDDEN,
                           "the subnet %s/%d of %s overlaps with the host's route to %s/%d", ours,
                           b->subnet.prefix, b->name, theirs, routes[i].prefix);
        }
    return NULL;
}

static err *bridge_make(rtnl *r, const bridge_config *b)
{
    uint8_t mac[MAC_LENGTH] = {0x02, 0x42};
    err *e;

    if (!b->ours)
        return err_new(ERR_SYSTEM,
                       "bridge device with non default name %s must be created manually", b->name);
    TRY(check_overlap(r, b));
    if (getrandom(mac + 2, sizeof mac - 2, 0) != (ssize_t)sizeof mac - 2)
        return err_errno(errno, "random bytes");
    e = link_add_bridge(r, b->name, mac, b->mtu);
    if (err_errnum(e) == EEXIST) { /* another daemon was quicker */
        err_free(e);
        e = NULL;
    }
    TRY(e);
    log_info("bridge created", "name", b->name);
    return sysctl_no_ipv6(b->name);
}

static bool link_is_up(const char *name)
{
    auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq req = {0};

    memcpy(req.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    return fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &req) == 0 && (req.ifr_flags & IFF_UP);
}

/* A docker0 of an earlier start may have another address than --bip asks for now. */
static err *drop_old_address(rtnl *r, const bridge_config *b, int index)
{
    bool found;
    subnet s;
    uint32_t ip;

    TRY(addr_first(r, index, &ip, &s, &found));
    if (!found || !b->ours || (ip == b->address && s.prefix == b->subnet.prefix))
        return NULL;
    return addr_delete(r, index, ip, s);
}

static err *bridge_furnish(rtnl *r, const bridge_config *b, int *ret_index)
{
    int index = (int)if_nametoindex(b->name);

    if (index == 0) {
        TRY(bridge_make(r, b));
        index = (int)if_nametoindex(b->name);
    }
    if (index == 0)
        return err_errno(ENODEV, "bridge %s", b->name);
    TRY(drop_old_address(r, b, index));
    TRY(addr_add(r, index, b->address, b->subnet));
    *ret_index = index;
    return link_set_up(r, index);
}

static err *bridge_up_locked(rtnl *r, const bridge_config *b, int *ret_index)
{
    int index = (int)if_nametoindex(b->name);

    TRY(forwarding_on());
    if (index == 0 || index != known_index || !link_is_up(b->name)) {
        TRY(bridge_furnish(r, b, &index));
        known_index = index;
    }
    if (network_here.iptables && !firewall_is_written)
        TRY(firewall_write_now(b));
    *ret_index = index;
    return NULL;
}

static err *bridge_up(rtnl *r, const bridge_config *b, int *ret_index)
{
    err *e;

    pthread_mutex_lock(&bridge_lock);
    e = bridge_up_locked(r, b, ret_index);
    pthread_mutex_unlock(&bridge_lock);
    return err_wrap(e, "failed to set up network bridge %s", b->name);
}

err *bridge_firewall(void)
{
    const network *n = &network_predefined[0];
    err *e;

    if (n->absent || !network_here.iptables)
        return NULL;
    pthread_mutex_lock(&bridge_lock);
    e = firewall_write_now(&n->bridge);
    pthread_mutex_unlock(&bridge_lock);
    return e;
}

/* ---- an endpoint ---- */

typedef struct entry {
    const endpoint *ep;
    rtnl *outside;
    int bridge_index, ns;
} entry;

static err *add_pair(const entry *in)
{
    const endpoint *ep = in->ep;
    veth_wish w = {
        .name = ep->veth,
        .bridge_index = in->bridge_index,
        .peer = container_link,
        .mac = ep->mac,
        .peer_ns = in->ns,
        .mtu = ep->net->bridge.mtu,
        .group = network_here.group,
    };
    err *e = link_add_veth(in->outside, &w);

    if (err_errnum(e) != EEXIST)
        return e;
    err_free(e); /* what an attach left that was killed half-way, or a detach just now */
    TRY(link_delete(in->outside, ep->veth, network_here.group));
    TRY(link_delete(in->outside, ep->veth, network_here.dead_group));
    return link_add_veth(in->outside, &w);
}

/* Runs in the container's namespace; the pair is made from outside, where the bridge is.  IPv6 goes
 * first, so that the link never has an address of its own making. */
static err *enter(void *arg)
{
    const entry *in = arg;
    auto_rtnl *inside = NULL;
    int index;

    TRY(sysctl_no_ipv6("default"));
    TRY(sysctl_no_ipv6("all"));
    TRY(add_pair(in));
    TRY(rtnl_open(&inside));
    index = (int)if_nametoindex(container_link);
    if (index == 0)
        return err_errno(errno, "find %s", container_link);
    TRY(addr_add(inside, index, in->ep->ip, in->ep->net->bridge.subnet));
    TRY(link_set_up(inside, index));
    return route_add_default(inside, index, in->ep->net->bridge.gateway);
}

static err *attach_with(entry *in, const char *netns_path)
{
    TRY(bridge_up(in->outside, &in->ep->net->bridge, &in->bridge_index));
    TRY(netns_run(netns_path, enter, in));
    if (!in->ep->net->bridge.icc)
        return link_isolate_port(in->outside, (int)if_nametoindex(in->ep->veth));
    return NULL;
}

static err *bridge_attach(endpoint *ep, const char *netns_path)
{
    auto_close int ns = open(netns_path, O_RDONLY | O_CLOEXEC);
    auto_rtnl *outside = NULL;
    entry in = {.ep = ep, .ns = ns};
    err *e;

    if (ns < 0)
        return err_errno(errno, "open network namespace %s", netns_path);
    TRY(rtnl_open(&outside));
    in.outside = outside;
    e = attach_with(&in, netns_path);
    if (e)
        err_log(link_delete(outside, ep->veth, network_here.group),
                "veth of a failed attach is left");
    return e;
}

/* Deleting a link waits for the whole kernel to let go of it, 10 ms and more.  So it is cut off at
 * once, and dies with the container's namespace; network.c sees to those whose namespace lives on.
 */
static err *bridge_detach(endpoint *ep)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return link_retire(r, ep->veth, network_here.group, network_here.dead_group);
}

err *bridge_bury(void)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return link_delete_group(r, network_here.dead_group);
}

static err *nothing_to_attach(endpoint *ep, const char *netns_path)
{
    (void)ep;
    (void)netns_path;
    return NULL;
}

static err *nothing_to_detach(endpoint *ep)
{
    (void)ep;
    return NULL;
}

const network_driver driver_bridge = {"bridge", true, bridge_attach, bridge_detach};
/* The host's namespace is there already, and one with a loopback alone is what netns_create makes.
 */
const network_driver driver_host = {"host", false, nothing_to_attach, nothing_to_detach};
const network_driver driver_null = {"null", true, nothing_to_attach, nothing_to_detach};

/* ---- configuration ---- */

static err *check_options(const network_opts *opts)
{
    if (!str_empty(opts->bridge) && !str_empty(opts->bip))
        return err_new(
            ERR_INVALID,
            "You specified -b & --bip, mutually exclusive options. Please specify only one");
    if (!opts->iptables && !opts->icc)
        return err_new(
            ERR_INVALID,
            "You specified --iptables=false with --icc=false. ICC=false uses iptables to "
            "function. Please set --icc or --iptables to true");
    if (opts->mtu < 0 || opts->mtu > 65535)
        return err_new(ERR_INVALID, "invalid default MTU: %d", opts->mtu);
    return NULL;
}

static err *choose_free(rtnl *r, int except_index, const char *stored, subnet *ret_s)
{
    auto_free subnet *routes = NULL;
    size_t n = 0;
    uint32_t ip;
    bool keep;

    TRY(route_subnets(r, except_index, &routes, &n));
    keep = stored && subnet_parse(stored, &ip, ret_s);
    for (size_t i = 0; i < n && keep; i++)
        keep = !subnet_overlaps(*ret_s, routes[i]);
    return keep ? NULL : subnet_choose(routes, n, ret_s);
}

/* The subnet: as asked, else the one the bridge has, else the one of the last time, else a free
 * one. */
static err *choose_subnet(const network_opts *opts, const char *stored, bridge_config *b)
{
    auto_rtnl *r = NULL;
    int index = (int)if_nametoindex(b->name);
    bool found = false;

    if (!str_empty(opts->bip)) {
        if (!subnet_parse(opts->bip, &b->address, &b->subnet) || b->address == b->subnet.base ||
            b->address == subnet_last(b->subnet))
            return err_new(ERR_INVALID, "invalid CIDR address: %s", opts->bip);
        return NULL;
    }
    TRY(rtnl_open(&r));
    if (index != 0)
        TRY(addr_first(r, index, &b->address, &b->subnet, &found));
    if (found)
        return NULL;
    TRY(choose_free(r, index, stored, &b->subnet));
    b->address = b->subnet.base + 1;
    return NULL;
}

static err *choose_range(const network_opts *opts, bridge_config *b)
{
    uint32_t ip;

    b->range = b->subnet;
    b->gateway = b->address;
    if (!str_empty(opts->fixed_cidr)) {
        if (!subnet_parse(opts->fixed_cidr, &ip, &b->range))
            return err_new(ERR_INVALID, "invalid CIDR address: %s", opts->fixed_cidr);
        if (!subnet_has(b->subnet, b->range.base) || b->range.prefix < b->subnet.prefix)
            return err_new(ERR_INVALID, "fixed-cidr %s is not within the subnet of bridge %s",
                           opts->fixed_cidr, b->name);
    }
    if (!str_empty(opts->default_gateway))
        if (!ip_parse(opts->default_gateway, &b->gateway) || !subnet_has(b->subnet, b->gateway))
            return err_new(ERR_INVALID, "default gateway %s is not within the subnet of bridge %s",
                           opts->default_gateway, b->name);
    return NULL;
}

err *bridge_configure(const network_opts *opts, const char *stored_subnet, bridge_config *ret)
{
    const char *name = str_or(opts->bridge, "docker0");
    bridge_config b = {
        .ours = str_eq(name, "docker0"),
        .mtu = opts->mtu ? opts->mtu : 1500,
        .icc = opts->icc,
        .masquerade = opts->ip_masq && opts->iptables,
    };

    firewall_is_written = false;
    known_index = 0;
    TRY(check_options(opts));
    if (strlen(name) >= sizeof b.name ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
            strlen(name))
        return err_new(ERR_INVALID, "invalid name of a bridge: %s", name);
    memcpy(b.name, name, strlen(name));
    if (!b.ours && if_nametoindex(name) == 0)
        return err_new(ERR_SYSTEM,
                       "bridge device with non default name %s must be created manually", name);
    TRY(choose_subnet(opts, stored_subnet, &b));
    TRY(choose_range(opts, &b));
    *ret = b;
    return NULL;
}
