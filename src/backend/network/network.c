/* network.c - the predefined networks, found by name or id.
 *
 * Their ids are drawn once and kept in the store.  Loop thread only. */
#include "private.h"
#include "record.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/job.h>
#include <berth/store.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

JSON_DEFINE(network_record, NETWORK_RECORD)

enum { BURY_AFTER_MS = 1000 };

network_host network_here;
network network_predefined[PREDEFINED];

static char *stored_subnet; /* of the bridge, as the last daemon chose it */
static char host_gateway[IP_TEXT];
static timer *burial;
static bool changed; /* the records are to be written */

static uint64_t hash(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

/* Several daemons on one host, each with an exec root of its own, do not touch each other's things.
 */
static void name_our_things(const char *exec_root)
{
    uint64_t h = hash(exec_root);

    network_here.group = 0x40000000u | (uint32_t)(h & 0x1fffffff);
    network_here.dead_group = network_here.group | 0x20000000u;
    if (str_eq(exec_root, "/run/berth"))
        snprintf(network_here.table, sizeof network_here.table, "berth");
    else
        snprintf(network_here.table, sizeof network_here.table, "berth_%08x", (unsigned)(h >> 32));
}

static void predefine(size_t i, const char *name, const network_driver *driver)
{
    network_predefined[i] = (network){.name = name, .driver = driver};
}

static network *by_name(const char *name)
{
    for (size_t i = 0; i < PREDEFINED; i++)
        if (str_eq(network_predefined[i].name, name))
            return &network_predefined[i];
    return NULL;
}

static err *load_one(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    network_record rec = {0};
    network *n;
    err *e;

    (void)arg;
    e = json_decode(&network_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec);
    n = e ? NULL : by_name(rec.name);
    if (!n || !rec.id || strlen(rec.id) != ID_TEXT - 1) {
        log_warn("record of a network is unusable", "key", key, "error", err_message(e));
        err_free(e);
        return NULL;
    }
    memcpy(n->id, rec.id, ID_TEXT);
    if (n->driver == &driver_bridge && !str_empty(rec.subnet)) {
        free(stored_subnet);
        stored_subnet = xstrdup(rec.subnet);
    }
    return NULL;
}

static void draw_missing_ids(void)
{
    for (size_t i = 0; i < PREDEFINED; i++)
        if (!network_predefined[i].id[0]) {
            str_random_id(network_predefined[i].id);
            changed = true;
        }
}

static err *prepare_bridge(const network_opts *opts)
{
    network *n = &network_predefined[0];
    char base[IP_TEXT];
    auto_free char *now = NULL;

    if (str_eq(opts->bridge, "none")) {
        n->absent = true;
        return NULL;
    }
    TRY(bridge_configure(opts, stored_subnet, &n->bridge));
    n->ipam = ipam_new(n->bridge.subnet, n->bridge.range);
    ipam_reserve(n->ipam, n->bridge.address);
    ipam_reserve(n->ipam, n->bridge.gateway);
    ip_format(n->bridge.address, host_gateway);
    ip_format(n->bridge.subnet.base, base);
    now = xasprintf("%s/%d", base, n->bridge.subnet.prefix);
    if (!str_eq(now, stored_subnet)) {
        free(stored_subnet);
        stored_subnet = take(now);
        changed = true;
    }
    return NULL;
}

static void save_all(void)
{
    store_batch *batch = store_batch_new();

    for (size_t i = 0; i < PREDEFINED; i++) {
        network *n = &network_predefined[i];
        network_record rec = {n->id, (char *)n->name, n->ipam ? stored_subnet : NULL};
        auto_buf body = {0};

        json_encode(&network_record_json, &rec, JSON_ANY_VERSION, &body);
        store_put(batch, "networks", n->id, body.data);
    }
    store_commit_lazy(batch);
}

/* ---- burying ---- */

static err *job_bury(void *arg)
{
    (void)arg;
    return bridge_bury();
}

static void on_buried(void *arg, err *e)
{
    (void)arg;
    err_log(e, "veths of ended containers are left");
}

static void on_bury_time(void *arg)
{
    (void)arg;
    timer_stop(take(burial));
    job_begin("network.bury", job_bury, NULL, on_buried);
}

/* Usually there is nothing left by then; however many are, one message deletes them. */
void bury_later(void)
{
    if (!burial)
        burial = timer_start("network.bury", BURY_AFTER_MS, on_bury_time, NULL);
}

/* ---- start and end ---- */

static err *job_firewall(void *arg)
{
    (void)arg;
    return bridge_firewall();
}

static void on_firewall(void *arg, err *e)
{
    (void)arg;
    err_log(e, "the firewall of running containers could not be renewed");
}

/* Once the loop runs: the other rooms have then read the store too.  Containers that outlived the
 * last daemon get its rules back, in case they went missing meanwhile. */
static void on_first_turn(void *arg)
{
    (void)arg;
    if (changed)
        save_all();
    changed = false;
    for (endpoint *ep = endpoints_first(); ep; ep = ep->next)
        if (ep->ip) {
            guard_start();
            job_begin("network.firewall", job_firewall, NULL, on_firewall);
            return;
        }
}

err *network_init(const network_opts *opts)
{
    name_our_things(opts->exec_root);
    network_here.exec_root = xstrdup(opts->exec_root);
    network_here.iptables = opts->iptables;
    network_here.ip_forward = opts->ip_forward;
    predefine(0, "bridge", &driver_bridge);
    predefine(1, "host", &driver_host);
    predefine(2, "none", &driver_null);
    TRY(store_each("networks", load_one, NULL));
    draw_missing_ids();
    TRY(err_wrap(
        prepare_bridge(opts),
        "Error initializing network controller: error creating default \"bridge\" network"));
    TRY(endpoints_load());
    loop_post(on_first_turn, NULL);
    return NULL;
}

void network_done(void)
{
    guard_stop();
    timer_stop(take(burial));
    endpoints_free();
    for (size_t i = 0; i < PREDEFINED; i++)
        ipam_free(network_predefined[i].ipam);
    memset(network_predefined, 0, sizeof network_predefined);
    free(take(stored_subnet));
    free(take(network_here.exec_root));
    host_gateway[0] = '\0';
    changed = false;
}

err *network_find(const char *ref, network **ret_n)
{
    network *found = NULL;
    size_t n = 0;

    for (size_t i = 0; i < PREDEFINED; i++) {
        network *one = &network_predefined[i];

        if (one->absent)
            continue;
        if (str_eq(one->name, ref) || str_eq(one->id, ref)) {
            *ret_n = one;
            return NULL;
        }
        if (!str_empty(ref) && str_starts(one->id, ref)) {
            found = one;
            n++;
        }
    }
    if (n > 1)
        return err_new(ERR_INVALID,
                       "network %s is ambiguous (%zu matches found based on ID prefix)", ref, n);
    if (!found)
        return err_new(ERR_NOT_FOUND, "network %s not found", ref);
    *ret_n = found;
    return NULL;
}

const char *network_id(const network *n)
{
    return n->id;
}

const char *network_name(const network *n)
{
    return n->name;
}

const char *network_driver_name(const network *n)
{
    return n->driver->name;
}

bool network_has_netns(const network *n)
{
    return n->driver->has_netns;
}

const char *network_host_gateway(void)
{
    return host_gateway;
}

/* The predefined networks know no names and hand out addresses themselves. */
err *network_check_settings(const network *n, const endpoint_settings *wish)
{
    const endpoint_ipam_config *asked = wish ? wish->ipam_config : NULL;

    (void)n;
    if (asked && (!str_empty(asked->ipv4_address) || !str_empty(asked->ipv6_address)))
        return err_new(ERR_INVALID,
                       "user specified IP address is supported on user defined networks only");
    if (wish && wish->aliases.n > 0)
        return err_new(
            ERR_INVALID,
            "network-scoped alias is supported only for containers in user defined networks");
    return NULL;
}
