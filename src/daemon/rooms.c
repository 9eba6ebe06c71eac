/* rooms.c - what the daemon consists of: one row per room, up downwards, down upwards.
 *
 * Blocks where a room reads its state; before the loop runs. */
#include "boot.h"
#include <berth/container.h>
#include <berth/events.h>
#include <berth/exec.h>
#include <berth/fetch.h>
#include <berth/image.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/network.h>
#include <berth/runtime.h>
#include <berth/spec.h>
#include <berth/store.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <berth/volume.h>
#include "../routes/routes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What rooms were given and do not copy. */
static struct {
    char *monitor_program, *init_path;
    json_strs dns, dns_search, dns_options;
    dns_opts resolver;
    bool store_rebuilt;
} kept;

/* ---- runtimes ---- */

err *rooms_runtimes(const config *c, runtime_set **ret_set)
{
    auto_free char *root = xasprintf("%s/runtimes", the_daemon.c->exec_root);
    auto_free runtime_extra *extra = xcalloc(c->runtimes.n + 1, sizeof(*extra));

    for (size_t i = 0; i < c->runtimes.n; i++) {
        const runtime_setting *rt = JSON_AT(c->runtimes, runtime_setting, i);

        extra[i] = (runtime_extra){rt->name, rt->path, (const char *const *)rt->args.v};
    }
    TRY(tree_make(root, 0700));
    return runtime_set_new(root, extra, c->runtimes.n, ret_set);
}

/* Which there are; what they are is asked when the daemon answers. */
static err *runtimes_up(void)
{
    auto_free char *self = realpath("/proc/self/exe", NULL);
    char *slash = self ? strrchr(self, '/') : NULL;
    runtime_set *set = NULL;

    if (slash)
        *slash = '\0';
    kept.monitor_program = xasprintf("%s/berth-monitor", str_or(self, "/usr/bin"));
    if (access(kept.monitor_program, X_OK) < 0)
        return err_errno(errno, "berth-monitor must be beside berthd: %s", kept.monitor_program);
    runtime_set_monitor_program(kept.monitor_program);
    TRY(rooms_runtimes(the_daemon.c, &set));
    runtimes_adopt(set);
    return NULL;
}

static void runtimes_down(void)
{
    runtimes_done();
    free(take(kept.monitor_program));
}

static err *runtimes_known(void)
{
    return runtimes_settle(str_or(the_daemon.c->default_runtime, ""));
}

/* ---- the server ---- */

static err *tls_up(void)
{
    const config *c = the_daemon.c;
    const char *home =
        str_or(getenv("DOCKER_CERT_PATH"), str_or(getenv("DOCKER_CONFIG"), "/root/.docker"));
    auto_free char *ca = xasprintf("%s/ca.pem", home), *cert = xasprintf("%s/cert.pem", home),
                   *key = xasprintf("%s/key.pem", home);
    http_tls_opts tls = {.ca_file = c->tlsverify ? str_or(c->tlscacert, ca) : NULL,
                         .cert_file = str_or(c->tlscert, cert),
                         .key_file = str_or(c->tlskey, key)};

    return c->tls ? http_tls_new(&tls, &the_daemon.tls) : NULL;
}

static err *listen_on(const char *host, const char *group)
{
    auto_free char *full = strstr(host, "://") ? xstrdup(host) : xasprintf("tcp://%s", host);

    if (str_starts(full, "tcp://") && !the_daemon.c->tlsverify)
        log_warn("the API is open to everyone who reaches this address: use --tlsverify", "host",
                 full);
    return http_server_listen(the_daemon.server, full, group, the_daemon.tls);
}

/* Once told to end, the daemon begins nothing new; what is asked of it is still answered. */
static err *refuse_at_the_end(request *r)
{
    if (the_daemon.interrupts && request_method(r) == POST)
        return err_new(ERR_UNAVAILABLE, "the daemon is shutting down");
    return NULL;
}

static err *server_up(void)
{
    static const char *const headers[] = {"Api-Version: 1.51", "Docker-Experimental: false",
                                          "Ostype: linux", NULL};
    const http_opts opts = {.server_header = "Docker/" ENGINE_VERSION " (linux)",
                            .extra_headers = headers,
                            .api_min = API_MIN,
                            .api_max = API_MAX,
                            .before = refuse_at_the_end};
    const config *c = the_daemon.c;
    auto_free char *group = place_group(c);

    TRY(tls_up());
    the_daemon.server = http_server_new(&opts);
    for (size_t i = 0; i < c->hosts.n; i++)
        TRY(listen_on(c->hosts.v[i], group));
    http_server_pause(the_daemon.server, true);
    return NULL;
}

static void server_down(void)
{
    http_server_free(take(the_daemon.server));
    http_tls_free(take(the_daemon.tls));
    events_done();
}

void rooms_set_routes(void)
{
    const route *const tables[] = {archive_routes,
                                   distribution_routes,
                                   container_routes,
                                   container_change_routes,
                                   exec_routes,
                                   image_routes,
                                   network_routes,
                                   system_routes,
                                   volume_routes,
                                   the_daemon.now->debug ? debug_routes : NULL,
                                   NULL};

    http_server_set_routes(the_daemon.server, tables);
}

/* ---- state ---- */

static err *store_up(void)
{
    auto_free char *path = xasprintf("%s/state.db", the_daemon.c->data_root);

    return store_open(path, &kept.store_rebuilt);
}

