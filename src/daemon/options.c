/* options.c - the daemon's options, one line each, and the command line.
 *
 * Names, defaults and words are dockerd's, so that an existing unit file and daemon.json work. */
#include "config.h"
#include <berth/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(config, member)

const option options[] = {
    {"add-runtime", 0, "", OPTION_LIST, AT(add_runtime), true,
     "Register an additional OCI runtime (name=path)"},
    {"bip", 0, NULL, OPTION_STR, AT(bip), false, "Address of the default bridge, in CIDR form"},
    {"bip6", 0, NULL, OPTION_STR, AT(bip6), false,
     "IPv6 address of the default bridge, in CIDR form"},
    {"bridge", 'b', NULL, OPTION_STR, AT(bridge), false,
     "Use this existing bridge; \"none\" for no default bridge"},
    {"cgroup-parent", 0, NULL, OPTION_STR, AT(cgroup_parent), false,
     "Parent cgroup of all containers"},
    {"config-file", 0, "", OPTION_STR, AT(config_file), false, "Configuration file"},
    {"data-root", 0, NULL, OPTION_STR, AT(data_root), false, "Directory of persistent state"},
    {"debug", 'D', NULL, OPTION_BOOL, AT(debug), true, "Debug mode"},
    {"default-address-pool", 0, "", OPTION_LIST, AT(default_address_pool), false,
     "Where subnets come from that nobody names (base=CIDR,size=N)"},
    {"default-gateway", 0, NULL, OPTION_STR, AT(default_gateway), false,
     "Gateway of containers on the default bridge"},
    {"default-gateway-v6", 0, NULL, OPTION_STR, AT(default_gateway_v6), false,
     "IPv6 gateway of containers on the default bridge"},
    {"default-network-opt", 0, "", OPTION_LIST, AT(default_network_opt), false,
     "Option of networks that do not say (driver=option=value)"},
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
    {"fixed-cidr-v6", 0, NULL, OPTION_STR, AT(fixed_cidr_v6), false,
     "Part of the bridge's IPv6 subnet for containers"},
    {"group", 'G', NULL, OPTION_STR, AT(group), false, "Group of unix sockets"},
    {"help", 'h', "", OPTION_BOOL, AT(help), false, "Print this"},
    {"host", 'H', "hosts", OPTION_LIST, AT(hosts), false,
     "Address to listen on (unix://, tcp://, fd://)"},
    {"host-gateway-ip", 0, "host-gateway-ips", OPTION_LIST, AT(host_gateway_ip), false,
     "What host-gateway stands for in --add-host, one address of each family"},
    {"http-proxy", 0, "", OPTION_STR, AT(http_proxy), true,
     "Proxy of requests to registries without TLS"},
    {"https-proxy", 0, "", OPTION_STR, AT(https_proxy), true, "Proxy of requests with TLS"},
    {"icc", 0, NULL, OPTION_BOOL, AT(icc), false,
     "Containers of the default bridge may reach each other"},
    {"init", 0, NULL, OPTION_BOOL, AT(init), false, "Run an init in containers that do not say"},
    {"init-path", 0, NULL, OPTION_STR, AT(init_path), false, "That init"},
    {"insecure-registry", 0, "insecure-registries", OPTION_LIST, AT(insecure_registry), true,
     "Registry that may be spoken to without TLS, or with any certificate (host:port or CIDR)"},
    {"ip6tables", 0, NULL, OPTION_BOOL, AT(ip6tables), false,
     "Manage the firewall of IPv6 (through nftables)"},
    {"ip-forward", 0, NULL, OPTION_BOOL, AT(ip_forward), false,
     "Enable forwarding of IPv4, and of IPv6 for networks that have it"},
    {"ip-masq", 0, NULL, OPTION_BOOL, AT(ip_masq), false, "Masquerade what leaves the bridge"},
    {"iptables", 0, NULL, OPTION_BOOL, AT(iptables), false,
     "Manage the firewall (through nftables)"},
    {"ipv6", 0, NULL, OPTION_BOOL, AT(ipv6), false, "IPv6 on the default bridge"},
    {"label", 0, "labels", OPTION_LIST, AT(labels), true, "Label of the daemon (key=value)"},
    {"live-restore", 0, NULL, OPTION_BOOL, AT(live_restore), true,
     "Leave containers running on SIGTERM"},
    {"log-driver", 0, NULL, OPTION_STR, AT(log_driver), false,
     "Log driver of containers (json-file, none)"},
    {"log-format", 0, NULL, OPTION_STR, AT(log_format), false,
     "Format of the daemon's log (text, json)"},
    {"log-level", 'l', NULL, OPTION_STR, AT(log_level), false, "Level of the daemon's log"},
    {"log-opt", 0, "", OPTION_LIST, AT(log_opt), false, "Option of the log driver (key=value)"},
    {"max-concurrent-downloads", 0, NULL, OPTION_INT, AT(max_downloads), true,
     "Layers that are downloaded at once"},
    {"max-download-attempts", 0, NULL, OPTION_INT, AT(max_attempts), true,
     "Attempts at the download of a layer"},
    {"mtu", 0, NULL, OPTION_INT, AT(mtu), false, "MTU of containers on the default bridge"},
    {"no-proxy", 0, "", OPTION_STR, AT(no_proxy), true, "Hosts that are asked without a proxy"},
    {"pidfile", 'p', NULL, OPTION_STR, AT(pidfile), false, "File for the daemon's pid"},
    {"registry-mirror", 0, "registry-mirrors", OPTION_LIST, AT(registry_mirror), true,
     "Mirror of Docker Hub (URL), or of another registry (host=URL, *=URL)"},
    {"shutdown-timeout", 0, NULL, OPTION_INT, AT(shutdown_timeout), true,
     "Seconds a shutdown may take"},
    {"storage-driver", 's', NULL, OPTION_STR, AT(storage_driver), false,
     "Storage driver (overlay2 alone)"},
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

static err *refuse_name(const char *name, size_t n)
{
    auto_free char *flag = xstrndup(name, n);

    if (config_is_refused(flag))
        return err_new(ERR_UNSUPPORTED, "the flag --%s is not supported", flag);
    return err_new(ERR_INVALID, "unknown flag: --%s", flag);
}

static err *set_flag(config *c, const option *o, const char *value)
{
    if (!strv_has(&c->set_by_flag, o->name))
        strv_push(&c->set_by_flag, o->name);
    return option_set(c, o, value);
}

/* --name, --name=value, --name value */
static err *take_long(config *c, char ***cursor)
{
    const char *arg = *(*cursor)++;
    size_t n = strcspn(arg + 2, "=");
    const option *o = by_name(arg + 2, n);

    if (!o)
        return refuse_name(arg + 2, n);
    if (arg[2 + n])
        return set_flag(c, o, arg + 3 + n);
    if (o->kind == OPTION_BOOL)
        return set_flag(c, o, "true");
    if (!**cursor)
        return err_new(ERR_INVALID, "flag needs an argument: %s", arg);
    return set_flag(c, o, *(*cursor)++);
}

/* -D, -lvalue, -l=value, -l value; switches may share a dash with what follows. */
static err *take_short(config *c, char ***cursor)
{
    const char *arg = *(*cursor)++;

    for (const char *at = arg + 1; *at; at++) {
        const option *o = by_letter(*at);

        if (!o)
            return err_new(ERR_INVALID, "unknown shorthand flag: '%c' in %s", *at, arg);
        if (at[1] == '=')
            return set_flag(c, o, at + 2);
        if (o->kind != OPTION_BOOL && at[1])
            return set_flag(c, o, at + 1);
        if (o->kind != OPTION_BOOL && !**cursor)
            return err_new(ERR_INVALID, "flag needs an argument: '%c' in %s", *at, arg);
        if (o->kind != OPTION_BOOL)
            return set_flag(c, o, *(*cursor)++);
        TRY(set_flag(c, o, "true"));
    }
    return NULL;
}

static err *read_arguments(config *c, char **argv)
{
    char **cursor = argv + 1;

    while (*cursor) {
        if ((*cursor)[0] != '-' || !(*cursor)[1])
            return err_new(ERR_INVALID, "\"berthd\" accepts no arguments: %s", *cursor);
        TRY(str_starts(*cursor, "--") ? take_long(c, &cursor) : take_short(c, &cursor));
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
    c->icc = c->ip_masq = c->ip_forward = c->iptables = c->ip6tables = true;
    c->shutdown_timeout = 15;
    c->max_downloads = 3;
    c->max_attempts = 5;
}

/* The same key in two places: which one counts would be a guess. */
static err *conflicts(const config *c)
{
    auto_buf all = {0};

    for (size_t i = 0; i < c->conflicts.n; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", c->conflicts.v[i]);
    if (!all.len)
        return NULL;
    return err_new(ERR_INVALID,
                   "the following directives are specified both as a flag and in the configuration "
                   "file: %s",
                   all.data);
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
    if (!e)
        e = conflicts(ret);
    if (e)
        return err_wrap(e, "unable to configure the Docker daemon with file %s", ret->config_file);
    TRY(options_expand(ret));
    TRY(options_check(ret));
    options_complete(ret);
    return NULL;
}

void config_done(config *c)
{
    strv *lists[] = {&c->hosts,
                     &c->labels,
                     &c->dns,
                     &c->dns_options,
                     &c->dns_search,
                     &c->exec_opts,
                     &c->add_runtime,
                     &c->default_ulimit,
                     &c->log_opt,
                     &c->set_by_flag,
                     &c->set_by_file,
                     &c->conflicts,
                     &c->default_address_pool,
                     &c->default_network_opt,
                     &c->host_gateway_ip,
                     &c->insecure_registry,
                     &c->registry_mirror};

    for (size_t i = 0; i < COUNT(lists); i++)
        strv_done(lists[i]);
    arena_free(c->arena);
    c->arena = NULL;
}

/* ---- what changed ---- */

static bool lists_differ(const strv *a, const strv *b)
{
    if (a->n != b->n)
        return true;
    for (size_t i = 0; i < a->n; i++)
        if (!str_eq(a->v[i], b->v[i]))
            return true;
    return false;
}

static bool differs(const config *a, const config *b, const option *o)
{
    const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

    switch (o->kind) {
    case OPTION_STR:
        return !str_eq(*(char *const *)x, *(char *const *)y);
    case OPTION_BOOL:
        return *(const bool *)x != *(const bool *)y;
    case OPTION_INT:
        return *(const int64_t *)x != *(const int64_t *)y;
    case OPTION_LIST:
        return lists_differ(x, y);
    }
    return false;
}

void config_fixed_changes(const config *was, const config *now, buf *ret_names)
{
    for (const option *o = options; o->name; o++)
        if (!o->reloads && differs(was, now, o))
            buf_printf(ret_names, "%s%s", ret_names->len ? ", " : "", o->name);
}

void config_print_help(void)
{
    printf("Usage: berthd [OPTIONS]\n\nA container engine that speaks the Docker Engine "
           "API.\n\nOptions:\n");
    for (const option *o = options; o->name; o++) {
        char letter[5] = "    ";

        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        printf("  %s--%-21s %s\n", letter, o->name, o->help);
    }
}
