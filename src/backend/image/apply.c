/* apply.c - writing the members of an archive below a directory, and nowhere else.
 *
 * Every parent is reached by openat2(RESOLVE_IN_ROOT) from the root's descriptor, so links of the
 * archive lead nowhere else; the member itself is made anew, never opened through a link.  Runs in
 * the helper: it blocks, one thread. */
#include "apply.h"
#include <berth/mem.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

enum {
    PATH_MAX_LENGTH = 4096,
    DIRS_MAX = 1 << 20,
    MAJOR_MAX = (1 << 12) - 1,
    MINOR_MAX = (1 << 20) - 1,
};

typedef struct dir_time {
    char *path;
    struct timespec mtime;
} dir_time;

struct applier {
    int root;
    bool as_layer;
    uint64_t bytes;
    strv opaques;
    dir_time *dirs;
    size_t n_dirs, room;
    char *parent_path; /* the one opened last */
    int parent_fd;
};

applier *applier_new(int root_fd, bool as_layer)
{
    applier *ap = new0(applier);

    ap->root = root_fd;
    ap->as_layer = as_layer;
    ap->parent_fd = -1;
    return ap;
}

void applier_free(applier *ap)
{
    for (size_t i = 0; i < ap->n_dirs; i++)
        free(ap->dirs[i].path);
    free(ap->dirs);
    free(ap->parent_path);
    mem_closep(&ap->parent_fd);
    strv_done(&ap->opaques);
    free(ap);
}

uint64_t applier_bytes(const applier *ap)
{
    return ap->bytes;
}

const strv *applier_opaques(const applier *ap)
{
    return &ap->opaques;
}

static int open_inside(const applier *ap, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, ap->root, *path ? path : ".", &how, sizeof(how));
}

/* "a/b/c" without leading slashes, "." and empty components; ".." is refused. */
static err *clean_path(const char *path, char **ret_path)
{
    auto_strv parts = {0};
    char *out, *to;

    if (strlen(path) >= PATH_MAX_LENGTH)
        return err_new(ERR_INVALID, "a path is too long");
    strv_split(&parts, path, '/');
    out = to = xmalloc(strlen(path) + 2);
    for (size_t i = 0; i < parts.n; i++) {
        size_t n = strlen(parts.v[i]);

        if (str_eq(parts.v[i], "..")) {
            free(out);
            return err_new(ERR_INVALID, "path %s leads outside", path);
        }
        if (!n || str_eq(parts.v[i], "."))
            continue;
        if (to != out)
            *to++ = '/';
        memcpy(to, parts.v[i], n);
        to += n;
    }
    *to = '\0';
    *ret_path = out;
    return NULL;
}

static err *make_parents(applier *ap, const char *path)
{
    auto_free char *p = xstrdup(path);

    for (char *slash = p;; slash++) {
        auto_close int fd = -1, above = -1;
        char *name, *end;

        slash = strchr(slash, '/');
        end = slash ? slash : p + strlen(p);
        if (slash)
            *slash = '\0';
        fd = open_inside(ap, p, O_PATH | O_DIRECTORY);
        if (fd < 0) {
            name = strrchr(p, '/');
            if (name)
                *name = '\0';
            above = open_inside(ap, name ? p : "", O_PATH | O_DIRECTORY);
            if (above < 0 || mkdirat(above, name ? name + 1 : p, 0755) < 0)
                return err_errno(errno, "mkdir %s", path);
            if (name)
                *name = '/';
        }
        if (!slash)
            return NULL;
        *end = '/';
    }
}

/* The directory that is to hold path's last component; *ret_name points into path. */
static err *open_parent(applier *ap, char *path, int *ret_fd, const char **ret_name)
{
    char *slash = strrchr(path, '/');
    auto_free char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");

    *ret_name = slash ? slash + 1 : path;
    if (ap->parent_path && str_eq(ap->parent_path, parent)) {
        *ret_fd = ap->parent_fd;
        return NULL;
    }
    mem_closep(&ap->parent_fd);
    free(take(ap->parent_path));
    ap->parent_fd = open_inside(ap, parent, O_RDONLY | O_DIRECTORY);
    if (ap->parent_fd < 0 && errno == ENOENT) {
        TRY(make_parents(ap, parent));
        ap->parent_fd = open_inside(ap, parent, O_RDONLY | O_DIRECTORY);
    }
    if (ap->parent_fd < 0)
        return err_errno(errno, "open %s", parent);
    ap->parent_path = take(parent);
    *ret_fd = ap->parent_fd;
    return NULL;
}

static void forget_parent(applier *ap)
{
    free(take(ap->parent_path));
    mem_closep(&ap->parent_fd);
    ap->parent_fd = -1;
}

