/* mounts_life.c - the volumes and images behind a container's mount points, from create to remove.
 *
 * c->volumes has one entry per mount point: the volume, referenced and held, or NULL.  Loop thread
 * only, except where mounts.h says "on a worker". */
#include "mounts.h"
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>
#include <stdlib.h>

static mount_record *point(const container *c, size_t i)
{
    return JSON_AT(c->rec.mount_points, mount_record, i);
}

static void hold_image(container *c, const mount_record *rec)
{
    image *img = NULL;
    err *e = image_find(rec->source, &img);

    if (!e)
        image_hold(img, c->rec.id);
    err_free(e); /* without it the container does not start */
}

void mounts_bind(container *c)
{
    c->volumes = xcalloc(c->rec.mount_points.n + 1, sizeof(*c->volumes));
    c->marks = xcalloc(c->rec.mount_points.n + 1, sizeof(*c->marks));
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        const mount_record *rec = point(c, i);

        if (str_eq(rec->type, "image"))
            hold_image(c, rec);
        if (!str_eq(rec->type, "volume"))
            continue;
        c->volumes[i] = volume_by_name(rec->name);
        if (!c->volumes[i]) {
            log_error("a container's volume is not there", "id", c->rec.id, "volume", rec->name);
            continue;
        }
        volume_ref(c->volumes[i]);
        volume_hold(c->volumes[i], c->rec.id);
    }
}

static void release_images(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        image *img = NULL;
        err *e = NULL;

        if (!str_eq(point(c, i)->type, "image"))
            continue;
        e = image_find(point(c, i)->source, &img);
        if (!e)
            image_release(img, c->rec.id);
        err_free(e);
    }
}

void mounts_give_up(container *c)
{
    release_images(c);
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i])
            volume_give_up(c->volumes[i], c->rec.id);
}

void mounts_release(container *c)
{
    release_images(c);
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i])
            volume_release(c->volumes[i], c->rec.id);
}

/* ---- create ---- */

/* Only the loop may ask a volume for its stage: what is new is noted before the worker comes. */
void mounts_mark_new(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        c->marks[i] = c->volumes[i] && volume_is_coming(c->volumes[i]);
}

err *mounts_make(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            TRY(volume_make(c->volumes[i]));
    return NULL;
}

void mounts_save(container *c, store_batch *b)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            volume_save(c->volumes[i], b);
}

void mounts_made(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        if (c->marks[i])
            volume_made(c->volumes[i]);
        c->marks[i] = false;
    }
}

/* ---- use ---- */

typedef struct using
{
    container *c; /* referenced */
    size_t i;
    bool ends;
    err *e;
    flow *f;
}
using;

static void use_next(using *u);

static void on_used(void *arg, err *e)
{
    using *u = arg;

    if (e && u->ends) {
        err_log(e, "a volume of an ended container is left mounted");
        e = NULL;
    }
    u->e = e;
    u->i++;
    use_next(u);
}

static void use_end(using *u)
{
    flow *f = u->f;
    err *e = u->e;

    container_unref(u->c);
    free(u);
    flow_resume(f, e);
}

static void use_next(using *u)
{
    container *c = u->c;

    while (!u->e && u->i < c->rec.mount_points.n && !c->volumes[u->i]) {
        const mount_record *rec = point(c, u->i++);

        if (!u->ends && str_eq(rec->type, "volume"))
            u->e = err_new(ERR_NOT_FOUND, "get %s: no such volume", rec->name);
    }
    if (u->e || u->i == c->rec.mount_points.n)
        use_end(u);
    else if (u->ends)
        volume_unuse(c->volumes[u->i], c->rec.id, on_used, u);
    else
        volume_use(c->volumes[u->i], c->rec.id, on_used, u);
}

static void use_begin(container *c, bool ends, flow *f)
{
    using *u = new0(using);

    u->c = container_ref(c);
    u->ends = ends;
    u->f = f;
    use_next(u);
}

void mounts_use(container *c, flow *f)
{
    use_begin(c, false, f);
}

void mounts_unuse(container *c, flow *f)
{
    use_begin(c, true, f);
}

static void on_used_again(void *arg, err *e)
{
    (void)arg;
    if (e)
        err_log(e, "a volume of a running container could not be mounted");
}

void mounts_use_again(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i])
            volume_use(c->volumes[i], c->rec.id, on_used_again, NULL);
}

void mounts_told_start(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        const mount_record *rec = point(c, i);

        if (c->volumes[i])
            volume_event(c->volumes[i], "mount", "container", c->rec.id, "destination",
                         rec->destination, "propagation", str_or(rec->propagation, ""),
                         "read/write", rec->rw ? "true" : "false", NULL);
    }
}

void mounts_told_end(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i])
            volume_event(c->volumes[i], "unmount", "container", c->rec.id, NULL);
}

/* ---- remove ---- */

/* Two mount points may share one volume: it leaves once. */
void mounts_leave(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        err *e;

        c->marks[i] = false;
        if (!c->volumes[i] || !point(c, i)->anonymous)
            continue;
        e = volume_leave(c->volumes[i], c->rec.id);
        c->marks[i] = !e;
        err_free(e); /* somebody else has it */
    }
}

bool mounts_has_leaving(const container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            return true;
    return false;
}

err *mounts_set_aside(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            TRY(volume_set_aside(c->volumes[i]));
    return NULL;
}

err *mounts_put_back(container *c)
{
    err *first = NULL;

    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        err *e = c->marks[i] ? volume_put_back(c->volumes[i]) : NULL;

        if (e && first)
            err_log(e, "a volume could not be put back");
        else if (e)
            first = e;
    }
    return first;
}

void mounts_forget(container *c, store_batch *b)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            volume_forget(c->volumes[i], b);
}

void mounts_erase(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            err_log(volume_erase(c->volumes[i]), "files of a removed volume are left");
}

void mounts_left(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->marks[i])
            volume_left(c->volumes[i]);
}

void mounts_stay(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        if (c->marks[i])
            volume_stay(c->volumes[i]);
        c->marks[i] = false;
    }
}
