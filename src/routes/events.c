/* events.c - GET /events: what happened, then what happens.  Loop thread only.
 *
 * A client that reads slowly waits in a queue of its own, which holds events, not copies of them;
 * beyond a bound it is closed, so it never slows anyone.  What is asked of the past does not count
 * against that bound. */
#include "routes.h"
#include <berth/events.h>
#include <berth/filters.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_UNSENT_MAX = 1 << 20 }; /* bytes that a client may leave unread */

typedef struct listening {
    stream *s;
    event_sub *sub; /* NULL: nothing more will come */
    timer *until;
    arena *arena; /* of the filters */
    filters *f;
    int64_t until_ns; /* 0: none */
    event **queue;    /* referenced; what the socket has not taken yet */
    size_t first, n, cap;
    size_t queued, bound; /* bytes */
    bool full;            /* the socket takes nothing until it is drained */
    bool aborted;
} listening;

/* ---- what is wanted ---- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (str_starts(word, *list))
            return true;
    return false;
}

/* Actions with details behind them match without the details, too. */
static bool action_among(const filters *f, const char *action)
{
    static const char *const detailed[] = {"exec_create", "exec_start", "health_status", NULL};

    for (size_t i = 0; i < filters_count(f, "event"); i++) {
        const char *want = filters_nth(f, "event", i);

        if (str_eq(want, action) || (is_one_of(want, detailed) && str_starts(action, want)))
            return true;
    }
    return !filters_has(f, "event");
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

/* The same, or the same but for its tag. */
static bool is_image(const char *want, const char *image)
{
    const char *slash = strrchr(image, '/'), *colon = strchr(slash ? slash : image, ':');

    return str_eq(want, image) || (colon && strlen(want) == (size_t)(colon - image) &&
                                   memcmp(want, image, strlen(want)) == 0);
}

static bool image_among(const filters *f, const event *e)
{
    const char *key = str_eq(event_type(e), "image") ? "name" : "image";
    const char *image = str_or(json_map_get(event_attrs(e), key), "");

    for (size_t i = 0; i < filters_count(f, "image"); i++) {
        const char *want = filters_nth(f, "image", i);

        if (is_image(want, image) || is_image(want, event_id(e)))
            return true;
    }
    return !filters_has(f, "image");
}

static bool wanted(const listening *l, const event *e)
{
    static const char *const types[] = {"container", "volume", "network", "daemon", "plugin",
                                        "config",    "node",   "secret",  "service"};

    if (l->until_ns && event_time_ns(e) > l->until_ns)
        return false;
    if (!filters_match_exact(l->f, "type", event_type(e)) || !action_among(l->f, event_action(e)) ||
        !filters_match_labels(l->f, "label", event_attrs(e)) || !image_among(l->f, e) ||
        !filters_match_exact(l->f, "scope", "local"))
        return false;
    for (size_t i = 0; i < COUNT(types); i++)
        if (!object_among(l->f, types[i], e))
            return false;
    return true;
}

/* ---- sending ---- */

static size_t line_length(event *e)
{
    size_t n;

    event_line(e, &n);
    return n;
}

static void enqueue(listening *l, event *e)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->queue = xrealloc(l->queue, l->cap * sizeof(*l->queue));
    }
    l->queue[l->n++] = event_ref(e);
    l->queued += line_length(e);
}

static void send_one(listening *l, event *e)
{
    size_t n;
    const char *line = event_line(e, &n);

    l->full = !stream_write(l->s, line, n);
}

static void drain(listening *l)
{
    while (l->first < l->n && !l->full && !l->aborted) {
        event *e = l->queue[l->first++];

        l->queued -= line_length(e);
        send_one(l, e);
        event_unref(e);
    }
    if (l->first == l->n)
        l->first = l->n = 0;
    if (!l->n && !l->sub && !l->aborted)
        stream_end(l->s);
}

static void on_old_event(void *arg, event *e)
{
    listening *l = arg;

    if (!wanted(l, e))
        return;
    enqueue(l, e);
    l->bound += line_length(e);
}

static void on_event(void *arg, event *e)
{
    listening *l = arg;

    if (!wanted(l, e))
        return;
    if (!l->n && !l->full) {
        send_one(l, e);
        return;
    }
    enqueue(l, e);
    if (l->queued <= l->bound)
        return;
    log_warn("an event subscriber does not read and is closed", "unsent",
             l->queued + stream_unsent(l->s));
    event_unsubscribe(take(l->sub));
    l->aborted = true;
    stream_abort(l->s);
}

static void on_until(void *arg)
{
    listening *l = arg;

    event_unsubscribe(take(l->sub));
    drain(l);
}

static void on_pull(void *arg, stream *s)
{
    listening *l = arg;

    (void)s;
    l->full = false;
    drain(l);
}

static void on_stop(void *arg)
{
    listening *l = arg;

    event_unsubscribe(l->sub);
    timer_stop(l->until);
    while (l->first < l->n)
        event_unref(l->queue[l->first++]);
    free(l->queue);
    arena_free(l->arena);
    free(l);
}

static const stream_ops events_ops = {on_pull, on_stop};

/* ---- what is asked ---- */

static err *times_asked(request *r, int64_t *since_ns, int64_t *until_ns)
{
    const char *since = request_query(r, "since"), *until = request_query(r, "until");
    int64_t now = time_now_ns();

    if (!str_empty(since))
        TRY(time_parse_filter(since, now, since_ns));
    if (!str_empty(until) && !str_eq(until, "0"))
        TRY(time_parse_filter(until, now, until_ns));
    if (*since_ns && *until_ns && *since_ns > *until_ns)
        return err_new(ERR_INVALID, "`since` time (%s) cannot be after `until` time (%s)", since,
                       until);
    return NULL;
}

static err *prepare(request *r, listening *l, int64_t *since_ns)
{
    static const char *const keys[] = {"config", "container", "daemon", "event",  "image",
                                       "label",  "network",   "node",   "plugin", "scope",
                                       "secret", "service",   "type",   "volume", NULL};

    l->arena = arena_new();
    TRY(filters_parse(request_query(r, "filters"), keys, l->arena, &l->f));
    return times_asked(r, since_ns, &l->until_ns);
}

/* Now, until then, or not at all when then has passed. */
static void listen_on(listening *l)
{
    int64_t left_ns = l->until_ns - time_now_ns();

    if (l->until_ns && left_ns <= 0)
        return;
    l->sub = event_subscribe(on_event, l);
    if (l->until_ns)
        l->until = timer_start("events.until", (uint64_t)(left_ns / 1000000) + 1, on_until, l);
}

void stream_events(request *r)
{
    listening *l = new0(listening);
    int64_t since_ns = 0;
    err *e = prepare(r, l, &since_ns);

    if (e) {
        on_stop(l);
        reply_error(r, e);
        return;
    }
    l->bound = EVENTS_UNSENT_MAX;
    l->full = true; /* until the headers have left */
    if (since_ns)
        event_replay(since_ns, on_old_event, l);
    listen_on(l);
    l->s = reply_stream(r, 200, "application/json", &events_ops, l);
}
