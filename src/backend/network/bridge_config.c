/* bridge_config.c - what a bridge is to be: from the daemon's options, or a network's.
 *
 * Loop thread; bridge_configure looks at the host, before the loop runs. */
#include "link.h"
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the default bridge ---- */

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

static bool is_taken(subnet s, const subnet *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (subnet_overlaps(s, routes[i]))
            return true;
    return false;
}

static err *first_free(const subnet *routes, size_t n, subnet *ret_s)
{
    cidr c;

    for (size_t i = 0; default_pool_nth(false, i, &c); i++) {
        subnet s = {(uint32_t)c.base.n, c.prefix};

        if (is_taken(s, routes, n))
            continue;
        *ret_s = s;
        return NULL;
    }
    return err_new(ERR_INVALID, "all predefined address pools have been fully subnetted");
}

static err *choose_free(rtnl *r, int except_index, const char *stored, subnet *ret_s)
{
    auto_free subnet *routes = NULL;
    size_t n = 0;
    uint32_t ip;
    bool keep;

    TRY(route_subnets(r, except_index, &routes, &n));
    keep = stored && subnet_parse(stored, &ip, ret_s) && !is_taken(*ret_s, routes, n);
    return keep ? NULL : first_free(routes, n, ret_s);
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

static addr first_of(cidr c)
{
    return (addr){c.base.n + 1, c.base.bits};
}

static err *range_ipv6(const network_opts *opts, bridge_config *b)
{
    addr written;

    b->range6 = b->subnet6;
    b->gateway6 = b->address6;
    if (!str_empty(opts->fixed_cidr_v6)) {
        if (!cidr_parse(opts->fixed_cidr_v6, &written, &b->range6) || !addr_is_v6(written))
            return err_new(ERR_INVALID, "invalid CIDR address: %s", opts->fixed_cidr_v6);
        if (!cidr_has(b->subnet6, b->range6.base) || b->range6.prefix < b->subnet6.prefix)
            return err_new(ERR_INVALID, "fixed-cidr-v6 %s is not within the subnet of bridge %s",
                           opts->fixed_cidr_v6, b->name);
    }
    if (!str_empty(opts->default_gateway_v6) &&
        (!addr_parse(opts->default_gateway_v6, &b->gateway6) || !cidr_has(b->subnet6, b->gateway6)))
        return err_new(ERR_INVALID, "default gateway %s is not within the subnet of bridge %s",
                       opts->default_gateway_v6, b->name);
    return NULL;
}

/* As bip6 says, else what fixed-cidr-v6 says is all of it, else the first of the default pools. */
static err *choose_ipv6(const network_opts *opts, bridge_config *b)
{
    addr written;

    if (!opts->ipv6)
        return NULL;
    if (!str_empty(opts->bip6)) {
        if (!cidr_parse(opts->bip6, &b->address6, &b->subnet6) || !addr_is_v6(b->address6) ||
            addr_eq(b->address6, b->subnet6.base))
            return err_new(ERR_INVALID, "invalid CIDR address: %s", opts->bip6);
        return range_ipv6(opts, b);
    }
    if (!str_empty(opts->fixed_cidr_v6)) {
        if (!cidr_parse(opts->fixed_cidr_v6, &written, &b->subnet6) || !addr_is_v6(written))
            return err_new(ERR_INVALID, "invalid CIDR address: %s", opts->fixed_cidr_v6);
    } else if (!default_pool_nth(true, 0, &b->subnet6)) {
        return err_new(ERR_INVALID, "all predefined address pools have been fully subnetted");
    }
    b->address6 = first_of(b->subnet6);
    return range_ipv6(opts, b);
}

err *bridge_configure(const network_opts *opts, const char *stored_subnet, bridge_config *ret)
{
    const char *name = str_or(opts->bridge, "docker0");
    bridge_config b = {
        .ours = str_eq(name, "docker0"),
        .has_ipv4 = true,
        .mtu = opts->mtu ? opts->mtu : 1500,
        .icc = opts->icc,
        .masquerade = opts->ip_masq && opts->iptables, /* as dockerd */
    };

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
    TRY(choose_ipv6(opts, &b));
    *ret = b;
    return NULL;
}

/* ---- a network of a client's ---- */

static const char option_prefix[] = "com.docker.network.";

err *option_bool(const network *n, const char *name, bool *ret)
{
    auto_free char *key = xasprintf("%s%s", option_prefix, name);
    const char *text = json_map_get(&n->rec.options, key);
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    if (!text)
        return NULL;
    for (size_t i = 0; i < COUNT(yes); i++)
        if (str_eq(text, yes[i]) || str_eq(text, no[i])) {
            *ret = str_eq(text, yes[i]);
            return NULL;
        }
    return err_new(
        ERR_INVALID,
        "failed to parse %s value: %s (strconv.ParseBool: parsing \"%s\": invalid syntax)", key,
        text, text);
}

err *option_mtu(const network *n, int *ret)
{
    const char *text = json_map_get(&n->rec.options, "com.docker.network.driver.mtu");
    int64_t mtu;

    if (!text)
        return NULL;
    if (!str_to_int64(text, &mtu))
        return err_new(ERR_INVALID,
                       "failed to parse com.docker.network.driver.mtu value: %s (strconv.Atoi: "
                       "parsing \"%s\": invalid syntax)",
                       text, text);
    if (mtu < 0 || mtu > 65535)
        return err_new(ERR_INVALID, "invalid MTU number: %lld", (long long)mtu);
    *ret = mtu ? (int)mtu : 1500;
    return NULL;
}

static err *take_pool(bridge_config *b, const network_pool *np)
{
    cidr c = pool_subnet(np->pool), range = pool_range(np->pool);

    if (addr_is_v6(c.base)) {
        if (addr_is_set(b->subnet6.base))
            return err_new(ERR_FORBIDDEN, "bridge driver doesn't support multiple subnets");
        b->subnet6 = c;
        b->address6 = b->gateway6 = np->gateway;
        return NULL;
    }
    if (b->has_ipv4)
        return err_new(ERR_FORBIDDEN, "bridge driver doesn't support multiple subnets");
    b->has_ipv4 = true;
    b->subnet = (subnet){(uint32_t)c.base.n, c.prefix};
    b->range = (subnet){(uint32_t)range.base.n, range.prefix};
    b->address = b->gateway = (uint32_t)np->gateway.n;
    return NULL;
}

bool link_name_is_good(const char *name)
{
    return *name && strlen(name) < NAME_TEXT && !str_eq(name, ".") && !str_eq(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               strlen(name);
}

err *link_name_check(const char *name)
{
    return link_name_is_good(name) ? NULL
                                   : err_new(ERR_INVALID, "invalid name of a bridge: %s", name);
}

static err *name_of(const network *n, bridge_config *b)
{
    const char *asked = json_map_get(&n->rec.options, "com.docker.network.bridge.name");

    if (str_empty(asked)) {
        snprintf(b->name, sizeof b->name, "br-%.12s", n->id);
        return NULL;
    }
    TRY(link_name_check(asked));
    for (const network *other = networks_first(); other; other = other->next)
        if (other != n && other->driver == &driver_bridge && str_eq(other->bridge.name, asked))
            return err_new(ERR_FORBIDDEN,
                           "cannot create network %s (%s): conflicts with network %s (%s): "
                           "networks have same bridge name",
                           n->id, asked, other->id, asked);
    memcpy(b->name, asked, strlen(asked) + 1);
    return NULL;
}

/* dockerd's ways past its own address translation, which change nothing here. */
static err *check_unsupported(const network *n)
{
    static const char *const modes[] = {"com.docker.network.bridge.gateway_mode_ipv4",
                                        "com.docker.network.bridge.gateway_mode_ipv6"};
    static const char *const keys[] = {"com.docker.network.bridge.trusted_host_interfaces",
                                       "com.docker.network.host_ipv4",
                                       "com.docker.network.host_ipv6"};

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *mode = json_map_get(&n->rec.options, modes[i]);

        if (!str_empty(mode) && !str_eq(mode, "nat"))
            return err_new(ERR_UNSUPPORTED, "option %s=%s is not supported", modes[i], mode);
    }
    for (size_t i = 0; i < COUNT(keys); i++)
        if (!str_empty(json_map_get(&n->rec.options, keys[i])))
            return err_new(ERR_UNSUPPORTED, "option %s is not supported", keys[i]);
    return NULL;
}

err *option_ifprefix(network *n)
{
    const char *prefix = json_map_get(&n->rec.options, "com.docker.network.container_iface_prefix");

    if (str_empty(prefix))
        return NULL;
    if (!link_name_is_good(prefix) || strlen(prefix) >= sizeof n->ifprefix)
        return err_new(ERR_INVALID, "invalid interface name prefix: %s", prefix);
    memcpy(n->ifprefix, prefix, strlen(prefix) + 1);
    return NULL;
}

err *bridge_prepare(network *n)
{
    bool inhibit = false;
    bridge_config b = {.ours = true,
                       .user = true,
                       .mtu = 1500,
                       .icc = true,
                       .masquerade = true,
                       .internal = n->rec.internal};

    TRY(check_unsupported(n));
    TRY(option_ifprefix(n));
    TRY(option_bool(n, "bridge.inhibit_ipv4", &inhibit));
    TRY(name_of(n, &b));
    TRY(option_bool(n, "bridge.enable_icc", &b.icc));
    TRY(option_bool(n, "bridge.enable_ip_masquerade", &b.masquerade));
    TRY(option_mtu(n, &b.mtu));
    for (size_t i = 0; i < n->n_pools; i++)
        TRY(take_pool(&b, &n->pools[i]));
    if (b.internal)
        b.masquerade = false;
    if (inhibit)
        b.address = 0;
    if (b.internal)
        b.gateway = 0, b.gateway6 = (addr){0};
    n->bridge = b;
    return NULL;
}
