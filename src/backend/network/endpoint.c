/* endpoint.c - endpoints: records, addresses, what is told of them.
 *
 * All that a job reads of an endpoint is fixed when it is made.  Loop thread only. */
#include "private.h"
#include "record.h"
#include <berth/events.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/str.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

JSON_DEFINE(endpoint_record, ENDPOINT_RECORD)

enum { VETH_DIGITS = 7 };

static endpoint *endpoints;

endpoint *endpoints_first(void)
{
    return endpoints;
}

static void list_add(endpoint *ep)
{
    ep->next = endpoints;
    if (endpoints)
        endpoints->prev = ep;
    endpoints = ep;
}

static void list_remove(endpoint *ep)
{
    if (ep->prev)
        ep->prev->next = ep->next;
    else
        endpoints = ep->next;
    if (ep->next)
        ep->next->prev = ep->prev;
}

static void endpoint_forget(endpoint *ep)
{
    list_remove(ep);
    if (ep->ip)
        ipam_release(ep->net->ipam, ep->ip);
    free(ep->container);
    free(ep);
}

/* ---- making one ---- */

static void name_veth(endpoint *ep)
{
    snprintf(ep->veth, sizeof ep->veth, "veth%.*s", VETH_DIGITS, ep->id);
}

static bool is_veth_free(const char *veth)
{
    for (const endpoint *ep = endpoints; ep; ep = ep->next)
        if (str_eq(ep->veth, veth))
            return false;
    return true;
}

static void write_texts(endpoint *ep)
{
    const uint8_t *m = ep->mac;

    ip_format(ep->ip, ep->ip_text);
    ip_format(ep->net->bridge.gateway, ep->gateway_text);
    snprintf(ep->mac_text, sizeof ep->mac_text, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
             m[3], m[4], m[5]);
}

static err *mac_parse(const char *text, uint8_t mac[MAC_LENGTH])
{
    unsigned v[MAC_LENGTH];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &end) !=
            MAC_LENGTH ||
        text[end] || end != MAC_TEXT - 1 || (v[0] & 1))
        return err_new(ERR_INVALID, "invalid MAC address: address %s: invalid MAC address", text);
    for (int i = 0; i < MAC_LENGTH; i++)
        mac[i] = (uint8_t)v[i];
    return NULL;
}

static void mac_from_ip(uint32_t ip, uint8_t mac[MAC_LENGTH])
{
    uint32_t wire = htonl(ip);

    mac[0] = 0x02;
    mac[1] = 0x42;
    memcpy(mac + 2, &wire, sizeof wire);
}

static err *take_address(endpoint *ep, const char *mac)
{
    network *n = ep->net;

    if (!str_empty(mac))
        TRY(mac_parse(mac, ep->mac));
    if (!ipam_take(n->ipam, &ep->ip))
        return err_new(ERR_SYSTEM,
                       "no available IPv4 addresses on this network's address pools: %s (%s)",
                       n->name, n->id);
    if (str_empty(mac))
        mac_from_ip(ep->ip, ep->mac);
    write_texts(ep);
    return NULL;
}

static void save(const endpoint *ep)
{
    store_batch *batch = store_batch_new();
    endpoint_record rec = {
        .id = (char *)ep->id,
        .network = ep->net->id,
        .container = ep->container,
        .ip = (char *)ep->ip_text,
        .mac = (char *)ep->mac_text,
    };
    auto_buf body = {0};

    json_encode(&endpoint_record_json, &rec, JSON_ANY_VERSION, &body);
    store_put(batch, "endpoints", ep->id, body.data);
    store_commit_lazy(batch);
}

err *endpoint_new(network *n, const endpoint_opts *opts, endpoint **ret_ep)
{
    endpoint *ep = new0(endpoint);

    ep->net = n;
    do {
        str_random_id(ep->id);
        name_veth(ep);
    } while (!is_veth_free(ep->veth));
    if (n->ipam) {
        err *e = take_address(ep, opts->mac);

        if (e) {
            free(ep);
            return e;
        }
        guard_start();
    }
    ep->container = xstrdup(opts->container_id);
    list_add(ep);
    save(ep);
    *ret_ep = ep;
    return NULL;
}

