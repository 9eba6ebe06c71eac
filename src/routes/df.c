/* df.c - GET /system/df: what images, containers and volumes take; measured by jobs.
 *
 * Loop thread only. */
#include "routes.h"
#include <berth/api/system.h>
#include <berth/image.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>

/* Clients before 1.42 cannot choose. */
enum { TYPES_SINCE = 42, API_WITH_ALL_OF_IMAGES = 51 };

typedef struct wanted {
    bool images, containers, volumes, build_cache;
} wanted;

typedef struct usage {
    request *r;
    wanted what;
    disk_usage answer;
    container **list;
    int64_t *written;
    size_t n;
    unsigned left; /* measurements under way */
    err *e;
} usage;

static err *types_of(const request *r, wanted *ret)
{
    const char *type;
    size_t i = 0;

    if (request_version(r) >= TYPES_SINCE)
        for (; (type = request_query_nth(r, "type", i)); i++) {
            if (str_eq(type, "image"))
                ret->images = true;
            else if (str_eq(type, "container"))
                ret->containers = true;
            else if (str_eq(type, "volume"))
                ret->volumes = true;
            else if (str_eq(type, "build-cache"))
                ret->build_cache = true;
            else
                return err_new(ERR_INVALID, "unknown object type: %s", type);
        }
    if (!i)
        *ret = (wanted){true, true, true, true};
    return NULL;
}

static void list_containers(usage *u)
{
    arena *a = request_arena(u->r);

    for (size_t i = 0; i < u->n; i++) {
        container_summary *s = json_list_add(&u->answer.containers, a, &container_summary_json);

        container_summarize(u->list[i], a, s);
        s->size_rw = u->written[i];
        s->size_root_fs = u->written[i] + container_image_bytes(u->list[i]);
    }
    u->answer.containers.set = true;
}

static void one_less(usage *u)
{
    if (--u->left)
        return;
    if (u->e)
        reply_error(u->r, u->e);
    else
        reply_json(u->r, 200, &disk_usage_json, &u->answer);
}

static void failed(usage *u, err *e)
{
    if (u->e)
        err_free(e);
    else
        u->e = e;
}

static void on_containers(void *arg, err *e)
{
    usage *u = arg;

    if (e)
        failed(u, e);
    else
        list_containers(u);
    one_less(u);
}

static void on_volumes(void *arg, err *e, const json_list *list)
{
    usage *u = arg;
    arena *a = request_arena(u->r);

    if (e)
        failed(u, e);
    for (size_t i = 0; !e && i < list->n; i++)
        json_copy(&volume_info_json, JSON_AT(*list, volume_info, i), a,
                  json_list_add(&u->answer.volumes, a, &volume_info_json));
    u->answer.volumes.set = true;
    one_less(u);
}

static err *list_images(usage *u, const filters *none)
{
    arena *a = request_arena(u->r);
    image_summary *list;
    size_t n;

    TRY(images_list(none, true, true, API_WITH_ALL_OF_IMAGES, a, &list, &n));
    u->answer.images = (json_list){list, n, true};
    u->answer.layers_size = images_layers_bytes();
    return NULL;
}

static err *prepare(usage *u)
{
    arena *a = request_arena(u->r);
    filters *none = NULL;

    TRY(types_of(u->r, &u->what));
    TRY(filters_parse(NULL, (const char *const[]){NULL}, a, &none));
    if (u->what.images)
        TRY(list_images(u, none));
    if (u->what.containers)
        TRY(containers_list(none, true, 0, a, &u->list, &u->n));
    u->answer.build_cache.set = u->what.build_cache;
    return NULL;
}

void tell_disk_usage(request *r)
{
    usage *u = arena_alloc(request_arena(r), sizeof(*u));
    err *e;

    u->r = r;
    if ((e = prepare(u))) {
        reply_error(r, e);
        return;
    }
    u->left = 1;
    if (u->what.containers) {
        u->left++;
        u->written = arena_alloc(request_arena(r), (u->n + 1) * sizeof(*u->written));
        containers_sizes(u->list, u->n, u->written, on_containers, u);
    }
    if (u->what.volumes) {
        u->left++;
        volumes_measure(on_volumes, u);
    }
    one_less(u);
}
