/* inspect.c - what a container looks like from outside: inspect, list, its filters.
 *
 * Reads only; nothing here waits for anything.  Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *status_of(const container *c)
{
    if (c->removing)
        return "removing";
    if (c->state.running)
        return c->state.paused ? "paused" : "running";
    if (c->state.restarting)
        return "restarting";
    return c->state.started_once ? "exited" : "created";
}

static char *time_text(arena *a, int64_t ns)
{
    char text[TIME_TEXT];

    time_rfc3339(ns, text);
    return arena_strdup(a, text);
}

static const char *health_of(const container *c)
{
    return container_hook.health_status ? container_hook.health_status(c) : "";
}

static const char *health_words(const container *c, arena *a)
{
    const char *health = health_of(c);

    if (!*health)
        return "";
    return arena_printf(a, str_eq(health, "starting") ? " (health: %s)" : " (%s)", health);
}

/* "Up 5 minutes", "Exited (0) 3 hours ago", "Created": wording that people parse. */
static char *status_words(const container *c, arena *a)
{
    char since[64];

    if (c->removing)
        return arena_strdup(a, "Removal In Progress");
    if (c->state.running) {
        duration_human(time_now_ns() - c->state.started_ns, since, sizeof(since));
        return arena_printf(a, "Up %s%s", since,
                            c->state.paused ? " (Paused)" : health_words(c, a));
    }
    if (!c->state.started_once)
        return arena_strdup(a, "Created");
    duration_human(time_now_ns() - c->state.finished_ns, since, sizeof(since));
    return arena_printf(a, "%s (%lld) %s ago", c->state.restarting ? "Restarting" : "Exited",
                        (long long)c->state.exit_code, since);
}

static const char *path_and_args(const container_config *k, arena *a, json_strs *ret_args)
{
    const char *path = NULL;
    const json_strs *parts[] = {&k->entrypoint, &k->cmd};

    for (size_t p = 0; p < COUNT(parts); p++) {
        for (size_t i = 0; i < parts[p]->n; i++) {
            if (!path)
                path = parts[p]->v[i];
            else
                json_strs_add(ret_args, a, parts[p]->v[i]);
        }
    }
    return path ? path : "";
}

static void network_settings_of(const container *c, arena *a, network_settings *ret)
{
    auto_free char *netns = container_netns_path(c);
    const endpoint_settings *s;

    networks_describe(c, a, &ret->networks);
    ports_describe(c, a, &ret->ports);
    if (c->state.running && !c->rec.config->network_disabled &&
        !str_eq(c->rec.host->network_mode, "host") &&
        !str_starts(c->rec.host->network_mode, "container:")) {
        ret->sandbox_id = (char *)c->rec.id;
        ret->sandbox_key = arena_strdup(a, netns);
    }
    s = json_mapof_get(&ret->networks, &endpoint_settings_json, "bridge");
    if (!s)
        return;
    ret->endpoint_id = s->endpoint_id;
    ret->gateway = s->gateway;
    ret->ip_address = s->ip_address;
    ret->ip_prefix_len = s->ip_prefix_len;
    ret->ipv6_gateway = s->ipv6_gateway;
    ret->global_ipv6_address = s->global_ipv6_address;
    ret->global_ipv6_prefix_len = s->global_ipv6_prefix_len;
    ret->mac_address = s->mac_address;
}

static void graph_of(const container *c, arena *a, graph_driver *ret)
{
    auto_strv lowers = {0};
    auto_buf lower = {0};

    if (c->image)
        image_layer_dirs(c->image, &lowers);
    for (size_t i = 0; i < lowers.n; i++)
        buf_printf(&lower, "%s%s", i ? ":" : "", lowers.v[i]);
    ret->name = "overlay2";
    json_map_set(&ret->data, a, "ID", c->rec.id);
    json_map_set(&ret->data, a, "LowerDir", lower.len ? lower.data : "");
    json_map_set(&ret->data, a, "MergedDir", c->rootfs);
    json_map_set(&ret->data, a, "UpperDir", arena_printf(a, "%s/diff", c->dir));
    json_map_set(&ret->data, a, "WorkDir", arena_printf(a, "%s/work", c->dir));
}

