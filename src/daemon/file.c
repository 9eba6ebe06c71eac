/* file.c - daemon.json: dockerd's keys, refused by name where they do nothing here.  Blocks; at
 * start and on reload. */
#include "config.h"
#include <berth/mem.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20 };

/* Flags and keys that dockerd has and this daemon has not. */
static const char *const refused[] = {"allow-direct-routing",
                                      "allow-nondistributable-artifacts",
                                      "api-cors-header",
                                      "authorization-plugin",
                                      "authorization-plugins",
                                      "bridge-accept-fwmark",
                                      "builder",
                                      "cdi-spec-dir",
                                      "cdi-spec-dirs",
                                      "cluster-advertise",
                                      "cluster-store",
                                      "cluster-store-opt",
                                      "containerd",
                                      "containerd-namespace",
                                      "containerd-plugins-namespace",
                                      "cpu-rt-period",
                                      "cpu-rt-runtime",
                                      "cri-containerd",
                                      "default-cgroupns-mode",
                                      "default-ipc-mode",
                                      "default-shm-size",
                                      "default-stop-timeout",
                                      "deprecated-key-path",
                                      "experimental",
                                      "feature",
                                      "features",
                                      "firewall-backend",
                                      "graph",
                                      "ip",
                                      "ip-forward-no-drop",
                                      "ip6tables",
                                      "max-concurrent-uploads",
                                      "metrics-addr",
                                      "min-api-version",
                                      "network-control-plane-mtu",
                                      "network-diagnostic-port",
                                      "no-new-privileges",
                                      "node-generic-resource",
                                      "node-generic-resources",
                                      "nri-opts",
                                      "oom-score-adjust",
                                      "raw-logs",
                                      "restart",
                                      "rootless",
                                      "seccomp-profile",
                                      "selinux-enabled",
                                      "storage-opt",
                                      "storage-opts",
                                      "swarm-default-advertise-addr",
                                      "userland-proxy",
                                      "userland-proxy-path",
                                      "userns-remap"};

bool config_is_refused(const char *name)
{
    for (size_t i = 0; i < COUNT(refused); i++)
        if (str_eq(refused[i], name))
            return true;
    return false;
}

static const option *by_file_key(const char *key)
{
    for (const option *o = options; o->name; o++)
        if (o->file_key ? *o->file_key && str_eq(o->file_key, key) : str_eq(o->name, key))
            return o;
    return NULL;
}

static err *bad(const char *key, const char *what)
{
    return err_new(ERR_INVALID, "invalid JSON: %s must be %s", key, what);
}

static err *take_list(config *c, const option *o, const cJSON *value)
{
    const cJSON *item;

    if (!cJSON_IsArray(value))
        return bad(value->string, "a list of strings");
    cJSON_ArrayForEach (item, value) {
        if (!cJSON_IsString(item))
            return bad(value->string, "a list of strings");
        TRY(option_set(c, o, item->valuestring));
    }
    return NULL;
}

static bool is_whole(double n)
{
    return n >= -9e15 && n <= 9e15 && n == (double)(int64_t)n;
}

static err *take_plain(config *c, const option *o, const cJSON *value)
{
    char number[32];

    switch (o->kind) {
    case OPTION_LIST:
        return take_list(c, o, value);
    case OPTION_BOOL:
        if (!cJSON_IsBool(value))
            return bad(value->string, "true or false");
        return option_set(c, o, cJSON_IsTrue(value) ? "true" : "false");
    case OPTION_INT:
        if (!cJSON_IsNumber(value) || !is_whole(value->valuedouble))
            return bad(value->string, "a whole number");
        snprintf(number, sizeof(number), "%.0f", value->valuedouble);
        return option_set(c, o, number);
    case OPTION_STR:
        if (!cJSON_IsString(value))
            return bad(value->string, "a string");
        return option_set(c, o, value->valuestring);
    }
    return NULL;
}

static err *take_log_opts(config *c, const cJSON *value)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, value) {
        if (!cJSON_IsString(item))
            return bad("log-opts", "an object of strings");
        json_map_set(&c->log_opts, c->arena, item->string, item->valuestring);
    }
    return NULL;
}

static err *take_runtimes(config *c, const cJSON *value)
{
    const cJSON *item, *arg;

    cJSON_ArrayForEach (item, value) {
        const cJSON *path = cJSON_GetObjectItemCaseSensitive(item, "path");
        const cJSON *args = cJSON_GetObjectItemCaseSensitive(item, "runtimeArgs");
        json_strs list = {0};

        if (!cJSON_IsString(path))
            return bad("runtimes", "an object of {path, runtimeArgs}");
        cJSON_ArrayForEach (arg, args) {
            if (!cJSON_IsString(arg))
                return bad("runtimes", "an object of {path, runtimeArgs}");
            json_strs_add(&list, c->arena, arg->valuestring);
        }
        TRY(runtime_add(c, item->string, path->valuestring, &list));
    }
    return NULL;
}

