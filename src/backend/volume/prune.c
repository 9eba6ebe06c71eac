/* prune.c - volumes that nobody holds are measured and removed, one after the other.
 *
 * Loop thread only, except job_*. */
#include "private.h"
#include <berth/events.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

typedef struct pruning {
    arena *arena;
    strv names; /* from the end */
    char *data;
    int64_t bytes;
    volumes_pruned pruned;
    volumes_pruned_done *done;
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
    event_emit("volume", "prune", "", &attrs);
    p->done(p->arg, NULL, &p->pruned);
    strv_done(&p->names);
    arena_free(p->arena);
    free(p);
}

/* Somebody may have taken it, or taken it away: then it is not one of these. */
static void on_removed(void *arg, err *e)
{
    pruning *p = arg;

    if (!e) {
        json_strs_add(&p->pruned.deleted, p->arena, p->names.v[p->names.n - 1]);
        p->pruned.reclaimed += p->bytes;
    } else if (err_kind(e) == ERR_CONFLICT || err_kind(e) == ERR_NOT_FOUND) {
        err_free(take(e));
    } else {
        err_log(take(e), "a volume could not be pruned");
    }
    strv_pop(&p->names);
    prune_next(p);
}

static err *job_measure(void *arg)
{
    pruning *p = arg;

    return volume_tree_size(p->data, &p->bytes);
}

static void on_measured(void *arg, err *e)
{
    pruning *p = arg;

    err_free(e);
    free(take(p->data));
    volume_remove(p->names.v[p->names.n - 1], false, on_removed, p);
}

static void prune_next(pruning *p)
{
    const volume *v;

    if (!p->names.n) {
        prune_end(p);
        return;
    }
    p->bytes = 0;
    v = volume_by_name(p->names.v[p->names.n - 1]);
    p->data = xstrdup(v ? v->data : "");
    job_begin_slow("volume.prune", job_measure, p, on_measured);
}

/* Not one of label!'s values is among the labels. */
static bool is_spared(const filters *f, const json_map *labels)
{
    for (size_t i = 0; i < filters_count(f, "label!"); i++) {
        const char *want = filters_nth(f, "label!", i), *eq = strchr(want, '=');
        auto_free char *name = xstrndup(want, eq ? (size_t)(eq - want) : strlen(want));
        const char *has = json_map_get(labels, name);

        if (has && (!eq || str_eq(has, eq + 1)))
            return true;
    }
    return false;
}

static void on_begin(void *arg)
{
    prune_next(arg);
}

static void on_refused(void *arg)
{
    pruning *p = arg;

    p->done(p->arg, err_new(ERR_CONFLICT, "a prune operation is already running"), NULL);
    free(p);
}

void volumes_prune(const filters *f, bool all, volumes_pruned_done *done, void *arg)
{
    pruning *p = new0(pruning);

    p->done = done;
    p->arg = arg;
    if (is_running) {
        loop_defer(on_refused, p);
        return;
    }
    is_running = true;
    p->arena = arena_new();
    for (volume *v = volumes_by_name; v; v = v->hh.next)
        if (v->stage == VOLUME_HERE && !v->holders.n && (all || volume_is_anonymous(v)) &&
            filters_match_labels(f, "label", &v->rec.labels) && !is_spared(f, &v->rec.labels))
            strv_push(&p->names, v->rec.name);
    loop_defer(on_begin, p);
}