void endpoint_free(endpoint *ep)
{
    store_batch *batch;

    if (!ep)
        return;
    batch = store_batch_new();
    store_delete(batch, "endpoints", ep->id);
    store_commit_lazy(batch);
    if (ep->ip)
        bury_later();
    endpoint_forget(ep);
}

endpoint *endpoint_find(const char *container_id)
{
    for (endpoint *ep = endpoints; ep; ep = ep->next)
        if (str_eq(ep->container, container_id))
            return ep;
    return NULL;
}

/* ---- what the last daemon knew ---- */

static network *network_of(const char *id)
{
    for (size_t i = 0; i < PREDEFINED; i++)
        if (str_eq(network_predefined[i].id, id))
            return &network_predefined[i];
    return NULL;
}

static err *restore(const endpoint_record *rec, endpoint *ep)
{
    ep->net = network_of(rec->network);
    if (!ep->net || !rec->id || strlen(rec->id) != ID_TEXT - 1 || str_empty(rec->container))
        return err_new(ERR_INVALID, "incomplete");
    if (!str_empty(rec->ip)) {
        if (!ep->net->ipam || !ip_parse(rec->ip, &ep->ip))
            return err_new(ERR_INVALID, "not an address: %s", rec->ip);
        TRY(mac_parse(str_or(rec->mac, ""), ep->mac));
        if (!ipam_reserve(ep->net->ipam, ep->ip))
            return err_new(ERR_CONFLICT, "two endpoints have the address %s", rec->ip);
        write_texts(ep);
    }
    memcpy(ep->id, rec->id, ID_TEXT);
    name_veth(ep);
    ep->container = xstrdup(rec->container);
    return NULL;
}

/* A record that makes no sense is reported and left out; the sweep removes its link. */
static err *load_one(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    endpoint_record rec = {0};
    endpoint *ep = new0(endpoint);
    err *e;

    (void)arg;
    e = json_decode(&endpoint_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec);
    if (!e)
        e = restore(&rec, ep);
    if (e) {
        free(ep);
        err_log(err_wrap(e, "%s", key), "record of an endpoint is unusable");
        return NULL;
    }
    list_add(ep);
    return NULL;
}

err *endpoints_load(void)
{
    return store_each("endpoints", load_one, NULL);
}

void endpoints_free(void)
{
    while (endpoints)
        endpoint_forget(endpoints);
}

/* ---- jobs ---- */

err *endpoint_attach(endpoint *ep, const char *netns_path)
{
    return ep->net->driver->attach(ep, netns_path);
}

err *endpoint_detach(endpoint *ep)
{
    return ep->net->driver->detach(ep);
}

/* ---- reads ---- */

const char *endpoint_id(const endpoint *ep)
{
    return ep->id;
}

const char *endpoint_container(const endpoint *ep)
{
    return ep->container;
}

const network *endpoint_network(const endpoint *ep)
{
    return ep->net;
}

const char *endpoint_ip(const endpoint *ep)
{
    return ep->ip_text;
}

int endpoint_prefix_len(const endpoint *ep)
{
    return ep->ip ? ep->net->bridge.subnet.prefix : 0;
}

const char *endpoint_gateway(const endpoint *ep)
{
    return ep->gateway_text;
}

const char *endpoint_mac(const endpoint *ep)
{
    return ep->mac_text;
}

void endpoint_describe(const endpoint *ep, arena *a, endpoint_settings *ret)
{
    ret->network_id = arena_strdup(a, ep->net->id);
    ret->endpoint_id = arena_strdup(a, ep->id);
    ret->gateway = arena_strdup(a, ep->gateway_text);
    ret->ip_address = arena_strdup(a, ep->ip_text);
    ret->ip_prefix_len = endpoint_prefix_len(ep);
    ret->mac_address = arena_strdup(a, ep->mac_text);
}

void endpoint_event(const endpoint *ep, const char *action)
{
    char *keys[] = {"container", "name", "type"};
    char *values[] = {ep->container, (char *)ep->net->name, (char *)ep->net->driver->name};
    json_map attrs = {.keys = keys, .values = values, .n = COUNT(keys), .set = true};

    event_emit("network", action, ep->net->id, &attrs);
}
