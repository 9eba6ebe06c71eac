/* mounts_plan.c - from what create asks to a list of mount points, one per destination.
 *
 * The order is dockerd's: other containers' points, then Binds, then Mounts, then the Volumes of
 * the configuration where nothing else is; a later one takes the place of an earlier, but two of
 * Binds and Mounts never share a destination.  Loop thread only. */
#include "mounts.h"
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>
#include <string.h>

JSON_DEFINE(mount_record, MOUNT_RECORD)

typedef struct planned {
    mount_record rec;
    const json_map *labels, *options;
    const char *driver;
    bool asked;    /* by Binds or Mounts */
    bool borrowed; /* another container's: its volume is there */
} planned;

typedef struct planning {
    const container_create_opts *o;
    arena *a;
    planned *list;
    size_t n, room;
} planning;

static planned *find(planning *p, const char *destination)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->list[i].rec.destination, destination))
            return &p->list[i];
    return NULL;
}

static void grow(planning *p)
{
    planned *larger;

    p->room = p->room ? 2 * p->room : 8;
    larger = arena_alloc(p->a, p->room * sizeof(*larger));
    if (p->n)
        memcpy(larger, p->list, p->n * sizeof(*larger));
    p->list = larger;
}

static err *place(planning *p, const planned *item)
{
    planned *there = find(p, item->rec.destination);

    TRY(mount_point_check(&item->rec));
    if (there && there->asked && item->asked)
        return err_new(ERR_INVALID, "Duplicate mount point: %s", item->rec.destination);
    if (there) {
        *there = *item;
        return NULL;
    }
    if (p->n == MOUNTS_MAX)
        return err_new(ERR_INVALID, "too many mounts: at most %d", MOUNTS_MAX);
    if (p->n == p->room)
        grow(p);
    p->list[p->n++] = *item;
    return NULL;
}

/* ---- other containers' ---- */

static err *take_from(planning *p, const char *text)
{
    container *other;
    char *ref;
    bool rw;
    err *e;

    TRY(volumes_from_parse(text, p->a, &ref, &rw));
    if ((e = container_find(ref, &other))) {
        err_free(e);
        return err_new(ERR_INVALID, "No such container: %s", ref);
    }
    for (size_t i = 0; i < other->rec.mount_points.n; i++) {
        planned item = {.borrowed = true};

        json_copy(&mount_record_json, JSON_AT(other->rec.mount_points, mount_record, i), p->a,
                  &item.rec);
        item.rec.rw &= rw;
        item.rec.copies = false;
        item.rec.mode = NULL;
        TRY(place(p, &item));
    }
    return NULL;
}

/* ---- Binds and Mounts ---- */

/* A bind of the daemon's own root, or of what holds it, must let go of what the daemon unmounts. */
static err *daemon_root_check(const mount_wish *w, mount_record *rec)
{
    const char *root = containers_conf.data_root, *asked = w->bind ? w->bind->propagation : NULL;

    if (!str_starts(rec->source, root) && !str_starts(root, rec->source))
        return NULL;
    if (str_empty(asked)) {
        rec->propagation = (char *)"rslave";
        rec->own_slave = true;
        return NULL;
    }
    if (str_eq(asked, "rslave") || str_eq(asked, "rshared"))
        return NULL;
    return err_new(ERR_INVALID,
                   "invalid mount config: must use either propagation mode \"rslave\" or "
                   "\"rshared\" when mount source is within the daemon root, daemon root: \"%s\", "
                   "bind mount source: \"%s\", propagation: \"%s\"",
                   root, rec->source, asked);
}

static err *bind_point(const planning *p, const mount_wish *w, planned *item)
{
    mount_record *rec = &item->rec;
    const mount_bind_options *b = w->bind;

    rec->source = path_clean(w->source, p->a);
    rec->propagation = (char *)(b ? str_or(b->propagation, "rprivate") : "rprivate");
    rec->flat = b && b->non_recursive;
    rec->flat_ro = p->o->api_version < 44 || (b && b->read_only_non_recursive);
    rec->deep_ro = b && b->read_only_force_recursive;
    return daemon_root_check(w, rec);
}

static void volume_point(const planning *p, const mount_wish *w, planned *item)
{
    mount_record *rec = &item->rec;
    const mount_volume_options *v = w->volume;

    rec->name = arena_strdup(p->a, str_or(w->source, NULL));
    rec->anonymous = str_empty(w->source);
    rec->subpath = v && !str_empty(v->subpath) ? path_clean(v->subpath, p->a) : NULL;
    rec->copies = !(v && v->no_copy) && !rec->subpath;
    item->labels = v ? &v->labels : NULL;
    item->options = v && v->driver ? &v->driver->options : NULL;
    item->driver = v && v->driver ? v->driver->name : NULL;
}

static err *image_point(const planning *p, const mount_wish *w, mount_record *rec)
{
    image *img = NULL;

    TRY(image_find(w->source, &img));
    rec->name = arena_strdup(p->a, w->source);
    rec->source = arena_strdup(p->a, image_id(img));
    rec->subpath =
        w->image && !str_empty(w->image->subpath) ? path_clean(w->image->subpath, p->a) : NULL;
    rec->rw = false;
    return NULL;
}

