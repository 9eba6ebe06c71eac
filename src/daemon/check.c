/* check.c - what the options say together: lists taken apart, values checked, the rest filled in.
 *
 * Words are dockerd's. */
#include "config.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/network.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

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

/* "base=10.0.0.0/8,size=24" in either order. */
static err *pool_add(config *c, const char *text)
{
    static const json_type type = {.size = sizeof(network_default_pool)};
    network_default_pool p = {0};
    auto_strv parts = {0};
    int64_t size = -1;

    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        if (str_starts(parts.v[i], "base="))
            p.base = arena_strdup(c->arena, parts.v[i] + strlen("base="));
        else if (!str_starts(parts.v[i], "size=") ||
                 !str_to_int64(parts.v[i] + strlen("size="), &size))
            return err_new(ERR_INVALID, "invalid field '%s' must be a key=value pair", parts.v[i]);
    }
    p.size = (int)size;
    if (str_empty(p.base) || size < 0 || size > 128 || !network_default_pool_is_good(&p))
        return err_new(ERR_INVALID, "invalid default address pool: %s", text);
    *(network_default_pool *)json_list_add(&c->address_pools, c->arena, &type) = p;
    return NULL;
}

static err *expand_networks(config *c)
{
    static const json_type type = {.size = sizeof(network_default_opt)};

    for (size_t i = 0; i < c->default_address_pool.n; i++)
        TRY(pool_add(c, c->default_address_pool.v[i]));
    for (size_t i = 0; i < c->default_network_opt.n; i++) {
        const char *text = c->default_network_opt.v[i], *eq = strchr(text, '='),
                   *second = eq ? strchr(eq + 1, '=') : NULL;

        if (!second || eq == text || second == eq + 1)
            return err_new(ERR_INVALID,
                           "invalid default network opt (%s): must be formatted "
                           "'driver=option=value'",
                           text);
        *(network_default_opt *)json_list_add(&c->network_opts, c->arena, &type) =
            (network_default_opt){.driver = arena_strndup(c->arena, text, (size_t)(eq - text)),
                                  .option =
                                      arena_strndup(c->arena, eq + 1, (size_t)(second - eq - 1)),
                                  .value = arena_strdup(c->arena, second + 1)};
    }
    return NULL;
}

