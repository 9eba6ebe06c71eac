/* mounts_fill.c - new volumes are filled from the image, at create.
 *
 * The image is looked at through an overlay of its layers that is mounted nowhere: it ends with its
 * descriptor, however the daemon ends.  mounts_fill runs on a worker. */
#include "mounts.h"
#include "private.h"
#include <berth/mem.h>
#include <berth/rootfs.h>
#include <berth/str.h>
#include <berth/volume.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool mounts_want_root(const container *c)
{
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i] && JSON_AT(c->rec.mount_points, mount_record, i)->copies)
            return true;
    return false;
}

/* -1 when there is nothing at that place. */
static err *open_content(const container *c, int root, const mount_record *rec, int *ret_fd)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_close int found = (int)syscall(SYS_openat2, root, rec->destination, &how, sizeof(how));
    struct stat st;

    *ret_fd = -1;
    if (found < 0)
        return errno == ENOENT || errno == ENOTDIR ? NULL
                                                   : err_errno(errno, "open %s", rec->destination);
    if (fstat(found, &st) < 0)
        return err_errno(errno, "stat %s", rec->destination);
    if (!S_ISDIR(st.st_mode))
        return rec->from_config
                   ? err_new(ERR_INVALID,
                             "cannot mount volume over existing file, file exists %s%s", c->rootfs,
                             rec->destination)
                   : err_new(ERR_SYSTEM, "source %s%s is not directory", c->rootfs,
                             rec->destination);
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    *ret_fd = (int)syscall(SYS_openat2, root, rec->destination, &how, sizeof(how));
    return *ret_fd < 0 ? err_errno(errno, "open %s", rec->destination) : NULL;
}

static err *fill(const container *c, int root, size_t i)
{
    const mount_record *rec = JSON_AT(c->rec.mount_points, mount_record, i);
    const char *path = volume_mountpoint(c->volumes[i]);
    auto_close int from = -1, to = -1;

    TRY(open_content(c, root, rec, &from));
    if (from < 0)
        return NULL;
    to = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return err_errno(errno, "open %s", path);
    return err_wrap(copy_up(from, to), "failed to copy the content of %s into volume %s",
                    rec->destination, rec->name);
}

err *mounts_fill(container *c, const char *const *lowers)
{
    auto_close int root = -1;

    if (!lowers || !*lowers) /* an image without layers holds nothing */
        return NULL;
    TRY(rootfs_open(lowers, true, &root));
    for (size_t i = 0; i < c->rec.mount_points.n; i++)
        if (c->volumes[i] && JSON_AT(c->rec.mount_points, mount_record, i)->copies)
            TRY(fill(c, root, i));
    return NULL;
}
