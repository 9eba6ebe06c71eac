/* prune.c - images that nothing needs are removed, one after the other: those without a name, or
 * all that no container holds.  Loop thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

typedef struct pruning {
    arena *arena;
    strv ids; /* from the end */
    int64_t bytes;
    images_pruned pruned;
    images_pruned_done *done;
    void *arg;
} pruning;

static bool is_running;

static void prune_next(pruning *p);

static void prune_end(pruning *p)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};

    is_running = false;
    json_map_set(&attrs, a, "reclaimed", arena_printf(a, "%lld", (long long)p->pruned.reclaimed));
    event_emit("image", "prune", "", &attrs);
    p->done(p->arg, NULL, &p->pruned);
    strv_done(&p->ids);
    arena_free(p->arena);
    free(p);
}

/* One that somebody has come to need meanwhile stays. */
static void on_removed(void *arg, err *e, const json_list *list)
{
    pruning *p = arg;

    if (!e) {
        p->pruned.reclaimed += p->bytes;
        for (size_t i = 0; i < list->n; i++)
            *(image_deleted *)json_list_add(&p->pruned.deleted, p->arena, &image_deleted_json) =
                *JSON_AT(*list, image_deleted, i);
    }
    err_log(e && err_kind(e) == ERR_SYSTEM ? take(e) : NULL, "an image could not be pruned");
    err_free(e);
    strv_pop(&p->ids);
    prune_next(p);
}

/* What goes with it: the layers that no other image has. */
static int64_t bytes_of(const image *img)
{
    int64_t n = 0;

    for (size_t i = 0; i < img->n_layers; i++)
        n += img->layers[i]->users == 1 ? img->layers[i]->size : 0;
    return n;
}

static void prune_next(pruning *p)
{
    const char *id = p->ids.n ? p->ids.v[p->ids.n - 1] : NULL;
    const image *img = id ? image_by_id(id) : NULL;

    if (!id) {
        prune_end(p);
        return;
    }
    if (!img || img->holders.n) {
        strv_pop(&p->ids);
        prune_next(p);
        return;
    }
    p->bytes = bytes_of(img);
    image_remove(id, true, false, p->arena, on_removed, p);
}

static bool goes(const image *img, const filters *f, bool dangling, int64_t until_ns)
{
    const json_map *labels = &img->config.config.labels;

    return !img->holders.n && (!dangling || (!img->tags.n && !img->digests.n)) &&
           (until_ns == TIME_ZERO || img->created_ns < until_ns) &&
           filters_match_labels(f, "label", labels) &&
           (!filters_has(f, "label!") || !filters_match_labels(f, "label!", labels));
}

static void on_begin(void *arg)
{
    prune_next(arg);
}

err *images_prune(const filters *f, images_pruned_done *done, void *arg)
{
    pruning *p;
    bool dangling = true;
    int64_t until_ns = TIME_ZERO;

    TRY(filters_bool(f, "dangling", true, &dangling));
    if (filters_has(f, "until"))
        TRY(time_parse_filter(filters_nth(f, "until", 0), time_now_ns(), &until_ns));
    if (is_running)
        return err_new(ERR_CONFLICT, "a prune operation is already running");
    is_running = true;
    p = new0(pruning);
    p->arena = arena_new();
    p->done = done;
    p->arg = arg;
    for (const image *img = images_all; img; img = img->hh.next)
        if (goes(img, f, dangling, until_ns))
            strv_push(&p->ids, img->id);
    loop_defer(on_begin, p);
    return NULL;
}