void container_inspected(container *c, arena *a, container_inspect *ret)
{
    ret->id = c->rec.id;
    ret->created = time_text(a, c->rec.created_ns);
    ret->path = (char *)path_and_args(c->rec.config, a, &ret->args);
    ret->state = (inspect_state){.status = (char *)status_of(c),
                                 .running = container_is_up(c),
                                 .restarting = c->state.restarting,
                                 .paused = c->state.paused,
                                 .oom_killed = c->state.oom_killed,
                                 .pid = c->state.pid,
                                 .exit_code = c->state.exit_code,
                                 .error = c->error,
                                 .started_at = time_text(a, c->state.started_ns),
                                 .finished_at = time_text(a, c->state.finished_ns)};
    ret->state.health = arena_alloc(a, sizeof(container_health));
    if (!container_hook.health_describe || !container_hook.health_describe(c, a, ret->state.health))
        ret->state.health = NULL;
    ret->image = c->rec.image_id;
    if (c->state.started_once && !str_starts(c->rec.host->network_mode, "container:")) {
        ret->resolv_conf_path = arena_printf(a, "%s/resolv.conf", c->dir);
        ret->hostname_path = arena_printf(a, "%s/hostname", c->dir);
        ret->hosts_path = arena_printf(a, "%s/hosts", c->dir);
    }
    ret->log_path = c->log_path;
    ret->name = arena_printf(a, "/%s", c->rec.name);
    ret->restart_count = c->state.restart_count;
    ret->driver = "overlay2";
    ret->platform = "linux";
    if (container_hook.exec_ids)
        container_hook.exec_ids(c, a, &ret->exec_ids);
    ret->host_config = arena_alloc(a, sizeof *ret->host_config);
    *ret->host_config = *c->rec.host;
    links_describe(c, a, &ret->host_config->links);
    graph_of(c, a, &ret->graph_driver);
    mounts_describe(c, true, a, &ret->mounts);
    ret->config = c->rec.config;
    network_settings_of(c, a, &ret->network_settings);
}

/* As it would be typed; what holds blanks or quotes is quoted. */
static char *command_words(const container_config *k, arena *a)
{
    json_strs args = {0};
    const char *path = path_and_args(k, a, &args);
    auto_buf out = {0};

    buf_str(&out, path);
    for (size_t i = 0; i < args.n; i++)
        buf_printf(&out, strpbrk(args.v[i], " \t\n'\"") ? " '%s'" : " %s", args.v[i]);
    return arena_strdup(a, out.data);
}

void container_summarize(container *c, arena *a, container_summary *ret)
{
    ret->id = c->rec.id;
    json_strs_add(&ret->names, a, arena_printf(a, "/%s", c->rec.name));
    ret->image = c->rec.config->image;
    ret->image_id = c->rec.image_id;
    ret->command = command_words(c->rec.config, a);
    ret->created = c->rec.created_ns / 1000000000;
    ports_summarize(c, a, &ret->ports);
    ret->labels = c->rec.config->labels;
    ret->state = (char *)status_of(c);
    ret->status = status_words(c, a);
    ret->host_config.network_mode = c->rec.host->network_mode;
    ret->host_config.annotations = c->rec.host->annotations;
    networks_describe(c, a, &ret->network_settings.networks);
    mounts_describe(c, false, a, &ret->mounts);
}

/* ---- list ---- */

static err *filters_check(const filters *f)
{
    static const char *const states[] = {"created", "restarting", "running", "removing",
                                         "paused",  "exited",     "dead"};
    static const char *const healths[] = {"starting", "healthy", "unhealthy", "none"};
    int64_t n;

    for (size_t i = 0; i < filters_count(f, "status"); i++) {
        bool known = false;

        for (size_t k = 0; k < COUNT(states); k++)
            known |= str_eq(states[k], filters_nth(f, "status", i));
        if (!known)
            return err_new(ERR_INVALID, "invalid filter 'status=%s'", filters_nth(f, "status", i));
    }
    for (size_t i = 0; i < filters_count(f, "health"); i++) {
        bool known = false;

        for (size_t k = 0; k < COUNT(healths); k++)
            known |= str_eq(healths[k], filters_nth(f, "health", i));
        if (!known)
            return err_new(ERR_INVALID, "invalid filter 'health=%s'", filters_nth(f, "health", i));
    }
    for (size_t i = 0; i < filters_count(f, "exited"); i++)
        if (!str_to_int64(filters_nth(f, "exited", i), &n))
            return err_new(ERR_INVALID, "invalid filter 'exited=%s'", filters_nth(f, "exited", i));
    return NULL;
}

