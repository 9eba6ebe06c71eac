/* events_test.c - the ring, the order of times, subscribers that come and go in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/events.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct seen {
    unsigned n;
    int64_t last_ns;
    char first[16], last[16];
    bool in_order;
} seen;

static void see(void *arg, event *e)
{
    seen *s = arg;

    if (!s->n++)
        snprintf(s->first, sizeof(s->first), "%s", event_action(e));
    snprintf(s->last, sizeof(s->last), "%s", event_action(e));
    s->in_order = (s->n == 1 || s->in_order) && event_time_ns(e) > s->last_ns;
    s->last_ns = event_time_ns(e);
}

static void emit_number(unsigned i)
{
    char action[16];

    snprintf(action, sizeof(action), "%u", i);
    event_emit("volume", action, "v", NULL);
}

static void test_ring_keeps_the_newest(void **state)
{
    seen all = {0}, late = {0};
    int64_t between_ns = 0;

    (void)state;
    for (unsigned i = 0; i < EVENTS_RING + 100; i++) {
        emit_number(i);
        if (i == EVENTS_RING)
            between_ns = time_now_ns();
    }
    event_replay(0, see, &all);
    assert_int_equal(all.n, EVENTS_RING);
    assert_string_equal(all.first, "100");
    assert_string_equal(all.last, "1123");
    assert_true(all.in_order); /* strictly, however quickly they came */
    event_replay(between_ns, see, &late);
    assert_true(late.n >= 98 && late.n <= 100);
    events_done();
    memset(&all, 0, sizeof(all));
    event_replay(0, see, &all);
    assert_int_equal(all.n, 0);
}

static void keep(void *arg, event *e)
{
    event **kept = arg;

    event_unref(*kept);
    *kept = event_ref(e);
}

/* Clients before API 1.24's types break without status, id and from. */
static void test_lines(void **state)
{
    static const struct {
        const char *type, *legacy;
    } types[] = {
        {"container", "\"status\":\"start\",\"id\":\"abc\",\"from\":\"img:1\","},
        {"image", "\"status\":\"start\",\"id\":\"abc\","},
        {"network", ""},
    };
    auto_arena *a = arena_new();
    json_map attrs = {0};

    (void)state;
    json_map_set(&attrs, a, "image", "img:1");
    json_map_set(&attrs, a, "odd", "a\"\n<b>");
    for (size_t i = 0; i < COUNT(types); i++) {
        event *e = NULL;
        auto_free char *want = NULL;
        const char *line;
        size_t n, again;

        event_emit(types[i].type, "start", "abc", &attrs);
        event_replay(0, keep, &e);
        events_done(); /* whoever holds a reference has it still */
        line = event_line(e, &n);
        want = xasprintf("{%s\"Type\":\"%s\",\"Action\":\"start\",\"Actor\":{\"ID\":\"abc\","
                         "\"Attributes\":{\"image\":\"img:1\",\"odd\":\"a\\\"\\n<b>\"}},"
                         "\"scope\":\"local\",\"time\":%lld,\"timeNano\":%lld}\n",
                         types[i].legacy, types[i].type, (long long)(event_time_ns(e) / 1000000000),
                         (long long)event_time_ns(e));
        assert_string_equal(line, want);
        assert_int_equal(n, strlen(want));
        assert_ptr_equal(event_line(e, &again), line); /* encoded once */
        event_unref(e);
    }
}

static void test_attributes_are_copied(void **state)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};
    char value[] = "before";
    event *e = NULL;

    (void)state;
    attrs.keys = arena_alloc(a, sizeof(char *));
    attrs.values = arena_alloc(a, sizeof(char *));
    attrs.keys[0] = (char *)"k";
    attrs.values[0] = value;
    attrs.n = 1;
    event_emit("volume", "create", "v", &attrs);
    memcpy(value, "after!", 6);
    event_replay(0, keep, &e);
    assert_string_equal(json_map_get(event_attrs(e), "k"), "before");
    event_unref(e);
    events_done();
}

/* ---- subscribers ---- */

typedef struct guest {
    event_sub *sub, *other;
    unsigned n;
    int64_t last_ns;
    bool leave, emit_one, invite;
    struct guest *invited;
} guest;

static void on_event(void *arg, event *e)
{
    guest *g = arg;

    g->n++;
    assert_true(event_time_ns(e) > g->last_ns); /* in order, also when one comes out of another */
    g->last_ns = event_time_ns(e);
    if (g->emit_one) {
        g->emit_one = false;
        event_emit("volume", "nested", "v", NULL);
    }
    if (g->leave) {
        event_unsubscribe(take(g->sub));
        event_unsubscribe(take(g->other));
    }
    if (g->invite) {
        g->invite = false;
        g->invited->sub = event_subscribe(on_event, g->invited);
    }
}

static void test_subscribers(void **state)
{
    guest a = {0}, b = {0}, c = {0};

    (void)state;
    a.sub = event_subscribe(on_event, &a);
    b.sub = event_subscribe(on_event, &b);
    c.sub = event_subscribe(on_event, &c);
    assert_int_equal(event_subscribers(), 3);
    emit_number(1);
    b.leave = true; /* from within its own call, and takes c along */
    b.other = take(c.sub);
    emit_number(2);
    emit_number(3);
    assert_int_equal(a.n, 3);
    assert_int_equal(b.n, 2);
    assert_int_equal(c.n, 1);
    assert_int_equal(event_subscribers(), 1);
    event_unsubscribe(a.sub);
    event_unsubscribe(NULL);
    assert_int_equal(event_subscribers(), 0);
    emit_number(4);
    assert_int_equal(a.n, 3);
    events_done();
}

/* An event out of an event's handler, one who leaves during it, one who comes. */
static void test_nested(void **state)
{
    guest a = {.emit_one = true}, b = {.leave = true}, c = {0}, d = {.invite = true, .invited = &c};

    (void)state;
    a.sub = event_subscribe(on_event, &a);
    b.sub = event_subscribe(on_event, &b);
    d.sub = event_subscribe(on_event, &d);
    emit_number(1);
    assert_int_equal(a.n, 2);
    assert_int_equal(b.n, 1);
    assert_int_equal(d.n, 2);
    assert_true(c.n >= 1);
    assert_int_equal(event_subscribers(), 3);
    event_unsubscribe(a.sub);
    event_unsubscribe(c.sub);
    event_unsubscribe(d.sub);
    assert_int_equal(event_subscribers(), 0);
    events_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_keeps_the_newest),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_attributes_are_copied),
        cmocka_unit_test(test_subscribers),
        cmocka_unit_test(test_nested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