static err *point_of(const planning *p, const mount_wish *w, planned *item)
{
    mount_record *rec = &item->rec;

    rec->type = arena_strdup(p->a, w->type);
    rec->destination = path_clean(w->target, p->a);
    rec->rw = !w->read_only;
    if (str_eq(w->type, "bind"))
        return bind_point(p, w, item);
    if (str_eq(w->type, "image"))
        return image_point(p, w, rec);
    if (str_eq(w->type, "tmpfs"))
        return tmpfs_words(w, p->a, &rec->tmpfs);
    volume_point(p, w, item);
    return NULL;
}

static err *take_bind(planning *p, const char *text)
{
    planned item = {.asked = true};
    const char *mode;
    mount_wish w;

    TRY(bind_parse(text, p->a, &w, &mode));
    TRY(point_of(p, &w, &item));
    item.rec.mode = (char *)mode;
    if (str_eq(w.type, "volume"))
        item.driver = p->o->host->volume_driver;
    if (str_eq(w.type, "volume") && !*mode)
        item.rec.mode = (char *)"z";
    if (json_map_get(&p->o->host->tmpfs, item.rec.destination))
        return err_new(ERR_INVALID, "Duplicate mount point: %s", item.rec.destination);
    return place(p, &item);
}

static err *take_mount(planning *p, const mount_wish *w)
{
    planned item = {.asked = true};

    TRY(mount_check(w, p->a));
    TRY(point_of(p, w, &item));
    if (str_eq(w->type, "volume"))
        item.rec.mode = (char *)"z";
    item.rec.must_exist = !(w->bind && w->bind->create_mountpoint);
    if (json_map_get(&p->o->host->tmpfs, item.rec.destination))
        return err_new(ERR_INVALID, "Duplicate mount point: %s", item.rec.destination);
    return place(p, &item);
}

/* ---- the Volumes of the configuration ---- */

static err *take_config_volume(planning *p, const char *path)
{
    planned item = {.driver = p->o->host->volume_driver};

    item.rec = (mount_record){.type = (char *)"volume",
                              .destination = path_clean(path, p->a),
                              .rw = true,
                              .anonymous = true,
                              .from_config = true,
                              .copies = true};
    if (item.rec.destination[0] != '/') /* an image may say anything: from the root, as a runtime
                                           would take it */
        item.rec.destination = path_clean(arena_printf(p->a, "/%s", item.rec.destination), p->a);
    if (str_eq(item.rec.destination, "/"))
        return err_new(ERR_INVALID, "invalid volume: destination can't be '/'");
    if (find(p, item.rec.destination) || json_map_get(&p->o->host->tmpfs, item.rec.destination))
        return NULL;
    return place(p, &item);
}

/* ---- what stands behind them ---- */

static err *borrowed_check(const planned *item)
{
    volume *v;

    return item->borrowed ? volume_find(item->rec.name, &v) : NULL;
}

static err *intend(planning *p, planned *item, const char *id)
{
    volume_wish w = {.name = item->rec.name,
                     .driver = item->driver,
                     .options = item->options,
                     .labels = item->labels};
    volume *v = NULL;
    bool is_new;

    TRY(borrowed_check(item));
    TRY(volume_intend(&w, id, &v, &is_new));
    item->rec.name = arena_strdup(p->a, volume_name(v));
    volume_unref(v);
    return NULL;
}

static void give_up(planning *p, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++) {
        const mount_record *rec = &p->list[i].rec;

        volume *v = str_eq(rec->type, "volume") ? volume_by_name(rec->name) : NULL;

        if (v)
            volume_give_up(v, id);
    }
}

static err *take_all(planning *p)
{
    const host_config *h = p->o->host;
    const container_config *k = p->o->config;

    for (size_t i = 0; i < h->volumes_from.n; i++)
        TRY(take_from(p, h->volumes_from.v[i]));
    for (size_t i = 0; i < h->binds.n; i++)
        TRY(take_bind(p, h->binds.v[i]));
    for (size_t i = 0; i < h->mounts.n; i++)
        TRY(take_mount(p, JSON_AT(h->mounts, mount_wish, i)));
    for (size_t i = 0; i < k->volumes.n; i++)
        TRY(take_config_volume(p, k->volumes.v[i]));
    return NULL;
}

err *mounts_plan(const container_create_opts *o, const char *id, arena *a, json_list *ret)
{
    planning p = {.o = o, .a = a};

    TRY(mounts_of_version(&o->host->mounts, o->api_version));
    TRY(take_all(&p));
    for (size_t i = 0; i < p.n; i++) {
        err *e = str_eq(p.list[i].rec.type, "volume") ? intend(&p, &p.list[i], id) : NULL;

        if (e) {
            give_up(&p, i, id);
            return e;
        }
    }
    for (size_t i = 0; i < p.n; i++)
        *(mount_record *)json_list_add(ret, a, &mount_record_json) = p.list[i].rec;
    ret->set = true;
    return NULL;
}
