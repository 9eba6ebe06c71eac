/* bridge.c - the bridge driver: a bridge on the host, a veth pair per container.
 *
 * The bridge and the firewall are made by the first attach that needs them, and again when someone
 * took them away.  The lock serves the jobs that come first together; everything else a job touches
 * is its own endpoint and what network_init fixed.  Blocks, on workers. */
#include "firewall.h"
#include "link.h"
#include "ports.h"
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

static pthread_mutex_t bridge_lock = PTHREAD_MUTEX_INITIALIZER;
static bool firewall_is_written;
static bridge_config *listed; /* those that were in use since the start */
static port_element *published;
static size_t n_published;

/* ---- the bridge, under the lock ---- */

/* What makes the host forward packets of a family. */
typedef struct forwarding {
    const char *sysctl;
    const char *marker; /* the file that says it was us: the host then routes for nobody else */
} forwarding;
static const forwarding forwarding4 = {"ipv4/ip_forward", "ip_forward"};
static const forwarding forwarding6 = {"ipv6/conf/all/forwarding", "ip6_forward"};

static char *forward_marker(const forwarding *f)
{
    return xasprintf("%s/%s", network_here.exec_root, f->marker);
}

static bool forwards_for_us(const forwarding *f)
{
    auto_free char *marker = forward_marker(f);

    return access(marker, F_OK) == 0;
}

static err *forwarding_on(const forwarding *f)
{
    auto_free char *marker = forward_marker(f);
    auto_close int fd = -1;
    bool on = false;

    if (!network_here.ip_forward)
        return NULL;
    TRY(sysctl_is_set(f->sysctl, &on));
    if (on)
        return NULL;
    fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(errno, "create %s", marker);
    log_info("IP forwarding enabled", "sysctl", f->sysctl);
    firewall_is_written = false; /* its policy changes */
    return sysctl_set(f->sysctl, "1");
}

static bool firewall_is_ours(void)
{
    return network_here.iptables || network_here.ip6tables;
}

static cidr subnet_of(const bridge_config *b)
{
    return b->has_ipv4 ? (cidr){addr_v4(b->subnet.base), b->subnet.prefix} : (cidr){0};
}

static err *firewall_write_now(void)
{
    auto_free firewall_bridge *all = NULL;
    firewall_rules rules = {.table = network_here.table,
                            .ipv4 = network_here.iptables,
                            .ipv6 = network_here.ip6tables && sysctl_has_ipv6(),
                            .no_router = forwards_for_us(&forwarding4),
                            .no_router6 = forwards_for_us(&forwarding6)};

    for (const bridge_config *b = listed; b; b = b->next) {
        all = xrealloc(all, (rules.n + 1) * sizeof *all);
        all[rules.n++] = (firewall_bridge){b->name, subnet_of(b),  b->subnet6,
                                           b->icc,  b->masquerade, b->internal};
    }
    rules.bridges = all;
    rules.ports = published;
    rules.n_ports = n_published;
    TRY(firewall_apply(&rules));
    firewall_is_written = true;
    return NULL;
}

static void list_add(bridge_config *b)
{
    if (b->is_listed)
        return;
    b->is_listed = true;
    b->next = listed;
    listed = b;
    firewall_is_written = false;
}

static void list_remove(bridge_config *b)
{
    bridge_config **at = &listed;

    while (*at && *at != b)
        at = &(*at)->next;
    if (*at)
        *at = b->next;
    b->is_listed = false;
}

