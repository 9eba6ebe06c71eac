/* mounts_sources.c - what the runtime gets as the source of each mount.
 *
 * A runtime takes a path and opens it later, so whatever it is given must lie where no container
 * can change it:
 *   - a volume is data-root/volumes/<name>/_data, whose parents are the daemon's alone;
 *   - a part of a volume or of an image is reached by openat2 from its root (RESOLVE_BENEATH), and
 *     the tree at that descriptor is cloned and mounted at exec-root/mounts/<id>/<n>: a link that
 * is swapped afterwards changes nothing.  Descriptors themselves would not do: the runtime mounts
 *     from a namespace of its own, in which the kernel refuses them.  The clone is private, so
 *     that taking it away takes nothing else away;
 *   - a bind is the caller's own path on the host, and is what it says at the moment of the mount.
 * Everything here blocks; for a worker, except mounts_lowers. */
#include "mounts.h"
#include "private.h"
#include <berth/mem.h>
#include <berth/rootfs.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <berth/volume.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIN_STACK_MAX = 4 };

static mount_record *point(const container *c, size_t i)
{
    return JSON_AT(c->rec.mount_points, mount_record, i);
}

/* ---- pins ---- */

static char *pins_dir(const char *id)
{
    return xasprintf("%s/mounts/%s", containers_conf.exec_root, id);
}

static err *pin_target(const char *path, bool is_directory)
{
    auto_close int fd = -1;

    if (is_directory)
        return tree_make(path, 0700);
    fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno(errno, "create %s", path) : NULL;
}

/* Mount the detached tree at pins/<n>. */
static err *pin(const container *c, size_t n, int tree, arena *a, char **ret_path)
{
    auto_free char *dir = pins_dir(c->rec.id);
    struct mount_attr attr = {.propagation = MS_PRIVATE};
    auto_close int target = -1;
    struct stat st;

    *ret_path = arena_printf(a, "%s/%zu", dir, n);
    if (fstat(tree, &st) < 0)
        return err_errno(errno, "stat");
    TRY(tree_make(dir, 0700));
    TRY(pin_target(*ret_path, S_ISDIR(st.st_mode)));
    target = open(*ret_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return err_errno(errno, "open %s", *ret_path);
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return err_errno(errno, "make a mount private");
    if (syscall(SYS_move_mount, tree, "", target, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_errno(errno, "mount onto %s", *ret_path);
    return NULL;
}

/* Only unmounts and removes what is empty: nothing below a pin can ever be deleted. */
static err *unpin_one(const char *path)
{
    for (int i = 0; i < PIN_STACK_MAX; i++)
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            break;
    if (rmdir(path) < 0 && errno != ENOENT && (errno != ENOTDIR || unlink(path) < 0))
        return err_errno(errno, "remove %s", path);
    return NULL;
}

err *mounts_unpin(const char *container_id)
{
    auto_free char *dir = pins_dir(container_id);
    auto_closedir DIR *d = opendir(dir);
    struct dirent *ent;

    if (!d)
        return errno == ENOENT ? NULL : err_errno(errno, "open %s", dir);
    while ((ent = readdir(d))) {
        auto_free char *path = xasprintf("%s/%s", dir, ent->d_name);

        if (ent->d_name[0] != '.')
            TRY(unpin_one(path));
    }
    if (rmdir(dir) < 0)
        return err_errno(errno, "remove %s", dir);
    return NULL;
}

void mounts_sweep(bool (*keeps)(const char *container_id))
{
    auto_free char *all = xasprintf("%s/mounts", containers_conf.exec_root);
    auto_closedir DIR *d = opendir(all);
    struct dirent *ent;

    while (d && (ent = readdir(d)))
        if (ent->d_name[0] != '.' && !keeps(ent->d_name))
            err_log(mounts_unpin(ent->d_name), "a left mount could not be removed");
}

/* ---- a part of a tree ---- */

static err *open_part(int root, const char *base, const char *subpath, int *ret_fd)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    *ret_fd = (int)syscall(SYS_openat2, root, subpath, &how, sizeof(how));
    if (*ret_fd >= 0)
        return NULL;
    if (errno == EXDEV || errno == ELOOP)
        return err_new(ERR_INVALID,
                       "path concatenation escapes the base directory, base: \"%s\", subpath: "
                       "\"%s\"",
                       base, subpath);
    if (errno == ENOENT || errno == ENOTDIR)
        return err_new(ERR_NOT_FOUND, "cannot access path \"%s/%s\": %s", base, subpath,
                       errno == ENOENT ? "no such file or directory" : "not a directory");
    return err_errno(errno, "cannot access path \"%s/%s\"", base, subpath);
}

static err *pin_part(const container *c, size_t n, int root, const char *base, const char *subpath,
                     arena *a, char **ret_path)
{
    auto_close int part = -1, tree = -1;

    TRY(open_part(root, base, subpath, &part));
    tree = (int)syscall(SYS_open_tree, part, "",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (tree < 0)
        return err_errno(errno, "clone the mount of %s/%s", base, subpath);
    return pin(c, n, tree, a, ret_path);
}

/* ---- each kind ---- */

static err *volume_source(const container *c, size_t i, arena *a, char **ret)
{
    const char *path = volume_mountpoint(c->volumes[i]);
    auto_close int root = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (root < 0)
        return err_errno(errno, "open %s", path);
    if (!str_empty(point(c, i)->subpath))
        return pin_part(c, i, root, path, point(c, i)->subpath, a, ret);
    *ret = arena_strdup(a, path);
    return NULL;
}

static err *image_source(const container *c, size_t i, const char *lowers, arena *a, char **ret)
{
    auto_strv dirs = {0};
    auto_close int root = -1;
    auto_free char *path = NULL;

    if (str_empty(lowers))
        return err_new(ERR_NOT_FOUND, "No such image: %s", point(c, i)->source);
    strv_split(&dirs, lowers, '\n');
    TRY(rootfs_open((const char *const *)dirs.v, false, &root));
    path = xasprintf("%s", point(c, i)->name);
    if (str_empty(point(c, i)->subpath))
        return pin(c, i, root, a, ret);
    return pin_part(c, i, root, path, point(c, i)->subpath, a, ret);
}

static err *missing(const char *source)
{
    return err_new(ERR_INVALID,
                   "invalid mount config for type \"bind\": bind source path does not exist: %s",
                   source);
}

static err *bind_source(const mount_record *rec)
{
    struct stat st;

    if (stat(rec->source, &st) == 0)
        return NULL;
    if (errno != ENOENT)
        return err_errno(errno, "stat %s", rec->source);
    if (rec->must_exist)
        return missing(rec->source);
    return err_wrap(tree_make(rec->source, 0755), "error while creating mount source path '%s'",
                    rec->source);
}

err *mounts_check_sources(container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        const mount_record *rec = point(c, i);
        struct stat st;

        if (!str_eq(rec->type, "bind") || !rec->must_exist || stat(rec->source, &st) == 0)
            continue;
        return errno == ENOENT ? missing(rec->source)
                               : err_errno(errno, "invalid mount config for type \"bind\": stat %s",
                                           rec->source);
    }
    return NULL;
}

/* ---- propagation ---- */

/* The mount that holds path: where it is, and whether it is shared or a slave. */
static err *mount_of(const char *path, arena *a, char **ret_at, bool *ret_shared, bool *ret_slave)
{
    auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
    auto_free char *line = NULL, *at = xmalloc(PATH_MAX * 4);
    struct statx sx;
    size_t room = 0;
    unsigned long id;

    if (!f || statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &sx) < 0)
        return err_errno(errno, "look for the mount of %s", path);
    while (getline(&line, &room, f) > 0) {
        char *optional = strstr(line, " - ");

        if (strlen(line) >= (size_t)PATH_MAX * 4 ||
            sscanf(line, "%lu %*s %*s %*s %s", &id, at) != 2 || id != sx.stx_mnt_id || !optional)
            continue;
        *optional = '\0';
        *ret_at = arena_strdup(a, at);
        *ret_shared = strstr(line, " shared:") != NULL;
        *ret_slave = strstr(line, " master:") != NULL;
        return NULL;
    }
    return err_new(ERR_SYSTEM, "Could not find source mount of %s", path);
}

static err *propagation_check(const mount_record *rec, arena *a, const char **ret)
{
    bool shares = str_ends(rec->propagation, "shared"),
         follows = str_ends(rec->propagation, "slave");
    bool shared, slave;
    char *at;

    *ret = rec->propagation;
    if (!shares && !follows)
        return NULL;
    TRY(mount_of(rec->source, a, &at, &shared, &slave));
    if (shared || (follows && slave))
        return NULL;
    if (rec->own_slave) { /* nobody asked for it */
        *ret = "rprivate";
        return NULL;
    }
    return err_new(ERR_SYSTEM, "path %s is mounted on %s but it is not a shared%s mount",
                   rec->source, at, follows ? " or slave" : "");
}

/* ---- all ---- */

void mounts_lowers(container *c, strv *ret)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++) {
        auto_strv dirs = {0};
        auto_buf text = {0};
        image *img = NULL;
        err *e = NULL;

        if (str_eq(point(c, i)->type, "image"))
            e = image_find(point(c, i)->source, &img);
        if (img)
            image_layer_dirs(img, &dirs);
        err_free(e);
        for (size_t k = 0; k < dirs.n; k++)
            buf_printf(&text, "%s%s", k ? "\n" : "", dirs.v[k]);
        strv_push(ret, text.len ? text.data : "");
    }
}

