/* rootfs.c - overlay through the mount API of descriptors.  Everything here blocks; any thread. */
#include <berth/mem.h>
#include <berth/buf.h>
#include <berth/rootfs.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/mount.h>
#include <unistd.h>

static char *init_layer;

/* ---- the init layer ---- */

static err *touch(const char *dir, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", dir, name);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0755);

    if (fd < 0)
        return err_errno(errno, "create %s", path);
    return NULL;
}

/* What a runtime mounts over is real here, whatever the image holds at that path. */
err *rootfs_init(const char *data_root)
{
    static const char *const dirs[] = {"dev", "dev/pts", "dev/shm", "proc", "sys", "etc"};
    static const char *const files[] = {"etc/resolv.conf", "etc/hosts", "etc/hostname",
                                        "dev/console", ".dockerenv"};
    auto_free char *mtab = NULL;

    free(init_layer);
    init_layer = xasprintf("%s/layers/init", data_root);
    TRY(tree_make(init_layer, 0755));
    for (size_t i = 0; i < COUNT(dirs); i++) {
        auto_free char *path = xasprintf("%s/%s", init_layer, dirs[i]);

        TRY(tree_make(path, 0755));
    }
    for (size_t i = 0; i < COUNT(files); i++)
        TRY(touch(init_layer, files[i]));
    mtab = xasprintf("%s/etc/mtab", init_layer);
    if (symlink("/proc/mounts", mtab) < 0 && errno != EEXIST)
        return err_errno(errno, "symlink %s", mtab);
    if (chmod(init_layer, 0755) < 0)
        return err_errno(errno, "chmod %s", init_layer);
    return NULL;
}

const char *rootfs_init_layer(void)
{
    return init_layer;
}

err *rootfs_prepare(const char *container_dir)
{
    static const char *const dirs[] = {"diff", "work", "merged"};

    for (size_t i = 0; i < COUNT(dirs); i++) {
        auto_free char *path = xasprintf("%s/%s", container_dir, dirs[i]);

        TRY(tree_make(path, i == 0 ? 0755 : 0710));
    }
    return NULL;
}

/* ---- the mount ---- */

static int fs_open(const char *type)
{
    return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static int fs_set(int fs, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fs, command, key, value, 0);
}

/* The kernel says more than errno in the descriptor's log. */
static err *fs_error(int fs, int errnum, const char *what)
{
    char line[256];
    ssize_t n = fs < 0 ? -1 : read(fs, line, sizeof(line) - 1);

    if (n <= 0)
        return err_errno(errnum, "%s", what);
    line[n] = '\0';
    return err_errno(errnum, "%s: %s", what, line[1] == ' ' ? line + 2 : line);
}

static err *add_lowers(int fs, const strv *dirs)
{
    for (size_t i = 0; i < dirs->n; i++)
        if (fs_set(fs, FSCONFIG_SET_STRING, "lowerdir+", dirs->v[i]) < 0)
            return fs_error(fs, errno, "overlay: add a layer");
    return NULL;
}

/* Kernels before 6.5 take all layers in one string. */
static err *set_lowers(int fs, const strv *dirs)
{
    auto_buf all = {0};

    for (size_t i = 0; i < dirs->n; i++)
        buf_printf(&all, "%s%s", i ? ":" : "", dirs->v[i]);
    if (fs_set(fs, FSCONFIG_SET_STRING, "lowerdir", all.data) < 0)
        return fs_error(fs, errno, "overlay: set the layers");
    return NULL;
}

static err *give_lowers(int fs, const strv *dirs)
{
    err *e;

    fs_set(fs, FSCONFIG_SET_STRING, "source", "overlay");
    e = add_lowers(fs, dirs);
    if (!e || err_errnum(e) != EINVAL)
        return e;
    err_free(e);
    return set_lowers(fs, dirs);
}

static err *mount_detached(int fs, unsigned attributes, int *ret_mnt)
{
    fs_set(fs, FSCONFIG_SET_STRING, "index",
           "off"); /* kernels built without these have nothing to switch off */
    fs_set(fs, FSCONFIG_SET_STRING, "metacopy", "off");
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fs_error(fs, errno, "overlay");
    *ret_mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
    return *ret_mnt < 0 ? fs_error(fs, errno, "fsmount") : NULL;
}

/* An overlay without an upper layer wants two below: the last is an empty directory. */
err *rootfs_open(const char *const *lowers, bool with_init, int *ret_fd)
{
    auto_strv dirs = {0};
    auto_close int fs = fs_open("overlay");

    if (fs < 0)
        return err_errno(errno, "fsopen overlay");
    if (with_init)
        strv_push(&dirs, init_layer);
    for (; *lowers; lowers++)
        strv_push(&dirs, *lowers);
    if (!with_init)
        strv_pushf(&dirs, "%s/proc", init_layer);
    TRY(give_lowers(fs, &dirs));
    return mount_detached(fs, MOUNT_ATTR_RDONLY, ret_fd);
}

err *rootfs_open_writable(const char *const *lowers, const char *container_dir, int *ret_fd)
{
    auto_free char *upper = xasprintf("%s/diff", container_dir),
                   *work = xasprintf("%s/work", container_dir);
    auto_close int fs = fs_open("overlay");
    auto_strv dirs = {0};

    if (fs < 0)
        return err_errno(errno, "fsopen overlay");
    strv_push(&dirs, init_layer);
    for (; *lowers; lowers++)
        strv_push(&dirs, *lowers);
    TRY(give_lowers(fs, &dirs));
    if (fs_set(fs, FSCONFIG_SET_STRING, "upperdir", upper) < 0 ||
        fs_set(fs, FSCONFIG_SET_STRING, "workdir", work) < 0)
        return fs_error(fs, errno, "overlay: set the upper layer");
    return mount_detached(fs, 0, ret_fd);
}

err *rootfs_mount(const char *const *lowers, const char *container_dir)
{
    auto_free char *merged = xasprintf("%s/merged", container_dir);
    auto_close int target = open(merged, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), mnt = -1;

    if (target < 0)
        return err_errno(errno, "open %s", merged);
    TRY(rootfs_open_writable(lowers, container_dir, &mnt));
    if (syscall(SYS_move_mount, mnt, "", target, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_errno(errno, "mount onto %s", merged);
    return NULL;
}

err *rootfs_unmount(const char *merged)
{
    for (int i = 0; i < 4; i++) { /* a crash between mount and record may have stacked them */
        if (umount2(merged, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            continue;
        if (errno == EINVAL || errno == ENOENT)
            return NULL;
        return err_errno(errno, "umount %s", merged);
    }
    return NULL;
}
