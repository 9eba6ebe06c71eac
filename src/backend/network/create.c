/* create.c - a network comes to be: checked, given its subnets, made on the host, recorded.
 *
 * From the first step on its name is taken; nobody finds it before the last.  A kill between leaves
 * at most a bridge of our group that no record names, which the next start removes.
 * Loop thread only, except job_*. */
#include "check.h"
#include "link.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

typedef struct creation {
    network *n; /* in the registry, coming */
    cidr *routes;
    size_t n_routes;
    network_created *done;
    void *arg;
} creation;

static err *job_look(void *st)
{
    creation *c = st;
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    return routes_here(r, &c->routes, &c->n_routes);
}

static bool needs_subnets(void *st)
{
    const network *n = ((creation *)st)->n;

    return !n->rec.config_only && n->driver->has_addresses;
}

static err *now_claim(void *st)
{
    creation *c = st;

    return claim_subnets(c->n, c->routes, c->n_routes);
}

static err *now_release(void *st)
{
    claim_release(((creation *)st)->n);
    return NULL;
}

static err *now_prepare(void *st)
{
    network *n = ((creation *)st)->n;

    return n->driver->prepare ? n->driver->prepare(n) : NULL;
}

static err *job_make(void *st)
{
    network *n = ((creation *)st)->n;

    return n->driver->make ? n->driver->make(n) : NULL;
}

static err *job_unmake(void *st)
{
    network *n = ((creation *)st)->n;

    return n->driver->unmake ? n->driver->unmake(n) : NULL;
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    const network *n = ((creation *)st)->n;
    store_batch *b = store_batch_new();
    auto_buf body = {0};

    json_encode(&network_record_json, &n->rec, JSON_ANY_VERSION, &body);
    store_put(b, "networks", n->id, body.data);
    store_commit(b, on_recorded, f);
}

static err *now_announce(void *st)
{
    network *n = ((creation *)st)->n;

    n->coming = false;
    network_event(n, "create");
    return NULL;
}

static void creation_free(void *st)
{
    creation *c = st;

    if (!c)
        return;
    free(c->routes);
    free(c);
}

