/* apply.c - writing the members of an archive below a directory, and nowhere else.
 *
 * Every parent is reached by openat2(RESOLVE_IN_ROOT) from the root's descriptor, so links of the
 * archive lead nowhere else; the member itself is made anew, never opened through a link.  Runs in
 * the helper: it blocks, one thread. */
#include "apply.h"
#include "pack.h"
#include <berth/buf.h>
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
    COMPONENTS_MAX = 256, /* links multiply them by 40, and every look walks them all */
    DIRS_MAX = 1 << 20,
    ENTRIES_MAX = 8 << 20,
    MAJOR_MAX = (1 << 12) - 1,
    MINOR_MAX = (1 << 20) - 1,
};
#define ID_MAX (UINT32_MAX - 1) /* the last one means "leave it" to chown */

typedef struct dir_time {
    char *path;
    struct timespec mtime;
} dir_time;

struct applier {
    int root;
    apply_mode mode;
    char *target; /* clean; NULL: the root */
    bool keep_kinds;
    uint64_t bytes, entries;
    strv opaques;
    dir_time *dirs;
    size_t n_dirs, room;
    char *parent_path; /* the one opened last */
    int parent_fd;
};

applier *applier_new(int root_fd, apply_mode mode)
{
    applier *ap = new0(applier);

    ap->root = root_fd;
    ap->mode = mode;
    ap->parent_fd = -1;
    return ap;
}

void applier_free(applier *ap)
{
    for (size_t i = 0; i < ap->n_dirs; i++)
        free(ap->dirs[i].path);
    free(ap->dirs);
    free(ap->parent_path);
    free(ap->target);
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
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

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
    if (parts.n > COMPONENTS_MAX)
        return err_new(ERR_INVALID, "a path is too deep");
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

/* A path of the archive as one of the root. */
static err *place_path(const applier *ap, const char *path, char **ret_path)
{
    auto_free char *clean = NULL;

    TRY(clean_path(path, &clean));
    *ret_path =
        !ap->target ? take(clean) : xasprintf("%s%s%s", ap->target, *clean ? "/" : "", clean);
    return NULL;
}

static int open_directory_of(const applier *ap, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    auto_free char *parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);

    *ret_name = slash ? slash + 1 : path;
    return open_inside(ap, parent, O_PATH | O_DIRECTORY);
}

/* How many of the n first components of path are directories that are there, and the last one of
 * them.  As every look walks the whole path, it is found by halving: a hostile path has thousands
 * of components. */
static size_t deepest_present(const applier *ap, const strv *parts, int *ret_fd)
{
    size_t low = 0, high = parts->n; /* low components are there; more than high are not */

    *ret_fd = open_inside(ap, "", O_PATH | O_DIRECTORY);
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        auto_buf prefix = {0};
        int fd;

        for (size_t i = 0; i < middle; i++)
            buf_printf(&prefix, "%s%s", i ? "/" : "", parts->v[i]);
        fd = open_inside(ap, prefix.data, O_PATH | O_DIRECTORY);
        if (fd < 0) {
            high = middle - 1;
            continue;
        }
        mem_closep(ret_fd);
        *ret_fd = fd;
        low = middle;
    }
    return low;
}