static err *check_overlap(rtnl *r, const bridge_config *b)
{
    auto_free subnet *routes = NULL;
    size_t n = 0;

    if (!b->has_ipv4)
        return NULL;
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
    e = link_add_bridge(r, b->name, mac, b->mtu, b->user ? network_here.group : 0);
    if (err_errnum(e) == EEXIST) { /* another daemon was quicker */
        err_free(e);
        e = NULL;
    }
    TRY(e);
    log_info("bridge created", "name", b->name);
    return addr_is_set(b->subnet6.base) ? sysctl_static_ipv6(b->name) : sysctl_no_ipv6(b->name);
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

/* A link of that name that we did not make is used as it is, if it is a bridge with the address or
 * with none: another program's is never changed. */
static err *check_foreign(rtnl *r, const bridge_config *b, int index)
{
    bool is_bridge, found;
    uint32_t group, ip;
    subnet s;

    TRY(link_look(r, b->name, &is_bridge, &group));
    if (!is_bridge)
        return err_new(ERR_FORBIDDEN, "existing interface %s is not a bridge", b->name);
    if (!b->user || group == network_here.group)
        return NULL;
    TRY(addr_first(r, index, &ip, &s, &found));
    if (found && (ip != b->address || s.prefix != b->subnet.prefix))
        return err_new(ERR_FORBIDDEN, "existing bridge %s has another address", b->name);
    return NULL;
}

static err *give_addresses(rtnl *r, const bridge_config *b, int index)
{
    if (b->has_ipv4 && b->address) {
        TRY(drop_old_address(r, b, index));
        TRY(addr_add(r, index, b->address, b->subnet));
    }
    return addr_is_set(b->address6) ? address_add(r, index, b->address6, b->subnet6.prefix) : NULL;
}

static err *bridge_furnish(rtnl *r, const bridge_config *b, int *ret_index)
{
    int index = (int)if_nametoindex(b->name);

    if (index != 0) { /* one of that name may be due to be deleted */
        TRY(link_delete(r, b->name, network_here.dead_group));
        index = (int)if_nametoindex(b->name);
    }
    if (index == 0) {
        TRY(bridge_make(r, b));
        index = (int)if_nametoindex(b->name);
    } else {
        TRY(check_foreign(r, b, index));
    }
    if (index == 0)
        return err_errno(ENODEV, "bridge %s", b->name);
    TRY(give_addresses(r, b, index));
    *ret_index = index;
    return link_set_up(r, index);
}

static err *bridge_up_locked(rtnl *r, bridge_config *b, int *ret_index)
{
    int index = (int)if_nametoindex(b->name);

    TRY(forwarding_on(&forwarding4));
    if (addr_is_set(b->subnet6.base))
        TRY(forwarding_on(&forwarding6));
    if (index == 0 || index != b->known_index || !link_is_up(b->name)) {
        TRY(bridge_furnish(r, b, &index));
        b->known_index = index;
    }
    list_add(b);
    *ret_index = index;
    return NULL;
}

static err *firewall_if_needed(void)
{
    return firewall_is_ours() && !firewall_is_written ? firewall_write_now() : NULL;
}

static err *bridge_up(rtnl *r, bridge_config *b, int *ret_index)
{
    err *e;

    pthread_mutex_lock(&bridge_lock);
    e = bridge_up_locked(r, b, ret_index);
    if (!e)
        e = firewall_if_needed();
    pthread_mutex_unlock(&bridge_lock);
    return err_wrap(e, "failed to set up network bridge %s", b->name);
}

err *bridges_up(network *const *all, size_t n)
{
    auto_rtnl *r = NULL;
    int index;
    err *e = NULL;

    TRY(rtnl_open(&r));
    pthread_mutex_lock(&bridge_lock);
    for (size_t i = 0; i < n; i++)
        if (!all[i]->bridge.is_gone)
            err_log(bridge_up_locked(r, &all[i]->bridge, &index), "bridge of running containers");
    if (firewall_is_ours() && listed)
        e = firewall_write_now();
    pthread_mutex_unlock(&bridge_lock);
    return e;
}

err *bridge_firewall(void)
{
    err *e = NULL;

    pthread_mutex_lock(&bridge_lock);
    if (firewall_is_ours() && listed)
        e = firewall_write_now();
    pthread_mutex_unlock(&bridge_lock);
    return e;
}

void bridges_forget(void)
{
    while (listed)
        list_remove(listed);
    free(take(published));
    n_published = 0;
    firewall_is_written = false;
}

/* ---- published ports ---- */

static bool is_same_port(const port_element *a, const port_element *b)
{
    return a->protocol == b->protocol && a->host_ip == b->host_ip && a->host_port == b->host_port;
}

static void unlist_port(size_t i, port_element *ret)
{
    *ret = published[i];
    published[i] = published[--n_published];
}

/* One that was let go and is not withdrawn yet makes room: *ret_gone has it. */
static size_t list_ports(const port_element *elements, size_t n, port_element *ret_gone)
{
    size_t gone = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t k = n_published; k-- > 0;)
            if (is_same_port(&published[k], &elements[i]))
                unlist_port(k, &ret_gone[gone++]);
    published = xrealloc(published, (n_published + n + 1) * sizeof(*published));
    memcpy(published + n_published, elements, n * sizeof(*elements));
    n_published += n;
    return gone;
}

static size_t unlist_ports(const port_claim *owner, port_element **ret_gone)
{
    size_t gone = 0;

    *ret_gone = xcalloc(n_published + 1, sizeof(**ret_gone));
    for (size_t k = n_published; k-- > 0;)
        if (published[k].owner == owner)
            unlist_port(k, &(*ret_gone)[gone++]);
    return gone;
}

/* From the host's own 127.0.0.1 a packet leaves by the bridge only with this; the rules see to it
 * that nothing else comes or goes by such addresses. */
static err *allow_loopback(const char *bridge)
{
    auto_free char *name = xasprintf("ipv4/conf/%s/route_localnet", bridge);

    return sysctl_set(name, "1");
}

static err *publish_locked(const char *bridge, const port_element *elements, size_t n)
{
    auto_free port_element *gone = xcalloc(n_published + 1, sizeof(*gone));
    size_t n_gone = list_ports(elements, n, gone);

    TRY(allow_loopback(bridge));
    if (!firewall_is_written)
        return firewall_write_now();
    return firewall_change_ports(network_here.table, gone, n_gone, elements, n);
}

