/* boot.c - up in order, down in the opposite one.
 *
 * Listeners open before the rooms are filled, so clients queue in the backlog rather than be
 * refused; the loop runs last.  A clean end stops containers unless live-restore is on; any other
 * end leaves them running for the next daemon. */
#include "boot.h"
#include <berth/api/config.h>
#include <berth/container.h>
#include <berth/events.h>
#include <berth/exec.h>
#include <berth/http.h>
#include <berth/image.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/network.h>
#include <berth/runtime.h>
#include <berth/signals.h>
#include <berth/spec.h>
#include <berth/store.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <berth/tree.h>
#include "../routes/routes.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLOSE_GRACE_MS = 1000, INTERRUPTS_MAX = 3 };

static struct {
    config *c;
    int argc;
    char **argv;
    http_server *server;
    http_tls *tls;
    char *monitor_program, *init_path;
    json_strs dns, dns_search, dns_options;
    dns_opts resolver;
    int lock_fd;
    unsigned interrupts;
    int exit_status;
    timer *deadline;
} d = {.lock_fd = -1};

/* ---- files that say we are here ---- */

static err *lock_data_root(void)
{
    auto_free char *path = xasprintf("%s/lock", d.c->data_root);

    TRY(tree_make(d.c->data_root, 0710));
    TRY(tree_make(d.c->exec_root, 0711));
    d.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d.lock_fd < 0)
        return err_errno(errno, "open %s", path);
    if (flock(d.lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_new(ERR_CONFLICT, "another berthd uses the data root %s", d.c->data_root);
    return NULL;
}

/* A number in the file counts only while that process is a berthd. */
static bool is_a_daemon(int64_t pid)
{
    auto_free char *path = xasprintf("/proc/%lld/comm", (long long)pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char name[16];
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name));

    return pid > 1 && pid != getpid() && n >= 6 && memcmp(name, "berthd", 6) == 0;
}

static err *write_pidfile(void)
{
    auto_close int fd = open(d.c->pidfile, O_RDONLY | O_CLOEXEC);
    auto_free char *text = xasprintf("%d", getpid());
    char before[32] = "";
    int64_t pid;

    if (fd >= 0 && read(fd, before, sizeof(before) - 1) > 0) {
        before[strcspn(before, "\r\n ")] = '\0';
        if (str_to_int64(before, &pid) && is_a_daemon(pid))
            return err_new(ERR_CONFLICT,
                           "failed to start daemon, ensure docker is not running or delete %s: "
                           "process with PID "
                           "%lld is still running",
                           d.c->pidfile, (long long)pid);
    }
    return file_write(d.c->pidfile, text, strlen(text), 0644);
}

/* ---- the rooms ---- */

static err *open_listeners(void)
{
    static const char *const headers[] = {"Api-Version: 1.51", "Docker-Experimental: false",
                                          "Ostype: linux", NULL};
    http_opts opts = {.server_header = "Docker/" ENGINE_VERSION " (linux)",
                      .extra_headers = headers,
                      .api_min = API_MIN,
                      .api_max = API_MAX};
    config *c = d.c;

    if (c->tls) {
        const char *home = str_or(getenv("DOCKER_CERT_PATH"), "/root/.docker");
        auto_free char *ca = xasprintf("%s/ca.pem", home), *cert = xasprintf("%s/cert.pem", home),
                       *key = xasprintf("%s/key.pem", home);
        http_tls_opts tls = {.ca_file = c->tlsverify ? str_or(c->tlscacert, ca) : NULL,
                             .cert_file = str_or(c->tlscert, cert),
                             .key_file = str_or(c->tlskey, key)};

        TRY(http_tls_new(&tls, &d.tls));
    }
    d.server = http_server_new(&opts);
    for (size_t i = 0; i < c->hosts.n; i++) {
        auto_free char *full = strstr(c->hosts.v[i], "://") ? xstrdup(c->hosts.v[i])
                                                            : xasprintf("tcp://%s", c->hosts.v[i]);

        if (str_starts(full, "tcp://") && !c->tlsverify)
            log_warn("the API is open to everyone who reaches this address: use --tlsverify",
                     "host", full);
        TRY(http_server_listen(d.server, full, c->group, d.tls));
    }
    return NULL;
}

