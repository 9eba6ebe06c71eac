/* copyup.c - the content of an image's directory becomes that of a new volume.
 *
 * Whoever has the volume already may change it meanwhile: so every step goes from one descriptor to
 * the next, no link is followed, nothing that is there is written to or replaced.  Modes, owners,
 * times, attributes and hard links are kept; sockets mean nothing without their process and are
 * left out.  Blocks; for a worker. */
#include "mounts.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <uthash.h>

enum {
    DEPTH_MAX = 256,            /* two descriptors each */
    LINKS_MAX = 1 << 18,        /* files with several names, remembered */
    XATTR_NAMES_MAX = 64 << 10, /* the kernel's own bound */
    XATTR_VALUE_MAX = 64 << 10,
};

typedef struct linked {
    struct {
        dev_t dev;
        ino_t ino;
    } key;
    char *path; /* below the volume's root */
    UT_hash_handle hh;
} linked;

typedef struct copying {
    int to_root;
    bool any; /* something was copied */
    linked *links;
    buf path; /* where we are, below the root: "a/b" */
} copying;

/* ---- attributes ---- */

static err *copy_xattrs(int from, int to)
{
    auto_free char *names = xmalloc(XATTR_NAMES_MAX), *value = xmalloc(XATTR_VALUE_MAX);
    ssize_t n = flistxattr(from, names, XATTR_NAMES_MAX);

    if (n < 0)
        return errno == ENOTSUP ? NULL : err_errno(errno, "list attributes");
    for (const char *name = names; name < names + n; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, XATTR_VALUE_MAX);

        if (size < 0)
            continue; /* gone, or not for us */
        if (fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return err_errno(errno, "set attribute %s", name);
    }
    return NULL;
}

/* The owner first: it takes set-id bits and capabilities away. */
static err *copy_attributes(int from, int to, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};

    if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
        return err_errno(errno, "set owner and mode");
    TRY(copy_xattrs(from, to));
    if (futimens(to, times) < 0)
        return err_errno(errno, "set times");
    return NULL;
}

/* ---- hard links ---- */

static char *path_of(const copying *c, const char *name)
{
    return c->path.len ? xasprintf("%s/%s", c->path.data, name) : xstrdup(name);
}

static linked *link_find(copying *c, const struct stat *st)
{
    linked probe = {0}, *found = NULL;

    probe.key.dev = st->st_dev;
    probe.key.ino = st->st_ino;
    HASH_FIND(hh, c->links, &probe.key, sizeof(probe.key), found);
    return found;
}

static void link_add(copying *c, const struct stat *st, const char *name)
{
    linked *l;

    if (st->st_nlink < 2 || HASH_COUNT(c->links) >= LINKS_MAX)
        return;
    l = new0(linked);
    l->key.dev = st->st_dev;
    l->key.ino = st->st_ino;
    l->path = path_of(c, name);
    HASH_ADD(hh, c->links, key, sizeof(l->key), l);
}

/* true: the name is there now.  Otherwise it is copied as a file of its own. */
static bool link_again(const copying *c, const linked *l, int to, const char *name)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    auto_close int fd = (int)syscall(SYS_openat2, c->to_root, l->path, &how, sizeof(how));

    return fd >= 0 && (linkat(fd, "", to, name, AT_EMPTY_PATH) == 0 || errno == EEXIST);
}

/* ---- one entry ---- */

static err *copy_bytes(int from, int to, off_t size)
{
    bool in_kernel = true;

    if (ioctl(to, FICLONE, from) == 0)
        return NULL;
    while (size > 0) {
        ssize_t n = in_kernel ? copy_file_range(from, NULL, to, NULL, (size_t)size, 0)
                              : sendfile(to, from, NULL, (size_t)size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && in_kernel) { /* not between these two file systems */
            in_kernel = false;
            continue;
        }
        if (n < 0)
            return err_errno(errno, "copy");
        if (n == 0)
            break;
        size -= n;
    }
    return NULL;
}

static err *copy_file(copying *c, int from, int to, const char *name, const struct stat *st)
{
    const linked *l = link_find(c, st);
    auto_close int in = -1, out = -1;

    if (l && link_again(c, l, to, name))
        return NULL;
    in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in < 0)
        return err_errno(errno, "open %s", name);
    out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return errno == EEXIST ? NULL : err_errno(errno, "create %s", name);
    TRY(err_wrap(copy_bytes(in, out, st->st_size), "%s", name));
    TRY(err_wrap(copy_attributes(in, out, st), "%s", name));
    link_add(c, st, name);
    return NULL;
}