/* What an earlier member of the same name left, with all below it. */
static int remove_all(int dir, const char *name, unsigned depth)
{
    auto_closedir DIR *d = NULL;
    struct dirent *ent;
    int fd;

    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (depth > PATH_MAX_LENGTH / 2)
        return -1;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !(d = fdopendir(fd)))
        return -1;
    while ((ent = readdir(d)))
        if (!str_eq(ent->d_name, ".") && !str_eq(ent->d_name, "..") && remove_all(fd, ent->d_name, depth + 1) < 0)
            return -1;
    return unlinkat(dir, name, AT_REMOVEDIR);
}

static err *make_way(applier *ap, int dir, const char *name)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL;
    if (remove_all(dir, name, 0) < 0)
        return err_errno(errno, "replace %s", name);
    if (S_ISDIR(st.st_mode)) {
        int copy = dup(dir);

        forget_parent(ap); /* it may have been below what is gone */
        ap->parent_fd = copy;
        return NULL;
    }
    return NULL;
}

static err *make_directory(const tar_member *m, int dir, const char *name)
{
    struct stat st;

    if (mkdirat(dir, name, 0755) == 0)
        return NULL;
    if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "mkdir %s", m->path);
    if (S_ISDIR(st.st_mode))
        return NULL;
    if (unlinkat(dir, name, 0) < 0 || mkdirat(dir, name, 0755) < 0)
        return err_errno(errno, "mkdir %s", m->path);
    return NULL;
}

static err *make_file(applier *ap, const tar_member *m, int dir, const char *name)
{
    auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(errno, "create %s", m->path);
    m->write_data(m->data_arg, fd);
    ap->bytes += m->size > 0 ? (uint64_t)m->size : 0;
    return NULL;
}

/* A link's target is a path of the archive, not of the host: its last component is never followed. */
static err *make_hardlink(applier *ap, const tar_member *m, int dir, const char *name)
{
    auto_free char *target = NULL;
    auto_close int from = -1;
    const char *slash;
    struct stat st;

    TRY(clean_path(m->hardlink, &target));
    slash = strrchr(target, '/');
    {
        auto_free char *parent = slash ? xstrndup(target, (size_t)(slash - target)) : xstrdup("");

        from = open_inside(ap, parent, O_PATH | O_DIRECTORY);
    }
    if (from < 0 || fstatat(from, slash ? slash + 1 : target, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "link %s to %s", m->path, m->hardlink);
    if (S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "link %s to %s: it is a directory", m->path, m->hardlink);
    if (linkat(from, slash ? slash + 1 : target, dir, name, 0) < 0)
        return err_errno(errno, "link %s to %s", m->path, m->hardlink);
    return NULL;
}

static err *make_node(const applier *ap, const tar_member *m, int dir, const char *name)
{
    if (!ap->as_layer)
        return err_new(ERR_INVALID, "%s is not a plain file", m->path);
    if (m->major < 0 || m->major > MAJOR_MAX || m->minor < 0 || m->minor > MINOR_MAX)
        return err_new(ERR_INVALID, "device %s has numbers out of range", m->path);
    if (mknodat(dir, name, (m->mode & S_IFMT) | 0600, makedev((unsigned)m->major, (unsigned)m->minor)) < 0)
        return err_errno(errno, "mknod %s", m->path);
    return NULL;
}

/* ---- what a member is like ---- */

static bool xattr_counts(const char *name)
{
    if (str_starts(name, "user.overlay."))
        return false;
    return str_eq(name, "security.capability") || str_starts(name, "user.");
}

static void set_xattr(void *ctx, const char *name, const void *value, size_t n)
{
    if (xattr_counts(name) && lsetxattr(ctx, name, value, n, 0) < 0 && errno != ENOTSUP && errno != EPERM)
        errno = 0; /* an attribute that this file system cannot hold is no reason to refuse the image */
}

static err *set_metadata(applier *ap, const tar_member *m, int dir, const char *name, mode_t type)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, m->mtime};

    if (ap->as_layer && fchownat(dir, name, (uid_t)m->uid, (gid_t)m->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "chown %s", m->path);
    if (!S_ISLNK(type) && fchmodat(dir, name, ap->as_layer ? m->mode & 07777 : S_ISDIR(type) ? 0700 : 0600, 0) < 0)
        return err_errno(errno, "chmod %s", m->path);
    if (ap->as_layer) {
        if (fchdir(dir) < 0)
            return err_errno(errno, "chdir to the parent of %s", m->path);
        m->each_xattr(m->xattr_arg, set_xattr, (void *)name);
    }
    if (!S_ISDIR(type) && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "set the times of %s", m->path);
    return NULL;
}