err *options_expand(config *c)
{
    TRY(expand_log_opts(c));
    TRY(expand_networks(c));
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

/* The same key twice with two values: which one counts would be a guess. */
static err *check_labels(const config *c)
{
    for (size_t i = 0; i < c->labels.n; i++) {
        const char *label = c->labels.v[i], *eq = strchr(label, '=');

        if (!eq)
            return err_new(ERR_INVALID, "bad attribute format: %s", label);
        for (size_t k = 0; k < i; k++)
            if (strncmp(c->labels.v[k], label, (size_t)(eq - label) + 1) == 0 &&
                !str_eq(c->labels.v[k], label))
                return err_new(ERR_INVALID, "conflict labels for %s and %s", label, c->labels.v[k]);
    }
    return NULL;
}

/* A name of letters, digits, '-', '_' and '.', no longer than DNS has them; "." is none at all. */
static bool is_search_domain(const char *s)
{
    size_t n = strlen(s);

    return n > 0 && n <= 255 && !strstr(s, "..") &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == 0 &&
           (*s != '.' || n == 1);
}

static err *check_dns(const config *c)
{
    for (size_t i = 0; i < c->dns.n; i++) {
        unsigned char address[16];

        if (inet_pton(AF_INET, c->dns.v[i], address) != 1 &&
            inet_pton(AF_INET6, c->dns.v[i], address) != 1)
            return err_new(ERR_INVALID, "IP address is not correctly formatted: %s", c->dns.v[i]);
    }
    for (size_t i = 0; i < c->dns_search.n; i++)
        if (!is_search_domain(c->dns_search.v[i]))
            return err_new(ERR_INVALID, "%s is not a valid domain", c->dns_search.v[i]);
    return NULL;
}

static bool is_address(int family, const char *text)
{
    unsigned char address[16];

    return inet_pton(family, text, address) == 1;
}

static err *check_host_gateway(const config *c)
{
    unsigned four = 0, six = 0;

    for (size_t i = 0; i < c->host_gateway_ip.n; i++) {
        const char *text = c->host_gateway_ip.v[i];

        if (is_address(AF_INET, text))
            four++;
        else if (is_address(AF_INET6, text))
            six++;
        else
            return err_new(ERR_INVALID, "IP address is not correctly formatted: %s", text);
    }
    if (four > 1)
        return err_new(ERR_INVALID, "only one IPv4 host gateway IP address can be specified");
    if (six > 1)
        return err_new(ERR_INVALID, "only one IPv6 host gateway IP address can be specified");
    return NULL;
}

static err *check_exec_opts(const config *c)
{
    for (size_t i = 0; i < c->exec_opts.n; i++) {
        if (!strchr(c->exec_opts.v[i], '='))
            return err_new(ERR_INVALID, "invalid exec-opt (%s): must be formatted 'opt=value'",
                           c->exec_opts.v[i]);
        if (!str_eq(c->exec_opts.v[i], "native.cgroupdriver=cgroupfs"))
            return err_new(ERR_UNSUPPORTED, "exec-opt %s is not supported", c->exec_opts.v[i]);
    }
    return NULL;
}

static err *check_registries(const config *c)
{
    if (c->max_downloads < 1)
        return err_new(ERR_INVALID, "invalid max concurrent downloads: %lld",
                       (long long)c->max_downloads);
    if (c->max_attempts < 1)
        return err_new(ERR_INVALID, "invalid max download attempts: %lld",
                       (long long)c->max_attempts);
    for (size_t i = 0; i < c->registry_mirror.n; i++) {
        const char *text = c->registry_mirror.v[i], *equal = strchr(text, '='),
                   *there = strstr(text, "://"), *url = equal && equal < there ? equal + 1 : text;

        if (!str_starts(url, "http://") && !str_starts(url, "https://"))
            return err_new(ERR_INVALID,
                           "invalid mirror: unsupported scheme \"%.*s\" in \"%s\": must use either "
                           "'https://' or 'http://'",
                           (int)(there ? there - url : 0), url, url);
        if (strpbrk(url, "?#@"))
            return err_new(ERR_INVALID,
                           "invalid mirror: query, fragment or user at end of the URI \"%s\"", url);
    }
    for (size_t i = 0; i < c->insecure_registry.n; i++)
        if (strstr(c->insecure_registry.v[i], "://"))
            return err_new(ERR_INVALID, "insecure registry %s should not contain '://'",
                           c->insecure_registry.v[i]);
    return NULL;
}

err *options_check(config *c)
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
    if (!str_empty(c->storage_driver) && !str_eq(c->storage_driver, "overlay2"))
        return err_new(ERR_UNSUPPORTED, "%s: driver not supported", c->storage_driver);
    TRY(check_labels(c));
    TRY(check_dns(c));
    TRY(check_host_gateway(c));
    TRY(check_registries(c));
    return check_exec_opts(c);
}

static bool was_said(const config *c, const char *name)
{
    return strv_has(&c->set_by_flag, name) || strv_has(&c->set_by_file, name);
}

/* Naming tlsverify at all turns TLS on, and TLS alone asks clients for a certificate. */
static void complete_tls(config *c)
{
    bool verify_said = was_said(c, "tlsverify");

    if (!verify_said && !str_empty(getenv("DOCKER_TLS_VERIFY")))
        c->tlsverify = verify_said = true;
    c->tls |= verify_said;
    if (c->tls && !verify_said)
        c->tlsverify = true;
}

void options_complete(config *c)
{
    if (!c->pidfile)
        c->pidfile = arena_printf(c->arena, "%s/berthd.pid", c->exec_root);
    complete_tls(c);
    if (!c->hosts.n)
        strv_push(&c->hosts, c->tls ? "tcp://localhost:2376" : "unix:///var/run/docker.sock");
}