static bool exited_matches(const container *c, const filters *f)
{
    int64_t n;

    if (!filters_has(f, "exited"))
        return true;
    for (size_t i = 0; i < filters_count(f, "exited"); i++)
        if (str_to_int64(filters_nth(f, "exited", i), &n) && n == c->state.exit_code &&
            !container_is_up(c) && c->state.started_once)
            return true;
    return false;
}

/* The image named, or one whose layers this container's image begins with is beyond what names can
 * say: id or name. */
static bool ancestor_matches(const container *c, const filters *f)
{
    if (!filters_has(f, "ancestor"))
        return true;
    for (size_t i = 0; i < filters_count(f, "ancestor"); i++) {
        image *img = NULL;
        err *e = image_find(filters_nth(f, "ancestor", i), &img);

        err_free(e);
        if (!e && str_eq(image_id(img), c->rec.image_id))
            return true;
    }
    return false;
}

static bool name_matches(const container *c, const filters *f)
{
    auto_free char *slashed = xasprintf("/%s", c->rec.name);

    return filters_match_regex(f, "name", c->rec.name) || filters_match_regex(f, "name", slashed);
}

static bool network_matches(const container *c, const filters *f)
{
    if (!filters_has(f, "network"))
        return true;
    for (size_t i = 0; i < filters_count(f, "network"); i++) {
        network *n = NULL;
        err *e = network_find(filters_nth(f, "network", i), &n);

        err_free(e);
        if (!e && networks_has(c, n))
            return true;
    }
    return false;
}

static bool ports_named(const container *c, const filters *f, const char *key, bool published)
{
    if (!filters_has(f, key))
        return true;
    for (size_t i = 0; i < filters_count(f, key); i++)
        if (ports_match(c, filters_nth(f, key, i), published))
            return true;
    return false;
}

static bool matches(const container *c, const filters *f)
{
    return filters_match_regex(f, "id", c->rec.id) && name_matches(c, f) &&
           filters_match_exact(f, "status", status_of(c)) &&
           filters_match_exact(f, "health", str_or(health_of(c), "none")) &&
           filters_match_labels(f, "label", &c->rec.config->labels) && exited_matches(c, f) &&
           ancestor_matches(c, f) && network_matches(c, f) && mounts_match(c, f) &&
           ports_named(c, f, "expose", false) && ports_named(c, f, "publish", true) &&
           (!filters_has(f, "is-task") || !filters_match_exact(f, "is-task", "true"));
}

static err *border(const filters *f, const char *key, const container **ret_c)
{
    container *c = NULL;

    if (filters_has(f, key))
        TRY(container_find(filters_nth(f, key, 0), &c));
    *ret_c = c;
    return NULL;
}

err *containers_list(const filters *f, bool all, int64_t limit, arena *a, container ***ret_list,
                     size_t *ret_n)
{
    const container *before, *since;
    size_t n = 0;

    TRY(filters_check(f));
    TRY(border(f, "before", &before));
    TRY(border(f, "since", &since));
    all |= limit > 0 || filters_has(f, "status") || before || since;
    *ret_list = arena_alloc(a, (containers_counted().all + 1) * sizeof(**ret_list));
    for (container *c = containers_newest; c && c != since && (limit <= 0 || (int64_t)n < limit);
         c = c->older) {
        if (before) {
            if (c == before)
                before = NULL;
            continue;
        }
        if ((all || container_is_up(c)) && matches(c, f))
            (*ret_list)[n++] = c;
    }
    *ret_n = n;
    return NULL;
}