static bool knows_deep_readonly(const container *c)
{
    return str_eq(c->runtime->name, "crun") || str_eq(c->runtime->name, "runc");
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static err *source_of(container *c, size_t i, const char *lowers, arena *a, spec_bind *b)
{
    const mount_record *rec = point(c, i);
    char *path = NULL;

    *b = (spec_bind){.destination = rec->destination,
                     .readonly = !rec->rw,
                     .recursive = !rec->flat,
                     .deep_readonly = !rec->flat_ro && knows_deep_readonly(c)};
    if (str_eq(rec->type, "tmpfs")) {
        b->tmpfs = str_or(rec->tmpfs, "");
        return NULL;
    }
    if (str_eq(rec->type, "volume")) {
        TRY(volume_source(c, i, a, &path));
    } else if (str_eq(rec->type, "image")) {
        TRY(image_source(c, i, lowers, a, &path));
    } else {
        TRY(bind_source(rec));
        TRY(propagation_check(rec, a, &b->propagation));
        if (rec->deep_ro && !knows_deep_readonly(c))
            return err_new(ERR_INVALID, "rro is not supported by runtime \"%s\"", c->runtime->name);
        path = rec->source;
    }
    b->source = path;
    b->deep_readonly &= is_directory(path); /* nothing is below a file, and crun would fail */
    return NULL;
}

err *mounts_prepare(container *c, strv *image_lowers, arena *a, spec_bind **ret, size_t *ret_n)
{
    size_t n = c->rec.mount_points.n;

    TRY(mounts_unpin(c->rec.id)); /* of a run that nobody ended */
    *ret = arena_alloc(a, (n + 1) * sizeof(**ret));
    for (size_t i = 0; i < n; i++)
        TRY(source_of(c, i, image_lowers->v[i], a, &(*ret)[i]));
    *ret_n = n;
    return NULL;
}
