/* system.c - the system router: ping, version, info, events.  Loop thread only. */
#include "routes.h"
#include <berth/events.h>
#include <berth/filters.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_UNSENT_MAX = 1 << 20 }; /* a subscriber that does not read is closed */

static void ping(request *r)
{
    reply_header(r, "Builder-Version", "1");
    reply_header(r, "Swarm", "inactive");
    reply_header(r, "Cache-Control", "no-cache, no-store, must-revalidate");
    reply_header(r, "Pragma", "no-cache");
    reply_bytes(r, 200, "text/plain; charset=utf-8", "OK", request_method(r) == HEAD ? 0 : 2);
}

static void version(request *r)
{
    version_answer answer = {0};

    system_version(request_arena(r), &answer);
    reply_json(r, 200, &version_answer_json, &answer);
}

static void info(request *r)
{
    info_answer *answer = arena_alloc(request_arena(r), sizeof(*answer));

    system_info(request_arena(r), answer);
    reply_json(r, 200, &info_answer_json, answer);
}

/* ---- events ---- */

typedef struct listening {
    stream *s;
    event_sub *sub;
    timer *until;
    arena *arena; /* of the filters */
    filters *f;
    int64_t until_ns; /* 0: none */
    bool ended;
} listening;

static bool prefix_among(const filters *f, const char *key, const char *action)
{
    for (size_t i = 0; i < filters_count(f, key); i++) {
        const char *want = filters_nth(f, key, i);

        if (str_eq(want, action) ||
            ((str_starts(want, "exec_create") || str_starts(want, "exec_start") ||
              str_starts(want, "health_status")) &&
             str_starts(action, want)))
            return true;
    }
    return !filters_has(f, key);
}

/* A filter named as a type looks for an id or a name, as a prefix. */
static bool object_among(const filters *f, const char *type, const event *e)
{
    const char *name = json_map_get(event_attrs(e), "name");

    if (!filters_has(f, type))
        return true;
    if (!str_eq(event_type(e), type))
        return false;
    for (size_t i = 0; i < filters_count(f, type); i++) {
        const char *want = filters_nth(f, type, i);

        if (str_starts(event_id(e), want) || (name && str_starts(name, want)))
            return true;
    }
    return false;
}

/* With or without the tag. */
static bool image_among(const filters *f, const event *e)
{
    const char *key = str_eq(event_type(e), "image") ? "name" : "image";
    const char *image = str_or(json_map_get(event_attrs(e), key), "");

    if (!filters_has(f, "image"))
        return true;
    for (size_t i = 0; i < filters_count(f, "image"); i++) {
        const char *want = filters_nth(f, "image", i);
        size_t n = strlen(want);

        if (str_eq(image, want) || (str_starts(image, want) && image[n] == ':') ||
            str_starts(event_id(e), want))
            return true;
    }
    return false;
}

static bool wanted(const listening *l, const event *e)
{
    static const char *const types[] = {"container", "volume", "network", "daemon", "plugin"};

    if (l->until_ns && event_time_ns(e) > l->until_ns)
        return false;
    if (!filters_match_exact(l->f, "type", event_type(e)) ||
        !prefix_among(l->f, "event", event_action(e)) ||
        !filters_match_labels(l->f, "label", event_attrs(e)) || !image_among(l->f, e) ||
        !filters_match_exact(l->f, "scope", "local"))
        return false;
    for (size_t i = 0; i < COUNT(types); i++)
        if (!object_among(l->f, types[i], e))
            return false;
    return true;
}

static void on_event(void *arg, event *e)
{
    listening *l = arg;
    const char *line;
    size_t n;

    if (l->ended || !wanted(l, e))
        return;
    line = event_line(e, &n);
    stream_write(l->s, line, n);
    if (stream_unsent(l->s) > EVENTS_UNSENT_MAX) {
        log_warn("an event subscriber does not read and is closed", "unsent", stream_unsent(l->s));
        l->ended = true;
        stream_abort(l->s);
    }
}

static void on_until(void *arg)
{
    listening *l = arg;

    l->ended = true;
    stream_end(l->s);
}

static void on_pull(void *arg, stream *s)
{
    (void)arg, (void)s; /* events come when they come */
}

static void on_stop(void *arg)
{
    listening *l = arg;

    event_unsubscribe(l->sub);
    timer_stop(l->until);
    arena_free(l->arena);
    free(l);
}

static const stream_ops events_ops = {on_pull, on_stop};

static err *times_asked(request *r, int64_t *since_ns, int64_t *until_ns)
{
    const char *since = request_query(r, "since"), *until = request_query(r, "until");
    int64_t now = time_now_ns();

    if (!str_empty(since))
        TRY(time_parse_filter(since, now, since_ns));
    if (!str_empty(until) && !str_eq(until, "0"))
        TRY(time_parse_filter(until, now, until_ns));
    if (*since_ns && *until_ns && *since_ns > *until_ns)
        return err_new(ERR_INVALID, "`since` time (%lld) cannot be after `until` time (%lld)",
                       (long long)(*since_ns / 1000000000), (long long)(*until_ns / 1000000000));
    return NULL;
}

static err *events_prepare(request *r, listening *l, int64_t *since_ns)
{
    static const char *const keys[] = {"config", "container", "daemon", "event",  "image",
                                       "label",  "network",   "node",   "plugin", "scope",
                                       "secret", "service",   "type",   "volume", NULL};

    l->arena = arena_new();
    TRY(filters_parse(request_query(r, "filters"), keys, l->arena, &l->f));
    return times_asked(r, since_ns, &l->until_ns);
}

static void events(request *r)
{
    listening *l = new0(listening);
    int64_t since_ns = 0, left_ns;
    err *e = events_prepare(r, l, &since_ns);

    if (e) {
        arena_free(l->arena);
        free(l);
        reply_error(r, e);
        return;
    }
    l->s = reply_stream(r, 200, "application/json", &events_ops, l);
    if (since_ns)
        event_replay(since_ns, on_event, l);
    left_ns = l->until_ns - time_now_ns();
    if (l->until_ns && left_ns <= 0) {
        l->ended = true;
        stream_end(l->s);
        return;
    }
    l->sub = event_subscribe(on_event, l);
    if (l->until_ns)
        l->until = timer_start("events.until", (uint64_t)(left_ns / 1000000) + 1, on_until, l);
}

const route system_routes[] = {
    {GET, "/_ping", ping, 0}, {HEAD, "/_ping", ping, 0},   {GET, "/version", version, 0},
    {GET, "/info", info, 0},  {GET, "/events", events, 0}, {0},
};
