/* vlan.c - the macvlan and ipvlan drivers: a link of the container's own on a link of the host's.
 *
 * The link is made straight into the container's namespace, so nothing of it is ever on the host.
 * A parent "eth0.10" that is missing is made as that VLAN; without a parent a dummy link is, and
 * the network is internal.  Blocks on workers, but prepare. */
#include "link.h"
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VLAN_ID_MIN = 1, VLAN_ID_MAX = 4094 };

typedef struct mode_name {
    const char *name;
    unsigned value;
} mode_name;

static const mode_name macvlan_modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
                                          {"private", MACVLAN_MODE_PRIVATE},
                                          {"vepa", MACVLAN_MODE_VEPA},
                                          {"passthru", MACVLAN_MODE_PASSTHRU},
                                          {NULL, 0}};
static const mode_name ipvlan_modes[] = {
    {"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, 0}};
static const mode_name ipvlan_flags[] = {
    {"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}, {NULL, 0}};

static bool is_macvlan(const network *n)
{
    return n->driver == &driver_macvlan;
}

/* ---- options ---- */

/* The first of known is what an absent option means. */
static err *mode_of(const network *n, const char *option, const mode_name *known, const char *what,
                    unsigned *ret)
{
    const char *text = str_or(json_map_get(&n->rec.options, option), known->name);

    for (const mode_name *m = known; m->name; m++)
        if (str_eq(m->name, text)) {
            *ret = m->value;
            return NULL;
        }
    return err_new(ERR_INVALID,
                   "requested %s %s '%s' is not valid, '%s' %s is the %s driver default",
                   n->driver->name, what, text, known->name, what, n->driver->name);
}

static err *check_shared(const network *n)
{
    for (const network *other = networks_first(); other; other = other->next) {
        if (other == n || other->driver != n->driver || other->rec.config_only ||
            !str_eq(other->vlan.parent, n->vlan.parent))
            continue;
        if (!is_macvlan(n))
            return err_new(ERR_FORBIDDEN, "network dm-%.12s is already using parent interface %s",
                           other->id, n->vlan.parent);
        if (n->vlan.mode == MACVLAN_MODE_PASSTHRU || other->vlan.mode == MACVLAN_MODE_PASSTHRU)
            return err_new(
                ERR_FORBIDDEN,
                "cannot use mode passthru, macvlan network %s is already using parent interface "
                "%s",
                other->id, n->vlan.parent);
    }
    return NULL;
}

bool vlan_shares_parent(const network *n)
{
    for (const network *other = networks_first(); other; other = other->next)
        if (other != n && *n->vlan.parent && str_eq(other->vlan.parent, n->vlan.parent))
            return true;
    return false;
}

static err *vlan_prepare(network *n)
{
    const char *parent = json_map_get(&n->rec.options, "parent");
    vlan_config *v = &n->vlan;

    v->mtu = 0;
    TRY(option_mtu(n, &v->mtu));
    TRY(option_ifprefix(n));
    if (is_macvlan(n)) {
        TRY(mode_of(n, "macvlan_mode", macvlan_modes, "mode", &v->mode));
    } else {
        TRY(mode_of(n, "ipvlan_mode", ipvlan_modes, "mode", &v->mode));
        TRY(mode_of(n, "ipvlan_flag", ipvlan_flags, "flag", &v->flags));
        n->gatewayless = v->mode != IPVLAN_MODE_L2;
    }
    if (str_eq(parent, "lo"))
        return err_new(ERR_FORBIDDEN, "loopback interface is not a valid %s parent link",
                       n->driver->name);
    if (str_empty(parent)) {
        snprintf(v->parent, sizeof v->parent, "dm-%.12s", n->id);
        v->is_dummy = n->rec.internal = true;
        return NULL;
    }
    TRY(link_name_check(parent));
    memcpy(v->parent, parent, strlen(parent) + 1);
    v->keep_parent = vlan_shares_parent(n);
    return check_shared(n);
}

/* ---- the parent ---- */

static err *make_vlan(rtnl *r, const network *n)
{
    const char *name = n->vlan.parent, *dot = strrchr(name, '.');
    auto_free char *below = dot ? xstrndup(name, (size_t)(dot - name)) : NULL;
    link_wish w = {.name = name, .kind = LINK_VLAN, .group = network_here.group, .ns = -1};
    uint64_t id;

    if (!dot || !str_to_uint64(dot + 1, &id))
        return err_new(ERR_INVALID,
                       "invalid subinterface vlan name %s, example formatting is eth0.10", name);
    if (id < VLAN_ID_MIN || id > VLAN_ID_MAX)
        return err_new(ERR_INVALID, "vlan id must be between 1-4094, received: %llu",
                       (unsigned long long)id);
    w.parent_index = (int)if_nametoindex(below);
    if (w.parent_index == 0)
        return err_new(ERR_INVALID, "-o parent interface does was not found on the host: %s",
                       below);
    w.mode = (unsigned)id;
    return link_add(r, &w);
}

static err *make_parent(rtnl *r, const network *n)
{
    link_wish dummy = {
        .name = n->vlan.parent, .kind = LINK_DUMMY, .group = network_here.group, .ns = -1};
    int index = (int)if_nametoindex(n->vlan.parent);

    if (index == 0) {
        err *e = n->vlan.is_dummy ? link_add(r, &dummy) : make_vlan(r, n);

        if (err_errnum(e) != EEXIST)
            TRY(e);
        else
            err_free(e);
        index = (int)if_nametoindex(n->vlan.parent);
        if (index == 0)
            return err_errno(ENODEV, "parent interface %s", n->vlan.parent);
        return link_set_up(r, index);
    }
    return NULL;
}

static err *vlan_make(network *n)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return make_parent(r, n);
}

/* What carries our group was made here; two networks may be on one VLAN. */
static err *vlan_unmake(network *n)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return n->vlan.keep_parent ? NULL : link_delete(r, n->vlan.parent, network_here.group);
}

/* ---- an endpoint ---- */

typedef struct entry {
    const endpoint *ep;
    rtnl *outside;
    int ns;
} entry;

static err *add_link(const entry *in)
{
    const endpoint *ep = in->ep;
    const network *n = ep->net;
    link_wish w = {.name = ep->ifname,
                   .kind = is_macvlan(n) ? LINK_MACVLAN : LINK_IPVLAN,
                   .mode = n->vlan.mode,
                   .flags = n->vlan.flags,
                   .parent_index = (int)if_nametoindex(n->vlan.parent),
                   .mac = is_macvlan(n) ? ep->mac : NULL, /* ipvlan has its parent's */
                   .mtu = n->vlan.mtu,
                   .ns = in->ns};

    return link_add(in->outside, &w);
}

static err *enter(void *arg)
{
    const entry *in = arg;
    auto_rtnl *inside = NULL;

    TRY(rtnl_open(&inside));
    return sandbox_furnish(inside, in->ep);
}

static err *prepare_inside(void *arg)
{
    (void)arg;
    return sandbox_prepare();
}

static err *remove_inside(void *arg)
{
    const endpoint *ep = ((const entry *)arg)->ep;
    auto_rtnl *inside = NULL;

    TRY(rtnl_open(&inside));
    return link_delete(inside, ep->ifname, 0);
}

static err *vlan_attach(endpoint *ep, const char *netns_path)
{
    auto_close int ns = open(netns_path, O_RDONLY | O_CLOEXEC);
    auto_rtnl *outside = NULL;
    entry in = {.ep = ep, .ns = ns};
    err *e;

    if (ns < 0)
        return err_errno(errno, "open network namespace %s", netns_path);
    TRY(rtnl_open(&outside));
    in.outside = outside;
    TRY(make_parent(outside, ep->net));
    TRY(netns_run(netns_path, prepare_inside, NULL));
    TRY(add_link(&in));
    e = netns_run(netns_path, enter, &in);
    if (e)
        err_log(netns_run(netns_path, remove_inside, &in), "link of a failed attach is left");
    return e;
}

static err *vlan_detach(endpoint *ep, const char *netns_path)
{
    entry in = {.ep = ep};

    return netns_path ? netns_run(netns_path, remove_inside, &in) : NULL;
}

const network_driver driver_macvlan = {
    .name = "macvlan",
    .has_netns = true,
    .has_addresses = true,
    .can_create = true,
    .prepare = vlan_prepare,
    .make = vlan_make,
    .unmake = vlan_unmake,
    .attach = vlan_attach,
    .detach = vlan_detach,
};

const network_driver driver_ipvlan = {
    .name = "ipvlan",
    .has_netns = true,
    .has_addresses = true,
    .can_create = true,
    .prepare = vlan_prepare,
    .make = vlan_make,
    .unmake = vlan_unmake,
    .attach = vlan_attach,
    .detach = vlan_detach,
};