err *bridge_publish(const char *bridge, const port_element *elements, size_t n)
{
    err *e = NULL;

    if (!network_here.iptables || !n)
        return NULL;
    pthread_mutex_lock(&bridge_lock);
    e = publish_locked(bridge, elements, n);
    if (e) {
        auto_free port_element *gone = NULL;

        (void)unlist_ports(elements->owner, &gone);
        firewall_is_written = false; /* what is there is not known: the next one writes all */
    }
    pthread_mutex_unlock(&bridge_lock);
    return e;
}

err *bridge_withdraw(const port_claim *owner)
{
    auto_free port_element *gone = NULL;
    size_t n;
    err *e = NULL;

    if (!network_here.iptables)
        return NULL;
    pthread_mutex_lock(&bridge_lock);
    n = unlist_ports(owner, &gone);
    if (n && firewall_is_written)
        e = firewall_change_ports(network_here.table, gone, n, NULL, 0);
    if (e)
        firewall_is_written = false;
    pthread_mutex_unlock(&bridge_lock);
    return e;
}

void bridge_has_published(const port_element *elements, size_t n)
{
    pthread_mutex_lock(&bridge_lock);
    published = xrealloc(published, (n_published + n + 1) * sizeof(*published));
    memcpy(published + n_published, elements, n * sizeof(*elements));
    n_published += n;
    pthread_mutex_unlock(&bridge_lock);
}

/* ---- a network of a client's ---- */

static err *bridge_create(network *n)
{
    auto_rtnl *r = NULL;
    int index;
    err *e;

    TRY(rtnl_open(&r));
    pthread_mutex_lock(&bridge_lock);
    e = bridge_furnish(r, &n->bridge, &index);
    pthread_mutex_unlock(&bridge_lock);
    return err_wrap(e, "failed to set up network bridge %s", n->bridge.name);
}

/* Its subnet is free at once: the link that is due to be deleted has no address any more. */
static void give_address_back(rtnl *r, const bridge_config *b)
{
    bool is_bridge;
    uint32_t group = 0;
    err *e = link_look(r, b->name, &is_bridge, &group);

    if (!e && group == network_here.group && b->has_ipv4 && b->address)
        e = addr_delete(r, (int)if_nametoindex(b->name), b->address, b->subnet);
    err_log(e, "address of a removed bridge");
}

/* A bridge that was there before its network was is left.  Ours is taken down, and network.c
 * deletes it with what else is due: the kernel takes tens of milliseconds for one or for many. */
static err *bridge_destroy(network *n)
{
    auto_rtnl *r = NULL;
    bool was_listed;
    err *e = NULL;

    TRY(rtnl_open(&r));
    pthread_mutex_lock(&bridge_lock);
    was_listed = n->bridge.is_listed;
    list_remove(&n->bridge);
    n->bridge.is_gone = true;
    if (was_listed && firewall_is_ours())
        e = firewall_write_now();
    pthread_mutex_unlock(&bridge_lock);
    err_log(e, "the firewall still has a removed network");
    give_address_back(r, &n->bridge);
    return link_retire_bridge(r, n->bridge.name, network_here.group, network_here.dead_group);
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
        .peer = ep->ifname,
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

/* Runs in the container's namespace; the pair is made from outside, where the bridge is. */
static err *enter(void *arg)
{
    const entry *in = arg;
    auto_rtnl *inside = NULL;

    TRY(sandbox_prepare());
    TRY(add_pair(in));
    TRY(rtnl_open(&inside));
    return sandbox_furnish(inside, in->ep);
}

static err *attach_with(entry *in, const char *netns_path)
{
    bridge_config *b = &in->ep->net->bridge;
    int port;

    TRY(bridge_up(in->outside, b, &in->bridge_index));
    TRY(netns_run(netns_path, enter, in));
    port = (int)if_nametoindex(in->ep->veth);
    if (!addr_is_set(in->ep->ip6)) /* with IPv6 it would find its own address taken */
        TRY(link_hairpin_port(in->outside, port)); /* for its own published ports */
    return b->icc ? NULL : link_isolate_port(in->outside, port);
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
 * From a container that goes on it is deleted. */
static err *bridge_detach(endpoint *ep, const char *netns_path)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    if (netns_path)
        return link_delete(r, ep->veth, network_here.group);
    return link_retire(r, ep->veth, network_here.group, network_here.dead_group);
}

err *bridge_bury(void)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return link_delete_group(r, network_here.dead_group);
}

const network_driver driver_bridge = {
    .name = "bridge",
    .has_netns = true,
    .has_addresses = true,
    .can_create = true,
    .prepare = bridge_prepare,
    .make = bridge_create,
    .unmake = bridge_destroy,
    .attach = bridge_attach,
    .detach = bridge_detach,
};