static err *take_ulimits(config *c, const cJSON *value)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, value) {
        const cJSON *soft = cJSON_GetObjectItem(item, "Soft"),
                    *hard = cJSON_GetObjectItem(item, "Hard");

        if (!cJSON_IsNumber(soft) || !cJSON_IsNumber(hard) || !is_whole(soft->valuedouble) ||
            !is_whole(hard->valuedouble))
            return bad("default-ulimits", "an object of {Name, Soft, Hard}");
        TRY(ulimit_add(c, item->string, (int64_t)soft->valuedouble, (int64_t)hard->valuedouble));
    }
    return NULL;
}

/* The same text as the flag has, so that both are checked in one place. */
static err *take_pools(config *c, const cJSON *value)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, value) {
        const cJSON *base = cJSON_GetObjectItem(item, "base"),
                    *size = cJSON_GetObjectItem(item, "size");

        if (!cJSON_IsString(base) || !cJSON_IsNumber(size) || !is_whole(size->valuedouble))
            return bad("default-address-pools", "a list of {base, size}");
        strv_pushf(&c->default_address_pool, "base=%s,size=%.0f", base->valuestring,
                   size->valuedouble);
    }
    return NULL;
}

static err *take_network_opts(config *c, const cJSON *value)
{
    const cJSON *driver, *item;

    cJSON_ArrayForEach (driver, value) {
        if (!cJSON_IsObject(driver))
            return bad("default-network-opts", "an object of objects of strings");
        cJSON_ArrayForEach (item, driver) {
            if (!cJSON_IsString(item))
                return bad("default-network-opts", "an object of objects of strings");
            strv_pushf(&c->default_network_opt, "%s=%s=%s", driver->string, item->string,
                       item->valuestring);
        }
    }
    return NULL;
}

/* The name it had before there could be two. */
static err *take_host_gateway(config *c, const cJSON *value)
{
    if (!cJSON_IsString(value))
        return bad("host-gateway-ip", "a string");
    strv_push(&c->host_gateway_ip, value->valuestring);
    return NULL;
}

/* ---- the same key as a flag ---- */

static void say_list(const strv *list, buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < list->n; i++)
        buf_printf(out, "%s%s", i ? " " : "", list->v[i]);
    buf_char(out, ']');
}

static void say_flag(const config *c, const option *o, buf *out)
{
    const void *at = (const char *)c + o->offset;

    switch (o->kind) {
    case OPTION_STR:
        buf_str(out, *(char *const *)at);
        break;
    case OPTION_BOOL:
        buf_str(out, *(const bool *)at ? "true" : "false");
        break;
    case OPTION_INT:
        buf_printf(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case OPTION_LIST:
        say_list(at, out);
        break;
    }
}

/* As Go prints it: [a b], map[k:v]. */
static void say_json(const cJSON *value, buf *out)
{
    const cJSON *item;

    if (cJSON_IsString(value)) {
        buf_str(out, value->valuestring);
    } else if (cJSON_IsBool(value)) {
        buf_str(out, cJSON_IsTrue(value) ? "true" : "false");
    } else if (cJSON_IsNumber(value)) {
        buf_printf(out, "%.15g", value->valuedouble);
    } else if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
        buf_str(out, cJSON_IsArray(value) ? "[" : "map[");
        cJSON_ArrayForEach (item, value) {
            if (item != value->child)
                buf_char(out, ' ');
            if (cJSON_IsObject(value))
                buf_printf(out, "%s:", item->string);
            say_json(item, out);
        }
        buf_char(out, ']');
    } else {
        buf_str(out, "<nil>");
    }
}

static void note_conflict(config *c, const option *o, const cJSON *value)
{
    auto_buf flag = {0}, file = {0};

    say_flag(c, o, &flag);
    say_json(value, &file);
    strv_pushf(&c->conflicts, "%s: (from flag: %s, from file: %s)", value->string,
               flag.data ? flag.data : "", file.data ? file.data : "");
}

/* ---- keys ---- */

static const option *by_flag(const char *name)
{
    for (const option *o = options; o->name; o++)
        if (str_eq(o->name, name))
            return o;
    return NULL;
}

/* {"http-proxy", "https-proxy", "no-proxy"}, each of which is a flag, too. */
static err *take_proxies(config *c, const cJSON *value)
{
    const cJSON *item;

    cJSON_ArrayForEach (item, value) {
        const option *o = by_flag(item->string);

        if (!str_eq(item->string, "http-proxy") && !str_eq(item->string, "https-proxy") &&
            !str_eq(item->string, "no-proxy"))
            return bad("proxies", "an object of http-proxy, https-proxy, no-proxy");
        if (!cJSON_IsString(item))
            return bad(item->string, "a string");
        if (strv_has(&c->set_by_flag, o->name))
            note_conflict(c, o, item);
        else
            TRY(option_set(c, o, item->valuestring));
    }
    return NULL;
}