/* Batches that wait are written when nothing runs beside them any more. */
static void loop_and_store_down(void)
{
    fetch_done();
    loop_done();
    store_close();
}

static err *spec_up(void)
{
    return spec_host_init(NULL);
}

static err *network_up(void)
{
    const config *c = the_daemon.c;
    const network_opts opts = {.exec_root = c->exec_root,
                               .bridge = c->bridge,
                               .bip = c->bip,
                               .fixed_cidr = c->fixed_cidr,
                               .default_gateway = c->default_gateway,
                               .mtu = (int)c->mtu,
                               .icc = c->icc,
                               .ip_masq = c->ip_masq,
                               .ip_forward = c->ip_forward,
                               .iptables = c->iptables,
                               .ip6tables = c->ip6tables,
                               .ipv6 = c->ipv6,
                               .bip6 = c->bip6,
                               .fixed_cidr_v6 = c->fixed_cidr_v6,
                               .default_gateway_v6 = c->default_gateway_v6,
                               .pools = c->address_pools.v,
                               .n_pools = c->address_pools.n,
                               .defaults = c->network_opts.v,
                               .n_defaults = c->network_opts.n,
                               .host_gateways = &c->host_gateway_ip};

    return network_init(&opts);
}

void rooms_set_registries(const config *c)
{
    const char *slash = strrchr(c->config_file, '/');
    registry_settings s = {.insecure = c->insecure_registry,
                           .mirrors = c->registry_mirror,
                           .max_downloads = (unsigned)c->max_downloads,
                           .max_attempts = (unsigned)c->max_attempts};

    strv_pushf(&s.certs_dirs, "%.*s/certs.d", (int)(slash ? slash - c->config_file : 0),
               c->config_file);
    strv_push(&s.certs_dirs, "/etc/docker/certs.d");
    images_set_registry(&s);
    strv_done(&s.certs_dirs);
    fetch_set_proxies(c->http_proxy, c->https_proxy, c->no_proxy);
}

static err *images_up(void)
{
    rooms_set_registries(the_daemon.c);
    return images_init(the_daemon.c->data_root, kept.store_rebuilt);
}

static err *volumes_up(void)
{
    return volumes_init(the_daemon.c->data_root, kept.store_rebuilt);
}

static char *find_init(const config *c)
{
    static const char *const places[] = {"/usr/bin/docker-init", "/usr/libexec/docker/docker-init",
                                         "/usr/bin/tini-static", "/usr/bin/tini", "/usr/sbin/tini"};

    if (!str_empty(c->init_path))
        return xstrdup(c->init_path);
    for (size_t i = 0; i < COUNT(places); i++)
        if (access(places[i], X_OK) == 0)
            return xstrdup(places[i]);
    return xstrdup("");
}

static json_strs list_of(const strv *s)
{
    return (json_strs){s->v, s->n, s->n > 0};
}

static err *containers_up(void)
{
    const config *c = the_daemon.c;
    containers_opts opts = {.data_root = c->data_root,
                            .exec_root = c->exec_root,
                            .monitor_program = kept.monitor_program,
                            .cgroup_parent = c->cgroup_parent,
                            .init = c->init,
                            .log_driver = c->log_driver,
                            .log_opts = &c->log_opts,
                            .default_ulimits = &c->ulimits,
                            .shutdown_timeout_s = (unsigned)c->shutdown_timeout,
                            .dns = &kept.resolver};

    opts.init_path = kept.init_path = find_init(c);
    kept.dns = list_of(&c->dns);
    kept.dns_search = list_of(&c->dns_search);
    kept.dns_options = list_of(&c->dns_options);
    kept.resolver = (dns_opts){&kept.dns, &kept.dns_search, &kept.dns_options};
    TRY(containers_init(&opts));
    execs_init();
    return NULL;
}

static void containers_down(void)
{
    execs_done();
    containers_done();
    free(take(kept.init_path));
}

static err *system_up(void)
{
    const config *c = the_daemon.c;
    const system_opts opts = {.data_root = c->data_root,
                              .logging_driver = c->log_driver,
                              .init_path = kept.init_path,
                              .labels = &c->labels,
                              .debug = c->debug,
                              .live_restore = c->live_restore};

    return system_init(&opts);
}

/* ---- all of them ---- */

static const struct room {
    const char *name;
    err *(*up)(void);
    void (*down)(void);
} rooms[] = {
    {"loop", loop_init, loop_and_store_down},
    {"runtimes", runtimes_up, runtimes_down},
    {"container defaults", spec_up, spec_host_done},
    {"server", server_up, server_down},
    {"store", store_up, NULL},
    {"network", network_up, network_done},
    {"images", images_up, images_done},
    {"volumes", volumes_up, volumes_done},
    {"containers", containers_up, containers_down},
    {"system", system_up, system_done},
    {"default runtime", runtimes_known, NULL},
};

err *rooms_up(void)
{
    for (size_t i = 0; i < COUNT(rooms); i++) {
        int64_t began_ns = time_mono_ns();

        TRY(rooms[i].up());
        log_trace("boot", "room is up", "room", rooms[i].name, "us",
                  (time_mono_ns() - began_ns) / 1000);
    }
    return NULL;
}

void rooms_down(void)
{
    for (size_t i = COUNT(rooms); i-- > 0;)
        if (rooms[i].down)
            rooms[i].down();
}