static err *open_runtimes(void)
{
    config *c = d.c;
    auto_free char *root = xasprintf("%s/runtimes", c->exec_root);
    auto_free runtime_extra *extra = xcalloc(c->runtimes.n, sizeof(*extra));
    auto_free char *self = realpath("/proc/self/exe", NULL);
    char *slash = self ? strrchr(self, '/') : NULL;

    for (size_t i = 0; i < c->runtimes.n; i++) {
        const runtime_setting *rt = JSON_AT(c->runtimes, runtime_setting, i);

        extra[i] = (runtime_extra){rt->name, rt->path, (const char *const *)rt->args.v};
    }
    if (slash)
        *slash = '\0';
    d.monitor_program = xasprintf("%s/berth-monitor", str_or(self, "/usr/bin"));
    if (access(d.monitor_program, X_OK) < 0)
        return err_errno(errno, "berth-monitor must be beside berthd: %s", d.monitor_program);
    runtime_set_monitor_program(d.monitor_program);
    TRY(tree_make(root, 0700));
    return runtimes_init(root, extra, c->runtimes.n, str_or(c->default_runtime, ""));
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

static err *fill_rooms(void)
{
    config *c = d.c;
    auto_free char *db = xasprintf("%s/state.db", c->data_root);
    bool rebuilt;
    network_opts net = {.exec_root = c->exec_root,
                        .bridge = c->bridge,
                        .bip = c->bip,
                        .fixed_cidr = c->fixed_cidr,
                        .default_gateway = c->default_gateway,
                        .mtu = (int)c->mtu,
                        .icc = c->icc,
                        .ip_masq = c->ip_masq,
                        .ip_forward = c->ip_forward,
                        .iptables = c->iptables};
    containers_opts con = {.data_root = c->data_root,
                           .exec_root = c->exec_root,
                           .monitor_program = d.monitor_program,
                           .cgroup_parent = c->cgroup_parent,
                           .init = c->init,
                           .log_driver = c->log_driver,
                           .log_opts = &c->log_opts,
                           .default_ulimits = &c->ulimits,
                           .shutdown_timeout_s = (unsigned)c->shutdown_timeout,
                           .dns = &d.resolver};
    system_opts sys = {.data_root = c->data_root,
                       .logging_driver = c->log_driver,
                       .labels = &c->labels,
                       .debug = c->debug,
                       .live_restore = c->live_restore};

    con.init_path = d.init_path = find_init(c);
    d.dns = list_of(&c->dns);
    d.dns_search = list_of(&c->dns_search);
    d.dns_options = list_of(&c->dns_options);
    d.resolver = (dns_opts){&d.dns, &d.dns_search, &d.dns_options};
    TRY(store_open(db, &rebuilt));
    TRY(spec_host_init(NULL));
    TRY(network_init(&net));
    TRY(images_init(c->data_root, rebuilt));
    TRY(containers_init(&con));
    execs_init();
    return system_init(&sys);
}

static void set_routes(void)
{
    const route *const tables[] = {container_routes,
                                   exec_routes,
                                   image_routes,
                                   system_routes,
                                   d.c->debug ? debug_routes : NULL,
                                   NULL};

    http_server_set_routes(d.server, tables);
}

/* ---- signals ---- */

static void on_server_closed(void *arg)
{
    (void)arg;
    loop_stop();
}

static void on_stopped(void *arg)
{
    (void)arg;
    timer_stop(take(d.deadline));
    http_server_close(d.server, CLOSE_GRACE_MS, on_server_closed, NULL);
}

static void on_shutdown_overdue(void *arg)
{
    (void)arg;
    log_warn("containers did not stop in time");
    on_stopped(NULL);
}

static void on_terminate(int signo, void *arg)
{
    (void)arg;
    if (++d.interrupts >= INTERRUPTS_MAX)
        _exit(128 + signo);
    if (d.interrupts > 1)
        return;
    log_info("shutting down", "signal", signo);
    notify_manager("STOPPING=1");
    if (d.c->shutdown_timeout >= 0)
        d.deadline = timer_start("shutdown", (uint64_t)(d.c->shutdown_timeout + 5) * 1000,
                                 on_shutdown_overdue, NULL);
    containers_shutdown(d.c->live_restore, on_stopped, NULL);
}

static void apply_log(const config *c)
{
    log_level level = LOG_LEVEL_INFO;

    log_parse_level(c->log_level, &level);
    log_set_level(c->debug && level < LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level);
    log_set_json(str_eq(c->log_format, "json"));
}

static void reloaded_event(void)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};
    auto_buf labels = {0};

    buf_char(&labels, '[');
    for (size_t i = 0; i < d.c->labels.n; i++) {
        if (i)
            buf_char(&labels, ',');
        json_quote(d.c->labels.v[i], &labels);
    }
    buf_char(&labels, ']');
    json_map_set(&attrs, a, "debug", d.c->debug ? "true" : "false");
    json_map_set(&attrs, a, "default-runtime", runtime_default()->name);
    json_map_set(&attrs, a, "labels", labels.data);
    json_map_set(&attrs, a, "live-restore", d.c->live_restore ? "true" : "false");
    json_map_set(&attrs, a, "name", system_hostname());
    json_map_set(&attrs, a, "shutdown-timeout",
                 arena_printf(a, "%lld", (long long)d.c->shutdown_timeout));
    event_emit("daemon", "reload", system_id(), &attrs);
}

