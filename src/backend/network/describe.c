/* describe.c - what a network looks like from outside: inspect, list, its events.
 *
 * Reads only.  Loop thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

void network_event(const network *n, const char *action)
{
    char *keys[] = {"name", "type"};
    char *values[] = {(char *)n->name, (char *)n->driver->name};
    json_map attrs = {.keys = keys, .values = values, .n = COUNT(keys), .set = true};

    event_emit("network", action, n->id, &attrs);
}

static void add_container(const endpoint *ep, arena *a, json_mapof *to)
{
    network_container *c = json_mapof_add(to, a, &network_container_json, ep->container);

    *c = (network_container){.name = ep->name,
                             .endpoint_id = (char *)ep->id,
                             .mac_address = (char *)ep->mac_text,
                             .ipv4_address = arena_strdup(a, ""),
                             .ipv6_address = arena_strdup(a, "")};
    if (addr_is_set(ep->ip))
        c->ipv4_address = arena_printf(a, "%s/%d", ep->ip_text, ep->prefix);
    if (addr_is_set(ep->ip6))
        c->ipv6_address = arena_printf(a, "%s/%d", ep->ip6_text, ep->prefix6);
}

void network_inspected(const network *n, bool with_containers, arena *a, network_inspect *ret)
{
    char created[TIME_TEXT];

    time_rfc3339(n->rec.created_ns, created);
    *ret = (network_inspect){.name = (char *)n->name,
                             .id = (char *)n->id,
                             .created = arena_strdup(a, created),
                             .scope = arena_strdup(a, "local"),
                             .driver = (char *)n->driver->name,
                             .enable_ipv4 = n->rec.ipv4,
                             .enable_ipv6 = n->rec.ipv6,
                             .internal = n->rec.internal,
                             .attachable = n->rec.attachable,
                             .config_from = {n->rec.config_from},
                             .config_only = n->rec.config_only,
                             .options = n->rec.options,
                             .labels = n->rec.labels};
    if (n->rec.ipam)
        ret->ipam = *n->rec.ipam;
    ret->ipam.config.set = true;
    if (n->predefined && n->driver != &driver_bridge)
        ret->ipam.config.set = false;
    for (const endpoint *ep = endpoint_on(n, NULL); ep && with_containers; ep = endpoint_on(n, ep))
        if (!ep->leaving)
            add_container(ep, a, &ret->containers);
}

/* ---- list ---- */

static err *check_filters(const filters *f)
{
    bool dangling;

    TRY(filters_bool(f, "dangling", false, &dangling));
    for (size_t i = 0; i < filters_count(f, "type"); i++) {
        const char *type = filters_nth(f, "type", i);

        if (!str_eq(type, "custom") && !str_eq(type, "builtin"))
            return err_new(ERR_INVALID, "invalid filter: 'type'='%s'", type);
    }
    return NULL;
}

static bool matches(const network *n, const filters *f)
{
    bool dangling = false;

    err_free(filters_bool(f, "dangling", false, &dangling));
    if (filters_has(f, "dangling") &&
        (dangling ? n->predefined || n->endpoints > 0 : !n->predefined && n->endpoints == 0))
        return false;
    return filters_match_exact(f, "driver", n->driver->name) &&
           filters_match_exact(f, "scope", "local") &&
           filters_match_exact(f, "type", n->predefined ? "builtin" : "custom") &&
           filters_match_regex(f, "id", n->id) && filters_match_regex(f, "name", n->name) &&
           filters_match_labels(f, "label", &n->rec.labels);
}

err *networks_list(const filters *f, arena *a, network ***ret_list, size_t *ret_n)
{
    size_t n = 0, room = 0;

    TRY(check_filters(f));
    for (const network *one = networks_first(); one; one = one->next)
        room++;
    *ret_list = arena_alloc(a, (room + 1) * sizeof **ret_list);
    for (network *one = networks_first(); one; one = one->next)
        if (!one->absent && !one->coming && !one->removing && matches(one, f))
            (*ret_list)[n++] = one;
    *ret_n = n;
    return NULL;
}