static const flow_step create_steps[] = {
    {"look at the host", JOB(job_look), .when = needs_subnets},
    {"take subnets", NOW(now_claim), NOW(now_release), .when = needs_subnets},
    {"read options", NOW(now_prepare), .when = needs_subnets},
    {"make the link", JOB(job_make), JOB(job_unmake), .when = needs_subnets},
    {"record", CALL(call_record)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def network_create_flow = {"network.create", create_steps, creation_free, HANGUP_FINISH};

static void on_created(void *arg, void *st, err *e)
{
    creation *c = st;
    network *n = c->n;

    (void)arg;
    if (e) {
        networks_unlist(n);
        c->done(c->arg, e, NULL);
        network_unref(n);
        return;
    }
    c->done(c->arg, NULL, n);
}

/* ---- what was asked ---- */

static err *check_name(const char *name)
{
    const char *s = str_or(name, "");

    if (s[strspn(s, " \t\r\n\v\f")] == '\0')
        return err_new(ERR_INVALID, "invalid name: name is empty");
    if (strlen(s) > NETWORK_NAME_MAX || strpbrk(s, "\r\n\v\f"))
        return err_new(ERR_INVALID, "invalid name: %.64s", s);
    for (size_t i = 0; i < PREDEFINED; i++)
        if (str_eq(network_predefined[i].name, s))
            return err_new(ERR_FORBIDDEN, "operation is not permitted on predefined %s network ",
                           s);
    if (str_eq(s, "default") || str_starts(s, "container:"))
        return err_new(ERR_FORBIDDEN, "operation is not permitted on predefined %s network ", s);
    if (networks_name_taken(s))
        return err_new(ERR_CONFLICT, "network with name %s already exists", s);
    return NULL;
}

static err *no_swarm(void)
{
    return err_new(ERR_UNAVAILABLE,
                   "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm "
                   "join\" to connect this node to swarm and try again.");
}

static err *check_driver(const network_create_request *want, const char *name,
                         const network_driver **ret_driver)
{
    const network_driver *driver = driver_find(name);

    if (str_eq(name, "overlay"))
        return no_swarm();
    if (str_eq(want->scope, "swarm"))
        return err_new(ERR_FORBIDDEN,
                       "cannot create a swarm scoped network when swarm is not active");
    if (!driver)
        return err_new(ERR_NOT_FOUND, "plugin \"%s\" not found", name);
    if (want->ingress)
        return err_new(ERR_FORBIDDEN, "Ingress network can only be global scope network");
    if (!driver->can_create && !want->config_only)
        return err_new(ERR_FORBIDDEN, "only one instance of \"%s\" network is allowed", name);
    if (want->ipam && !str_empty(want->ipam->driver) && !str_eq(want->ipam->driver, "default") &&
        !str_eq(want->ipam->driver, "null"))
        return err_new(ERR_NOT_FOUND, "plugin \"%s\" not found", want->ipam->driver);
    if (want->ipam && str_eq(want->ipam->driver, "null"))
        return err_new(ERR_UNSUPPORTED, "IPAM.Driver \"null\" is not supported");
    *ret_driver = driver;
    return NULL;
}

static err *check_amounts(const network_create_request *want)
{
    size_t n = 0;

    for (const network *one = networks_first(); one; one = one->next)
        n++;
    if (n >= NETWORKS_MAX)
        return err_new(ERR_FORBIDDEN, "too many networks: at most %d", NETWORKS_MAX);
    if (want->options.n > NETWORK_OPTIONS_MAX || want->labels.n > NETWORK_OPTIONS_MAX)
        return err_new(ERR_INVALID, "too many options or labels: at most %d", NETWORK_OPTIONS_MAX);
    return NULL;
}

static bool has_subnet(const ipam_settings *ipam, bool v6)
{
    addr written;
    cidr c;

    for (size_t i = 0; ipam && i < ipam->config.n; i++)
        if (cidr_parse(JSON_AT(ipam->config, ipam_pool_config, i)->subnet, &written, &c) &&
            addr_is_v6(c.base) == v6)
            return true;
    return false;
}

/* An empty entry says nothing; a subnet of a family that is off is left out. */
static void drop_unused(ipam_settings *ipam, bool ipv4, bool ipv6)
{
    size_t kept = 0;

    for (size_t i = 0; i < ipam->config.n; i++) {
        ipam_pool_config *k = JSON_AT(ipam->config, ipam_pool_config, i);
        addr written;
        cidr c;

        if (!cidr_parse(k->subnet, &written, &c) || !(addr_is_v6(c.base) ? ipv6 : ipv4))
            continue;
        *JSON_AT(ipam->config, ipam_pool_config, kept++) = *k;
    }
    ipam->config.n = kept;
}

/* A network made after another one's configuration has that and no other. */
static err *check_from(const network_create_request *want, const network **ret_from)
{
    const char *name = want->config_from ? want->config_from->network : NULL;
    network *from = NULL;
    err *e;

    *ret_from = NULL;
    if (str_empty(name))
        return NULL;
    if (want->config_only)
        return err_new(ERR_FORBIDDEN,
                       "a configuration network cannot depend on another configuration network");
    e = network_find(name, &from);
    if (e || !from->rec.config_only) {
        err_free(e);
        return e ? err_new(ERR_NOT_FOUND, "configuration network \"%s\" does not exist", name)
                 : err_new(ERR_FORBIDDEN, "network \"%s\" is not a configuration network", name);
    }
    if ((want->ipam && (want->ipam->config.n || want->ipam->options.n)) || want->labels.n ||
        want->options.n || (want->enable_ipv6.set && want->enable_ipv6.b))
        return err_new(ERR_FORBIDDEN, "user specified configurations are not supported if the "
                                      "network depends on a configuration network");
    *ret_from = from;
    return NULL;
}

static void take_from(network_record *rec, const network *from)
{
    rec->config_from = (char *)from->name;
    rec->ipv4 = from->rec.ipv4;
    rec->ipv6 = from->rec.ipv6;
    rec->ipam = from->rec.ipam;
    rec->options = from->rec.options;
    rec->labels = from->rec.labels;
    rec->own_subnets = from->rec.own_subnets;
    rec->own_subnets6 = from->rec.own_subnets6;
}

static err *enable(const network_record *rec, const char *key, bool *ret)
{
    const char *text = json_map_get(&rec->options, key);

    if (!text)
        return NULL;
    if (!str_eq(text, "true") && !str_eq(text, "false") && !str_eq(text, "1") && !str_eq(text, "0"))
        return err_new(ERR_INVALID,
                       "driver-opt \"%s\" is not a valid bool: strconv.ParseBool: parsing \"%s\": "
                       "invalid syntax",
                       key, text);
    *ret = str_eq(text, "true") || str_eq(text, "1");
    return NULL;
}

/* The families as options, as compose files and the daemon's defaults say it. */
static err *options_enable(network_record *rec)
{
    TRY(enable(rec, "com.docker.network.enable_ipv4", &rec->ipv4));
    return enable(rec, "com.docker.network.enable_ipv6", &rec->ipv6);
}

static void add_defaults(json_map *options, const char *driver, arena *a)
{
    for (size_t i = 0; i < network_here.n_defaults; i++) {
        const network_default_opt *o = &network_here.defaults[i];

        if (str_eq(o->driver, driver) && !json_map_get(options, o->option))
            json_map_set(options, a, o->option, o->value);
    }
}

/* The strings of rec are the request's, ipam's in a: network_new copies them all. */
static err *make_record(const network_create_request *want, arena *a, network_record *rec,
                        const network_driver **ret_driver)
{
    /* A template is of no kind, whatever was said. */
    const char *driver = want->config_only ? "null" : str_or(want->driver, "bridge");
    ipam_settings *ipam = arena_alloc(a, sizeof *ipam);
    const network *from;

    TRY(check_name(want->name));
    TRY(check_driver(want, driver, ret_driver));
    TRY(check_amounts(want));
    TRY(check_from(want, &from));
    if (want->ipam)
        json_copy(&ipam_settings_json, want->ipam, a, ipam);
    ipam->driver = arena_strdup(a, str_or(ipam->driver, "default"));
    *rec = (network_record){.name = want->name,
                            .created_ns = time_now_ns(),
                            .driver = (char *)driver,
                            .ipv4 = !want->enable_ipv4.set || want->enable_ipv4.b,
                            .ipv6 = want->enable_ipv6.set && want->enable_ipv6.b,
                            .internal = want->internal,
                            .attachable = want->attachable,
                            .config_only = want->config_only,
                            .ipam = ipam,
                            .options = want->options,
                            .labels = want->labels};
    if (!want->config_only)
        add_defaults(&rec->options, driver, a);
    TRY(options_enable(rec));
    TRY(check_ipam(ipam, rec->ipv6));
    if (!rec->ipv4 && !rec->ipv6 && (*ret_driver)->has_addresses)
        return err_new(ERR_INVALID, "IPv4 or IPv6 must be enabled");
    drop_unused(ipam, rec->ipv4, rec->ipv6);
    rec->own_subnets = has_subnet(ipam, false);
    rec->own_subnets6 = has_subnet(ipam, true);
    if (from)
        take_from(rec, from);
    return NULL;
}

typedef struct refused {
    network_created *done;
    void *arg;
    err *e;
} refused;

static void on_refused(void *arg)
{
    refused *r = arg;

    r->done(r->arg, r->e, NULL);
    free(r);
}

void network_create(const network_create_request *want, network_created *done, void *arg)
{
    auto_arena *a = arena_new();
    const network_driver *driver = NULL;
    network_record rec = {0};
    char id[ID_TEXT];
    creation *c;
    err *e = make_record(want, a, &rec, &driver);

    if (e) {
        refused *r = new0(refused);

        *r = (refused){done, arg, e};
        loop_defer(on_refused, r);
        return;
    }
    str_random_id(id);
    rec.id = id;
    c = new0(creation);
    *c = (creation){.n = network_new(&rec, driver), .done = done, .arg = arg};
    c->n->coming = true;
    networks_add(c->n);
    flow_begin(&network_create_flow, c, on_created, NULL);
}
