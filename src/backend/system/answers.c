/* answers.c - /version and /info as text, so that asking costs a copy.
 *
 * A text is good while the key is the same: everything in the answers that can change is in the
 * key, but the time of day, which is put into its place in each copy.  Loop thread only. */
#include <berth/container.h>
#include <berth/events.h>
#include <berth/image.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS = API_MAX + 1 };

#define TIME_MARK "\"SystemTime\":\""

typedef struct key {
    containers_count containers;
    unsigned images, listeners, runtimes;
} key;

typedef struct text {
    char *data; /* NULL: not made, or no longer good */
    size_t n;
    size_t time_at, time_end; /* where the time of day stands */
} text;

static text versions[VERSIONS], infos[VERSIONS];
static key made_for;

static unsigned runtimes_working(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < runtime_count(); i++)
        n += runtime_nth(i)->works;
    return n;
}

static void drop(text *t)
{
    free(t->data);
    *t = (text){0};
}

void system_texts_drop(void)
{
    for (int i = 0; i < VERSIONS; i++) {
        drop(&versions[i]);
        drop(&infos[i]);
    }
}

static void drop_old(void)
{
    key now;

    memset(&now, 0, sizeof(now)); /* its padding is compared, too */
    now.containers = containers_counted();
    now.images = images_count();
    now.listeners = event_subscribers();
    now.runtimes = runtimes_working();
    if (memcmp(&now, &made_for, sizeof(now)) == 0 && !system_is_debug())
        return;
    system_texts_drop();
    made_for = now;
}

static void make(text *t, const json_type *type, const void *object, int api_version)
{
    auto_buf out = {0};
    const char *mark;

    json_encode(type, object, api_version, &out);
    buf_char(&out, '\n');
    mark = strstr(out.data, TIME_MARK);
    if (mark) {
        t->time_at = (size_t)(mark - out.data) + strlen(TIME_MARK);
        t->time_end = t->time_at + strcspn(out.data + t->time_at, "\"");
    }
    t->n = out.len;
    t->data = buf_take(&out);
}

void system_version_text(int api_version, buf *out)
{
    text *t = &versions[api_version];

    drop_old();
    if (!t->data) {
        auto_arena *a = arena_new();
        version_answer answer = {0};

        system_version(a, &answer);
        make(t, &version_answer_json, &answer, api_version);
    }
    buf_add(out, t->data, t->n);
}

void system_info_text(int api_version, buf *out)
{
    text *t = &infos[api_version];
    char now[TIME_TEXT];

    drop_old();
    if (!t->data) {
        auto_arena *a = arena_new();
        info_answer *answer = arena_alloc(a, sizeof(*answer));

        system_info(a, answer);
        make(t, &info_answer_json, answer, api_version);
    }
    time_rfc3339(time_now_ns(), now);
    buf_reserve(out, t->n + TIME_TEXT);
    buf_add(out, t->data, t->time_at);
    buf_str(out, now);
    buf_add(out, t->data + t->time_end, t->n - t->time_end);
}
