/* tree.c - removing and making directories by descriptor.
 *
 * Worker threads and start-up only: everything here blocks. */
#include <berth/tree.h>
#include <berth/mem.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A container or an archive may nest directories deeper than any stack or table of descriptors:
 * what is below DEPTH_MAX is moved to the top and removed from there, in another pass. */
enum { DEPTH_MAX = 128, PASSES_MAX = 1 << 20, TRIES_MAX = 1 << 16 };

typedef struct removal {
    int top;
    uint64_t mount; /* a bind mount may be of the same device */
    unsigned moved; /* a number for the next name at the top */
    bool again;     /* this pass moved something there */
} removal;

static int remove_below(removal *r, int dir_fd, unsigned depth);

static int mount_of(int fd, uint64_t *ret)
{
    struct statx sx;

    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &sx) < 0)
        return -1;
    *ret = sx.stx_mnt_id;
    return 0;
}

static int move_to_top(removal *r, int parent, const char *name)
{
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        char place[32];

        snprintf(place, sizeof(place), ".deep-%u", r->moved++);
        if (renameat2(parent, name, r->top, place, RENAME_NOREPLACE) == 0) {
            r->again = true;
            return 0;
        }
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

static int remove_entry(removal *r, int parent, const char *name, unsigned depth)
{
    auto_close int fd = -1;
    uint64_t mount;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM && errno != ENOTEMPTY)
        return -1;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || mount_of(fd, &mount) < 0)
        return -1;
    if (mount != r->mount) {
        errno = EBUSY;
        return -1;
    }
    if (depth >= DEPTH_MAX)
        return move_to_top(r, parent, name);
    if (remove_below(r, fd, depth + 1) < 0)
        return -1;
    return unlinkat(parent, name, AT_REMOVEDIR);
}

static int remove_below(removal *r, int dir_fd, unsigned depth)
{
    int fd = openat(dir_fd, ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* read from its beginning in every pass */
    auto_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *ent;
    int first_errno = 0;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    while ((ent = readdir(d))) {
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
            continue;
        if (remove_entry(r, dirfd(d), ent->d_name, depth) < 0 && !first_errno)
            first_errno = errno;
    }
    if (first_errno) {
        errno = first_errno;
        return -1;
    }
    return 0;
}

static int remove_in_passes(int top, uint64_t mount)
{
    removal r = {.top = top, .mount = mount, .again = true};

    for (unsigned pass = 0; r.again; pass++) {
        r.again = false;
        if (remove_below(&r, top, 0) < 0)
            return -1;
        if (pass == PASSES_MAX) {
            errno = ELOOP;
            return -1;
        }
    }
    return 0;
}

err *tree_remove(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    uint64_t mount;

    if (fd < 0)
        return errno == ENOENT ? NULL : err_errno(errno, "remove %s", path);
    if (mount_of(fd, &mount) < 0 || remove_in_passes(fd, mount) < 0 || rmdir(path) < 0)
        return err_errno(errno, "remove %s", path);
    return NULL;
}

err *tree_make(const char *path, unsigned mode)
{
    auto_free char *p = xstrdup(path);

    for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(p, 0711) < 0 && errno != EEXIST)
            return err_errno(errno, "mkdir %s", p);
        *slash = '/';
    }
    if (mkdir(p, mode) < 0 && errno != EEXIST)
        return err_errno(errno, "mkdir %s", p);
    return NULL;
}

static err *write_all(int fd, const char *p, size_t n, const char *path)
{
    while (n) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_errno(errno, "write %s", path);
        p += w;
        n -= (size_t)w;
    }
    return NULL;
}

err *file_write(const char *path, const void *p, size_t n, unsigned mode)
{
    auto_free char *tmp = xasprintf("%s.new", path);
    auto_close int fd = -1;
    err *e;

    if (unlink(tmp) < 0 && errno != ENOENT)
        return err_errno(errno, "unlink %s", tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(errno, "create %s", tmp);
    e = write_all(fd, p, n, tmp);
    if (!e && rename(tmp, path) < 0)
        e = err_errno(errno, "rename %s", tmp);
    if (e)
        unlink(tmp);
    return e;
}
