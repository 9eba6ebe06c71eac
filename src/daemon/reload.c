/* reload.c - SIGHUP: the whole configuration is read anew, and all of it that may change does, or
 * nothing.
 *
 * Reading and probing new runtimes is a job; taking over happens on the loop in one go.  A signal
 * that comes meanwhile is remembered. */
#include "boot.h"
#include <berth/events.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <stdlib.h>

typedef struct reloading {
    config *fresh;
    const config *now; /* does not change while the job runs */
    runtime_set *set;  /* NULL: the runtimes stay */
} reloading;

static bool running, again;
static config *taken; /* of the last reload; the start's is another's */

void reload_log_level(const config *c)
{
    log_level level = LOG_LEVEL_INFO;

    log_parse_level(c->log_level, &level);
    log_set_level(c->debug && level < LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : level);
    log_set_json(str_eq(c->log_format, "json"));
}

static void config_free(config *c)
{
    if (c)
        config_done(c);
    free(c);
}

/* ---- the job ---- */

static bool is_same_runtime(const runtime_setting *a, const runtime_setting *b)
{
    if (!str_eq(a->name, b->name) || !str_eq(a->path, b->path) || a->args.n != b->args.n)
        return false;
    for (size_t i = 0; i < a->args.n; i++)
        if (!str_eq(a->args.v[i], b->args.v[i]))
            return false;
    return true;
}

static bool runtimes_differ(const config *a, const config *b)
{
    if (a->runtimes.n != b->runtimes.n || !str_eq(a->default_runtime, b->default_runtime))
        return true;
    for (size_t i = 0; i < a->runtimes.n; i++)
        if (!is_same_runtime(JSON_AT(a->runtimes, runtime_setting, i),
                             JSON_AT(b->runtimes, runtime_setting, i)))
            return true;
    return false;
}

static err *job_read(void *arg)
{
    reloading *r = arg;
    bool usage;

    TRY(config_read(the_daemon.argc, the_daemon.argv, r->fresh, &usage));
    if (!runtimes_differ(r->now, r->fresh))
        return NULL;
    TRY(rooms_runtimes(r->fresh, &r->set));
    runtime_set_probe(r->set);
    return runtime_set_choose(r->set, str_or(r->fresh->default_runtime, ""));
}

/* ---- taking over ---- */

static char *quoted_list(arena *a, const strv *list)
{
    auto_buf text = {0};

    buf_char(&text, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            buf_char(&text, ',');
        json_quote(list->v[i], &text);
    }
    buf_char(&text, ']');
    return arena_strdup(a, text.data);
}

static char *runtime_names(arena *a)
{
    auto_buf text = {0};

    for (size_t i = 0; i < runtime_count(); i++)
        buf_printf(&text, "%s%s:%s", i ? " " : "", runtime_nth(i)->name, runtime_nth(i)->path);
    return arena_strdup(a, text.data);
}

static void tell(const config *c)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};

    json_map_set(&attrs, a, "debug", c->debug ? "true" : "false");
    json_map_set(&attrs, a, "default-runtime", runtime_default()->name);
    json_map_set(&attrs, a, "labels", quoted_list(a, &c->labels));
    json_map_set(&attrs, a, "live-restore", c->live_restore ? "true" : "false");
    json_map_set(&attrs, a, "name", system_hostname());
    json_map_set(&attrs, a, "runtimes", runtime_names(a));
    json_map_set(&attrs, a, "shutdown-timeout",
                 arena_printf(a, "%lld", (long long)c->shutdown_timeout));
    event_emit("daemon", "reload", system_id(), &attrs);
}

/* What the file says of settings that stay as they are until a restart. */
static void tell_fixed(const config *fresh)
{
    auto_buf names = {0};

    config_fixed_changes(the_daemon.c, fresh, &names);
    if (names.len)
        log_warn("these settings change at the next start only", "settings", names.data);
}

static void take_over(reloading *r)
{
    const config *fresh = r->fresh;

    if (r->set)
        runtimes_adopt(take(r->set));
    system_reload(&fresh->labels, fresh->debug, fresh->live_restore);
    config_free(taken);
    the_daemon.now = taken = take(r->fresh);
    reload_log_level(fresh);
    rooms_set_routes();
    rooms_set_registries(fresh);
    tell_fixed(fresh);
    tell(fresh);
}

static void on_read(void *arg, err *e)
{
    reloading *r = arg;

    if (e)
        err_log(e, "Error reloading configuration");
    else
        take_over(r);
    if (!e)
        log_info("configuration reloaded");
    runtime_set_free(r->set);
    config_free(r->fresh);
    free(r);
    notify_manager("READY=1");
    running = false;
    if (again && !the_daemon.interrupts) {
        again = false;
        reload_begin();
    }
}

void reload_begin(void)
{
    auto_free char *reloading_line =
        xasprintf("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(time_mono_ns() / 1000));
    reloading *r;

    if (running) {
        again = true;
        return;
    }
    running = true;
    notify_manager(reloading_line);
    r = new0(reloading);
    r->fresh = new0(config);
    r->now = the_daemon.now;
    job_begin("reload", job_read, r, on_read);
}

void reload_done(void)
{
    config_free(take(taken));
}
