/* start.c - a container's run begins: root, network, bundle, monitor, runtime.
 *
 * Its undo is one: teardown gives back whatever of a run there is, as it must after a crash anyway.
 * Clients that attached before are bound to the monitor before the process begins.
 * Loop thread only, except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/netns.h>
#include <berth/rootfs.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { LOG_SIZE = 10 << 20, LOG_FILES = 5 };
enum { ADDRESS_WAIT_MS = 10 };

typedef struct starting {
    container *c; /* referenced */
    arena *arena;
    strv lowers, env, argv, warnings;
    spec_bind *binds;
    size_t n_binds;
    strv image_lowers; /* of each mount point */
    char *netns;       /* NULL: the host's */
    bool own_netns;
    char *joined_dir; /* container mode: whose hosts, hostname and resolv.conf are used */
    char *hosts, *resolv, *hostname;
    const char *seccomp_bpf;
    unsigned short rows, cols;
    bool has_names;    /* it is on a network where containers know each other */
    dns_sockets names; /* of its name server, until it is served */
    bool again;        /* by itself, after a run has ended */
    timer *wait;
    flow *flow;
    container_done *done;
    void *arg;
} starting;

/* ---- on the worker ---- */

static err *job_mount(void *st)
{
    starting *s = st;

    TRY(tree_make(s->c->run_dir, 0700));
    return rootfs_mount((const char *const *)s->lowers.v, s->c->dir);
}

static err *job_network(void *st)
{
    starting *s = st;

    if (!s->own_netns)
        return NULL;
    TRY(netns_create(s->netns));
    TRY(err_wrap(networks_attach(s->c->endpoints, s->c->n_endpoints, s->netns),
                 "failed to set up container networking"));
    if (s->has_names)
        TRY(err_wrap(dns_open(s->netns, &s->names), "failed to set up container networking"));
    if (!s->c->ports)
        return NULL;
    TRY(ports_write(s->c));
    return err_wrap(ports_publish(s->c->ports), "failed to set up container networking");
}

static err *write_file(const starting *s, const char *name, const char *text)
{
    auto_free char *path = container_file(s->c, name);

    return text ? file_write(path, text, strlen(text), 0644) : NULL;
}

