/* check.c - what dockerd refuses of a network or of a wish for one.  Loop thread only; no I/O. */
#include "check.h"
#include "endpoint_opts.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

/* ---- several complaints in one error, as dockerd tells them ---- */

typedef struct complaints {
    strv v;
} complaints;

static void complaints_done(complaints *c)
{
    strv_done(&c->v);
}
#define auto_complaints __attribute__((cleanup(complaints_done))) complaints

static err *complain(const complaints *c, const char *title)
{
    auto_buf text = {0};

    if (c->v.n == 0)
        return NULL;
    for (size_t i = 0; i < c->v.n; i++)
        buf_printf(&text, "%s%s%s", i ? "\n" : "", c->v.n > 1 ? "* " : "", c->v.v[i]);
    return err_new(ERR_INVALID, "%s:\n%s", title, text.data);
}

/* ---- IPAM ---- */

static const char *family_name(addr a)
{
    return addr_is_v6(a) ? "IPv6" : "IPv4";
}

static bool is_masked(cidr c, addr written)
{
    return addr_eq(c.base, written);
}

static void check_range(complaints *bad, const char *range, cidr parent)
{
    char whole[CIDR_TEXT], masked[CIDR_TEXT];
    addr written;
    cidr c;

    if (str_empty(range))
        return;
    if (!cidr_parse(range, &written, &c)) {
        strv_pushf(&bad->v, "invalid ip-range %s: invalid CIDR block notation", range);
        return;
    }
    if (written.bits != parent.base.bits) {
        strv_pushf(&bad->v, "invalid ip-range %s: parent subnet is an %s block", range,
                   family_name(parent.base));
        return;
    }
    cidr_format(parent, whole);
    cidr_format(c, masked);
    if (c.prefix < parent.prefix)
        strv_pushf(&bad->v, "invalid ip-range %s: CIDR block is bigger than its parent subnet %s",
                   range, whole);
    if (!is_masked(c, written))
        strv_pushf(&bad->v, "invalid ip-range %s: it should be %s", range, masked);
    if (!cidr_overlaps(parent, c))
        strv_pushf(&bad->v, "invalid ip-range %s: parent subnet %s doesn't contain ip-range", range,
                   whole);
}

static void check_address(complaints *bad, const char *what, const char *shown, const char *text,
                          cidr parent)
{
    char whole[CIDR_TEXT];
    addr a;

    cidr_format(parent, whole);
    if (!addr_parse(text, &a))
        strv_pushf(&bad->v, "invalid %s %s: invalid address", what, shown);
    else if (a.bits != parent.base.bits)
        strv_pushf(&bad->v, "invalid %s %s: parent subnet is an %s block", what, shown,
                   family_name(parent.base));
    else if (!cidr_has(parent, a))
        strv_pushf(&bad->v, "invalid %s %s: parent subnet %s doesn't contain this address", what,
                   shown, whole);
}

static void check_pool(complaints *bad, const ipam_pool_config *k, bool ipv6)
{
    char masked[CIDR_TEXT];
    addr written;
    cidr c;

    if (!cidr_parse(k->subnet, &written, &c)) {
        strv_pushf(&bad->v, "invalid subnet %s: invalid CIDR block notation",
                   str_or(k->subnet, ""));
        return;
    }
    if (addr_is_v6(written) && !ipv6)
        return;
    cidr_format(c, masked);
    if (!is_masked(c, written))
        strv_pushf(&bad->v, "invalid subnet %s: it should be %s", k->subnet, masked);
    check_range(bad, k->ip_range, c);
    if (!str_empty(k->gateway))
        check_address(bad, "gateway", k->gateway, k->gateway, c);
    for (size_t i = 0; i < k->aux.n; i++)
        check_address(bad, "auxiliary address", k->aux.keys[i], k->aux.values[i], c);
}

err *check_ipam(const ipam_settings *want, bool ipv6)
{
    auto_complaints bad = {0};

    if (!want)
        return NULL;
    if (want->config.n > NETWORK_POOLS_MAX)
        return err_new(ERR_INVALID, "too many subnets: at most %d", NETWORK_POOLS_MAX);
    for (size_t i = 0; i < want->config.n; i++) {
        const ipam_pool_config *k = JSON_AT(want->config, ipam_pool_config, i);

        if (k->aux.n > NETWORK_AUX_MAX)
            return err_new(ERR_INVALID, "too many auxiliary addresses: at most %d",
                           NETWORK_AUX_MAX);
        check_pool(&bad, k, ipv6);
    }
    return complain(&bad, "invalid network config");
}

