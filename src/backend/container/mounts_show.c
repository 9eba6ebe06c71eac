/* mounts_show.c - what inspect, list and other rooms see of a container's mount points.
 *
 * Reads only.  Loop thread only. */
#include "mounts.h"
#include "private.h"
#include <berth/container_mounts.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>

static const char *source_of(const container *c, size_t i, arena *a)
{
    const mount_record *rec = JSON_AT(c->rec.mount_points, mount_record, i);

    if (c->volumes[i])
        return volume_mountpoint(c->volumes[i]);
    if (str_eq(rec->type, "image"))
        return arena_printf(a, "%s/mounts/%s/%zu", containers_conf.exec_root, c->rec.id, i);
    return str_or(rec->source, "");
}

/* The list does not look where an anonymous volume lies, as dockerd's does not. */
void mounts_describe(const container *c, bool full, arena *a, json_list *ret)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        const mount_record *rec = JSON_AT(c->rec.mount_points, mount_record, i);
        mount_point *m = json_list_add(ret, a, &mount_point_json);

        *m = (mount_point){.type = rec->type,
                           .name = rec->name,
                           .destination = rec->destination,
                           .driver = str_eq(rec->type, "volume") ? (char *)VOLUME_DRIVER : NULL,
                           .mode = rec->mode,
                           .rw = rec->rw,
                           .propagation = rec->propagation};
        if (full || !rec->from_config)
            m->source = arena_strdup(a, source_of(c, i, a));
    }
}

/* By a volume's name or by a destination. */
bool mounts_match(const container *c, const filters *f)
{
    if (!filters_has(f, "volume"))
        return true;
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        const mount_record *rec = JSON_AT(c->rec.mount_points, mount_record, i);

        if (filters_match_exact(f, "volume", rec->destination) ||
            (rec->name && filters_match_exact(f, "volume", rec->name)))
            return true;
    }
    return false;
}

/* ---- for other rooms ---- */

void container_mounts(const container *c, arena *a, container_mount **ret, size_t *ret_n)
{
    size_t n = c->rec.mount_points.n;

    *ret = arena_alloc(a, (n + 1) * sizeof(**ret));
    for (size_t i = 0; i < n; i++) {
        const mount_record *rec = JSON_AT(c->rec.mount_points, mount_record, i);

        (*ret)[i] = (container_mount){.type = arena_strdup(a, rec->type),
                                      .name = arena_strdup(a, str_or(rec->name, "")),
                                      .source = arena_strdup(a, source_of(c, i, a)),
                                      .subpath = arena_strdup(a, str_or(rec->subpath, "")),
                                      .destination = arena_strdup(a, rec->destination),
                                      .rw = rec->rw};
    }
    *ret_n = n;
}

typedef struct borrowing {
    container *c; /* referenced */
    char *user;
    size_t i;
    bool ends;
    err *e;
    container_done *done;
    void *arg;
} borrowing;

static void borrow_next(borrowing *b);

static void on_borrowed(void *arg, err *e)
{
    borrowing *b = arg;

    if (b->e)
        err_free(e);
    else
        b->e = e;
    b->i++;
    borrow_next(b);
}

static void borrow_next(borrowing *b)
{
    container *c = b->c;

    while (b->i < c->rec.mount_points.n && (!c->volumes[b->i] || (b->e && !b->ends)))
        b->i++;
    if (b->i < c->rec.mount_points.n && b->ends) {
        volume_unuse(c->volumes[b->i], b->user, on_borrowed, b);
    } else if (b->i < c->rec.mount_points.n) {
        volume_use(c->volumes[b->i], b->user, on_borrowed, b);
    } else {
        container_refuse(b->e, b->done, b->arg);
        container_unref(c);
        free(b->user);
        free(b);
    }
}

static void borrow(container *c, const char *user, bool ends, container_done *done, void *arg)
{
    borrowing *b = new0(borrowing);

    *b = (borrowing){container_ref(c), xstrdup(user), 0, ends, NULL, done, arg};
    borrow_next(b);
}

void container_mounts_use(container *c, const char *user, container_done *done, void *arg)
{
    borrow(c, user, false, done, arg);
}

void container_mounts_unuse(container *c, const char *user, container_done *done, void *arg)
{
    borrow(c, user, true, done, arg);
}
