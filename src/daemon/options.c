/* options.c - the daemon's options, one line each, and the command line.
 *
 * Names, defaults and words are dockerd's, so that an existing unit file and daemon.json work. */
#include "config.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(config, member)

const option options[] = {
    {"add-runtime", 0, "", OPTION_LIST, AT(add_runtime), false,
     "Register an additional OCI runtime (name=path)"},
    {"bip", 0, NULL, OPTION_STR, AT(bip), false, "Address of the default bridge, in CIDR form"},
    {"bridge", 'b', NULL, OPTION_STR, AT(bridge), false,
     "Use this existing bridge; \"none\" for no default bridge"},
    {"cgroup-parent", 0, NULL, OPTION_STR, AT(cgroup_parent), false,
     "Parent cgroup of all containers"},
    {"config-file", 0, "", OPTION_STR, AT(config_file), false, "Configuration file"},
    {"data-root", 0, NULL, OPTION_STR, AT(data_root), false, "Directory of persistent state"},
    {"debug", 'D', NULL, OPTION_BOOL, AT(debug), true, "Debug mode"},
    {"default-gateway", 0, NULL, OPTION_STR, AT(default_gateway), false,
     "Gateway of containers on the default bridge"},
    {"default-runtime", 0, NULL, OPTION_STR, AT(default_runtime), true,
     "OCI runtime of containers that name none"},
    {"default-ulimit", 0, "", OPTION_LIST, AT(default_ulimit), false,
     "Ulimit of containers (name=soft[:hard])"},
    {"dns", 0, NULL, OPTION_LIST, AT(dns), false, "DNS server of containers"},
    {"dns-opt", 0, "dns-opts", OPTION_LIST, AT(dns_options), false, "DNS option of containers"},
    {"dns-search", 0, NULL, OPTION_LIST, AT(dns_search), false, "DNS search domain of containers"},
    {"exec-opt", 0, "exec-opts", OPTION_LIST, AT(exec_opts), false,
     "Runtime option (native.cgroupdriver=cgroupfs)"},
    {"exec-root", 0, NULL, OPTION_STR, AT(exec_root), false, "Directory of run-time state"},
    {"fixed-cidr", 0, NULL, OPTION_STR, AT(fixed_cidr), false,
     "Part of the bridge's subnet for containers"},
    {"group", 'G', NULL, OPTION_STR, AT(group), false, "Group of unix sockets"},
    {"help", 'h', "", OPTION_BOOL, AT(help), false, "Print this"},
    {"host", 'H', "hosts", OPTION_LIST, AT(hosts), false,
     "Address to listen on (unix://, tcp://, fd://)"},
    {"icc", 0, NULL, OPTION_BOOL, AT(icc), false,
     "Containers of the default bridge may reach each other"},
    {"init", 0, NULL, OPTION_BOOL, AT(init), false, "Run an init in containers that do not say"},
    {"init-path", 0, NULL, OPTION_STR, AT(init_path), false, "That init"},
    {"ip-forward", 0, NULL, OPTION_BOOL, AT(ip_forward), false, "Enable forwarding of IPv4"},
    {"ip-masq", 0, NULL, OPTION_BOOL, AT(ip_masq), false, "Masquerade what leaves the bridge"},
    {"iptables", 0, NULL, OPTION_BOOL, AT(iptables), false,
     "Manage the firewall (through nftables)"},
    {"label", 0, "labels", OPTION_LIST, AT(labels), true, "Label of the daemon (key=value)"},
    {"live-restore", 0, NULL, OPTION_BOOL, AT(live_restore), true,
     "Leave containers running on SIGTERM"},
    {"log-driver", 0, NULL, OPTION_STR, AT(log_driver), false,
     "Log driver of containers (json-file, none)"},
    {"log-format", 0, NULL, OPTION_STR, AT(log_format), false,
     "Format of the daemon's log (text, json)"},
    {"log-level", 'l', NULL, OPTION_STR, AT(log_level), false, "Level of the daemon's log"},
    {"log-opt", 0, "", OPTION_LIST, AT(log_opt), false, "Option of the log driver (key=value)"},
    {"mtu", 0, NULL, OPTION_INT, AT(mtu), false, "MTU of containers on the default bridge"},
    {"pidfile", 'p', NULL, OPTION_STR, AT(pidfile), false, "File for the daemon's pid"},
    {"shutdown-timeout", 0, NULL, OPTION_INT, AT(shutdown_timeout), true,
     "Seconds a shutdown may take"},
    {"tls", 0, NULL, OPTION_BOOL, AT(tls), false, "TLS on TCP listeners"},
    {"tlscacert", 0, NULL, OPTION_STR, AT(tlscacert), false,
     "Trust client certificates of this CA"},
    {"tlscert", 0, NULL, OPTION_STR, AT(tlscert), false, "Certificate"},
    {"tlskey", 0, NULL, OPTION_STR, AT(tlskey), false, "Its key"},
    {"tlsverify", 0, NULL, OPTION_BOOL, AT(tlsverify), false,
     "TLS, and clients must show a certificate"},
    {"validate", 0, "", OPTION_BOOL, AT(validate), false, "Check the configuration and exit"},
    {"version", 'v', "", OPTION_BOOL, AT(version), false, "Print the version and exit"},
    {0},
};