/* A list is of Docker Hub; beyond dockerd, {"ghcr.io": [URL...], "*": [URL...]}. */
static err *take_mirrors(config *c, const cJSON *value)
{
    const cJSON *of, *item;

    if (cJSON_IsArray(value))
        return take_list(c, by_flag("registry-mirror"), value);
    cJSON_ArrayForEach (of, value) {
        if (!cJSON_IsArray(of))
            return bad("registry-mirrors", "a list, or an object of lists");
        cJSON_ArrayForEach (item, of) {
            if (!cJSON_IsString(item))
                return bad("registry-mirrors", "a list, or an object of lists");
            strv_pushf(&c->registry_mirror, "%s=%s", of->string, item->valuestring);
        }
    }
    return NULL;
}

static cJSON_bool is_list_or_object(const cJSON *value)
{
    return cJSON_IsArray(value) || cJSON_IsObject(value);
}

static err *take_key(config *c, const cJSON *value, buf *unknown)
{
    static const struct {
        const char *key, *flag;
        err *(*read)(config *c, const cJSON *value);
        cJSON_bool (*is)(const cJSON *value);
        const char *what;
    } objects[] = {
        {"log-opts", "log-opt", take_log_opts, cJSON_IsObject, "an object"},
        {"runtimes", NULL, take_runtimes, cJSON_IsObject, "an object"}, /* may stand beside flags */
        {"default-ulimits", "default-ulimit", take_ulimits, cJSON_IsObject, "an object"},
        {"default-address-pools", "default-address-pool", take_pools, cJSON_IsArray, "a list"},
        {"default-network-opts", "default-network-opt", take_network_opts, cJSON_IsObject,
         "an object"},
        {"host-gateway-ip", "host-gateway-ip", take_host_gateway, cJSON_IsString, "a string"},
        {"proxies", NULL, take_proxies, cJSON_IsObject, "an object"},
        {"registry-mirrors", "registry-mirror", take_mirrors, is_list_or_object,
         "a list, or an object of lists"}};
    const option *o = by_file_key(value->string);

    for (size_t i = 0; i < COUNT(objects); i++) {
        if (!str_eq(value->string, objects[i].key))
            continue;
        if (!objects[i].is(value))
            return bad(value->string, objects[i].what);
        if (objects[i].flag && strv_has(&c->set_by_flag, objects[i].flag)) {
            note_conflict(c, by_flag(objects[i].flag), value);
            return NULL;
        }
        return objects[i].read(c, value);
    }
    if (config_is_refused(value->string))
        return err_new(ERR_UNSUPPORTED, "the directive %s is not supported", value->string);
    if (!o) {
        buf_printf(unknown, "%s%s", unknown->len ? ", " : "", value->string);
        return NULL;
    }
    if (strv_has(&c->set_by_flag, o->name)) {
        note_conflict(c, o, value);
        return NULL;
    }
    strv_push(&c->set_by_file, o->name);
    return take_plain(c, o, value);
}

static err *take_keys(config *c, const cJSON *tree)
{
    auto_buf unknown = {0};
    const cJSON *item;

    if (!cJSON_IsObject(tree))
        return err_new(ERR_INVALID, "invalid JSON: not an object");
    cJSON_ArrayForEach (item, tree)
        TRY(take_key(c, item, &unknown));
    if (unknown.len)
        return err_new(ERR_INVALID,
                       "the following directives don't match any configuration option: %s",
                       unknown.data);
    return NULL;
}

static err *read_all(int fd, const char *path, buf *text)
{
    char block[8192];
    ssize_t n;

    while ((n = read(fd, block, sizeof(block))) > 0) {
        buf_add(text, block, (size_t)n);
        if (text->len > FILE_MAX_BYTES)
            return err_new(ERR_INVALID, "%s is larger than 1 MiB", path);
    }
    return n < 0 ? err_errno(errno, "read %s", path) : NULL;
}

err *config_read_file(config *c, const char *path, bool must_exist)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf text = {0};
    const char *from, *end = NULL;
    cJSON *tree;
    err *e;

    if (fd < 0)
        return errno == ENOENT && !must_exist
                   ? NULL
                   : err_new(ERR_INVALID, "open %s: %s", path, strerrordesc_np(errno));
    TRY(read_all(fd, path, &text));
    from = text.data ? text.data : "";
    if (str_starts(from, "\xef\xbb\xbf"))
        from += 3;
    if (!from[strspn(from, " \t\r\n")])
        return NULL;
    tree = cJSON_ParseWithOpts(from, &end, true);
    if (!tree)
        return err_new(ERR_INVALID, "invalid JSON: unexpected input at byte %zu",
                       end ? (size_t)(end - from) : 0);
    e = take_keys(c, tree);
    cJSON_Delete(tree);
    return e;
}
