/* changes.c - what of a container is not as its image has it: `docker diff`.
 *
 * The upper directory holds just that; whether something is new or other than before is asked of
 * the layers below, without ever following a link.  Loop thread only, except job_*. */
#include "private.h"
#include <berth/archive.h>
#include <berth/flow.h>
#include <berth/mem.h>
#include <berth/rootfs.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { TEXT_MAX = 64 << 20, DEPTH_MAX = 2048, CHANGED = 0, ADDED = 1, REMOVED = 2 };

typedef struct listing {
    container *c; /* referenced */
    strv lowers;
    char *upper;
    int below; /* the image, as the container sees it */
    buf text;
    void (*done)(void *arg, err *e, const char *json);
    void *arg;
} listing;

static void add(listing *l, const char *path, int kind)
{
    buf_str(&l->text, l->text.len ? "," : "[");
    buf_str(&l->text, "{\"Path\":");
    json_quote(path, &l->text);
    buf_printf(&l->text, ",\"Kind\":%d}", kind);
}

static bool is_below(const listing *l, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    auto_close int fd = (int)syscall(SYS_openat2, l->below, path + 1, &how, sizeof how);

    return fd >= 0;
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && !st->st_rdev;
}

static bool is_opaque(int fd)
{
    char value;

    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static err *list_directory(listing *l, int fd, const char *path, unsigned depth);

static err *list_entry(listing *l, int dir, const char *name, const char *path, unsigned depth)
{
    auto_close int fd = -1;
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL; /* gone meanwhile */
    if (is_whiteout(&st)) {
        add(l, path, REMOVED);
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        add(l, path, is_below(l, path) ? CHANGED : ADDED);
        return NULL;
    }
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_errno(errno, "open %s", path);
    add(l, path, !is_below(l, path) ? ADDED : is_opaque(fd) ? REMOVED : CHANGED);
    return depth > DEPTH_MAX ? NULL : list_directory(l, fd, path, depth);
}

static err *list_directory(listing *l, int fd, const char *path, unsigned depth)
{
    struct dirent **names = NULL;
    int n = scandirat(fd, ".", &names, NULL, alphasort);
    err *e = n < 0 ? err_errno(errno, "list %s", path) : NULL;

    for (int i = 0; i < n; i++) {
        auto_free char *its = xasprintf("%s/%s", path, names[i]->d_name);

        if (!e && l->text.len > TEXT_MAX)
            e = err_new(ERR_TOO_LARGE, "more has changed than can be listed");
        if (!e && !str_eq(names[i]->d_name, ".") && !str_eq(names[i]->d_name, ".."))
            e = list_entry(l, fd, names[i]->d_name, its, depth + 1);
        free(names[i]);
    }
    free(names);
    return e;
}

static err *job_list(void *st)
{
    listing *l = st;
    auto_close int fd = open(l->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(errno, "open %s", l->upper);
    TRY(rootfs_open((const char *const *)l->lowers.v, true, &l->below));
    TRY(list_directory(l, fd, "", 0));
    buf_str(&l->text, l->text.len ? "]\n" : "null\n");
    return NULL;
}

static void listing_free(void *st)
{
    listing *l = st;

    if (!l)
        return;
    container_unref(l->c);
    strv_done(&l->lowers);
    free(l->upper);
    mem_closep(&l->below);
    buf_done(&l->text);
    free(l);
}

static const flow_step changes_steps[] = {
    {"list", SLOW_JOB(job_list)},
    {0},
};
const flow_def changes_flow = {"container.changes", changes_steps, listing_free, HANGUP_UNWIND};

static void on_listed(void *arg, void *st, err *e)
{
    const listing *l = st;

    (void)arg;
    l->done(l->arg, e, l->text.data);
}

void container_changes(container *c, void (*done)(void *arg, err *e, const char *json), void *arg)
{
    listing *l;

    if (!c->image) {
        done(arg, err_new(ERR_NOT_FOUND, "No such image: %s", c->rec.image_id), NULL);
        return;
    }
    l = new0(listing);
    l->c = container_ref(c);
    l->upper = container_file(c, "diff");
    l->below = -1;
    image_layer_dirs(c->image, &l->lowers);
    l->done = done;
    l->arg = arg;
    flow_begin(&changes_flow, l, on_listed, NULL);
}