static void *member(config *c, const option *o)
{
    return (char *)c + o->offset;
}

static bool bool_parse(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"}, *const no[] = {
                                                                                  "false", "0",
                                                                                  "f",     "F",
                                                                                  "FALSE", "False"};

    for (size_t i = 0; i < COUNT(yes); i++) {
        if (str_eq(text, yes[i]) || str_eq(text, no[i])) {
            *ret = str_eq(text, yes[i]);
            return true;
        }
    }
    return false;
}

err *option_set(config *c, const option *o, const char *value)
{
    switch (o->kind) {
    case OPTION_STR:
        *(char **)member(c, o) = arena_strdup(c->arena, value);
        break;
    case OPTION_BOOL:
        if (!bool_parse(value, member(c, o)))
            return err_new(
                ERR_INVALID,
                "invalid argument \"%s\" for \"--%s\" flag: strconv.ParseBool: parsing \"%s\": "
                "invalid syntax",
                value, o->name, value);
        break;
    case OPTION_INT:
        if (!str_to_int64(value, member(c, o)))
            return err_new(
                ERR_INVALID,
                "invalid argument \"%s\" for \"--%s\" flag: strconv.ParseInt: parsing \"%s\": "
                "invalid syntax",
                value, o->name, value);
        break;
    case OPTION_LIST:
        strv_push(member(c, o), value);
        break;
    }
    return NULL;
}