static err *remember_dir(applier *ap, const char *path, const struct timespec *mtime)
{
    if (ap->n_dirs == DIRS_MAX)
        return err_new(ERR_INVALID, "too many directories");
    if (ap->n_dirs == ap->room) {
        ap->room = ap->room ? ap->room * 2 : 64;
        ap->dirs = xrealloc(ap->dirs, ap->room * sizeof(*ap->dirs));
    }
    ap->dirs[ap->n_dirs++] = (dir_time){xstrdup(path), *mtime};
    return NULL;
}

/* ---- whiteouts ---- */

static err *apply_whiteout(applier *ap, const tar_member *m, const char *path, int dir, const char *name)
{
    const char *hidden = name + strlen(WHITEOUT_PREFIX);

    if (str_eq(name, WHITEOUT_OPAQUE)) {
        size_t n = strlen(path) - strlen(name);
        auto_free char *hex = NULL;

        if (n)
            n--;
        hex = xmalloc(2 * n + 2);
        str_hex(path, n, hex);
        if (!n)
            memcpy(hex, "-", 2);
        if (!ap->opaques.n || !str_eq(ap->opaques.v[ap->opaques.n - 1], hex))
            strv_push(&ap->opaques, hex);
        return NULL;
    }
    if (!*hidden || str_eq(hidden, ".") || str_eq(hidden, "..") || str_starts(hidden, WHITEOUT_PREFIX))
        return err_new(ERR_INVALID, "invalid whiteout %s", m->path);
    if (remove_all(dir, hidden, 0) < 0)
        return err_errno(errno, "hide %s", m->path);
    forget_parent(ap);
    {
        auto_close int again = -1;
        size_t n = strlen(path) - strlen(name);
        auto_free char *parent = xstrndup(path, n ? n - 1 : 0);

        again = open_inside(ap, parent, O_PATH | O_DIRECTORY);
        if (again < 0 || mknodat(again, hidden, S_IFCHR, makedev(0, 0)) < 0)
            return err_errno(errno, "hide %s", m->path);
    }
    return NULL;
}

static bool has_whiteout_parent(const char *path)
{
    auto_strv parts = {0};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i + 1 < parts.n; i++)
        if (str_starts(parts.v[i], WHITEOUT_PREFIX))
            return true;
    return false;
}

err *applier_apply(applier *ap, const tar_member *m)
{
    auto_free char *path = NULL;
    mode_t type = m->mode & S_IFMT;
    const char *name;
    int dir;

    TRY(clean_path(m->path, &path));
    if (!*path) { /* the root itself */
        if (!S_ISDIR(type) || m->hardlink)
            return err_new(ERR_INVALID, "the root of an archive is not a directory");
        TRY(set_metadata(ap, m, ap->root, ".", S_IFDIR));
        return remember_dir(ap, "", &m->mtime);
    }
    if (ap->as_layer && has_whiteout_parent(path))
        return err_new(ERR_INVALID, "invalid whiteout %s", m->path);
    TRY(open_parent(ap, path, &dir, &name));
    if (ap->as_layer && str_starts(name, WHITEOUT_PREFIX))
        return apply_whiteout(ap, m, path, dir, name);
    if (!S_ISDIR(type) || m->hardlink) {
        TRY(make_way(ap, dir, name));
        dir = ap->parent_fd;
    }
    if (m->hardlink)
        return make_hardlink(ap, m, dir, name);
    if (S_ISDIR(type))
        TRY(make_directory(m, dir, name));
    else if (S_ISREG(type))
        TRY(make_file(ap, m, dir, name));
    else if (S_ISLNK(type) && symlinkat(m->symlink ? m->symlink : "", dir, name) < 0)
        return err_errno(errno, "symlink %s", m->path);
    else if (S_ISCHR(type) || S_ISBLK(type) || S_ISFIFO(type))
        TRY(make_node(ap, m, dir, name));
    else if (!S_ISLNK(type))
        return err_new(ERR_INVALID, "%s has an unknown type", m->path);
    TRY(set_metadata(ap, m, dir, name, type));
    return S_ISDIR(type) ? remember_dir(ap, path, &m->mtime) : NULL;
}

/* Last, and the deepest first, as writing into a directory changes its time. */
err *applier_finish(applier *ap)
{
    for (size_t i = ap->n_dirs; i-- > 0;) {
        auto_close int fd = open_inside(ap, ap->dirs[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        struct timespec times[2] = {{0, UTIME_OMIT}, ap->dirs[i].mtime};

        if (fd >= 0 && futimens(fd, times) < 0)
            return err_errno(errno, "set the times of %s", ap->dirs[i].path);
    }
    return NULL;
}
