/* endpoint_opts.c - what DriverOpts and LinkLocalIPs say of one endpoint.
 *
 * com.docker.network.endpoint.ifname: its name in the container; .sysctls: "net.ipv4.conf.IFNAME.
 * log_martians=1,..." with IFNAME for that name.  Loop thread, but endpoint_settle. */
#include "endpoint_opts.h"
#include "link.h"
#include "sysctl.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

static const char ifname_key[] = "com.docker.network.endpoint.ifname";
static const char sysctls_key[] = "com.docker.network.endpoint.sysctls";
static const char for_ifname[] = "IFNAME";

enum { SYSCTLS_MAX = 64, LINK_LOCAL_MAX = 32 };

/* ---- sysctls ---- */

static bool is_part(const char *s)
{
    return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* net.{ipv4,ipv6,mpls}.{conf,neigh}.IFNAME.name and nothing that reaches beyond the link. */
static bool is_of_a_link(const char *key)
{
    auto_strv parts = {0};

    strv_split(&parts, key, '.');
    if (parts.n != 5 || !str_eq(parts.v[0], "net") || !str_eq_nocase(parts.v[3], for_ifname))
        return false;
    return (str_eq(parts.v[1], "ipv4") || str_eq(parts.v[1], "ipv6") ||
            str_eq(parts.v[1], "mpls")) &&
           (str_eq(parts.v[2], "conf") || str_eq(parts.v[2], "neigh")) && is_part(parts.v[4]);
}

static bool split(const char *pair, char **ret_key, const char **ret_value)
{
    const char *eq = strchr(pair, '=');

    if (!eq || !eq[1] || strpbrk(eq, "\r\n"))
        return false;
    *ret_key = xstrndup(pair, (size_t)(eq - pair));
    *ret_value = eq + 1;
    return true;
}

static bool is_good(const char *pair)
{
    auto_free char *key = NULL;
    const char *value;

    return split(pair, &key, &value) && is_of_a_link(key);
}

void endpoint_opts_check(const endpoint_settings *wish, strv *complaints)
{
    const char *ifname = json_map_get(&wish->driver_opts, ifname_key);
    const char *sysctls = json_map_get(&wish->driver_opts, sysctls_key);
    auto_strv pairs = {0};

    if (ifname && (!link_name_is_good(ifname) || str_eq(ifname, "lo")))
        strv_pushf(complaints, "invalid interface name %s", ifname);
    strv_split(&pairs, str_or(sysctls, ""), ',');
    if (pairs.n > SYSCTLS_MAX)
        strv_pushf(complaints, "too many sysctls: at most %d", SYSCTLS_MAX);
    for (size_t i = 0; i < pairs.n && i < SYSCTLS_MAX; i++)
        if (!is_good(pairs.v[i]))
            strv_pushf(complaints, "invalid sysctl '%s' in %s", pairs.v[i], sysctls_key);
    if (wish->ipam_config && wish->ipam_config->link_local_ips.n > LINK_LOCAL_MAX)
        strv_pushf(complaints, "too many link-local IP addresses: at most %d", LINK_LOCAL_MAX);
}

void endpoint_opts_take(endpoint *ep, const endpoint_settings *wish)
{
    const char *ifname = json_map_get(&wish->driver_opts, ifname_key);
    const char *sysctls = json_map_get(&wish->driver_opts, sysctls_key);
    const json_strs *extra = wish->ipam_config ? &wish->ipam_config->link_local_ips : NULL;
    auto_strv pairs = {0};

    if (ifname && strlen(ifname) < sizeof ep->ifname)
        memcpy(ep->ifname, ifname, strlen(ifname) + 1);
    strv_split(&pairs, str_or(sysctls, ""), ',');
    for (size_t i = 0; i < pairs.n; i++)
        json_strs_add(&ep->sysctls, ep->arena, arena_strdup(ep->arena, pairs.v[i]));
    for (size_t i = 0; extra && i < extra->n; i++)
        json_strs_add(&ep->link_local, ep->arena, arena_strdup(ep->arena, extra->v[i]));
}

/* ---- job ---- */

static err *set_sysctl(const endpoint *ep, const char *pair)
{
    auto_free char *key = NULL, *path = NULL;
    auto_strv parts = {0};
    const char *value;

    if (!split(pair, &key, &value))
        return NULL;
    strv_split(&parts, key, '.');
    path = xasprintf("%s/%s/%s/%s", parts.v[1], parts.v[2], ep->ifname, parts.v[4]);
    return err_wrap(sysctl_set(path, value), "failed to set sysctl %s", key);
}

err *endpoint_settle(rtnl *inside, const endpoint *ep, int index)
{
    for (size_t i = 0; i < ep->sysctls.n; i++)
        TRY(set_sysctl(ep, ep->sysctls.v[i]));
    for (size_t i = 0; i < ep->link_local.n; i++) {
        addr a;

        if (addr_parse(ep->link_local.v[i], &a))
            TRY(address_add(inside, index, a, addr_is_v6(a) ? 64 : 16));
    }
    return NULL;
}