static err *copy_symlink(int from, int to, const char *name, const struct stat *st)
{
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    auto_free char *target = xcalloc((size_t)PATH_MAX + 1, 1);

    if (readlinkat(from, name, target, PATH_MAX) < 0)
        return err_errno(errno, "read link %s", name);
    if (symlinkat(target, to, name) < 0)
        return errno == EEXIST ? NULL : err_errno(errno, "symlink %s", name);
    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "chown %s", name);
    utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
    return NULL;
}

/* A device or a pipe; its mode is given at once, since it is not opened. */
static err *copy_node(int from, int to, const char *name, const struct stat *st)
{
    auto_close int fd = -1;
    auto_free char *path = NULL;

    (void)from;
    if (mknodat(to, name, st->st_mode & (S_IFMT | 0700), st->st_rdev) < 0)
        return errno == EEXIST ? NULL : err_errno(errno, "mknod %s", name);
    fd = openat(to, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    path = xasprintf("/proc/self/fd/%d", fd);
    if (fd < 0 || fchownat(fd, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0 ||
        chmod(path, st->st_mode & 07777) < 0)
        return err_errno(errno, "set owner and mode of %s", name);
    return NULL;
}

static err *copy_below(copying *c, int from, int to, unsigned depth);

static err *copy_directory(copying *c, int from, int to, const char *name, const struct stat *st,
                           unsigned depth)
{
    size_t before = c->path.len;
    auto_close int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int out = -1;

    if (in < 0)
        return err_errno(errno, "open %s", name);
    if (mkdirat(to, name, 0700) < 0 && errno != EEXIST)
        return err_errno(errno, "mkdir %s", name);
    out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out < 0)
        return err_errno(errno, "open %s", name);
    buf_printf(&c->path, "%s%s", before ? "/" : "", name);
    TRY(copy_below(c, in, out, depth + 1));
    buf_truncate(&c->path, before);
    return err_wrap(copy_attributes(in, out, st), "%s", name);
}

static err *copy_entry(copying *c, int from, int to, const char *name, unsigned depth)
{
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(errno, "stat %s", name);
    c->any = true;
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        return copy_directory(c, from, to, name, &st, depth);
    case S_IFREG:
        return copy_file(c, from, to, name, &st);
    case S_IFLNK:
        return copy_symlink(from, to, name, &st);
    case S_IFSOCK:
        return NULL;
    default:
        return copy_node(from, to, name, &st);
    }
}

static err *copy_below(copying *c, int from, int to, unsigned depth)
{
    auto_closedir DIR *d = NULL;
    struct dirent *ent;
    int fd;

    if (depth > DEPTH_MAX)
        return err_new(ERR_SYSTEM, "directories are nested too deep: at most %d", DEPTH_MAX);
    fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        err *e = err_errno(errno, "read directory");

        mem_closep(&fd);
        return e;
    }
    while ((ent = readdir(d)))
        if (!str_eq(ent->d_name, ".") && !str_eq(ent->d_name, ".."))
            TRY(copy_entry(c, from, to, ent->d_name, depth));
    return NULL;
}

static bool is_empty(int fd)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    struct dirent *ent;
    bool empty = d != NULL;

    if (!d) {
        mem_closep(&again);
        return false;
    }
    while (empty && (ent = readdir(d)))
        empty = str_eq(ent->d_name, ".") || str_eq(ent->d_name, "..");
    closedir(d);
    return empty;
}

err *copy_up(int from, int to)
{
    copying c = {.to_root = to};
    linked *l, *next;
    struct stat st;
    err *e;

    if (!is_empty(to))
        return NULL;
    if (fstat(from, &st) < 0)
        return err_errno(errno, "stat");
    e = copy_below(&c, from, to, 0);
    if (!e)
        e = copy_attributes(from, to, &st);
    if (!e && (c.any ? syncfs(to) : fsync(to)) < 0) /* create is answered for what is there */
        e = err_errno(errno, "sync");
    HASH_ITER (hh, c.links, l, next) {
        HASH_DEL(c.links, l);
        free(l->path);
        free(l);
    }
    buf_done(&c.path);
    return e;
}
