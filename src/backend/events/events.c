/* events.c - what happened, to whoever listens.
 *
 * An event is immutable and shared; its line is encoded once, whoever reads it.  Subscribers are
 * called from event_emit, all of them for one event before the next: an event that comes out of
 * such a call waits for its turn.  One may leave, or come, from within its own call.  Loop thread
 * only. */
#include <berth/events.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <utlist.h>

#define EVENT_ACTOR(F, T)  \
    F(T, STR, id, "ID", 0) \
    F(T, MAP, attributes, "Attributes", EMPTY_LIST)
JSON_DECLARE(event_actor, EVENT_ACTOR)
JSON_DEFINE(event_actor, EVENT_ACTOR)
/* status, id and from are what clients before 1.24 knew; old ones break without them. */
#define EVENT_LINE(F, T)                      \
    F(T, STR, status, "status", OMIT_EMPTY)   \
    F(T, STR, id, "id", OMIT_EMPTY)           \
    F(T, STR, from, "from", OMIT_EMPTY)       \
    F(T, STR, type, "Type", 0)                \
    F(T, STR, action, "Action", 0)            \
    F(T, OBJ(event_actor), actor, "Actor", 0) \
    F(T, STR, scope, "scope", 0)              \
    F(T, INT, time, "time", 0)                \
    F(T, INT, time_nano, "timeNano", 0)
JSON_DECLARE(event_json, EVENT_LINE)
JSON_DEFINE(event_json, EVENT_LINE)

struct event {
    unsigned refs;
    arena *arena;
    event_json data;
    char *line;
    size_t line_len;
};

struct event_sub {
    void (*fn)(void *arg, event *e);
    void *arg;
    bool gone;
    event_sub *prev, *next;
};

static event *ring[EVENTS_RING];
static uint64_t emitted, told; /* since the start; the place in the ring is modulo its size */
static event_sub *subs;
static unsigned n_subs;
static bool telling;
static int64_t last_ns;

event *event_ref(event *e)
{
    e->refs++;
    return e;
}

void event_unref(event *e)
{
    if (!e || --e->refs)
        return;
    arena_free(e->arena);
    free(e->line);
    free(e);
}

static event *event_new(const char *type, const char *action, const char *id, const json_map *attrs)
{
    event *e = new0(event);
    event_json *d = &e->data;
    int64_t now = time_now_ns();

    last_ns = now > last_ns ? now : last_ns + 1;
    e->refs = 1;
    e->arena = arena_new();
    d->type = arena_strdup(e->arena, type);
    d->action = arena_strdup(e->arena, action);
    d->actor.id = arena_strdup(e->arena, id);
    for (size_t i = 0; attrs && i < attrs->n; i++)
        json_map_set(&d->actor.attributes, e->arena, attrs->keys[i], attrs->values[i]);
    d->scope = "local";
    d->time = last_ns / 1000000000;
    d->time_nano = last_ns;
    if (str_eq(type, "container") || str_eq(type, "image")) {
        d->status = d->action;
        d->id = d->actor.id;
    }
    if (str_eq(type, "container"))
        d->from = (char *)json_map_get(&d->actor.attributes, "image");
    return e;
}

static void drop_gone(void)
{
    event_sub *s, *next;

    DL_FOREACH_SAFE (subs, s, next) {
        if (s->gone) {
            DL_DELETE(subs, s);
            free(s);
        }
    }
}

static void tell(event *e)
{
    event_ref(e); /* the ring may lose it meanwhile */
    for (event_sub *s = subs; s; s = s->next)
        if (!s->gone)
            s->fn(s->arg, e);
    event_unref(e);
}

void event_emit(const char *type, const char *action, const char *id, const json_map *attrs)
{
    event **place = &ring[emitted++ % EVENTS_RING];

    event_unref(*place);
    *place = event_new(type, action, id, attrs);
    if (telling)
        return;
    telling = true;
    while (told < emitted) {
        if (emitted - told > EVENTS_RING) /* the ring has forgotten the oldest of them */
            told = emitted - EVENTS_RING;
        tell(ring[told++ % EVENTS_RING]);
    }
    telling = false;
    drop_gone();
}

const char *event_type(const event *e)
{
    return e->data.type;
}
const char *event_action(const event *e)
{
    return e->data.action;
}
const char *event_id(const event *e)
{
    return e->data.actor.id;
}
int64_t event_time_ns(const event *e)
{
    return e->data.time_nano;
}
const json_map *event_attrs(const event *e)
{
    return &e->data.actor.attributes;
}

const char *event_line(event *e, size_t *ret_n)
{
    if (!e->line) {
        auto_buf text = {0};

        json_encode(&event_json_json, &e->data, JSON_ANY_VERSION, &text);
        buf_char(&text, '\n');
        e->line_len = text.len;
        e->line = buf_take(&text);
    }
    *ret_n = e->line_len;
    return e->line;
}

event_sub *event_subscribe(void (*fn)(void *arg, event *e), void *arg)
{
    event_sub *s = new0(event_sub);

    s->fn = fn;
    s->arg = arg;
    DL_APPEND(subs, s);
    n_subs++;
    return s;
}

void event_unsubscribe(event_sub *s)
{
    if (!s || s->gone)
        return;
    n_subs--;
    s->gone = true;
    if (!telling)
        drop_gone();
}

void event_replay(int64_t since_ns, void (*fn)(void *arg, event *e), void *arg)
{
    for (size_t i = 0; i < EVENTS_RING; i++) {
        event *e = ring[(emitted + i) % EVENTS_RING];

        if (e && e->data.time_nano >= since_ns)
            fn(arg, e);
    }
}

unsigned event_subscribers(void)
{
    return n_subs;
}

void events_done(void)
{
    for (size_t i = 0; i < EVENTS_RING; i++) {
        event_unref(ring[i]);
        ring[i] = NULL;
    }
}