static err *write_spec(starting *s)
{
    auto_free char *config = xasprintf("%s/config.json", s->c->run_dir);
    auto_free char *hosts = NULL, *resolv = NULL, *hostname = NULL, *cgroup = NULL;
    auto_close int root = open(s->c->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *dir = s->joined_dir ? s->joined_dir : s->c->dir;
    const host_config *h = s->c->rec.host;
    auto_buf text = {0};
    spec_user user = {0};
    spec_input in = {.id = s->c->rec.id,
                     .rootfs = s->c->rootfs,
                     .hostname = s->c->rec.config->hostname,
                     .config = s->c->rec.config,
                     .host = h,
                     .env = (const char *const *)s->env.v,
                     .argv = (const char *const *)s->argv.v,
                     .user = &user,
                     .binds = s->binds,
                     .n_binds = s->n_binds,
                     .netns_path = s->netns,
                     .seccomp_bpf = s->seccomp_bpf};

    if (root < 0)
        return err_errno(errno, "open %s", s->c->rootfs);
    TRY(spec_user_resolve(root, str_or(s->c->rec.config->user, ""), &h->group_add, s->arena,
                          &user));
    in.hosts_path = hosts = xasprintf("%s/hosts", dir);
    in.resolv_conf_path = resolv = xasprintf("%s/resolv.conf", dir);
    in.hostname_path = hostname = xasprintf("%s/hostname", dir);
    in.cgroups_path = cgroup = container_cgroup(s->c);
    if (h->init.set ? h->init.b : containers_conf.init)
        in.init_path = containers_conf.init_path;
    TRY(spec_build(&in, &text, &s->warnings));
    return file_write(config, text.data, text.len, 0600);
}

static err *job_bundle(void *st)
{
    starting *s = st;

    TRY(mounts_prepare(s->c, &s->image_lowers, s->arena, &s->binds, &s->n_binds));
    if (!s->joined_dir) {
        TRY(write_file(s, "hosts", s->hosts));
        TRY(write_file(s, "resolv.conf", s->resolv));
        TRY(write_file(s, "hostname", s->hostname));
    }
    return write_spec(s);
}

/* ---- the monitor ---- */

static void on_ready(void *arg, err *e)
{
    starting *s = ((container *)arg)->busy_with;

    flow_resume(s->flow, e);
}

/* Bounded by default, unlike dockerd's: a log that nobody looks at does not fill the disk. */
static void log_of(const host_config *h, const container *c, monitor_log *ret)
{
    const char *size = json_map_get(&h->log_config.config, "max-size");
    const char *files = json_map_get(&h->log_config.config, "max-file");
    const char *compress = json_map_get(&h->log_config.config, "compress");
    int64_t n;

    *ret = (monitor_log){
        .driver = h->log_config.type, .path = c->log_path, .max_size = LOG_SIZE, .max_files = 1};
    if (!size)
        ret->max_files = LOG_FILES;
    if (size)
        ret->max_size = str_to_bytes(size, &n) ? n : -1;
    if (files && str_to_int64(files, &n))
        ret->max_files = (unsigned)n;
    ret->compress = str_eq(compress, "true");
}

static void call_monitor(void *st, flow *f)
{
    starting *s = st;
    container *c = s->c;
    const container_config *k = c->rec.config;
    auto_free char *exit_path = container_file(c, "exit");
    monitor_spec spec = {.program = containers_conf.monitor_program,
                         .id = c->rec.id,
                         .run_dir = c->run_dir,
                         .exit_path = exit_path,
                         .bundle = c->run_dir,
                         .runtime = c->runtime->path,
                         .runtime_args = (const char *const *)c->runtime->args,
                         .hide_unified = c->runtime->hide_unified,
                         .tty = k->tty,
                         .open_stdin = k->open_stdin,
                         .stdin_once = k->stdin_once,
                         .rows = s->rows,
                         .cols = s->cols};

    log_of(c->rec.host, c, &spec.log);
    s->flow = f;
    c->busy_with = s;
    c->monitor = monitor_spawn(&spec, &container_monitor_events, c, on_ready);
}

static err *now_bind(void *st)
{
    clients_bind(((starting *)st)->c);
    return NULL;
}

static void on_run(void *arg, err *e, const monitor_started *started)
{
    starting *s = arg;
    container *c = s->c;

    if (!e) {
        c->state.running = true;
        c->state.started_once = true;
        c->state.pid = started->pid;
        c->state.started_ns = started->started_ns;
        c->state.exit_code = 0;
        c->state.oom_killed = false;
        container_set_error(c, NULL);
    }
    flow_resume(s->flow, e);
}

static void call_run(void *st, flow *f)
{
    starting *s = st;

    s->flow = f;
    monitor_run(s->c->monitor, on_run, s);
}

static err *now_announce(void *st)
{
    starting *s = st;
    container *c = s->c;

    container_save_state(c);
    if (!s->seccomp_bpf)
        filter_learn(c);
    dns_serve(c->rec.id, &s->names);
    networks_told_start(c);
    mounts_told_start(c);
    container_event(c, "start", NULL);
    if (container_hook.started)
        container_hook.started(c);
    return NULL;
}

static void on_undone(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_undo(void *st, flow *f)
{
    container_teardown(((starting *)st)->c, on_undone, f);
}

static void call_use_volumes(void *st, flow *f)
{
    mounts_use(((starting *)st)->c, f);
}

static void starting_free(void *st)
{
    starting *s = st;

    if (!s)
        return;
    container_unref(s->c);
    dns_sockets_close(&s->names);
    strv_done(&s->lowers);
    strv_done(&s->image_lowers);
    strv_done(&s->env);
    strv_done(&s->argv);
    strv_done(&s->warnings);
    free(s->netns);
    free(s->joined_dir);
    free(s->hosts);
    free(s->resolv);
    free(s->hostname);
    arena_free(s->arena);
    free(s);
}

static const flow_step start_steps[] = {
    {"mount the root", JOB(job_mount), CALL(call_undo)},
    {"use volumes", CALL(call_use_volumes)},
    {"network", JOB(job_network)},
    {"bundle", JOB(job_bundle)},
    {"monitor", CALL(call_monitor)},
    {"bind clients", NOW(now_bind)},
    {"run", CALL(call_run)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def start_flow = {"container.start", start_steps, starting_free, HANGUP_FINISH};

/* ---- before and after ---- */

static int code_of_failure(const char *text)
{
    if (strstr(text, "executable file not found") || strstr(text, "no such file or directory"))
        return 127;
    if (strstr(text, "permission denied") || strstr(text, "is a directory") ||
        strstr(text, "not a directory"))
        return 126;
    return 128;
}

static void failed(container *c, err *e)
{
    c->state.exit_code = code_of_failure(err_message(e));
    container_set_error(c, err_message(e));
    container_save_state(c);
    clients_end(c);
    waits_exited(c);
    container_auto_remove(c);
}

static void on_started(void *arg, void *st, err *e)
{
    starting *s = st;
    container *c = s->c;

    (void)arg;
    c->starting = false;
    c->state.restarting = false;
    if (!e && c->has_exit_early) {
        c->has_exit_early = false;
        container_exited(c, &c->exit_early);
    } else if (e) {
        failed(c, e);
    }
    op_end(c);
    s->done(s->arg, e);
}

static bool env_key_is(const char *entry, const char *pair)
{
    size_t n = strcspn(pair, "=");

    return strncmp(entry, pair, n) == 0 && (entry[n] == '=' || !entry[n]);
}

/* "K=V" sets, "K" alone takes away. */
static void env_put(strv *env, const char *pair)
{
    for (size_t i = 0; i < env->n; i++) {
        if (!env_key_is(env->v[i], pair))
            continue;
        free(env->v[i]);
        if (strchr(pair, '=')) {
            env->v[i] = xstrdup(pair);
        } else {
            memmove(env->v + i, env->v + i + 1, (env->n - i) * sizeof(*env->v));
            env->n--;
        }
        return;
    }
    if (strchr(pair, '='))
        strv_push(env, pair);
}

void container_env(const container *c, const json_strs *extra, bool tty, strv *env)
{
    const container_config *k = c->rec.config;
    auto_free char *hostname = xasprintf("HOSTNAME=%s", str_or(k->hostname, ""));

    strv_push(env, DEFAULT_PATH);
    strv_push(env, hostname);
    if (tty)
        strv_push(env, "TERM=xterm");
    links_env(c, env);
    for (size_t i = 0; i < k->env.n; i++)
        env_put(env, k->env.v[i]);
    for (size_t i = 0; extra && i < extra->n; i++)
        env_put(env, extra->v[i]);
}

void console_size_parse(const json_raw *text, unsigned short *ret_rows, unsigned short *ret_cols)
{
    unsigned rows = 0, cols = 0;

    if (text->text && sscanf(text->text, "[%u,%u]", &rows, &cols) == 2 && rows <= UINT16_MAX &&
        cols <= UINT16_MAX) {
        *ret_rows = (unsigned short)rows;
        *ret_cols = (unsigned short)cols;
    }
}

/* container:X shares X's namespace and its three files. */
static err *join_network(starting *s, const char *ref)
{
    container *other;

    TRY(container_find(ref, &other));
    if (!other->state.running)
        return err_new(ERR_CONFLICT, "cannot join network of a non running container: %s",
                       other->rec.id);
    s->joined_dir = xstrdup(other->dir);
    if (!str_eq(other->rec.host->network_mode, "host"))
        s->netns = xasprintf("/proc/%lld/ns/net", (long long)other->state.pid);
    return NULL;
}

static err *plan_network(starting *s)
{
    container *c = s->c;
    const host_config *h = c->rec.host;

    if (str_starts(h->network_mode, "container:"))
        return join_network(s, h->network_mode + strlen("container:"));
    s->own_netns = networks_own_netns(c);
    if (s->own_netns)
        s->netns = container_netns_path(c);
    TRY(networks_join(c));
    s->has_names = networks_have_names(c);
    return ports_plan(c);
}

static err *plan_files(starting *s)
{
    container *c = s->c;
    const host_config *h = c->rec.host;
    bool host_mode = str_eq(h->network_mode, "host");
    dns_opts dns = {&h->dns, &h->dns_search, &h->dns_options};
    auto_free char *resolv = NULL, *hosts = NULL;
    auto_strv ips = {0}, links = {0};
    hosts_opts ho = {.hostname = c->rec.config->hostname,
                     .domainname = c->rec.config->domainname,
                     .extra_hosts = &h->extra_hosts,
                     .host_gateway = network_host_gateway(),
                     .links = &links,
                     .ips = &ips};

    if (s->joined_dir)
        return NULL;
    networks_addresses(c, &ips);
    links_hosts(c, &links);
    TRY(netfiles_host_resolv(host_mode, &resolv));
    TRY(s->has_names
            ? netfiles_resolv_internal(resolv, &dns, containers_conf.dns, &s->resolv)
            : netfiles_resolv_conf(resolv, host_mode, &dns, containers_conf.dns, &s->resolv));
    if (host_mode) {
        TRY(netfiles_host_hosts(&hosts));
        ho.host_text = hosts;
    }
    TRY(netfiles_hosts(&ho, &s->hosts));
    return netfiles_hostname(c->rec.config->hostname, &s->hostname);
}

static err *plan(starting *s)
{
    container *c = s->c;
    const container_config *k = c->rec.config;
    const host_config *h = c->rec.host;

    if (!c->image)
        return err_new(ERR_NOT_FOUND, "No such image: %s", c->rec.image_id);
    if (!c->runtime)
        return err_new(ERR_INVALID, "unknown or invalid runtime name: %s", str_or(h->runtime, ""));
    image_layer_dirs(c->image, &s->lowers);
    TRY(links_check(c));
    container_env(c, NULL, k->tty, &s->env);
    for (size_t i = 0; i < k->entrypoint.n; i++)
        strv_push(&s->argv, k->entrypoint.v[i]);
    for (size_t i = 0; i < k->cmd.n; i++)
        strv_push(&s->argv, k->cmd.v[i]);
    mounts_lowers(c, &s->image_lowers);
    console_size_parse(&h->console_size, &s->rows, &s->cols);
    TRY(plan_network(s));
    return plan_files(s);
}

static void start_begin(container *c, void *arg); /* its own timer calls it again */

static void on_waited(void *arg)
{
    starting *s = arg;

    timer_stop(take(s->wait));
    start_begin(s->c, s);
}

static void start_begin(container *c, void *arg)
{
    starting *s = arg;
    err *e = NULL;

    if (!c->removing && !c->state.running && networks_must_wait(c)) {
        s->wait = timer_start("start.address", ADDRESS_WAIT_MS, on_waited, s);
        return;
    }
    if (s->again && !c->state.restarting) { /* it was stopped meanwhile */
        op_end(c);
        s->done(s->arg, NULL);
        starting_free(s);
        return;
    }
    if (c->removing || c->removed)
        e = err_new(ERR_CONFLICT, "container is marked for removal and cannot be started");
    else if (c->state.paused)
        e = err_new(ERR_CONFLICT, "cannot start a paused container, try unpause instead");
    else if (c->state.running || (c->state.restarting && !s->again))
        e = err_new(ERR_NOT_MODIFIED, "container is already running");
    else
        e = plan(s);
    if (e) {
        bool refused =
            c->removing || c->removed || c->state.running || (c->state.restarting && !s->again);

        if (!refused) {
            c->state.restarting = false;
            ports_free(take(c->ports));
            networks_leave(c);
            failed(c, e);
        }
        op_end(c);
        s->done(s->arg, e);
        starting_free(s);
        return;
    }
    if (!s->again)
        restart_forget(c);
    s->seccomp_bpf = filter_for(c);
    c->dirty = true;
    c->starting = true;
    c->has_exit_early = false;
    flow_begin(&start_flow, s, on_started, NULL);
}

static void start(container *c, bool again, container_done *done, void *arg)
{
    starting *s = new0(starting);

    s->c = container_ref(c);
    s->names = DNS_SOCKETS_NONE;
    s->arena = arena_new();
    s->again = again;
    s->done = done;
    s->arg = arg;
    op_begin(c, "start", start_begin, s);
}

void container_start(container *c, container_done *done, void *arg)
{
    start(c, false, done, arg);
}

void container_start_again(container *c, container_done *done, void *arg)
{
    start(c, true, done, arg);
}
