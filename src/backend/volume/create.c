/* create.c - a volume comes to be: directory, record, event.
 *
 * A file among .making says that the directory is not yet anybody's, from before it is made until
 * after it is durable.  Loop thread only, except volume_make and job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the wish ---- */

static err *wish_check(const volume_wish *w, const char *name)
{
    if (!str_empty(w->driver) && !str_eq(w->driver, VOLUME_DRIVER))
        return err_new(ERR_NOT_FOUND,
                       "create %s: error looking up volume plugin %s: plugin \"%s\" not found",
                       name, w->driver, w->driver);
    TRY(volume_name_check(name));
    return err_wrap(volume_options_check(w->options), "create %s", name);
}

static volume *volume_of(const volume_wish *w, const char *name)
{
    auto_arena *a = arena_new();
    volume_record rec = {.name = (char *)name, .created_ns = time_now_ns()};
    volume *v;

    if (w->options && w->options->n)
        rec.options = *w->options;
    for (size_t i = 0; w->labels && i < w->labels->n; i++)
        json_map_set(&rec.labels, a, w->labels->keys[i], w->labels->values[i]);
    rec.labels.set = w->labels && w->labels->set;
    if (str_empty(w->name))
        json_map_set(&rec.labels, a, VOLUME_ANONYMOUS_LABEL, "");
    v = volume_new(&rec);
    v->stage = VOLUME_COMING;
    return v;
}

err *volume_intend(const volume_wish *w, const char *holder, volume **ret_v, bool *ret_is_new)
{
    char random[65];
    const char *name = w->name;
    volume *v;

    if (str_empty(name)) {
        str_random_id(random);
        name = random;
    }
    TRY(wish_check(w, name));
    v = volume_by_name(name);
    if (v && v->stage == VOLUME_LEAVING)
        return err_new(ERR_CONFLICT, "create %s: the volume is being removed", name);
    if (v) {
        volume_ref(v);
    } else {
        v = volume_of(w, name);
        registry_put(v);
    }
    if (holder)
        volume_hold(v, holder);
    *ret_is_new = v->stage == VOLUME_COMING;
    *ret_v = v;
    return NULL;
}

/* ---- on the worker ---- */

static err *touch(const char *path)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? err_errno(errno, "create %s", path) : NULL;
}

static err *sync_directory(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_errno(errno, "sync %s", path);
    return NULL;
}

static err *write_record(const volume *v)
{
    char own[65];
    auto_free char *path = xasprintf("%s/volume.json", v->dir), *mine = NULL;
    auto_buf text = {0};

    str_random_id(own); /* several may make one volume at once: each renames a file of its own */
    mine = xasprintf("%s/.%s", v->dir, own);
    json_encode(&volume_record_json, &v->rec, JSON_ANY_VERSION, &text);
    TRY(file_write(mine, text.data, text.len, 0600));
    if (rename(mine, path) < 0)
        return err_errno(errno, "rename %s", mine);
    return NULL;
}

err *volume_make(const volume *v)
{
    auto_free char *marker = volume_making_path(v->rec.name);

    TRY(touch(marker));
    TRY(tree_make(v->dir, 0701));
    TRY(tree_make(v->data, 0755));
    if (chmod(v->data, 0755) < 0) /* whatever the umask */
        return err_errno(errno, "chmod %s", v->data);
    TRY(write_record(v));
    TRY(sync_directory(v->dir));
    return sync_directory(volumes_root);
}

static err *volume_unmake(const volume *v)
{
    auto_free char *marker = volume_making_path(v->rec.name);

    TRY(path_unmount(v->data));
    TRY(tree_remove(v->dir));
    (void)unlink(marker);
    return NULL;
}

/* ---- its end, good or bad ---- */

static err *job_unmark(void *arg)
{
    if (unlink(arg) < 0 && errno != ENOENT)
        return err_errno(errno, "unlink %s", (char *)arg);
    return NULL;
}

static void on_unmarked(void *arg, err *e)
{
    if (e)
        err_log(e, "a volume's marker is left until the next start");
    free(arg);
}

void volume_made(volume *v)
{
    bool first = v->stage == VOLUME_COMING;

    v->stage = VOLUME_HERE;
    job_begin("volume.unmark", job_unmark, volume_making_path(v->rec.name), on_unmarked);
    if (first)
        volume_event(v, "create", NULL);
}

static err *job_unmake(void *arg)
{
    return volume_unmake(arg);
}

static void on_unmade(void *arg, err *e)
{
    if (e)
        err_log(e, "what was begun of a volume is left until the next start");
    registry_drop(arg);
    volume_unref(arg);
}

void volume_give_up(volume *v, const char *holder)
{
    if (holder)
        volume_release(v, holder);
    if (v->stage != VOLUME_COMING || v->holders.n)
        return;
    v->stage = VOLUME_LEAVING;
    job_begin("volume.unmake", job_unmake, volume_ref(v), on_unmade);
}

void volume_save(const volume *v, store_batch *b)
{
    auto_buf text = {0};

    json_encode(&volume_record_json, &v->rec, JSON_ANY_VERSION, &text);
    store_put(b, "volumes", v->rec.name, text.data);
}

/* ---- POST /volumes/create ---- */

typedef struct creation {
    volume *v; /* referenced */
    bool is_new;
    char holder[65]; /* so that a failure of somebody who also makes it does not take it away */
    volume_created *done;
    void *arg;
    err *e;
} creation;

static bool is_new(void *st)
{
    return ((creation *)st)->is_new;
}

static err *job_make(void *st)
{
    return volume_make(((creation *)st)->v);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    store_batch *b = store_batch_new();

    volume_save(((creation *)st)->v, b);
    store_commit(b, on_recorded, f);
}

static err *now_made(void *st)
{
    volume_made(((creation *)st)->v);
    return NULL;
}

static void creation_free(void *st)
{
    creation *c = st;

    if (!c)
        return;
    volume_unref(c->v);
    err_free(c->e);
    free(c);
}

static const flow_step create_steps[] = {
    {"make directories", JOB(job_make), .when = is_new},
    {"record", CALL(call_record), .when = is_new},
    {"made", NOW(now_made), .when = is_new},
    {0},
};
const flow_def volume_create_flow = {"volume.create", create_steps, creation_free, HANGUP_FINISH};

static void on_created(void *arg, void *st, err *e)
{
    creation *c = st;

    (void)arg;
    if (e)
        volume_give_up(c->v, c->holder);
    else
        volume_release(c->v, c->holder);
    c->done(c->arg, e, c->v);
}

static void on_refused(void *arg)
{
    creation *c = arg;

    c->done(c->arg, take(c->e), NULL);
    creation_free(c);
}

void volume_create(const volume_wish *w, volume_created *done, void *arg)
{
    creation *c = new0(creation);

    c->done = done;
    c->arg = arg;
    str_random_id(c->holder);
    c->e = volume_intend(w, NULL, &c->v, &c->is_new);
    if (!c->e && c->is_new)
        volume_hold(c->v, c->holder);
    if (c->e)
        loop_defer(on_refused, c);
    else
        flow_begin(&volume_create_flow, c, on_created, NULL);
}
