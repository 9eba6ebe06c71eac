/* networks_decide.c - which networks create asks for: dockerd's rules of NetworkMode,
 * EndpointsConfig and MacAddress.  Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <string.h>

static const char container_prefix[] = "container:";

bool networks_is_shared(const char *mode)
{
    return str_starts(mode, container_prefix);
}

static err *check_shared(const container_config *k, const host_config *h)
{
    container *other;

    if (!str_empty(k->hostname))
        return err_new(ERR_INVALID, "conflicting options: hostname and the network mode");
    if (h->links.n)
        return err_new(ERR_INVALID, "conflicting options: container type network can't be used "
                                    "with links. This would result in undefined behavior");
    if (h->dns.n)
        return err_new(ERR_INVALID, "conflicting options: dns and the network mode");
    if (h->extra_hosts.n)
        return err_new(ERR_INVALID,
                       "conflicting options: custom host-to-IP mapping and the network mode");
    if (!str_empty(k->mac_address))
        return err_new(ERR_INVALID, "conflicting options: mac-address and the network mode");
    return container_find(h->network_mode + strlen(container_prefix), &other);
}

static const char *real_name(const char *ref)
{
    return str_eq(ref, "default") || str_empty(ref) ? "bridge" : ref;
}

static err *find_network(const char *ref, network **ret_n)
{
    return network_find(real_name(ref), ret_n);
}

static err *decode(const json_raw *text, int api_version, arena *a, json_mapof *ret)
{
    networking_config wish = {0};

    if (text && text->text)
        TRY(json_decode(&networking_config_json, text->text, strlen(text->text), api_version, a,
                        &wish));
    *ret = wish.endpoints_config;
    return NULL;
}

static err *too_many(const json_mapof *wishes)
{
    auto_buf names = {0};

    for (size_t i = 0; i < wishes->n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", wishes->keys[i]);
    return err_new(ERR_INVALID, "Container cannot be created with multiple network endpoints: %s",
                   names.data);
}

/* NULL where there is none of that name yet: dockerd lets create pass, and start says so. */
static err *find_if_any(const char *ref, network **ret_n)
{
    err *e = find_network(ref, ret_n);

    if (!e || err_kind(e) != ERR_NOT_FOUND)
        return e;
    err_free(e);
    *ret_n = NULL;
    return NULL;
}

static err *add_wish(json_mapof *to, arena *a, const char *name, const network *n,
                     const endpoint_settings *wish)
{
    endpoint_settings *s;

    name = real_name(name);
    if (n) {
        TRY(network_check_settings(n, wish));
        name = network_name(n);
    }
    if (json_mapof_get(to, &endpoint_settings_json, name))
        return NULL;
    if (to->n == CONTAINER_NETWORKS_MAX)
        return err_new(ERR_INVALID, "a container is on at most %d networks",
                       CONTAINER_NETWORKS_MAX);
    s = json_mapof_add(to, a, &endpoint_settings_json, arena_strdup(a, name));
    if (wish)
        *s = (endpoint_settings){.ipam_config = wish->ipam_config,
                                 .links = wish->links,
                                 .aliases = wish->aliases,
                                 .mac_address = wish->mac_address,
                                 .driver_opts = wish->driver_opts,
                                 .gw_priority = wish->gw_priority};
    if (n)
        s->network_id = arena_strdup(a, network_id(n));
    return NULL;
}

/* The main network's wish, under whichever of its names it was asked for. */
static const endpoint_settings *wish_for(const json_mapof *wishes, const char *name,
                                         const network *n)
{
    for (size_t i = 0; i < wishes->n; i++) {
        network *asked = NULL;

        err_free(find_if_any(wishes->keys[i], &asked));
        if (n ? asked == n : str_eq(wishes->keys[i], name))
            return JSON_AT(*wishes, endpoint_settings, i);
    }
    return NULL;
}

/* Beside host and none there is no other network. */
static err *check_company(const network *main, const network *n)
{
    if ((main && !network_is_attached(main)) || (n && !network_is_attached(n)))
        return err_new(ERR_INVALID,
                       "container sharing network namespace with another container or host "
                       "cannot be connected to any other network");
    return NULL;
}

static err *collect(const char *name, network *main, const json_mapof *wishes, arena *a,
                    json_mapof *ret)
{
    const endpoint_settings *of_main = wish_for(wishes, name, main);
    network *n = NULL;

    if (of_main || wishes->n == 0 || (main && !network_is_attached(main)))
        TRY(add_wish(ret, a, name, main, of_main));
    for (size_t i = 0; i < wishes->n; i++) {
        const endpoint_settings *wish = JSON_AT(*wishes, endpoint_settings, i);

        if (wish == of_main)
            continue;
        TRY(find_if_any(wishes->keys[i], &n));
        TRY(check_company(main, n));
        TRY(add_wish(ret, a, wishes->keys[i], n, wish));
    }
    return NULL;
}

/* The container's own MAC address is that of its main network's endpoint: what 1.44 replaced. */
static err *place_mac(const container_create_opts *o, const char *main, arena *a,
                      json_mapof *wishes, strv *warnings)
{
    const char *mac = o->config->mac_address;
    endpoint_settings *s;

    for (size_t i = 0; i < wishes->n && o->api_version < 44; i++)
        JSON_AT(*wishes, endpoint_settings, i)->mac_address = NULL;
    if (str_empty(mac))
        return NULL;
    if (str_eq(main, "host"))
        return err_new(ERR_INVALID, "conflicting options: mac-address and the network mode");
    s = json_mapof_get(wishes, &endpoint_settings_json, main);
    if (!s && wishes->n > 0)
        return err_new(ERR_INVALID,
                       "if a container-wide MAC address is specified, HostConfig.NetworkMode must "
                       "match the identity of a network in NetworkSettings.Networks");
    if (!s)
        s = json_mapof_add(wishes, a, &endpoint_settings_json, arena_strdup(a, main));
    if (!str_empty(s->mac_address) && !str_eq(s->mac_address, mac))
        return err_new(ERR_INVALID, "the container-wide MAC address must match the "
                                    "endpoint-specific MAC address for the main network, or be "
                                    "left empty");
    s->mac_address = arena_strdup(a, mac);
    if (o->api_version >= 44)
        strv_push(warnings, "The container-wide MacAddress field is now deprecated. It should be "
                            "specified in EndpointsConfig instead.");
    return NULL;
}

err *networks_decide(const container_create_opts *o, arena *a, json_mapof *ret, strv *warnings)
{
    const char *mode = str_or(o->host->network_mode, "default");
    json_mapof wishes = {0};
    network *main = NULL;

    if (networks_is_shared(mode))
        return check_shared(o->config, o->host);
    TRY(decode(o->networking, o->api_version, a, &wishes));
    if (o->config->network_disabled)
        return NULL;
    TRY(place_mac(o, mode, a, &wishes, warnings));
    if (o->api_version < 44 && wishes.n > 1)
        return too_many(&wishes);
    TRY(find_if_any(mode, &main));
    return collect(mode, main, &wishes, a, ret);
}
