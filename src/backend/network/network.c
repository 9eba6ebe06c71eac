/* network.c - the room's start and end, and the predefined networks.
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
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BURY_AFTER_MS = 1000 };

network_host network_here;
network network_predefined[PREDEFINED];

static char *stored_subnet; /* of the bridge, as the last daemon chose it */
static char host_gateway[2 * ADDR_TEXT];
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
    network_predefined[i] = (network){
        .refs = 1, .name = name, .driver = driver, .predefined = true, .arena = arena_new()};
    networks_add(&network_predefined[i]);
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
    if (!e && !str_empty(rec.driver)) /* a client's: networks.c */
        return NULL;
    n = e ? NULL : by_name(rec.name);
    if (!n || !rec.id || strlen(rec.id) != ID_TEXT - 1) {
        log_warn("record of a network is unusable", "key", key, "error", err_message(e));
        err_free(e);
        return NULL;
    }
    memcpy(n->id, rec.id, ID_TEXT);
    n->rec.created_ns = rec.created_ns;
    if (n->driver == &driver_bridge && !str_empty(rec.subnet)) {
        free(stored_subnet);
        stored_subnet = xstrdup(rec.subnet);
    }
    return NULL;
}

static void draw_missing_ids(void)
{
    for (size_t i = 0; i < PREDEFINED; i++) {
        network *n = &network_predefined[i];

        if (n->id[0] && n->rec.created_ns)
            continue;
        if (!n->id[0])
            str_random_id(n->id);
        n->rec.created_ns = time_now_ns();
        changed = true;
    }
}

/* What the API says of one, and what containers on it may count on. */
static void describe_predefined(network *n)
{
    n->rec.id = n->id;
    n->rec.name = (char *)n->name;
    n->rec.driver = (char *)n->driver->name;
    n->rec.ipv4 = true;
    n->rec.ipam = arena_alloc(n->arena, sizeof *n->rec.ipam);
    n->rec.ipam->driver = arena_strdup(n->arena, "default");
}

static cidr cidr_of(subnet s)
{
    return (cidr){addr_v4(s.base), s.prefix};
}

static void give_pool(network *n, cidr whole, cidr range, addr own, addr gateway)
{
    network_pool *np = &n->pools[n->n_pools++];
    ipam_pool_config *k = json_list_add(&n->rec.ipam->config, n->arena, &ipam_pool_config_json);
    char text[CIDR_TEXT];

    *np = (network_pool){pool_new(whole, range), gateway};
    pool_reserve(np->pool, own);
    pool_reserve(np->pool, gateway);
    cidr_format(whole, text);
    k->subnet = arena_strdup(n->arena, text);
    if (range.prefix != whole.prefix) {
        cidr_format(range, text);
        k->ip_range = arena_strdup(n->arena, text);
    }
    addr_format(gateway, text);
    k->gateway = arena_strdup(n->arena, text);
}

static void give_pools(network *n)
{
    const bridge_config *b = &n->bridge;

    give_pool(n, cidr_of(b->subnet), cidr_of(b->range), addr_v4(b->address), addr_v4(b->gateway));
    if (addr_is_set(b->subnet6.base))
        give_pool(n, b->subnet6, b->range6, b->address6, b->gateway6);
    n->rec.ipv6 = addr_is_set(b->subnet6.base);
}

static void name_host_gateway(const network_opts *opts, const bridge_config *b)
{
    char text[ADDR_TEXT];
    auto_buf out = {0};

    for (size_t i = 0; opts->host_gateways && i < opts->host_gateways->n; i++)
        buf_printf(&out, "%s%s", i ? " " : "", opts->host_gateways->v[i]);
    if (out.len == 0 && b) {
        addr_format(addr_v4(b->address), text);
        buf_str(&out, text);
        addr_format(b->address6, text);
        if (*text)
            buf_printf(&out, " %s", text);
    }
    snprintf(host_gateway, sizeof host_gateway, "%s", out.len ? out.data : "");
}