/* The whole configuration is read anew; of it only what may change in a running daemon is taken
 * over. */
static err *reload(void)
{
    config fresh;
    bool usage;
    err *e = config_read(d.argc, d.argv, &fresh, &usage);
    system_opts sys = {
        .data_root = d.c->data_root, .logging_driver = d.c->log_driver, .labels = &d.c->labels};

    if (!e) {
        strv labels = d.c->labels;

        d.c->labels = fresh.labels;
        fresh.labels = labels;
        d.c->debug = fresh.debug;
        d.c->live_restore = fresh.live_restore;
        d.c->shutdown_timeout = fresh.shutdown_timeout;
        sys.debug = d.c->debug;
        sys.live_restore = d.c->live_restore;
        system_reload(&sys);
        apply_log(d.c);
        set_routes();
        reloaded_event();
    }
    config_done(&fresh);
    return e;
}

static void on_hangup(int signo, void *arg)
{
    auto_free char *reloading =
        xasprintf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(time_mono_ns() / 1000));
    err *e;

    (void)signo, (void)arg;
    notify_manager(reloading);
    e = reload();
    if (e)
        err_log(e, "Error reloading configuration");
    else
        log_info("configuration reloaded");
    notify_manager("READY=1");
}

static void on_quit(int signo, void *arg)
{
    auto_buf text = {0};

    (void)signo, (void)arg;
    loop_dump(&text);
    log_error("SIGQUIT", "dump", text.len ? text.data : "");
    abort();
}

static err *take_signals(void)
{
    TRY(signal_on(SIGTERM, on_terminate, NULL));
    TRY(signal_on(SIGINT, on_terminate, NULL));
    TRY(signal_on(SIGQUIT, on_quit, NULL));
    return signal_on(SIGHUP, on_hangup, NULL);
}

/* ---- up and down ---- */

static void on_restored(void *arg)
{
    (void)arg;
    set_routes();
    notify_manager("READY=1");
    log_info("API listening", "hosts", d.c->hosts.v[0]);
}

static void raise_descriptors(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static err *bring_up(void)
{
    umask(0022);
    raise_descriptors();
    mallopt(M_ARENA_MAX, 2); /* a worker's arena of its own would cost more than it saves */
    TRY(lock_data_root());
    TRY(write_pidfile());
    TRY(loop_init());
    TRY(open_runtimes());
    TRY(open_listeners());
    TRY(fill_rooms());
    TRY(take_signals());
    containers_restore(on_restored, NULL);
    return NULL;
}

static void take_down(void)
{
    signals_done();
    containers_done();
    images_done();
    network_done();
    http_server_free(d.server);
    http_tls_free(d.tls);
    events_done();
    loop_done();
    store_close();
    system_done();
    spec_host_done();
    runtimes_done();
    unlink(d.c->pidfile);
    free(d.monitor_program);
    free(d.init_path);
    mem_closep(&d.lock_fd);
}

int daemon_run(int argc, char **argv, config *c)
{
    err *e;

    d.c = c;
    d.argc = argc;
    d.argv = argv;
    apply_log(c);
    log_set_trace(getenv("BERTH_TRACE"));
    e = bring_up();
    if (e) {
        fprintf(stderr, "failed to start daemon: %s\n", err_message(e));
        err_free(e);
        return EXIT_CONFIG;
    }
    loop_run();
    take_down();
    return d.exit_status;
}
