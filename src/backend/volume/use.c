/* use.c - what a volume's options name is mounted for its first user and unmounted after its last.
 *
 * Calls for one volume are done one after the other, in the order they came.  Loop thread only,
 * except job_* and path_*. */
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNMOUNTS_MAX = 16 }; /* stacked ones, which only somebody else can have made */

struct use_call {
    volume *v; /* referenced */
    char *user;
    bool ends;
    volume_finished *done;
    void *arg;
    err *e;
    use_call *next;
};

bool path_is_mounted(const char *path)
{
    struct statx sx;

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &sx) == 0 &&
           (sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
           (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

err *path_unmount(const char *path)
{
    for (int i = 0; i < UNMOUNTS_MAX; i++) {
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            continue;
        if (errno == EINVAL || errno == ENOENT || errno == ENOTDIR)
            return NULL;
        return err_errno(errno, "umount %s", path);
    }
    return err_new(ERR_SYSTEM, "umount %s: it is mounted again and again", path);
}

/* ---- the queue ---- */

static void run_next(volume *v);

static err *job_mount(void *arg)
{
    const volume *v = ((use_call *)arg)->v;
    auto_close int dir = open(v->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (dir < 0)
        return err_errno(errno, "open %s", v->dir);
    return err_wrap(volume_options_mount(&v->rec.options, dir, v->data),
                    "error while mounting volume '%s'", v->data);
}

static err *job_unmount(void *arg)
{
    return path_unmount(((use_call *)arg)->v->data);
}

static void call_end(use_call *c, err *e)
{
    volume *v = c->v;

    v->use_runs = false;
    if (c->done)
        c->done(c->arg, e);
    else
        err_log(e, "a volume could not be unmounted");
    free(c->user);
    free(c);
    run_next(v);
    volume_unref(v);
}

static void on_mounted(void *arg, err *e)
{
    use_call *c = arg;

    if (!e) {
        c->v->mounted = true;
        strv_push(&c->v->users, c->user);
    }
    call_end(c, e);
}

static void on_unmounted(void *arg, err *e)
{
    use_call *c = arg;

    if (!e)
        c->v->mounted = false;
    call_end(c, e);
}

static void on_nothing_to_do(void *arg)
{
    call_end(arg, NULL);
}

static void call_begin(use_call *c)
{
    volume *v = c->v;

    if (c->ends) {
        strv_take_out(&v->users, c->user);
        if (!v->users.n && v->mounted && volume_has_mount(&v->rec.options))
            job_begin_slow("volume.unmount", job_unmount, c, on_unmounted);
        else
            loop_defer(on_nothing_to_do, c);
    } else if (!v->mounted && volume_has_mount(&v->rec.options)) {
        job_begin_slow("volume.mount", job_mount, c, on_mounted);
    } else {
        if (!strv_has(&v->users, c->user))
            strv_push(&v->users, c->user);
        loop_defer(on_nothing_to_do, c);
    }
}

static void run_next(volume *v)
{
    use_call *c = v->uses_first;

    if (v->use_runs || !c)
        return;
    v->uses_first = c->next;
    if (!v->uses_first)
        v->uses_last = &v->uses_first;
    v->use_runs = true;
    call_begin(c);
}

static void call_add(volume *v, const char *user, bool ends, volume_finished *done, void *arg)
{
    use_call *c = new0(use_call);

    *c = (use_call){volume_ref(v), xstrdup(user), ends, done, arg, NULL, NULL};
    if (!v->uses_last)
        v->uses_last = &v->uses_first;
    *v->uses_last = c;
    v->uses_last = &c->next;
    run_next(v);
}

void volume_use(volume *v, const char *user, volume_finished *done, void *arg)
{
    call_add(v, user, false, done, arg);
}

void volume_unuse(volume *v, const char *user, volume_finished *done, void *arg)
{
    call_add(v, user, true, done, arg);
}

static void save_found(volume *v)
{
    store_batch *b = store_batch_new();

    v->unsaved = false;
    volume_save(v, b);
    store_commit_lazy(b);
}

void volumes_settle(void)
{
    for (volume *v = volumes_by_name; v; v = v->hh.next)
        if (v->unsaved)
            save_found(v);
    for (volume *v = volumes_by_name; v; v = v->hh.next)
        if (v->mounted && volume_has_mount(&v->rec.options))
            volume_unuse(v, "", NULL, NULL);
}