/* ---- an endpoint's wish ---- */

static bool is_address(const char *text, bool v6)
{
    addr a;

    return addr_parse(text, &a) && addr_is_v6(a) == v6 && a.n != 0;
}

/* Only where the client chose the subnet may one choose an address. */
static void check_static(complaints *bad, const network *n, const char *text, bool v6)
{
    addr a;

    if (str_empty(text) || n->predefined)
        return;
    if (!addr_parse(text, &a))
        return;
    if (!(v6 ? n->rec.own_subnets6 : n->rec.own_subnets)) {
        strv_push(&bad->v, "user specified IP address is supported only when connecting to "
                           "networks with user configured subnets");
        return;
    }
    for (size_t i = 0; i < n->n_pools; i++)
        if (cidr_has(pool_subnet(n->pools[i].pool), a))
            return;
    strv_pushf(&bad->v, "no configured subnet or ip-range contain the IP address %s", text);
}

static void check_predefined(complaints *bad, const endpoint_settings *wish)
{
    const endpoint_ipam_config *asked = wish->ipam_config;

    if (asked && (!str_empty(asked->ipv4_address) || !str_empty(asked->ipv6_address)))
        strv_push(&bad->v, "user specified IP address is supported on user defined networks only");
    if (wish->aliases.n > 0)
        strv_push(&bad->v, "network-scoped alias is supported only for containers in user defined "
                           "networks");
}

static void check_addresses(complaints *bad, const network *n, const endpoint_ipam_config *asked)
{
    if (!str_empty(asked->ipv4_address) && !is_address(asked->ipv4_address, false))
        strv_pushf(&bad->v, "invalid IPv4 address: %s", asked->ipv4_address);
    if (!str_empty(asked->ipv6_address) && !is_address(asked->ipv6_address, true))
        strv_pushf(&bad->v, "invalid IPv6 address: %s", asked->ipv6_address);
    for (size_t i = 0; i < asked->link_local_ips.n; i++)
        if (!is_address(asked->link_local_ips.v[i], false) &&
            !is_address(asked->link_local_ips.v[i], true))
            strv_pushf(&bad->v, "invalid link-local IP address: %s", asked->link_local_ips.v[i]);
    check_static(bad, n, asked->ipv4_address, false);
    check_static(bad, n, asked->ipv6_address, true);
}

/* A name that a lookup could never ask for, or that could stand for more than itself. */
static bool is_name(const char *s)
{
    size_t n = strlen(s);

    return n > 0 && n <= ENDPOINT_NAME_MAX && !strpbrk(s, " \t\r\n\v\f#\\") && *s != '.';
}

static void check_names(complaints *bad, const json_strs *names, const char *what)
{
    if (names->n > ENDPOINT_NAMES_MAX)
        strv_pushf(&bad->v, "too many %ss: at most %d", what, ENDPOINT_NAMES_MAX);
    for (size_t i = 0; i < names->n && i < ENDPOINT_NAMES_MAX; i++)
        if (!is_name(names->v[i]))
            strv_pushf(&bad->v, "invalid %s: %s", what, names->v[i]);
}

err *network_check_settings(const network *n, const endpoint_settings *wish)
{
    auto_complaints bad = {0};
    uint8_t mac[MAC_LENGTH];
    err *e;

    if (!wish)
        return NULL;
    if (n->predefined)
        check_predefined(&bad, wish);
    if (wish->ipam_config)
        check_addresses(&bad, n, wish->ipam_config);
    endpoint_opts_check(wish, &bad.v);
    check_names(&bad, &wish->aliases, "alias");
    check_names(&bad, &wish->links, "link");
    if (!str_empty(wish->mac_address) && (e = mac_parse(wish->mac_address, mac))) {
        strv_pushf(&bad.v, "invalid MAC address %s", wish->mac_address);
        err_free(e);
    }
    return complain(&bad, "invalid endpoint settings");
}