/* The directories on the way to path, and path itself, where they are missing. */
static err *make_parents(const applier *ap, const char *path)
{
    auto_close int fd = -1;
    auto_strv parts = {0};
    size_t i;

    strv_split(&parts, path, '/');
    for (i = deepest_present(ap, &parts, &fd); i < parts.n; i++) {
        int below;

        if (fd < 0 || mkdirat(fd, parts.v[i], 0755) < 0)
            return err_errno(errno, "mkdir %s", path);
        below = openat(fd, parts.v[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        mem_closep(&fd);
        fd = below;
    }
    return NULL;
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
    if (is_kernel_fs(ap->parent_fd)) {
        mem_closep(&ap->parent_fd);
        ap->parent_fd = -1;
        return err_new(ERR_INVALID, "%s is the kernel's", parent);
    }
    ap->parent_path = take(parent);
    *ret_fd = ap->parent_fd;
    return NULL;
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
        if (!str_eq(ent->d_name, ".") && !str_eq(ent->d_name, "..") &&
            remove_all(fd, ent->d_name, depth + 1) < 0)
            return -1;
    return unlinkat(dir, name, AT_REMOVEDIR);
}

/* Room for a member that is no directory.  The parent opened last may have been below what goes, so
 * its name is forgotten; its descriptor stays good for this member. */
static err *make_way(applier *ap, int dir, const char *name)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return NULL;
    if (remove_all(dir, name, 0) < 0)
        return err_errno(errno, "replace %s", name);
    free(take(ap->parent_path));
    return NULL;
}

/* ---- directories that hide what is below them ---- */

static void remember_opaque(applier *ap, const char *path, size_t n)
{
    auto_free char *hex = xmalloc(2 * n + 2);

    str_hex(path, n, hex);
    if (!n)
        memcpy(hex, "-", 2);
    if (!ap->opaques.n || !str_eq(ap->opaques.v[ap->opaques.n - 1], hex))
        strv_push(&ap->opaques, hex);
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static err *make_directory(applier *ap, const tar_member *m, const char *path, int dir,
                           const char *name)
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
    if (ap->mode == APPLY_LAYER &&
        is_whiteout(&st)) /* it hid the one below, and so must what comes in its place */
        remember_opaque(ap, path, strlen(path));
    return NULL;
}

static err *make_file(applier *ap, const tar_member *m, int dir, const char *name)
{
    auto_close int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(errno, "create %s", m->path);
    TRY(err_wrap(m->write_data(m->data_arg, fd), "%s", m->path));
    if (ftruncate(fd, m->size > 0 ? m->size : 0) < 0) /* a hole at the end is no data */
        return err_errno(errno, "write %s", m->path);
    ap->bytes += m->size > 0 ? (uint64_t)m->size : 0;
    return NULL;
}

/* A link's target is a path of the archive, not of the host: its last component is never followed.
 */
static err *make_hardlink(applier *ap, const tar_member *m, int dir, const char *name)
{
    auto_free char *target = NULL;
    auto_close int from = -1;
    const char *target_name;
    struct stat st;

    TRY(place_path(ap, m->hardlink, &target));
    if (!*target)
        return err_new(ERR_INVALID, "link %s to the root", m->path);
    from = open_directory_of(ap, target, &target_name);
    if (from < 0 || fstatat(from, target_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "link %s to %s", m->path, m->hardlink);
    if (S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "link %s to %s: it is a directory", m->path, m->hardlink);
    if (linkat(from, target_name, dir, name, 0) < 0)
        return err_errno(errno, "link %s to %s", m->path, m->hardlink);
    return NULL;
}

static err *make_node(const applier *ap, const tar_member *m, int dir, const char *name)
{
    if (ap->mode == APPLY_MEMBERS)
        return err_new(ERR_INVALID, "%s is not a plain file", m->path);
    if (m->major < 0 || m->major > MAJOR_MAX || m->minor < 0 || m->minor > MINOR_MAX)
        return err_new(ERR_INVALID, "device %s has numbers out of range", m->path);
    if (mknodat(dir, name, (m->mode & S_IFMT) | 0600,
                makedev((unsigned)m->major, (unsigned)m->minor)) < 0)
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

typedef struct xattr_target {
    const char *name; /* in the working directory */
    int errnum;       /* of the first one that could not be set */
} xattr_target;

static void set_xattr(void *ctx, const char *name, const void *value, size_t n)
{
    xattr_target *t = ctx;

    if (!xattr_counts(name) || lsetxattr(t->name, name, value, n, 0) == 0)
        return;
    /* What this file system, or a link or device, cannot hold is no reason to refuse the image. */
    if (errno != ENOTSUP && errno != EPERM && !t->errnum)
        t->errnum = errno;
}

static err *set_xattrs(const tar_member *m, int dir, const char *name)
{
    xattr_target t = {name, 0};

    if (fchdir(dir) < 0) /* there is no lsetxattr relative to a descriptor */
        return err_errno(errno, "open the directory of %s", m->path);
    m->each_xattr(m->xattr_arg, set_xattr, &t);
    return t.errnum ? err_errno(t.errnum, "set an extended attribute of %s", m->path) : NULL;
}

/* The owner first, as a change of it clears the set-id bits and the file's capabilities. */
static err *set_metadata(const applier *ap, const tar_member *m, int dir, const char *name,
                         mode_t type)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, m->mtime};
    bool ours = ap->mode == APPLY_MEMBERS;
    mode_t mode = ours ? S_ISDIR(type) ? 0700 : 0600 : m->mode & 07777;

    if (!ours && (m->uid < 0 || m->gid < 0 || m->uid > ID_MAX || m->gid > ID_MAX))
        return err_new(ERR_INVALID, "the owner of %s is out of range", m->path);
    if (!ours && fchownat(dir, name, (uid_t)m->uid, (gid_t)m->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "chown %s", m->path);
    if (!S_ISLNK(type) && fchmodat(dir, name, mode, 0) < 0)
        return err_errno(errno, "chmod %s", m->path);
    if (!ours)
        TRY(set_xattrs(m, dir, name));
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

static err *apply_whiteout(applier *ap, const tar_member *m, const char *path, int dir,
                           const char *name)
{
    const char *hidden = name + strlen(WHITEOUT_PREFIX);

    if (str_eq(name, WHITEOUT_OPAQUE)) {
        remember_opaque(ap, path, name == path ? 0 : (size_t)(name - path) - 1);
        return NULL;
    }
    if (!*hidden || str_eq(hidden, ".") || str_eq(hidden, "..") ||
        str_starts(hidden, WHITEOUT_PREFIX))
        return err_new(ERR_INVALID, "invalid whiteout %s", m->path);
    TRY(make_way(ap, dir, hidden));
    if (mknodat(dir, hidden, S_IFCHR, makedev(0, 0)) < 0)
        return err_errno(errno, "hide %s", m->path);
    return NULL;
}

static bool has_whiteout_parent(const char *path)
{
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        if (str_starts(path, WHITEOUT_PREFIX))
            return true;
    return false;
}

static err *apply_root(applier *ap, const tar_member *m)
{
    if (!S_ISDIR(m->mode) || m->hardlink)
        return err_new(ERR_INVALID, "the root of an archive is not a directory");
    TRY(set_metadata(ap, m, ap->root, ".", S_IFDIR));
    return remember_dir(ap, "", &m->mtime);
}

static err *make_other(applier *ap, const tar_member *m, int dir, const char *name)
{
    switch (m->mode & S_IFMT) {
    case S_IFREG:
        return make_file(ap, m, dir, name);
    case S_IFLNK:
        if (symlinkat(m->symlink ? m->symlink : "", dir, name) < 0)
            return err_errno(errno, "symlink %s", m->path);
        return NULL;
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
        return make_node(ap, m, dir, name);
    default:
        return err_new(ERR_INVALID, "%s has an unknown type", m->path);
    }
}

err *applier_set_target(applier *ap, const char *path, bool keep_kinds)
{
    ap->keep_kinds = keep_kinds;
    TRY(clean_path(path, &ap->target));
    if (!*ap->target)
        free(take(ap->target));
    return NULL;
}

static err *check_kind(const applier *ap, const tar_member *m, const char *path, int dir,
                       const char *name)
{
    bool is_dir = S_ISDIR(m->mode) && !m->hardlink;
    const char *member = path + (ap->target ? strlen(ap->target) + 1 : 0);
    struct stat st;

    if (!ap->keep_kinds || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return NULL;
    if (S_ISDIR(st.st_mode) && !is_dir)
        return err_new(ERR_INVALID, "cannot overwrite directory \"/%s\" with non-directory \"%s\"",
                       path, member);
    if (!S_ISDIR(st.st_mode) && is_dir)
        return err_new(ERR_INVALID, "cannot overwrite non-directory \"/%s\" with directory \"%s\"",
                       path, member);
    return NULL;
}

err *applier_apply(applier *ap, const tar_member *m)
{
    auto_free char *path = NULL;
    const char *name = NULL;
    int dir = -1;

    if (++ap->entries > ENTRIES_MAX)
        return err_new(ERR_INVALID, "too many entries");
    TRY(place_path(ap, m->path, &path));
    if (!*path)
        return apply_root(ap, m);
    if (ap->mode == APPLY_LAYER && has_whiteout_parent(path))
        return err_new(ERR_INVALID, "invalid whiteout %s", m->path);
    TRY(open_parent(ap, path, &dir, &name));
    if (ap->mode == APPLY_LAYER && str_starts(name, WHITEOUT_PREFIX))
        return apply_whiteout(ap, m, path, dir, name);
    TRY(check_kind(ap, m, path, dir, name));
    if (S_ISDIR(m->mode) && !m->hardlink) {
        TRY(make_directory(ap, m, path, dir, name));
        TRY(set_metadata(ap, m, dir, name, S_IFDIR));
        return remember_dir(ap, path, &m->mtime);
    }
    TRY(make_way(ap, dir, name));
    if (m->hardlink)
        return make_hardlink(ap, m, dir, name);
    TRY(make_other(ap, m, dir, name));
    return set_metadata(ap, m, dir, name, m->mode & S_IFMT);
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