static const option *by_name(const char *name, size_t n)
{
    for (const option *o = options; o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const option *by_letter(char letter)
{
    for (const option *o = options; o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* One argument, with its value in it or behind it. */
static err *take_argument(config *c, char ***cursor)
{
    const char *arg = *(*cursor)++, *value = NULL;
    const option *o;

    if (str_starts(arg, "--")) {
        size_t n = strcspn(arg + 2, "=");

        o = by_name(arg + 2, n);
        if (!o)
            return err_new(ERR_INVALID, "unknown flag: --%.*s", (int)n, arg + 2);
        value = arg[2 + n] ? arg + 3 + n : NULL;
    } else {
        o = by_letter(arg[1]);
        if (!o)
            return err_new(ERR_INVALID, "unknown shorthand flag: '%c' in %s", arg[1], arg);
        value = arg[2] ? arg + 2 + (arg[2] == '=') : NULL;
    }
    if (!value && o->kind == OPTION_BOOL)
        value = "true";
    if (!value)
        value = *(*cursor);
    if (!value)
        return err_new(ERR_INVALID, "flag needs an argument: %s", arg);
    if (value == **cursor)
        (*cursor)++;
    if (!strv_has(&c->set_by_flag, o->name))
        strv_push(&c->set_by_flag, o->name);
    return option_set(c, o, value);
}

static err *read_arguments(config *c, char **argv)
{
    char **cursor = argv + 1;

    while (*cursor) {
        if ((*cursor)[0] != '-' || !(*cursor)[1])
            return err_new(ERR_INVALID, "\"berthd\" accepts no arguments: %s", *cursor);
        TRY(take_argument(c, &cursor));
    }
    return NULL;
}

static void defaults(config *c)
{
    memset(c, 0, sizeof(*c));
    c->arena = arena_new();
    c->group = "docker";
    c->config_file = "/etc/berth/daemon.json";
    c->data_root = "/var/lib/berth";
    c->exec_root = "/run/berth";
    c->log_level = "info";
    c->log_format = "text";
    c->log_driver = "json-file";
    c->cgroup_parent = "/docker";
    c->icc = c->ip_masq = c->ip_forward = c->iptables = true;
    c->shutdown_timeout = 15;
}

/* The same key in two places: which one counts would be a guess. */
static err *conflicts(const config *c)
{
    auto_buf both = {0};

    for (size_t i = 0; i < c->set_by_flag.n; i++)
        if (strv_has(&c->set_by_file, c->set_by_flag.v[i]))
            buf_printf(&both, "%s%s", both.len ? ", " : "", c->set_by_flag.v[i]);
    if (!both.len)
        return NULL;
    return err_new(ERR_INVALID,
                   "unable to configure the Docker daemon with file %s: the following directives "
                   "are specified both as a "
                   "flag and in the configuration file: %s",
                   c->config_file, both.data);
}

static bool split_pair(const char *text, char **ret_key, const char **ret_value)
{
    const char *eq = strchr(text, '=');

    if (!eq || eq == text)
        return false;
    *ret_key = xstrndup(text, (size_t)(eq - text));
    *ret_value = eq + 1;
    return true;
}

static err *expand_log_opts(config *c)
{
    for (size_t i = 0; i < c->log_opt.n; i++) {
        auto_free char *key = NULL;
        const char *value;

        if (!split_pair(c->log_opt.v[i], &key, &value))
            return err_new(ERR_INVALID, "invalid log-opt (%s): must be formatted 'opt=value'",
                           c->log_opt.v[i]);
        json_map_set(&c->log_opts, c->arena, key, value);
    }
    for (size_t i = 0; i < c->log_opts.n; i++) {
        const char *key = c->log_opts.keys[i];

        if (!str_eq(key, "max-size") && !str_eq(key, "max-file") && !str_eq(key, "compress"))
            return err_new(ERR_INVALID, "unknown log opt '%s' for json-file log driver", key);
    }
    return NULL;
}

err *runtime_add(config *c, const char *name, const char *path, const json_strs *args)
{
    static const json_type type = {.size = sizeof(runtime_setting)};
    runtime_setting *rt;

    if (*path != '/')
        return err_new(ERR_INVALID, "runtime %s: its path must be absolute: %s", name, path);
    rt = json_list_add(&c->runtimes, c->arena, &type);
    rt->name = arena_strdup(c->arena, name);
    rt->path = arena_strdup(c->arena, path);
    for (size_t i = 0; args && i < args->n; i++)
        json_strs_add(&rt->args, c->arena, args->v[i]);
    return NULL;
}

err *ulimit_add(config *c, const char *name, int64_t soft, int64_t hard)
{
    struct ulimit_row {
        char *name;
        int64_t hard, soft;
    } * u;
    static const json_type type = {.size = sizeof(struct ulimit_row)};

    if (hard >= 0 && soft > hard)
        return err_new(ERR_INVALID,
                       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                       (long long)soft, (long long)hard);
    u = json_list_add(&c->ulimits, c->arena, &type);
    u->name = arena_strdup(c->arena, name);
    u->hard = hard;
    u->soft = soft;
    return NULL;
}

static err *expand_lists(config *c)
{
    TRY(expand_log_opts(c));
    for (size_t i = 0; i < c->add_runtime.n; i++) {
        auto_free char *name = NULL;
        const char *path;

        if (!split_pair(c->add_runtime.v[i], &name, &path))
            return err_new(ERR_INVALID,
                           "invalid runtime argument: %s, it must be formatted 'name=path'",
                           c->add_runtime.v[i]);
        TRY(runtime_add(c, name, path, NULL));
    }
    for (size_t i = 0; i < c->default_ulimit.n; i++) {
        auto_free char *name = NULL, *soft = NULL;
        const char *value, *colon;
        int64_t s, h;

        if (!split_pair(c->default_ulimit.v[i], &name, &value))
            return err_new(ERR_INVALID, "invalid ulimit argument: %s", c->default_ulimit.v[i]);
        colon = strchr(value, ':');
        soft = xstrndup(value, colon ? (size_t)(colon - value) : strlen(value));
        if (!str_to_int64(soft, &s) || (colon && !str_to_int64(colon + 1, &h)))
            return err_new(ERR_INVALID, "invalid ulimit argument: %s", c->default_ulimit.v[i]);
        TRY(ulimit_add(c, name, s, colon ? h : s));
    }
    return NULL;
}

static err *check(config *c)
{
    log_level level;

    if (!log_parse_level(c->log_level, &level))
        return err_new(ERR_INVALID, "invalid logging level: %s", c->log_level);
    if (!str_eq(c->log_format, "text") && !str_eq(c->log_format, "json"))
        return err_new(ERR_INVALID, "invalid log format: %s", c->log_format);
    if (!str_eq(c->log_driver, "json-file") && !str_eq(c->log_driver, "none"))
        return err_new(ERR_UNSUPPORTED, "log-driver %s is not supported", c->log_driver);
    if (c->mtu < 0)
        return err_new(ERR_INVALID, "invalid default MTU: %lld", (long long)c->mtu);
    if (!str_empty(c->bridge) && !str_empty(c->bip))
        return err_new(
            ERR_INVALID,
            "You specified -b & --bip, mutually exclusive options. Please specify only one");
    if (!c->iptables && !c->icc)
        return err_new(
            ERR_INVALID,
            "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. "
            "Please set --icc or --iptables to true");
    for (size_t i = 0; i < c->labels.n; i++)
        if (!strchr(c->labels.v[i], '='))
            return err_new(ERR_INVALID, "bad attribute format: %s", c->labels.v[i]);
    for (size_t i = 0; i < c->exec_opts.n; i++) {
        if (!strchr(c->exec_opts.v[i], '='))
            return err_new(ERR_INVALID, "invalid exec-opt (%s): must be formatted 'opt=value'",
                           c->exec_opts.v[i]);
        if (!str_eq(c->exec_opts.v[i], "native.cgroupdriver=cgroupfs"))
            return err_new(ERR_UNSUPPORTED, "exec-opt %s is not supported", c->exec_opts.v[i]);
    }
    return NULL;
}

static void complete(config *c)
{
    if (!c->pidfile)
        c->pidfile = arena_printf(c->arena, "%s/berthd.pid", c->exec_root);
    c->tls |= c->tlsverify;
    if (!c->hosts.n)
        strv_push(&c->hosts, c->tls ? "tcp://localhost:2376" : "unix:///var/run/docker.sock");
}

err *config_read(int argc, char **argv, config *ret, bool *ret_usage)
{
    err *e;

    (void)argc;
    defaults(ret);
    *ret_usage = true;
    TRY(read_arguments(ret, argv));
    *ret_usage = false;
    if (ret->help || ret->version)
        return NULL;
    e = config_read_file(ret, ret->config_file, strv_has(&ret->set_by_flag, "config-file"));
    if (e)
        return err_wrap(e, "unable to configure the Docker daemon with file %s", ret->config_file);
    TRY(conflicts(ret));
    TRY(expand_lists(ret));
    TRY(check(ret));
    complete(ret);
    return NULL;
}

void config_done(config *c)
{
    strv *lists[] = {&c->hosts,      &c->labels,      &c->dns,         &c->dns_options,
                     &c->dns_search, &c->exec_opts,   &c->add_runtime, &c->default_ulimit,
                     &c->log_opt,    &c->set_by_flag, &c->set_by_file};

    for (size_t i = 0; i < COUNT(lists); i++)
        strv_done(lists[i]);
    arena_free(c->arena);
    c->arena = NULL;
}

void config_print_help(void)
{
    printf("Usage: berthd [OPTIONS]\n\nA container engine that speaks the Docker Engine "
           "API.\n\nOptions:\n");
    for (const option *o = options; o->name; o++) {
        char letter[5] = "    ";

        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        printf("  %s--%-18s %s\n", letter, o->name, o->help);
    }
}