static void say_options(network *n)
{
    const struct {
        const char *key, *value;
    } options[] = {
        {"com.docker.network.bridge.default_bridge", "true"},
        {"com.docker.network.bridge.enable_icc", n->bridge.icc ? "true" : "false"},
        {"com.docker.network.bridge.enable_ip_masquerade", n->bridge.masquerade ? "true" : "false"},
        {"com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"},
        {"com.docker.network.bridge.name", n->bridge.name},
        {"com.docker.network.driver.mtu", arena_printf(n->arena, "%d", n->bridge.mtu)},
    };

    for (size_t i = 0; i < COUNT(options); i++)
        json_map_set(&n->rec.options, n->arena, options[i].key, options[i].value);
}

static err *prepare_bridge(const network_opts *opts)
{
    network *n = &network_predefined[0];
    char base[IP_TEXT];
    auto_free char *now = NULL;

    if (str_eq(opts->bridge, "none")) {
        n->absent = true;
        name_host_gateway(opts, NULL);
        return NULL;
    }
    TRY(bridge_configure(opts, stored_subnet, &n->bridge));
    give_pools(n);
    name_host_gateway(opts, &n->bridge);
    ip_format(n->bridge.subnet.base, base);
    now = xasprintf("%s/%d", base, n->bridge.subnet.prefix);
    say_options(n);
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
        network_record rec = {.id = n->id,
                              .name = (char *)n->name,
                              .subnet = n->n_pools ? stored_subnet : NULL,
                              .created_ns = n->rec.created_ns};
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
    err_log(e, "links of what has ended are left");
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

typedef struct renewal {
    network **v; /* each referenced */
    size_t n;
} renewal;

static err *job_renew(void *arg)
{
    const renewal *r = arg;

    return bridges_up(r->v, r->n);
}

static void on_renewed(void *arg, err *e)
{
    renewal *r = arg;

    err_log(e, "the firewall of running containers could not be renewed");
    for (size_t i = 0; i < r->n; i++)
        network_unref(r->v[i]);
    free(r->v);
    free(r);
}

static void add_bridge(renewal *r, network *n)
{
    r->v = xrealloc(r->v, (r->n + 1) * sizeof *r->v);
    r->v[r->n++] = n;
    n->refs++;
}

/* Once the loop runs: the other rooms have then read the store too. */
static void on_first_turn(void *arg)
{
    (void)arg;
    if (changed)
        save_all();
    changed = false;
}

void network_renew(void)
{
    renewal *r = new0(renewal);

    for (network *n = networks_first(); n; n = n->next)
        if (n->endpoints > 0 && n->driver == &driver_bridge)
            add_bridge(r, n);
    if (r->n == 0) {
        free(r);
        return;
    }
    guard_start();
    job_begin("network.renew", job_renew, r, on_renewed);
}

err *network_init(const network_opts *opts)
{
    name_our_things(opts->exec_root);
    network_here.exec_root = xstrdup(opts->exec_root);
    network_here.iptables = opts->iptables;
    network_here.ip6tables = opts->ip6tables;
    network_here.ip_forward = opts->ip_forward;
    predefine(0, "bridge", &driver_bridge);
    predefine(1, "host", &driver_host);
    predefine(2, "none", &driver_null);
    network_here.defaults = opts->defaults;
    network_here.n_defaults = opts->n_defaults;
    default_pools_set(opts->pools, opts->n_pools, hash(opts->exec_root));
    TRY(store_each("networks", load_one, NULL));
    draw_missing_ids();
    for (size_t i = 0; i < PREDEFINED; i++)
        describe_predefined(&network_predefined[i]);
    TRY(networks_load());
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
    if (burial)
        err_log(bridge_bury(), "links of ended containers are left");
    timer_stop(take(burial));
    for (network *n = networks_first(); n; n = n->next)
        n->when_empty = NULL; /* nobody waits any more */
    endpoints_free();
    bridges_forget();
    networks_free();
    default_pools_done();
    memset(network_predefined, 0, sizeof network_predefined);
    free(take(stored_subnet));
    free(take(network_here.exec_root));
    host_gateway[0] = '\0';
    changed = false;
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

bool network_is_predefined(const network *n)
{
    return n->predefined;
}

bool network_is_user(const network *n)
{
    return !n->predefined;
}

bool network_is_internal(const network *n)
{
    return n->rec.internal;
}

bool network_is_attached(const network *n)
{
    return n->driver->has_addresses;
}
